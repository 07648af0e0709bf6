//! A program that has no descriptor left. Alone in its process, whose limit it changes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mini_executor::{Async, Runtime, sleep};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn timers_fire_without_a_reactor_and_descriptors_say_what_is_wrong() -> io::Result<()> {
    let runtime = Runtime::new(2)?;
    let (_here, there) = UnixStream::pair()?;
    let there = Async::new(there)?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(32), ..limit })?;
    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    runtime.block_on(async { sleep(Duration::from_millis(1)).await });
    runtime.block_on(runtime.spawn(sleep(Duration::from_millis(1))));
    // What needs a descriptor says what is wrong, and what helps.
    let error = runtime.block_on(there.read_with(|mut stream| stream.read(&mut [0]))).unwrap_err();
    assert!(error.to_string().contains("ulimit -n"), "{error}");
    drop(all);
    Ok(())
}
