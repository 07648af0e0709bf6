//! System calls about memory behind types that are safe to use: mappings, blocks of the C library's allocator, children.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes of a page.
pub(crate) fn page() -> usize {
    rustix::param::page_size()
}

/// A mapping of our own, read and written byte by byte. No reference to its bytes is ever made.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// To be read and written now.
    writable: bool,
}

impl Mapping {
    /// Memory that is nobody else's.
    pub(crate) fn anonymous(length: usize, flags: MapFlags) -> io::Result<Self> {
        let flags = if flags.contains(MapFlags::SHARED) { flags } else { flags | MapFlags::PRIVATE };
        // SAFETY: no address is asked for, so nothing that is mapped changes.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, flags)? };
        Ok(Self { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, length, writable: true })
    }

    /// A file, to be read, and, if it is `private`, to be written without anybody's seeing it. The file must not be cut: it is ours.
    pub(crate) fn of_file(file: &File, length: usize, private: bool, flags: MapFlags) -> io::Result<Self> {
        let (access, sharing) = if private {
            (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        } else {
            (ProtFlags::READ, MapFlags::SHARED)
        };
        // SAFETY: no address is asked for, so nothing that is mapped changes.
        let start = unsafe { mmap(ptr::null_mut(), length, access, sharing | flags, file, 0)? };
        Ok(Self { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, length, writable: private })
    }

    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.length, "within the mapping");
        // SAFETY: within the mapping, as was just checked.
        unsafe { self.start.add(offset).as_ptr() }
    }

    pub(crate) fn read(&self, offset: usize) -> u8 {
        // SAFETY: it may be read, and is mapped as long as we live.
        unsafe { self.at(offset).read_volatile() }
    }

    pub(crate) fn write(&self, offset: usize, value: u8) {
        assert!(self.writable, "it may be written to");
        // SAFETY: it may be written to, and is mapped as long as we live. Only this thread has it.
        unsafe { self.at(offset).write_volatile(value) };
    }

    /// Writes where it may be forbidden: the process then dies of SIGSEGV.
    pub(crate) fn write_anyway(&self, offset: usize) {
        // SAFETY: it is mapped as long as we live, and only this thread has it; a fault ends the process and harms nothing.
        unsafe { self.at(offset).write_volatile(1) };
    }

    /// Copies a part out.
    pub(crate) fn copy(&self, from: usize, buffer: &mut [u8]) {
        assert!(from <= self.length && buffer.len() <= self.length - from, "within the mapping");
        // SAFETY: within the mapping, and the buffer is somebody else's.
        unsafe { ptr::copy_nonoverlapping(self.start.as_ptr().add(from), buffer.as_mut_ptr(), buffer.len()) };
    }

    /// Writes a byte to every page of a part.
    pub(crate) fn touch(&self, part: Range<usize>) {
        part.step_by(page()).for_each(|at| self.write(at, 1));
    }

    /// Reads a byte of every page of a part.
    pub(crate) fn look(&self, part: Range<usize>) -> u64 {
        part.step_by(page()).map(|at| u64::from(self.read(at))).sum()
    }

    /// Reads a part of a file to the beginning of it, which is aligned as `O_DIRECT` wants it.
    pub(crate) fn fill(&self, file: &File, offset: u64, length: usize) -> io::Result<()> {
        assert!(self.writable && length <= self.length, "within the mapping, and writable");
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel writes to the mapping alone, which has that many bytes and to which nobody has a reference.
        let read = unsafe { libc::pread(file.as_raw_fd(), self.start.as_ptr().cast(), length, offset) };
        match usize::try_from(read) {
            Err(_) => Err(io::Error::last_os_error()),
            Ok(read) if read < length => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Where in it the first address is that `alignment` divides.
    pub(crate) fn first_aligned(&self, alignment: usize) -> usize {
        let start = self.start.as_ptr().addr();
        start.next_multiple_of(alignment) - start
    }

    pub(crate) fn advise(&self, advice: Advice) -> io::Result<()> {
        // SAFETY: all of it is ours, and nobody has a reference to what may become zeros.
        unsafe { madvise(self.start.as_ptr().cast(), self.length, advice)? };
        Ok(())
    }

    /// Lets it be written to, or not.
    pub(crate) fn protect(&mut self, writable: bool) -> io::Result<()> {
        let access = if writable { MprotectFlags::READ | MprotectFlags::WRITE } else { MprotectFlags::READ };
        self.writable = writable;
        // SAFETY: all of it is ours; `write` asks first.
        unsafe { mprotect(self.start.as_ptr().cast(), self.length, access)? };
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: all of it is ours, and nobody has a reference into it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A block of the C library's allocator.
#[derive(Debug)]
pub(crate) struct Block {
    start: NonNull<u8>,
    size: usize,
}

impl Block {
    pub(crate) fn new(size: usize) -> io::Result<Self> {
        // SAFETY: any size may be asked for.
        let start = unsafe { libc::malloc(size.max(1)) };
        Ok(Self { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, size })
    }

    pub(crate) fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    pub(crate) fn write_first(&self) {
        // SAFETY: the block has at least a byte, and is ours.
        unsafe { self.start.write_volatile(1) };
    }

    /// Writes a byte to every page of it.
    pub(crate) fn touch(&self) {
        for at in (0..self.size).step_by(page()) {
            // SAFETY: within the block, which is ours.
            unsafe { self.start.add(at).write_volatile(1) };
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it came from `malloc`, and nobody else has it.
        unsafe { libc::free(self.start.as_ptr().cast()) };
    }
}

/// Sets one of the allocator's parameters by hand.
pub(crate) fn set_parameter(parameter: c_int, value: usize) -> bool {
    let Ok(value) = c_int::try_from(value) else { return false };
    // SAFETY: it changes when memory is asked for and given back, nothing else.
    unsafe { libc::mallopt(parameter, value) == 1 }
}

/// Where the heap ends: the program break.
pub(crate) fn program_break() -> usize {
    // SAFETY: an increment of nothing asks.
    unsafe { libc::sbrk(0) as usize }
}

/// What is free at the end of the heap, bytes.
pub(crate) fn free_at_the_end() -> usize {
    // SAFETY: it only counts.
    unsafe { libc::mallinfo2() }.keepcost
}

/// Has the allocator give back what it can.
pub(crate) fn trim() {
    // SAFETY: it gives back what nobody has.
    unsafe { libc::malloc_trim(0) };
}

/// Forks a child that does `work` and ends, and waits for it: its status is given, as `wait` has it.
///
/// To be called while there is only one thread: the child has no other, and locks that others held stay locked in it.
pub(crate) fn in_a_child(work: impl FnOnce()) -> io::Result<c_int> {
    child(|| {
        work();
        0
    })
}

/// What a forked child finds, yes or no: as [`in_a_child`], and without a byte being allocated on either side.
pub(crate) fn asked_of_a_child(question: impl FnOnce() -> bool) -> io::Result<bool> {
    child(|| c_int::from(question())).map(|status| libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1)
}

/// A child that ends with what `work` gives.
fn child(work: impl FnOnce() -> c_int) -> io::Result<c_int> {
    // SAFETY: there is one thread, so that the child finds all in order.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = work();
            // SAFETY: it ends the child without what is the parent's to be done at its end.
            unsafe { libc::_exit(code) }
        }
        child => loop {
            let mut status = 0;
            // SAFETY: our own child, and room for its status.
            if unsafe { libc::waitpid(child, &raw mut status, 0) } == child {
                return Ok(status);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        },
    }
}

/// The numbers that a forked child finds. As [`in_a_child`], and few enough that a pipe holds them.
pub(crate) fn found_by_a_child(work: impl FnOnce() -> Vec<u64>) -> io::Result<Vec<u64>> {
    let (mut reader, mut writer) = io::pipe()?;
    in_a_child(|| {
        let bytes: Vec<u8> = work().into_iter().flat_map(u64::to_ne_bytes).collect();
        // What is not said is missed by the parent.
        let _ = writer.write_all(&bytes);
    })?;
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    let (numbers, _) = bytes.as_chunks::<8>();
    Ok(numbers.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect())
}

/// Has a process that is going to die leave no core file behind.
pub(crate) fn leave_no_core() {
    let none = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    let _ = setrlimit(Resource::Core, none);
}

/// Has SIGSEGV end the process, as it does where nobody has a handler: Rust has one, which says something and aborts.
pub(crate) fn die_of_bad_addresses() {
    leave_no_core();
    // SAFETY: it is the default, and no handler of ours is called any more.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
}
