//! Who waits, in the order they came: a queue of wakers that anybody can leave from the middle.
//!
//! A future that waits has a place here and keeps its [`Key`]. It leaves in one of two ways:
//!
//! 1. It is **called**: taken out of the queue, with a word that says why (the permit is yours, the channel was closed), and its waker
//!    goes to the caller, who wakes it once the lock is released. The place is kept until the future comes and reads the word. So what
//!    was handed over has an owner at every moment, even if the future never comes.
//! 2. It is **dropped**, and takes itself out. If it had been called before, it gets the word to hand on: that is all there is to
//!    being cancel-safe.
//!
//! The places lie in one vector, linked by their indices both ways: entering and leaving take constant time, and no memory once the
//! vector has grown to the most that ever waited at once. Links through the futures themselves would save the vector, but take
//! pinned futures and unsafe code.

use std::task::Waker;

/// No place: the end of a chain.
const NONE: u32 = u32::MAX;

/// A waiter's place in its list. Given up by [`WaitList::take_word`], when it gives a word, and by [`WaitList::remove`].
#[derive(Debug)]
pub(super) struct Key(u32);

/// See the module. `W` is what a waiter wants, `C` the word it is called with.
pub(super) struct WaitList<W, C> {
    places: Vec<Place<W, C>>,
    /// The queue's ends.
    first: u32,
    last: u32,
    /// The first of the free places, which are chained by `after`.
    free: u32,
}

struct Place<W, C> {
    before: u32,
    after: u32,
    content: Content<W, C>,
}

enum Content<W, C> {
    Free,
    Waiting { wants: W, waker: Waker },
    Called(C),
}

impl<W, C> WaitList<W, C> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), first: NONE, last: NONE, free: NONE }
    }

    /// Whether nobody waits to be called.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Enters at the end of the queue.
    pub(super) fn push(&mut self, wants: W, waker: Waker) -> Key {
        let place = Place { before: self.last, after: NONE, content: Content::Waiting { wants, waker } };
        let index = match self.free {
            NONE => {
                let index = u32::try_from(self.places.len()).ok().filter(|index| *index != NONE);
                self.places.push(place);
                index.expect("four billion futures wait for the same thing")
            }
            free => {
                self.free = std::mem::replace(&mut self.places[free as usize], place).after;
                free
            }
        };
        match self.last {
            NONE => self.first = index,
            last => self.places[last as usize].after = index,
        }
        self.last = index;
        Key(index)
    }

    /// What the first in the queue wants.
    pub(super) fn first(&self) -> Option<&W> {
        match &self.places.get(self.first as usize)?.content {
            Content::Waiting { wants, .. } => Some(wants),
            Content::Free | Content::Called(_) => unreachable!("only who waits is in the queue"),
        }
    }

    /// Calls the first in the queue. Its waker is to be woken outside the lock.
    #[inline]
    pub(super) fn call_first(&mut self, word: C) -> Option<Waker> {
        if self.is_empty() {
            return None;
        }
        let index = self.first;
        self.unlink(index);
        match std::mem::replace(&mut self.places[index as usize].content, Content::Called(word)) {
            Content::Waiting { waker, .. } => Some(waker),
            Content::Free | Content::Called(_) => unreachable!("only who waits is in the queue"),
        }
    }

    /// A waiter looks whether it was called. With the word it gives its place up. Without, it will be woken by `waker` from now on; the
    /// one it had before is to be dropped outside the lock.
    pub(super) fn take_word(&mut self, key: &mut Option<Key>, waker: &Waker) -> Result<C, Option<Waker>> {
        let index = key.as_ref().expect("a waiter has a place").0;
        match &mut self.places[index as usize].content {
            Content::Waiting { waker: present, .. } if present.will_wake(waker) => Err(None),
            Content::Waiting { waker: present, .. } => Err(Some(std::mem::replace(present, waker.clone()))),
            Content::Called(_) => {
                *key = None;
                match self.vacate(index) {
                    Content::Called(word) => Ok(word),
                    Content::Free | Content::Waiting { .. } => unreachable!("it was called a line above"),
                }
            }
            Content::Free => unreachable!("a key names a place that is taken"),
        }
    }

    /// A waiter leaves by itself. If it had been called, with the word it has not read; else with its waker, which is to be dropped
    /// outside the lock.
    pub(super) fn remove(&mut self, key: &Key) -> Result<C, Waker> {
        let index = key.0;
        if let Content::Waiting { .. } = self.places[index as usize].content {
            self.unlink(index);
        }
        match self.vacate(index) {
            Content::Waiting { waker, .. } => Err(waker),
            Content::Called(word) => Ok(word),
            Content::Free => unreachable!("a key names a place that is taken"),
        }
    }

    /// Takes a place out of the queue.
    fn unlink(&mut self, index: u32) {
        let Place { before, after, .. } = self.places[index as usize];
        match before {
            NONE => self.first = after,
            before => self.places[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.places[after as usize].before = before,
        }
    }

    /// Frees a place that is not in the queue.
    fn vacate(&mut self, index: u32) -> Content<W, C> {
        let place = &mut self.places[index as usize];
        place.after = std::mem::replace(&mut self.free, index);
        std::mem::replace(&mut place.content, Content::Free)
    }
}

/// Wakers of those that were called, to be woken once the lock is released. One needs no memory.
#[must_use = "whoever was called has to be woken"]
#[derive(Default)]
pub(super) struct Calls {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Calls {
    pub(super) fn add(&mut self, waker: Option<Waker>) {
        match (&self.first, waker) {
            (None, waker) => self.first = waker,
            (Some(_), waker) => self.others.extend(waker),
        }
    }

    pub(super) fn wake(self) {
        for waker in self.first.into_iter().chain(self.others) {
            waker.wake();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn waiting(count: u32) -> (WaitList<u32, char>, Vec<Option<Key>>) {
        let mut list = WaitList::new();
        let keys = (0..count).map(|number| Some(list.push(number, Waker::noop().clone()))).collect();
        (list, keys)
    }

    /// Calls everybody, and tells in which order.
    fn call_all(list: &mut WaitList<u32, char>) -> Vec<u32> {
        let mut order = Vec::new();
        while let Some(number) = list.first().copied() {
            order.push(number);
            assert!(list.call_first('x').is_some());
        }
        assert!(list.is_empty() && list.call_first('x').is_none());
        order
    }

    #[test]
    fn waiters_are_called_in_the_order_they_came() {
        assert_eq!(call_all(&mut waiting(4).0), [0, 1, 2, 3]);
    }

    #[test]
    fn the_first_one_in_the_middle_and_the_last_may_leave() {
        for (leaving, rest) in [(0, [1, 2, 3]), (1, [0, 2, 3]), (2, [0, 1, 3]), (3, [0, 1, 2])] {
            let (mut list, keys) = waiting(4);
            assert!(list.remove(keys[leaving].as_ref().unwrap()).is_err());
            assert_eq!(call_all(&mut list), rest);
        }
    }

    #[test]
    fn a_word_waits_for_whoever_was_called() {
        let (mut list, mut keys) = waiting(3);
        let _waker = list.call_first('a');
        let _waker = list.call_first('b');
        assert!(list.take_word(&mut keys[2], Waker::noop()).is_err());
        assert!(matches!(list.take_word(&mut keys[1], Waker::noop()), Ok('b')));
        assert!(keys[1].is_none());
        assert!(matches!(list.remove(keys[0].as_ref().unwrap()), Ok('a')));
        assert_eq!(call_all(&mut list), [2]);
    }

    #[test]
    fn places_are_used_again() {
        let (mut list, keys) = waiting(3);
        for key in keys.into_iter().flatten() {
            assert!(list.remove(&key).is_err());
        }
        for number in 10..13 {
            list.push(number, Waker::noop().clone());
        }
        assert_eq!(list.places.len(), 3);
        assert_eq!(call_all(&mut list), [10, 11, 12]);
    }
}
