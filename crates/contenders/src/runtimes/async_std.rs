//! async-std: discontinued, measured because it is still in use.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::Runtime;
use crate::capability::{NoPipes, Tasks, workers};
use crate::workloads::{OnTasks, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "async-std",
    version: concat!("async-std ", env!("VERSION_ASYNC_STD")),
    // Its pool asks for the CPUs of the affinity mask by itself.
    threads: workers,
    offer: offer::<OnTasks<AsyncStd>>,
};

struct AsyncStd;

impl Tasks for AsyncStd {
    type Handle<T: Send + 'static> = async_std::task::JoinHandle<T>;
    type Pipe = NoPipes;

    fn start() -> io::Result<Self> {
        Ok(Self)
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        async_std::task::block_on(Self::spawn(root))
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Self::Handle<T> {
        async_std::task::spawn(task)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        async_std::task::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        async_std::task::sleep(time)
    }
}
