//! Bytes that nobody can change any more, borrowed without a copy.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};

use memmap2::{Mmap, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A file in memory that is sealed: it can be neither written to nor cut, by anybody, for ever. So a `&[u8]` of it keeps its
/// promise, and needs neither a copy nor a handler.
///
/// ```
/// use mmap_demo::Sealed;
///
/// let sealed = Sealed::new(&b"for all to read"[..])?;
/// assert_eq!(&sealed[4..7], b"all");
/// // Another process that is given the descriptor (over a socket, or by a fork) can check it before it trusts it:
/// let theirs = Sealed::of(sealed.as_file().try_clone()?)?;
/// assert_eq!(*theirs, *sealed);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Sealed {
    file: File,
    map: Mmap,
}

impl Sealed {
    /// Takes in all that `source` has, and seals it.
    ///
    /// # Errors
    /// When the source can't be read, or memory is short.
    pub fn new(mut source: impl Read) -> io::Result<Self> {
        let file = memfd_create("sealed", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = File::from(file);
        io::copy(&mut source, &mut file)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        Self::of(file)
    }

    /// Borrows from a file that somebody else has sealed, against shrinking and against writing; files that `fs-verity` guards will do,
    /// too.
    ///
    /// # Errors
    /// When it is not sealed, and could be changed.
    pub fn of(file: File) -> io::Result<Self> {
        // An empty file needs no seal against shrinking, but one against writing: all the same here.
        let map = MmapOptions::new().map_if_safe(&file).map_err(io::Error::from)?;
        Ok(Self { file, map })
    }

    /// The file, to be handed to others. Nobody can do more with it than read.
    pub fn as_file(&self) -> &File {
        &self.file
    }
}

impl Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
