//! What can go wrong with a view.

use std::io;
use std::ops::Range;

/// Why a file can't be viewed, or a part of it can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// It can't be opened or asked for its length.
    #[error("{name} can't be opened: {source}")]
    Open {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe, a socket, or a device that has no bytes at fixed places.
    #[error("{name} is {kind}: a view needs a file, or a disk, whose bytes have places")]
    NotAFile {
        /// The file.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The window reaches beyond the file.
    #[error("{name} has {length} bytes: there is no window from {} to {}", range.start, range.end)]
    Window {
        /// The file.
        name: String,
        /// Its length, bytes.
        length: u64,
        /// The window that was asked for.
        range: Range<u64>,
    },
    /// It doesn't say its length, as files in `/proc` don't, and it has more than can be loaded.
    #[error("{name} doesn't say how long it is, and has more than {limit} bytes")]
    Endless {
        /// The file.
        name: String,
        /// The most that is loaded, bytes.
        limit: u64,
    },
    /// It can't be mapped, and [`ViewOptions::method`](super::ViewOptions::method) wanted just that.
    #[error("{name} can't be mapped: {source}")]
    Map {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody has shortened the file since it was opened.
    #[error("{name} was cut while in view: it had {then} bytes and has {now}, so there is nothing at {offset}")]
    Truncated {
        /// The file.
        name: String,
        /// Where bytes are missing, from the file's beginning.
        offset: u64,
        /// Where the view ends in the file, which was the least it had when the view was made.
        then: u64,
        /// Its length now.
        now: u64,
    },
    /// A page could not be had for a moment, and could be a moment later: the file was shortened and has grown again, as a rule.
    #[error(
        "{name} had nothing at {offset} for a moment: it was cut and has grown again, and what is there now is something else"
    )]
    Changed {
        /// The file.
        name: String,
        /// Where, from the file's beginning.
        offset: u64,
    },
    /// The disk, or whatever stands behind the file, gave an error.
    #[error("{name} can't be read at {offset}: {source}")]
    Read {
        /// The file.
        name: String,
        /// Where, from the file's beginning.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
}
