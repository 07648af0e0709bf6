//! Threads on cores of their own, so that who disturbs whom is known.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{Failure, Trying};

/// The cores that this thread may run on, the lowest number first.
pub(super) fn cores() -> Result<Vec<usize>, Failure> {
    let allowed = sched_getaffinity(None).trying("to ask for the cores that may be used")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect())
}

/// Keeps this thread on one core, until it is dropped.
#[derive(Debug)]
pub(super) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    pub(super) fn to(core: usize) -> Result<Self, Failure> {
        let before = sched_getaffinity(None).trying("to ask for the cores that may be used")?;
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).trying("to keep a thread on one core")?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed again.
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core_and_all_of_them_afterwards() {
        let all = cores().unwrap();
        let last = *all.last().unwrap();
        let pinned = Pinned::to(last).unwrap();
        assert_eq!(cores().unwrap(), [last]);
        drop(pinned);
        assert_eq!(cores().unwrap(), all);
    }
}
