//! What the threads of a process share: the trace file, and what is handed out in it.
//!
//! It lies in memory that a forked child finds zeroed, and zeroed it is one that has not begun: so a child begins anew at its first allocation,
//! locks and all, without having to be told.

use core::ffi::{CStr, c_void};
use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

pub(crate) use crate::environment::number;
use crate::environment::{MOST_PATH, variable};
use crate::format::{
    ALIGN, CHUNK_HEADER, CHUNK_MAGIC, FILE_HEADER, FILE_MAGIC, LARGEST_MEAN, PYTHON, RAW_BYTES, SAMPLED_AT, STOPPED_AT,
    VERSION, checksum,
};
use crate::memory::Memory;
use crate::modules::Modules;
use crate::python::{Codes, PythonFrame};
use crate::real::{self, Guarded, Lock};
use crate::system::{self, File};
use crate::thread::Thread;
use crate::{live, python, sample};

/// Names the file to write. Set by `alloc-trace run`, an absolute path.
const FILE: &[u8] = b"ALLOC_TRACE_FILE=";
/// Bytes of which one is drawn; all blocks are noted where it isn't set, or is 0.
pub(crate) const SAMPLE: &[u8] = b"ALLOC_TRACE_SAMPLE=";
/// Which bytes these are; otherwise others in each process.
const SEED: &[u8] = b"ALLOC_TRACE_SEED=";
/// Block numbers that a thread takes at a time.
pub(crate) const NUMBERS_AT_ONCE: u64 = 1 << 20;

// Of a state, the lowest two bits. Above them, which thread it is that is starting: numbers of threads are below 2^22.
const NEW: u32 = 0;
const STARTING: u32 = 1;
const ON: u32 = 2;
const OFF: u32 = 3;
const STATE: u32 = 3;

/// Counts what threads have to know of each other's doings: threads that begin and end, libraries that go. A thread whose count is another
/// writes the time before its next event, so that events before and after can be told apart.
pub(crate) static EPOCH: AtomicU32 = AtomicU32::new(1);

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
/// Calls `inside::ends` for each thread that ends; plus one.
static KEY: AtomicU32 = AtomicU32::new(0);

/// All zeros is one that has not begun.
#[repr(C)]
pub(crate) struct Process {
    state: AtomicU32,
    file_lock: Lock,
    file: core::cell::UnsafeCell<(usize, u64, u64)>,
    /// Where the file ends, as far as space is taken.
    end: AtomicU64,
    started: AtomicU64,
    threads: AtomicU32,
    blocks: AtomicU64,
    pub(crate) pool_lock: Lock,
    pub(crate) pool: core::cell::UnsafeCell<*mut Thread>,
    /// Held while a thread that has ended for us still allocates or frees.
    pub(crate) late_lock: Lock,
    pub(crate) late: core::cell::UnsafeCell<*mut Thread>,
    modules: Guarded<Modules>,
    /// How often libraries have gone.
    generation: AtomicU64,
    codes: Guarded<Codes>,
    pub(crate) memory: Memory,
    path: core::cell::UnsafeCell<[u8; MOST_PATH + 32]>,
}

impl Process {
    /// The running process, if it is traced. Begins the trace at the first call.
    pub(crate) fn current() -> Option<&'static Self> {
        let mut process = PROCESS.load(Acquire);
        if process.is_null() {
            let new = system::map(size_of::<Self>(), true).cast::<Self>();
            if new.is_null() {
                return None;
            }
            process = match PROCESS.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
                Ok(_) => new,
                Err(other) => {
                    system::unmap(new.cast(), size_of::<Self>());
                    other
                }
            };
        }
        // SAFETY: mapped for good, and zeros, which are a valid value, or what was written there since.
        let process = unsafe { &*process };
        match process.state.load(Acquire) {
            ON => Some(process),
            OFF => None,
            _ => process.started_by_now().then_some(process),
        }
    }

    /// Begins the trace, or waits for the thread that does.
    #[cold]
    fn started_by_now(&self) -> bool {
        // While functions are being looked up it is too early.
        if !real::all_known() {
            return false;
        }
        let starting = STARTING | (system::thread() as u32) << 2;
        if self.state.compare_exchange(NEW, starting, AcqRel, Acquire).is_ok() {
            let begun = self.begin().is_some();
            self.state.store(if begun { ON } else { OFF }, Release);
        }
        loop {
            match self.state.load(Acquire) {
                // A signal handler would wait for what it has interrupted.
                state if state == starting => return false,
                state if state & STATE == STARTING => system::let_others_run(),
                state => return state == ON,
            }
        }
    }

    fn begin(&self) -> Option<()> {
        if !live::prepare() {
            return None;
        }
        if KEY.load(Relaxed) == 0 {
            let mut key = 0;
            // SAFETY: there is room for the key, and the function takes what is stored under it.
            if unsafe { libc::pthread_key_create(&raw mut key, Some(crate::inside::ends)) } == 0 {
                KEY.store(key + 1, Relaxed);
            }
        }
        self.started.store(system::clock(libc::CLOCK_MONOTONIC), Relaxed);
        self.blocks.store(NUMBERS_AT_ONCE, Relaxed);
        let seed = number(SEED).unwrap_or_else(|| system::clock(libc::CLOCK_REALTIME) ^ system::process() << 40);
        let mean = number(SAMPLE).unwrap_or(0);
        sample::set(mean, seed);
        let file = self.make_file(mean)?;
        let (device, inode) = file.identity()?;
        // SAFETY: nobody else looks before the state says that the trace is on.
        unsafe { *self.file.get() = (file.0, device, inode) };
        self.end.store(FILE_HEADER as u64, Relaxed);
        if let Some(told) = python::told() {
            self.append(PYTHON, 0, 0, &[0; 16], &[&told]);
        }
        Some(())
    }

    /// The file that the variable names, or, if that is there already, one with the process's number behind the name.
    fn make_file(&self, mean: u64) -> Option<File> {
        // SAFETY: only `begin` calls this, once, before anybody else looks.
        let path = unsafe { &mut *self.path.get() };
        if system::file_size_limit() < FILE_HEADER as u64 {
            return None;
        }
        let length = variable(FILE, path).filter(|_| path[0] == b'/')?;
        let id = system::process();
        for attempt in 0..1000_u64 {
            let mut end = length;
            if attempt > 0 {
                end = suffix(path, end, id)?;
            }
            if attempt > 1 {
                end = suffix(path, end, attempt)?;
            }
            path[end] = 0;
            let name = CStr::from_bytes_until_nul(path).ok()?;
            match File::open(name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL) {
                Ok(file) => {
                    let file = file.moved_up();
                    return file.write_at(&self.header(mean), 0).ok().map(|()| file);
                }
                Err(error) if error == -(libc::EEXIST as isize) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn header(&self, mean: u64) -> [u8; FILE_HEADER] {
        let mut header = [0; FILE_HEADER];
        header[..8].copy_from_slice(&FILE_MAGIC);
        for (at, number) in [(8, u64::from(VERSION)), (12, system::process()), (16, system::parent()), (20, 4096)] {
            header[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
        }
        header[24..32].copy_from_slice(&self.started.load(Relaxed).to_le_bytes());
        header[32..40].copy_from_slice(&system::clock(libc::CLOCK_REALTIME).to_le_bytes());
        // The program's path and its arguments, as much of them as there is room for, a zero after each.
        let (program, arguments) = header[52..SAMPLED_AT].split_at_mut(1500);
        let room = program.len();
        let path = [c"/proc/self/exe".as_ptr().addr(), program.as_mut_ptr().addr(), room, 0, 0, 0];
        // SAFETY: the kernel writes at most `room` bytes.
        let program = unsafe { system::call(libc::SYS_readlink, path) }.max(0) as u16;
        let mut length = 0;
        if let Ok(file) = File::open(c"/proc/self/cmdline", libc::O_RDONLY) {
            length = file.read(arguments) as u16;
            file.close();
        }
        header[48..50].copy_from_slice(&program.to_le_bytes());
        header[50..52].copy_from_slice(&length.to_le_bytes());
        header[SAMPLED_AT..STOPPED_AT].copy_from_slice(&mean.min(LARGEST_MEAN).to_le_bytes());
        let sum = checksum(checksum(0, &header[..40]), &header[48..STOPPED_AT]);
        header[40..48].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Nanoseconds since the trace began.
    pub(crate) fn now(&self) -> u64 {
        system::clock(libc::CLOCK_MONOTONIC).saturating_sub(self.started.load(Relaxed))
    }

    pub(crate) fn next_thread(&self) -> u32 {
        self.threads.fetch_add(1, Relaxed) + 1
    }

    /// The first of [`NUMBERS_AT_ONCE`] numbers for blocks, as long as there are any.
    pub(crate) fn numbers(&self) -> Option<u64> {
        let first = self.blocks.fetch_add(NUMBERS_AT_ONCE, Relaxed);
        (first + NUMBERS_AT_ONCE <= live::MOST_BLOCKS).then_some(first)
    }

    /// Whether code is mapped at an address.
    pub(crate) fn code_at(&self, address: usize) -> bool {
        self.modules.with(|modules| modules.code_at(self, address))
    }

    /// Calls `look` with where the file is mapped from whose code is at an address, if that is known; one thread at a time.
    pub(crate) fn with_header_of(&self, address: usize, look: impl FnOnce(Option<usize>)) {
        self.modules.with(|modules| look(modules.header_of(self, address)));
    }

    /// A frame of Python's as the trace has it.
    pub(crate) fn python_frame(&self, frame: PythonFrame) -> u64 {
        self.codes.with(|codes| codes.frame(self, frame))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// After `dlclose`.
    pub(crate) fn unloaded(&self) {
        if let Some(generation) = self.modules.with(Modules::unloaded) {
            self.generation.store(generation, Release);
            EPOCH.fetch_add(1, Release);
        }
    }

    /// Appends a chunk. If that fails, the trace ends here: the disk is full, or the file is gone.
    pub(crate) fn append(&self, kind: u32, thread: u32, number: u32, name: &[u8; 16], payload: &[&[u8]]) -> bool {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let header = chunk_header(kind, length, thread, number, name, payload);
        let whole = (CHUNK_HEADER + length).next_multiple_of(ALIGN);
        let at = self.end.fetch_add(whole as u64, Relaxed);
        let is_room = at + (whole as u64) <= system::file_size_limit();
        let done = is_room
            && self.written(|file| {
                // The header comes last: a chunk that has one is whole.
                let mut to = at + CHUNK_HEADER as u64;
                for part in payload {
                    file.write_at(part, to)?;
                    to += part.len() as u64;
                }
                file.write_at(&header, at)
            });
        if !done {
            self.stop();
        }
        done
    }

    /// Ends the trace, and says so in the header, for which there is room always.
    fn stop(&self) {
        if self.state.swap(OFF, AcqRel) == ON
            && let Some(file) = self.file()
        {
            let when = self.now().max(1).to_le_bytes();
            if FILE_HEADER as u64 <= system::file_size_limit() {
                _ = file.write_at(&when, STOPPED_AT as u64);
                return;
            }
            // A write would be answered with a signal that kills, be there room or not; memory may be written.
            if let Ok(header) = system::map_file(file, FILE_HEADER, 0) {
                // SAFETY: mapped just now, and the header has that place.
                unsafe { header.add(STOPPED_AT).cast::<[u8; 8]>().write_volatile(when) };
                system::unmap(header, FILE_HEADER);
            }
        }
    }

    /// A piece of the file as memory, [`RAW_BYTES`] of zeros. Memory without a file where the file can't be mapped: what is in there is lost
    /// if the process is killed. Null if there is neither.
    pub(crate) fn raw_chunk(&self, zeros: &[u8]) -> *mut u8 {
        debug_assert_eq!(zeros.len(), RAW_BYTES);
        let mut at = 0;
        let taken = self.end.fetch_update(Relaxed, Relaxed, |end| {
            at = end.next_multiple_of(4096);
            Some(at + RAW_BYTES as u64)
        });
        let mut address = ptr::null_mut();
        if taken.is_ok() && at + RAW_BYTES as u64 <= system::file_size_limit() {
            self.written(|file| {
                // Space that is not there would be found out by a signal that kills.
                file.write_at(zeros, at)?;
                address = system::map_file(file, RAW_BYTES, at)?;
                Ok(())
            });
        }
        if address.is_null() { system::map(RAW_BYTES, true) } else { address }
    }

    /// Has the file written to, once more where the program has closed it in the midst of that; `false` if it can't be.
    fn written(&self, mut write: impl FnMut(File) -> Result<(), isize>) -> bool {
        loop {
            let result = self.file().map(&mut write);
            if result != Some(Err(-(libc::EBADF as isize))) {
                return result == Some(Ok(()));
            }
        }
    }

    /// The file; opened again if the program has closed it, or put something else under its number.
    fn file(&self) -> Option<File> {
        /// A program may close it again before it is looked at; but where files can't be looked at at all, that has to come to an end.
        const TRIES: u32 = 1000;
        self.file_lock.take();
        // SAFETY: under the lock.
        let (number, device, inode) = unsafe { &mut *self.file.get() };
        let mut file = None;
        for _ in 0..TRIES {
            if File(*number).identity() == Some((*device, *inode)) {
                file = Some(File(*number));
                break;
            }
            // SAFETY: written once, by `begin`.
            let path = CStr::from_bytes_until_nul(unsafe { &*self.path.get() }).ok();
            let path = path.filter(|path| system::identity_of(path) == Some((*device, *inode)));
            let Some(again) = path.and_then(|path| File::open(path, libc::O_RDWR).ok()) else { break };
            *number = again.moved_up().0;
        }
        self.file_lock.release();
        file
    }
}

/// Has `inside::ends` called with this when the calling thread ends.
pub(crate) fn call_at_end(thread: *mut Thread) {
    let key = KEY.load(Relaxed);
    if key > 0 {
        // SAFETY: the key was made, and is never given back.
        unsafe { libc::pthread_setspecific(key - 1, thread.cast::<c_void>()) };
    }
}

pub(crate) fn chunk_header(
    kind: u32,
    length: usize,
    thread: u32,
    number: u32,
    name: &[u8; 16],
    payload: &[&[u8]],
) -> [u8; CHUNK_HEADER] {
    let mut header = [0; CHUNK_HEADER];
    header[..8].copy_from_slice(&CHUNK_MAGIC.to_le_bytes());
    for (at, number) in [(8, kind), (12, length as u32), (24, thread), (28, number)] {
        header[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    header[32..].copy_from_slice(name);
    // One part, always, but for raw chunks, which have none, and no sum.
    if let [payload] = payload {
        let sum = crate::format::chunk_checksum(&header, payload);
        header[16..24].copy_from_slice(&sum.to_le_bytes());
    }
    header
}

/// Puts a dot and a number behind `length` bytes of a path; where it ends then.
fn suffix(path: &mut [u8], length: usize, number: u64) -> Option<usize> {
    let digits = number.max(1).ilog10() as usize + 1;
    let place = path.get_mut(length..length + 1 + digits)?;
    place[0] = b'.';
    let mut rest = number;
    for digit in place[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    Some(length + 1 + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_put_behind_paths() {
        let mut path = *b"/t/trace................";
        let end = suffix(&mut path, 8, 4071).unwrap();
        assert_eq!(&path[..end], b"/t/trace.4071");
        assert_eq!(suffix(&mut path[..10], 8, 4071), None);
    }
}
