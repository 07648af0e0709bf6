//! skynet: a tree of units, each of which makes ten and adds up what they return. Units are made where they run, so that a pool
//! has to spread them by itself.
//!
//! After the benchmark of that name by Alexander Temerev (2016), with numbers mixed instead of counted.

use std::future::Future;
use std::pin::Pin;

use bench_harness::protocol::Refusal;

use super::{Answer, Workload, iterate, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Skynet;

impl Workload for Skynet {
    const NAMES: &'static [&'static str] = &["skynet"];

    fn on_tasks<R: Tasks>(_: &str) -> Answer {
        tree(|_| {
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(move |node, iters| runtime.run(run_tasks::<R>(node, iters))))
        })
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a pooled job that waits for jobs of its own deadlocks a fixed pool"))
    }

    fn on_threads<R: Threads>(_: &str) -> Answer {
        tree(|units| {
            R::start().map_err(|error| not_started(&error))?;
            let (most, limits) = R::most();
            if units > most {
                return Err(Refusal::unsupported(format!("{units} units: {limits} of this machine allow {most}")));
            }
            Ok(Box::new(|node, iters| R::run(move || iterate(iters, || jobs::<R>(node)))))
        })
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        tree(|_| {
            R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(|node, iters| iterate(iters, || jobs::<R>(node))))
        })
    }

    fn on_scope(_: &str) -> Answer {
        tree(|_| Ok(Box::new(|node, iters| iterate(iters, || scopes(node)))))
    }

    fn on_rayon(_: &str) -> Answer {
        tree(|_| Ok(Box::new(|node, iters| rayon::scope(|_| iterate(iters, || parallel(node))))))
    }
}

/// Units below a unit.
const CHILDREN: u64 = 10;

/// A unit's place in the tree.
#[derive(Clone, Copy)]
struct Node {
    seed: u64,
    /// Its number among those of its level.
    index: u64,
    /// How many levels are below it.
    levels: u32,
}

impl Node {
    fn children(self) -> impl ExactSizeIterator<Item = Self> {
        (0..CHILDREN as usize).map(move |child| Self {
            index: self.index * CHILDREN + child as u64,
            levels: self.levels - 1,
            ..self
        })
    }

    fn leaf(self) -> Option<u64> {
        (self.levels == 0).then(|| mix(self.seed, self.index))
    }
}

/// Runs the tree so often, and gives one tree's sum.
type Run = Box<dyn Fn(Node, u64) -> u64>;

/// `start` is told how many units there will be.
fn tree(start: impl FnOnce(u64) -> Result<Run, Refusal> + 'static) -> Answer {
    Ok(Box::new(move |params, seed| {
        let levels = params.integer("levels", 1..=6)? as u32;
        let units = (0..=levels).map(|level| CHILDREN.pow(level)).sum();
        let run = start(units)?;
        Ok(repeat(move |iters, _| {
            Ok(bench_harness::child::Work::new(iters * units, run(Node { seed, index: 0, levels }, iters)))
        }))
    }))
}

async fn run_tasks<R: Tasks>(root: Node, iters: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..iters {
        sum = R::spawn(tasks::<R>(root)).await;
    }
    sum
}

/// Boxed, for it contains itself.
fn tasks<R: Tasks>(node: Node) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if let Some(leaf) = node.leaf() {
            return leaf;
        }
        let children: Vec<_> = node.children().map(|child| R::spawn(tasks::<R>(child))).collect();
        let mut sum = 0_u64;
        for child in children {
            sum = sum.wrapping_add(child.await);
        }
        sum
    })
}

/// The root is a unit already, the caller.
fn jobs<R: Jobs>(node: Node) -> u64 {
    node.leaf().unwrap_or_else(|| {
        let children: Vec<_> = node.children().map(|child| R::spawn(move || jobs::<R>(child))).collect();
        children.into_iter().fold(0, |sum, child| sum.wrapping_add(R::join(child)))
    })
}

fn scopes(node: Node) -> u64 {
    node.leaf().unwrap_or_else(|| {
        let scoped = crossbeam_utils::thread::scope(|scope| {
            let children: Vec<_> = node.children().map(|child| scope.spawn(move |_| scopes(child))).collect();
            let join = |child: crossbeam_utils::thread::ScopedJoinHandle<'_, u64>| {
                child.join().expect("adding does not panic")
            };
            children.into_iter().map(join).fold(0, u64::wrapping_add)
        });
        scoped.expect("adding does not panic")
    })
}

fn parallel(node: Node) -> u64 {
    node.leaf().unwrap_or_else(|| {
        let mut sums = [0; CHILDREN as usize];
        rayon::scope(|scope| {
            for (sum, child) in sums.iter_mut().zip(node.children()) {
                scope.spawn(move |_| *sum = parallel(child));
            }
        });
        sums.into_iter().fold(0, u64::wrapping_add)
    })
}
