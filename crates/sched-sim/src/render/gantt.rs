//! An outcome as a picture: who ran where and when, with a time axis and a legend.

mod axis;
mod colours;
mod lane;

use std::collections::BTreeMap;
use std::fmt::Write;

use axis::Axis;
use colours::Colours;
use lane::Piece;

use crate::outcome::{Depth, Outcome, StopReason};

/// Pixels of time.
const WIDTH: f64 = 1000.0;
/// Cores, and locks and GILs, that get a lane; of more a note says how many.
const CORES: usize = 64;
const HOLDERS: usize = 16;
/// Height of the curve of ready tasks.
const CURVE: f64 = 56.0;
/// Queues that get a curve.
const CURVES: usize = 8;
/// Blocked tasks that are named above a deadlock.
const WAITING: usize = 4;
/// Letters of a lane's name.
const NAME: usize = 24;

/// What of an outcome is drawn, and what stands above it.
#[derive(Debug, Clone, Default)]
pub struct Picture<'a> {
    /// What the picture is of: a file's name, a sentence.
    pub title: &'a str,
    /// From when to when, in the scenario's unit; without it the whole run.
    pub window: Option<(f64, f64)>,
}

/// A Gantt chart as SVG: a lane for each core, for each lock and GIL that was held, and a curve of the number of ready tasks.
///
/// Runs too short for a box of their own are summed up in columns of a pixel. The picture is 1,000 pixels of time wide and shows up to 64
/// cores and 16 locks. It has no script and refers to nothing outside. Empty but for a sentence if the outcome has no `run_segments`.
pub fn gantt(outcome: &Outcome, picture: &Picture<'_>) -> String {
    let mut svg = String::new();
    let _ = write_gantt(&mut svg, outcome, picture); // writing to a string can't fail
    svg
}

/// Lanes of one kind.
struct Lanes {
    each: Vec<(String, Vec<Piece>)>,
    /// How many found no place, and what they are.
    more: usize,
    what: &'static str,
}

impl Lanes {
    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.each.iter().flat_map(|(_, pieces)| pieces)
    }

    fn height(&self, lane: f64) -> f64 {
        let note = if self.more > 0 { 18.0 } else { 0.0 };
        lane * self.each.len() as f64 + note + if self.each.is_empty() { 0.0 } else { 8.0 }
    }
}

fn write_gantt(svg: &mut String, outcome: &Outcome, picture: &Picture<'_>) -> std::fmt::Result {
    if outcome.run_segments.as_ref().is_none_or(Vec::is_empty) {
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="600" height="40" font-family="sans-serif" font-size="13">"#
        )?;
        let why = match outcome.run_segments {
            None => "The outcome has no run_segments: ask for them in \"record\".",
            Some(_) => "Nothing ran.",
        };
        return writeln!(
            svg,
            r#"<rect width="100%" height="100%" fill="white"/><text x="10" y="25">{why}</text></svg>"#
        );
    }
    let groups = [core_lanes(outcome), holder_lanes(outcome)];
    let curves = curves(outcome);
    let names = groups.iter().flat_map(|group| group.each.iter().map(|(name, _)| name.chars().count()));
    let names = names.chain(curves.iter().map(|curve| curve.name.chars().count()));
    let left = (20.0 + 7.0 * names.max().unwrap_or(0) as f64).max(96.0);
    let (from, to) = picture.window.unwrap_or((0.0, outcome.finish_time));
    let axis = Axis::new(from, to, outcome.time_unit, left, WIDTH);
    let is_seen = |piece: &&Piece| piece.start < axis.to && piece.start + piece.length > axis.from;
    let seen = groups.iter().flat_map(Lanes::pieces).filter(is_seen).map(|piece| piece.task);
    let colours = Colours::new(outcome, seen.collect());
    let lane = match groups[0].each.len() {
        0..=16 => 26.0,
        17..=32 => 18.0,
        _ => 11.0,
    };
    let notes = notes(outcome, &colours);
    let top = 44.0 + 18.0 * notes.len() as f64;
    let lanes = groups[0].height(lane) + groups[1].height(26.0);
    let plot = CURVE * curves.len() as f64;
    let (full_width, height) = (left + WIDTH + 30.0, top + lanes + plot + 48.0 + colours.height());
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full_width} {height}" width="{full_width}" height="{height}" font-family="sans-serif" font-size="12">"#
    )?;
    writeln!(svg, r#"<rect width="100%" height="100%" fill="white"/>"#)?;
    write_title(svg, outcome, picture, &axis, &notes)?;
    let marks = axis.marks();
    for (x, _) in &marks {
        writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{}" x2="{x:.1}" y2="{}" stroke="#ddd"/>"##,
            top - 4.0,
            top + lanes + plot
        )?;
    }
    let (mut y, mut has_columns) = (top, false);
    for (group, lane) in groups.iter().zip([lane, 26.0]) {
        let columns;
        (y, columns) = write_lanes(svg, group, &axis, &colours, (y, lane))?;
        has_columns |= columns;
    }
    for curve in &curves {
        write_depth(svg, curve, &axis, y)?;
        y += CURVE;
    }
    write_axis(svg, &axis, &marks, y)?;
    colours.write(svg, (left, WIDTH), y + 46.0, has_columns)?;
    writeln!(svg, "</svg>")
}

fn core_lanes(outcome: &Outcome) -> Lanes {
    let shown = outcome.cores.len().min(CORES);
    let mut lanes: Vec<(String, Vec<Piece>)> =
        outcome.cores.iter().take(CORES).map(|core| (format!("core {}", core.cpu), Vec::new())).collect();
    for run in outcome.run_segments.iter().flatten() {
        if let Some((_, pieces)) = lanes.get_mut(run.cpu as usize) {
            pieces.push(Piece { start: run.start, length: run.len, task: run.task, level: run.level });
        }
    }
    Lanes { each: lanes, more: outcome.cores.len() - shown, what: "cores" }
}

fn holder_lanes(outcome: &Outcome) -> Lanes {
    let mut lanes: BTreeMap<&str, Vec<Piece>> = BTreeMap::new();
    for holder in outcome.holders.iter().flatten() {
        let piece = Piece { start: holder.start, length: holder.len, task: holder.task, level: None };
        lanes.entry(&holder.what).or_default().push(piece);
    }
    let more = lanes.len().saturating_sub(HOLDERS);
    let lanes = lanes.into_iter().take(HOLDERS).map(|(what, pieces)| (clipped(what, NAME), pieces)).collect();
    Lanes { each: lanes, more, what: "locks and GILs" }
}

/// What a reader has to know beside why the run ended: who waits for whom, what is missing.
fn notes(outcome: &Outcome, colours: &Colours) -> Vec<String> {
    let mut notes = Vec::new();
    if outcome.truncated {
        notes.push("The timeline lacks its end: limits.recorded was reached.".to_owned());
    }
    let waiting = outcome.deadlock.iter().flat_map(|deadlock| &deadlock.waiting);
    for blocked in waiting.clone().take(WAITING) {
        let held = match blocked.held_by {
            None => String::new(),
            Some(task) if blocked.holder_has_ended => format!(", held by {}, which has ended", colours.name(task)),
            Some(task) => format!(", held by {}", colours.name(task)),
        };
        notes.push(format!("{} waits for {}{held}", colours.name(blocked.task), blocked.waits_for));
    }
    let more = waiting.count().saturating_sub(WAITING);
    if more > 0 {
        notes.push(format!("and {more} more wait"));
    }
    notes
}

fn write_title(
    svg: &mut String,
    outcome: &Outcome,
    picture: &Picture<'_>,
    axis: &Axis,
    notes: &[String],
) -> std::fmt::Result {
    let left = axis.left;
    let ended = format!("ended at {} {}: {}", axis.read(outcome.finish_time), axis.unit, outcome.stopped);
    let colour = match outcome.stopped {
        StopReason::Finished | StopReason::Until => "#333",
        _ => "#b00020",
    };
    let title = if picture.title.is_empty() { "" } else { &format!("{} · ", picture.title) };
    writeln!(
        svg,
        r#"<text x="{left}" y="24" font-size="14"><tspan font-weight="bold">{}</tspan><tspan fill="{colour}">{}</tspan></text>"#,
        escape(title),
        escape(&ended)
    )?;
    for (number, note) in (1_u8..).zip(notes) {
        let y = 24.0 + 18.0 * f64::from(number);
        writeln!(svg, r##"<text x="{left}" y="{y}" fill="#b00020">{}</text>"##, escape(&clipped(note, 140)))?;
    }
    Ok(())
}

/// Draws the lanes below `y`. Where the next thing can be drawn, and whether there are columns.
fn write_lanes(
    svg: &mut String,
    group: &Lanes,
    axis: &Axis,
    colours: &Colours,
    (mut y, lane): (f64, f64),
) -> Result<(f64, bool), std::fmt::Error> {
    let (bottom, mut has_columns) = (y + group.height(lane), false);
    // Every name would be too many where lanes are narrow.
    let named = if lane < 14.0 { 4 } else { 1 };
    for (number, (name, pieces)) in group.each.iter().enumerate() {
        let height = if lane < 14.0 { lane - 1.5 } else { lane - 5.0 };
        if number % named == 0 {
            let base = y + height / 2.0 + 4.0;
            writeln!(svg, r#"<text x="{}" y="{base}" text-anchor="end">{}</text>"#, axis.left - 8.0, escape(name))?;
        }
        writeln!(
            svg,
            r##"<rect x="{}" y="{y}" width="{WIDTH}" height="{height}" fill="#eee" fill-opacity="0.7"/>"##,
            axis.left
        )?;
        has_columns |= lane::draw(svg, pieces, axis, colours, (y, height))?;
        y += lane;
    }
    if group.more > 0 {
        writeln!(
            svg,
            r##"<text x="{}" y="{}" fill="#555">and {} {} more</text>"##,
            axis.left,
            y + 12.0,
            group.more,
            group.what
        )?;
    }
    Ok((bottom, has_columns))
}

/// A queue's length over time.
struct Curve<'a> {
    name: String,
    meaning: &'static str,
    depth: &'a [Depth],
}

/// Ready threads, and the queues in front of workers, as far as somebody waited in them.
fn curves(outcome: &Outcome) -> Vec<Curve<'_>> {
    let ready = outcome.queue_depth.as_deref().map(|depth| Curve {
        name: "ready tasks".to_owned(),
        meaning: "tasks that are ready and wait for a core",
        depth,
    });
    let queues = outcome.work_queues.iter().filter_map(|queue| {
        let (name, depth) = (format!("{} queue", queue.name), queue.depth.as_deref()?);
        Some(Curve { name: clipped(&name, NAME), meaning: "tasks that wait for a worker", depth })
    });
    let is_used = |curve: &Curve<'_>| curve.depth.iter().any(|depth| depth.ready > 0);
    ready.into_iter().chain(queues).filter(is_used).take(CURVES).collect()
}

/// The length of a queue: of each pixel the most.
fn write_depth(svg: &mut String, curve: &Curve<'_>, axis: &Axis, y: f64) -> std::fmt::Result {
    let depth = curve.depth;
    let mut columns = vec![0_u32; WIDTH as usize + 1];
    let mut last = 0;
    for (number, change) in depth.iter().enumerate() {
        let until = depth.get(number + 1).map_or(axis.to, |next| next.time);
        if until >= axis.from && change.time <= axis.to {
            let (first, end) = ((axis.x(change.time) - axis.left) as usize, (axis.x(until) - axis.left) as usize);
            for column in &mut columns[first.min(end)..=end] {
                *column = (*column).max(change.ready);
            }
            last = last.max(change.ready);
        }
    }
    let most = last.max(1);
    let base = y + CURVE - 8.0;
    let level = |ready: u32| base - (CURVE - 16.0) * f64::from(ready) / f64::from(most);
    let mut path = format!("M{:.1} {base:.1}", axis.left);
    let mut before = None;
    for (column, ready) in columns.iter().enumerate() {
        if before != Some(ready) {
            write!(path, "H{}V{:.1}", axis.left + column as f64, level(*ready))?;
            before = Some(ready);
        }
    }
    let (end, left) = (axis.left + WIDTH, axis.left - 8.0);
    writeln!(
        svg,
        r##"<path d="{path}H{end:.1}V{base:.1}Z" fill="#c5cbe6" stroke="#4a5491" stroke-width="0.6"><title>{}</title></path>"##,
        curve.meaning
    )?;
    if last > 0 {
        writeln!(svg, r#"<text x="{left}" y="{}" text-anchor="end">{last}</text>"#, level(last) + 5.0)?;
    }
    writeln!(
        svg,
        r##"<text x="{left}" y="{}" text-anchor="end" fill="#555">{}</text>"##,
        base - 4.0,
        escape(&curve.name)
    )
}

fn write_axis(svg: &mut String, axis: &Axis, marks: &[(f64, String)], y: f64) -> std::fmt::Result {
    let left = axis.left;
    writeln!(svg, r#"<line x1="{left}" y1="{y}" x2="{}" y2="{y}" stroke="black"/>"#, left + WIDTH)?;
    for (x, label) in marks {
        writeln!(svg, r#"<line x1="{x:.1}" y1="{y}" x2="{x:.1}" y2="{}" stroke="black"/>"#, y + 5.0)?;
        writeln!(svg, r#"<text x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"#, y + 18.0)?;
    }
    writeln!(
        svg,
        r##"<text x="{}" y="{}" text-anchor="end" fill="#555">time, {}</text>"##,
        left - 8.0,
        y + 18.0,
        if axis.unit.len() > 5 { "means" } else { axis.unit }
    )
}

/// A text of at most so many letters.
fn clipped(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters - 1).chain(['…']).collect()
}

/// As XML takes it: names come from files, and control characters are no XML at all.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}
