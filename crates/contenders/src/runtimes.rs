//! The runtimes: one file each, one line in the list.

#[cfg(feature = "async-std")]
mod async_std;
mod blocking;
#[cfg(feature = "io-uring")]
mod compio;
mod coroutine;
mod crossbeam_scope;
mod floor;
#[cfg(feature = "io-uring")]
mod glommio;
mod may;
mod mini_local;
mod mini_mt;
#[cfg(feature = "io-uring")]
mod monoio;
mod probe;
mod process;
mod rayon;
mod smol_local;
mod smol_mt;
mod thread;
mod thread_pool;
mod tokio_ct;
mod tokio_mt;

use bench_harness::child::{Contender, Prepared};
use bench_harness::protocol::{Hello, PROTO, Prepare, Refusal};

use crate::workloads::{self, Setup};

/// All runtimes, in the order in which they are listed.
pub fn runtimes() -> Vec<Runtime> {
    vec![
        tokio_ct::RUNTIME,
        tokio_mt::RUNTIME,
        #[cfg(feature = "async-std")]
        async_std::RUNTIME,
        smol_local::RUNTIME,
        smol_mt::RUNTIME,
        mini_local::RUNTIME,
        mini_mt::RUNTIME,
        thread::RUNTIME,
        thread_pool::RUNTIME,
        blocking::RUNTIME,
        crossbeam_scope::RUNTIME,
        rayon::RUNTIME,
        process::RUNTIME,
        coroutine::RUNTIME,
        may::RUNTIME,
        #[cfg(feature = "io-uring")]
        monoio::RUNTIME,
        #[cfg(feature = "io-uring")]
        compio::RUNTIME,
        #[cfg(feature = "io-uring")]
        glommio::RUNTIME,
        floor::RUNTIME,
        probe::RUNTIME,
    ]
}

/// The runtime of that name.
pub fn find(name: &str) -> Option<Runtime> {
    runtimes().into_iter().find(|runtime| runtime.name == name)
}

/// A runtime as it takes part.
#[derive(Debug, Clone, Copy)]
pub struct Runtime {
    /// Its name in tables.
    pub name: &'static str,
    /// Library and version.
    pub version: &'static str,
    /// What makes it not quite comparable: `stackful`, `no_timers`.
    pub tags: &'static [&'static str],
    /// Whether it works with one thread or with as many as there are CPUs.
    pub threads: fn() -> usize,
    /// Sets a workload up, or says why it has no such thing.
    pub offer: fn(&str) -> Result<Setup, Refusal>,
}

impl Contender for Runtime {
    fn hello(&self) -> Hello {
        let able = workloads::names().into_iter().filter(|workload| (self.offer)(workload).is_ok());
        Hello {
            proto: PROTO,
            name: self.name.to_owned(),
            lang: concat!("rust ", env!("VERSION_RUST")).to_owned(),
            runtime: self.version.to_owned(),
            workloads: able.map(str::to_owned).collect(),
            clock: "CLOCK_MONOTONIC".to_owned(),
            threads: (self.threads)() as u32,
            tags: self.tags.iter().map(|&tag| tag.to_owned()).collect(),
        }
    }

    fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
        (self.offer)(&request.workload)?(&request.params, request.seed)
    }
}

/// For runtimes of one thread.
fn one() -> usize {
    1
}
