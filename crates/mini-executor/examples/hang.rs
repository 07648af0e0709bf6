//! A task that blocks its thread, and what is said about it on stderr: `cargo run -p mini-executor --example hang`.

use std::time::Duration;

use mini_executor::{LocalExecutor, block_on, sleep};

/// Should have been `sleep(…).await`, or a call of `spawn_blocking`.
fn summarize() {
    std::thread::sleep(Duration::from_millis(250));
}

fn main() {
    let executor = LocalExecutor::new();
    let report = executor.spawn_named("report", async {
        sleep(Duration::from_millis(10)).await;
        summarize();
    });
    block_on(executor.run(report));
    // Reports are made beside the program, and end with it.
    std::thread::sleep(Duration::from_secs(1));
}
