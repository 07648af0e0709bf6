//! smol's `Executor`, run by one thread a CPU, as the smol crate does it.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use async_executor::{Executor, Task};

use super::Runtime;
use super::smol_local::VERSION;
use crate::capability::{Tasks, workers};
use crate::kits::smol::SmolKit;
use crate::workloads::{OnTasks, offer};

pub(super) const RUNTIME: Runtime =
    Runtime { name: "smol-mt", version: VERSION, tags: &[], threads: workers, offer: offer::<OnTasks<SmolMt>> };

static EXECUTOR: Executor<'static> = Executor::new();

struct SmolMt;

impl Tasks for SmolMt {
    type Handle<T: Send + 'static> = Task<T>;
    type Kit = SmolKit;
    const NO_SHUTDOWN: Option<&'static str> =
        Some("its executor and its pool for blocking calls live as long as the process: nothing waits");

    fn start() -> io::Result<Self> {
        for number in 0..workers() {
            let name = format!("smol-{number}");
            // The workers live as long as the process, which serves one workload at a time.
            std::thread::Builder::new().name(name).spawn(|| async_io::block_on(EXECUTOR.run(pending::<()>())))?;
        }
        Ok(Self)
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        // The calling thread only waits: had it async-io's block_on, it would compete for the reactor.
        futures_lite::future::block_on(Self::spawn(root))
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        EXECUTOR.spawn(task)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        futures_lite::future::yield_now()
    }

    async fn sleep(time: Duration) {
        async_io::Timer::after(time).await;
    }
    fn detach<T: Send + 'static>(handle: Task<T>) {
        handle.detach();
    }

    async fn cancel<T: Send + 'static>(handle: Task<T>) {
        let _ = handle.cancel().await;
    }

    fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64> + Send {
        blocking::unblock(call)
    }
}
