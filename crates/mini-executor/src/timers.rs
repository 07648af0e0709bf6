//! Timers: a pairing heap of deadlines.
//!
//! Nearly all timers are timeouts that never fire: they are armed, and dropped soon after. Both take a few instructions here, however many
//! others there are: a new timer is compared with the earliest and hung below one of the two, and a timer with nothing hung below it is cut
//! off. The work of ordering (Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", Algorithmica 1986) is put off until timers
//! fire, O(log n) each, amortized. A timing wheel would do that in constant time, at the price of a fixed granularity; here a timer
//! that is to be precise and one that may be late live in one heap, and the late one is only given a rounder deadline.
//!
//! Nodes are kept in one vector and linked by their numbers, so that nothing here is `unsafe`. A timer takes 40 bytes of it, and its place is
//! used again. In the heap of 3, 7, 4, 9 and 6:
//!
//! ```text
//!        3            the root: none is due before it
//!      / | \
//!     7  4  9         below 3, in no order        child of 3: 7.  after of 7: 4, of 4: 9
//!        |                                        before of 7: 3 (it is the first), of 4: 7, of 9: 4
//!        6            below 4                     child of 4: 6.  before of 6: 4
//! ```
//!
//! `before` leads to a sibling or to the one they hang below, so that any timer can be cut off where it hangs, without a search.

use std::task::Waker;

/// A timer's number, as long as it is armed or has fired and was not yet let go.
pub(crate) type Key = u32;

const NONE: Key = Key::MAX;
/// In `before`: the timer has fired.
const FIRED: Key = Key::MAX - 1;

#[derive(Debug)]
struct Node {
    /// When it is due, in nanoseconds of [`clock::now`](crate::clock::now).
    due: u64,
    /// Whether a millisecond matters.
    is_precise: bool,
    waker: Option<Waker>,
    /// The first of those hung below it; in the list of free places the next.
    child: Key,
    /// The next of those hung below the same.
    after: Key,
    /// The one in front of it there, or for the first the one they hang below.
    before: Key,
}

/// All timers of a driver.
#[derive(Debug)]
pub(crate) struct Timers {
    nodes: Vec<Node>,
    free: Key,
    /// The earliest.
    root: Key,
    /// How many are armed for which a millisecond matters.
    precise: usize,
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new(), free: NONE, root: NONE, precise: 0 }
    }

    /// When the earliest is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        (self.root != NONE).then(|| self.node(self.root).due)
    }

    /// Whether there is one for which a millisecond matters.
    pub(crate) fn has_precise(&self) -> bool {
        self.precise > 0
    }

    /// Adds a timer; tells whether it is the earliest now.
    pub(crate) fn arm(&mut self, due: u64, is_precise: bool, waker: Waker) -> (Key, bool) {
        self.precise += usize::from(is_precise);
        let node = Node { due, is_precise, waker: Some(waker), child: NONE, after: NONE, before: NONE };
        let key = self.free;
        let key = if key == NONE {
            self.nodes.push(node);
            let key = (self.nodes.len() - 1) as Key;
            assert!(key < FIRED, "four billion timers");
            key
        } else {
            self.free = self.node(key).child;
            *self.node_mut(key) = node;
            key
        };
        self.root = self.meld(self.root, key);
        (key, self.root == key)
    }

    /// Whether a timer has fired; `None` for one that has not and would wake another than `waker`.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Option<bool> {
        let node = self.node(key);
        if node.before == FIRED {
            return Some(true);
        }
        node.waker.as_ref().is_some_and(|former| former.will_wake(waker)).then_some(false)
    }

    /// Has a timer wake `waker`, unless it has fired. Gives back the waker that is not needed.
    pub(crate) fn wake_instead(&mut self, key: Key, waker: Waker) -> (bool, Option<Waker>) {
        let node = self.node_mut(key);
        if node.before == FIRED { (true, Some(waker)) } else { (false, node.waker.replace(waker)) }
    }

    /// Lets a timer go, be it armed or fired. Its waker is given back, to be dropped without a lock.
    pub(crate) fn disarm(&mut self, key: Key) -> Option<Waker> {
        if self.node(key).before != FIRED {
            self.precise -= usize::from(self.node(key).is_precise);
            self.cut(key);
        }
        let free = self.free;
        self.free = key;
        let node = self.node_mut(key);
        node.child = free;
        node.waker.take()
    }

    /// Fires all timers that are due at `now`: their wakers go into `wakers`.
    pub(crate) fn fire(&mut self, now: u64, wakers: &mut Vec<Waker>) {
        while self.root != NONE && self.node(self.root).due <= now {
            let root = self.root;
            let child = self.node(root).child;
            self.root = self.meld_all(child);
            let node = self.node_mut(root);
            // It keeps its place until its `Sleep` lets it go, which has the number and will ask.
            node.before = FIRED;
            let is_precise = node.is_precise;
            wakers.extend(node.waker.take());
            self.precise -= usize::from(is_precise);
        }
    }

    fn node(&self, key: Key) -> &Node {
        &self.nodes[key as usize]
    }

    fn node_mut(&mut self, key: Key) -> &mut Node {
        &mut self.nodes[key as usize]
    }

    /// Two heaps become one: the later root is hung below the earlier.
    fn meld(&mut self, first: Key, second: Key) -> Key {
        if first == NONE {
            return second;
        }
        if second == NONE {
            return first;
        }
        let is_in_order = self.node(first).due <= self.node(second).due;
        let (root, below) = if is_in_order { (first, second) } else { (second, first) };
        let child = std::mem::replace(&mut self.node_mut(root).child, below);
        if child != NONE {
            self.node_mut(child).before = below;
        }
        let below = self.node_mut(below);
        below.after = child;
        below.before = root;
        root
    }

    /// A list of siblings becomes one heap: neighbours are melded from the left, then all of these from the right. It is this
    /// order that makes the heap fast. Were they melded one after the other with the first, n siblings would end up below one again, and
    /// the next to fire would have as much work to do; in pairs half of them are off that list for good.
    fn meld_all(&mut self, mut first: Key) -> Key {
        let mut melded = NONE;
        while first != NONE {
            let second = self.detach(first);
            let rest = if second == NONE { NONE } else { self.detach(second) };
            let pair = self.meld(first, second);
            self.node_mut(pair).after = melded;
            melded = pair;
            first = rest;
        }
        let mut root = NONE;
        while melded != NONE {
            let next = self.detach(melded);
            root = self.meld(root, melded);
            melded = next;
        }
        root
    }

    /// Takes a node out of its list from the left; the one after it.
    fn detach(&mut self, key: Key) -> Key {
        let node = self.node_mut(key);
        node.before = NONE;
        std::mem::replace(&mut node.after, NONE)
    }

    /// Takes a timer out of the heap, wherever it hangs.
    fn cut(&mut self, key: Key) {
        let Node { child, after, before, .. } = *self.node(key);
        // Nearly always nothing hangs below it: it was armed a moment ago, and the work is a few stores.
        let below = self.meld_all(child);
        if before == NONE {
            self.root = below;
            return;
        }
        if self.node(before).child == key {
            self.node_mut(before).child = after;
        } else {
            self.node_mut(before).after = after;
        }
        if after != NONE {
            self.node_mut(after).before = before;
        }
        self.root = self.meld(self.root, below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next of a fixed stream of numbers (a 64-bit linear congruential generator, Knuth's constants).
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    #[test]
    fn timers_fire_in_order_and_once_whatever_is_disarmed_meanwhile() {
        let mut state = 7;
        for round in 0..200 {
            let mut timers = Timers::new();
            let mut model: Vec<(u64, Key)> = Vec::new();
            let mut now = 0;
            for _ in 0..300 {
                match next(&mut state) % 4 {
                    0 | 1 => {
                        let due = now + next(&mut state) % 1_000;
                        let (key, is_first) = timers.arm(due, due & 1 == 0, Waker::noop().clone());
                        assert_eq!(is_first, model.iter().all(|&(other, _)| due < other), "round {round}");
                        model.push((due, key));
                    }
                    2 if !model.is_empty() => {
                        let at = next(&mut state) as usize % model.len();
                        let (_, key) = model.swap_remove(at);
                        assert_ne!(timers.poll(key, Waker::noop()), Some(true));
                        timers.disarm(key);
                    }
                    _ => {
                        now += next(&mut state) % 100;
                        let mut wakers = Vec::new();
                        timers.fire(now, &mut wakers);
                        let (due, later): (Vec<_>, Vec<_>) = model.into_iter().partition(|&(due, _)| due <= now);
                        assert_eq!(wakers.len(), due.len());
                        for (_, key) in due {
                            assert_eq!(timers.poll(key, Waker::noop()), Some(true));
                            timers.disarm(key);
                        }
                        model = later;
                    }
                }
                assert_eq!(timers.next_due(), model.iter().map(|&(due, _)| due).min());
                assert_eq!(timers.precise, model.iter().filter(|&&(due, _)| due & 1 == 0).count());
            }
        }
    }

    #[test]
    fn places_are_used_again() {
        let mut timers = Timers::new();
        for due in 0..1_000 {
            let (key, _) = timers.arm(due, true, Waker::noop().clone());
            timers.disarm(key);
        }
        assert_eq!(timers.nodes.len(), 1);
    }
}
