//! Traces as heaptrack's own programs read them (`heaptrack_print`, `heaptrack_gui`): the text that `heaptrack_interpret` writes, version 3, not
//! compressed, which they take, too. Numbers are hexadecimal.
//!
//! | line | means |
//! |---|---|
//! | `v VERSION FORMAT`, `X COMMAND`, `I PAGE PAGES` | the program of the version that writes so; the traced one; the system's memory |
//! | `s LENGTH TEXT` | a text; numbers count from 1 |
//! | `i ADDRESS MODULE FUNCTION FILE LINE` | a place, by texts |
//! | `t PLACE PARENT` | a stack: a place, and the stack that called it; 0 is none |
//! | `a SIZE STACK` | a kind of block |
//! | `+ KIND`, `- KIND` | one is handed out, given back; here numbers count from 0 |
//! | `c MILLISECONDS` | the time |

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use super::analysis::Analysis;
use super::events::Event;
use super::file::TraceFile;
use super::format::KINDS;
use super::symbols::{Frame, Symbols};

/// heaptrack's version that this is the format of.
const VERSION: &str = "10400 3";

/// Lines that define what later ones name, each once.
struct Definitions<'a, W> {
    out: &'a mut W,
    texts: HashMap<String, usize>,
    places: HashMap<(usize, usize, u32), usize>,
    stacks: HashMap<(usize, usize), usize>,
}

/// The number of something that is there already, or the next, and that it is new.
fn number<K: std::hash::Hash + Eq>(known: &mut HashMap<K, usize>, key: K) -> (usize, bool) {
    let next = known.len() + 1;
    let number = *known.entry(key).or_insert(next);
    (number, number == next)
}

impl<W: Write> Definitions<'_, W> {
    fn text(&mut self, text: &str) -> io::Result<usize> {
        // A text has a line.
        let text = text.replace('\n', " ");
        if text.is_empty() {
            return Ok(0);
        }
        let length = text.len();
        let (number, is_new) = number(&mut self.texts, text.clone());
        if is_new {
            writeln!(self.out, "s {length:x} {text}")?;
        }
        Ok(number)
    }

    /// A stack: what is called by another, which is 0 for the outermost.
    fn stack(&mut self, frame: &Frame, parent: usize) -> io::Result<usize> {
        let (file, line) = frame.location.clone().unwrap_or_default();
        let (function, file) = (self.text(&frame.function)?, self.text(&file)?);
        let (place, is_new) = number(&mut self.places, (function, file, line));
        if is_new {
            // Places have no address here: their numbers tell them apart. Of modules the names say all.
            writeln!(self.out, "i {place:x} 0 {function:x} {file:x} {line:x}")?;
        }
        let (stack, is_new) = number(&mut self.stacks, (place, parent));
        if is_new {
            writeln!(self.out, "t {place:x} {parent:x}")?;
        }
        Ok(stack)
    }
}

/// Writes the whole trace for heaptrack's programs. `analysis` is of the same trace as `file`, which is read once more.
///
/// A block that another thread gave back, and that seems to be freed before it is allocated, is given back at once: where threads hand blocks on,
/// heaptrack's peak may be a little more than ours. It takes for temporary what is given back right after one of the same size and stack was
/// handed out by any thread: these are not quite ours.
///
/// ```sh
/// alloc-trace heaptrack app.trace > app.heaptrack && heaptrack_print app.heaptrack
/// ```
///
/// # Errors
/// What `out` says; and [`io::ErrorKind::Unsupported`] of a sampled trace, whose blocks stand for more than one each.
pub fn heaptrack(
    analysis: &Analysis,
    mut file: TraceFile,
    symbols: &mut Symbols,
    out: &mut impl Write,
) -> io::Result<()> {
    if analysis.origin.sampled > 0 {
        let why = "the trace is a sample: heaptrack has no word for a block that stands for several";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let command = analysis.origin.arguments.join(" ").replace('\n', " ");
    writeln!(out, "v {VERSION}\nX {command}\nI 1000 0")?;
    let mut definitions = Definitions { out, texts: HashMap::new(), places: HashMap::new(), stacks: HashMap::new() };
    let mut stack_of = Vec::new();
    for site in analysis.context.sites.iter() {
        let mut stack = 0;
        for frame in symbols.stack(&analysis.context, site).iter().rev() {
            stack = definitions.stack(frame, stack)?;
        }
        // heaptrack's stacks end with the caller; one without frames needs something to be known by.
        if stack == 0 {
            let call = Frame { function: KINDS[usize::from(site.kind)].to_owned(), location: None, is_python: false };
            stack = definitions.stack(&call, 0)?;
        }
        stack_of.push(stack);
    }
    let out = definitions.out;
    let mut kinds = HashMap::new();
    let (mut live, mut freed_early) = (HashMap::new(), HashSet::new());
    let (mut result, mut millisecond) = (Ok(()), 0);
    let mut take = |time: u64, event: Event| -> io::Result<()> {
        if time / 1_000_000 > millisecond {
            millisecond = time / 1_000_000;
            writeln!(out, "c {millisecond:x}")?;
        }
        match event {
            Event::Alloc { block, site, size } => {
                let stack = stack_of.get(site as usize).copied().unwrap_or_default();
                let (kind, is_new) = number(&mut kinds, (size, stack));
                if is_new {
                    writeln!(out, "a {size:x} {stack:x}")?;
                }
                writeln!(out, "+ {:x}", kind - 1)?;
                if freed_early.remove(&block) {
                    writeln!(out, "- {:x}", kind - 1)?;
                } else {
                    live.insert(block, kind - 1);
                }
            }
            Event::Free { block } => match live.remove(&block) {
                Some(kind) => writeln!(out, "- {kind:x}")?,
                None => {
                    freed_early.insert(block);
                }
            },
            _ => {}
        }
        Ok(())
    };
    file.each_event(
        |_| {},
        |_, time, event| {
            if result.is_ok() {
                result = take(time, event);
            }
        },
    );
    result
}
