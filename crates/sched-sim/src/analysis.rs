//! Will periodic tasks meet their deadlines? What can be said on one core without simulating: bounds, response times, demand.
//!
//! Periods have to be above 0; most functions panic if one is not. Tasks are independent, preemptible at any time, released together at 0 (the worst case), and switching costs nothing. All arithmetic but
//! [`liu_layland_bound`] is in integers, so the answers are exact.

/// A periodic task, in any one unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodicTask {
    /// The longest that a job computes.
    pub wcet: u64,
    /// Between releases.
    pub period: u64,
    /// From release to when the job has to be done; at most the period.
    pub deadline: u64,
}

/// The share of a core that the tasks need together.
pub fn utilization(tasks: &[PeriodicTask]) -> f64 {
    tasks.iter().map(|task| task.wcet as f64 / task.period as f64).sum()
}

/// Up to this utilization `n` tasks meet their deadlines under rate-monotonic priorities, whatever they are: n (2^(1/n) - 1)
/// (Liu and Layland 1973).
pub fn liu_layland_bound(n: usize) -> f64 {
    let n = n as f64;
    n * (libm::exp2(1.0 / n) - 1.0)
}

/// Is the utilization within [`liu_layland_bound`]? Enough for deadlines at the ends of periods, but not necessary.
pub fn passes_liu_layland(tasks: &[PeriodicTask]) -> bool {
    utilization(tasks) <= liu_layland_bound(tasks.len()) + 1e-12
}

/// The hyperbolic bound: the product of (utilization + 1) over all tasks is at most 2 (Bini, Buttazzo and Buttazzo 2003). Enough, and sharper
/// than Liu and Layland's.
pub fn passes_hyperbolic(tasks: &[PeriodicTask]) -> bool {
    let exact = tasks.iter().try_fold((1_u128, 1_u128), |(above, below), task| {
        let (wcet, period) = (u128::from(task.wcet), u128::from(task.period));
        let (above, below) = (above.checked_mul(wcet + period)?, below.checked_mul(period)?);
        let common = gcd(above, below);
        Some((above / common, below / common))
    });
    match exact {
        Some((above, below)) => above.div_ceil(2) <= below,
        // Too large for integers: a rounding error's worth of doubt.
        None => tasks.iter().map(|task| task.wcet as f64 / task.period as f64 + 1.0).product::<f64>() <= 2.0 + 1e-12,
    }
}

/// The time after which all repeats: the least common multiple of the periods. `None` if that does not fit.
pub fn hyperperiod(tasks: &[PeriodicTask]) -> Option<u64> {
    let common = tasks.iter().try_fold(1_u128, |common, task| {
        let period = u128::from(task.period);
        (common / gcd(common, period)).checked_mul(period)
    })?;
    u64::try_from(common).ok()
}

/// How long each task's first job takes under rate-monotonic priorities (the shorter the period the more urgent; of equals the one listed
/// first): the least R with R = C + sum over more urgent tasks of ceil(R/T) C (Joseph and Pandya 1986). `None` if there is no such R, because the
/// more urgent tasks leave nothing of the core.
///
/// If it is within the deadline for each task, all jobs of all tasks meet theirs.
pub fn rm_response_times(tasks: &[PeriodicTask]) -> Vec<Option<u64>> {
    let urgency = |index: usize| (tasks[index].period, index);
    let response = |index: usize| {
        let urgent: Vec<PeriodicTask> =
            (0..tasks.len()).filter(|other| urgency(*other) < urgency(index)).map(|other| tasks[other]).collect();
        if !less_than_one(&urgent) {
            return None;
        }
        let mut time = tasks[index].wcet;
        loop {
            let next = urgent.iter().try_fold(tasks[index].wcet, |sum, task| {
                sum.checked_add(time.div_ceil(task.period).checked_mul(task.wcet)?)
            })?;
            if next == time {
                return Some(time);
            }
            time = next;
        }
    };
    (0..tasks.len()).map(response).collect()
}

/// Do all jobs meet their deadlines under rate-monotonic priorities? Exact.
pub fn rm_schedulable(tasks: &[PeriodicTask]) -> bool {
    let responses = rm_response_times(tasks);
    tasks.iter().zip(responses).all(|(task, response)| response.is_some_and(|response| response <= task.deadline))
}

/// Do all jobs meet their deadlines under earliest deadline first? Exact: in no interval from 0 may more work be due than fits
/// (Baruah, Rosier and Howell 1990).
pub fn edf_schedulable(tasks: &[PeriodicTask]) -> bool {
    if !at_most_one(tasks) {
        return false;
    }
    if tasks.iter().all(|task| task.deadline >= task.period) {
        return true;
    }
    // Up to the end of the first busy time: behind it everything starts anew. Backwards, from a time straight to what is due by then: in between
    // nothing can be missed (Zhang and Burns 2009).
    let busy = busy_time(tasks).or_else(|| hyperperiod(tasks)).unwrap_or(u64::MAX);
    let soonest = tasks.iter().map(|task| task.deadline).min().unwrap_or(0);
    let mut time = last_deadline(tasks, busy);
    while let Some(at) = time {
        let due = due_by(tasks, at);
        if due > u128::from(at) {
            return false;
        }
        if due <= u128::from(soonest) {
            return true;
        }
        time = if due < u128::from(at) { Some(due as u64) } else { last_deadline(tasks, at - 1) };
    }
    true
}

/// The last deadline of any job up to a time.
fn last_deadline(tasks: &[PeriodicTask], time: u64) -> Option<u64> {
    let of = |task: &PeriodicTask| Some(time - time.checked_sub(task.deadline)? % task.period);
    tasks.iter().filter_map(of).max()
}

/// The work of all jobs whose deadlines are not after a time.
fn due_by(tasks: &[PeriodicTask], time: u64) -> u128 {
    let of = |task: &PeriodicTask| {
        let jobs = time.checked_sub(task.deadline).map_or(0, |rest| rest / task.period + 1);
        u128::from(jobs) * u128::from(task.wcet)
    };
    tasks.iter().map(of).sum()
}

/// When the core is idle for the first time, if all tasks are released at 0.
fn busy_time(tasks: &[PeriodicTask]) -> Option<u64> {
    let mut time = tasks.iter().try_fold(0_u64, |sum, task| sum.checked_add(task.wcet))?;
    for _ in 0..1_000_000 {
        let next = tasks
            .iter()
            .try_fold(0_u64, |sum, task| sum.checked_add(time.div_ceil(task.period).checked_mul(task.wcet)?))?;
        if next == time {
            return Some(time);
        }
        time = next;
    }
    None
}

/// Work in a hyperperiod, and its length.
fn demand(tasks: &[PeriodicTask]) -> Option<(u128, u128)> {
    let whole = tasks
        .iter()
        .try_fold(1_u128, |common, task| (common / gcd(common, task.period.into())).checked_mul(task.period.into()))?;
    let work = tasks.iter().try_fold(0_u128, |sum, task| {
        sum.checked_add((whole / u128::from(task.period)).checked_mul(task.wcet.into())?)
    })?;
    Some((work, whole))
}

fn less_than_one(tasks: &[PeriodicTask]) -> bool {
    demand(tasks).map_or_else(|| utilization(tasks) < 1.0, |(work, whole)| work < whole)
}

fn at_most_one(tasks: &[PeriodicTask]) -> bool {
    demand(tasks).map_or_else(|| utilization(tasks) <= 1.0, |(work, whole)| work <= whole)
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_before_the_period_can_be_missed_below_full_load() {
        let tasks = [
            PeriodicTask { wcet: 2, period: 6, deadline: 3 },
            PeriodicTask { wcet: 2, period: 8, deadline: 4 },
            PeriodicTask { wcet: 2, period: 12, deadline: 5 },
        ];
        assert!(utilization(&tasks) < 0.76);
        assert!(!edf_schedulable(&tasks), "6 units are due at 5");
        assert!(edf_schedulable(&tasks[..2]));
    }

    #[test]
    fn deadlines_that_cannot_all_be_looked_at_are_judged() {
        let long = 1 << 42;
        let tasks = |wcet, deadline| {
            [PeriodicTask { wcet: 1, period: 2, deadline: 1 }, PeriodicTask { wcet, period: long, deadline }]
        };
        assert!(edf_schedulable(&tasks(long / 4, long - 1)));
        assert!(!edf_schedulable(&tasks(long / 4, long / 2 - 1)), "half the core is taken until then");
        assert!(edf_schedulable(&tasks(long / 4, long / 2)));
        let huge = PeriodicTask { wcet: u64::MAX / 2, period: u64::MAX, deadline: u64::MAX - 1 };
        assert!(!edf_schedulable(&[huge, huge, huge]));
    }
}
