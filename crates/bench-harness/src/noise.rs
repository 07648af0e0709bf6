//! Tells whether others disturbed a round. The limits are fixed here, before anybody has seen a time.

use std::fs;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// A round is void when the hypervisor took more than this share of the CPU time.
const STEAL_LIMIT: f64 = 0.02;
/// ... beyond this much, in seconds: steal is counted in ticks of 10 ms, and one of them is rounding.
const STEAL_SLACK: f64 = 0.015;
/// ... or when tasks stood still for memory, or for a disk that others used, for more than this share of the time (PSI's `some`),
const PRESSURE_LIMIT: f64 = 0.05;
/// beyond this much, in seconds: a log line that somebody writes is no disturbance.
const PRESSURE_SLACK: f64 = 0.02;
/// Others used the disk if they moved more than this share of what it moved,
const DISK_LIMIT: f64 = 0.10;
/// beyond this much, in blocks of 512 bytes. What our own children wait for is what is measured: files that are not in memory.
const DISK_SLACK: f64 = 2048.0;
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
    memory_s: f64,
    disk_s: f64,
    /// Blocks of 512 bytes read and written, by all and by us.
    disk: [f64; 2],
    own_disk: [f64; 2],
}

impl Guard {
    /// Reads the counters at a round's begin.
    pub(crate) fn begin() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
        let ticks = cpu_ticks(&stat);
        // user nice system idle iowait irq softirq steal (Documentation/filesystems/proc.rst)
        let sum = |fields: &[usize]| fields.iter().filter_map(|&field| ticks.get(field)).sum::<u64>() as f64 / hertz;
        let (own_s, own_disk) = own_use();
        let disks = fs::read_to_string("/proc/diskstats").unwrap_or_default();
        Self {
            begin: Instant::now(),
            cpus: stat.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1).max(1) as f64,
            steal_s: sum(&[7]),
            busy_s: sum(&[0, 1, 2, 5, 6]),
            own_s,
            memory_s: stalled_seconds("memory"),
            disk_s: stalled_seconds("io"),
            disk: blocks_moved(&disks, |name| fs::exists(format!("/sys/block/{name}/device")).unwrap_or(false)),
            own_disk,
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
        let others_disk = self.disk_share_of_others(now);
        let stalled = now.memory_s - self.memory_s + if others_disk > 0.0 { now.disk_s - self.disk_s } else { 0.0 };
        if stalled > PRESSURE_LIMIT * wall + PRESSURE_SLACK {
            return Some(format!(
                "tasks stood still for memory or disk {:.0} % of the time, and of what the disk moved {:.0} % was others'",
                100.0 * stalled / wall,
                100.0 * others_disk
            ));
        }
        let foreign = (now.busy_s - self.busy_s) - (now.own_s - self.own_s);
        if foreign > FOREIGN_LIMIT * capacity + FOREIGN_SLACK {
            return Some(format!("other programs used {:.0} % of the CPU time", 100.0 * foreign / capacity));
        }
        None
    }

    /// The share of what the disks moved that others asked for; 0 if that is little.
    fn disk_share_of_others(&self, now: &Self) -> f64 {
        let grown = |now: [f64; 2], then: [f64; 2]| [now[0] - then[0], now[1] - then[1]];
        let (all, own) = (grown(now.disk, self.disk), grown(now.own_disk, self.own_disk));
        // What is written is ours from when it was made dirty on, and some of it never comes to the disk.
        let others = (all[0] - own[0]).max(0.0) + (all[1] - own[1]).max(0.0);
        let all = all[0] + all[1];
        if others > DISK_LIMIT * all + DISK_SLACK { others / all } else { 0.0 }
    }
}

/// `/proc/diskstats`: blocks of 512 bytes read and written, of the disks that are devices and not made of others or parts of them.
fn blocks_moved(disks: &str, is_device: impl Fn(&str) -> bool) -> [f64; 2] {
    let mut moved = [0.0; 2];
    for line in disks.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let field = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        if fields.get(2).is_some_and(|name| is_device(name)) {
            // Documentation/admin-guide/iostats.rst: after number, number, name
            moved[0] += field(5);
            moved[1] += field(9);
        }
    }
    moved
}

/// The first line of `/proc/stat`: ticks since boot, summed over the CPUs.
fn cpu_ticks(stat: &str) -> Vec<u64> {
    let line = stat.lines().next().unwrap_or_default();
    line.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect()
}

/// CPU time of this process and the children it has waited for, and the blocks that they read and wrote.
fn own_use() -> (f64, [f64; 2]) {
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
    let (mut cpu, mut disk) = (0.0, [0.0; 2]);
    for usage in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].into_iter().filter_map(|who| getrusage(who).ok()) {
        cpu += seconds(usage.user_time()) + seconds(usage.system_time());
        disk[0] += usage.block_reads() as f64;
        disk[1] += usage.block_writes() as f64;
    }
    (cpu, disk)
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
        let guard = Guard {
            begin: Instant::now(),
            cpus: 2.0,
            steal_s: 5.0,
            busy_s: 9.0,
            own_s: 1.0,
            memory_s: 0.5,
            disk_s: 0.5,
            disk: [100.0, 500.0],
            own_disk: [50.0, 800.0],
        };
        let quiet = after(&guard, 1.0);
        assert_eq!(guard.disturbance(&quiet), None);
        let stolen = Guard { steal_s: 5.1, ..quiet.clone() };
        assert!(guard.disturbance(&stolen).unwrap().contains("hypervisor took 5 %"));
        let stalled = Guard { memory_s: 0.6, ..quiet.clone() };
        assert!(guard.disturbance(&stalled).unwrap().contains("memory or disk 10 %"));
        // What our own children read from the disk they may wait for; who reads beside them disturbs them.
        let cold = Guard { disk_s: 1.3, disk: [90_100.0, 500.0], own_disk: [90_050.0, 900.0], ..quiet.clone() };
        assert_eq!(guard.disturbance(&cold), None);
        let beside = Guard { own_disk: [60_050.0, 900.0], ..cold };
        assert!(guard.disturbance(&beside).unwrap().contains("80 % of the time, and of what the disk moved 33 % was"));
        let busy = Guard { busy_s: 10.0, own_s: 1.5, ..quiet.clone() };
        assert!(guard.disturbance(&busy).unwrap().contains("other programs used 25 %"));
        let ours = Guard { busy_s: 10.0, own_s: 2.0, ..quiet };
        assert_eq!(guard.disturbance(&ours), None);
    }

    #[test]
    fn only_whole_devices_count() {
        let disks = "   8 0 sda 10 1 3000 4 20 2 5000 6 0 7 8 0 0 0 0 0 0\n   8 1 sda1 9 1 2900 4 20 2 5000 6 0 7 8\n 7 0 loop0 1 0 9 0";
        assert_eq!(blocks_moved(disks, |name| name == "sda").map(|blocks| blocks as u64), [3000, 5000]);
    }

    #[test]
    fn this_machines_counters_can_be_read() {
        let guard = Guard::begin();
        assert!(guard.busy_s > 0.0 && guard.cpus >= 1.0, "{guard:?}");
    }
}
