//! Where code is: the executable mappings, from `/proc/self/maps`.
//!
//! The list is read when a new stack has an address that is in none of the known mappings, without asking the loader, whose lock another
//! thread may hold. `dlclose` begins a new generation: what comes to lie at the same addresses afterwards is something else.

use crate::format::{MODULES, checksum};
use crate::process::Process;
use crate::rules;
use crate::stack::Bounds;
use crate::system::File;

/// Mappings that are remembered. Programs have dozens, a few have hundreds.
const MOST: usize = 4096;
/// Bytes of text in one chunk.
const TEXT: usize = 256 << 10;
/// Pages without code, in which addresses were found: garbage from stacks without frame pointers.
const NO_CODE: usize = 256;

/// All zeros is one that knows nothing.
#[repr(C)]
pub(crate) struct Modules {
    generation: u64,
    count: usize,
    ranges: [Bounds; MOST],
    /// Where the file begins of which each is a part; 0 if that is not mapped.
    headers: [usize; MOST],
    no_code: [usize; NO_CODE],
    /// Of the mappings read last, and of those that the trace has.
    sum: u64,
    written: u64,
    buffer: [u8; BUFFER],
    length: usize,
    text: [u8; TEXT],
}

const BUFFER: usize = 16 << 10;

impl Modules {
    /// Whether code is mapped at an address, which may mean to read the list again and to write it into the trace.
    pub(crate) fn code_at(&mut self, process: &Process, address: usize) -> bool {
        self.find(process, address).is_some()
    }

    /// Where the file is mapped from whose code is at an address, if that is known.
    pub(crate) fn header_of(&mut self, process: &Process, address: usize) -> Option<usize> {
        let place = self.find(process, address)?;
        Some(self.headers[place]).filter(|&header| header != 0)
    }

    /// Which range an address is in.
    fn find(&mut self, process: &Process, address: usize) -> Option<usize> {
        let page = address >> 12;
        let no_code = page.wrapping_mul(0x9e37_79b1) >> 7 & (NO_CODE - 1);
        let mut known = self.known(address);
        if known.is_none() && self.no_code[no_code] != page {
            self.read(Some(process));
            known = self.known(address);
            if known.is_none() {
                self.no_code[no_code] = page;
            }
        }
        known
    }

    /// After a library may have been unloaded: the new generation, if this is one.
    pub(crate) fn unloaded(&mut self) -> Option<u64> {
        let before = self.sum;
        self.read(None);
        let changed = self.sum != before;
        if changed {
            // What is known from now on is written when it is needed.
            self.generation += 1;
            self.count = 0;
            self.no_code.fill(0);
            rules::forget();
        }
        changed.then_some(self.generation)
    }

    fn known(&self, address: usize) -> Option<usize> {
        let ranges = &self.ranges[..self.count.min(MOST)];
        let place = ranges.partition_point(|range| range.high <= address);
        ranges.get(place).is_some_and(|range| range.low <= address).then_some(place)
    }

    /// Reads the list, and appends it to the trace if that is given.
    fn read(&mut self, process: Option<&Process>) {
        let Self { count, ranges, headers, sum, written, buffer, length, text, generation, .. } = self;
        (*count, *sum) = (0, 0);
        *length = decimal(*generation, text);
        // Where the file of the lines that come begins, and its name.
        let (mut header, mut header_of) = (0, 0);
        each_mapping(buffer, |line, range, permissions| {
            let (is_first, file) = part_of(line);
            if is_first && permissions.first() == Some(&b'r') {
                (header, header_of) = (range.low, file);
            }
            if permissions.get(2) != Some(&b'x') {
                return;
            }
            *sum = checksum(*sum, line);
            if let Some(slot) = ranges.get_mut(*count) {
                *slot = range;
                headers[*count] = if file == header_of { header } else { 0 };
                *count += 1;
            }
            if let Some(place) = text.get_mut(*length..*length + line.len() + 1) {
                place[..line.len()].copy_from_slice(line);
                place[line.len()] = b'\n';
                *length += line.len() + 1;
            }
        });
        // Addresses that are nowhere, of which there may be many, change nothing.
        if let Some(process) = process
            && (*sum ^ *generation) != *written
        {
            *written = *sum ^ *generation;
            process.append(MODULES, 0, 0, &[0; 16], &[&text[..*length]]);
        }
    }
}

/// Whether a line is of the first bytes of a file, and a number that stands for the file: of its device, its own number and its name.
fn part_of(line: &[u8]) -> (bool, u64) {
    // After the addresses and the permissions.
    let after = |line: &[u8]| line.iter().position(|&byte| byte == b' ').map_or(line.len(), |at| at + 1);
    let line = &line[after(line)..];
    let offset = &line[after(line)..];
    let file = &offset[after(offset)..];
    // Memory that is no file's has the number 0, but for the kernel's own code.
    let number = &file[after(file)..];
    let is_file = !number.starts_with(b"0 ") || line.ends_with(b"[vdso]");
    (is_file && offset.starts_with(b"00000000 "), checksum(0, file))
}

/// A number and a line's end; how many bytes that are.
fn decimal(number: u64, to: &mut [u8]) -> usize {
    let digits = if number == 0 { 1 } else { number.ilog10() as usize + 1 };
    let mut rest = number;
    for place in to[..digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    to[digits] = b'\n';
    digits + 1
}

/// How far above a frame a stack is believed to go, if nothing is known of its end.
const SOME_STACK: usize = 256 << 10;

/// Below the end of the first thread's stack the kernel maps nothing that it finds a place for (Linux's `arch/x86/mm/mmap.c`, the smallest gap).
const LEFT_FREE: usize = 128 << 20;

/// The stack that an address on it is part of; empty if it isn't mapped. `thread` is the address of the thread's control block.
///
/// The first thread's grows downwards as it is used: it is taken for as long as it may become.
///
/// What is mapped around it may be more than the stack: the kernel shows neighbours of one kind as one, and these may go while the stack
/// stays. The C library puts a thread's control block at the end of its stack, and a page that can't be read before its begin; the first thread's stack is a
/// mapping of its own.
pub(crate) fn stack_of(address: usize, thread: usize, buffer: &mut [u8]) -> Bounds {
    let (mut found, mut below) = (Bounds::default(), 0);
    each_mapping(buffer, |line, range, _| {
        if range.low <= address && address < range.high {
            found = range;
            if (address..range.high).contains(&thread) {
                found.high = thread;
            } else if line.ends_with(b"[stack]") {
                found.low = range.low.min(below.max(range.high.saturating_sub(LEFT_FREE)));
            } else {
                (found.high, found.may_go) = (range.high.min(address + SOME_STACK), true);
            }
        }
        below = range.high;
    });
    found
}

/// Calls `visit` with each line of `/proc/self/maps`, its addresses and its permissions. Lines longer than `buffer` are left out.
fn each_mapping(buffer: &mut [u8], mut visit: impl FnMut(&[u8], Bounds, &[u8])) {
    let Ok(file) = File::open(c"/proc/self/maps", libc::O_RDONLY) else { return };
    let mut filled = 0;
    loop {
        let read = file.read(&mut buffer[filled..]);
        if read == 0 {
            break;
        }
        filled += read;
        let mut begin = 0;
        while let Some(end) = buffer[begin..filled].iter().position(|&byte| byte == b'\n') {
            let line = &buffer[begin..begin + end];
            if let Some((range, permissions)) = addresses(line) {
                visit(line, range, permissions);
            }
            begin += end + 1;
        }
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
        if filled == buffer.len() {
            filled = 0;
        }
    }
    file.close();
}

/// What a line begins with: `7f00-7f10 r-xp ...`.
fn addresses(line: &[u8]) -> Option<(Bounds, &[u8])> {
    let mut rest = line;
    let mut number = |end: u8| {
        let length = rest.iter().position(|&byte| byte == end)?;
        let (digits, after) = rest.split_at(length);
        rest = &after[1..];
        digits.iter().try_fold(0_usize, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)? as usize))
    };
    let range = Bounds { low: number(b'-')?, high: number(b' ')?, may_go: false };
    Some((range, rest.get(..4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let line = b"7f46e9683000-7f46e97e0000 r-xp 00028000 fd:00 1234     /usr/lib/a b.so";
        assert_eq!(
            addresses(line),
            Some((Bounds { low: 0x7f46_e968_3000, high: 0x7f46_e97e_0000, may_go: false }, &b"r-xp"[..]))
        );
        assert_eq!(addresses(b"7f46e9683000 r-xp"), None);
        assert_eq!(addresses(b""), None);
    }

    #[test]
    fn lines_of_one_file_belong_together() {
        let first = part_of(b"7f46e9600000-7f46e9683000 r--p 00000000 fd:00 1234     /usr/lib/a b.so");
        let code = part_of(b"7f46e9683000-7f46e97e0000 r-xp 00028000 fd:00 1234     /usr/lib/a b.so");
        let other = part_of(b"7f46e9683000-7f46e97e0000 r-xp 00000000 fd:00 1235     /usr/lib/a b.so");
        assert_eq!((first.0, code.0, other.0), (true, false, true));
        assert!(first.1 == code.1 && first.1 != other.1);
        part_of(b"");
    }

    #[test]
    fn this_stack_is_found_with_a_small_buffer() {
        let here = 0_u8;
        let address = (&raw const here).addr();
        let bounds = stack_of(address, 0, &mut [0; 512]);
        assert!(bounds.low <= address && address < bounds.high, "{bounds:?}");
        assert!(bounds.high - address <= SOME_STACK, "{bounds:?}");
        assert_eq!(
            stack_of(address, address + 64, &mut [0; 512]),
            Bounds { low: bounds.low, high: address + 64, may_go: false }
        );
        assert_eq!(stack_of(8, 0, &mut [0; 512]), Bounds::default());
    }

    #[test]
    fn numbers_are_written() {
        for (number, text) in [(0, "0\n"), (7, "7\n"), (1234, "1234\n")] {
            let mut bytes = [0; 20];
            let length = decimal(number, &mut bytes);
            assert_eq!(&bytes[..length], text.as_bytes());
        }
    }
}
