//! A file in pieces.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use super::{FileView, Held, ViewError, ViewOptions};

/// Views of one part of a file after the other: see [`FileView::windows`].
#[derive(Debug)]
pub struct Windows {
    /// A descriptor for all of them; the error is given for the first.
    file: io::Result<Arc<File>>,
    options: ViewOptions,
    size: u64,
    /// What has not been shown yet.
    rest: Range<u64>,
}

impl Windows {
    pub(super) fn new(view: &FileView, size: NonZeroU64) -> Self {
        Self {
            file: match &view.file {
                Held::Alone(file) => file.try_clone().map(Arc::new),
                Held::WithWindows(file) => Ok(Arc::clone(file)),
            },
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
        match &mut self.file {
            Ok(file) => Some(self.options.clone().window(window).view(Held::WithWindows(Arc::clone(file)))),
            Err(error) => {
                self.rest.start = self.rest.end;
                let source = std::mem::replace(error, io::ErrorKind::Other.into());
                Some(Err(ViewError::Open { name: "a file in view".to_owned(), source }))
            }
        }
    }
}
