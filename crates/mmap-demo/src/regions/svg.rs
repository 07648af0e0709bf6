//! The address space as a picture.

use std::fmt::Write;

use super::{Region, RegionKind, RegionMap};
use crate::size::Size;

const WIDTH: f64 = 1000.0;
/// Where the strip of pages begins, and how wide it is.
const STRIP: (f64, f64) = (260.0, 400.0);
/// Parts of a strip.
const PARTS: usize = 100;
const TOP: f64 = 96.0;
const GAP: f64 = 16.0;

/// Each kind's colour, told apart also by those who see red and green alike (Okabe and Ito), and never by colour alone: names stand beside.
fn colour(kind: RegionKind) -> &'static str {
    match kind {
        RegionKind::Heap => "#e69f00",
        RegionKind::Stack => "#d55e00",
        RegionKind::Anonymous => "#0072b2",
        RegionKind::Code => "#cc79a7",
        RegionKind::File => "#009e73",
        RegionKind::SharedMemory => "#56b4e9",
        RegionKind::Device => "#b0a000",
        RegionKind::Reserved => "#8a8a8a",
        RegionKind::Kernel => "#5f5f9f",
    }
}

pub(super) fn svg(map: &RegionMap) -> String {
    let mut body = String::new();
    let mut y = TOP;
    let mut end: Option<u64> = None;
    for region in &map.regions {
        if let Some(gap) = end.and_then(|end| region.range.start.checked_sub(end)).filter(|&gap| gap >= 1 << 20) {
            let (left, right) = (STRIP.0, STRIP.0 + STRIP.1);
            let middle = y + GAP / 2.0;
            let _ = writeln!(body, r#"<path class="gap" d="M{left} {middle}H{right}"/>"#);
            let _ = writeln!(
                body,
                r#"<text class="quiet" x="{:.0}" y="{:.1}" text-anchor="middle">{} of nothing</text>"#,
                STRIP.0 + STRIP.1 / 2.0,
                middle + 4.0,
                Size(gap)
            );
            y += GAP;
        }
        end = Some(region.range.end);
        let height = height(region.size());
        rectangle(&mut body, region, y, height);
        y += height + 2.0;
    }
    // A line for each thing that is missing.
    let bottom = y + 24.0 + 12.0 * map.missing.len() as f64;
    let text = format!(
        "{} mapped in {} mappings, {} of it in memory",
        Size(map.size()),
        map.regions.len(),
        Size(map.resident())
    );
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:.0}" role="img" aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="12">
<title id="t">Address space of process {}</title>
<desc id="d">{text}</desc>
<style>
:root {{ --ink: #1a1a1a; --quiet: #666; --ground: #fff; --empty: #ececec; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #eee; --quiet: #a5a5a5; --ground: #16181c; --empty: #2b2e34; }} }}
text {{ fill: var(--ink); }} .quiet {{ fill: var(--quiet); font-size: 10px; }} .mono {{ font-family: ui-monospace, monospace; font-size: 11px; }}
.gap {{ stroke: var(--quiet); stroke-dasharray: 2 5; }} .empty {{ fill: var(--empty); }}
.gap + text {{ paint-order: stroke; stroke: var(--ground); stroke-width: 6px; }}
</style>
<rect width="{WIDTH}" height="{bottom:.0}" style="fill: var(--ground)"/>
<text x="16" y="28" font-size="17" font-weight="600">Address space of process {}</text>
<text x="16" y="48">{text}; heights grow with the logarithm of the size, filled is what is in memory</text>
"#,
        map.pid, map.pid
    );
    legend(&mut svg, map);
    svg.push_str(&body);
    for (index, missing) in map.missing.iter().enumerate() {
        let _ = writeln!(
            svg,
            r#"<text class="quiet" x="16" y="{:.0}">{}</text>"#,
            bottom - 8.0 - 12.0 * index as f64,
            escaped(missing)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// From a page to terabytes: 12 to 48 units.
fn height(size: u64) -> f64 {
    let doublings = (size.max(4096) as f64 / 4096.0).log2();
    (12.0 + doublings * 1.2).min(48.0)
}

fn legend(svg: &mut String, map: &RegionMap) {
    let mut x = 16.0;
    for kind in RegionKind::ALL.into_iter().filter(|kind| map.regions.iter().any(|region| region.kind == *kind)) {
        let name = kind.name();
        let _ = writeln!(svg, r#"<rect x="{x:.0}" y="64" width="12" height="12" rx="2" fill="{}"/>"#, colour(kind));
        let _ = writeln!(svg, r#"<text x="{:.0}" y="74">{}</text>"#, x + 17.0, escaped(name));
        x += 34.0 + 7.0 * name.len() as f64;
    }
}

fn rectangle(body: &mut String, region: &Region, y: f64, height: f64) {
    let (left, width) = STRIP;
    let part = width / PARTS as f64;
    let colour = colour(region.kind);
    let _ = writeln!(body, r"<g><title>{}</title>", escaped(&hint(region)));
    let _ =
        writeln!(body, r#"<rect class="empty" x="{left}" y="{y:.1}" width="{width}" height="{height:.1}" rx="2"/>"#);
    let _ =
        writeln!(body, r#"<rect x="{:.0}" y="{y:.1}" width="5" height="{height:.1}" fill="{colour}"/>"#, left - 8.0);
    // Neighbours that are equally full are one rectangle.
    let density = region.density(PARTS);
    let mut begin = 0;
    while begin < PARTS {
        let same = density[begin..].iter().take_while(|&&other| (other - density[begin]).abs() < 0.01).count();
        if density[begin] > 0.0 {
            let _ = writeln!(
                body,
                r#"<rect x="{:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}" fill="{colour}" opacity="{:.2}"/>"#,
                left + part * begin as f64,
                part * same as f64,
                0.25 + 0.75 * density[begin]
            );
        }
        begin += same;
    }
    let baseline = y + height / 2.0 + 4.0;
    let address = format!("{:012x}  {}", region.range.start, region.permissions);
    let _ = writeln!(body, r#"<text class="mono" x="16" y="{baseline:.1}">{address}</text>"#);
    let size = Size(region.size());
    let _ = writeln!(body, r#"<text x="{:.0}" y="{baseline:.1}" text-anchor="end">{size}</text>"#, left - 14.0);
    let resident = if region.resident == 0 { String::new() } else { format!("{} in memory", Size(region.resident)) };
    let name = shortened(region.label(), if resident.is_empty() { 40 } else { 24 });
    let label = if resident.is_empty() { name } else { format!("{name} · {resident}") };
    let _ = writeln!(body, r#"<text x="{:.0}" y="{baseline:.1}">{}</text></g>"#, left + width + 10.0, escaped(&label));
}

/// What a pointer that rests on it is told.
fn hint(region: &Region) -> String {
    format!(
        "{:x}-{:x} {} {}: {} mapped, {} resident, {} proportional, {} dirty, {} shared, {} swapped, {} huge",
        region.range.start,
        region.range.end,
        region.permissions,
        region.label(),
        Size(region.size()),
        Size(region.resident),
        Size(region.proportional),
        Size(region.dirty),
        Size(region.shared),
        Size(region.swapped),
        Size(region.huge)
    )
}

fn shortened(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(count - most + 1)).collect()
}

/// A file may be called anything.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            letter if letter.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a<b>&\u{1}"), "a&lt;b&gt;&amp;\u{fffd}");
    }
}
