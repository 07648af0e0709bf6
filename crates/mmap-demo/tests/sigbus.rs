//! The handler beside others: each case in a process of its own, for handlers are the whole process's, and some cases end it.
#![allow(clippy::print_stdout, reason = "a case tells the test how far it came")]

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use libc::{SIGBUS, c_int, c_void, siginfo_t};
use memmap2::{MmapOptions, MmapRaw};
use mmap_demo::{FileView, Method, ViewError, ViewOptions};

/// Runs a case in a process of its own.
fn run(case: &str) -> (ExitStatus, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "case", "--ignored", "--nocapture"])
        .env("SIGBUS_CASE", case)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("begun"), "{case}: {text}");
    (output.status, text)
}

fn survives(case: &str) {
    let (status, text) = run(case);
    assert!(status.success() && text.contains("went well"), "{case}: {status}\n{text}");
}

fn dies(case: &str) {
    let (status, text) = run(case);
    assert_eq!(status.signal(), Some(SIGBUS), "{case}: {status}\n{text}");
    assert!(!text.contains("went well"), "{case}: {text}");
}

#[test]
fn a_foreign_fault_without_a_handler_kills_as_it_would_without_us() {
    dies("default, fault");
    dies("default of the standard library, fault");
}

#[test]
fn a_signal_sent_by_somebody_without_a_handler_kills_too() {
    dies("default, sent");
}

#[test]
fn the_standard_librarys_handler_which_survives_the_first_one_sent_leaves_us_in_place() {
    survives("default of the standard library, sent once");
    dies("default of the standard library, sent twice");
    dies("default of the standard library, sent, then fault");
}

#[test]
fn an_ignored_signal_that_was_sent_is_ignored_and_a_fault_can_not_be() {
    survives("ignored, sent");
    dies("ignored, fault");
}

#[test]
fn an_earlier_handler_gets_foreign_faults_with_their_address_and_none_of_ours() {
    survives("three arguments");
}

#[test]
fn an_earlier_handler_of_one_argument_is_called_with_one() {
    survives("one argument");
}

#[test]
fn an_earlier_handler_runs_with_the_mask_it_asked_for() {
    survives("mask");
}

#[test]
fn an_earlier_handler_for_once_is_called_once() {
    dies("once");
}

#[test]
fn a_mask_that_names_the_signal_itself_blocks_it_whatever_the_flags_say() {
    survives("mask with itself");
}

#[test]
fn a_process_that_may_make_no_mapping_more_gets_its_error() {
    survives("no mapping left");
}

#[test]
fn a_thread_that_blocks_all_signals_gets_its_error() {
    survives("blocked");
}

#[test]
fn the_handler_runs_on_the_threads_alternative_stack_and_without_one() {
    survives("alternative stack");
    survives("no alternative stack");
}

#[test]
fn a_fault_leaves_errno_alone() {
    survives("errno");
}

#[test]
fn a_child_of_a_fork_is_guarded_too() {
    survives("fork");
}

#[test]
#[ignore = "run by the others, in a process of its own"]
#[allow(clippy::too_many_lines, reason = "a paragraph a case")]
fn case() {
    let Ok(case) = std::env::var("SIGBUS_CASE") else { return };
    println!("begun");
    match case.as_str() {
        "default, fault" => {
            install(libc::SIG_DFL, 0, &[]);
            guarded();
            Foreign::new().touch();
        }
        "default of the standard library, fault" => {
            guarded();
            Foreign::new().touch();
        }
        "default, sent" => {
            install(libc::SIG_DFL, 0, &[]);
            guarded();
            send();
        }
        "default of the standard library, sent once" => {
            guarded();
            send();
            guarded();
        }
        "default of the standard library, sent twice" => {
            guarded();
            send();
            guarded();
            send();
        }
        "default of the standard library, sent, then fault" => {
            guarded();
            send();
            guarded();
            Foreign::new().touch();
        }
        "ignored, sent" => {
            install(libc::SIG_IGN, 0, &[]);
            guarded();
            send();
            guarded();
        }
        "ignored, fault" => {
            install(libc::SIG_IGN, 0, &[]);
            guarded();
            Foreign::new().touch();
        }
        "three arguments" => {
            install(three as *const () as usize, libc::SA_SIGINFO, &[]);
            guarded();
            for times in 1..=3 {
                let foreign = Foreign::new();
                foreign.touch();
                assert_eq!((CALLS.load(SeqCst), SEEN.load(SeqCst)), (times, foreign.address()));
                guarded();
                assert_eq!(CALLS.load(SeqCst), times);
            }
            send();
            assert_eq!(CALLS.load(SeqCst), 4, "what was sent is no fault of ours either");
        }
        "one argument" => {
            install(one as *const () as usize, 0, &[]);
            guarded();
            let foreign = Foreign::new();
            SEEN.store(foreign.address(), SeqCst);
            foreign.touch();
            assert_eq!(CALLS.load(SeqCst), 1);
        }
        "mask" => {
            install(three as *const () as usize, libc::SA_SIGINFO | libc::SA_NODEFER, &[libc::SIGUSR1]);
            guarded();
            Foreign::new().touch();
            assert_eq!((USR1_BLOCKED.load(SeqCst), BUS_BLOCKED.load(SeqCst)), (true, false));
            assert!(!is_blocked(libc::SIGUSR1) && !is_blocked(SIGBUS), "and then it is as it was");
            guarded();
        }
        "mask with itself" => {
            install(three as *const () as usize, libc::SA_SIGINFO | libc::SA_NODEFER, &[SIGBUS]);
            guarded();
            Foreign::new().touch();
            assert!(BUS_BLOCKED.load(SeqCst));
            guarded();
        }
        "no mapping left" => {
            let (view, _file) = cut_view();
            let all = every_mapping();
            assert!(matches!(view.read_at(&mut [0; 9], 50_000), Err(ViewError::Truncated { now: 0, .. })));
            drop(all);
            guarded();
        }
        "once" => {
            install(three as *const () as usize, libc::SA_SIGINFO | libc::SA_RESETHAND, &[]);
            guarded();
            Foreign::new().touch();
            guarded();
            assert_eq!(CALLS.load(SeqCst), 1);
            Foreign::new().touch();
        }
        "blocked" => {
            std::thread::spawn(|| {
                block_all();
                guarded();
            })
            .join()
            .unwrap();
        }
        "alternative stack" => {
            install(three as *const () as usize, libc::SA_SIGINFO, &[]);
            guarded();
            let stack = vec![0_u8; 64 << 10];
            let begin = stack.as_ptr().expose_provenance();
            let range = begin..begin + stack.len();
            std::thread::spawn(move || {
                let new = libc::stack_t {
                    ss_sp: ptr::with_exposed_provenance_mut(range.start),
                    ss_flags: 0,
                    ss_size: range.len(),
                };
                let mut old = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
                // SAFETY: the memory outlives the thread, which is joined below, and nobody else uses it.
                assert_eq!(unsafe { libc::sigaltstack(&raw const new, &raw mut old) }, 0);
                guarded();
                Foreign::new().touch();
                assert!(range.contains(&FRAME.load(SeqCst)), "it ran elsewhere");
                // SAFETY: the one that the standard library will free when the thread ends.
                unsafe { libc::sigaltstack(&raw const old, ptr::null_mut()) };
            })
            .join()
            .unwrap();
            drop(stack);
        }
        "no alternative stack" => {
            std::thread::spawn(|| {
                let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                let mut old = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
                // SAFETY: without one the handler runs on the thread's own stack.
                assert_eq!(unsafe { libc::sigaltstack(&raw const none, &raw mut old) }, 0);
                guarded();
                // SAFETY: the one that the standard library will free when the thread ends.
                unsafe { libc::sigaltstack(&raw const old, ptr::null_mut()) };
            })
            .join()
            .unwrap();
        }
        "errno" => {
            let (view, file) = cut_view();
            // SAFETY: the thread's own.
            let errno = unsafe { libc::__errno_location() };
            // SAFETY: as above; no call in between but those of the handler.
            let after = unsafe {
                *errno = 77;
                let first = view.bytes().unwrap().as_ptr().read_volatile();
                (first, *errno)
            };
            assert_eq!((after, view.is_whole()), ((0, 77), false));
            drop(file);
        }
        "fork" => {
            let (view, _file) = cut_view();
            // SAFETY: the child copies, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let lost = view.read_at(&mut [0; 9], 0).is_err();
                // SAFETY: it ends the child at once, without what belongs to the parent.
                unsafe { libc::_exit(i32::from(!lost)) };
            }
            let mut status = 0;
            // SAFETY: our own child.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
            assert!(view.is_whole(), "the child's memory is its own");
            assert!(view.read_at(&mut [0; 9], 0).is_err());
        }
        case => panic!("no case {case:?}"),
    }
    println!("went well");
}

fn cut_view() -> (FileView, File) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(100_000).unwrap();
    let view = ViewOptions::new().method(Method::Map).of(file.try_clone().unwrap()).unwrap();
    file.set_len(0).unwrap();
    (view, file)
}

/// Makes as many mappings as the kernel allows a process.
fn every_mapping() -> MmapRaw {
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let pages = 2 * most.trim().parse::<usize>().unwrap();
    let all = MmapRaw::from(MmapOptions::new().len(pages * 4096).no_reserve_swap().map_anon().unwrap());
    // Neighbours of which one may be read only are mappings apart.
    let begin = all.as_mut_ptr();
    let made = (1..pages).step_by(2).take_while(|&page| {
        // SAFETY: a page of the mapping that was just made, to which nobody has a reference.
        unsafe { libc::mprotect(begin.add(page * 4096).cast(), 4096, libc::PROT_READ) == 0 }
    });
    assert!(made.count() < pages / 2, "as many as one likes");
    all
}

/// A view that is cut gives its error.
fn guarded() {
    let (view, _file) = cut_view();
    assert!(matches!(view.read_at(&mut [0; 9], 50_000), Err(ViewError::Truncated { now: 0, .. })));
}

/// A mapping of somebody else's, whose file was cut.
struct Foreign(MmapRaw, #[allow(dead_code, reason = "it holds the file")] File);

impl Foreign {
    fn new() -> Self {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let map = MmapOptions::new().map_raw_read_only(&file).unwrap();
        file.set_len(0).unwrap();
        Self(map, file)
    }

    fn address(&self) -> usize {
        self.0.as_ptr() as usize + 4096
    }

    fn touch(&self) {
        // SAFETY: within the mapping; what the fault does is what is tested.
        assert_eq!(unsafe { self.0.as_ptr().add(4096).read_volatile() }, 0);
    }
}

static CALLS: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicUsize = AtomicUsize::new(0);
static FRAME: AtomicUsize = AtomicUsize::new(0);
static USR1_BLOCKED: AtomicBool = AtomicBool::new(false);
static BUS_BLOCKED: AtomicBool = AtomicBool::new(false);

/// A handler of a program of its own: it repairs the fault and remembers how it was called.
extern "C" fn three(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let here = 0_u8;
    FRAME.store(&raw const here as usize, SeqCst);
    USR1_BLOCKED.store(is_blocked(libc::SIGUSR1), SeqCst);
    BUS_BLOCKED.store(is_blocked(SIGBUS), SeqCst);
    CALLS.fetch_add(1, SeqCst);
    // SAFETY: the kernel's, passed on.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    assert!(signal == SIGBUS && !context.is_null());
    if code > 0 {
        SEEN.store(address, SeqCst);
        repair(address);
    }
}

extern "C" fn one(signal: c_int) {
    assert_eq!(signal, SIGBUS);
    CALLS.fetch_add(1, SeqCst);
    repair(SEEN.load(SeqCst));
}

fn repair(address: usize) {
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let page = (address & !4095) as *mut c_void;
    // SAFETY: a page of `Foreign`'s mapping.
    assert_ne!(unsafe { libc::mmap(page, 4096, libc::PROT_READ, flags, -1, 0) }, libc::MAP_FAILED);
}

fn install(handler: usize, flags: c_int, mask: &[c_int]) {
    // SAFETY: all zeros is a valid action; the handlers have the signatures that the flags say.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        for &signal in mask {
            libc::sigaddset(&raw mut action.sa_mask, signal);
        }
        assert_eq!(libc::sigaction(SIGBUS, &raw const action, ptr::null_mut()), 0);
    }
}

fn send() {
    // SAFETY: to ourselves.
    unsafe { libc::raise(SIGBUS) };
}

fn is_blocked(signal: c_int) -> bool {
    // SAFETY: asks for the mask, for which there is room.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask);
        libc::sigismember(&raw const mask, signal) == 1
    }
}

fn block_all() {
    // SAFETY: a full set is a valid one.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        assert_eq!(libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut()), 0);
    }
}
