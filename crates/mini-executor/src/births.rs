//! How old tasks are, without a word of memory in any of them.
//!
//! The list of all tasks of an executor is in the order in which they were spawned. So it is enough to know the time at some points of the
//! list: a [`Mark`] stands in front of a task, and says when the one in front of it was born, which is about when those in front of
//! that were, too, up to the next mark. "About" is [`RESOLUTION`]: a spawn that comes later than that after the last mark sets one.
//!
//! To look at the clock at every spawn would cost as much as half of the spawn. So a thread in `block_on` takes the time that it has read for
//! the spawns of [some turns](TURNS) to come, of which each is mostly shorter than 100 us, or until it sleeps. Elsewhere it looks at each
//! spawn, at a clock that is cheap to read and goes by steps of a few milliseconds.
//!
//! Marks that are not worth their room are thinned out: those without which ages are still known to an eighth of themselves.
//! So there are a few hundred of them, however many tasks there are, and few in most programs.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::places::Place;
use crate::watchdog;

/// Marks lie at least so far apart, in nanoseconds.
const RESOLUTION: u64 = 10_000_000;
/// What may be missing of an age, or too much of it, once marks are thinned out: this part.
const FRACTION: u64 = 8;
/// Marks before they are thinned out.
const MANY: usize = 128;

/// For so many turns of `block_on` a thread does not look at the clock again.
const TURNS: u32 = 8;

thread_local! {
    /// The time when this thread last looked, or [`UNKNOWN`].
    static NOW: Cell<u64> = const { Cell::new(UNKNOWN) };
    /// Turns until it is to look again.
    static TURNS_LEFT: Cell<u32> = const { Cell::new(0) };
}

/// Later than all marks: who has it looks at the clock.
const UNKNOWN: u64 = u64::MAX;

/// A turn of this thread's `block_on` begins.
#[inline]
pub(crate) fn begin_turn() {
    match TURNS_LEFT.get() {
        0 => NOW.set(UNKNOWN),
        left => TURNS_LEFT.set(left - 1),
    }
}

/// This thread goes to sleep, or leaves `block_on`.
#[inline]
pub(crate) fn fall_asleep() {
    NOW.set(UNKNOWN);
}

/// Looks at the clock: nanoseconds since some moment, in steps of a few milliseconds.
fn now() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A task, as its list has it.
pub(crate) trait Member: Copy + PartialEq {
    /// Notes whether a mark stands in front of it.
    fn set_marked(self, is_marked: bool);
    /// Whether one does.
    fn is_marked(self) -> bool;
}

/// See the module.
#[derive(Clone, Copy)]
struct Mark<T> {
    /// The task behind it. `None` at the end of the list.
    at: Option<T>,
    /// Those in front of it were born no earlier.
    since: u64,
}

/// What is known of the births in a list. The list's first task is the youngest.
pub(crate) struct Births<T> {
    /// From when on a spawn sets a mark.
    next: Cell<u64>,
    /// From the end of the list to its beginning: the youngest last.
    marks: RefCell<Vec<Mark<T>>>,
}

impl<T> Default for Births<T> {
    fn default() -> Self {
        Self { next: Cell::new(0), marks: RefCell::default() }
    }
}

impl<T: Member> Births<T> {
    /// A task is about to be put in front of `first`.
    #[inline]
    pub(crate) fn add(&self, first: Option<T>) {
        if NOW.get() >= self.next.get() {
            self.look(first);
        }
    }

    #[cold]
    #[inline(never)]
    fn look(&self, first: Option<T>) {
        let now = if NOW.get() == UNKNOWN { now() } else { NOW.get() };
        // Nobody else says when time goes on.
        if NOW.get() == UNKNOWN && watchdog::block_on_entered() != Place::UNKNOWN {
            NOW.set(now);
            TURNS_LEFT.set(TURNS);
        }
        self.add_at(now, first);
    }

    fn add_at(&self, now: u64, first: Option<T>) {
        if now < self.next.get() {
            return;
        }
        self.next.set(now + RESOLUTION);
        let mut marks = self.marks.borrow_mut();
        match marks.last_mut() {
            // All that were added since have gone.
            Some(last) if last.at == first => last.since = now,
            _ => {
                marks.push(Mark { at: first, since: now });
                set_marked(first, true);
                if marks.len().is_power_of_two() && marks.len() >= MANY {
                    thin_out(&mut marks, now);
                }
            }
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
        marks[index].at = after;
        match index.checked_sub(1) {
            // Two in one place: no task is left between them.
            Some(before) if marks[before].at == after => drop(marks.remove(before)),
            _ => set_marked(after, true),
        }
    }

    /// How old the tasks of the list are. To be asked for each in turn, from the first on.
    pub(crate) fn ages(&self) -> impl FnMut(T) -> Duration + use<T> {
        self.ages_at(now())
    }

    fn ages_at(&self, now: u64) -> impl FnMut(T) -> Duration + use<T> {
        let mut marks = self.marks.borrow().clone();
        move |task| {
            while marks.pop_if(|mark| mark.at == Some(task)).is_some() {}
            Duration::from_nanos(marks.last().map_or(0, |mark| now.saturating_sub(mark.since)))
        }
    }
}

fn set_marked<T: Member>(task: Option<T>, is_marked: bool) {
    if let Some(task) = task {
        task.set_marked(is_marked);
    }
}

/// Forgets every mark whose neighbours are so close to one another, for their age, that it tells nothing more.
fn thin_out<T: Member>(marks: &mut Vec<Mark<T>>, now: u64) {
    let mut kept: Vec<Mark<T>> = Vec::new();
    for mark in marks.drain(..) {
        // Without the one between, the tasks between it and this mark count to the one before.
        if let [.., before, between] = kept[..]
            && mark.since - before.since <= now.saturating_sub(mark.since) / FRACTION
        {
            set_marked(between.at, false);
            kept.pop();
        }
        kept.push(mark);
    }
    *marks = kept;
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
    }

    impl Model {
        fn new() -> Self {
            MARKED.take();
            Self { now: 1, ..Self::default() }
        }

        fn add(&mut self) {
            self.births.add_at(self.now, self.tasks.last().copied());
            self.numbers += 1;
            self.tasks.push(Task { number: self.numbers, born: self.now });
        }

        fn remove(&mut self, index: usize) {
            let task = self.tasks.remove(index);
            let after = index.checked_sub(1).map(|after| self.tasks[after]);
            self.births.remove(task, after);
        }

        /// Each task's age, and what it is said to be, from the youngest on.
        fn ages(&self) -> Vec<(u64, u64)> {
            let mut ages = self.births.ages_at(self.now);
            self.tasks.iter().rev().map(|task| (self.now - task.born, ages(*task).as_nanos() as u64)).collect()
        }

        fn check(&self) {
            for (age, said) in self.ages() {
                assert!(age <= said && said - age <= RESOLUTION + age / FRACTION, "{said} for an age of {age}");
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
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let time = prop_oneof![0..1_000_u64, 0..30_000_000_u64, 0..10_000_000_000_u64];
        let step = prop_oneof![
            3 => (1..40_usize).prop_map(Step::Add),
            3 => any::<prop::sample::Index>().prop_map(Step::Remove),
            3 => time.prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 1..150)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn a_task_is_about_as_old_as_it_is_said_to_be(steps in steps()) {
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
                }
                model.check();
            }
        }
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn ages_are_known_to_an_eighth_however_many_tasks_there_are() {
        let mut model = Model::new();
        for _ in 0..5_000 {
            model.add();
            model.now += SECOND / 10;
        }
        assert!(model.births.marks.borrow().len() < 500);
        model.check();
    }

    #[test]
    fn tasks_of_one_moment_take_one_mark() {
        let mut model = Model::new();
        for _ in 0..1_000 {
            model.now += 50;
            model.add();
        }
        assert_eq!(model.births.marks.borrow().len(), 1);
    }

    #[test]
    fn a_task_that_comes_after_all_others_have_gone_is_not_as_old_as_they_were() {
        let mut model = Model::new();
        model.add();
        model.now += SECOND;
        for _ in 0..2 {
            model.add();
            model.remove(1);
            model.now += SECOND;
            model.add();
            model.check();
            model.remove(1);
        }
    }
}
