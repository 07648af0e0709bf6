//! Asks a thread what only the thread itself may read: a signal interrupts it, and the handler copies.
//!
//! All `unsafe` of the watchdog is in this file. The handler may have interrupted anything, malloc with its lock held for one. So
//! it calls nothing but one system call, touches memory that was there before, and takes no lock: it and the
//! watchdog pass one buffer to and fro by a word that says whose it is.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};
use std::panic::Location;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::hang::Silence;
use super::watch::{Watch, Who, Word, word};
use crate::places::Place;
use crate::task::TaskRef;

/// How much of a stack is copied, and of a name.
const STACK_WORDS: usize = 64 * 1024 / 8;
const NAME_BYTES: usize = 128;
/// How long a thread has to answer. One that is not scheduled for so long is reported without what it would have said.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a thread said.
#[derive(Debug)]
#[cfg_attr(not(feature = "stacks"), expect(dead_code, reason = "registers and stack are for unwinding"))]
pub(super) struct Captured {
    /// What it polled: the rest is about that.
    pub(super) word: Word,
    pub(super) name: Option<String>,
    pub(super) spawned: Option<&'static Location<'static>>,
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
    stack: [u64; STACK_WORDS],
    stack_length: usize,
}

// SAFETY: the buffer's owner alone touches it, and it is passed on by acquire and release of `STATE`.
unsafe impl Sync for Buffer {}

// SAFETY: integers, an `Option` of one, and words of one integer: nought is a value of each.
static BUFFER: Buffer = Buffer(UnsafeCell::new(unsafe { MaybeUninit::zeroed().assume_init() }));

/// Whose the buffer is: in the low bits one of the following, above them the number of the thread that is asked.
static STATE: AtomicU64 = AtomicU64::new(FREE);
/// The one's who asks: "the watchdog" below.
const FREE: u64 = 0;
/// The handler's as soon as it comes; the watchdog's again if it changes this back to [`FREE`] before.
const ASKED: u64 = 1;
/// The handler's.
const BUSY: u64 = 2;
/// The watchdog's, with an answer in it.
const ANSWERED: u64 = 3;

/// The record of the thread that is asked, and the range of its stack. Written before [`STATE`] says so.
static WATCH: AtomicPtr<Watch> = AtomicPtr::new(null_mut());
static STACK: (AtomicU64, AtomicU64) = (AtomicU64::new(0), AtomicU64::new(0));

const fn state(thread: i32, phase: u64) -> u64 {
    (thread as u64) << 2 | phase
}

/// The signal that the program chose, or one of these.
static CHOSEN: AtomicI32 = AtomicI32::new(ANY);
const ANY: i32 = 0;
const NONE: i32 = -1;
/// The signal that our handler was installed for.
static INSTALLED: AtomicI32 = AtomicI32::new(ANY);

/// Has the watchdog ask hanging threads by this signal; by none if it is `None`, and then reports name neither task nor stack. If
/// this is never called, it takes a real-time signal that has no handler, the last there is.
///
/// A signal that has a handler already when a report is to be made is left alone, and the report says so.
///
/// ```
/// // SIGRTMIN + 3 is 37 with glibc.
/// mini_executor::set_hang_signal(Some(37));
/// ```
pub fn set_hang_signal(signal: Option<c_int>) {
    CHOSEN.store(signal.filter(|signal| *signal > 0).unwrap_or(NONE), Relaxed);
}

/// What lies in a thread's own storage, for others. Whoever has it sees to it that it is gone before the thread is: a
/// [`Who`](super::watch::Who) is taken from its record by a destructor of the thread.
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

/// Where this thread's stack lies; empty if nobody knows.
pub(super) fn thread_stack() -> Range<usize> {
    let mut attributes = MaybeUninit::uninit();
    let (mut start, mut size) = (null_mut(), 0);
    // SAFETY: this thread's handle, and a place for the attributes, which are used only if they were written, and destroyed after.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return 0..0;
        }
        let failed = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size) != 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if failed { 0..0 } else { start.addr()..start.addr() + size }
    }
}

/// Asks a thread. The caller keeps it from ending.
pub(super) fn capture(watch: &'static Watch, who: &Who) -> Result<Captured, Silence> {
    /// Of all who are not handlers: the buffer is for one question at a time.
    static ASKING: Mutex<()> = Mutex::new(());
    let _asking = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    let signal = install()?;
    // A handler that came too late for the last question, and is still at it.
    if !matches!(STATE.load(Acquire) & 3, FREE | ANSWERED) {
        return Err(Silence::NoAnswer);
    }
    WATCH.store(std::ptr::from_ref(watch).cast_mut(), Relaxed);
    STACK.0.store(who.stack.start as u64, Relaxed);
    STACK.1.store(who.stack.end as u64, Relaxed);
    let (asked, answered) = (state(who.id, ASKED), state(who.id, ANSWERED));
    STATE.store(asked, Release);
    // SAFETY: numbers, of this process and a thread of it that does not end. What the signal does is our handler's matter.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), who.id, signal) } == 0;
    let begin = Instant::now();
    while sent && STATE.load(Acquire) != answered && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_micros(100));
    }
    if STATE.compare_exchange(asked, FREE, Relaxed, Relaxed).is_ok() {
        return Err(if sent { Silence::NoAnswer } else { Silence::Refused });
    }
    while STATE.load(Acquire) != answered {
        // It has begun to answer, which takes microseconds unless it is not scheduled.
        if begin.elapsed() > 2 * PATIENCE {
            return Err(Silence::NoAnswer);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    // SAFETY: answered, so the buffer is the watchdog's, and stays so until it asks again.
    let body = unsafe { &*BUFFER.0.get() };
    Ok(Captured {
        word: body.word,
        name: body.name_length.map(|length| String::from_utf8_lossy(&body.name[..length]).into_owned()),
        spawned: body.spawned.location(),
        registers: body.registers,
        stack: body.stack[..body.stack_length].to_vec(),
    })
}

/// The signal to send, with our handler behind it.
fn install() -> Result<c_int, Silence> {
    let installed = INSTALLED.load(Relaxed);
    let candidates = match CHOSEN.load(Relaxed) {
        NONE => return Err(Silence::SignalsOff),
        ANY if installed != ANY && is_ours(installed) => return Ok(installed),
        ANY => libc::SIGRTMIN()..=libc::SIGRTMAX(),
        chosen if is_ours(chosen) => return Ok(chosen),
        chosen => chosen..=chosen,
    };
    // The last: programs count from the first.
    let free = candidates.rev().find(|signal| handler_of(*signal) == Some(libc::SIG_DFL));
    let signal = free.ok_or(Silence::SignalTaken)?;
    // SAFETY: nought is a value of each of its fields.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: a set to fill, and an action with a handler of the type that its flags announce.
    let failed = unsafe {
        libc::sigfillset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, null_mut()) != 0
    };
    if failed {
        return Err(Silence::Refused);
    }
    INSTALLED.store(signal, Relaxed);
    Ok(signal)
}

fn handler_of(signal: c_int) -> Option<usize> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is installed, and the place for what there is is read only if it was written.
    unsafe {
        (libc::sigaction(signal, null(), action.as_mut_ptr()) == 0).then(|| action.assume_init_ref().sa_sigaction)
    }
}

fn is_ours(signal: c_int) -> bool {
    handler_of(signal) == Some(handle as *const () as usize)
}

/// The signal's handler, on the thread that is asked.
extern "C" fn handle(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let me = thread_id();
    // Not if it comes too late, or from somebody else.
    if STATE.compare_exchange(state(me, ASKED), state(me, BUSY), AcqRel, Relaxed).is_err() {
        return;
    }
    // SAFETY: records are never freed, and one was stored there before the question was asked. The buffer is the handler's.
    let (watch, body) = unsafe { (&*WATCH.load(Relaxed), &mut *BUFFER.0.get()) };
    body.word = word();
    (body.name_length, body.spawned) = (None, Place::UNKNOWN);
    if let Some(task) = body.word.task() {
        // SAFETY: it is polled by this very thread, further up the stack, or its future is being dropped there; it lives as
        // long as that.
        let task = unsafe { TaskRef::from_ptr(task) };
        body.spawned = task.record.spawned();
        // What is read here does not change after the task was made.
        body.name_length = task.name().map(|name| {
            let length = name.len().min(NAME_BYTES);
            for (to, from) in body.name.iter_mut().zip(name.bytes()) {
                *to = from;
            }
            length
        });
    } else if body.word.is_block_on() {
        body.spawned = watch.entered();
    }
    // SAFETY: the kernel passes what the thread was doing, in this form, to handlers installed with SA_SIGINFO.
    body.registers = registers(unsafe { &*context.cast::<libc::ucontext_t>() });
    body.stack_length = 0;
    let start = body.registers.stack;
    let (lowest, end) = (STACK.0.load(Relaxed), STACK.1.load(Relaxed));
    // Nothing is copied of a stack that is not the thread's own, a coroutine's for one: where that ends nobody knows.
    if cfg!(feature = "stacks") && start.is_multiple_of(8) && (lowest..end).contains(&start) {
        let words = ((end - start) / 8).min(STACK_WORDS as u64) as usize;
        body.stack_length = copy(start, &mut body.stack[..words]);
    }
    STATE.store(state(me, ANSWERED), Release);
}

/// Copies what lies at `start` on this thread's stack, above the stack pointer; tells how many words of it could be had.
fn copy(start: u64, to: &mut [u64]) -> usize {
    let from = std::ptr::with_exposed_provenance_mut::<u64>(start as usize);
    let bytes = size_of_val(to);
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: bytes };
    let remote = libc::iovec { iov_base: from.cast(), iov_len: bytes };
    // SAFETY: the place of this thread's own.
    let errno = unsafe { *libc::__errno_location() };
    // The kernel does it: what it cannot read is an error, and frames that are suspended are nobody's values to us.
    // SAFETY: one piece each; the kernel writes no more than `bytes` to where we have so much room.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    if let Ok(bytes) = usize::try_from(copied) {
        return bytes / 8;
    }
    // Some sandboxes forbid that, which the thread that was interrupted is not to find in its errno.
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    for (index, to) in to.iter_mut().enumerate() {
        // SAFETY: between the stack pointer and the end of the stack, which is mapped. What lies there may be half written,
        // or not at all, and belongs to frames that are suspended: read as integers, one at a time, and not assumed to make sense.
        *to = unsafe { from.add(index).read_volatile() };
    }
    to.len()
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
