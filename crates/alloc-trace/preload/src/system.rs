//! System calls without the C library: its wrappers set `errno`, which belongs to the traced program, some may allocate, and `mmap` would
//! come back to us.

use core::arch::asm;
use core::ffi::CStr;

/// A system call with up to six arguments; what the kernel answers, errors as small negative numbers.
///
/// # Safety
/// The call is sound with these arguments.
#[inline]
pub(crate) unsafe fn call(number: i64, arguments: [usize; 6]) -> isize {
    let answer;
    // SAFETY: the kernel's convention: it changes rax, rcx and r11 and nothing else but what the call is for.
    unsafe {
        asm!("syscall", inlateout("rax") number => answer, in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2], in("r10") arguments[3], in("r8") arguments[4], in("r9") arguments[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

/// A file descriptor of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File(pub(crate) usize);

impl File {
    /// `open`, closed on exec. `None` with no distinction of errors but that the file is there already.
    pub(crate) fn open(path: &CStr, flags: i32) -> Result<Self, isize> {
        let flags = (flags | libc::O_CLOEXEC) as usize;
        // SAFETY: the path ends in a zero.
        let answer = unsafe { call(libc::SYS_open, [path.as_ptr().addr(), flags, 0o644, 0, 0, 0]) };
        if answer < 0 { Err(answer) } else { Ok(Self(answer as usize)) }
    }

    /// The same file under a number where programs don't expect one.
    pub(crate) fn moved_up(self) -> Self {
        const HIGH: usize = 900;
        let arguments = [self.0, libc::F_DUPFD_CLOEXEC as usize, HIGH, 0, 0, 0];
        // SAFETY: makes a descriptor and touches no memory.
        let answer = unsafe { call(libc::SYS_fcntl, arguments) };
        if answer < 0 {
            return self;
        }
        self.close();
        Self(answer as usize)
    }

    /// Which file that is: device and inode.
    pub(crate) fn identity(self) -> Option<(u64, u64)> {
        identity(libc::SYS_fstat, self.0)
    }

    /// Writes all of it at a place.
    pub(crate) fn write_at(self, mut bytes: &[u8], mut at: u64) -> Result<(), isize> {
        while !bytes.is_empty() {
            let arguments = [self.0, bytes.as_ptr().addr(), bytes.len(), at as usize, 0, 0];
            // SAFETY: the kernel reads as many bytes as there are.
            let answer = unsafe { call(libc::SYS_pwrite64, arguments) };
            if answer == -(libc::EINTR as isize) {
                continue;
            }
            if answer <= 0 {
                return Err(answer);
            }
            bytes = &bytes[answer as usize..];
            at += answer as u64;
        }
        Ok(())
    }

    /// Reads; 0 at the end and on errors.
    pub(crate) fn read(self, into: &mut [u8]) -> usize {
        loop {
            let arguments = [self.0, into.as_mut_ptr().addr(), into.len(), 0, 0, 0];
            // SAFETY: the kernel writes at most as many bytes as there is room for.
            let answer = unsafe { call(libc::SYS_read, arguments) };
            if answer != -(libc::EINTR as isize) {
                return answer.max(0) as usize;
            }
        }
    }

    pub(crate) fn close(self) {
        // SAFETY: the descriptor is ours.
        unsafe { call(libc::SYS_close, [self.0, 0, 0, 0, 0, 0]) };
    }
}

/// Which file a path leads to.
pub(crate) fn identity_of(path: &CStr) -> Option<(u64, u64)> {
    identity(libc::SYS_stat, path.as_ptr().addr())
}

fn identity(number: i64, file: usize) -> Option<(u64, u64)> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: only used for calls of this form. The kernel fills in the structure, which has room; any bits are a valid one.
    unsafe {
        let answer = call(number, [file, status.as_mut_ptr().addr(), 0, 0, 0, 0]);
        let status = status.assume_init();
        (answer == 0).then_some((status.st_dev, status.st_ino))
    }
}

/// Whether the thread may make only some system calls.
pub(crate) fn is_filtered() -> bool {
    // SAFETY: answers a number, and touches no memory.
    unsafe { call(libc::SYS_prctl, [libc::PR_GET_SECCOMP as usize, 0, 0, 0, 0, 0]) > 0 }
}

/// The process's page faults so far: those that needed no disk, and those that did.
pub(crate) fn faults() -> Option<[u64; 2]> {
    let mut usage = core::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills in the structure, which has room; any bits are a valid one.
    let (answer, usage) = unsafe {
        let arguments = [libc::RUSAGE_SELF as usize, usage.as_mut_ptr().addr(), 0, 0, 0, 0];
        (call(libc::SYS_getrusage, arguments), usage.assume_init())
    };
    (answer == 0).then_some([usage.ru_minflt.cast_unsigned(), usage.ru_majflt.cast_unsigned()])
}

/// Memory from the kernel, zeros; null if there is none. A child made by `fork` finds zeros in it again if `wiped`.
pub(crate) fn map(bytes: usize, wiped: bool) -> *mut u8 {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    // SAFETY: a new mapping, where the kernel likes, overlaps nothing.
    let address = unsafe { call(libc::SYS_mmap, [0, bytes, protection, flags, usize::MAX, 0]) };
    if address < 0 {
        return core::ptr::null_mut();
    }
    if wiped {
        // SAFETY: the range is the one just mapped.
        let answer =
            unsafe { call(libc::SYS_madvise, [address as usize, bytes, libc::MADV_WIPEONFORK as usize, 0, 0, 0]) };
        if answer != 0 {
            unmap(address as *mut u8, bytes);
            return core::ptr::null_mut();
        }
    }
    address as *mut u8
}

/// Puts memory, zeros, in the place of what is mapped there. It takes no more addresses than before: so it works where the process may have no more.
pub(crate) fn map_over(address: *mut u8, bytes: usize) -> bool {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED) as usize;
    // SAFETY: what is there is ours, and stays mapped.
    unsafe { call(libc::SYS_mmap, [address.addr(), bytes, protection, flags, usize::MAX, 0]) >= 0 }
}

/// A part of a file as memory.
pub(crate) fn map_file(file: File, bytes: usize, at: u64) -> Result<*mut u8, isize> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: as in `map`.
    let address =
        unsafe { call(libc::SYS_mmap, [0, bytes, protection, libc::MAP_SHARED as usize, file.0, at as usize]) };
    if address < 0 { Err(address) } else { Ok(address as *mut u8) }
}

/// Whether all pages of a range are mapped.
#[cold]
#[inline(never)]
pub(crate) fn is_mapped(address: usize, bytes: usize) -> bool {
    let begin = address & !4095;
    let Some(length) = address.checked_add(bytes).map(|end| end - begin) else { return false };
    // With this flag the call does nothing but answer whether it could have done something (msync(2)).
    // SAFETY: it touches no memory.
    unsafe { call(libc::SYS_msync, [begin, length, libc::MS_ASYNC as usize, 0, 0, 0]) == 0 }
}

/// Whether a byte can be read. Where the kernel may not be asked, it is believed to be so.
pub(crate) fn is_readable(address: usize) -> bool {
    let mut byte = 0_u8;
    let (to, from) = ([(&raw mut byte).addr(), 1], [address, 1]);
    let arguments = [process() as usize, to.as_ptr().addr(), 1, from.as_ptr().addr(), 1, 0];
    // SAFETY: the kernel writes the one byte that there is room for; an address that can't be read is an answer.
    unsafe { call(libc::SYS_process_vm_readv, arguments) != -(libc::EFAULT as isize) }
}

/// Gives back what `map` gave and nobody looks at any more.
pub(crate) fn unmap(address: *mut u8, bytes: usize) {
    // SAFETY: by the sentence above.
    unsafe { call(libc::SYS_munmap, [address.addr(), bytes, 0, 0, 0, 0]) };
}

/// Blocks all signals in the calling thread; which were blocked before.
pub(crate) fn block_signals() -> u64 {
    let (all, mut before) = (u64::MAX, 0);
    let arguments = [libc::SIG_SETMASK as usize, (&raw const all).addr(), (&raw mut before).addr(), 8, 0, 0];
    // SAFETY: the kernel reads and writes masks of eight bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    before
}

/// Puts back what `block_signals` gave.
pub(crate) fn set_signals(mask: u64) {
    let arguments = [libc::SIG_SETMASK as usize, (&raw const mask).addr(), 0, 8, 0, 0];
    // SAFETY: the kernel reads a mask of eight bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
}

/// A system call that takes no arguments and can't fail.
fn plain(number: i64) -> u64 {
    // SAFETY: only used for calls that take nothing and touch nothing.
    unsafe { call(number, [0; 6]) as u64 }
}

pub(crate) fn process() -> u64 {
    plain(libc::SYS_getpid)
}

pub(crate) fn parent() -> u64 {
    plain(libc::SYS_getppid)
}

pub(crate) fn thread() -> u64 {
    plain(libc::SYS_gettid)
}

pub(crate) fn let_others_run() {
    plain(libc::SYS_sched_yield);
}

/// The calling thread's name, filled up with zeros.
pub(crate) fn thread_name() -> [u8; 16] {
    let mut name = [0; 16];
    // SAFETY: the kernel writes at most sixteen bytes.
    unsafe { call(libc::SYS_prctl, [libc::PR_GET_NAME as usize, name.as_mut_ptr().addr(), 0, 0, 0, 0]) };
    name
}

/// Nanoseconds of a clock. By the C library, whose way needs no system call, doesn't allocate, and can't fail for these clocks.
pub(crate) fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the answer.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The largest size that the process may give a file. Beyond, a write would be answered with a signal that kills.
pub(crate) fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let arguments = [0, libc::RLIMIT_FSIZE as usize, 0, (&raw mut limit).addr(), 0, 0];
    // SAFETY: the kernel fills in the structure.
    let answer = unsafe { call(libc::SYS_prlimit64, arguments) };
    if answer == 0 { limit.rlim_cur } else { u64::MAX }
}

/// Says why, and ends the process by a signal that no handler of the program's is told of.
#[cfg(debug_assertions)]
pub(crate) fn end_with(why: &[u8]) {
    // SAFETY: the kernel reads as many bytes as there are, and ends the process.
    unsafe {
        call(libc::SYS_write, [2, why.as_ptr().addr(), why.len(), 0, 0, 0]);
        call(libc::SYS_kill, [process() as usize, libc::SIGKILL as usize, 0, 0, 0, 0]);
    }
}
