//! A thread of the operating system per job.

use std::io;
use std::thread::JoinHandle;

use super::Runtime;
use crate::capability::{Jobs, workers};
use crate::workloads::{OnThreads, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "thread",
    version: concat!("std ", env!("VERSION_RUST")),
    threads: workers,
    offer: offer::<OnThreads<Threads>>,
};

/// The job-runner behind it.
struct Threads;

impl Jobs for Threads {
    type Handle = JoinHandle<u64>;

    fn start() -> io::Result<()> {
        Ok(())
    }

    fn at_once() -> Option<usize> {
        None
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> JoinHandle<u64> {
        std::thread::spawn(job)
    }

    fn join(handle: JoinHandle<u64>) -> u64 {
        handle.join().expect("the job ends without a panic")
    }
}
