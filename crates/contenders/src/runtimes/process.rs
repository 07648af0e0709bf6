//! A process per job: forked, its result comes back through memory that both share.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::{Runtime, one};
use crate::capability::Jobs;
use crate::workloads::{OnProcesses, offer};

pub(super) const RUNTIME: Runtime =
    Runtime { name: "process", version: "fork(2)", tags: &[], threads: one, offer: offer::<OnProcesses<Processes>> };

/// The job-runner behind it. This process never has more than one thread, which is what makes fork safe.
struct Processes;

/// A running child and the place its result comes back to.
struct Forked {
    child: Pid,
    place: &'static Place,
}

impl Jobs for Processes {
    type Handle = Forked;

    fn start() -> io::Result<()> {
        if PLACES.get().is_none() {
            let _ = PLACES.set(shared_places()?);
        }
        Ok(())
    }

    fn at_once() -> Option<usize> {
        None
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> Forked {
        let place = Place::claim();
        // SAFETY: fork is sound in a process of one thread, and this contender makes none. The child runs the job and leaves
        // by `_exit`, so no destructor, no buffer and no exit handler of the parent's runs twice.
        match unsafe { fork() }.expect("a process can be forked") {
            ForkResult::Parent { child } => Forked { child, place },
            ForkResult::Child => {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                let code = match done {
                    Ok(result) => {
                        place.result.store(result, Ordering::Release);
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
        let result = handle.place.result.load(Ordering::Acquire);
        handle.place.taken.store(false, Ordering::Release);
        result
    }
}

/// Where a child puts its result. All processes of the tree see the same places: a fork shares them, and who claims one does
/// so atomically, so that a forked job can fork jobs itself.
struct Place {
    taken: AtomicBool,
    result: AtomicU64,
}

/// How many results can be outstanding at once.
const PLACES_COUNT: usize = 1 << 15;

static PLACES: OnceLock<&'static [Place]> = OnceLock::new();
/// Where this process looks for a free place first. Its children begin where it was, and move on from what is taken.
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn claim() -> &'static Self {
        let places = PLACES.get().expect("start() came first");
        for _ in 0..2 * PLACES_COUNT {
            let place = &places[NEXT.fetch_add(1, Ordering::Relaxed) % PLACES_COUNT];
            if !place.taken.swap(true, Ordering::Acquire) {
                return place;
            }
        }
        panic!("{PLACES_COUNT} jobs are out and none has been joined");
    }
}

/// One mapping for all: with one a job, every fork would copy the description of thousands.
fn shared_places() -> io::Result<&'static [Place]> {
    let bytes = NonZeroUsize::new(PLACES_COUNT * size_of::<Place>()).expect("not 0");
    // SAFETY: an anonymous mapping at an address of the kernel's choosing touches no memory that is in use.
    let mapping =
        unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED) }?;
    // SAFETY: the mapping has this size, is page-aligned, is never unmapped, and starts as zeros, which are valid atomics. All
    // access, in every process, is atomic.
    Ok(unsafe { std::slice::from_raw_parts(mapping.cast::<Place>().as_ptr(), PLACES_COUNT) })
}
