//! Code objects in the trace: each once, with its names and lines.

use core::slice;
use core::sync::atomic::Ordering::Acquire;

use super::frames::text as characters_of;
use super::{FOUND, Layout, PythonFrame};
use crate::format::{PYTHON, PYTHON_ENTRY, PYTHON_FRAME, PYTHON_NOTHING};
use crate::process::Process;

const SLOTS: usize = 1 << 14;
/// Bytes of a code object in the trace: its texts are cut, and of its lines what finds room is kept.
const MOST_BYTES: usize = 64 << 10;
const MOST_TEXT: usize = 2048;

/// Code objects that are in the trace, by number. All zeros is one without.
#[repr(C)]
pub(crate) struct Codes {
    count: u32,
    /// Code, mark, number.
    slots: [(usize, usize, u32); SLOTS],
    bytes: [u8; MOST_BYTES],
}

impl Codes {
    /// A frame as the trace has it; code that is new is written into the trace before. Of the number 0 where there is too much of it.
    pub(crate) fn frame(&mut self, process: &Process, frame: PythonFrame) -> u64 {
        // SAFETY: a frame was found with it, so it was written.
        let found = unsafe { &*FOUND.load(Acquire) };
        let entry = if frame.is_entry { PYTHON_ENTRY } else { 0 };
        if frame.code == 0 {
            return PYTHON_FRAME | entry | PYTHON_NOTHING;
        }
        let mut place = frame.code.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let number = loop {
            let slot = &mut self.slots[place & (SLOTS - 1)];
            if (slot.0, slot.1) == (frame.code, frame.mark) {
                break slot.2;
            }
            if slot.0 == 0 {
                if self.count as usize >= SLOTS / 4 * 3 {
                    break 0;
                }
                self.count += 1;
                *slot = (frame.code, frame.mark, self.count);
                let length = self.write(&found.layout, frame.code);
                process.append(PYTHON, 0, self.count, &[0; 16], &[&self.bytes[..length]]);
                break self.count;
            }
            place += 1;
        };
        PYTHON_FRAME | entry | u64::from(number) << 32 | u64::from(frame.at)
    }

    /// The first line; then name, file and table of lines, each with its kind and its length in bytes before it. How many bytes that are.
    fn write(&mut self, layout: &Layout, code: usize) -> usize {
        let code = code as *const u8;
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            let room = &mut self.bytes[length..];
            let count = bytes.len().min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
            length += count;
        };
        // SAFETY: a frame of this thread holds on to the code, and that to its texts.
        unsafe {
            put(&code.add(layout.first_line).cast::<u32>().read().to_le_bytes());
            for at in [layout.name, layout.file] {
                let text = code.add(at).cast::<*const u8>().read();
                let (characters, bytes) = characters_of(layout, text);
                // Whole characters: sizes are 1, 2 or 4 bytes.
                let (size, bytes) = (text.add(32).cast::<u32>().read() >> 2 & 7, bytes.min(MOST_TEXT));
                put(&size.to_le_bytes());
                put(&(bytes as u32).to_le_bytes());
                put(slice::from_raw_parts(characters, bytes));
            }
            let lines = code.add(layout.lines).cast::<*const u8>().read();
            // `PyBytesObject`: how many after the head of an object, then the hash, then the bytes.
            let count = lines.add(16).cast::<usize>().read().min(MOST_BYTES / 2);
            put(&0_u32.to_le_bytes());
            put(&(count as u32).to_le_bytes());
            put(slice::from_raw_parts(lines.add(32), count));
        }
        length
    }
}
