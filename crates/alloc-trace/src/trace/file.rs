//! A trace file, opened: its header and where its chunks are.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::decode::{self, Malformed};
use super::format::{
    ALIGN, CHUNK_HEADER, CHUNK_MAGIC, EVENTS, FILE_HEADER, FILE_MAGIC, LARGEST_MEAN, MODULES, PREAMBLE_WORDS, PYTHON,
    Preamble, RAW, RAW_BYTES, SAMPLED_AT, STOPPED_AT, VERSION, checksum, chunk_checksum,
};

/// Chunks longer than this are none: the largest has a list of modules.
const MOST_PAYLOAD: u32 = 1 << 20;

/// Why a file can't be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The system says no.
    #[error("{}: can't be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else than a trace.
    #[error("{}: no trace of alloc-trace: it begins with {found:02x?}, a trace with {FILE_MAGIC:02x?}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// A trace that ends in its header.
    #[error("{}: cut at byte {length}, in the midst of the header of {FILE_HEADER} bytes; nothing can be read", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// A trace of another version of this program.
    #[error("{}: a trace of version {found}; this program reads version {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
}

/// A part of a file that could not be read, while the rest could.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at byte {}: {}", self.offset, self.what)
    }
}

/// Which process a trace is of.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Origin {
    /// The process's number.
    pub process: u32,
    /// Its parent's, when it began.
    pub parent: u32,
    /// The program's file.
    pub program: String,
    /// Its arguments, with its name, as far as there was room.
    pub arguments: Vec<String>,
    /// When it began: seconds since 1970.
    pub began: f64,
    /// Of how many bytes one was drawn, on average, to note the block that holds it; 0 if all blocks were noted.
    pub sampled: u64,
}

/// A chunk of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) kind: u32,
    pub(super) length: u32,
    pub(super) thread: u32,
    pub(super) number: u32,
    pub(super) name: [u8; 16],
    pub(super) start: u64,
    header: [u8; CHUNK_HEADER],
}

/// A trace file. Opening it reads the chunks' headers; their contents are read when they are needed, one of each thread at a time.
#[derive(Debug)]
pub struct TraceFile {
    path: PathBuf,
    file: File,
    length: u64,
    origin: Origin,
    pub(super) chunks: Vec<Chunk>,
    damage: Vec<Damage>,
}

impl TraceFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it can't be read, isn't a trace, or ends in its header. All other damage is in [`damage`](Self::damage), and the rest is read.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let io = |source| TraceError::Io { path: path.to_owned(), source };
        // A pipe would be waited for.
        if !path.metadata().map_err(io)?.is_file() {
            return Err(io(io::Error::other("it is no file with contents of its own")));
        }
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut header = [0; FILE_HEADER];
        let read = read_up_to(&file, &mut header, 0).map_err(io)?;
        if read < 8 || header[..8] != FILE_MAGIC {
            return Err(TraceError::Foreign { path: path.to_owned(), found: header[..read.min(8)].to_vec() });
        }
        if read < FILE_HEADER {
            return Err(TraceError::Short { path: path.to_owned(), length });
        }
        let version = number(&header, 8);
        if version != VERSION {
            return Err(TraceError::Version { path: path.to_owned(), found: version });
        }
        let mut trace = Self {
            path: path.to_owned(),
            file,
            length,
            origin: origin(&header),
            chunks: Vec::new(),
            damage: Vec::new(),
        };
        let sum = checksum(checksum(0, &header[..40]), &header[48..STOPPED_AT]);
        if header[40..48] != sum.to_le_bytes() {
            trace.harm(0, "the header's checksum is wrong: which process this is of is doubtful");
        }
        let stopped = u64::from_le_bytes(*header[STOPPED_AT..].first_chunk().unwrap_or(&[0; 8]));
        if stopped != 0 {
            let seconds = stopped as f64 / 1e9;
            let what = "the file could not grow (disk full, or file size limit)";
            trace.harm(STOPPED_AT as u64, format!("the trace stops after {seconds:.3} s: {what}"));
        }
        trace.scan().map_err(io)?;
        Ok(trace)
    }

    /// Which process this is of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What could not be read.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    pub(super) fn harm(&mut self, offset: u64, what: impl Into<String>) {
        self.damage.push(Damage { offset, what: what.into() });
    }

    /// Finds the chunks.
    fn scan(&mut self) -> io::Result<()> {
        let mut at = FILE_HEADER as u64;
        while at + (CHUNK_HEADER as u64) <= self.length {
            let mut bytes = [0; CHUNK_HEADER + PREAMBLE_WORDS * 10];
            let read = read_up_to(&self.file, &mut bytes, at)?;
            if bytes[..8] != CHUNK_MAGIC.to_le_bytes() {
                at = self.next_chunk(at)?;
                continue;
            }
            let mut header = [0; CHUNK_HEADER];
            header.copy_from_slice(&bytes[..CHUNK_HEADER]);
            let (kind, length) = (number(&header, 8), number(&header, 12));
            let possible = match kind {
                RAW => length as usize == RAW_BYTES - CHUNK_HEADER,
                EVENTS | MODULES | PYTHON => length <= MOST_PAYLOAD,
                _ => false,
            };
            if !possible {
                self.harm(at, format!("a chunk of kind {kind} and {length} bytes, which there is none of"));
                at = self.next_chunk(at + ALIGN as u64)?;
                continue;
            }
            let end = at + CHUNK_HEADER as u64 + u64::from(length);
            if end > self.length && kind != RAW {
                self.harm(at, format!("a chunk of {length} bytes is cut {} bytes before its end", end - self.length));
                break;
            }
            let start = match kind {
                RAW => u64::from_le_bytes(*bytes[CHUNK_HEADER + 16..].first_chunk().unwrap_or(&[0; 8])),
                EVENTS => decode::start(&bytes[CHUNK_HEADER..read.max(CHUNK_HEADER)]).unwrap_or(0),
                _ => 0,
            };
            let mut name = [0; 16];
            name.copy_from_slice(&header[32..]);
            self.chunks.push(Chunk {
                offset: at,
                kind,
                length,
                thread: number(&header, 24),
                number: number(&header, 28),
                name,
                start,
                header,
            });
            at = end.next_multiple_of(ALIGN as u64);
        }
        Ok(())
    }

    /// Where the next chunk begins, from a place on where there is none. Zeros in between are nothing to complain of.
    fn next_chunk(&mut self, from: u64) -> io::Result<u64> {
        let mut buffer = vec![0; 1 << 16];
        let mut at = from.next_multiple_of(ALIGN as u64);
        let mut other = None;
        let found = 'search: loop {
            let read = read_up_to(&self.file, &mut buffer, at)?;
            if read == 0 {
                break self.length;
            }
            for (index, piece) in buffer[..read].chunks(ALIGN).enumerate() {
                let here = at + (index * ALIGN) as u64;
                if piece.len() >= 8 && piece[..8] == CHUNK_MAGIC.to_le_bytes() {
                    break 'search here;
                }
                if other.is_none() && piece.iter().any(|&byte| byte != 0) {
                    other = Some(here);
                }
            }
            at += read as u64;
        };
        if let Some(begin) = other {
            self.harm(begin, format!("{} bytes that are no chunk were left out", found - begin));
        }
        Ok(found)
    }

    /// A chunk's payload, or what is wrong with it.
    pub(super) fn payload(&self, chunk: &Chunk) -> Result<Vec<u8>, String> {
        let mut payload = vec![0; chunk.length as usize];
        let read = read_up_to(&self.file, &mut payload, chunk.offset + CHUNK_HEADER as u64)
            .map_err(|error| format!("can't be read: {error}"))?;
        if chunk.kind == RAW {
            // What is missing is zeros: the end of the words.
            return Ok(payload);
        }
        if read < payload.len() {
            return Err("a chunk is cut".to_owned());
        }
        let sum = chunk_checksum(&chunk.header, &payload);
        if chunk.header[16..24] != sum.to_le_bytes() {
            return Err(format!("a chunk of {} bytes has a wrong checksum", chunk.length));
        }
        Ok(payload)
    }

    /// The words of a chunk of events.
    pub(super) fn words(&self, chunk: &Chunk) -> Result<(Preamble, Vec<u64>), String> {
        let payload = self.payload(chunk)?;
        if chunk.kind == EVENTS {
            return decode::decode(&payload).map_err(|Malformed(what)| format!("a chunk is malformed: {what}"));
        }
        let mut words: Vec<u64> = payload.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let mut preamble = [0; PREAMBLE_WORDS];
        preamble.copy_from_slice(&words[..PREAMBLE_WORDS]);
        words.drain(..PREAMBLE_WORDS);
        Ok((Preamble::from_words(preamble), words))
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().unwrap_or(&[0; 4]))
}

fn read_up_to(file: &File, mut into: &mut [u8], mut at: u64) -> io::Result<usize> {
    let mut read = 0;
    while !into.is_empty() {
        match file.read_at(into, at) {
            Ok(0) => break,
            Ok(count) => {
                read += count;
                at += count as u64;
                into = &mut into[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// A name out of a trace, with nothing in it that a terminal obeys or that ends a line: programs call themselves and their threads what they like.
pub(super) fn legible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(char::is_control, "\u{fffd}")
}

fn origin(header: &[u8; FILE_HEADER]) -> Origin {
    let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let (program, arguments) = header[52..].split_at(1500);
    let arguments = &arguments[..length(50).min(arguments.len())];
    let nanoseconds = u64::from_le_bytes(*header[32..].first_chunk().unwrap_or(&[0; 8]));
    Origin {
        process: number(header, 12),
        parent: number(header, 16),
        program: legible(&program[..length(48).min(program.len())]),
        arguments: arguments.split(|&byte| byte == 0).filter(|part| !part.is_empty()).map(legible).collect(),
        began: nanoseconds as f64 / 1e9,
        sampled: u64::from_le_bytes(*header[SAMPLED_AT..].first_chunk().unwrap_or(&[0; 8])).min(LARGEST_MEAN),
    }
}
