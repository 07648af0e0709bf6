//! Files of our own to be measured on: in the page cache, or surely not.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use mmap_demo::cached_pages;
use rustix::fs::{Advice, Mode, OFlags, fadvise};
use rustix::mm::MapFlags;

use super::memory::Mapping;
use super::{Failure, Trying};

/// Byte `index` of every file: none is zero, and pages differ from one another, for 251 doesn't divide their size.
pub(super) fn byte(index: usize) -> u8 {
    (index % (1 << 20) % 251) as u8 + 1
}

/// A file of our own, in the page cache, that has no name.
pub(super) fn warm(length: usize) -> Result<File, Failure> {
    let mut path = std::env::temp_dir();
    path.push(format!("mmap-demo-{}-{length}", std::process::id()));
    let file =
        File::options().read(true).write(true).create_new(true).open(&path).trying("to make a temporary file")?;
    std::fs::remove_file(&path).trying("to remove a temporary file's name")?;
    let piece: Vec<u8> = (0..1 << 20).map(byte).collect();
    for at in (0..length).step_by(piece.len()) {
        file.write_all_at(&piece[..piece.len().min(length - at)], at as u64).trying("to fill a temporary file")?;
    }
    Ok(file)
}

/// Takes a file out of the page cache, and looks whether it is.
///
/// # Errors
/// Where it can't be had: what lies in memory alone (tmpfs) is never cold.
pub(super) fn make_cold(file: &File) -> Result<(), Failure> {
    // Only what is on the disk can be dropped.
    file.sync_data().trying("to have a file on the disk")?;
    fadvise(file, 0, None, Advice::DontNeed).trying("to drop a file from the page cache")?;
    let pages = cached_pages(file).trying("to ask what is cached")?;
    let cached = pages.iter().filter(|&&cached| cached).count();
    // Somebody may be reading it: nobody is.
    if cached > 0 {
        let why = format!("{cached} of the {} pages of a temporary file stay in memory: it is on no disk", pages.len());
        return Err(Failure::File(why));
    }
    Ok(())
}

/// The same file once more, past the page cache, and memory for so many bytes of it: the first ones, which were read that way.
///
/// # Errors
/// Where the file system has no such way.
pub(super) fn direct(file: &File, piece: usize) -> Result<(File, Mapping), Failure> {
    // Its name is gone; the kernel still knows the way to it.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let direct =
        rustix::fs::open(path, flags, Mode::empty()).trying("to open a file past the page cache (O_DIRECT)")?;
    let direct: File = direct.into();
    let buffer = Mapping::anonymous(piece, MapFlags::POPULATE).trying("to map memory")?;
    buffer.fill(&direct, 0, piece).trying("to read past the page cache (O_DIRECT)")?;
    Ok((direct, buffer))
}
