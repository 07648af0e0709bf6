//! mini-executor's `LocalExecutor`.

use std::future::Future;
use std::io;
use std::time::Duration;

use mini_executor::{LocalExecutor, Task};

use super::{Runtime, one};
use crate::capability::Tasks;
use crate::kits::mini::MiniKit;
use crate::workloads::{OnTasks, offer};

pub(super) const VERSION: &str = concat!("mini-executor ", env!("VERSION_MINI_EXECUTOR"));
pub(super) const RUNTIME: Runtime =
    Runtime { name: "mini-local", version: VERSION, tags: &[], threads: one, offer: offer::<OnTasks<MiniLocal>> };

thread_local! {
    /// Where tasks find the executor that runs them: it can't be sent along, for it is not `Sync`.
    static EXECUTOR: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
}

struct MiniLocal;

impl Tasks for MiniLocal {
    type Handle<T: Send + 'static> = Task<T>;
    type Kit = MiniKit;
    const NO_SHUTDOWN: Option<&'static str> =
        Some("its executor and its pool for blocking calls live as long as the process: nothing waits");

    fn start() -> io::Result<Self> {
        Ok(Self)
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        mini_executor::block_on(EXECUTOR.with(|executor| executor.run(executor.spawn(root))))
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        EXECUTOR.with(|executor| executor.spawn(task))
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
        mini_executor::spawn_blocking(call)
    }
}
