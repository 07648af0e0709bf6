//! Tells whether others disturbed a round. The limits are fixed here, before anybody has seen a time.

use std::fs;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// A round is void when the hypervisor took more than this share of the CPU time.
const STEAL_LIMIT: f64 = 0.02;
/// ... beyond this much, in seconds: steal is counted in ticks of 10 ms, and one of them is rounding.
const STEAL_SLACK: f64 = 0.015;
/// ... or when tasks stood still for memory or the disk for more than this share of the time (PSI's `some`),
const PRESSURE_LIMIT: f64 = 0.05;
/// beyond this much, in seconds: a log line that somebody writes is no disturbance.
const PRESSURE_SLACK: f64 = 0.02;
/// ... or when other programs used more than this share of the CPU time,
const FOREIGN_LIMIT: f64 = 0.10;
/// beyond this much, in seconds: `/proc/stat` counts in ticks of 10 ms and rounds are short.
const FOREIGN_SLACK: f64 = 0.08;

/// Counters of the whole machine at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    begin: Instant,
    cpus: f64,
    steal_s: f64,
    busy_s: f64,
    own_s: f64,
    stalled_s: f64,
}

impl Guard {
    /// Reads the counters at a round's begin.
    pub(crate) fn begin() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
        let ticks = cpu_ticks(&stat);
        // user nice system idle iowait irq softirq steal (Documentation/filesystems/proc.rst)
        let sum = |fields: &[usize]| fields.iter().filter_map(|&field| ticks.get(field)).sum::<u64>() as f64 / hertz;
        Self {
            begin: Instant::now(),
            cpus: stat.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1).max(1) as f64,
            steal_s: sum(&[7]),
            busy_s: sum(&[0, 1, 2, 5, 6]),
            own_s: own_cpu_seconds(),
            stalled_s: stalled_seconds("memory") + stalled_seconds("io"),
        }
    }

    /// Why the round since `self` is void, if it is. Call it after the round's children were waited for: only then is
    /// their CPU time known to be ours.
    pub(crate) fn void(&self) -> Option<String> {
        self.disturbance(&Self::begin())
    }

    fn disturbance(&self, now: &Self) -> Option<String> {
        let wall = now.begin.duration_since(self.begin).as_secs_f64();
        let capacity = wall * self.cpus;
        let steal = now.steal_s - self.steal_s;
        if steal > STEAL_LIMIT * capacity + STEAL_SLACK {
            return Some(format!("the hypervisor took {:.0} % of the CPU time", 100.0 * steal / capacity));
        }
        let stalled = now.stalled_s - self.stalled_s;
        if stalled > PRESSURE_LIMIT * wall + PRESSURE_SLACK {
            return Some(format!("tasks stood still for memory or disk {:.0} % of the time", 100.0 * stalled / wall));
        }
        let foreign = (now.busy_s - self.busy_s) - (now.own_s - self.own_s);
        if foreign > FOREIGN_LIMIT * capacity + FOREIGN_SLACK {
            return Some(format!("other programs used {:.0} % of the CPU time", 100.0 * foreign / capacity));
        }
        None
    }
}

/// The first line of `/proc/stat`: ticks since boot, summed over the CPUs.
fn cpu_ticks(stat: &str) -> Vec<u64> {
    let line = stat.lines().next().unwrap_or_default();
    line.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect()
}

/// CPU time of this process and the children it has waited for.
fn own_cpu_seconds() -> f64 {
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .filter_map(|who| getrusage(who).ok())
        .map(|usage| seconds(usage.user_time()) + seconds(usage.system_time()))
        .sum()
}

/// The `some total=` of `/proc/pressure/RESOURCE`; 0 where the kernel keeps none.
fn stalled_seconds(resource: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/pressure/{resource}")).unwrap_or_default();
    let total = text.lines().find(|line| line.starts_with("some")).and_then(|line| line.rsplit_once("total="));
    total.and_then(|(_, microseconds)| microseconds.trim().parse::<f64>().ok()).unwrap_or(0.0) * 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn after(guard: &Guard, wall: f64) -> Guard {
        Guard { begin: guard.begin + Duration::from_secs_f64(wall), ..guard.clone() }
    }

    #[test]
    fn steal_pressure_and_strangers_each_void_a_round() {
        let guard = Guard { begin: Instant::now(), cpus: 2.0, steal_s: 5.0, busy_s: 9.0, own_s: 1.0, stalled_s: 0.5 };
        let quiet = after(&guard, 1.0);
        assert_eq!(guard.disturbance(&quiet), None);
        let stolen = Guard { steal_s: 5.1, ..quiet.clone() };
        assert!(guard.disturbance(&stolen).unwrap().contains("hypervisor took 5 %"));
        let stalled = Guard { stalled_s: 0.6, ..quiet.clone() };
        assert!(guard.disturbance(&stalled).unwrap().contains("memory or disk 10 %"));
        let busy = Guard { busy_s: 10.0, own_s: 1.5, ..quiet.clone() };
        assert!(guard.disturbance(&busy).unwrap().contains("other programs used 25 %"));
        let ours = Guard { busy_s: 10.0, own_s: 2.0, ..quiet };
        assert_eq!(guard.disturbance(&ours), None);
    }

    #[test]
    fn this_machines_counters_can_be_read() {
        let guard = Guard::begin();
        assert!(guard.busy_s > 0.0 && guard.cpus >= 1.0, "{guard:?}");
    }
}
