//! What children do while others are measured: nothing, or they are found out.
//!
//! Children stand side by side through a round, and take turns. One whose threads go on computing when its block is over disturbs all the
//! others, and the report would show their figures as if they were their own.

use std::time::Duration;

use crate::host::ChildError;

/// Judged is who has rested for so long in all.
const ENOUGH: Duration = Duration::from_millis(100);
/// Shorter rests don't count: in them a runtime's threads are only falling asleep.
const SHORTEST: Duration = Duration::from_millis(5);
/// For that each CPU's thread may take so long in each rest.
const FALLING_ASLEEP: Duration = Duration::from_micros(200);
/// Of a CPU, beyond that: housekeeping, not work. A dozen children that compute all the time still get more of one CPU each.
const SHARE: f64 = 0.05;

/// The rests of one contender, in all its processes.
#[derive(Debug, Clone, Default)]
pub struct Rests {
    lasted: Duration,
    used: Duration,
}

impl Rests {
    /// Adds a rest: how long it was, and the CPU time that the child's threads took meanwhile.
    pub fn add(&mut self, lasted: Duration, used: Duration) {
        if lasted >= SHORTEST {
            let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
            self.lasted += lasted;
            self.used += used.saturating_sub(FALLING_ASLEEP * threads);
        }
    }

    /// Whether the child rested.
    ///
    /// # Errors
    /// [`ChildError::Restless`] when it used more than a twentieth of a CPU in more than 100 ms.
    pub fn judge(&self) -> Result<(), ChildError> {
        if self.lasted >= ENOUGH && self.used > self.lasted.mul_f64(SHARE) {
            return Err(ChildError::Restless { used: self.used, rested: self.lasted });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rests: &[(u64, u64)]) -> Result<(), ChildError> {
        let mut all = Rests::default();
        for &(lasted, used) in rests {
            all.add(Duration::from_millis(lasted), Duration::from_millis(used));
        }
        all.judge()
    }

    #[test]
    fn who_computes_for_long_is_restless_and_who_falls_asleep_or_was_hardly_seen_is_not() {
        let error = of(&[(60, 40), (60, 40)]).unwrap_err();
        assert!(error.to_string().contains("in 120.0ms in which it was asked for nothing"), "{error}");
        of(&[(60, 60)]).unwrap();
        of(&[(4, 4); 100]).unwrap();
        of(&[(1_000, 10), (1_000, 80)]).unwrap();
        of(&[]).unwrap();
    }
}
