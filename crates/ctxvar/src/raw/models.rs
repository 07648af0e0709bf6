//! Snapshots that threads share, in every order of their steps. Run with `RUSTFLAGS="--cfg loom"`.

use loom::sync::Arc as Watched;
use loom::sync::atomic::AtomicUsize as Count;
use loom::thread;

use super::*;

/// A value that counts how often it is dropped.
struct Counted(Watched<Count>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A block with so many values, and what counts their ends.
fn block(values: u32) -> (Snapshot, Vec<Watched<Count>>) {
    let mut snapshot = Snapshot::EMPTY;
    let counts: Vec<_> = (0..values).map(|_| Watched::new(Count::new(0))).collect();
    for (id, count) in (0..).zip(&counts) {
        snapshot.replace(id, Some(value(count)), false);
    }
    (snapshot, counts)
}

fn value(count: &Watched<Count>) -> Value {
    Value::of_generation(1, About::nameless(), Counted(Watched::clone(count)))
}

fn ends(counts: &[Watched<Count>]) -> Vec<usize> {
    counts.iter().map(|count| count.load(Relaxed)).collect()
}

#[test]
fn the_last_of_two_snapshots_drops_the_values_once() {
    loom::model(|| {
        let (mine, counts) = block(2);
        let other = mine.clone();
        let other = thread::spawn(move || drop(other));
        drop(mine);
        other.join().unwrap();
        assert_eq!(ends(&counts), [1, 1]);
    });
}

#[test]
fn two_that_change_what_they_share_do_not_see_one_another() {
    loom::model(|| {
        let (mut mine, counts) = block(2);
        let mut other = mine.clone();
        let news = [Watched::new(Count::new(0)), Watched::new(Count::new(0))];
        let other = thread::spawn({
            let new = Watched::clone(&news[1]);
            move || {
                drop(other.replace(0, Some(value(&new)), false));
                // Whatever the other one does, this is still there.
                assert!(other.find(1).is_some());
                assert_eq!(new.load(Relaxed), 0);
            }
        });
        drop(mine.replace(0, Some(value(&news[0])), false));
        assert!(mine.find(1).is_some());
        other.join().unwrap();
        // Both replaced the first value, so nobody can see it; one of them still sees the second.
        assert_eq!(ends(&counts), [1, 0]);
        drop(mine);
        assert_eq!(ends(&counts), [1, 1]);
        assert_eq!(ends(&news), [1, 1]);
    });
}

#[test]
fn to_part_from_a_parent_while_the_other_lets_go_of_it() {
    loom::model(|| {
        let (mut mine, counts) = block(3);
        let other = mine.clone();
        let new = Watched::new(Count::new(0));
        let other = thread::spawn(move || drop(other));
        drop(mine.replace(1, Some(value(&new)), false));
        drop(mine.replace(0, None, false));
        other.join().unwrap();
        assert_eq!(ends(&counts), [1, 1, 0]);
        drop(mine);
        assert_eq!(ends(&counts), [1, 1, 1]);
    });
}

#[test]
fn a_snapshot_taken_in_while_another_is_dropped() {
    loom::model(|| {
        // Numbers don't wait to be dropped, so the blocks form a chain.
        let mut mine = Snapshot::EMPTY;
        let number = |number: u64| Some(Value::of_generation(1, About::nameless(), number));
        mine.replace(0, number(1), false);
        mine.replace(1, number(2), false);
        let held = mine.clone();
        drop(mine.replace(0, number(3), false));
        let other = thread::spawn(move || drop(held));
        mine.take_in();
        let copy = mine.clone();
        drop(mine.replace(1, number(4), false));
        other.join().unwrap();
        mine.take_in();
        let read = |snapshot: &Snapshot, id| *snapshot.find(id).unwrap().any().downcast_ref::<u64>().unwrap();
        assert_eq!((read(&mine, 0), read(&mine, 1)), (3, 4));
        assert_eq!((read(&copy, 0), read(&copy, 1)), (3, 2));
    });
}
