//! Pictures of outcomes: bars of costs, steps of memory.

use std::fmt::Write;

use super::outcome::{Cost, Findings, Judged, Outcome, Step, bytes, time};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 300.0;
const ROW: f64 = 26.0;
/// A step has two lines, and its bars beside them.
const STEP: f64 = 38.0;
const BESIDE: f64 = 450.0;
/// What fits into the room beside the bars, in each of the two lines.
const LETTERS: [usize; 2] = [64, 70];
/// What is left for bars, and beside them for figures.
const BAR: f64 = WIDTH - LEFT - 190.0;

pub(super) fn svg(outcome: &Outcome) -> String {
    let (body, rows) = match &outcome.result {
        Findings::Costs(costs) => (bars(costs), ROW * costs.len() as f64),
        Findings::Steps(steps) => (stairs(steps), STEP * steps.len() as f64),
    };
    let top = 92.0;
    let begin = top + rows + 30.0;
    let (verdicts, height) = judged(outcome, begin);
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
    svg.push_str(&verdicts);
    svg.push_str("</svg>\n");
    svg
}

/// The verdicts from `begin` on, and where they end.
fn judged(outcome: &Outcome, begin: f64) -> (String, f64) {
    let mut svg = String::new();
    let mut y = begin;
    for verdict in &outcome.verdicts {
        let mark = match verdict.judged {
            Judged::True => "✔ true:",
            Judged::False => "✘ false:",
            Judged::Depends => "~ depends:",
            Judged::Open => "? open:",
            Judged::Skipped => "- skipped:",
        };
        let _ = writeln!(svg, r#"<text x="16" y="{y:.0}">{mark} {}</text>"#, escaped(&verdict.claim));
        for line in lines(&verdict.why, 150) {
            y += 16.0;
            let _ = writeln!(svg, r#"<text class="quiet" x="32" y="{y:.0}">{}</text>"#, escaped(&line));
        }
        y += 24.0;
    }
    (svg, y)
}

/// A text in lines of at most so many letters, as long as no word is longer.
fn lines(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Costs differ by orders of magnitude: the axis is logarithmic, a line each factor of ten.
fn bars(costs: &[Cost]) -> String {
    let known = || costs.iter().filter_map(|cost| cost.ns);
    // A bar that ends where the axis begins would look like none.
    let least = (known().fold(f64::INFINITY, f64::min) / 1.5).log10().floor();
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
            let note = escaped(&cut(&cost.note, 100));
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

/// For each step two bars: what is resident, and, thin, what is mapped. What the process had at the beginning is in both.
fn stairs(steps: &[Step]) -> String {
    let most = steps.iter().map(|step| step.mapped.max(step.resident)).max().unwrap_or(1).max(1) as f64;
    let mut body = String::new();
    let _ = writeln!(
        body,
        r#"<rect class="second" x="{BESIDE}" y="-20" width="12" height="6"/><text class="quiet" x="{:.0}" y="-13">mapped (VIRT)</text>"#,
        BESIDE + 17.0
    );
    let _ = writeln!(
        body,
        r#"<rect class="first" x="{:.0}" y="-23" width="12" height="12"/><text class="quiet" x="{:.0}" y="-13">resident (RES)</text>"#,
        BESIDE + 110.0,
        BESIDE + 127.0
    );
    let bar = WIDTH - BESIDE - 150.0;
    for (index, step) in steps.iter().enumerate() {
        let y = STEP * index as f64;
        let line = |class: &str, y: f64, text: &str, most: usize| {
            format!(r#"<text class="{class}" x="16" y="{y:.0}" font-size="12">{}</text>"#, escaped(&cut(text, most)))
        };
        let whole = escaped(&format!("{}. {}", step.what, step.note));
        let (what, note) =
            (line("", y + 12.0, &step.what, LETTERS[0]), line("quiet", y + 25.0, &step.note, LETTERS[1]));
        let _ = writeln!(body, "<g><title>{whole}</title>{what}{note}");
        let length = |bytes: u64| bytes as f64 / most * bar;
        let _ = writeln!(
            body,
            r#"<rect class="first" x="{BESIDE}" y="{:.0}" width="{:.1}" height="12"/>"#,
            y + 2.0,
            length(step.resident)
        );
        let _ = writeln!(
            body,
            r#"<rect class="second" x="{BESIDE}" y="{:.0}" width="{:.1}" height="5"/>"#,
            y + 15.0,
            length(step.mapped)
        );
        let figure = format!("{} of {}", bytes(step.resident), bytes(step.mapped));
        let _ = writeln!(
            body,
            r#"<text class="quiet" x="{:.0}" y="{:.0}">{figure}</text></g>"#,
            BESIDE + bar + 12.0,
            y + 13.0
        );
    }
    body
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_and_none_is_lost() {
        let text = "true once: the smallest request that is mapped, äöü, is that of 131056 bytes";
        for most in 12..90 {
            let lines = lines(text, most);
            assert_eq!(lines.join(" "), text);
            assert!(lines.iter().all(|line| line.chars().count() <= most), "{most}: {lines:?}");
        }
        assert!(lines("", 10).is_empty());
    }
}
