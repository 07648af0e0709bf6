//! Groups, by property. What both kinds promise, the local and the one that is `Send`, is tested of both.
#![allow(unsafe_code)]

mod ending;
mod failing;
mod one_kind;
mod running;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

use mini_executor::{
    LocalExecutor, Runtime, Task, block_on, group, send_group, set_unhandled_hook, sleep, sleep_until, spawn_blocking,
    timeout, try_group, try_send_group, yield_now,
};

/// What happened, in order.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn note(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Notes when it is dropped.
    fn guard<'a>(&'a self, name: &'a str) -> Guard<'a> {
        Guard(self, name)
    }
}

struct Guard<'a>(&'a Log, &'a str);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.note(format!("{} dropped", self.1));
    }
}

/// Panics when it is dropped.
struct Grenade(&'static str);

impl Drop for Grenade {
    fn drop(&mut self) {
        std::panic::panic_any(self.0);
    }
}

/// Polls a future `times` times, and gives it back undone.
fn polled<F: Future>(future: F, times: u32) -> std::pin::Pin<Box<F>> {
    let mut future = Box::pin(future);
    for _ in 0..times {
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    future
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().unwrap_or("(no message)")
}

/// Panics that came to the hook.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
