//! Traces as the library leaves them when the program is killed, made by hand.

use alloc_trace::trace::format::{
    CHUNK_HEADER, CHUNK_MAGIC, FILE_HEADER, FILE_MAGIC, Preamble, RAW, RAW_BYTES, SAMPLED_AT, SITE, STOPPED_AT,
    VERSION, alloc, checksum, free, other,
};
use tempfile::TempDir;

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With the number of the block.
    Free = 0,
    /// With its bytes.
    Malloc = 1,
    /// With its bytes; what it was before is freed just before.
    Realloc = 3,
}

/// The bytes of a trace.
pub(crate) struct Trace {
    pub(crate) bytes: Vec<u8>,
}

impl Default for Trace {
    fn default() -> Self {
        Self::sampled(0)
    }
}

impl Trace {
    /// Of the program `app`, which was called with `--all`; one in `mean` bytes was drawn.
    pub(crate) fn sampled(mean: u64) -> Self {
        let mut bytes = vec![0; FILE_HEADER];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let arguments = b"/usr/bin/app\0--all\0";
        bytes[50] = arguments.len() as u8;
        bytes[52 + 1500..][..arguments.len()].copy_from_slice(arguments);
        bytes[SAMPLED_AT..][..8].copy_from_slice(&mean.to_le_bytes());
        let sum = checksum(checksum(0, &bytes[..40]), &bytes[48..STOPPED_AT]);
        bytes[40..48].copy_from_slice(&sum.to_le_bytes());
        Self { bytes }
    }

    /// Adds what a thread called, beginning at this time. Its blocks are numbered from `first` on.
    pub(crate) fn thread(&mut self, first: u64, start: u64, events: &[(Kind, u64)]) {
        let site = |kind: Kind| [other(SITE, 2, kind as u64), kind as u64, 0x1000 + kind as u64];
        let words = events.iter().map(|&(kind, number)| match kind {
            Kind::Free => free(number),
            kind => alloc(kind as u64, number),
        });
        let words: Vec<u64> = site(Kind::Malloc).into_iter().chain(site(Kind::Realloc)).chain(words).collect();
        let preamble = Preamble { tid: first, first_block: first, start, ..Preamble::default() };
        let mut chunk = vec![0; CHUNK_HEADER];
        chunk[..8].copy_from_slice(&CHUNK_MAGIC.to_le_bytes());
        for (at, field) in [(8, RAW), (12, (RAW_BYTES - CHUNK_HEADER) as u32), (24, first as u32)] {
            chunk[at..at + 4].copy_from_slice(&field.to_le_bytes());
        }
        chunk.extend(preamble.words().iter().chain(&words).flat_map(|word| word.to_le_bytes()));
        chunk.resize(RAW_BYTES, 0);
        self.bytes.extend(chunk);
    }

    /// Adds what is no part of a trace.
    pub(crate) fn damage(&mut self) {
        self.bytes.extend([7; 160]);
    }

    /// The file `trace` in a folder.
    pub(crate) fn write(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("trace"), &self.bytes).unwrap();
        folder
    }
}
