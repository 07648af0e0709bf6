//! Many small reads and one look at whether all was there.

use std::cell::RefCell;

use super::quick::Unasked;
use super::{Bytes, FileView, ViewError};

/// Small reads of which nobody knows yet whether they are worth anything: see [`FileView::glance`].
#[derive(Debug)]
pub struct Glance<'a> {
    unasked: Unasked<'a>,
    view: &'a FileView,
    /// The first thing that went wrong, where it is known at once. Elsewhere, so that the compiler knows the rest not to change.
    failed: &'a RefCell<Option<ViewError>>,
}

impl FileView {
    /// Lets `work` read many small pieces, and looks once, when it is done, whether all of them were there. For look-ups in tables and
    /// trees: the pieces cost what loads from a raw map cost, and the guard a nanosecond for all of them.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("data");
    /// # std::fs::write(&path, (0..100_000_u64).flat_map(u64::to_le_bytes).collect::<Vec<u8>>())?;
    /// let view = mmap_demo::FileView::open(&path)?; // sorted numbers, 8 bytes each
    /// let place = view.glance(|glance| {
    ///     let (mut from, mut to) = (0, view.len() / 8);
    ///     while from < to {
    ///         let middle = u64::midpoint(from, to);
    ///         if u64::from_le_bytes(glance.get(middle * 8)) < 70_000 { from = middle + 1 } else { to = middle }
    ///     }
    ///     from
    /// })?;
    /// assert_eq!(place, 70_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// When the file is cut meanwhile, `work` reads zeros and goes on with them. So it has to end whatever it reads, and to do nothing that
    /// can't be undone: its result is thrown away then.
    ///
    /// # Errors
    /// When a piece was not all there, be it that the file was cut or that `work` asked for what lies behind the end.
    #[inline]
    pub fn glance<T>(&self, work: impl FnOnce(&Glance<'_>) -> T) -> Result<T, ViewError> {
        let failed = RefCell::new(None);
        if let Bytes::Mapped(_) = self.backing.bytes() {
            crate::sigbus::unblocked();
        }
        let result = work(&Glance { unasked: self.backing.unasked(), view: self, failed: &failed });
        if let Bytes::Mapped(mapped) = self.backing.bytes()
            && !mapped.is_whole()
        {
            return Err(self.what_was_lost(mapped));
        }
        failed.into_inner().map_or(Ok(result), Err)
    }
}

impl Glance<'_> {
    /// The `N` bytes at `offset`, or zeros, and then the whole glance is an error.
    #[inline]
    pub fn get<const N: usize>(&self, offset: u64) -> [u8; N] {
        // Fewer bytes than eight are loaded as eight: not across the end of a page, which may be the last that is there.
        if N <= 8
            && (N == 8 || self.unasked.is_in_page(offset))
            && let Some(word) = self.unasked.word(offset)
            && let Some((bytes, _)) = word.to_ne_bytes().split_first_chunk()
        {
            return *bytes;
        }
        self.get_with_care(offset)
    }

    /// What is longer, not mapped, or near the end.
    #[inline(never)]
    fn get_with_care<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut bytes = [0; N];
        if let Err(error) = self.view.read_exact_at(&mut bytes, offset) {
            self.failed.borrow_mut().get_or_insert(error);
            return [0; N];
        }
        bytes
    }
}
