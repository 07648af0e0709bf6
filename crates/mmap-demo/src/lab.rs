//! The experiments: what each asks, how it is measured, what it predicts.
//!
//! There are two sorts. A *comparison* times ways of doing the same thing, in turns and in random order, and judges the ratios of a round's
//! figures. A *walk* does something step by step and looks at the process's memory after each.

mod advise;
pub(crate) mod allocator;
mod chart;
mod cold;
pub(crate) mod contender;
#[allow(unsafe_code, reason = "functions of a library that is found when the program runs")]
mod cuda;
mod durable;
mod fault;
mod faults;
mod file;
mod fork;
mod free;
mod gpu;
mod huge;
#[allow(unsafe_code, reason = "system calls about memory, and what they need to be safe to call")]
mod memory;
pub(crate) mod outcome;
mod paired;
mod pinned;
mod reserve;
mod shared;
mod stack;
mod truncation;
mod unmap;
#[allow(unsafe_code, reason = "buffers that the kernel writes to while a call is on its way")]
mod uring;
mod warm;

use outcome::Outcome;

/// Why a command gave up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The process can't be looked at.
    #[error("{0}")]
    Process(#[from] mmap_demo::ProcessError),
    /// A view could not be made, or not read where it should have been.
    #[error("{0}")]
    View(#[from] mmap_demo::ViewError),
    /// The system refused what an experiment needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("{0}")]
    File(String),
    /// This machine has not what an experiment is about.
    #[error("{why}")]
    NotHere {
        /// A word for programs.
        reason: &'static str,
        /// A sentence for people.
        why: String,
    },
    /// Standard input or output is gone.
    #[error("can't go on talking: {0}")]
    Output(#[from] std::io::Error),
}

/// For results of system calls: says what was tried.
pub(crate) trait Trying<T> {
    /// Names what was tried, should it have failed.
    fn trying(self, what: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<std::io::Error>> Trying<T> for Result<T, E> {
    fn trying(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure::System { what, source: error.into() })
    }
}

/// Something to find out.
#[derive(Debug, Clone)]
pub(crate) struct Experiment {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it asks.
    pub(crate) question: &'static str,
    pub(crate) sort: Sort,
}

#[derive(Debug, Clone)]
pub(crate) enum Sort {
    Comparison(paired::Comparison),
    Walk(fn() -> Result<Outcome, Failure>),
}

/// All of them.
pub(crate) fn experiments() -> Vec<Experiment> {
    let comparison = |comparison: paired::Comparison| Experiment {
        name: comparison.name,
        question: comparison.question,
        sort: Sort::Comparison(comparison),
    };
    let walk = |name, question, walk| Experiment { name, question, sort: Sort::Walk(walk) };
    let mut all = vec![
        walk("reserve", "What does memory cost that is reserved and not touched?", reserve::reserve),
        walk("malloc", "When does malloc ask for a mapping, and what does free give back?", allocator::walk),
        walk("free", "What do three allocators give back of what was freed?", free::walk),
        walk("faults", "Which page faults wait for a disk?", faults::walk),
        walk("cow", "What of the memory is copied by a fork, and when?", fork::walk),
        walk("advise", "What is given back by madvise, and when?", advise::walk),
        walk("stack", "How does a stack grow, and what stops it?", stack::walk),
        walk("shr", "Does SHR say what is shared?", shared::shr),
        walk("zero", "An anonymous map has no file: why is it called a map?", shared::zero),
        walk("truncation", "What happens to a reader when its file is cut?", truncation::walk),
        walk("gpu", "What do a GPU's context and memory cost the host?", gpu::walk),
    ];
    let comparisons = [
        fault::comparison(),
        huge::comparison(),
        unmap::comparison(),
        warm::sequential(),
        warm::random(),
        cold::sequential(),
        cold::random(),
        durable::comparison(),
        allocator::comparison(),
        fork::comparison(),
        fork::first_writes(),
    ];
    all.extend(comparisons.into_iter().map(comparison));
    all
}

impl Experiment {
    pub(crate) fn outcome(&self) -> Result<Outcome, Failure> {
        match &self.sort {
            Sort::Comparison(comparison) => Ok(comparison.outcome()),
            Sort::Walk(walk) => walk(),
        }
    }
}
