//! "On one thread, async needs no locks": refuted, with the interleaving. `cargo run -p mini-executor --example lost_update`.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mini_executor::sync::Mutex;
use mini_executor::{LocalExecutor, block_on, try_explore, yield_now};

/// Adds one. Between the read and the write it awaits, as one does that asks a server or a disk in between.
async fn increment(counter: Arc<AtomicU32>) {
    let read = counter.load(Relaxed);
    yield_now().await;
    counter.store(read + 1, Relaxed);
}

/// The same with a lock that is held across the await.
async fn increment_locked(counter: Arc<Mutex<u32>>) {
    let mut counter = counter.lock().await;
    let read = *counter;
    yield_now().await;
    *counter = read + 1;
}

/// In production, on one thread: how many of so many increments are left?
fn survivors(increments: usize) -> u32 {
    let counter = Arc::new(AtomicU32::new(0));
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = (0..increments).map(|_| executor.spawn(increment(counter.clone()))).collect();
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    counter.load(Relaxed)
}

/// What the program says.
pub(crate) fn tell(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "1,000 tasks on one thread add one each, with an await between read and write.")?;
    writeln!(out, "The counter says {}.\n", survivors(1_000))?;

    writeln!(out, "Two of them suffice. Which orders lose one? (Seed 0 would be production's order.)")?;
    let found = try_explore(1..1_000, async |runtime| {
        let counter = Arc::new(AtomicU32::new(0));
        let first = runtime.spawn_named("first", increment(counter.clone()));
        let second = runtime.spawn_named("second", increment(counter.clone()));
        first.await;
        second.await;
        assert_eq!(counter.load(Relaxed), 2, "an increment is lost");
    });
    match found {
        Ok(explored) => writeln!(out, "{explored}")?,
        Err(failed) => writeln!(out, "{failed}")?,
    }

    writeln!(out, "\nThe same with a lock that is held across the await:")?;
    let locked = try_explore(0..1_000, async |runtime| {
        let counter = Arc::new(Mutex::new(0));
        let tasks =
            ["first", "second", "third"].map(|name| runtime.spawn_named(name, increment_locked(counter.clone())));
        for task in tasks {
            task.await;
        }
        assert_eq!(*counter.lock().await, 3, "an increment is lost");
    });
    match locked {
        Ok(explored) => writeln!(out, "{explored}."),
        Err(failed) => writeln!(out, "{failed}"),
    }
}

#[allow(dead_code, reason = "a test calls `tell` alone")]
fn main() -> io::Result<()> {
    // Where the test fails its panic is printed by Rust's own hook, too. Here it is expected.
    std::panic::set_hook(Box::new(|_| {}));
    tell(&mut io::stdout().lock())
}
