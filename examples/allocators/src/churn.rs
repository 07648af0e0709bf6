//! Many blocks live, and a new one takes the place of any of them, again and again: by one thread, or by several, each with its own.

use std::hint::black_box;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::placement::{allowed_cpus, starting_on};
use bench_harness::protocol::{Params, Refusal};
use bench_harness::rng::SplitMix64;

use crate::block::{Block, Sizes, numbers};
use crate::footprint::Footprint;

/// In one thread.
pub(crate) fn alone(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    Ok(Box::new(Alone { churn: Shape::of(params, false)?.churn(seed), before: None }))
}

/// In one thread, and every page of a block is touched: so it can be said what is resident over what is live.
pub(crate) fn touching(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let shape = Shape::of(params, true)?;
    let before = Some(Footprint::now()?);
    Ok(Box::new(Alone { churn: shape.churn(seed), before }))
}

/// In as many threads as the parameter `threads` says. Beside one there is another that only computes: so both cores are in use with one
/// as with two, and what differs is the allocating.
pub(crate) fn threads(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let shape = Shape::of(params, false)?;
    let failed = |error: io::Error| Refusal::failed(error.to_string());
    let cpus = allowed_cpus().map_err(failed)?;
    // Each on a core of its own, as far as there are any: blocks are too short for the scheduler to part two that it put on one.
    let mut cpus = cpus.iter().cycle().copied();
    let mut on_next = || cpus.next().into_iter().collect::<Vec<_>>();
    let workers = (0..params.integer("threads", 1..=256)?)
        .map(|_| starting_on(&on_next(), || worker(shape, seed)).map_err(failed)?);
    let workers = workers.collect::<Result<Vec<_>, _>>()?;
    let companion =
        if workers.len() == 1 { Some(starting_on(&on_next(), Companion::start).map_err(failed)??) } else { None };
    let crew = Crew { workers, companion };
    // Once, so that each has its blocks.
    crew.iterate(1)?;
    Ok(Box::new(crew))
}

#[derive(Clone, Copy)]
struct Shape {
    n: u64,
    live: u64,
    sizes: Sizes,
    touching: bool,
}

impl Shape {
    fn of(params: &Params, touching: bool) -> Result<Self, Refusal> {
        Ok(Self {
            n: params.integer("n", 1..=10_000_000)?,
            live: params.integer("live", 1..=1_000_000)?,
            sizes: Sizes::of(params)?,
            touching,
        })
    }

    fn churn(self, seed: u64) -> Churn {
        let mut rng = SplitMix64::new(!seed);
        let mut step = |number| Step { number, bytes: self.sizes.draw(&mut rng), place: rng.below(self.live) as usize };
        let steps: Vec<Step> = numbers(seed).take(self.n as usize).map(&mut step).collect();
        let blocks = (0..self.live).map(|_| Block::new(step(0).bytes, 0)).collect();
        let mut churn = Churn { steps, blocks, touching: self.touching };
        churn.once();
        churn
    }
}

struct Step {
    number: u64,
    bytes: usize,
    place: usize,
}

struct Churn {
    steps: Vec<Step>,
    blocks: Vec<Block>,
    touching: bool,
}

impl Churn {
    /// Every step once. The blocks that it frees are those that it made before, the last time or this one: each number is found once.
    fn once(&mut self) -> u64 {
        let mut sum = 0_u64;
        for step in &self.steps {
            let block = Block::new(step.bytes, step.number);
            let block = if self.touching { block.touched() } else { block };
            sum = sum.wrapping_add(mem::replace(&mut self.blocks[step.place], block).number());
        }
        sum
    }

    fn iterate(&mut self, iters: u64) -> u64 {
        (0..iters).fold(0, |_, _| self.once())
    }
}

struct Alone {
    churn: Churn,
    /// What the process had before there were blocks, if that is to be told of.
    before: Option<Footprint>,
}

impl Prepared for Alone {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        let sum = self.churn.iterate(iters);
        clock.stop();
        let mut work = Work::new(iters * self.churn.steps.len() as u64, sum);
        if let Some(before) = self.before {
            let live: usize = self.churn.blocks.iter().map(Block::bytes).sum();
            let grown = Footprint::now()?.resident.saturating_sub(before.resident);
            work.values.insert("resident_over_live".to_owned(), grown as f64 / live as f64);
        }
        Ok(work)
    }
}

/// A thread that answers orders as long as there are any to come.
struct Hand<Order, Answer> {
    orders: Option<Sender<Order>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl<Order: Send + 'static, Answer: Send + 'static> Hand<Order, Answer> {
    /// The thread itself makes what it answers with: so what that allocates is its own.
    fn start<F: FnMut(Order) -> Answer>(make: impl FnOnce() -> F + Send + 'static) -> Result<Self, Refusal> {
        let (orders, wanted) = channel::<Order>();
        let (done, answers) = channel();
        let work = move || {
            let mut answer = make();
            for order in wanted {
                if done.send(answer(order)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().spawn(work).map_err(|error| Refusal::failed(error.to_string()))?;
        Ok(Self { orders: Some(orders), answers, thread: Some(thread) })
    }

    /// `None` when the thread has died.
    fn order(&self, order: Order) -> Option<()> {
        self.orders.as_ref()?.send(order).ok()
    }
}

impl<Order, Answer> Drop for Hand<Order, Answer> {
    fn drop(&mut self) {
        // Without orders to come it ends.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A thread that waits to be told how many iterations to run, and says what the last one came to, and the operations of one.
type Worker = Hand<u64, (u64, u64)>;

fn worker(shape: Shape, seed: u64) -> Result<Worker, Refusal> {
    Hand::start(move || {
        let mut churn = shape.churn(seed);
        move |iters| (churn.iterate(iters), churn.steps.len() as u64)
    })
}

/// A thread that computes while others allocate, and waits while they don't.
struct Companion {
    /// Whether it is to go on.
    goes_on: Arc<AtomicBool>,
    hand: Hand<(), ()>,
}

impl Companion {
    fn start() -> Result<Self, Refusal> {
        let goes_on = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&goes_on);
        let hand = Hand::start(move || {
            move |()| {
                let mut number = 1_u64;
                while flag.load(Ordering::Relaxed) {
                    number = (0..100).fold(number, |number, _| black_box(number.wrapping_mul(5).rotate_left(23)));
                }
            }
        })?;
        Ok(Self { goes_on, hand })
    }

    /// Computes as long as `work` takes.
    fn beside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.goes_on.store(true, Ordering::Relaxed);
        let began = self.hand.order(()).is_some();
        let result = work();
        self.goes_on.store(false, Ordering::Relaxed);
        if began {
            let _ = self.hand.answers.recv();
        }
        result
    }
}

struct Crew {
    workers: Vec<Worker>,
    companion: Option<Companion>,
}

impl Crew {
    fn iterate(&self, iters: u64) -> Result<(u64, u64), Refusal> {
        match &self.companion {
            Some(companion) => companion.beside(|| self.all(iters)),
            None => self.all(iters),
        }
    }

    /// What all of them came to.
    fn all(&self, iters: u64) -> Result<(u64, u64), Refusal> {
        let died = || Refusal::failed("a thread died");
        for worker in &self.workers {
            worker.order(iters).ok_or_else(died)?;
        }
        let answers: Vec<_> = self.workers.iter().filter_map(|worker| worker.answers.recv().ok()).collect();
        let (&first, others) = answers.split_first().ok_or_else(died)?;
        if answers.len() < self.workers.len() {
            return Err(died());
        }
        if others.iter().any(|other| *other != first) {
            return Err(Refusal::failed("its threads came to different sums"));
        }
        Ok(first)
    }
}

impl Prepared for Crew {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let (sum, operations) = self.iterate(iters)?;
        Ok(Work::new(iters * operations, sum))
    }
}
