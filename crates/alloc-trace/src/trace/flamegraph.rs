//! Stacks as a picture: a flame graph (Gregg, The Flame Graph, 2016), the outermost functions below. One SVG file with all that belongs to it;
//! a click on a function shows it as the whole, and a click on the lowest bar all again.

use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;
const TOP: f64 = 64.0;
/// Narrower bars are left out: they could not be seen.
const NARROWEST: f64 = 0.15;

/// A function, and what it called.
#[derive(Default)]
struct Node {
    weight: u64,
    called: BTreeMap<String, Node>,
}

impl Node {
    fn depth(&self, scale: f64) -> usize {
        let visible = self.called.values().filter(|node| node.weight as f64 * scale >= NARROWEST);
        1 + visible.map(|node| node.depth(scale)).max().unwrap_or(0)
    }
}

/// Draws stacks, the outermost function first, with their weights; `unit` says of what.
pub fn flamegraph(stacks: &BTreeMap<Vec<String>, u64>, title: &str, unit: &str) -> String {
    let mut root = Node::default();
    for (stack, &weight) in stacks {
        root.weight = root.weight.saturating_add(weight);
        let mut node = &mut root;
        for name in stack {
            node = node.called.entry(name.clone()).or_default();
            node.weight = node.weight.saturating_add(weight);
        }
    }
    let scale = WIDTH / root.weight.max(1) as f64;
    let height = TOP + root.depth(scale) as f64 * ROW + 12.0;
    let title = escaped(title);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="t" font-family="ui-monospace, monospace" font-size="11">
<title id="t">{title}</title>
<style>
:root {{ --ink: #1a1a1a; --quiet: #666; --ground: #fff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #eee; --quiet: #a5a5a5; --ground: #16181c; }} }}
.head {{ fill: var(--ink); font: 600 16px system-ui, sans-serif; }} .quiet {{ fill: var(--quiet); font: 12px system-ui, sans-serif; }}
g.f {{ cursor: pointer; }} g.f:hover rect {{ stroke: var(--ink); }} g.f text {{ fill: #1a1a1a; pointer-events: none; }}
</style>
<rect width="100%" height="100%" style="fill: var(--ground)"/>
<text class="head" x="8" y="24">{title}</text>
<text class="quiet" x="8" y="44" id="detail">{} {unit} in all; widths are shares of it; click a function to see it as the whole</text>
"#,
        root.weight
    );
    let mut picture = Picture { svg: &mut svg, whole: root.weight, scale, bottom: height - 12.0 - ROW, unit };
    picture.draw("all", &root, 0.0, 0);
    svg.push_str(SCRIPT);
    svg.push_str("</svg>\n");
    svg
}

struct Picture<'a> {
    svg: &'a mut String,
    whole: u64,
    scale: f64,
    bottom: f64,
    unit: &'a str,
}

impl Picture<'_> {
    fn draw(&mut self, name: &str, node: &Node, x: f64, level: usize) {
        let width = node.weight as f64 * self.scale;
        if width < NARROWEST {
            return;
        }
        let y = self.bottom - level as f64 * ROW;
        let share = 100.0 * node.weight as f64 / self.whole.max(1) as f64;
        let full = escaped(name);
        let _ = write!(
            self.svg,
            r#"<g class="f"><title>{full}: {} {}, {share:.2} %</title><rect x="{x:.2}" y="{y:.1}" width="{width:.2}" height="{:.1}" rx="1.5" fill="{}"/><text x="{:.2}" y="{:.1}" data-n="{full}">{}</text></g>"#,
            node.weight,
            self.unit,
            ROW - 1.0,
            colour(name),
            x + 3.0,
            y + 12.0,
            escaped(&fitting(name, width)),
        );
        self.svg.push('\n');
        let mut from = x;
        for (name, called) in &node.called {
            self.draw(name, called, from, level + 1);
            from += called.weight as f64 * self.scale;
        }
    }
}

/// As much of a name as a bar has room for.
fn fitting(name: &str, width: f64) -> String {
    let room = ((width - 6.0) / 6.7).max(0.0) as usize;
    if name.chars().count() <= room {
        return name.to_owned();
    }
    if room < 3 { String::new() } else { name.chars().take(room - 1).chain(['…']).collect() }
}

/// Always the same for a name; warm, and light enough for dark letters.
fn colour(name: &str) -> String {
    let hash = name.bytes().fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    format!("hsl({} {}% {}%)", 18 + hash % 36, 72 + (hash >> 8) % 20, 62 + (hash >> 16) % 12)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // Characters that XML has no place for.
            '\0'..='\u{1f}' => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

const SCRIPT: &str = r#"<script><![CDATA[
const bars = [...document.querySelectorAll("g.f")].map(g => {
  const [r, t] = [g.querySelector("rect"), g.querySelector("text")];
  return { g, r, t, x: +r.getAttribute("x"), w: +r.getAttribute("width"), y: +r.getAttribute("y") };
});
const WIDTH = 1200, detail = document.getElementById("detail"), before = detail.textContent;
function show(at) {
  const zoom = WIDTH / at.w;
  for (const b of bars) {
    const below = b.y >= at.y && b.x <= at.x + 0.01 && b.x + b.w >= at.x + at.w - 0.01;
    const above = b.y < at.y && b.x >= at.x - 0.01 && b.x + b.w <= at.x + at.w + 0.01;
    b.g.style.display = below || above ? "" : "none";
    const x = below ? 0 : (b.x - at.x) * zoom, w = below ? WIDTH : b.w * zoom;
    b.r.setAttribute("x", x); b.r.setAttribute("width", w); b.t.setAttribute("x", x + 3);
    const name = b.t.dataset.n, room = Math.floor((w - 6) / 6.7);
    b.t.textContent = name.length <= room ? name : room < 3 ? "" : name.slice(0, room - 1) + "…";
  }
}
for (const b of bars) {
  b.g.addEventListener("click", () => show(b));
  b.g.addEventListener("mouseover", () => { detail.textContent = b.g.querySelector("title").textContent; });
  b.g.addEventListener("mouseout", () => { detail.textContent = before; });
}
]]></script>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks(all: &[(&[&str], u64)]) -> BTreeMap<Vec<String>, u64> {
        all.iter().map(|(stack, weight)| (stack.iter().map(|&name| name.to_owned()).collect(), *weight)).collect()
    }

    #[test]
    fn widths_are_shares_and_names_are_safe() {
        let svg = flamegraph(&stacks(&[(&["main", "a<b>"], 30), (&["main", "c"], 10)]), "T & U", "bytes");
        assert!(svg.contains("a&lt;b&gt;: 30 bytes, 75.00 %") && svg.contains("main: 40 bytes, 100.00 %"), "{svg}");
        assert!(svg.contains(r#"width="900.00""#) && svg.contains("T &amp; U"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(flamegraph(&BTreeMap::new(), "nothing", "bytes").contains("0 bytes in all"));
    }
}
