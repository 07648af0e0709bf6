//! The handler that turns a fatal SIGBUS into a flag.
//!
//! A load from a mapped file raises SIGBUS when the page it needs can't be had: the file is shorter by now, or the disk gave an error.
//! The kernel can't return an error from a load; it can only interrupt. This handler
//!
//! 1. looks the address up among those of the views ([`registry`](crate::registry));
//! 2. raises the view's flag;
//! 3. maps a page of zeros over the page that could not be had, or, where no mapping more may be made, zeros over the whole view;
//! 4. returns: the load is done again and reads zeros.
//!
//! The reader looks at the flag *after* it has copied, and gives an error in place of the zeros. No stack frame is jumped over: leaving a
//! handler by `siglongjmp` would skip the frames of Rust code, which is undefined behaviour, and needs a `sigsetjmp` for each access.
//!
//! # Order
//! The flag is raised before the zeros are there. A second thread that reads the same page never enters the handler: it may find the zeros
//! at once, and then it has to find the flag, too. The call to `mmap` comes after the store in the handler's thread, and the page tables
//! change inside it, under locks and with an interrupt to the other CPUs; the reader loads the flag after an acquire fence that follows
//! its copy.
//!
//! # Addresses of others
//! Whatever is no view's goes to the handler that was there before, the way the kernel would have called it: with its mask,
//! with one argument or three, once if it asked for once, ignored if it was to be ignored. Where there was none, the process dies
//! of the fault itself, with the address in its core dump. Only the stack may differ: the handler runs on the alternative stack, where
//! the thread has one, and so do those that it calls.
//!
//! # What it needs
//! A thread that has SIGBUS blocked when it faults is killed by the kernel: nothing can be done about it in a handler. Programs that block
//! all signals in their threads are common, so [`unblocked`] looks once in each thread, and unblocks it.
//! A handler that somebody installs later, and that doesn't pass on what is not its own, takes the place of this one.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};

use libc::{c_int, c_long, c_void, sigaction, siginfo_t, sigset_t};

use crate::registry;

/// What was to be done about SIGBUS before; null for the default. Never freed: a handler may be looking at it.
static PREVIOUS: AtomicPtr<Previous> = AtomicPtr::new(ptr::null_mut());
/// Whether it was to be done once, and has been.
static SPENT: AtomicBool = AtomicBool::new(false);
/// For the handler, which should not have to ask.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// What was to be done about SIGBUS.
struct Previous {
    action: sigaction,
    /// What was remembered before it. For those who look for memory that nobody can reach.
    #[allow(dead_code, reason = "to be there is enough")]
    earlier: *mut Previous,
}

thread_local! {
    static UNBLOCKED: Cell<bool> = const { Cell::new(false) };
}

/// Installs the handler, once.
///
/// # Errors
/// When the system refuses, which it has no reason to.
pub(crate) fn install() -> io::Result<()> {
    static DONE: OnceLock<Result<(), i32>> = OnceLock::new();
    let done = DONE.get_or_init(|| set_handler().map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL)));
    done.map_err(io::Error::from_raw_os_error)
}

/// Sees to it that this thread doesn't block SIGBUS. Cheap after the first time.
#[inline]
pub(crate) fn unblocked() {
    if !UNBLOCKED.get() {
        unblock();
    }
}

#[cold]
fn unblock() {
    // SAFETY: both calls get a set that is a valid one after `sigemptyset`; no old set is asked for.
    unsafe {
        let mut only = MaybeUninit::<sigset_t>::uninit();
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), libc::SIGBUS);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, only.as_ptr(), ptr::null_mut());
    }
    UNBLOCKED.set(true);
}

fn set_handler() -> io::Result<()> {
    PAGE.store(rustix::param::page_size(), Relaxed);
    // SAFETY: a null pointer asks for what is there, and `before` has room for it.
    let mut before = unsafe {
        let mut before = MaybeUninit::<sigaction>::zeroed();
        succeeded(libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()))?;
        before.assume_init()
    };
    // It has to be there when the handler first runs, which may be before the call that installs it returns.
    remember(before);
    let ours = ours(before.sa_flags);
    // SAFETY: `ours` is a valid action whose function has the signature that SA_SIGINFO asks for; `before` has room.
    succeeded(unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, &raw mut before) })?;
    remember(before);
    Ok(())
}

/// What the kernel is to do about SIGBUS. Whether calls are restarted after one that somebody sent is up to who was here before.
fn ours(flags_before: c_int) -> sigaction {
    // SAFETY: all zeros is a valid value for a struct of integers, of a set of bits and an optional function.
    let mut ours: sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    ours.sa_sigaction = handle as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | (flags_before & libc::SA_RESTART);
    ours
}

fn remember(action: sigaction) {
    // Two of them are leaked in the life of a process.
    let earlier = PREVIOUS.load(Relaxed);
    let new = || Box::into_raw(Box::new(Previous { action, earlier }));
    PREVIOUS.store(if action.sa_sigaction == libc::SIG_DFL { ptr::null_mut() } else { new() }, Release);
}

fn succeeded(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Only calls what POSIX lists as safe in handlers, and the kernel: a function named `mmap` may be a tracer's that was loaded before the C
/// library, and take locks of its own.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the location is the thread's own.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel hands over a valid `info`.
    if !unsafe { repair(info) } {
        // SAFETY: the three arguments are those of this very call.
        unsafe { pass_on(signal, info, context) };
    }
    // SAFETY: as above. What was interrupted may be about to look at it.
    unsafe { *libc::__errno_location() = errno };
}

/// Whether the signal comes from a load that failed. All others were sent by somebody, and have no address.
///
/// # Safety
/// `info` is what the kernel handed to a handler.
unsafe fn is_fault(info: *const siginfo_t) -> bool {
    // SAFETY: as above.
    let code = unsafe { (*info).si_code };
    // BUS_MCEERR_AO tells of broken memory that nobody has read yet.
    [libc::BUS_ADRALN, libc::BUS_ADRERR, libc::BUS_OBJERR, libc::BUS_MCEERR_AR].contains(&code)
}

/// Maps zeros over the page that could not be had, if it is a view's, and tells whether the load can be done again.
///
/// # Safety
/// `info` is what the kernel handed to a handler for SIGBUS.
unsafe fn repair(info: *const siginfo_t) -> bool {
    // SAFETY: as above.
    let misaligned = unsafe { (*info).si_code } == libc::BUS_ADRALN;
    // SAFETY: as above.
    if misaligned || !unsafe { is_fault(info) } {
        return false;
    }
    // SAFETY: signals of faults have an address.
    let address = unsafe { (*info).si_addr() } as usize;
    let Some((slot, range)) = registry::find(address) else { return false };
    slot.lose(address);
    let page = PAGE.load(Relaxed);
    let zeros = |start: usize, length: usize| {
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // All arguments as wide as the kernel's.
        let arguments = [
            start.cast_signed() as c_long,
            length.cast_signed() as c_long,
            libc::PROT_READ.into(),
            flags.into(),
            -1,
            0,
        ];
        // SAFETY: the pages lie in a view's range, which begins and ends with a page, is mapped, and stays so: this thread was reading it,
        // so that it borrows the view. Nothing but the view points into it, and it promises of its bytes only what zeros fulfil.
        unsafe { map(arguments) }
    };
    // A page in the middle makes three mappings of one. Where so many are not to be had, one takes the place of all that the view has:
    // it has failed as a whole anyway.
    zeros(address & !(page - 1), page) || zeros(range.start, range.end - range.start)
}

/// The system call itself: address, length, access, flags, descriptor, offset.
///
/// # Safety
/// As of `mmap`.
#[cfg(not(target_arch = "s390x"))]
unsafe fn map([start, length, access, flags, file, offset]: [c_long; 6]) -> bool {
    // SAFETY: by our caller's promise.
    unsafe { libc::syscall(libc::SYS_mmap, start, length, access, flags, file, offset) != -1 }
}

/// The same where the call of that number (90) is the old one, that wants a pointer to its six arguments (`arch/s390/kernel/syscall.c`,
/// `s390_mmap_arg_struct`).
///
/// # Safety
/// As of `mmap`.
#[cfg(target_arch = "s390x")]
unsafe fn map(arguments: [c_long; 6]) -> bool {
    // SAFETY: by our caller's promise; the kernel has read the arguments when the call returns.
    unsafe { libc::syscall(libc::SYS_mmap, arguments.as_ptr()) != -1 }
}

/// Does what would have been done if this handler were not there.
///
/// # Safety
/// The arguments are those that the kernel called the handler with.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: by our caller's promise.
    let fault = unsafe { is_fault(info) };
    let previous = PREVIOUS.load(Acquire);
    // SAFETY: null, or leaked on purpose.
    let Some(Previous { action, .. }) = (unsafe { previous.as_ref() }) else { return die(fault) };
    // Of two threads at the same time one is the first.
    if action.sa_flags & libc::SA_RESETHAND != 0 && SPENT.swap(true, AcqRel) {
        return die(fault);
    }
    if action.sa_sigaction == libc::SIG_IGN {
        // A fault can't be ignored: the kernel kills.
        if fault {
            die(fault);
        }
        return;
    }
    let mut mask = action.sa_mask;
    let mut before = MaybeUninit::<sigset_t>::uninit();
    // SAFETY: sets of signals that are valid, or have room for one. The signal itself is blocked while we are here.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask, before.as_mut_ptr());
        if action.sa_flags & libc::SA_NODEFER != 0 && libc::sigismember(&raw const mask, signal) == 0 {
            libc::sigemptyset(&raw mut mask);
            libc::sigaddset(&raw mut mask, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const mask, ptr::null_mut());
        }
    }
    let function = ptr::without_provenance::<()>(action.sa_sigaction);
    // SAFETY: who installed it promised the kernel a function of that signature.
    unsafe {
        if action.sa_flags & libc::SA_SIGINFO == 0 {
            std::mem::transmute::<*const (), extern "C" fn(c_int)>(function)(signal);
        } else {
            let function: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(function);
            function(signal, info, context);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
        stay(action.sa_flags);
    }
}

/// Where the earlier handler has put the default in its place, as that of Rust's library does, it has put it in ours: we come back, and
/// from now on do what is the default.
///
/// # Safety
/// None but that it is called in a handler: it calls only what may be called there.
unsafe fn stay(flags: c_int) {
    let (mut now, ours) = (MaybeUninit::<sigaction>::zeroed(), ours(flags));
    // SAFETY: a null pointer asks for what is there, for which there is room; the action is a valid one.
    unsafe {
        if libc::sigaction(libc::SIGBUS, ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == libc::SIG_DFL
        {
            PREVIOUS.store(ptr::null_mut(), Release);
            libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut());
        }
    }
}

/// Leaves the process to the kernel's default, which ends it, once the handler has returned.
fn die(fault: bool) {
    // SAFETY: all zeros is the default action; `raise` and `sigaction` may be called in handlers.
    unsafe {
        let default = MaybeUninit::<sigaction>::zeroed();
        libc::sigaction(libc::SIGBUS, default.as_ptr(), ptr::null_mut());
        if !fault {
            // A load that failed will fail again, and tell the core dump its address. A signal that was sent has to be sent again.
            libc::raise(libc::SIGBUS);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use crate::registry::Registration;

    /// Addresses that nothing is ever mapped at.
    const BASE: usize = 1 << 61;

    #[test]
    fn a_child_that_was_forked_while_others_opened_views_opens_its_own() {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2_usize {
                let done = &done;
                scope.spawn(move || {
                    while !done.load(Relaxed) {
                        drop(Registration::new(BASE + thread * 8192..BASE + thread * 8192 + 4096));
                    }
                });
            }
            for _ in 0..200 {
                // SAFETY: the child calls nothing but what may be called where other threads held locks: that is what is tested.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    // SAFETY: as above. Should it wait for ever, it is ended.
                    unsafe { libc::alarm(60) };
                    let opened = Registration::new(BASE - 4096..BASE).is_some();
                    // SAFETY: as above.
                    unsafe { libc::_exit(i32::from(!opened)) };
                }
                let mut status = 0;
                // SAFETY: our own child, and room for its status.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                if status != 0 {
                    done.store(true, Relaxed);
                }
                assert_eq!(status, 0, "it waits for a lock that nobody holds");
            }
            done.store(true, Relaxed);
        });
    }
}
