//! mini-executor's `Runtime`, with one worker a CPU.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use mini_executor::Task;

use super::Runtime;
use crate::capability::{Tasks, workers};
use crate::kits::mini::MiniKit;
use crate::workloads::{OnTasks, offer};

const VERSION: &str = concat!("mini-executor ", env!("VERSION_MINI_EXECUTOR"));
pub(super) const RUNTIME: Runtime =
    Runtime { name: "mini-mt", version: VERSION, tags: &[], threads: workers, offer: offer::<OnTasks<MiniMt>> };

/// Where tasks find the runtime that runs them.
static RUNTIME_OF_ALL: OnceLock<mini_executor::Runtime> = OnceLock::new();

fn runtime() -> &'static mini_executor::Runtime {
    RUNTIME_OF_ALL.get().expect("start() came first")
}

struct MiniMt;

impl Tasks for MiniMt {
    type Handle<T: Send + 'static> = Task<T>;
    type Kit = MiniKit;
    const NO_SHUTDOWN: Option<&'static str> = Some("here its runtime lives as long as the process");

    fn start() -> io::Result<Self> {
        // Between two questions tasks may wait with nobody to wake them but the next question. That is no deadlock, and a list of a million
        // tasks takes most of a second, in which others are measured.
        mini_executor::set_deadlock_after(None);
        let runtime = mini_executor::Runtime::new(workers())?;
        // A process serves one workload.
        let _ = RUNTIME_OF_ALL.set(runtime);
        Ok(Self)
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        // The calling thread only waits: the root is a worker's.
        runtime().block_on(Self::spawn(root))
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        runtime().spawn(task)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        mini_executor::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        mini_executor::sleep(time)
    }

    fn sleep_late(time: Duration) -> impl Future<Output = ()> + Send {
        mini_executor::sleep(time).slack(Duration::from_millis(1))
    }

    fn detach<T: Send + 'static>(handle: Task<T>) {
        handle.detach();
    }

    async fn cancel<T: Send + 'static>(handle: Task<T>) {
        let _ = handle.cancel().await;
    }

    fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64> + Send {
        runtime().spawn_blocking(call)
    }
}
