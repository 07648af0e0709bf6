//! Who held which lock or GIL, and when: for the timeline's lanes.

use super::tasks::NONE;
use crate::time::NEVER;

/// A task that held something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holding {
    pub(crate) what: Held,
    /// Its id: its place can be another's before it is asked.
    pub(crate) task: u32,
    pub(crate) from: u64,
    /// [`NEVER`] while it does.
    pub(crate) to: u64,
}

/// What was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Lock(u32),
    Gil(u32),
}

/// All that was held, in order of the beginning; at most `most` entries.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) list: Vec<Holding>,
    /// Where in the list that stands which is held now, by lock and by GIL.
    locks: Vec<u32>,
    gils: Vec<u32>,
    most: usize,
    pub(crate) truncated: bool,
}

impl Holdings {
    pub(crate) fn new(most: u64) -> Self {
        let most = most.min(NONE.into()) as usize;
        Self { list: Vec::new(), locks: Vec::new(), gils: Vec::new(), most, truncated: false }
    }

    fn open(&mut self, what: Held) -> &mut u32 {
        let (list, number) = match what {
            Held::Lock(number) => (&mut self.locks, number as usize),
            Held::Gil(number) => (&mut self.gils, number as usize),
        };
        if list.len() <= number {
            list.resize(number + 1, NONE);
        }
        &mut list[number]
    }

    /// The task with this id has it from now on.
    pub(crate) fn begin(&mut self, what: Held, task: u32, now: u64) {
        if self.list.len() >= self.most {
            self.truncated = true;
            return;
        }
        *self.open(what) = self.list.len() as u32;
        self.list.push(Holding { what, task, from: now, to: NEVER });
    }

    /// It is free.
    pub(crate) fn end(&mut self, what: Held, now: u64) {
        let open = std::mem::replace(self.open(what), NONE);
        if let Some(holding) = self.list.get_mut(open as usize) {
            holding.to = now;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Holding>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holding_ends_where_it_began_however_many_came_between() {
        let mut holdings = Holdings::new(3);
        holdings.begin(Held::Lock(0), 7, 1);
        holdings.begin(Held::Lock(5), 8, 2);
        holdings.end(Held::Lock(5), 3);
        holdings.begin(Held::Gil(0), 8, 4);
        holdings.begin(Held::Lock(5), 9, 5);
        assert!(holdings.truncated, "there was room for three");
        holdings.end(Held::Lock(5), 6);
        holdings.end(Held::Lock(0), 9);
        let ends: Vec<u64> = holdings.list.iter().map(|holding| holding.to).collect();
        assert_eq!(ends, [9, 3, NEVER]);
    }
}
