//! How old tasks are, without a word of memory in any of them.
//!
//! The list of all tasks of an executor is in the order in which they were spawned. So it is enough to know the time at some points of the
//! list: a [`Mark`] stands in front of a task, and says that this task and all behind it were born by some time, and all in front of it since
//! some time. A task's birth lies between what the marks on both sides of it say.
//!
//! To look at the clock costs as much as half of a spawn. It is done at every spawn where they come seldom, and at every 257th where they come
//! one after the other: how many go without the next look depends on how long the last ones took. A thread that goes to sleep ends that, and
//! notes the time ([`fall_asleep`]): what was spawned before is older than its sleep, and the next spawn looks at the clock. That is
//! needed once in many sleeps, for those without a spawn before them note nothing.
//!
//! Marks that are not worth their room are thinned out: those without which ages are still known to an eighth of themselves, or to 100 us.
//! So there are fewer than 500 of them, however many tasks there are, and few in most programs.

use std::cell::{Cell, RefCell};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::clock;

/// When a thread last went to sleep after there had been spawns. Changes only for those who look whether it changed; [`FALLING`] for the
/// moment before it is known.
static ASLEEP: AtomicU64 = AtomicU64::new(0);
const FALLING: u64 = u64::MAX;
/// Whether there have been spawns whose age would be told better by the next sleep.
static IS_WANTED: AtomicU64 = AtomicU64::new(0);

/// This thread goes to sleep.
#[inline]
pub(crate) fn fall_asleep() {
    if IS_WANTED.load(Relaxed) != 0 {
        note_sleep();
    }
}

#[cold]
fn note_sleep() {
    IS_WANTED.store(0, Relaxed);
    // In this order: who still sees the former time adds a task before this one.
    if ASLEEP.swap(FALLING, SeqCst) == FALLING {
        // Another thread is at it, and reads the clock after this.
        return;
    }
    ASLEEP.store(clock::real(), Relaxed);
}

/// Spawns that may go without a look at the clock, at most.
const MOST_CREDIT: u32 = 256;
/// Spawns come one after the other if those since the last look at the clock took no longer, in nanoseconds.
const CLOSE: u64 = 100_000;
/// As exactly as times have to be known, in nanoseconds.
const RESOLUTION: u64 = 100_000;
/// And this part of the age.
const FRACTION: u64 = 8;
/// Marks before they are thinned out.
const MANY: usize = 128;

/// A task, as its list has it.
pub(crate) trait Member: Copy + PartialEq {
    /// Notes whether a mark stands in front of it.
    fn set_marked(self, is_marked: bool);
    /// Whether one does.
    fn is_marked(self) -> bool;
}

/// See the module.
#[derive(Debug, Clone, Copy)]
struct Mark<T> {
    /// The task behind it. `None` at the end of the list.
    at: Option<T>,
    /// That one and those behind it were born no later.
    by: u64,
    /// Those in front of it were born no earlier.
    since: u64,
}

/// What is known of the births in a list. The list's first task is the youngest.
pub(crate) struct Births<T> {
    /// The value of [`ASLEEP`] at the last look at the clock.
    seen: Cell<u64>,
    /// Spawns that may go without the next.
    credit: Cell<u32>,
    /// What it was in the beginning.
    granted: Cell<u32>,
    /// From the end of the list to its beginning: the youngest last.
    marks: RefCell<Vec<Mark<T>>>,
    /// As many as there may be before they are looked through.
    most: Cell<usize>,
}

impl<T> Default for Births<T> {
    fn default() -> Self {
        Self {
            seen: Cell::new(0),
            credit: Cell::new(0),
            granted: Cell::new(0),
            marks: RefCell::default(),
            most: Cell::new(MANY),
        }
    }
}

impl<T: Member> Births<T> {
    /// A task is about to be put in front of `first`.
    #[inline]
    pub(crate) fn add(&self, first: Option<T>) {
        let asleep = ASLEEP.load(Relaxed);
        let credit = self.credit.get();
        if asleep == self.seen.get() && credit > 0 {
            self.credit.set(credit - 1);
        } else {
            self.look(first, asleep);
        }
    }

    #[cold]
    #[inline(never)]
    fn look(&self, first: Option<T>, asleep: u64) {
        self.mark(first, clock::real(), asleep);
        if IS_WANTED.load(Relaxed) == 0 {
            IS_WANTED.store(1, Relaxed);
        }
    }

    /// A mark in front of `first`, at a time.
    fn mark(&self, first: Option<T>, now: u64, asleep: u64) {
        let mut marks = self.marks.borrow_mut();
        let last = marks.last().map_or(0, |mark| mark.since);
        let is_close = now.saturating_sub(last) < CLOSE && self.seen.get() == asleep && !marks.is_empty();
        let granted = if is_close { (2 * self.granted.get()).clamp(1, MOST_CREDIT) } else { 0 };
        self.granted.set(granted);
        self.credit.set(granted);
        let by = bound(self.seen.replace(asleep), asleep, last, now);
        if let Some(mark) = marks.last_mut()
            && mark.at == first
        {
            // All that were added since have gone.
            mark.since = now;
            return;
        }
        // The last but one, if the times on its both sides are known well enough without it.
        if let [.., before, between] = marks[..]
            && now.saturating_sub(before.since) <= RESOLUTION
        {
            forget(between);
            marks.pop();
        }
        marks.push(Mark { at: first, by, since: now });
        if let Some(first) = first {
            first.set_marked(true);
        }
        if marks.len() >= self.most.get() {
            thin_out(&mut marks, now);
            self.most.set((2 * marks.len()).max(MANY));
        }
    }

    /// A task leaves the list; `after` is the one behind it.
    #[inline]
    pub(crate) fn remove(&self, task: T, after: Option<T>) {
        if task.is_marked() {
            self.move_mark(task, after);
        }
    }

    #[cold]
    #[inline(never)]
    fn move_mark(&self, task: T, after: Option<T>) {
        let mut marks = self.marks.borrow_mut();
        let Some(index) = marks.iter().rposition(|mark| mark.at == Some(task)) else { return };
        task.set_marked(false);
        if let Some(before) = index.checked_sub(1)
            && marks[before].at == after
        {
            // Two in one place become one, of the older time for those behind it and the younger for those in front.
            marks[before].since = marks[index].since;
            marks.remove(index);
        } else {
            marks[index].at = after;
            if let Some(after) = after {
                after.set_marked(true);
            }
        }
    }

    /// Between which times, in nanoseconds of the process's clock, the tasks of the list were born. To be asked for each in turn, from the
    /// first on.
    pub(crate) fn times(&self) -> impl FnMut(T) -> (u64, u64) {
        self.times_at(clock::real(), ASLEEP.load(Relaxed))
    }

    fn times_at(&self, now: u64, asleep: u64) -> impl FnMut(T) -> (u64, u64) + use<T> {
        let mut marks = self.marks.borrow().clone();
        let mut since = marks.last().map_or(0, |mark| mark.since);
        let mut by = bound(self.seen.get(), asleep, since, now);
        move |task| {
            while let Some(mark) = marks.pop_if(|mark| mark.at == Some(task)) {
                by = mark.by;
                since = marks.last().map_or(0, |mark| mark.since);
            }
            (since, by)
        }
    }
}

/// By when the tasks in front of a mark of the time `since` were born: by the first sleep after it, if one was noted.
fn bound(seen: u64, asleep: u64, since: u64, now: u64) -> u64 {
    let is_noted = asleep != seen && asleep >= since;
    if is_noted { asleep.min(now) } else { now }
}

fn forget<T: Member>(mark: Mark<T>) {
    if let Some(task) = mark.at {
        task.set_marked(false);
    }
}

/// Forgets every mark whose neighbours are so close to one another, for their age, that it tells nothing more.
fn thin_out<T: Member>(marks: &mut Vec<Mark<T>>, now: u64) {
    let mut kept = 0;
    for index in 0..marks.len() {
        let mark = marks[index];
        // The former of the two before goes if the one before that and this one are close.
        if kept >= 2 {
            let (before, between) = (marks[kept - 2], marks[kept - 1]);
            if mark.by.saturating_sub(before.since) <= RESOLUTION.max(now.saturating_sub(mark.by) / FRACTION) {
                forget(between);
                kept -= 1;
            }
        }
        marks[kept] = mark;
        kept += 1;
    }
    marks.truncate(kept);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    thread_local! {
        /// The numbers of the tasks that have a mark in front of them.
        static MARKED: RefCell<HashSet<u64>> = RefCell::default();
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Task {
        number: u64,
        born: u64,
    }

    impl Member for Task {
        fn set_marked(self, is_marked: bool) {
            MARKED.with_borrow_mut(
                |marked| if is_marked { marked.insert(self.number) } else { marked.remove(&self.number) },
            );
        }

        fn is_marked(self) -> bool {
            MARKED.with_borrow(|marked| marked.contains(&self.number))
        }
    }

    /// A list in a model, with a clock of its own. The youngest task comes last.
    #[derive(Default)]
    struct Model {
        births: Births<Task>,
        tasks: Vec<Task>,
        numbers: u64,
        now: u64,
        asleep: u64,
    }

    impl Model {
        fn new() -> Self {
            MARKED.take();
            Self { now: 1, ..Self::default() }
        }

        fn add(&mut self) {
            let first = self.tasks.last().copied();
            // As `add` does, with this clock.
            if self.asleep == self.births.seen.get() && self.births.credit.get() > 0 {
                self.births.credit.set(self.births.credit.get() - 1);
            } else {
                self.births.mark(first, self.now, self.asleep);
            }
            self.numbers += 1;
            self.tasks.push(Task { number: self.numbers, born: self.now });
        }

        fn remove(&mut self, index: usize) {
            let task = self.tasks.remove(index);
            let after = index.checked_sub(1).map(|after| self.tasks[after]);
            self.births.remove(task, after);
        }

        fn sleep(&mut self) {
            self.asleep = self.now;
        }

        /// Each task's birth, and between which times it is said to be, from the youngest on.
        fn times(&self) -> Vec<(u64, (u64, u64))> {
            let mut times = self.births.times_at(self.now, self.asleep);
            self.tasks.iter().rev().map(|task| (task.born, times(*task))).collect()
        }

        fn check(&self) {
            for (born, (since, by)) in self.times() {
                assert!((since..=by).contains(&born), "{born} in {since}..={by}");
            }
            let marks = self.births.marks.borrow();
            let marked: Vec<_> = marks.iter().filter_map(|mark| mark.at).collect();
            for task in &self.tasks {
                assert_eq!(task.is_marked(), marked.contains(task));
            }
            assert!(marked.iter().all(|task| self.tasks.contains(task)), "a mark stands before a task that is there");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(usize),
        Remove(prop::sample::Index),
        Wait(u64),
        Sleep(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let time = prop_oneof![0..1_000_u64, 0..1_000_000_u64, 0..10_000_000_000_u64];
        let step = prop_oneof![
            3 => (1..40_usize).prop_map(Step::Add),
            3 => any::<prop::sample::Index>().prop_map(Step::Remove),
            2 => time.clone().prop_map(Step::Wait),
            2 => time.prop_map(Step::Sleep),
        ];
        prop::collection::vec(step, 1..150)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn a_task_was_born_when_it_is_said_to_have_been(steps in steps()) {
            let mut model = Model::new();
            for step in steps {
                match step {
                    Step::Add(count) => for _ in 0..count {
                        model.now += 50;
                        model.add();
                    },
                    Step::Remove(index) if !model.tasks.is_empty() => model.remove(index.index(model.tasks.len())),
                    Step::Remove(_) => {}
                    Step::Wait(time) => model.now += time,
                    Step::Sleep(time) => {
                        model.sleep();
                        model.now += 1 + time;
                    }
                }
                model.check();
            }
        }
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn ages_are_known_to_a_quarter_however_many_tasks_there_are() {
        let mut model = Model::new();
        for _ in 0..5_000 {
            model.add();
            model.sleep();
            model.now += SECOND / 10;
        }
        for (born, (since, by)) in model.times() {
            let age = model.now - born;
            assert!(by - since <= age / 4 + RESOLUTION, "{since}..{by} for an age of {age}");
        }
        assert!(model.births.marks.borrow().len() < 500);
        model.check();
    }

    #[test]
    fn tasks_of_one_moment_take_few_looks_at_the_clock_and_one_mark() {
        let mut model = Model::new();
        for _ in 0..1_000 {
            model.now += 50;
            model.add();
        }
        assert!(model.births.marks.borrow().len() <= 3);
        model.sleep();
        model.now += SECOND;
        for (_, (since, by)) in model.times() {
            assert!(by - since <= 2 * RESOLUTION);
        }
    }

    #[test]
    fn a_task_that_comes_after_a_sleep_is_not_taken_for_one_from_before() {
        let mut model = Model::new();
        for _ in 0..1_000 {
            model.now += 50;
            model.add();
        }
        model.sleep();
        model.now += SECOND;
        model.add();
        assert_eq!(model.times()[0].1, (model.now, model.now));
    }
}
