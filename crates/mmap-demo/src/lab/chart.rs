//! Pictures of outcomes: bars of costs, steps of memory.

use std::fmt::Write;

use super::outcome::{Cost, Findings, Judged, Outcome, Step, bytes, time};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 300.0;
const ROW: f64 = 26.0;
/// What is left for bars, and beside them for figures.
const BAR: f64 = WIDTH - LEFT - 190.0;

pub(super) fn svg(outcome: &Outcome) -> String {
    let (body, rows) = match &outcome.result {
        Findings::Costs(costs) => (bars(costs), costs.len()),
        Findings::Steps(steps) => (stairs(steps), steps.len()),
    };
    let top = 92.0;
    let verdicts = top + ROW * rows as f64 + 30.0;
    let height = verdicts + 40.0 * outcome.verdicts.len() as f64 + 24.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-labelledby="t" font-family="system-ui, sans-serif" font-size="13">
<title id="t">{title}</title>
<style>
:root {{ --ink: #1a1a1a; --quiet: #666; --ground: #fff; --first: #0072b2; --second: #e69f00; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #eee; --quiet: #a5a5a5; --ground: #16181c; --first: #56b4e9; }} }}
text {{ fill: var(--ink); }} .quiet {{ fill: var(--quiet); font-size: 11px; }} .first {{ fill: var(--first); }} .second {{ fill: var(--second); }}
</style>
<rect width="{WIDTH}" height="{height:.0}" style="fill: var(--ground)"/>
<text x="16" y="28" font-size="17" font-weight="600">{title}</text>
<text class="quiet" x="16" y="48">{machine}</text>
<g transform="translate(0 {top})">
{body}</g>
"#,
        title = escaped(&outcome.question),
        machine = escaped(&outcome.machine),
    );
    for (index, verdict) in outcome.verdicts.iter().enumerate() {
        let y = verdicts + 40.0 * index as f64;
        let mark = match verdict.judged {
            Judged::True => "✔",
            Judged::False => "✘",
            Judged::Depends => "~",
            Judged::Open => "?",
            Judged::Skipped => "-",
        };
        let _ = writeln!(svg, r#"<text x="16" y="{y:.0}">{mark} {}</text>"#, escaped(&verdict.claim));
        let _ = writeln!(
            svg,
            r#"<text class="quiet" x="32" y="{:.0}">{}</text>"#,
            y + 16.0,
            escaped(&cut(&verdict.why, 145))
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Costs differ by orders of magnitude: the axis is logarithmic, a line each factor of ten.
fn bars(costs: &[Cost]) -> String {
    let known = || costs.iter().filter_map(|cost| cost.ns);
    let least = known().fold(f64::INFINITY, f64::min).log10().floor();
    let most = known().fold(0.0, f64::max).log10().ceil().max(least + 1.0);
    let place = |ns: f64| (ns.log10() - least) / (most - least) * BAR;
    let bottom = ROW * costs.len() as f64;
    let mut body = String::new();
    let mut power = least;
    while power <= most {
        let x = LEFT + place(10_f64.powf(power));
        let _ = writeln!(
            body,
            r#"<path d="M{x:.1} -8V{bottom:.0}" stroke="var(--quiet)" stroke-width="0.5" stroke-dasharray="2 4"/>"#
        );
        let _ = writeln!(
            body,
            r#"<text class="quiet" x="{x:.1}" y="-12" text-anchor="middle">{}</text>"#,
            time(10_f64.powf(power))
        );
        power += 1.0;
    }
    for (index, cost) in costs.iter().enumerate() {
        let y = ROW * index as f64;
        let baseline = y + 17.0;
        let _ = writeln!(
            body,
            r#"<text x="{:.0}" y="{baseline:.0}" text-anchor="end">{}</text>"#,
            LEFT - 10.0,
            escaped(&cost.name)
        );
        let Some(ns) = cost.ns else {
            let note = escaped(&cut(&cost.note, 60));
            let _ = writeln!(body, r#"<text class="quiet" x="{LEFT}" y="{baseline:.0}">skipped: {note}</text>"#);
            continue;
        };
        let length = place(ns).max(1.0);
        let _ = writeln!(
            body,
            r#"<rect class="first" x="{LEFT}" y="{:.0}" width="{length:.1}" height="16" rx="2"/>"#,
            y + 4.0
        );
        let figure = format!("{} a {}", time(ns), cost.operation);
        let _ = writeln!(body, r#"<text x="{:.1}" y="{baseline:.0}">{}</text>"#, LEFT + length + 8.0, escaped(&figure));
    }
    body
}

/// For each step two bars: what is mapped, thin, and what is resident. What both had at the beginning is in both.
fn stairs(steps: &[Step]) -> String {
    let most = steps.iter().map(|step| step.mapped.max(step.resident)).max().unwrap_or(1).max(1) as f64;
    let mut body = String::new();
    let _ = writeln!(
        body,
        r#"<rect class="second" x="{LEFT}" y="-20" width="12" height="6"/><text class="quiet" x="{:.0}" y="-13">mapped (VIRT)</text>"#,
        LEFT + 17.0
    );
    let _ = writeln!(
        body,
        r#"<rect class="first" x="{:.0}" y="-23" width="12" height="12"/><text class="quiet" x="{:.0}" y="-13">resident (RES)</text>"#,
        LEFT + 110.0,
        LEFT + 127.0
    );
    for (index, step) in steps.iter().enumerate() {
        let y = ROW * index as f64;
        let baseline = y + 17.0;
        let label = escaped(&cut(&step.what, 46));
        let _ = writeln!(
            body,
            r#"<g><title>{}</title><text x="{:.0}" y="{baseline:.0}" text-anchor="end" font-size="11">{label}</text>"#,
            escaped(&format!("{}. {}", step.what, step.note)),
            LEFT - 10.0
        );
        let length = |bytes: u64| bytes as f64 / most * BAR;
        let _ = writeln!(
            body,
            r#"<rect class="first" x="{LEFT}" y="{:.0}" width="{:.1}" height="11"/>"#,
            y + 4.0,
            length(step.resident)
        );
        let _ = writeln!(
            body,
            r#"<rect class="second" x="{LEFT}" y="{:.0}" width="{:.1}" height="4"/>"#,
            y + 16.0,
            length(step.mapped)
        );
        let figure = format!("{} of {}", bytes(step.resident), bytes(step.mapped));
        let _ =
            writeln!(body, r#"<text class="quiet" x="{:.0}" y="{baseline:.0}">{figure}</text></g>"#, LEFT + BAR + 12.0);
    }
    body
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
