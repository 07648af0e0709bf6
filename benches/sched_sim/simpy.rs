//! In `SimPy`, which a virtual environment in the target folder gets from `PyPI`; without Python or network it does not take part.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The release that takes part.
const SIMPY: &str = "simpy==4.1.2";

/// Prints its version; then for each line, a number of timers, nanoseconds an event. It times itself, so that pipes don't count.
const SCRIPT: &str = r"
import random, sys, time
import simpy

def timer(env, delays):
    while True:
        yield env.timeout(delays.randrange(1, 1 << 20))

def timers(count):
    env, delays = simpy.Environment(), random.Random(1)
    for _ in range(count):
        env.process(timer(env, delays))
    for _ in range(count):
        env.step()  # the processes begin
    return env, delays

def batch(env, delays, events):
    begin = time.perf_counter_ns()
    for _ in range(events):
        env.step()
    end = time.perf_counter_ns()
    for _ in range(events):
        delays.randrange(1, 1 << 20)
    return ((end - begin) - (time.perf_counter_ns() - end)) / events

print(simpy.__version__, sys.version.split()[0], flush=True)
count = None
for line in sys.stdin:
    if count != line:
        count, world = line, None  # the one before goes first
        world = timers(int(line))
    print(batch(*world, 100_000), flush=True)
";

/// Why `SimPy` does not take part.
#[derive(Debug)]
pub(crate) enum Skipped {
    /// There is no `python3`, or it has no `venv`.
    NoPython(std::io::Error),
    /// `pip` could not get it: no network, most likely.
    NoPackage(String),
    /// It could not be started, or went away.
    Gone,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPython(error) => write!(f, "no python3 with venv here ({error})"),
            Self::NoPackage(why) => {
                write!(f, "pip could not get {SIMPY}: {}", why.lines().last().unwrap_or("no reason given"))
            }
            Self::Gone => f.write_str("its process ended early"),
        }
    }
}

/// A process with `SimPy` in it.
#[derive(Debug)]
pub(crate) struct SimPy {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Of `SimPy` and of Python.
    pub(crate) version: String,
}

impl SimPy {
    /// Sets up the environment, the first time, and starts it.
    pub(crate) fn start() -> Result<Self, Skipped> {
        let python = environment()?;
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Skipped::NoPython)?;
        let mut output = BufReader::new(child.stdout.take().ok_or(Skipped::Gone)?);
        let mut version = String::new();
        output.read_line(&mut version).map_err(|_| Skipped::Gone)?;
        Ok(Self { child, output, version: version.trim().to_owned() })
    }

    /// Nanoseconds an event with so many timers, the drawing of delays taken off.
    pub(crate) fn batch(&mut self, timers: u32) -> Option<f64> {
        writeln!(self.child.stdin.as_mut()?, "{timers}").ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        line.trim().parse().ok()
    }
}

impl Drop for SimPy {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The environment's Python; made and filled if it is not there.
fn environment() -> Result<PathBuf, Skipped> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = target.join("simpy-venv");
    let python = folder.join("bin/python");
    let output = |program: &Path, words: &[&str]| Command::new(program).args(words).output();
    if output(&python, &["-c", "import simpy"]).is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    eprintln!("getting {SIMPY} into {}", folder.display());
    let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output().map_err(Skipped::NoPython)?;
    if !made.status.success() {
        return Err(Skipped::NoPython(std::io::Error::other(String::from_utf8_lossy(&made.stdout).into_owned())));
    }
    let words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SIMPY];
    let got = output(&python, &words).map_err(Skipped::NoPython)?;
    if got.status.success() {
        Ok(python)
    } else {
        Err(Skipped::NoPackage(String::from_utf8_lossy(&got.stderr).into_owned()))
    }
}
