//! The workloads: one file each, one line in the list.
//!
//! Every contender does the same work: `ops` operations an iteration and the same checksum of one iteration, computed from
//! the work's results with wrapping 64-bit arithmetic. `mix(seed, i)` is `SplitMix64`'s finaliser over `seed + i * GOLDEN`, see
//! [`mix`]; `chain(x, s)` applies `s` dependent steps to `x`, see [`chain`].
//!
//! | workload | parameters | one operation | checksum |
//! |---|---|---|---|
//! | `spawn-join/one-by-one` | `n` units | spawn a unit that returns `mix(seed, i)`, join it, then the next | sum of the results |
//! | `spawn-join/batch` | `n` units | the same, but all are spawned before the first is joined | sum of the results |
//! | `spawn-join/compute-10us`, `-100us`, `-1ms` | `n` jobs of `steps` steps | one by one, each returns `chain(mix(seed, i), steps)`; a step is about 1 ns | sum of the results |
//! | `spawn-join/sleep-1ms` | `n` jobs that sleep `sleep_us` us | one by one, each sleeps, then returns `mix(seed, i)` | sum of the results |
//! | `skynet` | `levels` | a unit, of which each makes ten below it and adds up their results, down so many levels; the last return `mix(seed, i)`. The outermost is made too where units are tasks | sum of `mix(seed, i)` over the last level |
//! | `yield/one` | `n` yields | one unit yields with nobody else to run | sum of `mix(seed, i)`, one a yield |
//! | `yield/many` | `tasks` units, `n` yields each | all live at once; making them is not timed | sum of every unit's `mix(seed, unit)` |
//! | `ping-pong/channel` | `n` round trips | a number goes to the other unit over a channel of capacity 1, is mixed, comes back | the number after `n` trips from `seed` |
//! | `ping-pong/park` | `n` round trips | two units wake each other in turn; whoever has the turn mixes a shared number | the number after `2 n` turns from `seed` |
//! | `ping-pong/pipe` | `n` round trips | a byte goes over one pipe and comes back, one larger, over another | sum of the bytes that come back |
//! | `ping-pong/pipe-ballast` | `n` round trips, `ballast_mib` | the same between processes that each have so much memory in use | as above |
//! | `channel/one-to-one`, `/fan-in`, `/fan-out` | `n` messages, `units` | `mix(seed, i)` is sent and received over unbounded channels of the runtime's own: by one sender to one receiver; by `units` senders (each every `units`th) to one; by one to `units` receivers in turn, each with its own channel | sum of the messages |
//! | `channel/bounded` | `n`, `capacity` | one-to-one over a channel that holds `capacity` messages | sum |
//! | `channel/shared` | `n` | one-to-one over tokio's unbounded channel, whatever the runtime | sum |
//! | `mutex/uncontended` | `n` | one unit takes its runtime's lock, mixes the number in it (`mix(number, 1)`), lets go | the number after `n` times from `seed` |
//! | `mutex/waiters-8`, `-64` | `n`, `units` | `units` units take turns, `n` in all, and yield while they hold the lock. Value `fairness`: Jain's index of their shares | as above |
//! | `timers/fire` | `n` timers, `span_ms` | a unit sleeps until 30 ms + `mix(seed, i)` ns modulo the span after the beginning. `latency`: how late each was | sum of `mix(seed, i)` |
//! | `timers/fire-late` | as `timers/fire` | the same, of timers that may be late by 1 ms, where the runtime offers such | as `timers/fire` |
//! | `timers/cancel`, `-earliest` | `n` | a timer in 50 s is armed and dropped, while one in 20 s stays armed; or while no other is | sum of `mix(seed, i)` |
//! | `tcp-echo/1`, `/100`, `/1000` | `n` requests, `connections` | the server sends a message of 64 bytes back; every connection has one outstanding | sum of `mix(seed, i)` |
//! | `tcp-echo/open-rate`, `-50`, `-80` | `n`, `connections`, `rate_per_s` or `capacity_permille` | the same on a fixed schedule; latency counts from when a request was due | as above |
//! | `offload/round-trip` | `n` | a call that returns `mix(seed, i)` goes to the pool for blocking calls (or to a new thread, or a pool) and comes back | sum of the results |
//! | `offload/ticker` | as `blocked-loop` | the hog computes in the pool for blocking calls | as `blocked-loop` |
//! | `fork-join/sum` | `len` numbers in `parts` parts | the sum of `chain(mix(seed, i), 4)` over all `i < len` | the sum |
//! | `fork-join/fib` | `n`, `cutoff` | Fibonacci by recursion: each call above the cutoff forks one of its two | `fib(n) + seed` |
//! | `blocked-loop` | `period_us`, `hog_ms` | a tick of a ticker with `hog_ms / period + 6` ticks on a fixed schedule, beside a unit that starts after two and a half periods and computes for `hog_ms` without yielding. `latency`: how late each tick was; value `worst_lateness_ns` | sum of `mix(seed, tick)` |
//! | `fairness/sibling` | `most_turns` | a unit yields until its sibling, ready from the start, has run. Value `turns_before_sibling` | `mix(seed, 1)` |
//! | `fairness/timer`, `/pipe` | `spin_ms`, `due_ms`, `times` | a unit yields for `spin_ms`; another waits for a timer, or for a byte in a pipe, that is due meanwhile: `times` times over. Value `lateness_ns`, the median | `mix(seed, 1)` |
//! | `panic/joined`, `/detached` | none | a unit panics in a process of its own. Values, 0 or 1: `told` (anybody but a reader of stderr), `process_lives`, `runtime_lives` | `mix(seed, 1)` |
//! | `cancel/pending` | `n` | a unit that waits for ever is ended, and its destructor runs; making them is not timed | sum of `mix(seed, i)`, added by the destructors |
//! | `cancel/shutdown` | `stuck_ms` | the runtime is dropped while a blocking call sleeps for `stuck_ms`. Value `shutdown_ns` | `mix(seed, 1)` |
//! | `context` | `units`, `turns` | `units` units put their number into a thread-local and into a context variable, and look at both after each of `turns` yields. Values, shares of the units: `local_mixed`, `variable_mixed` (saw another's number), `variable_lost` (was not born with its maker's) | `mix(seed, 1)` |
//! | `memory/pending`, `/sleeping` | `n` | `n` units wait for ever, or sleep. Values `bytes` (resident, kernel stacks and page tables), `kernel_bytes`; one iteration a process | `mix(seed, 1)` |
//! | `oversubscription/sum` | `len`, `threads_per_core` | a sum as in `fork-join/sum`, shared by `threads_per_core` threads a CPU of the mask; making them is not timed | the sum |
//! | `oversubscription/wait` | `len`, `threads_per_core`, `wait_us` | the same threads wait for `wait_us`, `len` times a CPU in all, and compute the sum | the sum |
//! | `mixed/0`, `/50`, `/100` | as `tcp-echo/open-rate`, `cpu_percent`, `slice_us` | the server's runtime has a unit that computes for `slice_us` in one go and `cpu_percent` of its time: from the block's first answer to its last | as `tcp-echo` |
//! | `foreign-wake` | `n` | a thread that is none of the runtime's wakes a unit, which mixes a number and wakes the thread | the number after `n` times from `seed` |
//! | `probe/cpu`, `/alloc`, `/thread`, `/pipe`, `/overhead` | `slowdown_permille` | a known piece of work, and that many thousandths of it again for free | known |
//!
//! The test vectors stand in `experiments::vectors`; `cargo xtask contender check` holds any program against them.

#![allow(clippy::unnecessary_wraps, reason = "workloads answer and play in one shape, be there a refusal in it or not")]

mod blocked_loop;
mod cancel;
mod channel;
mod context;
mod epoll_echo;
mod fairness;
mod foreign_wake;
mod fork_join;
mod memory;
mod mixed;
mod mutex;
mod offload;
mod oversubscription;
mod panics;
mod ping_pong;
pub mod probe;
mod skynet;
mod spawn_join;
mod tcp_echo;
mod timers;
mod yields;

use std::marker::PhantomData;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};

use crate::capability::{Jobs, Tasks, Threads};

/// Sets a workload up from parameters and a seed: starts the runtime, checks the parameters.
pub type Setup = Box<dyn FnOnce(&Params, u64) -> Result<Box<dyn Prepared>, Refusal>>;
/// A workload's answer to a kind of runtime: how to set it up, or why it has no such thing.
pub type Answer = Result<Setup, Refusal>;

/// Is shown a workload's names and its answer to them.
type Visit<'a> = &'a mut dyn FnMut(&'static [&'static str], fn(&str) -> Answer);

/// The list: a workload's file appears here and nowhere else.
fn each<F: Family>(visit: Visit<'_>) {
    visit(spawn_join::SpawnJoin::NAMES, F::offer::<spawn_join::SpawnJoin>);
    visit(skynet::Skynet::NAMES, F::offer::<skynet::Skynet>);
    visit(yields::Yields::NAMES, F::offer::<yields::Yields>);
    visit(ping_pong::PingPong::NAMES, F::offer::<ping_pong::PingPong>);
    visit(channel::Channel::NAMES, F::offer::<channel::Channel>);
    visit(mutex::Mutex::NAMES, F::offer::<mutex::Mutex>);
    visit(timers::Timers::NAMES, F::offer::<timers::Timers>);
    visit(tcp_echo::TcpEcho::NAMES, F::offer::<tcp_echo::TcpEcho>);
    visit(offload::Offload::NAMES, F::offer::<offload::Offload>);
    visit(blocked_loop::BlockedLoop::NAMES, F::offer::<blocked_loop::BlockedLoop>);
    visit(fairness::Fairness::NAMES, F::offer::<fairness::Fairness>);
    visit(panics::Panic::NAMES, F::offer::<panics::Panic>);
    visit(context::Follows::NAMES, F::offer::<context::Follows>);
    visit(cancel::Cancel::NAMES, F::offer::<cancel::Cancel>);
    visit(memory::Memory::NAMES, F::offer::<memory::Memory>);
    visit(fork_join::ForkJoin::NAMES, F::offer::<fork_join::ForkJoin>);
    visit(oversubscription::Oversubscription::NAMES, F::offer::<oversubscription::Oversubscription>);
    visit(mixed::Mixed::NAMES, F::offer::<mixed::Mixed>);
    visit(foreign_wake::ForeignWake::NAMES, F::offer::<foreign_wake::ForeignWake>);
    visit(probe::Probe::NAMES, F::offer::<probe::Probe>);
}

/// A family of workloads in a file: what each kind of runtime makes of it.
trait Workload {
    /// Its variants' names.
    const NAMES: &'static [&'static str];

    /// On an async runtime.
    fn on_tasks<R: Tasks>(name: &str) -> Answer;

    /// On something that runs closures.
    fn on_jobs<R: Jobs>(name: &str) -> Answer;

    /// On units that block: threads of the operating system, stackful coroutines.
    fn on_threads<R: Threads>(name: &str) -> Answer {
        Self::on_jobs::<R>(name)
    }

    /// On processes.
    fn on_processes<R: Jobs>(name: &str) -> Answer {
        Self::on_jobs::<R>(name)
    }

    /// On rayon.
    fn on_rayon(name: &str) -> Answer;

    /// On scoped threads.
    fn on_scope(_: &str) -> Answer {
        Err(Refusal::unsupported("scoped threads do here what `thread` does: the scope adds the join, nothing else"))
    }

    /// By hand.
    fn on_floor<R: Tasks>(name: &str) -> Answer {
        Self::on_tasks::<R>(name)
    }

    /// On the self-test's probe.
    fn on_probe(_: &str) -> Answer {
        Err(Refusal::unsupported("the probe does its own work alone"))
    }
}

/// A kind of runtime: picks its method of a workload.
pub trait Family {
    /// The workload's answer.
    ///
    /// # Errors
    /// `unsupported`, where this kind of runtime has no such thing.
    #[expect(private_bounds, reason = "workloads are this module's own; runtimes only name the family")]
    fn offer<W: Workload>(name: &str) -> Answer;
}

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident $(<$runtime:ident: $bound:ident>)? => $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $family$(<$runtime>(PhantomData<$runtime>))?;

        impl$(<$runtime: $bound>)? Family for $family$(<$runtime>)? {
            #[expect(private_bounds, reason = "as in the trait")]
            fn offer<W: Workload>(name: &str) -> Answer {
                W::$method$(::<$runtime>)?(name)
            }
        }
    )*};
}

families! {
    /// Async runtimes.
    OnTasks<R: Tasks> => on_tasks;
    /// Things that run closures.
    OnJobs<R: Jobs> => on_jobs;
    /// Units that block: threads of the operating system, stackful coroutines.
    OnThreads<R: Threads> => on_threads;
    /// Processes.
    OnProcesses<R: Jobs> => on_processes;
    /// rayon.
    OnRayon => on_rayon;
    /// Scoped threads.
    OnScope => on_scope;
    /// The hand-written floor.
    OnFloor<R: Tasks> => on_floor;
    /// The self-test's probe.
    OnProbe => on_probe;
}

/// A runtime's answer to a workload's name.
///
/// # Errors
/// `unsupported`, with the sentence that its cell will carry.
pub fn offer<F: Family>(name: &str) -> Answer {
    let mut answer = None;
    each::<F>(&mut |names, offer| {
        if names.contains(&name) {
            answer = Some(offer(name));
        }
    });
    answer.unwrap_or_else(|| Err(Refusal::unsupported(format!("there is no workload {name:?}"))))
}

/// The names of all workloads.
pub fn names() -> Vec<&'static str> {
    let mut all = Vec::new();
    each::<OnProbe>(&mut |names, _| all.extend_from_slice(names));
    all
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// `SplitMix64`'s finaliser (Steele, Lea, Flood 2014) over the `index`th state after `seed`.
pub fn mix(seed: u64, index: u64) -> u64 {
    let mut mixed = seed.wrapping_add(index.wrapping_mul(GOLDEN));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `steps` dependent multiplications and rotations of `value`: nothing in it can run in parallel or be left out.
pub fn chain(value: u64, steps: u64) -> u64 {
    (0..steps).fold(value, |value, _| value.wrapping_mul(GOLDEN).rotate_left(23))
}

/// The part of `0..len` that is the `part`th of `parts`.
fn part_of(len: u64, part: u64, parts: u64) -> std::ops::Range<u64> {
    // 128 bits: the product may not fit 64.
    let edge = |part: u64| (u128::from(len) * u128::from(part) / u128::from(parts)) as u64;
    edge(part)..edge(part + 1)
}

/// The work of `fork-join/sum` and `oversubscription/sum` over a range.
fn sum_of(seed: u64, range: std::ops::Range<u64>) -> u64 {
    range.fold(0, |sum: u64, index| sum.wrapping_add(chain(mix(seed, index), 4)))
}

/// A workload that runs so many iterations, given as a closure.
struct Repeat<F>(F);

impl<F: FnMut(u64, &mut BlockClock) -> Result<Work, Refusal>> Prepared for Repeat<F> {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        (self.0)(iters, clock)
    }
}

fn repeat(run: impl FnMut(u64, &mut BlockClock) -> Result<Work, Refusal> + 'static) -> Box<dyn Prepared> {
    Box::new(Repeat(run))
}

/// Runs one iteration after the other and gives the last one's checksum.
fn iterate(iters: u64, mut once: impl FnMut() -> u64) -> u64 {
    let mut checksum = 0;
    for _ in 0..iters {
        checksum = once();
    }
    checksum
}

/// A runtime that could not be started.
fn not_started(error: &std::io::Error) -> Refusal {
    Refusal::failed(format!("the runtime could not be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for (len, parts) in [(10, 3), (1 << 20, 16), (3, 8), (u64::MAX, 7)] {
            let ranges: Vec<_> = (0..parts).map(|part| part_of(len, part, parts)).collect();
            assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, len));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
        }
    }

    #[test]
    fn every_name_belongs_to_one_workload() {
        let mut all = names();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
