//! A program that has no descriptor left. Alone in its process, whose limit it changes.

use std::fs::File;
use std::io;
use std::time::Duration;

use mini_executor::{Runtime, sleep};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn timers_fire_without_a_reactor() -> io::Result<()> {
    let runtime = Runtime::new(2)?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(32), ..limit })?;
    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    runtime.block_on(async { sleep(Duration::from_millis(1)).await });
    runtime.block_on(runtime.spawn(sleep(Duration::from_millis(1))));
    drop(all);
    Ok(())
}
