//! One operation, many times over, to be counted or profiled:
//!
//!     cargo build --release --package ctxvar --example operations
//!     valgrind --tool=callgrind target/release/examples/operations get 100000
//!
//! `tests/instructions.rs` takes the difference between two counts, which leaves what a single operation executes, with its share of
//! the loop.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context as Waiting, Poll, Waker};

use ctxvar::{Context, ContextExt, ContextVar};

#[derive(Clone, Copy)]
struct RequestId(u64);

static ID: ContextVar<RequestId> = ContextVar::new("id");
static UNSET: ContextVar<u64> = ContextVar::with_default("unset", 7);
static NUMBERS: [ContextVar<u64>; 10] = [const { ContextVar::new("number") }; 10];
static TEXTS: [ContextVar<String>; 10] = [const { ContextVar::new("number") }; 10];
static TEXT: ContextVar<String> = ContextVar::new("text");

#[inline(never)]
fn probe_get() -> u64 {
    ID.get().0
}

#[inline(never)]
fn probe_default() -> u64 {
    UNSET.get()
}

#[inline(never)]
fn probe_with() -> usize {
    TEXT.with(|text| text.map_or(0, String::len))
}

#[inline(never)]
fn probe_snapshot() {
    drop(black_box(Context::current()));
}

#[inline(never)]
fn probe_set(value: u64) {
    NUMBERS[5].set(value);
}

#[inline(never)]
fn probe_shared(value: u64) {
    let snapshot = Context::current();
    NUMBERS[5].set(value);
    drop(snapshot);
}

#[inline(never)]
fn probe_scope(value: u64) -> u64 {
    NUMBERS[5].scope(value, || NUMBERS[5].get())
}

async fn for_ever() {
    std::future::poll_fn(|_| Poll::<()>::Pending).await;
}

#[inline(never)]
fn poll(count: u64, future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut waiting = Waiting::from_waker(Waker::noop());
    for _ in 0..count {
        let future: std::pin::Pin<&mut dyn Future<Output = ()>> = future.as_mut();
        let _ = black_box(black_box(future).poll(&mut waiting));
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(count)) = (arguments.next(), arguments.next().and_then(|count| count.parse().ok())) else {
        eprintln!("usage: operations nothing|get|default|with|snapshot|set|shared|scope|bare-poll|poll COUNT");
        std::process::exit(2);
    };
    ID.set(RequestId(7));
    for number in &NUMBERS {
        number.set(1);
    }
    TEXT.set("text".to_owned());
    let count: u64 = count;
    match name.as_str() {
        "nothing" => (0..count).for_each(|value| {
            black_box(value);
        }),
        "get" => (0..count).for_each(|_| {
            black_box(probe_get());
        }),
        "default" => (0..count).for_each(|_| {
            black_box(probe_default());
        }),
        "with" => (0..count).for_each(|_| {
            black_box(probe_with());
        }),
        "snapshot" => (0..count).for_each(|_| probe_snapshot()),
        "set" => (0..count).for_each(probe_set),
        "shared" => (0..count).for_each(probe_shared),
        "texts" => {
            for text in &TEXTS {
                text.set("a text of some length".to_owned());
            }
            let value = "another".to_owned();
            for _ in 0..count {
                let s = Context::current();
                TEXTS[5].set(value.clone());
                drop(s);
            }
        }
        "scope" => (0..count).for_each(|value| {
            black_box(probe_scope(value));
        }),
        "bare-poll" => poll(count, for_ever()),
        "poll" => poll(count, for_ever().in_context()),
        other => {
            eprintln!("no operation is named {other:?}");
            std::process::exit(2);
        }
    }
}
