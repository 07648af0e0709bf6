//! The address space as lines of text.

use std::fmt::Write;

use super::{Region, RegionMap};
use crate::size::Size;

/// What a line takes beside the strip of pages and the name.
const FIXED: usize = 71;
/// The least that is left for a name.
const NAME: usize = 14;

/// One line a region, the lowest address first, with what lies between them said in words.
pub(super) fn picture(map: &RegionMap, columns: usize) -> String {
    let strip = columns.saturating_sub(FIXED + NAME).clamp(8, 40);
    let name = columns.saturating_sub(FIXED + strip).max(NAME);
    let mut text = format!(
        "{:<12} {:>9} {:<4} {:<strip$} {:>9} {:>9} {:>9} {:>8} name\n",
        "address", "size", "may", "pages in memory", "resident", "share", "dirty", "swapped"
    );
    let mut end: Option<u64> = None;
    for region in &map.regions {
        if let Some(gap) = end.and_then(|end| region.range.start.checked_sub(end)).filter(|&gap| gap >= 1 << 30) {
            let _ = writeln!(text, "{:>12} {:>9}", "·", Size(gap).to_string());
        }
        end = Some(region.range.end);
        line(&mut text, region, strip, name);
    }
    let total = |figure: fn(&Region) -> u64| Size(map.regions.iter().map(figure).sum()).to_string();
    let _ = writeln!(
        text,
        "{:<12} {:>9} {:<4} {:<strip$} {:>9} {:>9} {:>9} {:>8} {} mappings",
        "all",
        Size(map.size()).to_string(),
        "",
        "",
        total(|region| region.resident),
        total(|region| region.proportional),
        total(|region| region.dirty),
        total(|region| region.swapped),
        map.regions.len()
    );
    for missing in &map.missing {
        let _ = writeln!(text, "missing: {missing}");
    }
    text
}

fn line(text: &mut String, region: &Region, strip: usize, width: usize) {
    let pages: String = region.density(strip).into_iter().map(shade).collect();
    // Nothing is printed as nothing: what is there stands out.
    let size = |bytes: u64| if bytes == 0 { String::new() } else { Size(bytes).to_string() };
    let mut name = region.printable();
    let count = name.chars().count();
    if count > width {
        // A path's end tells more than its beginning.
        name = std::iter::once('…').chain(name.chars().skip(count - width + 1)).collect();
    }
    let written = format!(
        "{:012x} {:>9} {} {pages} {:>9} {:>9} {:>9} {:>8} {name}",
        region.range.start,
        Size(region.size()).to_string(),
        region.permissions,
        size(region.resident),
        size(region.proportional),
        size(region.dirty),
        size(region.swapped),
    );
    let _ = writeln!(text, "{}", written.trim_end());
}

/// How full a part is, in five steps; what is there at all shows.
fn shade(density: f64) -> char {
    match density {
        0.0 => '·',
        d if d <= 0.25 => '░',
        d if d <= 0.5 => '▒',
        d if d < 1.0 => '▓',
        _ => '█',
    }
}
