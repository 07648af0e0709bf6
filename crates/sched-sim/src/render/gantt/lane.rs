//! One lane of the picture: boxes where there is room for them, and what is too short for a box in columns of one pixel.
//!
//! A column shows who had how much of it: its height is the part of the time in which the lane was busy, cut by task. So a lane of a
//! million short runs takes as much room in the file as one of a thousand, and nothing is made wider than it was.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::axis::Axis;
use super::colours::Colours;
use super::escape;

/// A stretch of time that a task had what the lane is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) start: f64,
    pub(super) length: f64,
    pub(super) task: u32,
    pub(super) level: Option<u32>,
}

/// Narrower pieces go into columns.
const BOX: f64 = 0.7;
/// Colours of a column; what others had is drawn as the last one's.
const SHARES: usize = 4;
/// What a letter takes at the size of labels in boxes.
const LETTER: f64 = 6.4;

/// Draws a lane's pieces between `y` and `y + height`. Are there columns among them?
pub(super) fn draw(
    svg: &mut String,
    pieces: &[Piece],
    axis: &Axis,
    colours: &Colours,
    (y, height): (f64, f64),
) -> Result<bool, std::fmt::Error> {
    let mut columns: Vec<BTreeMap<u32, f64>> = vec![BTreeMap::new(); axis.width as usize];
    for piece in pieces.iter().filter(|piece| piece.start < axis.to && piece.start + piece.length > axis.from) {
        let (left, right) = (axis.x(piece.start), axis.x(piece.start + piece.length));
        if right - left < BOX {
            share_out(&mut columns, left - axis.left, right - axis.left, colours.column_key(piece.task));
        } else {
            draw_box(svg, piece, (left, right), axis, colours, (y, height))?;
        }
    }
    draw_columns(svg, &columns, axis, colours, (y, height))?;
    Ok(columns.iter().any(|column| !column.is_empty()))
}

fn draw_box(
    svg: &mut String,
    piece: &Piece,
    (left, right): (f64, f64),
    axis: &Axis,
    colours: &Colours,
    (y, height): (f64, f64),
) -> std::fmt::Result {
    let (width, name) = (right - left, colours.name(piece.task));
    let is_wide = width > 4.0;
    let key = if is_wide { colours.key(piece.task) } else { colours.column_key(piece.task) };
    let fill = colours.fill(key);
    // A thin edge tells neighbours of one colour apart.
    let edge = if is_wide { r#" stroke="white" stroke-width="0.6""# } else { "" };
    write!(svg, r#"<rect x="{left:.2}" y="{y}" width="{width:.2}" height="{height}" fill="{fill}"{edge}"#)?;
    if !is_wide {
        // Nobody points at so little: half of a large picture would be words that are never read.
        return writeln!(svg, "/>");
    }
    svg.push('>');
    let level = piece.level.map_or_else(String::new, |level| format!(", level {level}"));
    let (start, length) = (axis.read(piece.start), axis.read(piece.length));
    writeln!(svg, "<title>{} from {start} for {length} {}{level}</title></rect>", escape(name), axis.unit)?;
    if height > 14.0 && width > LETTER * name.chars().count() as f64 + 4.0 {
        let (middle, base) = (f64::midpoint(left, right), y + height / 2.0 + 4.0);
        writeln!(
            svg,
            r#"<text x="{middle:.1}" y="{base}" text-anchor="middle" font-size="11">{}</text>"#,
            escape(name)
        )?;
    }
    Ok(())
}

/// Adds a short piece to the columns it lies in, in pixels.
fn share_out(columns: &mut [BTreeMap<u32, f64>], left: f64, right: f64, key: u32) {
    for column in left as usize..=right as usize {
        let part = right.min(column as f64 + 1.0) - left.max(column as f64);
        if let Some(shares) = columns.get_mut(column).filter(|_| part > 0.0) {
            *shares.entry(key).or_default() += part;
        }
    }
}

/// One path for each colour: a fifth of the size of a rectangle for each column.
fn draw_columns(
    svg: &mut String,
    columns: &[BTreeMap<u32, f64>],
    axis: &Axis,
    colours: &Colours,
    (y, height): (f64, f64),
) -> std::fmt::Result {
    let mut paths: BTreeMap<u32, String> = BTreeMap::new();
    for (column, shares) in columns.iter().enumerate().filter(|(_, shares)| !shares.is_empty()) {
        let mut largest: Vec<(u32, f64)> = shares.iter().map(|(key, share)| (*key, *share)).collect();
        largest.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let rest: f64 = largest.iter().skip(SHARES).map(|(_, share)| share).sum();
        largest.truncate(SHARES);
        if let Some(last) = largest.last_mut() {
            last.1 += rest;
        }
        // Each has its place in the stack, so that colours make bands.
        largest.sort_by_key(|(key, _)| *key);
        let mut bottom = y + height;
        for (key, share) in largest {
            let tall = (height * share).min(bottom - y);
            let path = paths.entry(key).or_default();
            write!(path, "M{} {bottom:.1}v-{tall:.1}h1v{tall:.1}z", axis.left + column as f64)?;
            bottom -= tall;
        }
    }
    for (key, path) in paths {
        writeln!(svg, r#"<path fill="{}" d="{path}"/>"#, colours.fill(key))?;
    }
    Ok(())
}
