//! ping-pong: what it costs to hand over to another unit and to get an answer.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::task::{Poll, Waker};
use std::thread::Thread;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{BlockingChannel, Channel, Jobs, Kit, Pipe, Tasks, Threads};

pub(super) struct PingPong;

const CHANNEL: &str = "ping-pong/channel";
const PIPE: &str = "ping-pong/pipe";
const BALLAST: &str = "ping-pong/pipe-ballast";
const NO_BALLAST: &str = "it is asked of processes, to see whether their memory is copied";
const MOST_TRIPS: u64 = 100_000_000;

impl Workload for PingPong {
    const NAMES: &'static [&'static str] = &[CHANNEL, "ping-pong/park", PIPE, BALLAST];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        let play: fn(&R, u64, u64, u64) -> Result<u64, Refusal> = match name {
            CHANNEL => task_channel::<R>,
            PIPE => match <R::Kit as Kit>::Pipe::MISSING {
                Some(why) => return Err(Refusal::unsupported(why)),
                None => task_pipe::<R>,
            },
            BALLAST => return Err(Refusal::unsupported(NO_BALLAST)),
            _ => task_park::<R>,
        };
        Ok(Box::new(move |params, seed| {
            let n = params.integer("n", 1..=MOST_TRIPS)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(Play { n, play: Box::new(move |n, iters| play(&runtime, seed, n, iters)) }))
        }))
    }

    fn on_jobs<R: Jobs>(name: &str) -> Answer {
        if R::at_once().is_some_and(|at_once| at_once < 2) {
            return Err(Refusal::unsupported("two jobs that wait for one another need two workers, the pool has one"));
        }
        let play: fn(u64, u64, u64) -> Result<u64, Refusal> = match name {
            CHANNEL => job_channel::<R>,
            PIPE => return Ok(pipes::<R>()),
            BALLAST => return Err(Refusal::unsupported(NO_BALLAST)),
            _ => job_park::<R>,
        };
        Self::jobs::<R>(play)
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        let play: fn(u64, u64, u64) -> Result<u64, Refusal> = match name {
            CHANNEL => thread_channel::<R>,
            PIPE if R::OS_THREADS => return Ok(pipes::<R>()),
            PIPE => return Err(Refusal::unsupported("a coroutine that reads a pipe holds its whole worker")),
            BALLAST => return Err(Refusal::unsupported(NO_BALLAST)),
            _ => thread_park::<R>,
        };
        Self::jobs::<R>(play)
    }

    fn on_processes<R: Jobs>(name: &str) -> Answer {
        match name {
            PIPE => Ok(pipes::<R>()),
            BALLAST => Ok(Box::new(|params, seed| {
                let n = params.integer("n", 1..=MOST_TRIPS)?;
                let ballast = params.integer("ballast_mib", 0..=4_096)? << 20;
                R::start().map_err(|error| not_started(&error))?;
                // Touched, and inherited by the other process.
                let memory = std::hint::black_box(vec![1_u8; ballast as usize]);
                Ok(repeat(move |iters, clock| {
                    std::hint::black_box(&memory);
                    Ok(Work::new(iters * n, between_pipes::<R>(seed, n, iters, clock)?))
                }))
            })),
            CHANNEL => Err(Refusal::unsupported("processes share no memory to have a channel in; see ping-pong/pipe")),
            _ => Err(Refusal::unsupported("parking works between the threads of one process")),
        }
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon's jobs must not wait for one another: it runs them on top of each other"))
    }

    fn on_floor<R: Tasks>(name: &str) -> Answer {
        match name {
            PIPE => Ok(Box::new(|params, seed| {
                let n = params.integer("n", 1..=MOST_TRIPS)?;
                Ok(Box::new(Play { n, play: Box::new(move |n, iters| floor_pipe(seed, n, iters)) }))
            })),
            CHANNEL => Ok(Box::new(|params, seed| {
                let n = params.integer("n", 1..=MOST_TRIPS)?;
                let runtime = R::start().map_err(|error| not_started(&error))?;
                let play = move |n, iters| native_channel(&runtime, seed, n, iters);
                Ok(Box::new(Play { n, play: Box::new(play) }))
            })),
            _ => Self::on_tasks::<R>(name),
        }
    }
}

impl PingPong {
    fn jobs<R: Jobs>(play: fn(u64, u64, u64) -> Result<u64, Refusal>) -> Answer {
        Ok(Box::new(move |params, seed| {
            let n = params.integer("n", 1..=MOST_TRIPS)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(Play { n, play: Box::new(move |n, iters| play(seed, n, iters)) }))
        }))
    }
}

/// A game of `n` round trips, `iters` times over; gives one iteration's checksum.
type Game = Box<dyn FnMut(u64, u64) -> Result<u64, Refusal>>;

struct Play {
    n: u64,
    play: Game,
}

impl Prepared for Play {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let checksum = (self.play)(self.n, iters)?;
        Ok(Work::new(iters * self.n, checksum))
    }
}

fn broken(error: &std::io::Error) -> Refusal {
    Refusal::failed(format!("pipe: {error}"))
}

/// The same channels on every async runtime, so that only the executor differs.
fn task_channel<R: Tasks>(runtime: &R, seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    use tokio::sync::mpsc::channel;
    Ok(runtime.run(async move {
        let (ping, mut pings) = channel::<u64>(1);
        let (pong, mut pongs) = channel::<u64>(1);
        let other = R::spawn(async move {
            while let Some(number) = pings.recv().await {
                if pong.send(mix(number, 1)).await.is_err() {
                    break;
                }
            }
        });
        let mut number = seed;
        for _ in 0..iters {
            number = seed;
            for _ in 0..n {
                // The other side ends only when this one does.
                ping.send(number).await.expect("the other unit lives");
                number = pongs.recv().await.expect("the other unit lives");
            }
        }
        drop(ping);
        other.await;
        number
    }))
}

fn job_channel<R: Jobs>(seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    let (ping, pings) = mpsc::sync_channel::<u64>(1);
    let (pong, pongs) = mpsc::sync_channel::<u64>(1);
    let other = R::spawn(move || {
        while let Ok(number) = pings.recv() {
            if pong.send(mix(number, 1)).is_err() {
                break;
            }
        }
        0
    });
    let one = R::spawn(move || {
        let mut number = seed;
        for _ in 0..iters {
            number = seed;
            for _ in 0..n {
                ping.send(number).expect("the other unit lives");
                number = pongs.recv().expect("the other unit lives");
            }
        }
        number
    });
    let number = R::join(one);
    R::join(other);
    Ok(number)
}

/// The runtime's own channels: on the floor, which is asked for the least there can be.
fn native_channel<R: Tasks>(runtime: &R, seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    type Own<R> = <<R as Tasks>::Kit as Kit>::Channel;
    Ok(runtime.run(async move {
        let (mut ping, mut pings) = Own::<R>::open(Some(1));
        let (mut pong, mut pongs) = Own::<R>::open(Some(1));
        let other = R::spawn(async move {
            while let Some(number) = Own::<R>::receive(&mut pings).await {
                Own::<R>::send(&mut pong, mix(number, 1)).await;
            }
        });
        let mut number = seed;
        for _ in 0..iters {
            number = seed;
            for _ in 0..n {
                Own::<R>::send(&mut ping, number).await;
                number = Own::<R>::receive(&mut pongs).await.expect("the other unit lives");
            }
        }
        drop(ping);
        other.await;
        number
    }))
}

fn thread_channel<R: Threads>(seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    Ok(R::run(move || {
        let (ping, pings) = R::Channel::open(Some(1));
        let (pong, pongs) = R::Channel::open(Some(1));
        let other = R::spawn(move || {
            while let Some(number) = R::Channel::receive(&pings) {
                R::Channel::send(&pong, mix(number, 1));
            }
            0
        });
        let mut number = seed;
        for _ in 0..iters {
            number = seed;
            for _ in 0..n {
                R::Channel::send(&ping, number);
                number = R::Channel::receive(&pongs).expect("the other unit lives");
            }
        }
        drop(ping);
        R::join(other);
        number
    }))
}

fn task_pipe<R: Tasks>(runtime: &R, seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    runtime.run(async move {
        // Opened inside: tokio registers a pipe with the runtime it is opened on.
        let (mut pings, mut ping) = <R::Kit as Kit>::Pipe::open()?;
        let (mut pongs, mut pong) = <R::Kit as Kit>::Pipe::open()?;
        let other = R::spawn(async move {
            for _ in 0..n * iters {
                let byte = pings.read().await?;
                pong.write(byte.wrapping_add(1)).await?;
            }
            Ok(())
        });
        let mut sum = 0;
        for _ in 0..iters {
            sum = 0_u64;
            for index in 0..n {
                ping.write(mix(seed, index) as u8).await.map_err(|error| broken(&error))?;
                sum = sum.wrapping_add(u64::from(pongs.read().await.map_err(|error| broken(&error))?));
            }
        }
        other.await.map_err(|error: std::io::Error| broken(&error))?;
        Ok(sum)
    })
}

fn pipes<R: Jobs>() -> super::Setup {
    Box::new(|params, seed| {
        let n = params.integer("n", 1..=MOST_TRIPS)?;
        R::start().map_err(|error| not_started(&error))?;
        Ok(repeat(move |iters, clock| Ok(Work::new(iters * n, between_pipes::<R>(seed, n, iters, clock)?))))
    })
}

/// The calling thread or process and another, timed from when both stand: what making the other costs, and the faults and cold
/// caches that come of a fork, are not in the figure.
fn between_pipes<R: Jobs>(seed: u64, n: u64, iters: u64, clock: &mut BlockClock) -> Result<u64, Refusal> {
    // Some milliseconds: a fork of so much memory leaves the caches full of its page tables.
    const FIRST: u64 = 1_000;
    let (mut pings, ping) = std::io::pipe().map_err(|error| broken(&error))?;
    let (pongs, mut pong) = std::io::pipe().map_err(|error| broken(&error))?;
    let other = R::spawn(move || {
        let mut byte = [0];
        for _ in 0..FIRST + n * iters {
            pings.read_exact(&mut byte).expect("the other unit writes as often as this one reads");
            pong.write_all(&[byte[0].wrapping_add(1)]).expect("the other unit reads as often as this one writes");
        }
        0
    });
    pipe_side(seed, FIRST, 1, &ping, &pongs, |_, _| {});
    clock.start();
    let sum = pipe_side(seed, n, iters, ping, pongs, |_, _| {});
    clock.stop();
    R::join(other);
    Ok(sum)
}

/// The side that begins. `answer` stands for the other side where there is none of its own.
fn pipe_side<W: Write, P: Read>(
    seed: u64,
    n: u64,
    iters: u64,
    mut ping: W,
    mut pongs: P,
    mut answer: impl FnMut(&mut W, &mut P),
) -> u64 {
    let mut sum = 0;
    for _ in 0..iters {
        sum = 0_u64;
        for index in 0..n {
            ping.write_all(&[mix(seed, index) as u8]).expect("the other unit reads as often as this one writes");
            answer(&mut ping, &mut pongs);
            let mut byte = [0];
            pongs.read_exact(&mut byte).expect("the other unit writes as often as this one reads");
            sum = sum.wrapping_add(u64::from(byte[0]));
        }
    }
    sum
}

/// One thread does the four system calls of a round trip itself: what is left when no switch is made.
fn floor_pipe(seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    let (mut pings, ping) = std::io::pipe().map_err(|error| broken(&error))?;
    let (pongs, mut pong) = std::io::pipe().map_err(|error| broken(&error))?;
    Ok(pipe_side(seed, n, iters, ping, pongs, |_, _| {
        let mut byte = [0];
        pings.read_exact(&mut byte).expect("the byte was just written");
        pong.write_all(&[byte[0].wrapping_add(1)]).expect("there is room for a byte");
    }))
}

/// What two units that wake each other share: whose turn it is, the number they mix, and how to wake either.
struct Turns<W> {
    second: AtomicBool,
    number: AtomicU64,
    wakers: [W; 2],
}

impl<W> Turns<W> {
    fn is(&self, side: usize) -> bool {
        self.second.load(Ordering::Acquire) == (side == 1)
    }

    /// Takes the turn: mixes the number and passes the turn on. The caller then wakes the other side.
    fn mix_and_pass(&self, side: usize) {
        // Only whoever has the turn touches the number; the turn's release orders it.
        let number = self.number.load(Ordering::Relaxed);
        self.number.store(mix(number, 1), Ordering::Relaxed);
        self.second.store(side == 0, Ordering::Release);
    }
}

fn task_park<R: Tasks>(runtime: &R, seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    type Parked = Mutex<Option<Waker>>;

    async fn side(turns: Arc<Turns<Parked>>, side: usize, seed: u64, n: u64, iters: u64) {
        for _ in 0..iters {
            for index in 0..n {
                poll_fn(|context| {
                    if turns.is(side) {
                        return Poll::Ready(());
                    }
                    *turns.wakers[side].lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
                    // The turn may have come between the look and the waker's being there.
                    if turns.is(side) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                if index == 0 && side == 0 {
                    turns.number.store(seed, Ordering::Relaxed);
                }
                turns.mix_and_pass(side);
                let waker = turns.wakers[1 - side].lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }

    Ok(runtime.run(async move {
        let turns = Arc::new(Turns {
            second: AtomicBool::new(false),
            number: AtomicU64::new(seed),
            wakers: [Parked::default(), Parked::default()],
        });
        let other = R::spawn(side(Arc::clone(&turns), 1, seed, n, iters));
        side(Arc::clone(&turns), 0, seed, n, iters).await;
        other.await;
        turns.number.load(Ordering::Acquire)
    }))
}

fn job_park<R: Jobs>(seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    let turns = Arc::new(Turns {
        second: AtomicBool::new(false),
        number: AtomicU64::new(seed),
        wakers: [OnceLock::<Thread>::new(), OnceLock::new()],
    });
    let side = |side: usize| {
        let turns = Arc::clone(&turns);
        move || {
            // A job learns only here on which thread it runs; the other waits until it is known whom to wake.
            turns.wakers[side].get_or_init(std::thread::current);
            let other = loop {
                if let Some(other) = turns.wakers[1 - side].get() {
                    break other;
                }
                std::thread::yield_now();
            };
            for _ in 0..iters {
                for index in 0..n {
                    while !turns.is(side) {
                        std::thread::park();
                    }
                    if index == 0 && side == 0 {
                        turns.number.store(seed, Ordering::Relaxed);
                    }
                    turns.mix_and_pass(side);
                    other.unpark();
                }
            }
            0
        }
    };
    let (one, other) = (R::spawn(side(0)), R::spawn(side(1)));
    R::join(one);
    R::join(other);
    Ok(turns.number.load(Ordering::Acquire))
}

/// Threads and coroutines: who makes the unit knows how to wake it.
fn thread_park<R: Threads>(seed: u64, n: u64, iters: u64) -> Result<u64, Refusal> {
    Ok(R::run(move || {
        let turns = Arc::new(Turns {
            second: AtomicBool::new(false),
            number: AtomicU64::new(seed),
            wakers: [OnceLock::<R::Unit>::new(), OnceLock::new()],
        });
        let side = |turns: Arc<Turns<OnceLock<R::Unit>>>, side: usize| {
            move || {
                turns.wakers[side].get_or_init(R::this);
                // Parked and not yielding: beside a unit that yields, may starts no new one. The second unit to be there wakes
                // the first.
                let other = loop {
                    if let Some(other) = turns.wakers[1 - side].get() {
                        R::unpark(other);
                        break other;
                    }
                    R::park();
                };
                for _ in 0..iters {
                    for index in 0..n {
                        while !turns.is(side) {
                            R::park();
                        }
                        if index == 0 && side == 0 {
                            turns.number.store(seed, Ordering::Relaxed);
                        }
                        turns.mix_and_pass(side);
                        R::unpark(other);
                    }
                }
                turns.number.load(Ordering::Acquire)
            }
        };
        let other = R::spawn(side(Arc::clone(&turns), 1));
        side(turns, 0)();
        R::join(other)
    }))
}
