//! Names for return addresses of this very process.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::code::{Code, Frame};
use crate::modules::Modules;
use crate::sites::known::Entry;
use crate::sites::{Place, SiteUse};

/// Where this crate's own functions are.
const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");

/// Entries with the same site and caller become one. The most frequent first.
pub(crate) fn uses<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<SiteUse> {
    let mut lines = Lines::of_this_process();
    let mut uses: BTreeMap<(Place, Option<Place>), (u64, u64)> = BTreeMap::new();
    for entry in entries {
        let used = uses.entry(lines.site(entry.stack.addresses())).or_default();
        used.0 += entry.allocations;
        used.1 += entry.bytes;
    }
    let mut uses: Vec<SiteUse> = uses
        .into_iter()
        .map(|((site, called_from), (allocations, bytes))| SiteUse { site, called_from, allocations, bytes })
        .collect();
    uses.sort_by_key(|used| std::cmp::Reverse((used.allocations, used.bytes)));
    uses
}

struct Lines {
    modules: Modules,
    files: HashMap<String, Option<Code>>,
    workspace: Option<PathBuf>,
}

impl Lines {
    fn of_this_process() -> Self {
        let mut modules = Modules::default();
        // Where there is no such file, functions have no names.
        modules.add(&format!("0\n{}", std::fs::read_to_string("/proc/self/maps").unwrap_or_default()));
        let current = std::env::current_dir().unwrap_or_default();
        let workspace = current.ancestors().filter(|folder| folder.join("Cargo.lock").exists()).last();
        Self { modules, files: HashMap::new(), workspace: workspace.map(Path::to_owned) }
    }

    fn frames(&mut self, address: usize) -> Vec<Frame> {
        // The call is before the address that it returns to.
        let Some((path, offset)) = self.modules.locate(0, address.saturating_sub(1) as u64) else { return Vec::new() };
        let code = self.files.entry(path.to_owned()).or_insert_with(|| Code::open(Path::new(path)));
        code.as_ref().map(|code| code.frames(offset)).unwrap_or_default()
    }

    /// The line that allocates, and the one that called it.
    fn site(&mut self, addresses: &[usize]) -> (Place, Option<Place>) {
        let frames: Vec<Frame> = addresses.iter().flat_map(|&address| self.frames(address)).collect();
        // First comes what counts and what allocates, ours and std's, mixed; at the other end what watches over the budget.
        let begin = frames.iter().position(|frame| !is_own(frame) && !is_of_std(frame)).unwrap_or(frames.len());
        let within = frames[begin..].iter().take_while(|frame| !is_own(frame)).filter(|frame| !is_of_std(frame));
        let mut places = within.map(|frame| self.place(frame));
        let unknown = || Place { line: None, function: "a function without a name".into() };
        let site = places.next().unwrap_or_else(unknown);
        let of_registry = |place: &Place| place.line.as_ref().is_some_and(|(file, _)| file.starts_with(REGISTRY));
        (site, places.find(|place| place.line.is_some() && !of_registry(place)))
    }

    fn place(&self, frame: &Frame) -> Place {
        let shorten = |file: &str| {
            if let Some((_, rest)) = file.split_once("/registry/src/") {
                return format!("{REGISTRY}{}", rest.split_once('/').map_or(rest, |(_, file)| file));
            }
            let short = self.workspace.as_ref().and_then(|folder| Path::new(file).strip_prefix(folder).ok());
            short.map_or_else(|| file.to_owned(), |short| short.display().to_string())
        };
        let line = frame.location.as_ref().map(|(file, line)| (shorten(file), *line));
        Place { line, function: frame.function.clone() }
    }
}

/// In place of a registry's folder.
const REGISTRY: &str = "registry: ";

fn is_own(frame: &Frame) -> bool {
    let name = frame.function.trim_start_matches('<');
    // The shims that `#[global_allocator]` makes have the line of the program's own `static`.
    let is_shim = ["__rust_alloc", "__rust_realloc", "__rust_alloc_zeroed", "__rust_dealloc"]
        .iter()
        .any(|shim| name.ends_with(shim));
    is_shim
        || name.starts_with("alloc_trace::")
        || frame.location.as_ref().is_some_and(|(file, _)| file.starts_with(OWN))
}

fn is_of_std(frame: &Frame) -> bool {
    if let Some((file, _)) = &frame.location {
        return file.starts_with("/rustc/") || file.contains("/lib/rustlib/src/rust/library/");
    }
    let name = frame.function.trim_start_matches('<');
    ["alloc::", "core::", "std::", "__rust", "_Unwind"].iter().any(|begin| name.starts_with(begin))
}
