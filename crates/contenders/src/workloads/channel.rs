//! channel: what a message costs that one unit sends and another receives.

use bench_harness::child::Work;
use bench_harness::protocol::{Params, Refusal};
use tokio::sync::mpsc;

use super::{Answer, Workload, iterate, mix, not_started, repeat};
use crate::capability::{BlockingChannel, Channel as AsyncChannel, Jobs, Kit, Tasks, Threads};
use crate::kits::tokio::Mpsc;

pub(super) struct Channel;

const BOUNDED: &str = "channel/bounded";
const SHARED: &str = "channel/shared";

impl Workload for Channel {
    const NAMES: &'static [&'static str] =
        &["channel/one-to-one", "channel/fan-in", "channel/fan-out", BOUNDED, SHARED];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        if name == SHARED { tasks::<R, Mpsc>(name) } else { tasks::<R, <R::Kit as Kit>::Channel>(name) }
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        match (name, R::Channel::NO_BOUND) {
            (BOUNDED, Some(why)) => Err(Refusal::unsupported(why)),
            (SHARED, _) if R::OS_THREADS => threads::<R, Shared>(name),
            (SHARED, _) => {
                Err(Refusal::unsupported("a receiver that blocks its thread would block every coroutine on it"))
            }
            _ => threads::<R, R::Channel>(name),
        }
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("jobs that wait for one another never end where there are more of them than workers"))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("processes share no memory to have a channel in; see ping-pong/pipe"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon's jobs must not wait for one another: it runs them on top of each other"))
    }
}

/// Who sends how many to whom.
#[derive(Clone, Copy)]
struct Shape {
    n: u64,
    senders: u64,
    receivers: u64,
    capacity: Option<usize>,
    seed: u64,
}

impl Shape {
    fn read(name: &str, params: &Params, seed: u64) -> Result<Self, Refusal> {
        let n = params.integer("n", 1..=100_000_000)?;
        let units = |of: &str| if name.ends_with(of) { params.integer("units", 1..=1_000) } else { Ok(1) };
        let capacity = if name == BOUNDED { Some(params.integer("capacity", 1..=1_000_000)? as usize) } else { None };
        Ok(Self { n, senders: units("fan-in")?, receivers: units("fan-out")?, capacity, seed })
    }

    /// The messages of a sender: every `senders`th, and to whom each goes.
    fn messages(self, sender: u64) -> impl Iterator<Item = (u64, usize)> {
        let indices = (sender..self.n).step_by(self.senders as usize);
        indices.map(move |index| (mix(self.seed, index), (index % self.receivers) as usize))
    }
}

fn tasks<R: Tasks, C: AsyncChannel>(name: &str) -> Answer {
    let name = name.to_owned();
    Ok(Box::new(move |params, seed| {
        let shape = Shape::read(&name, params, seed)?;
        let runtime = R::start().map_err(|error| not_started(&error))?;
        Ok(repeat(move |iters, _| {
            let checksum = runtime.run(async move {
                let mut checksum = 0;
                for _ in 0..iters {
                    checksum = pass::<R, C>(shape).await;
                }
                checksum
            });
            Ok(Work::new(iters * shape.n, checksum))
        }))
    }))
}

async fn pass<R: Tasks, C: AsyncChannel>(shape: Shape) -> u64 {
    let mut senders = Vec::new();
    let mut sums = Vec::new();
    for _ in 0..shape.receivers {
        let (sender, mut receiver) = C::open(shape.capacity);
        senders.push(sender);
        sums.push(R::spawn(async move {
            let mut sum = 0_u64;
            while let Some(message) = C::receive(&mut receiver).await {
                sum = sum.wrapping_add(message);
            }
            sum
        }));
    }
    for sender in 0..shape.senders {
        let mut ends = senders.clone();
        R::detach(R::spawn(async move {
            for (message, receiver) in shape.messages(sender) {
                C::send(&mut ends[receiver], message).await;
            }
        }));
    }
    drop(senders);
    let mut checksum = 0_u64;
    for sum in sums {
        checksum = checksum.wrapping_add(sum.await);
    }
    checksum
}

fn threads<R: Threads, C: BlockingChannel>(name: &str) -> Answer {
    let name = name.to_owned();
    Ok(Box::new(move |params, seed| {
        let shape = Shape::read(&name, params, seed)?;
        R::start().map_err(|error| not_started(&error))?;
        Ok(repeat(move |iters, _| {
            let checksum = R::run(move || iterate(iters, || pass_blocking::<R, C>(shape)));
            Ok(Work::new(iters * shape.n, checksum))
        }))
    }))
}

fn pass_blocking<R: Threads, C: BlockingChannel>(shape: Shape) -> u64 {
    let mut ends = Vec::new();
    let mut sums = Vec::new();
    for _ in 0..shape.receivers {
        let (sender, receiver) = C::open(shape.capacity);
        ends.push(sender);
        sums.push(R::spawn(move || {
            std::iter::from_fn(|| C::receive(&receiver)).fold(0, |sum: u64, message| sum.wrapping_add(message))
        }));
    }
    let send = |sender| {
        let ends = ends.clone();
        R::spawn(move || {
            for (message, receiver) in shape.messages(sender) {
                C::send(&ends[receiver], message);
            }
            0
        })
    };
    let senders: Vec<_> = (0..shape.senders).map(send).collect();
    drop(ends);
    senders.into_iter().map(R::join).for_each(drop);
    sums.into_iter().fold(0, |sum: u64, handle| sum.wrapping_add(R::join(handle)))
}

/// tokio's channel, received by threads that block.
struct Shared;

impl BlockingChannel for Shared {
    type Sender = mpsc::UnboundedSender<u64>;
    type Receiver = std::sync::Mutex<mpsc::UnboundedReceiver<u64>>;

    fn open(_: Option<usize>) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, std::sync::Mutex::new(receiver))
    }

    fn send(sender: &Self::Sender, message: u64) {
        let _ = sender.send(message);
    }

    fn receive(receiver: &Self::Receiver) -> Option<u64> {
        // One thread receives: the lock is never waited for.
        receiver.lock().unwrap_or_else(std::sync::PoisonError::into_inner).blocking_recv()
    }
}
