//! Which lines allocate: what a budget's message says.

use std::fmt;

/// Who allocated under a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteUse {
    /// The innermost function that isn't the standard library's.
    pub site: Place,
    /// Who called it: the first one that isn't of a registry's crate, if there is one within the budget.
    pub called_from: Option<Place>,
    /// How many allocations.
    pub allocations: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A line in a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Place {
    /// Source file and line: relative to the workspace, or to the registry. None if the program was built without.
    pub line: Option<(String, u32)>,
    /// The function's name, demangled.
    pub function: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some((file, line)) => write!(f, "{file}:{line} in {}", self.function),
            None => write!(f, "{} (built without lines)", self.function),
        }
    }
}

/// So many are printed.
const MOST_LINES: usize = 12;

/// Who allocated, as lines.
pub(crate) fn write_uses(f: &mut fmt::Formatter<'_>, uses: &[SiteUse], allocations: u64) -> fmt::Result {
    if uses.is_empty() {
        return write!(f, "which lines allocated is known with alloc-trace's feature `sites`, on Unix");
    }
    write!(f, "allocated by")?;
    for used in uses.iter().take(MOST_LINES) {
        write!(f, "\n  {} x, {} bytes: {}", used.allocations, used.bytes, used.site)?;
        if let Some(caller) = &used.called_from {
            write!(f, "\n      called from {caller}")?;
        }
    }
    let shown: u64 = uses.iter().take(MOST_LINES).map(|used| used.allocations).sum();
    if shown < allocations {
        write!(f, "\n  and {} more allocations", allocations - shown)?;
    }
    Ok(())
}

#[cfg(all(feature = "sites", unix, not(target_arch = "arm")))]
pub(crate) use known::Sites;
#[cfg(not(all(feature = "sites", unix, not(target_arch = "arm"))))]
pub(crate) use unknown::Sites;

#[cfg(all(feature = "sites", unix, not(target_arch = "arm")))]
pub(crate) mod known {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Mutex, PoisonError};

    use super::SiteUse;
    use crate::lines;
    use crate::stack::Stack;

    /// So many different stacks are kept.
    const MOST_STACKS: usize = 64;
    /// Of so many allocations the stack is looked at.
    const MOST_ALLOCATIONS: u64 = 10_000;

    /// Whose allocations they are, by stack. Never grows, so that noting one down allocates nothing.
    #[derive(Debug)]
    pub(crate) struct Sites {
        seen: AtomicU64,
        stacks: Mutex<[Option<Entry>; MOST_STACKS]>,
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Entry {
        pub(crate) stack: Stack,
        pub(crate) allocations: u64,
        pub(crate) bytes: u64,
    }

    impl Sites {
        #[expect(clippy::large_stack_arrays, reason = "26 KiB, moved at once to where it stays")]
        pub(crate) const fn new() -> Self {
            Self { seen: AtomicU64::new(0), stacks: Mutex::new([None; MOST_STACKS]) }
        }

        pub(crate) fn note(&self, size: usize) {
            if self.seen.fetch_add(1, Relaxed) >= MOST_ALLOCATIONS {
                return;
            }
            let stack = Stack::here();
            let mut stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in &mut *stacks {
                let entry = entry.get_or_insert(Entry { stack, allocations: 0, bytes: 0 });
                if entry.stack == stack {
                    entry.allocations += 1;
                    entry.bytes += size as u64;
                    return;
                }
            }
        }

        pub(crate) fn uses(&self) -> Vec<SiteUse> {
            // Copied, so that nobody waits who allocates meanwhile, this thread in an outer budget included.
            let stacks = *self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            lines::uses(stacks.iter().flatten())
        }
    }
}

#[cfg(not(all(feature = "sites", unix, not(target_arch = "arm"))))]
mod unknown {
    use super::SiteUse;

    /// Nobody's.
    #[derive(Debug)]
    pub(crate) struct Sites;

    impl Sites {
        pub(crate) const fn new() -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "the one that knows has the same methods")]
        pub(crate) fn note(&self, _: usize) {}

        #[expect(clippy::unused_self, reason = "the one that knows has the same methods")]
        pub(crate) fn uses(&self) -> Vec<SiteUse> {
            Vec::new()
        }
    }
}
