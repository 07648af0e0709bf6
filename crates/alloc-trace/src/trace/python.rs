//! Python's frames: names and lines of code objects that the trace has.

use std::collections::HashMap;

use super::format::{PYTHON_ENTRY, PYTHON_FRAME, PYTHON_NOTHING};
use super::symbols::Frame;

/// What a trace knows of the Python that ran.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Python {
    /// Its version, as `sys.hexversion` has it, if the program was one; 1 for one before 3.11.
    pub version: Option<u32>,
    /// Whether its frames could be read.
    pub is_readable: bool,
    /// Whether objects from its arenas are among the blocks.
    pub has_objects: bool,
    codes: HashMap<u32, Code>,
}

#[derive(Debug)]
struct Code {
    name: String,
    file: String,
    /// From which byte of the bytecode on which line counts, in order.
    lines: Vec<(u32, u32)>,
}

/// Whether an address of a stack is a frame of Python's.
pub(super) fn is_frame(address: u64) -> bool {
    address & PYTHON_FRAME != 0
}

/// Whether it is the outermost that a call of the interpreter ran.
pub(super) fn is_entry(address: u64) -> bool {
    address & PYTHON_ENTRY != 0
}

/// Whether it is a call of the interpreter with no function to run.
pub(super) fn is_nothing(address: u64) -> bool {
    address & PYTHON_NOTHING == PYTHON_NOTHING
}

impl Python {
    /// Takes in a chunk of that number.
    pub(super) fn add(&mut self, number: u32, bytes: &[u8]) -> Result<(), &'static str> {
        let mut rest = bytes;
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count).ok_or("what Python's code is called is cut off")?;
            rest = after;
            Ok::<_, &'static str>(taken)
        };
        if number == 0 {
            self.version = Some(word(take(4)?));
            self.is_readable = take(1)? != [0];
            self.has_objects = take(1).is_ok_and(|noted| noted != [0]);
            return Ok(());
        }
        let first_line = word(take(4)?);
        let mut texts = [(); 2].map(|()| String::new());
        for text in &mut texts {
            let kind = word(take(4)?);
            let length = word(take(4)?) as usize;
            *text = characters(kind, take(length)?);
        }
        take(4)?;
        let length = word(take(4)?) as usize;
        let lines = lines(first_line, take(length)?);
        let [name, file] = texts;
        self.codes.insert(number, Code { name, file, lines });
        Ok(())
    }

    /// The function and line of a frame.
    pub(super) fn frame(&self, address: u64) -> Frame {
        let number = (address >> 32) as u32 & ((1 << 30) - 1);
        let Some(code) = self.codes.get(&number) else {
            return Frame { function: format!("Python's code {number}"), location: None, is_python: true };
        };
        // Before its first instruction a frame stands in front of the bytecode.
        let at = Some(address as u32).filter(|at| at.cast_signed() >= 0).unwrap_or(0);
        let place = code.lines.partition_point(|&(from, _)| from <= at);
        let line = code.lines.get(place.saturating_sub(1)).map_or(0, |&(_, line)| line);
        Frame { function: code.name.clone(), location: Some((code.file.clone(), line)), is_python: true }
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// A text of characters of one, two or four bytes.
fn characters(size: u32, bytes: &[u8]) -> String {
    let of = |chunk: &[u8]| char::from_u32(word(chunk)).unwrap_or(char::REPLACEMENT_CHARACTER);
    bytes.chunks_exact(size.clamp(1, 4) as usize).map(of).collect()
}

/// The table of lines of a code object (`CPython`, `Objects/locations.md`, of 3.11): for each run of instructions how many there are, how its place is
/// told, and by how much the line differs from the one before.
fn lines(first: u32, table: &[u8]) -> Vec<(u32, u32)> {
    const INSTRUCTION: u32 = 2;
    let mut found: Vec<(u32, u32)> = Vec::new();
    let (mut at, mut line) = (0_u32, i64::from(first));
    let mut bytes = table.iter().copied();
    while let Some(head) = bytes.next() {
        let (kind, count) = (head >> 3 & 15, u32::from(head & 7) + 1);
        // Six bits a byte, the lowest first.
        let mut number = || {
            let (mut number, mut shift) = (0_u64, 0);
            for byte in bytes.by_ref() {
                number |= u64::from(byte & 63).checked_shl(shift).unwrap_or(0);
                shift += 6;
                if byte & 64 == 0 {
                    break;
                }
            }
            number
        };
        // The sign is the lowest bit.
        let signed = |number: u64| (number >> 1).cast_signed() * if number & 1 != 0 { -1 } else { 1 };
        match kind {
            // Columns of one byte, on the same line.
            0..=9 => drop(bytes.next()),
            10..=12 => {
                line = line.wrapping_add(i64::from(kind) - 10);
                bytes.nth(1);
            }
            13 => line = line.wrapping_add(signed(number())),
            14 => {
                line = line.wrapping_add(signed(number()));
                (0..3).for_each(|_| _ = number());
            }
            // Nowhere.
            _ => {}
        }
        // What is nowhere is where the one before was.
        let here = u32::try_from(line).unwrap_or(0);
        if found.last().is_none_or(|&(_, last)| last != here) {
            found.push((at, here));
        }
        at = at.saturating_add(count * INSTRUCTION);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_in_five_ways() {
        // Two instructions in the same line, one in the next, three by a number down and up again, one nowhere, one far on.
        let table = [
            0x80 | 1,
            7,
            0x80 | 11 << 3,
            1,
            2,
            0x80 | 13 << 3 | 2,
            3,
            0x80 | 15 << 3,
            0x80 | 14 << 3,
            0x40 | 8,
            1,
            0,
            1,
            1,
        ];
        assert_eq!(lines(10, &table), [(0, 10), (4, 11), (6, 10), (14, 14 + 32)]);
        assert_eq!(lines(10, &[]), []);
        lines(10, &[0xff; 9]);
        lines(10, &[0x80 | 13 << 3, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x3f].repeat(3));
    }

    #[test]
    fn code_is_found_by_its_number_and_damage_is_none() {
        let mut python = Python::default();
        let mut bytes = 10_u32.to_le_bytes().to_vec();
        for (size, text) in [(1_u32, &b"f\xe9"[..]), (2, &[0x61, 0, 0xac, 0x20])] {
            bytes.extend(size.to_le_bytes());
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text);
        }
        bytes.extend([0, 0, 0, 0, 2, 0, 0, 0, 0x80, 7]);
        python.add(5, &bytes).unwrap();
        let frame = python.frame(PYTHON_FRAME | PYTHON_ENTRY | 5 << 32);
        assert_eq!(
            frame,
            Frame { function: "f\u{e9}".to_owned(), location: Some(("a\u{20ac}".to_owned(), 10)), is_python: true }
        );
        assert_eq!(python.frame(PYTHON_FRAME | 5 << 32 | 0xffff_fffe).location.unwrap().1, 10);
        assert_eq!(python.frame(PYTHON_FRAME | 6 << 32).location, None);
        for length in 0..bytes.len() {
            assert!(python.add(7, &bytes[..length]).is_err());
        }
    }
}
