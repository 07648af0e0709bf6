//! When does the next core have something to do? A winner tree: one timer per core, the earliest at the root.
//!
//! A core's timer changes at almost every event, and there are few cores. Changing a leaf replays the matches on the way to the root:
//! log2(cores) comparisons without a branch, no search, and nothing moves. Of equal times the lower core number comes first.

/// One timer per core.
#[derive(Debug, Clone)]
pub(crate) struct CoreTree {
    /// A binary heap's layout: node 1 is the root, the leaves are the last half. Each key is (time, core), the time on top.
    keys: Vec<u128>,
    leaves: usize,
}

const IDLE: u128 = (crate::time::NEVER as u128) << 64;

impl CoreTree {
    pub(crate) fn new(cores: usize) -> Self {
        let leaves = cores.next_power_of_two().max(1);
        let mut keys = vec![IDLE | u128::from(u64::MAX); 2 * leaves];
        for core in 0..leaves {
            keys[leaves + core] = IDLE | core as u128;
        }
        let mut tree = Self { keys, leaves };
        for node in (1..leaves).rev() {
            tree.keys[node] = tree.keys[2 * node].min(tree.keys[2 * node + 1]);
        }
        tree
    }

    /// The earliest time; [`crate::time::NEVER`] if no timer is set.
    #[inline]
    pub(crate) fn next_time(&self) -> u64 {
        (self.keys[1] >> 64) as u64
    }

    /// The core whose timer is the earliest.
    #[inline]
    pub(crate) fn next_core(&self) -> usize {
        self.keys[1] as u64 as usize
    }

    /// Sets a core's timer, or clears it with [`crate::time::NEVER`].
    #[inline]
    pub(crate) fn set(&mut self, core: usize, time: u64) {
        let mut node = self.leaves + core;
        let mut key = (u128::from(time) << 64) | core as u128;
        self.keys[node] = key;
        while node > 1 {
            key = key.min(self.keys[node ^ 1]);
            node >>= 1;
            self.keys[node] = key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::NEVER;

    #[test]
    fn the_earliest_comes_first_and_of_equals_the_lowest_core() {
        for cores in [1, 2, 3, 5, 64, 100] {
            let mut tree = CoreTree::new(cores);
            assert_eq!(tree.next_time(), NEVER);
            let mut random = crate::random::Random::new(7, crate::random::Stream::Policy);
            let mut times = vec![NEVER; cores];
            for _ in 0..1000 {
                let core = random.below(cores as u64) as usize;
                times[core] = if random.below(4) == 0 { NEVER } else { random.below(50) };
                tree.set(core, times[core]);
                let (first, time) = times.iter().enumerate().min_by_key(|(core, time)| (**time, *core)).unwrap();
                assert_eq!((tree.next_time(), tree.next_core()), (*time, first));
            }
        }
    }
}
