//! Budgets: what passes, what doesn't, and what is said then.
#![cfg(feature = "macros")]

use std::alloc::System;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;

use alloc_trace::{Budget, Handle, Tracked, alloc_budget, assert_no_alloc, measure};

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

/// What somebody panics with; without printing it.
fn panic_of<R>(work: impl FnOnce() -> R) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(work)) else { panic!("no panic") };
    panic.downcast_ref::<String>().expect("a message").clone()
}

fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

#[alloc_budget(max_allocs = 0)]
#[test]
fn nothing_is_allocated() {
    assert_eq!(black_box(1) + 1, 2);
}

#[test]
#[alloc_budget(max_allocs = 2, max_bytes = 100 + 50, max_peak = 100)]
fn limits_are_reached_and_not_exceeded() {
    drop(block(100));
    drop(block(50));
}

#[test]
#[should_panic(expected = "allocations: 2, at most 1 allowed")]
#[alloc_budget(max_allocs = 1)]
fn too_many() {
    drop(block(1));
    drop(block(1));
}

#[test]
#[should_panic(expected = "bytes: 101, at most 100 allowed")]
#[alloc_budget(max_bytes = 100)]
fn too_much() {
    drop(block(100));
    drop(block(1));
}

#[test]
#[should_panic(expected = "bytes at the peak: 151, at most 150 allowed")]
#[alloc_budget(max_peak = 150)]
fn too_much_at_once() {
    drop(block(150));
    let _kept = block(100);
    drop(block(51));
}

#[alloc_budget(max_allocs = 1)]
fn generic<'a, T: Fn() -> &'a str, L, const N: usize>(
    text: T,
    list: [L; N],
) -> Result<Box<(&'a str, usize)>, std::fmt::Error>
where
    L: Copy,
{
    if N > 3 {
        return Err(std::fmt::Error);
    }
    std::fmt::write(&mut String::new(), format_args!(""))?;
    Ok(Box::new((text(), list.len())))
}

#[alloc_budget(max_allocs = 1)]
fn hidden(count: u32) -> impl Iterator<Item = u32> {
    vec![count; 3].into_iter()
}

struct Method(u32);

impl Method {
    #[alloc_budget(max_allocs = 0)]
    fn add(&mut self, amount: u32) -> &u32 {
        self.0 += amount;
        &self.0
    }

    #[alloc_budget(max_allocs = 0)]
    async fn add_later(&mut self, amount: u32) -> Result<&u32, std::fmt::Error> {
        std::future::ready(Ok::<(), std::fmt::Error>(())).await?;
        self.0 += amount;
        Ok(&self.0)
    }
}

#[test]
fn functions_of_all_shapes_keep_their_meaning() {
    let text = String::from("text");
    assert_eq!(generic(|| text.as_str(), [1, 2]).unwrap(), Box::new(("text", 2)));
    assert!(generic(|| text.as_str(), [0; 4]).is_err());
    assert_eq!(hidden(7).sum::<u32>(), 21);
    let mut method = Method(1);
    assert_eq!(method.add(2), &3);
    assert_eq!(futures::executor::block_on(method.add_later(3)).unwrap(), &6);
}

// Tokio may need a list of those who wait, once a thread.
#[alloc_budget(max_allocs = 110, scope = task)]
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_task_has_its_budget_wherever_it_is_polled() {
    for _ in 0..100 {
        drop(block(10));
        tokio::task::yield_now().await;
    }
}

#[alloc_budget(max_bytes = 1000)]
#[tokio::test]
#[should_panic(expected = ", at most 1000 allowed")]
async fn what_is_carried_to_another_task_is_charged() {
    let work = async { drop(block(1001)) };
    tokio::spawn(Handle::current().wrap(work)).await.unwrap();
}

#[alloc_budget(max_bytes = 1000)]
#[tokio::test]
async fn what_is_spawned_bare_is_not() {
    tokio::spawn(async { drop(block(100_000)) }).await.unwrap();
}

#[test]
fn a_pool_pays_from_the_budget() {
    let work = |size| {
        let handle = Handle::current();
        rayon::join(|| handle.enter(|| drop(block(size))), || handle.enter(|| drop(block(size))));
    };
    // What rayon needs for itself at its first call.
    work(1);
    let exceeded = Budget::new().max_bytes(100_000).try_check(|| work(60_000)).unwrap_err();
    assert!((120_000..130_000).contains(&exceeded.stats.bytes), "{exceeded}");
}

#[test]
fn assertions_have_their_blocks_value() {
    let mut numbers = Vec::with_capacity(3);
    assert_no_alloc! {
        numbers.push(1);
        let two = 2;
        numbers.push(two);
    }
    assert_eq!(assert_no_alloc!(numbers.len()), 2);
    let message = panic_of(|| assert_no_alloc!(numbers.extend([3, 4])));
    assert!(message.contains("allocations: 1, at most 0 allowed"), "{message}");
    // Frees are nothing that is allocated.
    assert_no_alloc!(drop(numbers));
}

#[test]
fn a_panic_inside_is_the_one_that_is_reported() {
    let caught = catch_unwind(|| {
        Budget::new().max_allocs(0).check(|| {
            drop(block(1));
            resume_unwind(Box::new("mine"));
        });
    });
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "mine");
    // And the budget is over.
    let outside = Budget::new().max_allocs(0).try_check(|| ());
    assert!(outside.is_ok());
}

#[test]
fn a_budget_within_a_budget_is_part_of_it() {
    let ((), stats) = Budget::new()
        .try_check(|| {
            Budget::new().max_allocs(1).check(|| drop(block(5)));
            drop(block(7));
        })
        .unwrap();
    assert_eq!((stats.allocations, stats.bytes), (2, 12));
}

#[test]
fn watching_allocates_nothing_that_counts() {
    let stats = measure(|| {
        for size in 1..=100 {
            Budget::new().max_allocs(1).check(|| drop(block(size)));
        }
    });
    assert_eq!((stats.allocations, stats.frees, stats.bytes), (100, 100, 5050));
}

#[test]
fn allocating_where_std_holds_its_lock_for_backtraces_is_no_deadlock() {
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || {
        let exceeded = Budget::new().max_allocs(0).try_check(|| {
            let trace = std::backtrace::Backtrace::force_capture();
            trace.to_string().len()
        });
        sender.send(exceeded.is_err()).unwrap();
    });
    assert!(done.recv().unwrap(), "a backtrace allocates");
}
