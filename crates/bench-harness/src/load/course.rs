//! One run of a load: what is asked, what has been answered, and how long that took.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{LoadError, Served};
use crate::stats::median;
use crate::tails::Tails;
use crate::usage::monotonic_ns;

/// Latencies for which there is room from the beginning: growing later would cost time while measuring.
const ROOM: u64 = 1 << 22;

/// Answers in a window: as few as a p99 takes.
const WINDOW: usize = 1_000;

/// How far a run has come.
pub(super) struct Course {
    pub(super) address: SocketAddr,
    pub(super) requests: u64,
    pub(super) seed: u64,
    /// Whether the requests belong to a block.
    pub(super) counts: bool,
    limit: Duration,
    deadline_ns: u64,
    pub(super) issued: u64,
    pub(super) answers: u64,
    pub(super) latencies: Vec<u64>,
    pub(super) lateness: Vec<u64>,
    pub(super) begin_ns: u64,
    pub(super) end_ns: u64,
}

impl Course {
    pub(super) fn new(address: SocketAddr, requests: u64, seed: u64, limit: Duration, counts: bool) -> Self {
        let room = || Vec::with_capacity(requests.min(ROOM) as usize);
        let (latencies, lateness) = (room(), room());
        let begin_ns = monotonic_ns();
        let deadline_ns = begin_ns.saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        let (issued, answers, end_ns) = (0, 0, begin_ns);
        Self {
            address,
            requests,
            seed,
            counts,
            limit,
            deadline_ns,
            issued,
            answers,
            latencies,
            lateness,
            begin_ns,
            end_ns,
        }
    }

    pub(super) fn served(self) -> Served {
        let (latency, lateness) = (tails(&self.latencies), tails(&self.lateness));
        let windows = self.latencies.chunks_exact(WINDOW).filter_map(|window| tails(window).quantile(0.99));
        let p99s: Vec<f64> = windows.map(|p99| p99 as f64).collect();
        let window_p99_ns = median(&p99s).map(|p99| p99 as u64);
        Served { latency, window_p99_ns, lateness, begin_ns: self.begin_ns, end_ns: self.end_ns }
    }

    pub(super) fn closed(&self, source: io::Error) -> LoadError {
        LoadError::Closed { address: self.address, answers: self.answers, requests: self.requests, source }
    }

    pub(super) fn wrong(&self, what: String) -> LoadError {
        LoadError::WrongAnswer { address: self.address, answers: self.answers, what }
    }

    /// How much of the limit is left, never 0.
    pub(super) fn left_ns(&self) -> Result<u64, LoadError> {
        let &Self { address, answers, requests, limit, .. } = self;
        let left_ns = self.deadline_ns.saturating_sub(monotonic_ns());
        if left_ns == 0 { Err(LoadError::Limit { address, answers, requests, limit }) } else { Ok(left_ns) }
    }
}

fn tails(latencies: &[u64]) -> Tails {
    let mut tails = Tails::new();
    for &latency_ns in latencies {
        tails.add(&[(latency_ns, 1)]).expect("no machine sees 2^64 requests");
    }
    tails
}
