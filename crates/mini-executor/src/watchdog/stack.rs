//! Makes functions and lines of a copied stack.
//!
//! Optimized code keeps no chain of frames: how a function's caller is found stands in the program's unwind tables, the ones that
//! panics use. framehop follows them through the copy; the `backtrace` crate reads symbols and line tables. Both happen on the
//! watchdog's thread and may allocate. The tables are read from the files that the program was loaded from, anew for each
//! report: libraries come and go, and hangs are rare.

use std::fs::File;
use std::ops::Range;
use std::ptr::without_provenance_mut;

use framehop::{
    CacheNative, FrameAddress, MayAllocateDuringUnwind, Module, ModuleSectionInfo, UnwindRegsNative, Unwinder,
    UnwinderNative,
};
use object::elf::PF_X;
use object::read::ReadCache;
use object::{Object, ObjectSection, ObjectSegment, SegmentFlags};

use super::signal::Captured;

/// Frames at most: a recursion without end fills the copy with them.
const MOST_FRAMES: usize = 128;

/// The functions on a stack, the innermost first, up to the executor's own.
pub(crate) fn frames(captured: &Captured) -> Vec<String> {
    let mut unwinder = UnwinderNative::<Vec<u8>, MayAllocateDuringUnwind>::new();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for module in maps.lines().filter_map(Mapping::parse).filter_map(Mapping::module) {
        unwinder.add_module(module);
    }
    let registers = &captured.registers;
    let mut read_stack = |address: u64| {
        let offset = address.checked_sub(registers.stack).filter(|offset| offset.is_multiple_of(8)).ok_or(())?;
        captured.stack.get((offset / 8) as usize).copied().ok_or(())
    };
    let mut cache = CacheNative::<MayAllocateDuringUnwind>::new();
    #[cfg(target_arch = "x86_64")]
    let native = UnwindRegsNative::new(registers.instruction, registers.stack, registers.frame);
    #[cfg(target_arch = "aarch64")]
    let native = UnwindRegsNative::new(registers.link, registers.stack, registers.frame);
    let mut found = unwinder.iter_frames(registers.instruction, native, &mut cache, &mut read_stack);
    let mut frames = Vec::new();
    // An error is an end like any other: of the copy, or of what the tables know.
    while frames.len() < MOST_FRAMES
        && let Ok(Some(address)) = found.next()
        && resolve(address, &mut frames)
    {}
    frames
}

/// Adds what lies at an address, functions inlined there included; `false` if that is the executor.
fn resolve(address: FrameAddress, frames: &mut Vec<String>) -> bool {
    let known = frames.len();
    let mut is_executor = false;
    // `backtrace` takes one off, for it thinks of every address as returned to.
    backtrace::resolve(without_provenance_mut(address.address_for_lookup() as usize + 1), |symbol| {
        let function = symbol.name().map(|name| format!("{name:#}"));
        let file = symbol.filename().map(|file| file.display().to_string());
        is_executor |= function.as_deref().is_some_and(is_executors);
        if !is_executor {
            let function = function.unwrap_or_else(|| format!("{:#x}", address.address()));
            let line = symbol.lineno().map_or_else(String::new, |line| format!(":{line}"));
            frames.push(function + &file.map_or_else(String::new, |file| format!(", {file}{line}")));
        }
    });
    if frames.len() == known && !is_executor {
        frames.push(format!("{:#x}", address.address()));
    }
    !is_executor
}

/// Whether that is the function that polls a task, or drops its future, or the loop of `block_on` or of a thread for calls that block.
fn is_executors(function: &str) -> bool {
    let ours = function.trim_start_matches('<').strip_prefix("mini_executor::");
    ours.is_some_and(|name| ["task::", "block_on::", "blocking::"].iter().any(|module| name.starts_with(module)))
}

/// A file's code in memory.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    addresses: Range<u64>,
    /// In the file.
    offset: u64,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    /// From a line of `/proc/self/maps`, if it is code of a file: addresses, permissions, offset, device, inode, path.
    fn parse(line: &'a str) -> Option<Self> {
        let mut columns = line.splitn(6, ' ');
        let (start, end) = columns.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let addresses = number(start)?..number(end)?;
        columns.next().filter(|permissions| permissions.contains('x'))?;
        let offset = number(columns.next()?)?;
        let path = columns.nth(2)?.trim_start();
        path.starts_with('/').then_some(Self { addresses, offset, path })
    }

    /// Its unwind tables. `None` if the file is not there any more, or is no program.
    fn module(self) -> Option<Module<Vec<u8>>> {
        let file = ReadCache::new(File::open(self.path).ok()?);
        let object = object::File::parse(&file).ok()?;
        // Memory is mapped by pages, and the segment begins somewhere in one, behind the end of another segment.
        let segment = object.segments().find(|segment| {
            let is_code = matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.0 & PF_X.0 != 0);
            let (offset, size) = segment.file_range();
            is_code && offset < self.offset + (self.addresses.end - self.addresses.start) && offset + size > self.offset
        })?;
        // Say the segment was linked to run at 0x1800 and stands in the file at 0x800, and the file from 0 on is mapped at 0x7f00_0000. So
        // it is at 0x7f00_0800 (`bias`), and all addresses that the file names are off by 0x7f00_0800 - 0x1800 (`base`).
        let bias = self.addresses.start.wrapping_add(segment.file_range().0).wrapping_sub(self.offset);
        let base = bias.wrapping_sub(segment.address());
        Some(Module::new(self.path.to_owned(), self.addresses, base, Sections(object)))
    }
}

/// A file's sections, as framehop asks for them.
struct Sections<'a>(object::File<'a, &'a ReadCache<File>>);

impl ModuleSectionInfo<Vec<u8>> for Sections<'_> {
    fn base_svma(&self) -> u64 {
        0
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        let section = self.0.section_by_name_bytes(name)?;
        Some(section.address()..section.address() + section.size())
    }

    fn section_data(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        self.0.section_by_name_bytes(name)?.data().ok().map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executor_is_known_by_its_names() {
        for name in
            ["mini_executor::task::local::run", "<mini_executor::task::core::Core<app::main::{closure#0}, ()>>::poll"]
        {
            assert!(is_executors(name));
        }
        for name in ["<mini_executor::sleep::Sleep as Future>::poll", "app::wait::<mini_executor::task::Task<()>>"] {
            assert!(!is_executors(name));
        }
    }

    #[test]
    fn lines_of_maps_are_understood() {
        let line = "7f46e9683000-7f46e97e0000 r-xp 00028000 fd:00 1234                       /usr/lib/a b.so";
        let expected =
            Mapping { addresses: 0x7f46_e968_3000..0x7f46_e97e_0000, offset: 0x28000, path: "/usr/lib/a b.so" };
        assert_eq!(Mapping::parse(line), Some(expected));
        assert_eq!(Mapping::parse("7f46e9683000-7f46e97e0000 rw-p 00028000 fd:00 1234   /usr/lib/a.so"), None);
        assert_eq!(Mapping::parse("7ffd80ffd000-7ffd80fff000 r-xp 00000000 00:00 0      [vdso]"), None);
    }
}
