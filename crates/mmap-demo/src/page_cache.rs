//! What of a file is in the page cache: `mincore` says, whoever has read it in.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr;

use memmap2::MmapOptions;

/// More is asked for in pieces of so many pages.
const AT_ONCE: usize = 1 << 16;

/// For each page of the file whether it is in the page cache. Nothing is read in by asking.
///
/// Of files that the caller neither owns nor may write to, the kernel says of all pages that they are (since Linux 5.2: others'
/// reading habits are nobody's business).
///
/// ```
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let cached = mmap_demo::cached_pages(&file)?;
/// assert!(cached.contains(&true), "we are running from it");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the file can't be mapped.
pub fn cached_pages(file: &File) -> io::Result<Vec<bool>> {
    if file.metadata()?.len() == 0 {
        return Ok(Vec::new());
    }
    // Mapped and never touched: a file that is cut meanwhile does no harm.
    let map = MmapOptions::new().map_raw_read_only(file)?;
    let start = map.as_ptr() as u64;
    let mut answer = Vec::with_capacity(map.len().div_ceil(rustix::param::page_size()));
    ask(&(start..start + map.len() as u64), |states| answer.extend(states.iter().map(|&state| is_cached(state))))?;
    Ok(answer)
}

/// Bytes of `length` of a file from `offset` on, whole pages, that are in the page cache.
pub(crate) fn of_part(file: &File, offset: u64, length: u64) -> io::Result<u64> {
    let map = MmapOptions::new().offset(offset).len(length as usize).map_raw_read_only(file)?;
    let start = map.as_ptr() as u64;
    let mut cached = 0;
    ask(&(start..start + length), |states| cached += states.iter().filter(|&&state| is_cached(state)).count())?;
    Ok((cached * rustix::param::page_size()) as u64)
}

/// The other bits are the kernel's.
fn is_cached(state: u8) -> bool {
    state & 1 == 1
}

/// Hands on a byte for each page of the range, many at a time.
fn ask(range: &Range<u64>, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let page = rustix::param::page_size();
    let (begin, length) = (range.start as usize, (range.end - range.start) as usize);
    let mut states = vec![0_u8; AT_ONCE.min(length.div_ceil(page))];
    for at in (0..length).step_by(AT_ONCE * page) {
        let part = (length - at).min(AT_ONCE * page);
        let start = ptr::without_provenance_mut(begin + at);
        // SAFETY: it reads no memory of ours, but page tables: addresses that are not mapped are an error. There is a byte in
        // `states` for each page of the part.
        if unsafe { libc::mincore(start, part, states.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        each(&states[..part.div_ceil(page)]);
    }
    Ok(())
}
