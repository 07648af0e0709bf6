//! The mapping behind a view, and the only places where its bytes are read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};

use super::{Bytes, FileView};
use crate::registry::Registration;
use crate::sigbus;

/// The flag is looked at after so many bytes: a read of a gigabyte past a file's new end costs 256 faults, not 262,144.
const CHUNK: usize = 1 << 20;

/// A part of a file, mapped for reading, whose faults are caught.
///
/// The order of the fields is the order in which they are dropped: the handler has to forget the range before it is unmapped.
#[derive(Debug)]
pub(super) struct Mapped {
    registration: Registration,
    map: MmapRaw,
}

impl Mapped {
    /// Maps `range` of the file, which must not be empty.
    pub(super) fn new(file: &File, range: &Range<u64>) -> io::Result<Self> {
        sigbus::install()?;
        let length = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let map = MmapOptions::new().offset(range.start).len(length).map_raw_read_only(file)?;
        let page = rustix::param::page_size();
        let start = map.as_ptr() as usize;
        let end = (start + length).next_multiple_of(page);
        // What the kernel says of a mapping too many.
        let too_many = || io::Error::from_raw_os_error(libc::ENOMEM);
        let registration = Registration::new(start / page * page..end).ok_or_else(too_many)?;
        Ok(Self { registration, map })
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Where it begins. So many bytes from there on are mapped for reading as long as this lives, and watched over.
    pub(super) fn as_ptr(&self) -> *const u8 {
        self.map.as_ptr()
    }

    /// The number that is [`registry::NONE`](crate::registry::NONE) as long as nothing is lost.
    pub(super) fn flag(&self) -> &'static AtomicUsize {
        self.registration.flag()
    }

    /// Whether all that was read up to now was there.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        // The flag is raised before the zeros are mapped: whoever has copied zeros sees it.
        fence(Ordering::Acquire);
        self.registration.is_whole()
    }

    /// Whether so many bytes from `offset` on are within it.
    #[inline]
    pub(super) fn has(&self, length: usize, offset: u64) -> bool {
        let all = self.map.len() as u64;
        offset <= all && length as u64 <= all - offset
    }

    /// Where the first page is that could not be had, in bytes from the beginning.
    pub(super) fn lost(&self) -> Option<usize> {
        Some(self.registration.lost()?.saturating_sub(self.map.as_ptr() as usize))
    }

    /// Copies from `offset` on, and tells whether all of it was there. If not, the buffer has zeros where it was not.
    ///
    /// # Panics
    /// When the buffer reaches beyond the end.
    #[inline]
    pub(super) fn copy_to(&self, buffer: &mut [u8], offset: usize) -> bool {
        assert!(self.has(buffer.len(), offset as u64), "it reads within its range");
        sigbus::unblocked();
        if buffer.len() > CHUNK {
            return self.copy_in_chunks(buffer, offset);
        }
        // SAFETY: `offset + buffer.len()` lies within the mapping, as was just checked, and the buffer is our caller's alone, so they don't
        // overlap. Each page can be read: as the file's, or as the zeros that the handler puts there. Others may write to the file
        // meanwhile. No reference to the mapped bytes is made, and none of them is looked at twice, so that whatever mix of old and
        // new is copied, the buffer holds some bytes, which stay what they are. That the compiler takes the copy for one of ordinary
        // memory, and might repeat it later, is what the fence below is for: it has to assume that the source has changed since.
        unsafe { ptr::copy_nonoverlapping(self.map.as_ptr().add(offset), buffer.as_mut_ptr(), buffer.len()) };
        self.is_whole()
    }

    #[inline(never)]
    fn copy_in_chunks(&self, buffer: &mut [u8], offset: usize) -> bool {
        let mut at = offset;
        buffer.chunks_mut(CHUNK).all(|chunk| {
            at += chunk.len();
            self.copy_to(chunk, at - chunk.len())
        })
    }

    /// Tells the kernel what is to come for a part of it.
    pub(super) fn advise(&self, advice: rustix::mm::Advice, range: Range<usize>) -> io::Result<()> {
        let page = rustix::param::page_size();
        let start = self.map.as_ptr() as usize + range.start;
        let (begin, end) = (start / page * page, start + range.len());
        let begin_pointer = ptr::without_provenance_mut(begin);
        // SAFETY: the pages are the mapping's. It is shared and read-only: none of the advices that `Advice` can stand for changes what is
        // read from it; a page that is dropped is read from the file again.
        Ok(unsafe { rustix::mm::madvise(begin_pointer, end - begin, advice) }?)
    }
}

impl FileView {
    /// All bytes of the view, borrowed, and nothing copied; `None` where each read is a call ([`Method::Read`](super::Method::Read)).
    ///
    /// When a part turns out to be missing, zeros take its place, and from then on [`is_whole`](Self::is_whole) is false.
    ///
    /// # Safety
    /// As long as the bytes are borrowed nobody, in whatever process, may write to the file or cut it, and its disk must give no error: the
    /// bytes would change under a `&[u8]`, which is undefined behaviour. (A view that was [loaded](super::Method::Load) asks for nothing.)
    pub unsafe fn bytes(&self) -> Option<&[u8]> {
        match self.backing.bytes() {
            Bytes::Loaded(bytes) => Some(bytes),
            Bytes::InFile => None,
            Bytes::Mapped(mapped) => {
                sigbus::unblocked();
                // SAFETY: the mapping has that many bytes and lives as long as `self`; that they don't change is our caller's promise.
                Some(unsafe { slice::from_raw_parts(mapped.map.as_ptr(), mapped.len()) })
            }
        }
    }
}
