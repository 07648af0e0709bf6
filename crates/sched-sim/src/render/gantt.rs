//! An outcome as a picture: who ran where and when, with a time axis and a legend.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use crate::outcome::Outcome;

const LEFT: f64 = 110.0;
const WIDTH: f64 = 1000.0;
const LANE: f64 = 26.0;
/// Tasks in the legend.
const LEGEND: usize = 24;
/// Boxes narrower than this are drawn so wide all the same: otherwise they would not be seen.
const NARROWEST: f64 = 0.4;

/// Cores first, then holders; and the name.
type Lane = (u8, String);
/// Start, length, task.
type Piece = (f64, f64, u32);

/// A Gantt chart as SVG: a lane for each core, for each lock and GIL that was held, and one for the number of ready tasks.
///
/// Empty but for a sentence if the outcome has no `run_segments`.
pub fn gantt(outcome: &Outcome) -> String {
    let mut svg = String::new();
    let _ = write_gantt(&mut svg, outcome); // writing to a string can't fail
    svg
}

fn write_gantt(svg: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let runs = outcome.run_segments.as_deref().unwrap_or(&[]);
    let mut lanes: BTreeMap<Lane, Vec<Piece>> = BTreeMap::new();
    for core in &outcome.cores {
        lanes.insert((0, format!("core {:>4}", core.cpu)), Vec::new());
    }
    for run in runs {
        lanes.entry((0, format!("core {:>4}", run.cpu))).or_default().push((run.start, run.len, run.task));
    }
    for holder in outcome.holders.iter().flatten() {
        lanes.entry((1, holder.what.clone())).or_default().push((holder.start, holder.len, holder.task));
    }
    let tasks = shown_tasks(outcome);
    let labels = Labels::new(outcome);
    let legend_rows = tasks.len().min(LEGEND).div_ceil(6);
    let depth = outcome.queue_depth.as_deref().filter(|depth| !depth.is_empty());
    let bottom = 40.0 + LANE * lanes.len() as f64;
    let plot = if depth.is_some() { 60.0 } else { 0.0 };
    let height = bottom + plot + 50.0 + 20.0 * legend_rows as f64;
    let full_width = LEFT + WIDTH + 30.0;
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full_width} {height}" width="{full_width}" height="{height}" font-family="sans-serif" font-size="12">"#
    )?;
    writeln!(svg, r#"<rect width="100%" height="100%" fill="white"/>"#)?;
    if runs.is_empty() {
        writeln!(
            svg,
            r#"<text x="20" y="20">The outcome has no run_segments: ask for them in "record".</text></svg>"#
        )?;
        return Ok(());
    }
    writeln!(svg, r#"<text x="{LEFT}" y="20" font-weight="bold">{}</text>"#, escape(&outcome.stopped.to_string()))?;
    let end = outcome.finish_time.max(f64::MIN_POSITIVE);
    let x = |time: f64| LEFT + WIDTH * (time / end).clamp(0.0, 1.0);
    let mut y = 30.0;
    for ((_, name), boxes) in &lanes {
        writeln!(svg, r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#, LEFT - 8.0, y + 16.0, escape(name))?;
        writeln!(svg, r##"<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{}" fill="#f2f2f2"/>"##, LANE - 6.0)?;
        for (start, length, task) in boxes {
            let (left, width) = (x(*start), (x(start + length) - x(*start)).max(NARROWEST));
            let (fill, label) = (colour(*task), labels.of(*task));
            write!(svg, r#"<rect x="{left:.2}" y="{y}" width="{width:.2}" height="{}" fill="{fill}">"#, LANE - 6.0)?;
            writeln!(svg, "<title>{} from {start} for {length}</title></rect>", escape(&label))?;
            if width > 7.0 * label.chars().count() as f64 {
                let middle = left + width / 2.0;
                writeln!(
                    svg,
                    r#"<text x="{middle:.1}" y="{}" text-anchor="middle" font-size="11">{}</text>"#,
                    y + 14.0,
                    escape(&label)
                )?;
            }
        }
        y += LANE;
    }
    if let Some(depth) = depth {
        let most = depth.iter().map(|depth| depth.ready).max().unwrap_or(0).max(1);
        let base = y + plot - 8.0;
        let level = |ready: u32| base - (plot - 16.0) * f64::from(ready) / f64::from(most);
        let mut path = format!("M{LEFT:.1} {base:.1}");
        for depth in depth {
            write!(path, "H{:.2}V{:.1}", x(depth.time), level(depth.ready))?;
        }
        writeln!(
            svg,
            r##"<path d="{path}H{:.1}V{base:.1}Z" fill="#bbc" stroke="#446" stroke-width="0.5"/>"##,
            LEFT + WIDTH
        )?;
        writeln!(svg, r#"<text x="{}" y="{}" text-anchor="end">ready, up to {most}</text>"#, LEFT - 8.0, base - 14.0)?;
        y += plot;
    }
    write_axis(svg, outcome, y, end)?;
    write_legend(svg, &labels, &tasks, y + 44.0)?;
    writeln!(svg, "</svg>")
}

fn write_axis(svg: &mut String, outcome: &Outcome, y: f64, end: f64) -> std::fmt::Result {
    let step = round_step(end / 8.0);
    writeln!(svg, r#"<line x1="{LEFT}" y1="{y}" x2="{}" y2="{y}" stroke="black"/>"#, LEFT + WIDTH)?;
    let mut tick = 0;
    loop {
        let time = step * f64::from(tick);
        if time > end * 1.0001 {
            break;
        }
        let x = LEFT + WIDTH * time / end;
        writeln!(svg, r#"<line x1="{x:.1}" y1="{y}" x2="{x:.1}" y2="{}" stroke="black"/>"#, y + 5.0)?;
        writeln!(svg, r#"<text x="{x:.1}" y="{}" text-anchor="middle">{time}</text>"#, y + 18.0)?;
        tick += 1;
    }
    let unit = serde_json::to_value(outcome.time_unit).ok();
    let unit = unit.as_ref().and_then(|unit| unit.as_str()).unwrap_or_default().to_owned();
    writeln!(svg, r#"<text x="{}" y="{}" text-anchor="end">time [{unit}]</text>"#, LEFT - 8.0, y + 18.0)
}

fn write_legend(svg: &mut String, labels: &Labels, tasks: &[u32], y: f64) -> std::fmt::Result {
    for (number, task) in tasks.iter().take(LEGEND).enumerate() {
        let (x, y) = (LEFT + (number % 6) as f64 * 165.0, y + (number / 6) as f64 * 20.0);
        writeln!(svg, r#"<rect x="{x}" y="{}" width="12" height="12" fill="{}"/>"#, y - 10.0, colour(*task))?;
        writeln!(svg, r#"<text x="{}" y="{y}">{}</text>"#, x + 18.0, escape(&labels.of(*task)))?;
    }
    if tasks.len() > LEGEND {
        writeln!(svg, r#"<text x="{}" y="{}">... and {} more</text>"#, LEFT - 90.0, y, tasks.len() - LEGEND)?;
    }
    Ok(())
}

/// Tasks that ran, by id.
fn shown_tasks(outcome: &Outcome) -> Vec<u32> {
    let mut tasks: Vec<u32> = outcome.run_segments.iter().flatten().map(|run| run.task).collect();
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}

/// What tasks are called: their names, with the id where several have one name.
struct Labels(HashMap<u32, String>);

impl Labels {
    fn new(outcome: &Outcome) -> Self {
        let mut uses: HashMap<&str, u32> = HashMap::new();
        let named = || outcome.tasks.iter().filter_map(|task| Some((task.id, task.name.as_deref()?)));
        for (_, name) in named() {
            *uses.entry(name).or_default() += 1;
        }
        let label = |id: u32, name: &str| if uses[name] > 1 { format!("{name} {id}") } else { name.to_owned() };
        Self(named().map(|(id, name)| (id, label(id, name))).collect())
    }

    fn of(&self, task: u32) -> String {
        self.0.get(&task).cloned().unwrap_or_else(|| format!("task {task}"))
    }
}

/// Neighbours get hues far apart: steps of the golden angle.
fn colour(task: u32) -> String {
    let hue = (f64::from(task) * 137.508) % 360.0;
    let lightness = [62, 74, 52][(task as usize / 8) % 3];
    format!("hsl({hue:.0},65%,{lightness}%)")
}

/// 1, 2 or 5 times a power of ten, at least so large.
fn round_step(least: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(least)));
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
