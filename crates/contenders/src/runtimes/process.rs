//! A process per job: forked, its result comes back through a page that both share.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::{Runtime, one};
use crate::capability::Jobs;
use crate::workloads::{OnProcesses, offer};

pub(super) const RUNTIME: Runtime =
    Runtime { name: "process", version: "fork(2)", threads: one, offer: offer::<OnProcesses> };

const PAGE: NonZeroUsize = NonZeroUsize::new(4096).expect("not 0");

/// The job-runner behind it. This process never has more than one thread, which is what makes fork safe.
pub(crate) struct Processes;

/// A running child and the page its result comes back in.
pub(crate) struct Forked {
    child: Pid,
    slot: SharedSlot,
}

impl Jobs for Processes {
    type Handle = Forked;

    fn start() -> io::Result<()> {
        Ok(())
    }

    fn at_once() -> Option<usize> {
        None
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> Forked {
        let slot = SharedSlot::new().expect("a page can be mapped");
        // SAFETY: fork is sound in a process of one thread, and this contender makes none. The child runs the job and leaves
        // by `_exit`, so no destructor, no buffer and no exit handler of the parent's runs twice.
        match unsafe { fork() }.expect("a process can be forked") {
            ForkResult::Parent { child } => Forked { child, slot },
            ForkResult::Child => {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                let code = match done {
                    Ok(result) => {
                        slot.get().store(result, Ordering::Release);
                        0
                    }
                    Err(_) => 101,
                };
                // SAFETY: `_exit` ends the process without running anything.
                unsafe { nix::libc::_exit(code) }
            }
        }
    }

    fn join(handle: Forked) -> u64 {
        let ended = waitpid(handle.child, None).expect("the child is ours and not yet waited for");
        assert!(matches!(ended, WaitStatus::Exited(_, 0)), "a job's process failed: {ended:?}");
        handle.slot.get().load(Ordering::Acquire)
    }
}

/// A page that parent and child share, with one number in it.
struct SharedSlot(NonNull<AtomicU64>);

impl SharedSlot {
    fn new() -> nix::Result<Self> {
        // SAFETY: an anonymous mapping at an address of the kernel's choosing touches no memory that is in use.
        let page =
            unsafe { mmap_anonymous(None, PAGE, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED) }?;
        Ok(Self(page.cast()))
    }

    fn get(&self) -> &AtomicU64 {
        // SAFETY: the page is mapped until `drop`, aligned to 4096, zeroed by the kernel (a valid `AtomicU64`), and only ever
        // accessed atomically.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedSlot {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nobody borrows from it any more.
        // A failure leaves a page mapped, no more.
        let _ = unsafe { munmap(self.0.cast(), PAGE.get()) };
    }
}
