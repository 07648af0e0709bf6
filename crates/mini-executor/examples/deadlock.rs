//! Two tasks that take two locks in opposite order, and what is said about it: `cargo run -p mini-executor --example deadlock`.

use std::time::Duration;

use mini_executor::sync::{Mutex, MutexGuard};
use mini_executor::{LocalExecutor, block_on, set_deadlock_after, set_deadlock_hook, yield_now};

async fn transfer<'a>(from: &'a Mutex<u32>, to: &'a Mutex<u32>) -> (MutexGuard<'a, u32>, MutexGuard<'a, u32>) {
    let from = from.lock().await;
    yield_now().await;
    (from, to.lock().await)
}

fn main() {
    set_deadlock_after(Some(Duration::from_millis(200)));
    // Without a hook the report goes to stderr, and the program hangs on.
    set_deadlock_hook(|deadlock| {
        eprintln!("{deadlock}");
        std::process::exit(0);
    });
    let (mine, yours) = (Mutex::new(100), Mutex::new(100));
    let executor = LocalExecutor::new();
    let pay = executor.spawn_named("pay", async { *transfer(&mine, &yours).await.1 += 10 });
    executor.spawn_named("repay", async { *transfer(&yours, &mine).await.1 += 10 }).detach();
    block_on(executor.run(pay));
}
