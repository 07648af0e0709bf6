//! From a path to a view.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat, fstat, fstatfs, seek};
use rustix::io::{Errno, pread, retry_on_intr};

use super::choice::{Facts, SMALL, choose};
use super::{Access, Backing, Bytes, Choice, FileView, Held, Mapped, Method, Reason, ViewError};

/// Of a file that doesn't say how long it is no more is loaded than this.
const ENDLESS: u64 = 64 << 20;
/// `hugetlbfs`, whose pages are too large to be replaced one by one (linux/magic.h).
const HUGETLBFS: u64 = 0x9584_58f6;
/// `/sys` (linux/magic.h).
const SYSFS: u64 = 0x6265_6572;
/// `/sys/kernel/config` (linux/magic.h).
const CONFIGFS: u64 = 0x6265_6570;

/// How a file is to be viewed.
///
/// ```
/// use mmap_demo::{Access, Method, ViewOptions};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("data");
/// std::fs::write(&path, vec![7; 1 << 20])?;
/// let view = ViewOptions::new().access(Access::Once).open(&path)?;
/// assert_eq!(view.choice().method, Method::Read);
/// println!("{}", view.choice()); // read once, a file below 16777216 bytes doesn't make up for its mapping
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ViewOptions {
    access: Access,
    files: usize,
    address_space: u64,
    method: Option<Method>,
    window: Option<Range<u64>>,
}

/// What a look at a file comes to.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) range: Range<u64>,
    pub(super) bytes: Bytes,
    pub(super) choice: Choice,
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self { access: Access::Again, files: 1, address_space: u64::MAX, method: None, window: None }
    }
}

impl ViewOptions {
    /// One whole file, read again and again, with as much address space as it needs.
    pub fn new() -> Self {
        Self::default()
    }

    /// How it is going to be read.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// How many files are going to be in view at the same time.
    #[must_use]
    pub fn files(mut self, files: usize) -> Self {
        self.files = files;
        self
    }

    /// How many bytes of address space it may take; for a longer file each read is then a call. See also
    /// [`FileView::windows`].
    #[must_use]
    pub fn address_space(mut self, bytes: u64) -> Self {
        self.address_space = bytes;
        self
    }

    /// By this method, whatever the rules say.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only this part of the file.
    #[must_use]
    pub fn window(mut self, range: Range<u64>) -> Self {
        self.window = Some(range);
        self
    }

    /// Opens a file and views it. A pipe or a terminal is not waited for, but refused.
    ///
    /// # Errors
    /// When it can't be opened, is no file, or ends before the window.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<FileView, ViewError> {
        let path = path.as_ref();
        // To open a pipe would wait for its writer; a terminal could become the process's.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
        let file = File::from(file.map_err(|errno| not_opened(path, errno))?);
        match self.small(&file) {
            Some(seen) => Ok(self.made(Held::Alone(file), seen)),
            None => self.view(Held::Alone(file)),
        }
    }

    /// Small files in the fewest calls: one for the length, and one for the bytes, which is made by the first read where they are read once.
    /// `fstat` takes 394 ns here and `lseek` 156, of the 3,300 that it takes to open a file of 4 KiB, to read it and to close it. To end where a
    /// read comes short would save the `lseek`, and take an error in the middle of a file for its end. What has a
    /// length, and so many bytes at places, is a file or good enough; of all others, and of what is not small, nothing is known afterwards, and
    /// the long way says what they are.
    fn small(&self, file: &File) -> Option<Seen> {
        if self.method.is_some() || self.window.is_some() {
            return None;
        }
        // The file's place is used by nobody: it was just opened.
        let length = seek(file, SeekFrom::End(0)).ok().filter(|length| (1..=SMALL).contains(length))?;
        if self.access == Access::Once {
            let choice = Choice { method: Method::Read, reason: Reason::Once };
            return Some(Seen { range: 0..length, bytes: Bytes::InFile, choice });
        }
        let mut bytes = Vec::with_capacity(length as usize);
        let read = pread(file, spare_capacity(&mut bytes), 0).ok()?;
        let choice = Choice { method: Method::Load, reason: Reason::Small };
        (read as u64 == length).then_some(Seen { range: 0..length, bytes: Bytes::Loaded(bytes), choice })
    }

    fn made(&self, file: Held, seen: Seen) -> FileView {
        let Seen { range: Range { start, end }, bytes, choice } = seen;
        FileView { file, start, end: end.into(), options: self.clone(), choice, backing: Backing::new(bytes) }
    }

    /// Views a file that is open for reading.
    ///
    /// # Errors
    /// When it is no file, or ends before the window.
    pub fn of(&self, file: File) -> Result<FileView, ViewError> {
        self.view(Held::Alone(file))
    }

    pub(super) fn view(&self, file: Held) -> Result<FileView, ViewError> {
        let seen = self.look(&file)?;
        Ok(self.made(file, seen))
    }

    /// What the file is, and how to get at its bytes.
    pub(super) fn look(&self, file: &File) -> Result<Seen, ViewError> {
        let opened = |source: Errno| ViewError::Open { name: name_of(file), source: source.into() };
        let stat = fstat(file).map_err(opened)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if let Some(kind) = not_a_file(kind) {
            return Err(ViewError::NotAFile { name: name_of(file), kind });
        }
        let on_disk = kind == FileType::BlockDevice;
        let length = length_of(file, &stat).map_err(opened)?;
        if length == 0 {
            return self.of_unknown_length(file);
        }
        let range = match &self.window {
            Some(window) if window.start > window.end || window.end > length => {
                return Err(ViewError::Window { name: name_of(file), length, range: window.clone() });
            }
            Some(window) => window.clone(),
            None => 0..length,
        };
        let facts = Facts {
            length: range.end - range.start,
            access: self.access,
            files: self.files,
            address_space: self.address_space,
        };
        let choice = match self.method {
            Some(method) => Choice { method, reason: Reason::Told },
            None if on_disk && facts.length > SMALL => Choice { method: Method::Read, reason: Reason::Disk },
            None => choose(facts),
        };
        self.bytes(file, range, choice)
    }

    fn bytes(&self, file: &File, range: Range<u64>, choice: Choice) -> Result<Seen, ViewError> {
        let length = range.end - range.start;
        match choice.method {
            Method::Read => Ok(Seen { range, bytes: Bytes::InFile, choice }),
            Method::Load => {
                let mut bytes = Vec::new();
                // What doesn't fit into memory is an error here, not the end of the process.
                let room = bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
                room.map_err(|_| io::ErrorKind::OutOfMemory.into())
                    .and_then(|()| load(file, &mut bytes, range.start, length))
                    .map_err(|source| ViewError::Read { name: name_of(file), offset: range.start, source })?;
                // It may have got shorter since it was asked for its length, and files in /sys promise a page and have a line.
                let range = range.start..range.start + bytes.len() as u64;
                Ok(Seen { range, bytes: Bytes::Loaded(bytes), choice })
            }
            Method::Map if length == 0 => Ok(Seen { range, bytes: Bytes::Loaded(Vec::new()), choice }),
            Method::Map => match map(file, &range) {
                Ok(mapped) => Ok(Seen { range, bytes: Bytes::Mapped(mapped), choice }),
                Err(source) if self.method.is_some() => Err(ViewError::Map { name: name_of(file), source }),
                Err(source) => {
                    let choice = Choice { method: Method::Read, reason: Reason::Unmappable(source.raw_os_error()) };
                    Ok(Seen { range, bytes: Bytes::InFile, choice })
                }
            },
        }
    }

    /// Empty files, and those of `/proc`, which say that they are empty.
    fn of_unknown_length(&self, file: &File) -> Result<Seen, ViewError> {
        let mut bytes = Vec::new();
        load(file, &mut bytes, 0, ENDLESS + 1).map_err(|source| ViewError::Read {
            name: name_of(file),
            offset: 0,
            source,
        })?;
        if bytes.len() as u64 > ENDLESS {
            return Err(ViewError::Endless { name: name_of(file), limit: ENDLESS });
        }
        let choice = Choice { method: Method::Load, reason: Reason::SaysEmpty };
        let length = bytes.len() as u64;
        let Some(window) = self.window.clone() else {
            return Ok(Seen { range: 0..length, bytes: Bytes::Loaded(bytes), choice });
        };
        if window.start > window.end || window.end > length {
            return Err(ViewError::Window { name: name_of(file), length, range: window });
        }
        let part = bytes[window.start as usize..window.end as usize].to_vec();
        Ok(Seen { range: window, bytes: Bytes::Loaded(part), choice })
    }
}

#[cold]
fn not_opened(path: &Path, errno: Errno) -> ViewError {
    ViewError::Open { name: path.to_string_lossy().into_owned(), source: errno.into() }
}

fn not_a_file(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile | FileType::BlockDevice => None,
        FileType::Directory => Some("a directory"),
        FileType::CharacterDevice => Some("a device without fixed places"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        _ => Some("something else"),
    }
}

/// What a file is, where it is none that can be viewed.
pub(super) fn kind_of_no_file(file: &File) -> Option<&'static str> {
    fstat(file).ok().and_then(|stat| not_a_file(FileType::from_raw_mode(stat.st_mode)))
}

/// Whether a file's length is not the number of its bytes: all of `sysfs` and of `configfs` claim a page.
pub(super) fn promises_too_much(file: &File) -> bool {
    fstatfs(file).is_ok_and(|system| [SYSFS, CONFIGFS].contains(&system.f_type.cast_unsigned()))
}

/// A file's name, for errors: the kernel knows it, so that no view has to. One that has no name any more has ` (deleted)` after it.
pub(super) fn name_of(file: &File) -> String {
    let descriptor = file.as_raw_fd();
    let name = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
    name.map_or_else(|_| format!("file descriptor {descriptor}"), |name| name.to_string_lossy().into_owned())
}

/// How long a file or a disk is, bytes.
pub(super) fn length(file: &File) -> io::Result<u64> {
    Ok(length_of(file, &fstat(file)?)?)
}

fn length_of(file: &File, stat: &Stat) -> Result<u64, Errno> {
    match FileType::from_raw_mode(stat.st_mode) {
        // The file's place is used by nobody here.
        FileType::BlockDevice => seek(file, SeekFrom::End(0)),
        _ => Ok(stat.st_size.try_into().unwrap_or(0)),
    }
}

/// Appends up to `most` bytes from `start` on to `bytes`: what there is.
fn load(file: &File, bytes: &mut Vec<u8>, start: u64, most: u64) -> io::Result<()> {
    let end = start + most;
    let mut at = start;
    loop {
        let spare = bytes.capacity() - bytes.len();
        if spare == 0 {
            if at == end {
                return Ok(());
            }
            bytes.reserve(((end - at) as usize).min(bytes.len().max(4096)));
        }
        match pread(file, spare_capacity(bytes), at) {
            Ok(0) => return Ok(()),
            Ok(read) => at += read as u64,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if at >= end {
            bytes.truncate(most as usize);
            return Ok(());
        }
    }
}

fn map(file: &File, range: &Range<u64>) -> io::Result<Mapped> {
    if fstatfs(file)?.f_type.cast_unsigned() as u64 == HUGETLBFS {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "hugetlbfs has pages that can't be replaced one by one",
        ));
    }
    Mapped::new(file, range)
}
