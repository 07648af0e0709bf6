//! What a program called, from a trace of alloc-trace's.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use alloc_trace::trace::format::KINDS;
use alloc_trace::trace::{Event, TraceError, TraceFile};

use super::recording::Call;

/// So many blocks are taken of a trace: a replay of more takes longer than a block of a comparison should.
const MOST_BLOCKS: u64 = 2_000_000;

/// So many characters of a command line are shown.
const MOST_SHOWN: usize = 80;

/// Why there is nothing to replay.
#[derive(Debug)]
pub enum NoCalls {
    /// It is no trace.
    Unreadable(TraceError),
    /// It has only some of the blocks.
    Sampled(PathBuf),
    /// It has no block.
    Empty {
        /// Which.
        path: PathBuf,
        /// What of it could not be read, if that is why.
        damage: Option<String>,
    },
}

impl std::fmt::Display for NoCalls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const REMEDY: &str = "make one: cargo xtask trace -o F -- PROGRAM";
        match self {
            Self::Unreadable(error @ TraceError::Io { .. }) => write!(formatter, "{error}"),
            Self::Unreadable(error) => write!(formatter, "{error}; {REMEDY}"),
            Self::Sampled(path) => write!(
                formatter,
                "{}: a sampled trace has only some of the blocks, and can't be replayed; trace the program without --sample",
                path.display()
            ),
            Self::Empty { path, damage: None } => write!(
                formatter,
                "{}: no block is allocated in it; was it another process, one that this one started? Its trace is beside it",
                path.display()
            ),
            Self::Empty { path, damage: Some(damage) } => {
                write!(formatter, "{}: no block of it can be read, {damage}; {REMEDY}", path.display())
            }
        }
    }
}

impl std::error::Error for NoCalls {}

/// A trace's calls.
#[derive(Debug, Default)]
pub struct Traced {
    /// The program's command line.
    pub program: String,
    /// What it called.
    pub calls: Vec<Call>,
    /// Blocks in the trace, and those that are in the calls.
    pub blocks: (u64, u64),
    /// How many of them were resized.
    pub resized: u64,
    /// How many were never freed.
    pub kept: u64,
    /// Threads.
    pub threads: usize,
    /// Parts of the trace that could not be read.
    pub damaged: usize,
}

impl Traced {
    /// What it is; `most_live` is most bytes live at a time.
    pub fn sentence(&self, most_live: u64) -> String {
        let Self { program, blocks: (all, taken), resized, kept, threads, damaged, .. } = self;
        let shown: String = program.chars().take(MOST_SHOWN).collect();
        let cut = if shown.len() < program.len() { "…" } else { "" };
        let mut parts = vec![format!("what `{shown}{cut}` asked malloc for: {taken} blocks")];
        if taken < all {
            parts.push(format!("the first of {all}"));
        }
        parts.push(format!("at most {:.1} MiB live", most_live as f64 / f64::from(1 << 20)));
        for (count, what) in [(*resized, "calls that resize"), (*kept, "never freed")] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if *threads > 1 {
            parts.push(format!("{threads} threads in one row"));
        }
        if *damaged > 0 {
            parts.push(format!("{damaged} parts of the trace can't be read and are left out"));
        }
        parts.join(", ")
    }
}

/// The program's name and its arguments.
fn command_line(arguments: &[String]) -> String {
    let (program, arguments) =
        arguments.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    let name = program.rsplit('/').next().unwrap_or(program);
    std::iter::once(name).chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// A block handed out (`Some` with its size), or given back.
struct Noted {
    thread: u32,
    site: u32,
    block: u64,
    bytes: Option<u64>,
}

/// Reads the calls of a trace.
///
/// # Errors
/// When it is none, is sampled, or has no block. What of it is damaged is left out, and counted.
pub fn calls(path: &Path) -> Result<Traced, NoCalls> {
    let mut file = TraceFile::open(path).map_err(NoCalls::Unreadable)?;
    if file.origin().sampled != 0 {
        return Err(NoCalls::Sampled(path.to_owned()));
    }
    let mut noted = Vec::new();
    let mut blocks = 0;
    let context = file.each_event(
        |_| {},
        |thread, _, event| {
            let (block, site, bytes) = match event {
                Event::Alloc { block, site, size } => {
                    blocks += 1;
                    (block, site, Some(size))
                }
                Event::Free { block } => (block, 0, None),
                _ => return,
            };
            if blocks <= MOST_BLOCKS {
                noted.push(Noted { thread, site, block, bytes });
            }
        },
    );
    let resizes = |site: u32| {
        let kind = context.sites.get(site).and_then(|site| KINDS.get(usize::from(site.kind)));
        matches!(kind, Some(&("realloc" | "reallocarray" | "python realloc")))
    };
    let mut row = Row::default();
    for event in &noted {
        row.add(event, event.bytes.is_some() && resizes(event.site));
    }
    row.end();
    let Row { calls, live, resized, .. } = row;
    let taken = calls.iter().filter(|call| matches!(call, Call::Allocate { .. })).count() as u64;
    if taken == 0 {
        let damage = file.damage().first().map(ToString::to_string);
        return Err(NoCalls::Empty { path: path.to_owned(), damage });
    }
    Ok(Traced {
        program: command_line(&file.origin().arguments),
        calls,
        // What made a block anew is a call more, and not a block.
        blocks: (blocks.saturating_sub(resized), taken),
        resized,
        kept: live.len() as u64,
        threads: context.threads.len(),
        damaged: file.damage().len(),
    })
}

/// All threads' calls in one.
#[derive(Default)]
struct Row {
    calls: Vec<Call>,
    /// From the trace's numbers of blocks to the recording's.
    live: HashMap<u64, u32>,
    /// Freed before they were allocated: the order of what two threads do is known only roughly.
    early: HashSet<u64>,
    /// A block that was given back just now, and by which thread: `realloc` notes that, and then the new block.
    pending: Option<(u32, u32)>,
    made: u32,
    resized: u64,
}

impl Row {
    fn add(&mut self, noted: &Noted, resizes: bool) {
        let &Noted { thread, block, bytes, .. } = noted;
        let Some(bytes) = bytes else {
            self.end();
            match self.live.remove(&block) {
                Some(number) => self.pending = Some((thread, number)),
                None => drop(self.early.insert(block)),
            }
            return;
        };
        if let Some((_, before)) = self.pending.take_if(|(whose, _)| resizes && *whose == thread) {
            self.calls.push(Call::Resize { block: before, bytes });
            self.resized += 1;
        } else {
            self.end();
            self.calls.push(Call::Allocate { bytes });
        }
        if self.early.remove(&block) {
            self.calls.push(Call::Free { block: self.made });
        } else {
            self.live.insert(block, self.made);
        }
        self.made += 1;
    }

    /// Nothing comes of what was given back.
    fn end(&mut self) {
        if let Some((_, block)) = self.pending.take() {
            self.calls.push(Call::Free { block });
        }
    }
}
