//! mini-executor's `Executor`, run by one thread a CPU.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use mini_executor::{Executor, Task};

use super::Runtime;
use crate::capability::{Tasks, workers};
use crate::kits::smol::SmolKit;
use crate::workloads::{OnTasks, offer};

const VERSION: &str = concat!("mini-executor ", env!("VERSION_MINI_EXECUTOR"));
pub(super) const RUNTIME: Runtime =
    Runtime { name: "mini-mt", version: VERSION, tags: &[], threads: workers, offer: offer::<OnTasks<MiniMt>> };

static EXECUTOR: Executor<'static> = Executor::new();

struct MiniMt;

impl Tasks for MiniMt {
    type Handle<T: Send + 'static> = Task<T>;
    type Kit = SmolKit;
    const NO_SHUTDOWN: Option<&'static str> =
        Some("its executor and its pool for blocking calls live as long as the process: nothing waits");

    fn start() -> io::Result<Self> {
        for number in 0..workers() {
            let name = format!("mini-{number}");
            // The workers live as long as the process, which serves one workload at a time.
            std::thread::Builder::new().name(name).spawn(|| mini_executor::block_on(EXECUTOR.run(pending::<()>())))?;
        }
        Ok(Self)
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        // The calling thread only waits: the root is a worker's.
        mini_executor::block_on(Self::spawn(root))
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        EXECUTOR.spawn(task)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        mini_executor::yield_now()
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
