//! What a trace comes to: live, peak, leaked, short-lived; by site and in all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use super::events::{Context, Event};
use super::file::{Damage, Origin, TraceFile};
use super::memory::Memory;
use super::system::System;
use super::timeline::Timeline;
use super::weight::weight;

/// Figures of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocks {
    /// Calls that handed out a block.
    pub allocations: u64,
    /// Bytes asked for in these calls.
    pub bytes: u64,
    /// Blocks that were given back.
    pub frees: u64,
    /// Blocks not given back when the trace ends, and their bytes.
    pub live: u64,
    /// Bytes in them.
    pub live_bytes: u64,
    /// Bytes in blocks when the whole process had most.
    pub at_peak: u64,
    /// Blocks given back before their thread asked for another; 0 in a sampled trace, which can't tell.
    pub temporary: u64,
    /// Bytes that the C library took from the system to answer these calls: by `brk`, by `mmap` for a block alone, and the addresses of
    /// arenas for further threads.
    pub from_system: u64,
}

/// What a trace comes to. Of a sampled one ([`Origin::sampled`]) figures of blocks are estimates: each block that was noted counts as many
/// times as its size makes likely that there were.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Analysis {
    /// Which process.
    pub origin: Origin,
    /// Sites, modules, threads.
    pub context: Context,
    /// By number of site.
    pub by_site: Vec<Blocks>,
    /// In all; `at_peak` is the peak.
    pub total: Blocks,
    /// Blocks that the trace has: those of which a byte was drawn, or all.
    pub noted: u64,
    /// Blocks at the peak.
    pub blocks_at_peak: u64,
    /// When the peak was first reached: nanoseconds from the beginning, to the nearest stamp.
    pub peak_time: u64,
    /// The time of the last stamp, in nanoseconds from the beginning.
    pub end_time: u64,
    /// Bytes in blocks over time.
    pub timeline: Timeline,
    /// Calls by size: the key is the smallest power of two that the size is not above.
    pub sizes: BTreeMap<u64, u64>,
    /// Memory from `mmap`.
    pub mapped: Mapped,
    /// What the C library's `malloc` asked the system for.
    pub system: System,
    /// By how much `brk` and `sbrk`, called by the program itself, moved the end of the heap, in bytes.
    pub heap_moved: i64,
    /// What the process had of the system's memory, in the order of time.
    pub memory: Vec<Memory>,
    /// What could not be read.
    pub damage: Vec<Damage>,
    /// The file's length in bytes.
    pub file_bytes: u64,
}

/// Figures of mappings that the program itself made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapped {
    /// Calls of `mmap`, `mremap`, `munmap`.
    pub calls: u64,
    /// Bytes mapped when the trace ends.
    pub live_bytes: u64,
    /// Most bytes mapped at a time.
    pub peak_bytes: u64,
    /// Beginnings and ends.
    ranges: BTreeMap<u64, u64>,
}

impl Mapped {
    fn add(&mut self, address: u64, length: u64) {
        self.take(address, length);
        let end = address.saturating_add(length.checked_next_multiple_of(4096).unwrap_or(length));
        // Nothing can be mapped so, and it would stand in the place of what is.
        if end == address {
            return;
        }
        self.ranges.insert(address, end);
        self.live_bytes += end - address;
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
    }

    /// Takes out what of a range is mapped, and says how much that was.
    fn take(&mut self, address: u64, length: u64) {
        let end = address.saturating_add(length.checked_next_multiple_of(4096).unwrap_or(length));
        let touched: Vec<(u64, u64)> = self
            .ranges
            .range(..end)
            .rev()
            .take_while(|&(_, &to)| to > address)
            .map(|(&from, &to)| (from, to))
            .collect();
        for (from, to) in touched {
            self.ranges.remove(&from);
            self.live_bytes -= to.min(end) - from.max(address);
            if from < address {
                self.ranges.insert(from, address);
            }
            if to > end {
                self.ranges.insert(end, to);
            }
        }
    }
}

/// Numbers of blocks are one after the other: a multiplication spreads them.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let spread = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (spread >> 64) as u64 ^ spread as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What blocks of a sampled trace stand for.
#[derive(Default)]
pub(super) struct Weigher {
    /// Of how many bytes one was drawn; 0 if all blocks were noted.
    mean: u64,
    /// By how much the blocks that were counted are fewer than those estimated: less than one.
    uncounted: f64,
}

impl Weigher {
    pub(super) fn new(mean: u64) -> Self {
        Self { mean, uncounted: 0.0 }
    }

    /// How many blocks one stands for that was noted, and how many bytes.
    pub(super) fn weigh(&mut self, size: u64) -> (u32, u64) {
        if self.mean == 0 {
            return (1, size);
        }
        let weight = weight(size, self.mean);
        // Whole blocks; what is cut off now is counted with the next.
        let count = (weight + self.uncounted).floor();
        self.uncounted += weight - count;
        (count as u32, (weight * size as f64).round() as u64)
    }
}

/// What is known of a block, a site, and the whole, while events go by.
#[derive(Default)]
struct Tally {
    result: Analysis,
    /// Site, how many blocks it stands for, their bytes.
    live: HashMap<u64, (u32, u32, u64), BuildHasherDefault<Spread>>,
    weigher: Weigher,
    /// Freed by another thread in a stretch that seemed to be earlier.
    freed_early: HashSet<u64>,
    /// By thread: the block that it allocated last.
    last_block: HashMap<u32, u64>,
    /// How often the peak has risen; by site, how often it had when `at_peak` was taken.
    peaks: u64,
    seen_peak: Vec<u64>,
}

impl Analysis {
    /// Reads a trace; `progress` is told now and then how much has been read, from 0 to 1.
    ///
    /// Memory: sites, live blocks, and what [`TraceFile::each_event`] needs.
    pub fn of(mut file: TraceFile, progress: impl FnMut(f64)) -> Self {
        let mut tally = Tally::default();
        tally.result.origin = file.origin().clone();
        tally.weigher = Weigher::new(file.origin().sampled);
        let context = file.each_event(progress, |thread, time, event| tally.take(thread, time, event));
        tally.result.context = context;
        tally.result.damage = file.damage().to_vec();
        tally.result.file_bytes = file.length();
        tally.end()
    }

    /// Calls that could not be noted.
    pub fn missed(&self) -> u64 {
        self.context.threads.values().fold(0, |sum, thread| sum.saturating_add(thread.missed))
    }

    /// Blocks given back that nobody saw handed out.
    pub fn strangers(&self) -> u64 {
        self.context.threads.values().fold(0, |sum, thread| sum.saturating_add(thread.strangers))
    }
}

impl Tally {
    fn take(&mut self, thread: u32, time: u64, event: Event) {
        self.result.end_time = self.result.end_time.max(time);
        match event {
            Event::Alloc { block, site, size } => self.alloc(thread, time, block, site, size),
            Event::Free { block } => self.free(thread, time, block),
            Event::Map { address, length, .. } => {
                self.result.mapped.calls += 1;
                self.result.mapped.add(address, length);
            }
            Event::Unmap { address, length, .. } => {
                self.result.mapped.calls += 1;
                self.result.mapped.take(address, length);
            }
            Event::Remap { from, to, .. } => {
                self.result.mapped.calls += 1;
                self.result.mapped.take(from.0, from.1);
                self.result.mapped.add(to.0, to.1);
            }
            Event::Break { from, to, .. } => {
                self.result.heap_moved = self.result.heap_moved.wrapping_add(to.wrapping_sub(from).cast_signed());
            }
            Event::Heap { site, from, to } => {
                let grown = self.result.system.moved(from, to);
                self.took(site, grown);
            }
            Event::BlockMap { site, length, .. } => {
                self.result.system.map(length);
                self.took(site, length);
            }
            Event::BlockUnmap { length, .. } => self.result.system.unmap(length),
            Event::Memory(memory) => self.result.memory.push(memory),
            Event::Arena { site, address, length } => {
                if self.result.system.arena(address, length) {
                    self.took(site, length);
                }
            }
        }
    }

    /// Makes a site's figures ready to change: what they were at the peak is kept.
    fn site(&mut self, site: u32) {
        let index = site as usize;
        if index >= self.result.by_site.len() {
            self.result.by_site.resize(index + 1, Blocks::default());
            self.seen_peak.resize(index + 1, 0);
        }
        let blocks = &mut self.result.by_site[index];
        if self.seen_peak[index] != self.peaks {
            self.seen_peak[index] = self.peaks;
            blocks.at_peak = blocks.live_bytes;
        }
    }

    fn took(&mut self, site: u32, bytes: u64) {
        self.site(site);
        let Analysis { by_site, total, .. } = &mut self.result;
        for blocks in [&mut by_site[site as usize], total] {
            blocks.from_system = blocks.from_system.saturating_add(bytes);
        }
    }

    fn alloc(&mut self, thread: u32, time: u64, block: u64, site: u32, one: u64) {
        self.result.noted += 1;
        let (count, size) = self.weigher.weigh(one);
        let blocks_of = |is: bool| if is { u64::from(count) } else { 0 };
        let early = !self.freed_early.is_empty() && self.freed_early.remove(&block);
        self.site(site);
        let Analysis { by_site, total, .. } = &mut self.result;
        for blocks in [&mut by_site[site as usize], total] {
            blocks.allocations += blocks_of(true);
            blocks.bytes = blocks.bytes.saturating_add(size);
            blocks.live += blocks_of(!early);
            blocks.frees += blocks_of(early);
            blocks.live_bytes = blocks.live_bytes.saturating_add(if early { 0 } else { size });
        }
        *self.result.sizes.entry(one.checked_next_power_of_two().unwrap_or(u64::MAX)).or_default() += blocks_of(true);
        self.last_block.insert(thread, block);
        if early {
            return;
        }
        self.live.insert(block, (site, count, size));
        self.result.timeline.set(time, self.result.total.live_bytes);
        if self.result.total.live_bytes > self.result.total.at_peak {
            self.result.total.at_peak = self.result.total.live_bytes;
            self.result.blocks_at_peak = self.result.total.live;
            self.result.peak_time = time;
            self.peaks += 1;
        }
    }

    fn free(&mut self, thread: u32, time: u64, block: u64) {
        let Some((site, count, size)) = self.live.remove(&block) else {
            self.freed_early.insert(block);
            return;
        };
        let temporary = self.result.origin.sampled == 0 && self.last_block.get(&thread) == Some(&block);
        self.site(site);
        let Analysis { by_site, total, .. } = &mut self.result;
        for blocks in [&mut by_site[site as usize], total] {
            blocks.frees += u64::from(count);
            blocks.live = blocks.live.saturating_sub(u64::from(count));
            blocks.live_bytes = blocks.live_bytes.saturating_sub(size);
            blocks.temporary += u64::from(temporary);
        }
        self.result.timeline.set(time, self.result.total.live_bytes);
    }

    fn end(mut self) -> Analysis {
        let sites = self.result.context.sites.len() as u32;
        (0..sites).for_each(|site| self.site(site));
        self.result.memory.sort_by_key(|memory| memory.time);
        self.result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(events: &[(u32, Event)]) -> Analysis {
        let mut tally = Tally::default();
        for &(thread, event) in events {
            tally.take(thread, 0, event);
        }
        for site in 0..3 {
            tally.site(site);
        }
        tally.end()
    }

    fn alloc(block: u64, site: u32, size: u64) -> Event {
        Event::Alloc { block, site, size }
    }

    fn free(block: u64) -> Event {
        Event::Free { block }
    }

    #[test]
    fn each_sites_share_is_taken_when_the_whole_is_largest() {
        let found = tally(&[
            (1, alloc(1, 1, 100)),
            (1, free(1)),
            (1, alloc(2, 1, 60)),
            (1, alloc(3, 2, 50)),
            (1, free(2)),
            (1, alloc(4, 2, 20)),
        ]);
        assert_eq!((found.total.at_peak, found.blocks_at_peak), (110, 2));
        assert_eq!((found.by_site[1].at_peak, found.by_site[2].at_peak), (60, 50));
        assert_eq!((found.total.live_bytes, found.total.live, found.total.temporary), (70, 2, 1));
        assert_eq!((found.total.allocations, found.total.bytes, found.total.frees), (4, 230, 2));
    }

    #[test]
    fn a_block_freed_before_it_seems_to_be_allocated_is_never_live() {
        let found = tally(&[(2, free(1)), (1, alloc(1, 1, 100))]);
        assert_eq!((found.total.live, found.total.live_bytes, found.total.frees, found.total.at_peak), (0, 0, 1, 0));
    }

    #[test]
    fn mappings_are_cut_where_they_are_unmapped() {
        let mut mapped = Mapped::default();
        mapped.add(0x10000, 0x4000);
        mapped.take(0x11000, 0x1000);
        assert_eq!(mapped.live_bytes, 0x3000);
        mapped.add(0x11000, 1);
        mapped.take(0, u64::MAX);
        assert_eq!((mapped.live_bytes, mapped.peak_bytes), (0, 0x4000));
    }
}
