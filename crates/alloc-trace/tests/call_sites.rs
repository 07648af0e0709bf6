//! A budget's message names the lines that allocated.
#![cfg(feature = "sites")]

use std::alloc::System;
use std::hint::black_box;

use alloc_trace::{Budget, Exceeded, SiteUse, Tracked};

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

#[inline(never)]
fn fill(count: usize) -> (Vec<u64>, u32) {
    (black_box(Vec::with_capacity(count)), line!())
}

#[inline(never)]
fn grow(list: &mut Vec<u64>) -> u32 {
    list.reserve_exact(1000); // the line before the next
    line!() - 1
}

fn exceeded<R>(work: impl FnOnce() -> R) -> Exceeded {
    match Budget::new().max_allocs(0).try_check(work) {
        Ok(_) => panic!("nothing was allocated"),
        Err(exceeded) => *exceeded,
    }
}

fn line_of(used: &SiteUse) -> (&str, u32) {
    let (file, line) = used.site.line.as_ref().expect("tests are built with lines");
    (file, *line)
}

const FILE: &str = "crates/alloc-trace/tests/call_sites.rs";

#[test]
fn each_line_is_named_with_what_it_allocated_and_its_caller() {
    let mut lines = (0, 0);
    let caller = line!() + 3;
    let exceeded = exceeded(|| {
        for _ in 0..3 {
            let (mut list, line) = fill(2);
            lines = (line, grow(&mut list));
        }
    });
    assert_eq!((exceeded.stats.allocations, exceeded.sites.len()), (6, 2), "{exceeded}");
    let [most_bytes, other] = &exceeded.sites[..] else { unreachable!() };
    assert_eq!(line_of(most_bytes), (FILE, lines.1), "{exceeded}");
    assert_eq!((most_bytes.allocations, most_bytes.bytes), (3, 3 * 1000 * 8));
    assert_eq!(line_of(other), (FILE, lines.0), "{exceeded}");
    assert_eq!(other.called_from.as_ref().unwrap().line, Some((FILE.into(), caller)), "{exceeded}");
    assert!(other.site.function.ends_with("fill"), "{exceeded}");
    let text = exceeded.to_string();
    assert!(text.contains(&format!("3 x, 48 bytes: {FILE}:{} in call_sites::fill", lines.0)), "{text}");
    assert!(text.contains(&format!("called from {FILE}:{caller}")), "{text}");
    assert!(text.contains("allocations: 6, at most 0 allowed"), "{text}");
}

#[test]
fn other_threads_lines_are_named_too() {
    let exceeded = exceeded(|| {
        let handle = alloc_trace::Handle::current();
        std::thread::scope(|scope| drop(scope.spawn(move || handle.enter(|| fill(10).1)).join()));
    });
    let found = exceeded.sites.iter().find(|used| used.bytes == 80).expect("the thread's");
    assert!(found.site.function.ends_with("fill"), "{exceeded}");
}

#[test]
fn many_stacks_and_many_calls_are_too_many_for_the_table_but_are_counted() {
    fn deep(depth: u32) {
        if depth > 0 {
            deep(black_box(depth - 1));
        }
        black_box(Vec::<u8>::with_capacity(1));
    }
    let found = exceeded(|| {
        deep(200);
        for _ in 0..11_000 {
            black_box(Vec::<u8>::with_capacity(1));
        }
    });
    assert_eq!(found.stats.allocations, 201 + 11_000);
    let known: u64 = found.sites.iter().map(|used| used.allocations).sum();
    assert!(known <= 10_000, "{known}");
    let text = found.to_string();
    assert!(text.contains("more allocations"), "{text}");
}
