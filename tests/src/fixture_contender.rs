//! A contender for tests: honest, or broken in the way its first argument says.
//!
//! `fixture-contender MODE [NAME]`; the modes are the arms of `main`.

use std::io::{BufRead, Write};
use std::time::Duration;

use bench_harness::child::{BlockClock, Contender, Prepared, Work, serve};
use bench_harness::monotonic_ns;
use bench_harness::protocol::{Hello, PROTO, Prepare, Refusal};

/// What is wrong with the work itself; what is wrong with the conversation is done by hand in `main`.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Honest,
    /// Takes 1.5 times as long.
    Slow,
    WrongChecksum,
    WrongOps,
    /// Works for ever.
    Hang,
    /// Ends in its third block.
    Exit,
    Panic,
    Unsupported,
    /// Writes a megabyte to stderr in every block.
    Chatty,
    /// Goes on computing when its block is over.
    Restless,
    /// Leaves a process behind that outlives it, if nobody ends it.
    Orphan,
}

struct Fixture {
    mode: Mode,
    name: String,
}

impl Contender for Fixture {
    fn hello(&self) -> Hello {
        Hello {
            proto: PROTO,
            name: self.name.clone(),
            lang: "rust".into(),
            runtime: "fixture 1".into(),
            workloads: vec!["spin".into()],
            clock: "CLOCK_MONOTONIC".into(),
            threads: 1,
            tags: vec![],
        }
    }

    fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
        if self.mode == Mode::Unsupported {
            return Err(Refusal::unsupported("fixtures don't spin"));
        }
        let units = request.params.integer("units", 1..=1_000_000)?;
        Ok(Box::new(Spin { mode: self.mode, units, seed: request.seed, blocks: 0 }))
    }
}

struct Spin {
    mode: Mode,
    units: u64,
    seed: u64,
    blocks: u32,
}

impl Prepared for Spin {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        self.blocks += 1;
        match self.mode {
            Mode::Hang => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            Mode::Exit if self.blocks == 3 => {
                eprintln!("the fixture has had enough");
                std::process::exit(9);
            }
            Mode::Panic => panic!("the fixture panics"),
            Mode::Chatty => eprintln!("{}", "x".repeat(1 << 20)),
            Mode::Restless => drop(std::thread::spawn(|| spin(1, u64::MAX))),
            Mode::Orphan => {
                // Its pid goes to a file that the test names, so that the test can see that it is gone.
                let child = std::process::Command::new("sleep").arg("600").spawn();
                let path = std::env::var_os("FIXTURE_ORPHAN_PID").expect("the test names a file");
                let pid = child.map(|child| child.id()).expect("sleep exists everywhere");
                std::fs::write(path, pid.to_string()).expect("the test's folder can be written");
            }
            _ => {}
        }
        let mut sum = 0;
        for _ in 0..iters {
            sum = spin(self.seed, self.units);
            if self.mode == Mode::Slow {
                std::hint::black_box(spin(self.seed, self.units / 2));
            }
        }
        Ok(match self.mode {
            Mode::WrongChecksum => Work::new(iters * self.units, sum ^ 1),
            Mode::WrongOps => Work::new(iters * (self.units + 1), sum),
            _ => Work::new(iters * self.units, sum),
        })
    }
}

fn spin(seed: u64, units: u64) -> u64 {
    (0..std::hint::black_box(units))
        .fold(seed, |sum, unit| (sum ^ unit).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7))
}

/// Answers every request but `bye` with the next of `lines`, without looking.
fn recite(lines: &[&str]) {
    let mut stdout = std::io::stdout().lock();
    let mut requests = std::io::stdin().lock().lines();
    for line in lines {
        let line = line.replace("NOW", &monotonic_ns().to_string());
        if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() || requests.next().is_none() {
            return;
        }
    }
    // Out of lines: wait for whatever the host does now.
    requests.for_each(drop);
}

const HELLO: &str = r#"{"hello":{"proto":0,"name":"recited","lang":"none","runtime":"none","workloads":["spin"],"clock":"CLOCK_MONOTONIC","threads":1}}"#;
const READY: &str = r#"{"ready":{}}"#;

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let name = words.next().unwrap_or_else(|| mode.clone());
    let mode = match mode.as_str() {
        "honest" => Mode::Honest,
        "slow" => Mode::Slow,
        "wrong-checksum" => Mode::WrongChecksum,
        "wrong-ops" => Mode::WrongOps,
        "hang" => Mode::Hang,
        "exit" => Mode::Exit,
        "panic" => Mode::Panic,
        "unsupported" => Mode::Unsupported,
        "chatty" => Mode::Chatty,
        "restless" => Mode::Restless,
        "orphan" => Mode::Orphan,
        "silent" => {
            recite(&[]);
            return Ok(());
        }
        "garbage" => {
            recite(&[HELLO, READY, "Traceback (most recent call last):"]);
            return Ok(());
        }
        "old-protocol" => {
            recite(&[&HELLO.replace("\"proto\":0", "\"proto\":7")]);
            return Ok(());
        }
        "other-clock" => {
            recite(&[&HELLO.replace("CLOCK_MONOTONIC", "CLOCK_REALTIME")]);
            return Ok(());
        }
        "stale-stamps" => {
            // Claims a block that lies before it was asked for.
            let done =
                r#"{"done":{"block":0,"iters":1,"t0_ns":5,"t1_ns":6000000,"ops":1000,"checksum":"00000000000000aa"}}"#;
            recite(&[HELLO, READY, done, done, done, done, done, done, done, done]);
            return Ok(());
        }
        "other-block" => {
            let done =
                r#"{"done":{"block":99,"iters":1,"t0_ns":NOW,"t1_ns":NOW,"ops":1000,"checksum":"00000000000000aa"}}"#;
            recite(&[HELLO, READY, done]);
            return Ok(());
        }
        "bad-checksum" => {
            let done = r#"{"done":{"block":0,"iters":1,"t0_ns":NOW,"t1_ns":NOW,"ops":1000,"checksum":"0xAA"}}"#;
            recite(&[HELLO, READY, done]);
            return Ok(());
        }
        "huge-integer" => {
            let done = r#"{"done":{"block":0,"iters":1,"t0_ns":NOW,"t1_ns":NOW,"ops":9223372036854775807,"checksum":"00000000000000aa"}}"#;
            recite(&[HELLO, READY, done]);
            return Ok(());
        }
        "talkative" => {
            // Answers, and goes on talking out of turn.
            recite(&[HELLO, &format!("{READY}\n{READY}\n{READY}")]);
            return Ok(());
        }
        "flood" => {
            // One endless line in place of an answer.
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{HELLO}")?;
            std::io::stdin().lock().read_line(&mut String::new())?;
            loop {
                stdout.write_all(&[b'x'; 4096])?;
            }
        }
        other => {
            eprintln!("fixture-contender: unknown mode {other:?}");
            std::process::exit(2);
        }
    };
    serve(&mut Fixture { mode, name })
}
