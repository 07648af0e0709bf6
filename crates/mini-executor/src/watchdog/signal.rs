//! Asks a thread what only the thread itself may read: a signal interrupts it, and the handler copies.
//!
//! All `unsafe` of the watchdog is in this file. The handler may have interrupted anything, malloc with its lock held for one. So
//! it calls nothing but two system calls, touches memory that was there before, and takes no lock: it and the
//! watchdog pass one buffer to and fro by a word that says whose it is.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::panic::Location;
use std::ptr::{NonNull, null, null_mut, without_provenance_mut};
use std::sync::Mutex;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use super::watch::{Current, Word, block_on_entered, word};
use crate::places::Place;
use crate::primitives::unpoisoned;
use crate::task::TaskRef;

/// How much of a stack is copied, and of a name.
const STACK_BYTES: usize = 64 * 1024;
const NAME_BYTES: usize = 128;
/// A stack may end before; what lies behind it may not be read. The least page that there is.
const PAGE: usize = 4096;
/// How long a thread has to answer. One that is not scheduled for so long is reported without what it would have said.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a thread said.
#[derive(Debug)]
#[cfg_attr(not(feature = "stacks"), expect(dead_code, reason = "registers and stack are for unwinding"))]
pub(crate) struct Captured {
    /// What it polled: the rest is about that.
    pub(super) word: Word,
    /// The task's name, cut off after 128 bytes.
    pub(crate) name: Option<String>,
    /// Where the task was spawned, or `block_on` called. `None` for a thread that polls neither.
    pub(crate) spawned: Option<&'static Location<'static>>,
    pub(super) registers: Registers,
    /// From the stack pointer on.
    pub(super) stack: Vec<u64>,
}

/// Those that unwinding begins with.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "stacks"), expect(dead_code, reason = "for unwinding"))]
pub(super) struct Registers {
    pub(super) instruction: u64,
    pub(super) stack: u64,
    pub(super) frame: u64,
    /// Where the function returns to, on architectures that keep that in a register.
    #[cfg_attr(not(target_arch = "aarch64"), expect(dead_code, reason = "others keep it on the stack"))]
    pub(super) link: u64,
}

/// The buffer. Whose it is says [`STATE`].
struct Buffer(UnsafeCell<Body>);

struct Body {
    word: Word,
    name: [u8; NAME_BYTES],
    /// `None` for a task without a name.
    name_length: Option<usize>,
    /// A number, for to look the place up takes a lock.
    spawned: Place,
    registers: Registers,
    stack: [u64; STACK_BYTES / 8],
    stack_length: usize,
}

// SAFETY: the buffer's owner alone touches it, and it is passed on by acquire and release of `STATE`.
unsafe impl Sync for Buffer {}

// SAFETY: integers, an `Option` of one, and words of one integer: nought is a value of each.
static BUFFER: Buffer = Buffer(UnsafeCell::new(unsafe { MaybeUninit::zeroed().assume_init() }));

/// Whose the buffer is. While it is the number of a thread, that thread's handler may take it, and the watchdog may take it back.
static STATE: AtomicI32 = AtomicI32::new(FREE);
/// The one's who asks: "the watchdog" here.
const FREE: i32 = 0;
/// The handler's.
const BUSY: i32 = -1;
/// The watchdog's, with an answer in it.
const ANSWERED: i32 = -2;

/// What lies in a thread's own storage, for others. Whoever has it sees to it that it is gone before the thread is: it
/// is taken from the thread's record by a destructor of the thread.
#[derive(Debug)]
pub(super) struct Foreign<T>(NonNull<T>);

// SAFETY: it gives shared references and nothing else.
unsafe impl<T: Sync> Send for Foreign<T> {}

impl<T> Foreign<T> {
    pub(super) fn new(local: &T) -> Self {
        Self(NonNull::from(local))
    }
}

impl<T> Deref for Foreign<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the thread is there, and its storage with it.
        unsafe { self.0.as_ref() }
    }
}

/// The kernel's number of this thread.
pub(super) fn thread_id() -> i32 {
    // SAFETY: it has no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Asks the thread of that number, which has used its word, and which the caller keeps from ending. `None` if it does not answer.
pub(super) fn capture(thread: i32) -> Option<Captured> {
    /// Of all who are not handlers: the buffer is for one question at a time.
    static ASKING: Mutex<()> = Mutex::new(());
    let _asking = unpoisoned(ASKING.lock());
    let signal = free_signal()?;
    if STATE.load(Acquire) == BUSY {
        // A handler that came too late for the last question, and is still at it.
        return None;
    }
    STATE.store(thread, Release);
    // SAFETY: numbers, of this process and a thread of it that does not end. What the signal does is our handler's matter.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, signal) } == 0;
    let begin = Instant::now();
    while STATE.load(Acquire) != ANSWERED {
        let is_late = !sent || begin.elapsed() > PATIENCE;
        let is_taken_back = is_late && STATE.compare_exchange(thread, FREE, Relaxed, Relaxed).is_ok();
        // If it has begun to answer, that takes microseconds, unless it is not scheduled.
        if is_taken_back || begin.elapsed() > 2 * PATIENCE {
            return None;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    // SAFETY: answered, so the buffer is the watchdog's, and stays so until it asks again.
    let body = unsafe { &*BUFFER.0.get() };
    Some(Captured {
        word: body.word,
        name: body.name_length.map(|length| String::from_utf8_lossy(&body.name[..length]).into_owned()),
        spawned: body.spawned.location(),
        registers: body.registers,
        stack: body.stack[..body.stack_length].to_vec(),
    })
}

/// The last real-time signal that has no handler of the program's: programs count from the first. Ours is behind it then.
fn free_signal() -> Option<c_int> {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|signal| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: nothing is installed, and the place for what there is holds a value of each field, written or not.
        let former = unsafe {
            libc::sigaction(*signal, null(), action.as_mut_ptr());
            action.assume_init_mut()
        };
        if former.sa_sigaction != libc::SIG_DFL {
            return former.sa_sigaction == handle as *const () as usize;
        }
        former.sa_sigaction = handle as *const () as usize;
        former.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: a set to fill, and an action with a handler of the type that its flags announce.
        unsafe {
            libc::sigfillset(&raw mut former.sa_mask);
            libc::sigaction(*signal, former, null_mut()) == 0
        }
    })
}

/// The signal's handler, on the thread that is asked.
extern "C" fn handle(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // Not if it comes too late, or from somebody else.
    if STATE.compare_exchange(thread_id(), BUSY, AcqRel, Relaxed).is_err() {
        return;
    }
    // SAFETY: the buffer is the handler's.
    let body = unsafe { &mut *BUFFER.0.get() };
    body.word = word();
    (body.name_length, body.spawned) = (None, Place::UNKNOWN);
    match body.word.current() {
        Current::Task(task) => {
            // SAFETY: it is polled by this very thread, further up the stack, or its future is being dropped there; it lives as
            // long as that.
            let task = unsafe { TaskRef::from_ptr(task) };
            body.spawned = task.record.spawned();
            // What is read here does not change after the task was made.
            body.name_length = task.name().map(|name| {
                let length = name.len().min(NAME_BYTES);
                body.name[..length].copy_from_slice(&name.as_bytes()[..length]);
                length
            });
        }
        Current::BlockOn => body.spawned = block_on_entered(),
        Current::Nothing => {}
    }
    // SAFETY: the kernel passes what the thread was doing, in this form, to handlers installed with SA_SIGINFO.
    body.registers = registers(unsafe { &*context.cast::<libc::ucontext_t>() });
    body.stack_length = if cfg!(feature = "stacks") { copy(body.registers.stack as usize, &mut body.stack) } else { 0 };
    STATE.store(ANSWERED, Release);
}

/// Copies what lies at `start`; tells how many words of it could be had. The kernel does it: what it cannot read it leaves out, and frames
/// that are suspended are nobody's values to us.
fn copy(start: usize, to: &mut [u64]) -> usize {
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: size_of_val(to) };
    // A page each, for what it cannot read all of it does not read.
    let mut from = start;
    let pages: [libc::iovec; STACK_BYTES / PAGE + 1] = std::array::from_fn(|_| {
        let page = libc::iovec { iov_base: without_provenance_mut(from), iov_len: PAGE - from % PAGE };
        from += page.iov_len;
        page
    });
    // SAFETY: the place of this thread's own. Where a sandbox forbids the call, who was interrupted is not to find that there.
    let errno = unsafe { &mut *libc::__errno_location() };
    let outer = *errno;
    // SAFETY: as many pieces as are said; the kernel writes to `to` alone, no more than it takes.
    let copied =
        unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, pages.as_ptr(), pages.len() as u64, 0) };
    *errno = outer;
    usize::try_from(copied).unwrap_or(0) / 8
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let register = |number: c_int| context.uc_mcontext.gregs[number as usize].cast_unsigned();
    Registers {
        instruction: register(libc::REG_RIP),
        stack: register(libc::REG_RSP),
        frame: register(libc::REG_RBP),
        link: 0,
    }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let machine = &context.uc_mcontext;
    Registers { instruction: machine.pc, stack: machine.sp, frame: machine.regs[29], link: machine.regs[30] }
}

/// Elsewhere reports have no stack.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers(_: &libc::ucontext_t) -> Registers {
    Registers { instruction: 0, stack: 0, frame: 0, link: 0 }
}

#[cfg(all(test, not(any(loom, miri))))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_answers_and_one_that_is_none_does_not() {
        let said = capture(thread_id()).unwrap();
        assert_eq!((said.word.current(), said.name, said.spawned), (Current::Nothing, None, None));
        assert_eq!(said.stack.is_empty(), !cfg!(feature = "stacks"));
        assert!(capture(i32::MAX).is_none());
        assert!(capture(thread_id()).is_some(), "who does not answer keeps nobody else from it");
    }

    #[test]
    fn a_stack_is_copied_as_far_as_it_goes() {
        let memory: Vec<u64> = (0..2 * STACK_BYTES as u64 / 8).collect();
        let mut copied = vec![0; STACK_BYTES / 8];
        assert_eq!(copy(memory.as_ptr().addr(), &mut copied), STACK_BYTES / 8);
        assert_eq!(copied, memory[..STACK_BYTES / 8]);
        assert_eq!(copy(16, &mut copied), 0, "nothing lies there");
    }
}
