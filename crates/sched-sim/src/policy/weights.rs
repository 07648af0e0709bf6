//! Linux's weights of nice levels.

/// The weight of each nice level from -20 to 19: each step is about 1.25 times, 10 % of a core between two tasks
/// (`sched_prio_to_weight` in Linux's kernel/sched/core.c).
pub const NICE_TO_WEIGHT: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501,
    1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
];

/// The weight of a nice level; levels out of range count as the nearest.
pub(crate) fn weight(nice: i8) -> u64 {
    u64::from(NICE_TO_WEIGHT[(i32::from(nice.clamp(-20, 19)) + 20) as usize])
}
