//! What the process had of the system's memory over time.

/// What the process has of the system's memory at a time. The tracer's own part, about
/// 1 MiB for each thread and 16 bytes for each block, is in what is resident; the addresses that it reserves are not in those of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Nanoseconds from the trace's start.
    pub time: u64,
    /// Bytes of addresses: what `top` calls VIRT.
    pub mapped: u64,
    /// Bytes that are resident: RES.
    pub resident: u64,
    /// Its share of them in bytes, where each page that processes have together is divided between them: PSS. `None` where it was not read, since
    /// that takes the kernel a while.
    pub share: Option<u64>,
    /// Page faults since the process began that needed no disk.
    pub minor: u64,
    /// And those that did.
    pub major: u64,
}

impl Memory {
    /// Some of a process's, in order: of so many stretches of equal length the one with most resident, and the first and the last.
    pub(super) fn some(all: &[Self], most: usize) -> Vec<Self> {
        let each = all.len().div_ceil(most.max(1)).max(1);
        let picked = all.chunks(each).enumerate().flat_map(|(index, stretch)| {
            let highest = stretch.iter().max_by_key(|memory| memory.resident).copied();
            let first = (index == 0).then(|| stretch[0]);
            let last = (index == (all.len() - 1) / each).then(|| stretch[stretch.len() - 1]);
            [first, highest, last]
        });
        let mut picked: Vec<Self> = picked.flatten().collect();
        picked.dedup();
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_keep_the_ends_and_the_peaks() {
        let of = |time, resident| Memory { time, mapped: 0, resident, share: None, minor: 0, major: 0 };
        let all: Vec<Memory> = (0..1000).map(|time| of(time, if time == 377 { 9999 } else { time })).collect();
        let some = Memory::some(&all, 10);
        assert_eq!((some[0].time, some[some.len() - 1].time), (0, 999));
        assert!(some.len() <= 12 && some.is_sorted_by_key(|memory| memory.time), "{some:?}");
        assert!(some.contains(&of(377, 9999)));
        assert_eq!(Memory::some(&all[..3], 10), all[..3]);
        assert_eq!(Memory::some(&[], 10), []);
    }
}
