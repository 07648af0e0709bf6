//! Which CPUs a contender may use.
//!
//! Placement decides results: waking a thread on another core costs about ten times what it costs on the same one, so
//! everything with more than one thread is measured pinned to one core and free.

use std::io;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where contenders run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// All threads on one core.
    Pinned,
    /// All cores the host itself was given.
    Free,
}

impl Placement {
    /// The word used in reports and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Free => "free",
        }
    }

    /// The CPUs this placement takes of those allowed. Pinned takes the last: the first serves most interrupts.
    pub fn cpus(self, allowed: &[usize]) -> Vec<usize> {
        match self {
            Self::Pinned => allowed.last().copied().into_iter().collect(),
            Self::Free => allowed.to_vec(),
        }
    }
}

/// The CPUs in this thread's affinity mask, ascending.
///
/// # Errors
/// Where the kernel won't tell.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let mask = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&cpu| mask.is_set(cpu).unwrap_or(false)).collect())
}

/// Runs `start` with this thread on `cpus` and puts the mask back: a process or thread started meanwhile keeps `cpus`.
///
/// # Errors
/// Where the kernel forbids the change; `start` has not run then.
pub fn starting_on<T>(cpus: &[usize], start: impl FnOnce() -> T) -> io::Result<T> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this)?;
    let mut mask = CpuSet::new();
    for &cpu in cpus {
        mask.set(cpu)?;
    }
    if mask == before {
        return Ok(start());
    }
    sched_setaffinity(this, &mask).map_err(|error: Errno| {
        io::Error::new(io::Error::from(error).kind(), format!("pinning to CPU {cpus:?} is not allowed here: {error}"))
    })?;
    let started = start();
    sched_setaffinity(this, &before)?;
    Ok(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_takes_one_cpu_and_free_takes_all() {
        assert_eq!(Placement::Pinned.cpus(&[0, 3, 5]), [5]);
        assert_eq!(Placement::Free.cpus(&[0, 3, 5]), [0, 3, 5]);
    }

    #[test]
    fn the_mask_is_as_before_after_a_start() {
        let before = allowed_cpus().unwrap();
        let inside = starting_on(&before[..1], || allowed_cpus().unwrap()).unwrap();
        assert_eq!(inside, before[..1]);
        assert_eq!(allowed_cpus().unwrap(), before);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error_and_nothing_starts() {
        let outcome = starting_on(&[CpuSet::count() - 1], || panic!("must not start"));
        assert!(outcome.unwrap_err().to_string().contains("is not allowed here"));
    }
}
