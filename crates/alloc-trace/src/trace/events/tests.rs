use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::analysis::Analysis;
use super::super::encode::{Encoder, MOST_BYTES};
use super::super::format::{
    ALIGN, CHUNK_HEADER, CHUNK_MAGIC, FILE_HEADER, FILE_MAGIC, Preamble, RAW_BYTES, STOPPED_AT, VERSION, alloc,
    checksum, chunk_checksum, free, other,
};
use super::super::{
    Damage, Measure, Symbols, TraceError, dhat, difference, flamegraph, heaptrack, html, perfetto, pprof, stacks,
    stats, summary,
};
use super::*;

/// A file as the library writes it.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new() -> Self {
        let mut bytes = vec![0; FILE_HEADER];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let sum = checksum(checksum(0, &bytes[..40]), &bytes[48..STOPPED_AT]);
        bytes[40..48].copy_from_slice(&sum.to_le_bytes());
        Self { bytes }
    }

    fn chunk(&mut self, kind: u32, thread: u32, number: u32, payload: &[u8]) {
        let mut header = [0; CHUNK_HEADER];
        header[..8].copy_from_slice(&CHUNK_MAGIC.to_le_bytes());
        for (at, field) in [(8, kind), (12, payload.len() as u32), (24, thread), (28, number)] {
            header[at..at + 4].copy_from_slice(&field.to_le_bytes());
        }
        header[32] = b'n';
        if kind != RAW {
            let sum = chunk_checksum(&header, payload);
            header[16..24].copy_from_slice(&sum.to_le_bytes());
        }
        self.bytes.extend(header);
        self.bytes.extend(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
    }

    fn events(&mut self, thread: u32, number: u32, first_block: u64, start: u64, words: &[u64]) {
        let mut out = vec![0; MOST_BYTES];
        let preamble = Preamble { tid: 40 + u64::from(thread), first_block, start, ..Preamble::default() };
        let mut encoder = Box::new(Encoder::NEW);
        let length = encoder.encode(preamble, words, &mut out).unwrap();
        self.chunk(EVENTS, thread, number, &out[..length]);
    }

    fn raw(&mut self, thread: u32, number: u32, first_block: u64, start: u64, words: &[u64]) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4096), 0);
        let preamble = Preamble { tid: 40 + u64::from(thread), first_block, start, ..Preamble::default() };
        let mut payload: Vec<u8> = preamble.words().iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
        payload.resize(RAW_BYTES - CHUNK_HEADER, 0);
        self.chunk(RAW, thread, number, &payload);
    }

    fn read(&self) -> Result<Analysis, TraceError> {
        Ok(Analysis::of(self.open()?, |_| {}))
    }

    fn open(&self) -> Result<TraceFile, TraceError> {
        let directory = TempDir::new().unwrap();
        let path: PathBuf = directory.path().join("trace");
        std::fs::write(&path, &self.bytes).unwrap();
        TraceFile::open(&path)
    }
}

fn site(number: u64, kept: u64, kind: u64, frames: &[u64]) -> Vec<u64> {
    [vec![other(SITE, frames.len() + 1, kind), number | kept << 32], frames.to_vec()].concat()
}

/// Two threads, of which one frees a block of the other; the second chunk of the first is still mapped.
fn trace() -> Writer {
    let mut writer = Writer::new();
    writer.chunk(MODULES, 0, 0, b"0\n1000-2000 r-xp 00000000 00:00 0 /lib/a.so\n");
    let first = [site(1, 0, 1, &[0x1001, 0x1002]), vec![alloc(1, 10), alloc(1, 20)]].concat();
    writer.events(1, 0, 1000, 0, &first);
    writer.events(2, 0, 5000, 5, &[site(1, 0, 2, &[0x1003]), vec![alloc(1, 300), free(1001)]].concat());
    writer.raw(1, 1, 1002, 9, &[site(2, 1, 3, &[0x1009]), vec![alloc(2, 7), free(1000)]].concat());
    writer.raw(2, 0, 5000, 5, &[alloc(1, 300)]);
    writer
}

#[test]
fn threads_are_put_together() {
    let analysis = trace().read().unwrap();
    assert_eq!(analysis.damage, []);
    let total = &analysis.total;
    assert_eq!((total.allocations, total.bytes, total.frees, total.live_bytes), (4, 337, 2, 307));
    assert_eq!((total.at_peak, analysis.peak_time), (330, 5));
    let context = &analysis.context;
    let resized = context.sites.iter().find(|site| site.kind == 3).unwrap();
    let stack: Vec<u64> = context.sites.stack(resized).map(|address| address.address).collect();
    assert_eq!(stack, [0x1009, 0x1001]);
    assert_eq!((context.threads[&2].tid, context.threads[&2].name.as_str()), (42, "n"));
    assert_eq!(context.modules.locate(0, 0x1001), Some(("/lib/a.so", 1)));
}

#[test]
fn a_damaged_chunk_is_told_with_its_offset_and_the_rest_is_read() {
    let mut writer = trace();
    let whole = trace().read().unwrap();
    let chunk = FILE_HEADER + 96;
    assert_eq!(writer.bytes[chunk..chunk + 8], CHUNK_MAGIC.to_le_bytes());
    writer.bytes[chunk + CHUNK_HEADER + 3] ^= 0xff;
    let analysis = writer.read().unwrap();
    assert!(analysis.damage.iter().any(|damage| damage.offset == chunk as u64), "{:?}", analysis.damage);
    assert_eq!(analysis.total.allocations, whole.total.allocations - 2);
}

#[test]
fn bytes_that_are_no_chunk_are_passed_over() {
    let mut writer = trace();
    writer.bytes.splice(FILE_HEADER..FILE_HEADER, [7; 160]);
    let analysis = writer.read().unwrap();
    assert_eq!(analysis.total.allocations, 4);
    let [Damage { offset, what }] = &analysis.damage[..] else { panic!("{:?}", analysis.damage) };
    assert!(*offset == FILE_HEADER as u64 && what.starts_with("160 bytes"), "{offset} {what}");
}

#[test]
fn what_is_no_trace_is_an_error() {
    let read = |bytes: &[u8]| Writer { bytes: bytes.to_vec() }.read().map(|_| ()).unwrap_err();
    assert!(matches!(read(b"#!/bin/sh\necho no trace\n"), TraceError::Foreign { .. }));
    assert!(matches!(read(b""), TraceError::Foreign { .. }));
    assert!(matches!(read(&trace().bytes[..100]), TraceError::Short { length: 100, .. }));
    let mut later = trace();
    later.bytes[8] += 1;
    assert!(matches!(read(&later.bytes), TraceError::Version { found, .. } if found == VERSION + 1));
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let directory = TempDir::new().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [directory.path(), &pipe] {
        let error = TraceFile::open(path).unwrap_err().to_string();
        assert!(error.ends_with("can't be read: it is no file with contents of its own"), "{error}");
    }
}

/// Words that are still mapped have no checksum.
#[test]
fn figures_as_large_as_can_be_are_read_by_all_reports() {
    let most = u64::MAX;
    let mut writer = Writer::new();
    let of_thread = |site: u64| {
        let large = [other(LARGE, 1, site), most];
        let maps = [other(MAP, 3, 0), 4096, 8192, 0, other(MAP, 3, 0), 4096, 0, 0, other(MAP, 3, 0), 0, most, 0];
        let memory = [other(MEMORY, 6, 0), most, most, most, most, most, most];
        [&large[..], &large, &maps, &memory, &[free(most >> 2), free(1000), free(2000), other(STAMP, 1, 0), most]]
            .concat()
    };
    for thread in [1, 2] {
        let words = [site(1, 0, u64::from(thread), &[0x1001]), of_thread(1), of_thread(0)].concat();
        writer.raw(thread, 0, 1000 * u64::from(thread), 0, &words);
        let at = writer.bytes.len() - (RAW_BYTES - CHUNK_HEADER) + 3 * 8;
        writer.bytes[at..at + 16].fill(0xff);
    }
    let (analysis, symbols) = (writer.read().unwrap(), &mut Symbols::default());
    assert_eq!((analysis.missed(), analysis.strangers(), analysis.total.bytes), (most, most, most));
    assert_eq!(analysis.mapped.live_bytes, most);
    assert!(summary(&analysis, symbols).contains(&format!("{most} page faults")));
    assert!(stats(&analysis).contains("malloc") && !html(&analysis, Some(&analysis)).is_empty());
    assert!(!dhat(&analysis, writer.open().unwrap(), symbols).is_empty() && !perfetto(&analysis).is_empty());
    assert!(heaptrack(&analysis, writer.open().unwrap(), symbols, &mut Vec::new()).is_ok());
    assert!(!pprof(&analysis, symbols).is_empty());
    for (_, measure) in Measure::ALL {
        let found = stacks(&analysis, measure, symbols);
        assert!(!flamegraph(&found, "", "").is_empty() && !difference(&found, &found, measure).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_damage_is_more_than_damage(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        in_chunks in any::<bool>(),
    ) {
        let mut writer = trace();
        // Most of the file is zeros: half of the cases aim at what isn't.
        let full: Vec<usize> = (0..writer.bytes.len()).filter(|&at| !in_chunks || writer.bytes[at] != 0).collect();
        for (at, to) in changes {
            let at = full[at.index(full.len())];
            writer.bytes[at] = to;
        }
        if let Some(cut) = cut {
            writer.bytes.truncate(cut.index(writer.bytes.len()));
        }
        if let Ok(analysis) = writer.read() {
            prop_assert!(analysis.total.live <= analysis.total.allocations);
        }
    }
}
