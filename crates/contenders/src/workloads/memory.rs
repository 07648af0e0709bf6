//! memory: what a unit weighs that waits, and one that sleeps.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_harness::child::Work;
use bench_harness::protocol::{Params, Refusal};

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Memory;

const PENDING: &str = "memory/pending";
/// Units that have had a turn. Static, so that counting adds nothing to a task.
static STARTED: AtomicU64 = AtomicU64::new(0);
/// Long enough to be measured in, and never waited for.
const SLEEP: Duration = Duration::from_hours(1);

impl Workload for Memory {
    const NAMES: &'static [&'static str] = &[PENDING, "memory/sleeping"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        let sleeping = name != PENDING;
        Ok(Box::new(move |params, seed| {
            let n = count(params)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(weigh(n, seed, move || {
                // The list is there, and touched, before anything is weighed: it is the workload's and not the runtime's.
                let mut handles: Vec<Option<R::Handle<()>>> = Vec::with_capacity(n as usize);
                handles.resize_with(n as usize, || None);
                let before = Weight::now();
                let handles = runtime.run(async move {
                    for place in &mut handles {
                        *place = Some(if sleeping { R::spawn(sleeps::<R>()) } else { R::spawn(waits()) });
                    }
                    // Every task has its first turn: only then does it sleep. Awaiting a task, and not only yielding, lets others run
                    // where a yield does not.
                    while STARTED.load(Ordering::Acquire) < n {
                        R::spawn(async {}).await;
                        R::yield_now().await;
                    }
                    handles
                });
                let after = Weight::now();
                std::mem::forget(handles);
                Ok((before?, after?))
            }))
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        if name != PENDING {
            return Err(Refusal::unsupported("asked of tasks; for what a stack weighs see memory/pending"));
        }
        Ok(Box::new(|params, seed| {
            let n = count(params)?;
            let (most, limits) = R::most();
            if n > most {
                return Err(Refusal::unsupported(format!("{n} units: {limits} of this machine allow {most}")));
            }
            R::start().map_err(|error| not_started(&error))?;
            Ok(weigh(n, seed, move || {
                // What the first unit brings with it is no unit's weight.
                R::run(|| R::join(R::spawn(|| 0)));
                let before = Weight::now()?;
                R::run(move || stand::<R>(n));
                Ok((before, Weight::now()?))
            }))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a pool has as many threads as it has, whatever waits in its queue"))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("thousands of processes are more than this may ask of a machine"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon's jobs must not wait"))
    }

    fn on_floor<R: Tasks>(name: &str) -> Answer {
        if name == PENDING {
            return Self::on_tasks::<R>(name);
        }
        Err(Refusal::unsupported("it has no timers"))
    }
}

async fn waits() {
    STARTED.fetch_add(1, Ordering::AcqRel);
    pending::<()>().await;
}

async fn sleeps<R: Tasks>() {
    STARTED.fetch_add(1, Ordering::AcqRel);
    R::sleep(SLEEP).await;
}

/// Makes units that wait for ever, and waits until each has begun to.
fn stand<R: Threads>(n: u64) -> u64 {
    let root = R::this();
    for _ in 0..n {
        let root = root.clone();
        drop(R::spawn(move || {
            STARTED.fetch_add(1, Ordering::AcqRel);
            R::unpark(&root);
            loop {
                R::park();
            }
        }));
    }
    while STARTED.load(Ordering::Acquire) < n {
        R::park();
    }
    n
}

/// How many units, as far as half of the free memory reaches at 1 KiB each.
fn count(params: &Params) -> Result<u64, Refusal> {
    let n = params.integer("n", 1..=10_000_000)?;
    let free = meminfo("MemAvailable").unwrap_or(u64::MAX);
    if n.saturating_mul(1024) > free / 2 {
        return Err(Refusal::unsupported(format!(
            "{n} units could take more than half of the {} MiB free",
            free >> 20
        )));
    }
    Ok(n)
}

fn weigh(
    n: u64,
    seed: u64,
    mut make: impl FnMut() -> Result<(Weight, Weight), Refusal> + 'static,
) -> Box<dyn bench_harness::child::Prepared> {
    let mut made = false;
    repeat(move |iters, _| {
        if iters != 1 || std::mem::replace(&mut made, true) {
            return Err(Refusal::failed("units are made once in a process, and never ended"));
        }
        let (before, after) = make()?;
        let mut work = Work::new(n, mix(seed, 1));
        let own = after.resident.saturating_sub(before.resident) as f64;
        let kernel = after.kernel.saturating_sub(before.kernel) as f64;
        work.values.insert("bytes".to_owned(), own + kernel);
        work.values.insert("kernel_bytes".to_owned(), kernel);
        Ok(work)
    })
}

/// What is taken of the machine's memory.
struct Weight {
    /// This process's resident pages, bytes.
    resident: u64,
    /// Kernel stacks and page tables of the whole machine, bytes: the kernel counts them for no process alone.
    kernel: u64,
}

impl Weight {
    fn now() -> Result<Self, Refusal> {
        // Exact, where /proc/self/statm is up to some pages a CPU behind.
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")
            .map_err(|error| Refusal::failed(format!("/proc/self/smaps_rollup: {error}")))?;
        let resident = kib(&rollup, "Rss").ok_or_else(|| Refusal::failed("/proc/self/smaps_rollup has no Rss"))?;
        let kernel = meminfo("KernelStack").unwrap_or(0) + meminfo("PageTables").unwrap_or(0);
        Ok(Self { resident, kernel })
    }
}

fn meminfo(key: &str) -> Option<u64> {
    kib(&std::fs::read_to_string("/proc/meminfo").ok()?, key)
}

/// The bytes of a line like `Rss:   123 kB`.
fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}
