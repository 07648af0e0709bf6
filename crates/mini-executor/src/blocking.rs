//! Calls that block, on threads of their own.
//!
//! A call that computes for long or waits in the kernel would hold its executor's thread, and every other task on it would wait. Here it
//! is handed to a pool, and what comes back is a future. The pool has as many threads as calls block at once, up to 512; a thread
//! that has nothing to do looks out for the next call for 20 us, since waking a thread takes longer than most calls, then
//! sleeps, and leaves after ten seconds.
//!
//! To look out costs CPU, 20 us for each time there is nothing to do. It is what makes a call cheap: there and back it took 643 ns where
//! both sides look out, and 20 us in tokio, whose threads sleep at once (2026-11-21, `cargo xtask compare-runtimes --only
//! offload`). On a machine with one CPU nobody looks out, for that would keep the other from what is waited for.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crate::deterministic::Simulation;
use crate::primitives::unpoisoned;
use crate::strangers::reported;
use crate::task::{Runnable, Task, spawn_at};
use crate::thread::has_several_cpus;
use crate::watchdog;

/// Threads at most.
const MOST_THREADS: usize = 512;
/// How long a thread looks out for the next call, or for the end of one. About what waking a thread on another core costs.
pub(crate) const LOOK_OUT: Duration = Duration::from_micros(20);
/// After so long a thread leaves that had nothing to do.
const IDLE: Duration = Duration::from_secs(10);

/// Runs `call` on a thread where it may block.
///
/// Dropping the handle drops the call if it has not begun; one that has begun goes on, for nothing can stop a thread. Awaiting the handle
/// panics as the call did, and when its runtime was shut down before the call began.
///
/// ```
/// use mini_executor::{block_on, spawn_blocking};
///
/// let contents = block_on(spawn_blocking(|| std::fs::read_to_string("Cargo.toml")));
/// assert!(contents.unwrap().contains("mini-executor"));
/// ```
///
/// # Panics
/// When the system refuses the pool's first thread.
#[track_caller]
pub fn spawn_blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    static POOL: LazyLock<Arc<Pool>> = LazyLock::new(Arc::default);
    match Simulation::current() {
        Some(simulation) => simulation.call(call, Location::caller()),
        None => POOL.call(call, Location::caller()),
    }
}

/// Calls that were handed over and are not done, in the whole process: while there are some, a thread that waits looks out for them.
static OUTSTANDING: AtomicUsize = AtomicUsize::new(0);

/// Calls that were ever handed over. Who has looked out for one in vain waits for the next before he does so again.
static SUBMITTED: AtomicUsize = AtomicUsize::new(0);

/// Whether there are calls that were handed over and are not done.
pub(crate) fn is_any_outstanding() -> bool {
    OUTSTANDING.load(Ordering::Relaxed) > 0
}

/// How many calls were ever handed over.
pub(crate) fn submitted() -> usize {
    SUBMITTED.load(Ordering::Relaxed)
}

/// Threads, and the calls they wait for.
#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// The length of the queue: a look at it that needs no lock.
    queued: AtomicUsize,
    called: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Runnable>,
    threads: usize,
    /// Threads that will look into the queue without being told: they have been started or woken, or look out for calls. Each is good
    /// for one call, for that may last.
    coming: usize,
    /// Threads that sleep and have not been called.
    asleep: usize,
    /// Calls to sleepers that none of them has answered yet.
    called: usize,
    /// Calls that have begun.
    running: Vec<Running>,
    /// No more calls are begun.
    is_closed: bool,
}

/// A call that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) spawned: &'static Location<'static>,
    pub(crate) since: Instant,
    pub(crate) thread: ThreadId,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    /// Has a thread run a call, now or when one is free: a task that is polled once.
    pub(crate) fn call<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce() -> T + Send + 'static,
        spawned: &'static Location<'static>,
    ) -> Task<T> {
        let pool = self.clone();
        let (runnable, task) = spawn_at(spawned, async { call() }, move |call| pool.submit(call));
        runnable.schedule();
        task
    }

    fn submit(self: &Arc<Self>, call: Runnable) {
        OUTSTANDING.fetch_add(1, Ordering::Relaxed);
        SUBMITTED.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            OUTSTANDING.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        state.queue.push_back(call);
        let queued = state.queue.len();
        self.queued.store(queued, Ordering::Release);
        if queued <= state.coming {
            return;
        }
        if state.asleep > 0 {
            // It counts as coming from here on, long before it runs: whoever hands over the next call must not count on it, too.
            state.asleep -= 1;
            state.called += 1;
            state.coming += 1;
            drop(state);
            self.called.notify_one();
        } else if state.threads < MOST_THREADS {
            state.threads += 1;
            state.coming += 1;
            let is_first = state.threads == 1;
            drop(state);
            let pool = self.clone();
            let spawned = std::thread::Builder::new().name("blocking".to_owned()).spawn(move || pool.work());
            if let Err(error) = spawned {
                let mut state = self.state();
                state.threads -= 1;
                state.coming -= 1;
                drop(state);
                // Those there are will come to it.
                assert!(!is_first, "the pool for blocking calls has no thread, and the system refuses one: {error}");
            }
        }
    }

    /// A thread's life.
    fn work(&self) {
        watchdog::register();
        let thread = std::thread::current().id();
        let mut state = self.state();
        loop {
            while let Some(call) = state.queue.pop_front() {
                self.queued.store(state.queue.len(), Ordering::Relaxed);
                state.coming -= 1;
                // For the report at the runtime's end: a call that goes on cannot be stopped, but it can be named.
                let spawned = call.spawned();
                state.running.push(Running { spawned, since: Instant::now(), thread });
                drop(state);
                // Its panic is its outcome; but who awaits it may be a stranger.
                reported(spawned, || _ = call.run());
                OUTSTANDING.fetch_sub(1, Ordering::Relaxed);
                state = self.state();
                state.running.retain(|running| running.thread != thread);
                state.coming += 1;
            }
            if !state.is_closed {
                drop(state);
                self.look_out();
                state = self.state();
            }
            if !state.queue.is_empty() {
                continue;
            }
            state.coming -= 1;
            if state.is_closed {
                state.threads -= 1;
                return;
            }
            state.asleep += 1;
            let is_left_alone = |state: &mut State| state.called == 0 && !state.is_closed;
            let (woken, waited) = unpoisoned(self.called.wait_timeout_while(state, IDLE, is_left_alone));
            state = woken;
            if state.called > 0 {
                state.called -= 1;
                continue;
            }
            state.asleep -= 1;
            if waited.timed_out() {
                state.threads -= 1;
                return;
            }
            state.coming += 1;
        }
    }

    /// Ends: calls that have not begun are dropped, threads leave when they have nothing to do. How many were dropped.
    pub(crate) fn close(&self) -> usize {
        let mut state = self.state();
        state.is_closed = true;
        let dropped = std::mem::take(&mut state.queue);
        self.queued.store(0, Ordering::Relaxed);
        drop(state);
        let count = dropped.len();
        OUTSTANDING.fetch_sub(count, Ordering::Relaxed);
        self.called.notify_all();
        drop(dropped);
        count
    }

    /// Whether there are calls that have not ended, be it that they have not begun.
    pub(crate) fn has_calls(&self) -> bool {
        let state = self.state();
        !state.queue.is_empty() || !state.running.is_empty()
    }

    /// Calls that have begun and not ended.
    pub(crate) fn running(&self) -> Vec<Running> {
        self.state().running.clone()
    }

    /// Waits for the next call without giving the CPU away.
    fn look_out(&self) {
        if !has_several_cpus() {
            return;
        }
        let begin = Instant::now();
        while self.queued.load(Ordering::Acquire) == 0 && begin.elapsed() < LOOK_OUT {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_is_closed_tells_how_many_calls_never_began() {
        let pool: Arc<Pool> = Arc::default();
        // No more threads, and so none.
        pool.state().threads = MOST_THREADS;
        let calls = [0, 1].map(|_| pool.call(|| (), Location::caller()));
        assert!(pool.has_calls());
        assert_eq!(pool.close(), 2);
        assert!(calls.iter().all(Task::is_finished) && !pool.has_calls());
    }

    #[test]
    fn a_closed_pool_does_not_keep_its_idle_threads() {
        let pool: Arc<Pool> = Arc::default();
        let begin = Instant::now();
        crate::block_on(pool.call(|| (), Location::caller()));
        while pool.state().asleep == 0 {
            std::thread::yield_now();
        }
        pool.close();
        while Arc::strong_count(&pool) > 1 {
            std::thread::yield_now();
        }
        assert!(begin.elapsed() < IDLE, "it left for having been idle, and not for the end");
    }
}
