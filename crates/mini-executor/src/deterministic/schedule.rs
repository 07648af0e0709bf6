//! Who goes on next: a function of the seed, and of nothing else.
//!
//! | seed | schedule |
//! |---|---|
//! | 0 | first come, first served: near to what production does |
//! | odd | each time any of those that are ready, all equally likely |
//! | even | *priorities*: a task keeps being preferred, or passed over, for long |
//!
//! Equal odds find what needs a few unlikely choices. They are weak where one task has to be held up while others take a hundred steps:
//! the odds of that are a hundred factors. *Probabilistic concurrency testing* (Burckhardt, Kothari, Musuvathi, Nagarakatte,
//! "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010) gives every task a random priority and
//! always runs the highest, but for `d - 1` steps, drawn beforehand, at which whoever is about to run is put below all others. Of `n` tasks
//! that take `k` steps together it finds a bug that needs `d` orderings with a probability of at least `1 / (n k^(d-1))`.
//!
//! `k` and `d` are not known before. Here they are drawn by the seed, too, so that a seed alone repeats a run: `d` from 1 to 4, `k` as a
//! power of two from 8 to 4,096. After `k` steps the schedule goes on with equal odds. For priorities are unfair: a task that yields until
//! another has done something would keep that one from it for ever.

use std::collections::VecDeque;

/// See the module.
#[derive(Debug)]
pub(super) struct Schedule {
    seed: u64,
    random: Random,
    /// Steps so far.
    steps: u64,
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    InOrder,
    EqualOdds,
    Priorities {
        /// After so many steps it is over.
        horizon: u64,
        /// Steps at which the one who is about to run is put below all others.
        changes: Vec<u64>,
        /// Those who were, the last one lowest.
        lowered: Vec<u64>,
    },
}

/// Exponents of two between which the number of steps is drawn for which priorities last.
const HORIZONS: std::ops::Range<u32> = 3..13;
/// Bugs of at most this depth are looked for.
const DEEPEST: u64 = 4;

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let policy = match seed {
            0 => Policy::InOrder,
            seed if seed % 2 == 1 => Policy::EqualOdds,
            _ => {
                let horizon = 1 << (u64::from(HORIZONS.start) + random.below(HORIZONS.len() as u64));
                let changes = (1..=random.below(DEEPEST)).map(|_| random.below(horizon)).collect();
                Policy::Priorities { horizon, changes, lowered: Vec::new() }
            }
        };
        Self { seed, random, steps: 0, policy }
    }

    /// Whether somebody who is ready inside a task is to wait, and the next one is looked at.
    pub(super) fn passes_over(&mut self) -> bool {
        !matches!(self.policy, Policy::InOrder) && self.random.below(2) == 1
    }

    /// Takes out who goes on; `number` tells a task's number, in order of spawn.
    pub(super) fn pick<T>(&mut self, ready: &mut VecDeque<T>, number: impl Fn(&T) -> u64) -> Option<T> {
        if ready.is_empty() {
            return None;
        }
        let step = self.steps;
        self.steps += 1;
        match &mut self.policy {
            Policy::InOrder => ready.pop_front(),
            Policy::Priorities { horizon, changes, lowered } if step < *horizon => {
                let (seed, numbers) = (self.seed, || ready.iter().map(&number).enumerate());
                let highest = |lowered: &[u64]| numbers().max_by_key(|(_, number)| priority(seed, lowered, *number));
                let (mut place, number) = highest(lowered)?;
                if changes.contains(&step) {
                    lowered.push(number);
                    place = highest(lowered)?.0;
                }
                ready.swap_remove_back(place)
            }
            Policy::EqualOdds | Policy::Priorities { .. } => {
                let place = self.random.below(ready.len() as u64);
                ready.swap_remove_back(place as usize)
            }
        }
    }
}

/// The higher, the sooner: a random number for each task, above all of those who were lowered.
fn priority(seed: u64, lowered: &[u64], number: u64) -> (u64, u64) {
    match lowered.iter().rposition(|lowered| *lowered == number) {
        Some(place) => (0, (lowered.len() - place) as u64),
        None => (1, Random(!seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93)).next()),
    }
}

/// `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): every seed gives a stream of its own.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0. What the product leaves uneven is less than `end` in 2^64.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// In which order a schedule runs three that are ready from the beginning, each for two steps.
    fn order(seed: u64) -> Vec<u64> {
        let mut schedule = Schedule::new(seed);
        let mut ready = VecDeque::from([1, 2, 3]);
        let mut left = [2; 4];
        let mut order = Vec::new();
        while let Some(number) = schedule.pick(&mut ready, |number| *number) {
            order.push(number);
            left[number as usize] -= 1;
            if left[number as usize] > 0 {
                ready.push_back(number);
            }
        }
        order
    }

    #[test]
    fn a_seed_gives_one_order_and_seeds_give_all() {
        assert_eq!(order(0), [1, 2, 3, 1, 2, 3]);
        let mut seen = [HashSet::new(), HashSet::new()];
        for seed in 1..4_000 {
            assert_eq!(order(seed), order(seed));
            seen[seed as usize % 2].insert(order(seed));
        }
        let [priorities, equal_odds] = seen;
        // 6! / (2! 2! 2!).
        assert_eq!(equal_odds.len(), 90);
        // Those with few switches: the depth is limited.
        let in_one_go = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
        for order in in_one_go {
            assert!(priorities.contains(&order.iter().flat_map(|number| [*number; 2]).collect::<Vec<_>>()));
        }
        assert!((30..90).contains(&priorities.len()), "{}", priorities.len());
    }

    #[test]
    fn priorities_hold_one_up_while_another_takes_a_hundred_steps() {
        let hundred_first = |seed: u64| {
            let mut schedule = Schedule::new(seed);
            let mut ready = VecDeque::from([1, 2]);
            (0..100).all(|_| {
                let number = schedule.pick(&mut ready, |number| *number);
                ready.extend(number);
                number == Some(1)
            })
        };
        assert!((2..200).step_by(2).any(hundred_first));
        assert!(!(1..200).step_by(2).any(hundred_first), "the odds are 2^-100");
    }

    #[test]
    fn priorities_are_fair_in_the_end() {
        for seed in (2..100).step_by(2) {
            let mut schedule = Schedule::new(seed);
            let mut ready = VecDeque::from([1, 2]);
            let mut seen = HashSet::new();
            for _ in 0..5_000 {
                let number = schedule.pick(&mut ready, |number| *number).unwrap();
                seen.insert(number);
                ready.push_back(number);
            }
            assert_eq!(seen.len(), 2, "seed {seed}");
        }
    }
}
