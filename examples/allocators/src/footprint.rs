//! What the process has of the system's memory.

use bench_harness::protocol::Refusal;
use mmap_demo::{Detail, Figure, MemorySnapshot, Process};

/// At one moment: bytes, and how many page faults there have been.
#[derive(Clone, Copy)]
pub(crate) struct Footprint {
    /// VIRT.
    pub(crate) mapped: u64,
    /// RES, page by page.
    pub(crate) resident: u64,
    /// The most that RES has been.
    pub(crate) peak: u64,
    /// Page faults that needed no disk.
    pub(crate) faults: u64,
}

impl Footprint {
    pub(crate) fn now() -> Result<Self, Refusal> {
        let own = Process::own().and_then(|own| MemorySnapshot::of(&own, Detail::Sharing));
        let own = own.map_err(|error| Refusal::failed(error.to_string()))?;
        let figure = |figure| own.get(figure).unwrap_or(0);
        Ok(Self {
            mapped: figure(Figure::Virtual),
            resident: figure(Figure::ResidentExact),
            peak: figure(Figure::PeakResident),
            faults: figure(Figure::MinorFaults),
        })
    }
}

/// Which share of `whole` there is above what there was at first, in whole tens of a percent: runs agree to that.
pub(crate) fn percent(now: u64, first: u64, whole: usize) -> f64 {
    (now.saturating_sub(first) as f64 / whole as f64 * 10.0).round() * 10.0
}

/// What there is above what there was at first, in whole MiB.
pub(crate) fn mebibytes(now: u64, first: u64) -> f64 {
    (now.saturating_sub(first) as f64 / f64::from(1 << 20)).round()
}
