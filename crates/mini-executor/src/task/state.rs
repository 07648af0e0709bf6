//! A task's state: two words, one for the thread that the task lives on and one for all others.
//!
//! A task of a [`LocalExecutor`](crate::LocalExecutor) is polled by one thread, its owner, and nearly everything that happens to it
//! happens there: it yields, a sibling wakes it, its handle is awaited. An atomic read-modify-write costs 5 ns even when nobody
//! contends, and a yield would need three. So the owner keeps a word of its own, written plainly, and all others write to a second
//! one, atomically. The two meet once, when the task is done: the owner adds what it counted to the shared word
//! and from then on everybody, the owner too, counts there. (Counting this way is known as *biased reference counting*: Choi,
//! Shull, Torrellas, PACT 2018.)
//!
//! References are held by the executor until the task is done, by the [`Task`](super::Task) handle, and by every waker.
//! Either count alone may be negative: a waker cloned here and dropped there takes from the other word. Their sum is what counts.

/// The owner's word: flags in the low byte, the signed count of references above it.
pub(super) mod local {
    /// The task is to be polled: it stands in the run queue or, if [`RUNNING`], will be put there after the poll. Set by whoever
    /// wakes it on the owner's thread, cleared just before it is polled. A second wake finds it set and has nothing to do.
    pub(in crate::task) const QUEUED: u32 = 1;

    /// The task is being polled, further up this very stack. Set and cleared around the poll. A wake then only leaves a note, in
    /// [`QUEUED`], so that a task never stands in the queue while it runs and a nested tick cannot poll it a second time.
    pub(in crate::task) const RUNNING: u32 = 1 << 1;

    /// There is no future any more: it came to its end, or panicked, or was dropped. Never cleared; nothing but [`OUTPUT`] changes
    /// in this word afterwards, and once [`MARKED`].
    pub(in crate::task) const DONE: u32 = 1 << 2;

    /// The future is to be dropped instead of being polled again. Set when the handle is dropped or cancelled.
    pub(in crate::task) const CLOSED: u32 = 1 << 3;

    /// A result lies where the future was. Set together with [`DONE`]; cleared by whoever takes it.
    pub(in crate::task) const OUTPUT: u32 = 1 << 4;

    /// The handle was dropped or detached on the owner's thread: nobody will come for the result.
    pub(in crate::task) const ABANDONED: u32 = 1 << 5;

    /// The list of all tasks has a [mark](crate::births) in front of this one. Set and cleared by whoever has the list, and so in a task
    /// without owner, too: there this word goes with the list's lock, as the links do, and holds nothing else.
    pub(in crate::task) const MARKED: u32 = 1 << 6;

    /// One reference.
    pub(in crate::task) const ONE: u32 = 1 << 8;

    /// The count in the word.
    pub(in crate::task) const fn count(word: u32) -> i32 {
        // The shift of a signed number keeps its sign.
        word.cast_signed() >> 8
    }
}

/// Everybody's word: flags in the low bits, the signed count of references above them.
pub(super) mod shared {
    /// The task is done, and the owner's count was added to this one: from here on the count is complete, and whoever takes it to
    /// nought frees the task. Set once, by the owner.
    pub(in crate::task) const DONE: u32 = 1;

    /// The task stands in the queue of wakes from other threads, or is about to. Set by the thread that woke it, which then pushes
    /// it; cleared by the owner when it comes out. While it is set the task is not freed, whatever the count.
    pub(in crate::task) const QUEUED: u32 = 1 << 1;

    /// Another thread asks for the task's end. Set together with [`QUEUED`].
    pub(in crate::task) const CLOSED: u32 = 1 << 2;

    /// The handle was dropped or detached on another thread.
    pub(in crate::task) const ABANDONED: u32 = 1 << 3;

    /// Another thread has awaited the handle. Never cleared: it tells the owner to take the careful way at the end.
    pub(in crate::task) const JOINED: u32 = 1 << 4;

    /// Another thread is writing its waker into the task's awaiter right now. Who finds the task done when it clears this flag takes
    /// the waker back, for the owner left it alone.
    pub(in crate::task) const JOINING: u32 = 1 << 5;

    /// One reference.
    pub(in crate::task) const ONE: u32 = 1 << 8;

    /// The count in the word.
    pub(in crate::task) const fn count(word: u32) -> i32 {
        word.cast_signed() >> 8
    }

    /// Whether nothing refers to the task any more. Means something once it is [`DONE`].
    pub(in crate::task) const fn is_unreferenced(word: u32) -> bool {
        count(word) == 0 && word & QUEUED == 0
    }
}

/// As many references as a word may count: far below what 24 bits hold, so that no race of clones runs over before it is noticed.
const MOST_REFERENCES: i32 = 1 << 22;

/// Ends the process if a count has run past [`MOST_REFERENCES`].
#[inline]
pub(super) fn assert_countable(count: i32) {
    if count > MOST_REFERENCES {
        // A panic could be caught, and the count would run over later.
        std::process::abort();
    }
}

/// As far from nought as the owner's count may get before it is added to the shared one. A task whose wakers are all cloned here and
/// dropped there has few references at any time, but counts one more here and one less there with each.
/// In a model a few, so that it happens.
pub(super) const MOST_HERE: i32 = if cfg!(loom) { 3 } else { 1 << 20 };
