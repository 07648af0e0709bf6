//! A fixed pool of threads that take jobs from one crossbeam channel; each job answers on a channel of its own.

use std::io;
use std::sync::OnceLock;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::Runtime;
use crate::capability::{Jobs, workers};
use crate::workloads::{OnJobs, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "thread-pool",
    version: concat!("crossbeam-channel ", env!("VERSION_CROSSBEAM_CHANNEL")),
    tags: &[],
    threads: workers,
    offer: offer::<OnJobs<ThreadPool>>,
};

type Job = Box<dyn FnOnce() + Send>;

static QUEUE: OnceLock<Sender<Job>> = OnceLock::new();

struct ThreadPool;

impl Jobs for ThreadPool {
    type Handle = Receiver<u64>;

    fn start() -> io::Result<()> {
        let (sender, receiver) = unbounded::<Job>();
        if QUEUE.set(sender).is_ok() {
            for number in 0..workers() {
                let jobs = receiver.clone();
                let name = format!("pool-{number}");
                std::thread::Builder::new().name(name).spawn(move || jobs.iter().for_each(|job| job()))?;
            }
        }
        Ok(())
    }

    fn at_once() -> Option<usize> {
        Some(workers())
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> Receiver<u64> {
        let (answer, handle) = bounded(1);
        let queue = QUEUE.get().expect("start() came first");
        // Nobody may be waiting any more, which is no concern of the job's.
        let boxed: Job = Box::new(move || {
            let _ = answer.send(job());
        });
        queue.send(boxed).expect("the workers live as long as the process");
        handle
    }

    fn join(handle: Receiver<u64>) -> u64 {
        handle.recv().expect("the job ends without a panic")
    }
}
