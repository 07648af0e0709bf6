//! Hangs explained: which task holds its thread, for how long, and doing what.
//!
//! Tasks share a thread by giving it back. One that does not, because it computes for long or calls something that blocks, stops every
//! other task there, timers and sockets too, and nothing says so: the program is just slow. Here a thread of its own looks
//! at all threads that run tasks, and tells the [hook](set_hang_hook) of every poll that lasts longer than a
//! [threshold](set_hang_threshold), 100 ms unless it is set.
//!
//! `cargo run -p mini-executor --example hang` shows what it says.
//!
//! | file | its one subject |
//! |---|---|
//! | `watch` | the word in which a thread says what it polls; begin here |
//! | `sampler` | the watchdog's own thread: it looks, keeps the time, and sleeps while there is nothing to look at |
//! | `kernel` | what the kernel says about a thread: computing, in which system call, not scheduled |
//! | `signal` | asks the thread itself: the task's name, registers, a copy of its stack |
//! | `stack` | makes names and lines of that copy |
//! | `hang` | the report, the thread that makes it, for that takes time, and the hook it goes to |
//!
//! # How it works
//! A thread that begins a poll stores one word, the task's address with a count of polls above it, and stores what was there
//! before, with another count, when the poll is over. It reads no clock, for that would cost 10 to 23 ns. The watchdog looks at the words ten times in a threshold.
//! A word that stays the same is one poll, however short or often the polls of that task are, for the count goes up with each. The
//! time is the sum of what the watchdog slept between two looks, and no single sleep counts for more than twice what was asked
//! for: a process that was stopped, or a machine that was suspended, finds no hang when it goes on.
//!
//! When a poll has lasted too long, the watchdog first asks the kernel (`/proc/self/task`) what the thread is doing. Then it sends the
//! thread a signal, whose handler copies what only that thread may safely read: name and place of the task, which lives at least
//! as long as its poll; registers; at most 64 KiB of stack. The handler allocates nothing and takes no lock. The watchdog waits for it
//! up to 200 ms, and hands all to a second thread, which unwinds the copy at leisure. It reports a poll once, and again each time its duration has doubled.
//!
//! # What it costs
//! Two stores and one load a poll, all to one word of the thread's own. One store would do for a task that never leaves its
//! thread; with the second, a word names a task exactly while it is polled, hence alive, and that is what allows the signal's handler to
//! read its name, wherever it runs next. Minima of six times 40 runs, before and after, on a shared 2-core machine, 2026-11-21:
//!
//! | workload | without | with | difference |
//! |---|---|---|---|
//! | `yield/many`: 1,000 tasks | 9.8 ns | 10.3 ns | 0.5 ns (0.8 to the best run) |
//! | `yield/one`: one task | 9.9 ns | 10.9 ns | 1.0 ns |
//!
//! A turn of `block_on` costs a store more, and a look whether the watchdog sleeps. The watchdog looks at each thread in `block_on` with
//! a lock and a load, a hundred times a second at 100 ms. While all threads sleep it does so, too, and the first
//! thread that runs something wakes it, with one system call. For a report it reads the program's symbols, from
//! its files, which takes longer the larger they are: up to a second in a debug build, on a thread that starts with the first hang. Without the feature `stacks` it does not,
//! and five crates less are built.
//!
//! # What it may change in a program
//! The signal is sent to a thread that has already hung, once for each report, and to one that keeps its runtime from ending. It is a real-time signal that has no
//! handler of the program's own, the last there is: programs count from the first.
//! System calls that it interrupts go on by themselves (`SA_RESTART`), except those that never do, with any handler, see signal(7):
//! `poll`, `select`, `epoll_wait`, `nanosleep`, `clock_nanosleep`, `sigtimedwait`, `semtimedop`, `msgrcv`, `io_getevents`, and
//! reading, writing, accepting and connecting on a socket with a time-out of its own (`SO_RCVTIMEO`, `SO_SNDTIMEO`). They fail with `EINTR`,
//! which Rust's own library handles where it calls them: [`std::thread::sleep`] sleeps on.
//!
//! The handler has the kernel copy the stack (`process_vm_readv`, of the process's own memory): where a sandbox forbids that, reports come
//! without.
//!
//! # What it does not see
//! A poll that is over before the watchdog comes to look at it is not reported: thresholds are kept with a tenth of their
//! length. Threads that run a [`LocalExecutor`](crate::LocalExecutor) under another library's `block_on` are not looked at. A
//! poll that runs other executors' tasks inside counts anew after each of them. A thread that blocks the signal, or is
//! stuck in the kernel where no signal reaches, is reported without task and stack.

mod hang;
mod kernel;
mod sampler;
mod signal;
#[cfg(all(feature = "stacks", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod stack;
#[cfg(not(all(feature = "stacks", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod stack {
    pub(crate) fn frames(_: &super::Captured) -> Vec<String> {
        Vec::new()
    }
}
mod watch;

pub use hang::{Hang, set_hang_hook};
pub use kernel::Activity;
pub(crate) use sampler::ask;
pub use sampler::set_hang_threshold;
pub(crate) use signal::Captured;
pub(crate) use stack::frames;
pub(crate) use watch::{
    Current, Entry, begin, block_on_awaited, block_on_entered, current, register, set_block_on_awaits,
};
