//! Reading a file in place, safely: [`FileView`].

mod choice;
mod error;
mod glance;
#[allow(unsafe_code, reason = "the copy out of a mapping, and borrowing from it")]
mod mapped;
mod open;
#[allow(unsafe_code, reason = "loads from a mapping")]
mod quick;
mod windows;

use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use choice::{Access, Choice, Method, Reason};
pub use error::ViewError;
pub use glance::Glance;
pub use open::ViewOptions;
pub use windows::Windows;

use rustix::io::{Errno, pread};

use crate::advice::{Advice, Advised};
use mapped::Mapped;
use quick::Backing;

/// A read-only view of a file that survives the file's being cut: reading what is no longer there gives an `Err`, not SIGBUS.
///
/// ```
/// use mmap_demo::{FileView, ViewError};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("data");
/// std::fs::write(&path, vec![7; 1 << 20])?;
/// let view = FileView::open(&path)?;
/// let mut word = [0; 8];
/// view.read_exact_at(&mut word, 500_000)?;
/// assert_eq!(word, [7; 8]);
///
/// std::fs::File::options().write(true).open(&path)?.set_len(0)?; // somebody else cuts it
/// let error = view.read_at(&mut word, 900_000).unwrap_err();
/// assert!(matches!(error, ViewError::Truncated { now: 0, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it promises
/// [`read_at`](Self::read_at) either copies what was in the file, or says that it could not; it never ends the process. This holds for
/// many threads on one view and many views in one process; beside handlers for SIGBUS that were there before, which get what is not ours;
/// on alternative stacks, and in threads that block signals. How it is done stands in `sigbus.rs`, and what it rests on.
///
/// The view shows the bytes that the file had when the view was made; what is appended later shows after [`refresh`](Self::refresh).
/// A mapped view that has failed **stays failed**: every later read gives an `Err`, also of places that are still there, until
/// [`refresh`](Self::refresh) maps the file anew. A page of zeros can't be told from the file's any more, and whoever has one view of a
/// file that was cut has to look at it afresh anyway.
///
/// # What the kernel can't protect from
/// - **Others may write to the file.** A copy may then hold some of the old and some of the new, as with `read`, but in finer pieces:
///   `read` of a page is atomic on some file systems, a copy from a mapping on none.
/// - **A cut within a page leaves zeros.** The file ends somewhere in a page, and up to that page's end the kernel fills in zeros and raises no
///   signal. Who reads the last bytes of a file that was cut by less than a page reads those zeros, as `Ok`. To ask the file's length
///   after every copy would tell, and takes 395 ns here, thirty times what a small read costs. [`is_cut`](Self::is_cut) asks, when it
///   matters. What was cut and has grown again holds zeros for everybody, `read` included.
/// - **Another handler for SIGBUS** that is installed after the first view and doesn't pass on what is not its own takes the place of ours; and
///   a thread that blocks SIGBUS after its first read dies of a fault, for so the kernel will have it.
/// - When a cut is met and the process has more mappings than it may make (65,530, `vm.max_map_count`), nothing can be put in the page's place:
///   the process dies. For the last of them it is enough that the view's own can be replaced.
///
/// # Why `Mmap::map` is unsafe in memmap2
/// It gives a `&[u8]`, and Rust promises everybody who has one that the bytes don't change. Of a file's that is not so: any process
/// can write to it, and cut it, and then the very load is fatal. So the caller has to promise what nobody can know. This view makes no
/// reference, it copies; where you can promise, [`bytes`](Self::bytes) gives the reference, and [`Sealed`](crate::Sealed) where the kernel
/// does.
#[derive(Debug)]
pub struct FileView {
    file: Held,
    /// Where in the file it begins.
    start: u64,
    /// And where it ends: what the file has said, until a read finds that it has less. Only ever lowered.
    end: AtomicU64,
    options: ViewOptions,
    choice: Choice,
    backing: Backing,
}

/// A file, and who else has it: a view alone needs no count of them, which would be an allocation for each small file.
#[derive(Debug)]
enum Held {
    Alone(File),
    WithWindows(Arc<File>),
}

impl std::ops::Deref for Held {
    type Target = File;

    #[inline]
    fn deref(&self) -> &File {
        match self {
            Self::Alone(file) => file,
            Self::WithWindows(file) => file,
        }
    }
}

/// Where its bytes are.
#[derive(Debug)]
enum Bytes {
    Loaded(Vec<u8>),
    InFile,
    Mapped(Mapped),
}

impl FileView {
    /// The whole file, by whatever [`Method`] suits its length. [`ViewOptions`] can be told more.
    ///
    /// # Errors
    /// When it can't be opened, or is no file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ViewError> {
        ViewOptions::new().open(path)
    }

    /// Copies what the view has from `offset` on into `buffer`, and gives how many bytes that were: as many as fit, fewer only at the end of the
    /// view, none from there on.
    ///
    /// # Errors
    /// When not all of it could be had: the buffer then holds what could, and zeros or what it held before.
    #[inline]
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ViewError> {
        // What is read most, in the fewest instructions: a few bytes, and then whatever is mapped and all there. Where the compiler knows the
        // buffer's length, one of the two is all that is left of this.
        if self.backing.read(buffer, offset) {
            return Ok(buffer.len());
        }
        if let Bytes::Mapped(mapped) = self.backing.bytes()
            && mapped.has(buffer.len(), offset)
        {
            // Not once more if that fails: what was copied is still the file's, up to the place that the error names.
            let copied = mapped.copy_to(buffer, offset as usize);
            return if copied { Ok(buffer.len()) } else { Err(self.what_was_lost(mapped)) };
        }
        self.read_with_care(buffer, offset)
    }

    /// All cases but the usual one.
    #[inline(never)]
    fn read_with_care(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ViewError> {
        let rest = self.len().saturating_sub(offset);
        let length = if buffer.len() as u64 <= rest { buffer.len() } else { rest as usize };
        let buffer = &mut buffer[..length];
        if length == 0 {
            // From the end on there is nothing that could be missing.
            return Ok(0);
        }
        match self.backing.bytes() {
            Bytes::Mapped(mapped) => {
                if !mapped.copy_to(buffer, offset as usize) {
                    return Err(self.what_was_lost(mapped));
                }
            }
            Bytes::Loaded(bytes) => buffer.copy_from_slice(&bytes[offset as usize..][..length]),
            Bytes::InFile => return self.read_from_file(buffer, offset),
        }
        Ok(length)
    }

    /// Fills `buffer` with what the view has from `offset` on.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at); and [`ViewError::Read`] where the view ends before the buffer.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ViewError> {
        if self.read_at(buffer, offset)? == buffer.len() {
            return Ok(());
        }
        let source = std::io::ErrorKind::UnexpectedEof.into();
        Err(ViewError::Read { name: self.name(), offset: self.start.saturating_add(offset), source })
    }

    /// The `N` bytes at `offset`, by value: 1, 2, 4 or 8 of a mapping in the fewest instructions there are, a load and the look at the flag.
    ///
    /// ```
    /// let view = mmap_demo::FileView::open("/proc/self/exe")?;
    /// assert_eq!(view.get(0)?, *b"\x7fELF");
    /// # Ok::<(), mmap_demo::ViewError>(())
    /// ```
    ///
    /// # Errors
    /// As [`read_exact_at`](Self::read_exact_at).
    #[inline]
    pub fn get<const N: usize>(&self, offset: u64) -> Result<[u8; N], ViewError> {
        if N == 8
            && let Some(word) = self.backing.word(offset)
            && let Some((bytes, _)) = word.to_ne_bytes().split_first_chunk()
        {
            return Ok(*bytes);
        }
        let mut bytes = [0; N];
        if matches!(N, 1 | 2 | 4) && self.backing.read(&mut bytes, offset) {
            return Ok(bytes);
        }
        self.get_with_care(offset)
    }

    #[inline(never)]
    fn get_with_care<const N: usize>(&self, offset: u64) -> Result<[u8; N], ViewError> {
        let mut bytes = [0; N];
        self.read_exact_at(&mut bytes, offset).map(|()| bytes)
    }

    /// How many bytes it shows. Of a file in `/sys` that is read [in place](Method::Read) that is what it says, a page, until a read has come to
    /// its end.
    #[inline]
    pub fn len(&self) -> u64 {
        self.end().saturating_sub(self.start)
    }

    #[inline]
    fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether it shows nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it shows of the file: from the first byte to before the last.
    pub fn range(&self) -> Range<u64> {
        self.start..self.end().max(self.start)
    }

    /// How it gets at the bytes, and why so.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Whether nothing was found missing so far.
    pub fn is_whole(&self) -> bool {
        !matches!(self.backing.bytes(), Bytes::Mapped(mapped) if !mapped.is_whole())
    }

    /// Whether the file is now shorter than the view: asks the file, which takes a system call. What was [loaded](Method::Load) is
    /// never cut.
    ///
    /// # Errors
    /// When it can't be asked.
    pub fn is_cut(&self) -> Result<bool, ViewError> {
        if self.choice.method == Method::Load {
            // It has what it has.
            return Ok(false);
        }
        let now = open::length(&self.file).map_err(|source| ViewError::Open { name: self.name(), source })?;
        Ok(now < self.end())
    }

    /// Looks at the file afresh: what was appended shows, what was cut doesn't, and a view that had failed is whole again. It is the same file,
    /// also if its name is another's by now.
    ///
    /// # Errors
    /// As when it is opened; the view is then as it was before.
    pub fn refresh(&mut self) -> Result<(), ViewError> {
        let open::Seen { range, bytes, choice } = self.options.look(&self.file)?;
        (self.start, self.end) = (range.start, range.end.into());
        (self.backing, self.choice) = (Backing::new(bytes), choice);
        Ok(())
    }

    /// Tells the kernel how `range` (counted from the view's beginning, cut off at its end) is going to be used.
    ///
    /// # Errors
    /// What the kernel says, such as that it is too old for that advice.
    pub fn advise(&self, advice: Advice, range: Range<u64>) -> Result<Advised, ViewError> {
        let range = range.start.min(self.len())..range.end.min(self.len());
        let failed = |source| ViewError::Read { name: self.name(), offset: self.start + range.start, source };
        let Some(length) = range.end.checked_sub(range.start).and_then(NonZeroU64::new) else {
            return Ok(Advised::NothingToTell("there are no bytes in that range"));
        };
        match self.backing.bytes() {
            Bytes::Loaded(_) => return Ok(Advised::NothingToTell("all of it was loaded")),
            Bytes::InFile => {
                let Some(advice) = advice.for_file() else {
                    return Ok(Advised::NothingToTell("it is about pages that are mapped"));
                };
                let start = self.start + range.start;
                rustix::fs::fadvise(&*self.file, start, Some(length), advice).map_err(|errno| failed(errno.into()))?;
            }
            Bytes::Mapped(mapped) => {
                let part = range.start as usize..range.end as usize;
                mapped.advise(advice.for_mapping(), part).map_err(failed)?;
            }
        }
        Ok(Advised::Told)
    }

    /// The view in pieces, one after the other, each a view of its own that takes no more address space than `size` bytes (and two pages).
    /// For files that are larger than what a program wants to map. They have one descriptor together; if none can be had, the first window is
    /// the error.
    pub fn windows(&self, size: NonZeroU64) -> Windows {
        Windows::new(self, size)
    }

    fn read_from_file(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ViewError> {
        let mut done = 0;
        while done < buffer.len() {
            let at = self.start + offset + done as u64;
            match pread(&*self.file, &mut buffer[done..], at) {
                Ok(0) => {
                    let now = self.length_of_file().unwrap_or(at);
                    if now < self.end() || !open::promises_too_much(&self.file) {
                        return Err(self.truncated_or_changed(at, now));
                    }
                    self.end.fetch_min(at, Ordering::Relaxed);
                    break;
                }
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.unreadable(at, errno.into())),
            }
        }
        Ok(done)
    }

    /// A small file that is read once was not asked what it is when it was opened.
    #[cold]
    fn unreadable(&self, offset: u64, source: std::io::Error) -> ViewError {
        match open::kind_of_no_file(&self.file) {
            Some(kind) => ViewError::NotAFile { name: self.name(), kind },
            None => ViewError::Read { name: self.name(), offset, source },
        }
    }

    /// Why a page could not be had: the signal doesn't say.
    #[cold]
    fn what_was_lost(&self, mapped: &Mapped) -> ViewError {
        let offset = self.start + mapped.lost().unwrap_or(0) as u64;
        match self.length_of_file() {
            Some(now) if now < self.end() => self.truncated_or_changed(offset, now),
            // Asked in a way that can be answered, a disk says what is the matter.
            _ => match self.file.read_at(&mut [0], offset) {
                Err(source) => ViewError::Read { name: self.name(), offset, source },
                Ok(_) => ViewError::Changed { name: self.name(), offset },
            },
        }
    }

    fn truncated_or_changed(&self, offset: u64, now: u64) -> ViewError {
        if now < self.end() {
            ViewError::Truncated { name: self.name(), offset, then: self.end(), now }
        } else {
            ViewError::Changed { name: self.name(), offset }
        }
    }

    fn length_of_file(&self) -> Option<u64> {
        open::length(&self.file).ok()
    }

    fn name(&self) -> String {
        open::name_of(&self.file)
    }
}
