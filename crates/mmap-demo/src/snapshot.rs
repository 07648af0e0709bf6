//! What a process's memory is at one moment, and how two moments differ.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::figure::{Figure, Place, Source, Unit};
use crate::process::{Process, ProcessError};
use crate::size::{Signed, Size};

/// How much to look at, and so what it costs.
///
/// The costs at each are those of a small process (2 cores, AMD EPYC, Linux 6.18, 2026-11-22;
/// `cargo bench -p benches --bench mmap_demo -- snapshot`). What a snapshot did cost it says itself: [`MemorySnapshot::cost`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// `statm`: sizes. 5.8 us, the same for any process.
    Sizes,
    /// `stat` and `status` too: faults, kinds, peaks, swap. 30 us.
    Kinds,
    /// `smaps_rollup` and `maps` too: sharing and cleanness. 111 us here, and more for a larger process: the kernel walks the page tables: it grows with what is resident
    /// and with the number of mappings.
    Sharing,
}

impl Detail {
    fn sources(self) -> &'static [Source] {
        match self {
            Self::Sizes => &[Source::Statm],
            Self::Kinds => &[Source::Statm, Source::Stat, Source::Status],
            Self::Sharing => &Source::ALL,
        }
    }
}

/// The figures of one process at one moment.
///
/// ```
/// use mmap_demo::{Detail, Figure, MemorySnapshot, Process};
///
/// let own = Process::own()?;
/// let before = MemorySnapshot::of(&own, Detail::Kinds)?;
/// let block = vec![1_u8; 8 << 20];
/// let change = MemorySnapshot::of(&own, Detail::Kinds)?.since(&before);
/// assert!(change.get(Figure::MinorFaults).unwrap() > 0);
/// println!("{change}");
/// # drop(block);
/// # Ok::<(), mmap_demo::ProcessError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemorySnapshot {
    /// Whose.
    pub pid: u32,
    figures: BTreeMap<Figure, u64>,
    /// What reading each file took, ns.
    cost_ns: BTreeMap<Source, u64>,
    /// Files that could not be read, and why.
    missing: BTreeMap<Source, String>,
    /// The process was at its end.
    #[serde(default)]
    ended: bool,
}

/// Why a process has no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    /// It has given its memory up and is about to end, or has ended and nobody has waited for it.
    Ended,
    /// It is the kernel's.
    Kernel,
}

impl MemorySnapshot {
    /// The figures of that process.
    ///
    /// Where a file may not be read, its figures are missing and [`missing`](Self::missing) says why: the snapshot is partial. A
    /// kernel thread or a process that has ended and was not waited for has no memory, and so most figures are missing; of the second
    /// [`has_ended`](Self::has_ended) is true.
    ///
    /// # Errors
    /// When the process has ended, or even its sizes can't be read.
    pub fn of(process: &Process, detail: Detail) -> Result<Self, ProcessError> {
        let mut snapshot = Self {
            pid: process.pid(),
            figures: BTreeMap::new(),
            cost_ns: BTreeMap::new(),
            missing: BTreeMap::new(),
            ended: false,
        };
        let mut text = String::with_capacity(4096);
        for &source in detail.sources() {
            let begin = Instant::now();
            match process.read(source.file(), &mut text) {
                Ok(()) if has_no_memory(source, &text) => {
                    // Its threads are known, and no more.
                    if source == Source::Status {
                        snapshot.fill(source, &text, process)?;
                    }
                    snapshot.miss(source, process)?;
                }
                Ok(()) => snapshot.fill(source, &text, process)?,
                // Sizes of any process may be read by anybody.
                Err(error @ ProcessError::NotPermitted { .. }) => {
                    snapshot.missing.insert(source, error.to_string());
                }
                // That comes also from those who have ended but for their entry.
                Err(ProcessError::Gone { .. }) if source > Source::Status => snapshot.miss(source, process)?,
                Err(error) => return Err(error),
            }
            snapshot.cost_ns.insert(source, begin.elapsed().as_nanos() as u64);
        }
        Ok(snapshot)
    }

    /// A figure; `None` if the detail was too low, the kernel doesn't have it, or it may not be read.
    pub fn get(&self, figure: Figure) -> Option<u64> {
        self.figures.get(&figure).copied()
    }

    /// All figures that there are.
    pub fn iter(&self) -> impl Iterator<Item = (Figure, u64)> {
        self.figures.iter().map(|(&figure, &value)| (figure, value))
    }

    /// What reading a file took; `None` if it was not asked for.
    pub fn cost(&self, source: Source) -> Option<Duration> {
        self.cost_ns.get(&source).copied().map(Duration::from_nanos)
    }

    /// The files that could not be read, each with the reason.
    pub fn missing(&self) -> impl Iterator<Item = (Source, &str)> {
        self.missing.iter().map(|(&source, why)| (source, why.as_str()))
    }

    /// Whether the process was at its end: it had no memory any more, and will have none. What was read before it came to its end is there.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Notes that there are no figures of that file, for there is no memory.
    fn miss(&mut self, source: Source, process: &Process) -> Result<(), ProcessError> {
        let pid = process.pid();
        let mut stat = String::new();
        process.read(Source::Stat.file(), &mut stat)?;
        let without = without(&stat).ok_or_else(|| process.form_error(Source::Stat.file(), &stat))?;
        self.ended |= without == Without::Ended;
        self.missing.insert(
            source,
            match without {
                Without::Ended => format!("process {pid} has no memory any more: it has ended, or is about to"),
                Without::Kernel => format!("process {pid} has no memory of its own: it is the kernel's"),
            },
        );
        Ok(())
    }

    /// What has changed since an earlier snapshot: figures that both have.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> MemoryChange {
        let change =
            |(figure, now): (Figure, u64)| Some((figure, now.cast_signed() - earlier.get(figure)?.cast_signed()));
        MemoryChange { figures: self.iter().filter_map(change).collect() }
    }

    fn fill(&mut self, source: Source, text: &str, process: &Process) -> Result<(), ProcessError> {
        let form = |line: &str| process.form_error(source.file(), line);
        // The command's name may have spaces and brackets of its own: the last bracket closes it.
        let words: Vec<&str> = match source {
            Source::Statm => text.split_ascii_whitespace().collect(),
            Source::Stat => text.rsplit_once(')').ok_or_else(|| form(text))?.1.split_ascii_whitespace().collect(),
            _ => Vec::new(),
        };
        for figure in Figure::ALL.into_iter().filter(|figure| figure.source() == source) {
            let value = match figure.place() {
                Place::Pages(index) => {
                    let pages = number(words.get(index)).ok_or_else(|| form(text))?;
                    Some(pages * rustix::param::page_size() as u64)
                }
                Place::Count(index) => Some(number(words.get(index)).ok_or_else(|| form(text))?),
                Place::Kib(key) => {
                    value_of(text, key).map(|value| kib(value).ok_or_else(|| form(value))).transpose()?
                }
                Place::Plain(key) => {
                    value_of(text, key).map(|value| number(Some(&value)).ok_or_else(|| form(value))).transpose()?
                }
                Place::Heap => Some(heap_of(text)),
            };
            if let Some(value) = value {
                self.figures.insert(figure, value);
            }
        }
        Ok(())
    }
}

/// How two snapshots differ: later less earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryChange {
    figures: BTreeMap<Figure, i64>,
}

impl MemoryChange {
    /// By how much a figure has grown; negative if it has shrunk, `None` if one of the snapshots has it not.
    pub fn get(&self, figure: Figure) -> Option<i64> {
        self.figures.get(&figure).copied()
    }

    /// All figures, also those that have not changed.
    pub fn iter(&self) -> impl Iterator<Item = (Figure, i64)> {
        self.figures.iter().map(|(&figure, &value)| (figure, value))
    }
}

/// A line a figure, missing files at the end.
impl fmt::Display for MemorySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (figure, value) in self.iter() {
            match figure.unit() {
                Unit::Bytes => writeln!(f, "{:<22} {:>12}", figure.name(), Size(value).to_string())?,
                Unit::Count => writeln!(f, "{:<22} {value:>12}", figure.name())?,
            }
        }
        self.missing().try_for_each(|(_, why)| writeln!(f, "missing: {why}"))
    }
}

/// A line a figure that has changed.
impl fmt::Display for MemoryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (figure, value) in self.iter().filter(|(_, value)| *value != 0) {
            match figure.unit() {
                Unit::Bytes => writeln!(f, "{:<22} {:>12}", figure.name(), Signed(value).to_string())?,
                Unit::Count => writeln!(f, "{:<22} {value:>+12}", figure.name())?,
            }
        }
        Ok(())
    }
}

/// Whether a file of `/proc` is that of a process without memory: all of `statm` is 0 then, of `status` the sizes are left out, and the list of
/// mappings is empty.
fn has_no_memory(source: Source, text: &str) -> bool {
    match source {
        Source::Statm => text.starts_with("0 "),
        Source::Status => value_of(text, "VmSize").is_none(),
        Source::Maps => text.is_empty(),
        Source::Stat | Source::SmapsRollup => false,
    }
}

/// `PF_KTHREAD` (linux/sched.h), of the flags in `stat`.
const OF_THE_KERNEL: u64 = 0x0020_0000;

/// Why a process has no memory, by its `stat`.
fn without(stat: &str) -> Option<Without> {
    let flags: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(6)?.parse().ok()?;
    Some(if flags & OF_THE_KERNEL == 0 { Without::Ended } else { Without::Kernel })
}

fn number(word: Option<&&str>) -> Option<u64> {
    word?.parse().ok()
}

/// What follows `Key:` in a line of its own.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

fn kib(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn heap_of(maps: &str) -> u64 {
    let extent = |line: &str| {
        let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
        u64::from_str_radix(end, 16).ok()?.checked_sub(u64::from_str_radix(start, 16).ok()?)
    };
    // The name stands in the sixth column, where that of a file begins with a slash.
    let is_heap = |line: &&str| line.split_ascii_whitespace().nth(5) == Some("[heap]");
    maps.lines().filter(is_heap).filter_map(extent).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_brackets_in_its_name_does_not_shift_the_figures() {
        let process = Process::own().unwrap();
        let mut snapshot = MemorySnapshot::of(&process, Detail::Sizes).unwrap();
        snapshot.fill(Source::Stat, "1 (a) b) c) R 2 3 4 5 6 7 100 0 17 0 0", &process).unwrap();
        assert_eq!((snapshot.get(Figure::MinorFaults), snapshot.get(Figure::MajorFaults)), (Some(100), Some(17)));
    }

    #[test]
    fn a_file_of_another_form_is_an_error_that_quotes_it() {
        let process = Process::own().unwrap();
        let mut snapshot = MemorySnapshot::of(&process, Detail::Sizes).unwrap();
        let error = snapshot.fill(Source::Statm, "12 many", &process).unwrap_err().to_string();
        assert!(error.contains("statm") && error.contains("12 many"), "{error}");
        let error = snapshot.fill(Source::Status, "VmPeak:  12 MB\n", &process).unwrap_err().to_string();
        assert!(error.contains("12 MB"), "{error}");
    }

    #[test]
    fn a_heap_in_several_mappings_is_added_up() {
        let maps = "1000-3000 rw-p 0 00:00 0     [heap]\n3000-4000 r--p 0 00:00 0     [heap]\n8000-9000 rw-p 0 00:00 0 [stack]\n";
        assert_eq!(heap_of(maps), 0x3000);
        assert_eq!(heap_of("1000-3000 r--p 0 fe:00 12     /tmp/not a [heap]\n"), 0);
    }
}
