//! A file with code: which function and line an address in it is.

use std::fs::File;
use std::path::Path;

use object::read::ReadCache;
use object::{Object, ObjectSegment};

/// A function on a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Frame {
    /// Its name, demangled; where there is none, the file and the place in it.
    pub function: String,
    /// Source file and line, where the program was built with them.
    pub location: Option<(String, u32)>,
    /// Whether it is one of Python's.
    pub is_python: bool,
}

#[cfg(feature = "report")]
impl Frame {
    /// Its location for a list: the last two parts of the file's path, and the line; empty where there is none.
    pub fn place(&self) -> String {
        let Some((file, line)) = &self.location else { return String::new() };
        let begin = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
        format!("{}:{line}", &file[begin..])
    }
}

/// A file with code.
pub(crate) struct Code {
    loader: addr2line::Loader,
    /// Where in the file a segment is, how long, and for which address it was linked.
    segments: Vec<(u64, u64, u64)>,
}

impl Code {
    pub(crate) fn open(path: &Path) -> Option<Self> {
        // The path is whatever a trace says: what is no file might never answer.
        path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let file = ReadCache::new(File::open(path).ok()?);
        let object = object::File::parse(&file).ok()?;
        let segments = object.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            (offset, size, segment.address())
        });
        Some(Self { segments: segments.collect(), loader: addr2line::Loader::new(path).ok()? })
    }

    /// The functions at a place in the file, the innermost first: more than one where functions were inlined.
    pub(crate) fn frames(&self, offset: u64) -> Vec<Frame> {
        let segment = self.segments.iter().find(|&&(begin, size, _)| offset >= begin && offset - begin < size);
        let Some(&(begin, _, linked)) = segment else { return Vec::new() };
        let address = linked + (offset - begin);
        let mut found = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let function = frame.function.as_ref().and_then(|name| Some(name.demangle().ok()?.into_owned()));
                let location = frame.location.and_then(|location| Some((location.file?.to_owned(), location.line?)));
                if let Some(function) = function {
                    found.push(Frame { function, location, is_python: false });
                }
            }
        }
        if found.is_empty()
            && let Some(name) = self.loader.find_symbol(address)
        {
            let name = name.split('@').next().unwrap_or(name);
            let function = addr2line::demangle_auto(name.into(), None).into_owned();
            found.push(Frame { function, location: None, is_python: false });
        }
        found
    }
}
