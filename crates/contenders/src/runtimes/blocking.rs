//! smol's pool for blocking calls, as a pool of threads that grows: up to 500, and a thread leaves when it had nothing to do for
//! half a second.

use std::io;

use super::Runtime;
use crate::capability::{Jobs, workers};
use crate::workloads::{OnJobs, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "blocking",
    version: concat!("blocking ", env!("VERSION_BLOCKING")),
    tags: &[],
    threads: workers,
    offer: offer::<OnJobs<Blocking>>,
};

struct Blocking;

impl Jobs for Blocking {
    type Handle = blocking::Task<u64>;

    fn start() -> io::Result<()> {
        Ok(())
    }

    fn at_once() -> Option<usize> {
        Some(500)
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        blocking::unblock(job)
    }

    fn join(handle: Self::Handle) -> u64 {
        futures_lite::future::block_on(handle)
    }
}
