//! tokio, multi-thread flavour.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime as Tokio};

use super::Runtime;
use super::tokio_ct::{Joined, TokioCt, VERSION};
use crate::capability::{Tasks, workers};
use crate::kits::tokio::TokioKit;
use crate::workloads::{OnTasks, offer};

pub(super) const RUNTIME: Runtime =
    Runtime { name: "tokio-mt", version: VERSION, tags: &[], threads: workers, offer: offer::<OnTasks<TokioMt>> };

struct TokioMt(Tokio);

impl Tasks for TokioMt {
    type Handle<T: Send + 'static> = Joined<T>;
    type Kit = TokioKit;

    fn start() -> io::Result<Self> {
        Ok(Self(Builder::new_multi_thread().worker_threads(workers()).enable_all().build()?))
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        self.0.block_on(async { Self::spawn(root).await })
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Joined<T> {
        TokioCt::spawn(task)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        TokioCt::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        TokioCt::sleep(time)
    }

    fn detach<T: Send + 'static>(handle: Joined<T>) {
        TokioCt::detach(handle);
    }

    fn cancel<T: Send + 'static>(handle: Joined<T>) -> impl Future<Output = ()> + Send {
        TokioCt::cancel(handle)
    }

    fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64> + Send {
        TokioCt::blocking(call)
    }
}
