//! tokio, current-thread flavour.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime as Tokio};

use super::{Runtime, one};
use crate::capability::Tasks;
use crate::kits::tokio::TokioKit;
use crate::workloads::{OnTasks, offer};

pub(super) const VERSION: &str = concat!("tokio ", env!("VERSION_TOKIO"));
pub(super) const RUNTIME: Runtime =
    Runtime { name: "tokio-ct", version: VERSION, tags: &[], threads: one, offer: offer::<OnTasks<TokioCt>> };

pub(super) struct TokioCt(Tokio);

impl Tasks for TokioCt {
    type Handle<T: Send + 'static> = Joined<T>;
    type Kit = TokioKit;

    fn start() -> io::Result<Self> {
        Ok(Self(Builder::new_current_thread().enable_all().build()?))
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        // Not `block_on(root)`: every wake of the future that it drives itself writes to the driver's eventfd, which no task's does.
        self.0.block_on(async { Self::spawn(root).await })
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Joined<T> {
        Joined(tokio::spawn(task))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn detach<T: Send + 'static>(handle: Joined<T>) {
        drop(handle);
    }

    async fn cancel<T: Send + 'static>(handle: Joined<T>) {
        handle.0.abort();
        // An error is what was asked for.
        let _ = handle.0.await;
    }

    async fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        Joined(tokio::task::spawn_blocking(call)).await
    }
}

/// A join handle that passes a task's panic on.
pub(super) struct Joined<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context).map(|joined| {
            joined.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => panic!("{error}"),
            })
        })
    }
}
