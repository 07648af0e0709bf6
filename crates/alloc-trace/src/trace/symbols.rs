//! Names for addresses: function, file and line, from the programs' and libraries' own files.

use std::collections::HashMap;
use std::path::Path;

use super::events::Context;
use super::file::legible;
use super::python;
use super::sites::{Address, Site};
use crate::code::Code;
pub use crate::code::Frame;
use crate::modules::Modules;

/// The function that runs Python's: all that one call of it ran stands in its place.
const INTERPRETER: &str = "_PyEval_EvalFrameDefault";

/// The file name of the library that is loaded into traced programs.
pub const LIBRARY: &str = "liballoc_trace_preload.so";

/// Finds names, each once.
#[derive(Default)]
pub struct Symbols {
    files: HashMap<String, Option<Code>>,
    frames: HashMap<Address, Vec<Frame>>,
}

impl std::fmt::Debug for Symbols {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Symbols").field("files", &self.files.len()).field("frames", &self.frames.len()).finish()
    }
}

impl Symbols {
    /// The functions at a return address, the innermost first: more than one where functions were inlined, none where it is the tracing library's own.
    pub fn frames(&mut self, modules: &Modules, address: Address) -> &[Frame] {
        if !self.frames.contains_key(&address) {
            let frames = self.look_up(modules, address);
            self.frames.insert(address, frames);
        }
        &self.frames[&address]
    }

    /// The functions on a site's stack, the innermost first, Python's where the interpreter runs them.
    pub fn stack(&mut self, context: &Context, site: Site) -> Vec<Frame> {
        let all = context.sites.stack(site);
        let (of_python, native): (Vec<Address>, Vec<Address>) = all.partition(|frame| python::is_frame(frame.address));
        let mut of_python = of_python.into_iter().map(|frame| frame.address);
        let mut found = Vec::new();
        for address in native {
            let frames = self.frames(&context.modules, address);
            let runs_python = frames.iter().any(|frame| frame.function.starts_with(INTERPRETER));
            let before = found.len();
            if runs_python {
                for frame in of_python.by_ref() {
                    if !python::is_nothing(frame) {
                        found.push(context.python.frame(frame));
                    }
                    if python::is_entry(frame) {
                        break;
                    }
                }
            }
            if found.len() == before {
                found.extend_from_slice(frames);
            }
        }
        // Where the interpreter has no name of its own.
        let rest = of_python.filter(|&frame| !python::is_nothing(frame));
        found.extend(rest.map(|frame| context.python.frame(frame)));
        for frame in &mut found {
            let names = std::iter::once(&mut frame.function).chain(frame.location.as_mut().map(|(file, _)| file));
            names.filter(|name| name.contains(char::is_control)).for_each(|name| *name = legible(name.as_bytes()));
        }
        found
    }

    fn look_up(&mut self, modules: &Modules, address: Address) -> Vec<Frame> {
        // The call is before the address that it returns to.
        let call = address.address.saturating_sub(1);
        let Some((path, offset)) = modules.locate(address.generation, call) else {
            return vec![Frame { function: format!("{:#x}", address.address), location: None, is_python: false }];
        };
        // Between Python and its allocator, which asks for memory in its turn.
        if Path::new(path).file_name().is_some_and(|name| name == LIBRARY) {
            return Vec::new();
        }
        let code = self.files.entry(path.to_owned()).or_insert_with(|| Code::open(Path::new(path)));
        let mut frames = code.as_ref().map(|code| code.frames(offset)).unwrap_or_default();
        if frames.is_empty() {
            let file = Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy());
            frames.push(Frame { function: format!("{file}+{offset:#x}"), location: None, is_python: false });
        }
        frames
    }
}
