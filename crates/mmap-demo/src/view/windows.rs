//! A file in pieces.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use super::{FileView, ViewError, ViewOptions};

/// Views of one part of a file after the other: see [`FileView::windows`].
#[derive(Debug)]
pub struct Windows {
    file: Arc<std::fs::File>,
    options: ViewOptions,
    size: u64,
    /// What has not been shown yet.
    rest: Range<u64>,
}

impl Windows {
    pub(super) fn new(view: &FileView, size: NonZeroU64) -> Self {
        Self {
            file: Arc::clone(&view.file),
            // The address space was for the whole; what a window takes is said by its size.
            options: view.options.clone().address_space(u64::MAX),
            size: size.get(),
            rest: view.range(),
        }
    }
}

/// An error ends it only if the caller lets it: the next window may still be there.
impl Iterator for Windows {
    type Item = Result<FileView, ViewError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.start.saturating_add(self.size).min(self.rest.end);
        let window = self.rest.start..end;
        self.rest.start = end;
        Some(self.options.clone().window(window).view(Arc::clone(&self.file)))
    }
}
