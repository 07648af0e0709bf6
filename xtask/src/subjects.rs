//! Builds and finds the programs that take part.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench_harness::host::{Child, Interrupt, Launch, Limits};
use bench_harness::placement::allowed_cpus;
use experiments::{Contender, Program};

/// Set when a person presses Ctrl-C, from now on.
pub(crate) fn interrupt() -> Result<Interrupt> {
    let interrupt = Interrupt::default();
    let handler = interrupt.clone();
    ctrlc::set_handler(move || handler.set()).context("Ctrl-C can't be caught")?;
    Ok(interrupt)
}

/// Builds the contenders' binary, if it is not up to date, and tells where it is.
pub(crate) fn build(io_uring: bool) -> Result<PathBuf> {
    let mut words = vec!["build", "--release", "--package", "contenders", "--bin", "contenders"];
    if io_uring {
        words.extend(["--features", "io-uring"]);
    }
    built(&words, "contenders")
}

/// Everybody in these programs, which are built if they are not up to date.
pub(crate) fn all(programs: &BTreeSet<Program>, io_uring: bool) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for program in programs {
        contenders.extend(match program {
            Program::Contenders => runtimes(&build(io_uring)?)?,
            Program::MmapDemo => ways()?,
            Program::Allocators => allocators(&[])?,
            Program::TracedPython => vec![traced_python()?],
        });
    }
    Ok(contenders)
}

/// The ways of using memory that `mmap-demo` knows.
fn ways() -> Result<Vec<Contender>> {
    let binary = built(&["build", "--release", "--package", "mmap-demo", "--bin", "mmap-demo"], "mmap-demo")?;
    let contender = |name: &str| Contender {
        name: name.to_owned(),
        launch: Launch { program: binary.clone(), args: vec!["contender".to_owned(), name.to_owned()] },
        added: false,
    };
    Ok(listed(&binary, "contender")?.lines().map(contender).collect())
}

/// The allocators that take part: the name, the program, what it is called with.
const ALLOCATORS: [(&str, &str, &[&str]); 4] = [
    ("glibc", "free-glibc", &[]),
    ("glibc-one-arena", "free-glibc", &["--one-arena"]),
    ("jemalloc", "free-jemalloc", &[]),
    ("mimalloc", "free-mimalloc", &[]),
];

/// Their names.
pub(crate) const ALLOCATOR_NAMES: [&str; 4] = {
    let [(first, ..), (second, ..), (third, ..), (fourth, ..)] = ALLOCATORS;
    [first, second, third, fourth]
};

/// One program with one allocator each, called with these words, too.
pub(crate) fn allocators(more: &[&str]) -> Result<Vec<Contender>> {
    let contender = |(name, program, words): (&str, &str, &[&str])| -> Result<Contender> {
        let program = built(&["build", "--release", "--package", "allocators", "--bin", program], program)?;
        let args = words.iter().chain(more).map(|&word| word.to_owned()).collect();
        Ok(Contender { name: name.to_owned(), launch: Launch { program, args }, added: false })
    };
    ALLOCATORS.into_iter().map(contender).collect()
}

/// The system's Python, with a script that has alloc-trace look at other processes of it.
fn traced_python() -> Result<Contender> {
    let tracer = alloc_trace()?.into_os_string().into_string().ok().context("alloc-trace's path is no text")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/allocators/python_malloc.py").to_owned();
    let launch = Launch { program: "python3".into(), args: vec![script, tracer] };
    Ok(Contender { name: "python".to_owned(), launch, added: false })
}

/// Builds alloc-trace, if it is not up to date, and tells where it is.
pub(crate) fn alloc_trace() -> Result<PathBuf> {
    built(&["build", "--release", "--package", "alloc-trace", "--bin", "alloc-trace"], "alloc-trace")
}

/// What a program lists when it is called with this word.
fn listed(binary: &Path, word: &str) -> Result<String> {
    let what = || format!("the list of {} could not be had", binary.display());
    let output = Command::new(binary).arg(word).output().with_context(what)?;
    String::from_utf8(output.stdout).with_context(what)
}

/// Has cargo build a program, in words of cargo's, and tells where it put it: cargo knows, whatever the target folder is.
pub(crate) fn built(words: &[&str], target: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let mut command = Command::new(cargo);
    command.current_dir(root).args(words).args(["--message-format", "json-render-diagnostics"]);
    // Its progress goes to stderr, where a person sees what takes so long.
    let output = command.stderr(Stdio::inherit()).output().context("cargo could not be started")?;
    if !output.status.success() {
        bail!("{target} could not be built (cargo ended with {}); its messages stand above", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let values = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = values.filter(|message| message["target"]["name"] == target);
    let found = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    found.with_context(|| format!("cargo did not say where it put {target}"))
}

/// The runtimes in the contenders' binary.
fn runtimes(binary: &Path) -> Result<Vec<Contender>> {
    let names = listed(binary, "--list")?;
    let contender = |name: &str| Contender {
        name: name.to_owned(),
        launch: Launch { program: binary.to_owned(), args: vec![name.to_owned()] },
        added: false,
    };
    // The probe is the self-test's subject, no runtime to choose.
    Ok(names.lines().filter(|name| *name != "probe").map(contender).collect())
}

/// A program that a person brings along: it is started once, to hear its name.
pub(crate) fn added(command: &str, interrupt: &Interrupt) -> Result<Contender> {
    let mut words = command.split_whitespace().map(str::to_owned);
    let program = words.next().context("--contender needs a command")?;
    let launch = Launch { program: program.into(), args: words.collect() };
    let limits = Limits { hello: Duration::from_secs(10), ..Limits::default() };
    let child = Child::start(&launch, &allowed_cpus()?, limits, interrupt)
        .with_context(|| format!("the contender {command:?}"))?;
    let name = child.hello().name.clone();
    child.end();
    if name.is_empty() {
        bail!("the contender {command:?} gives an empty name in its hello");
    }
    Ok(Contender { name, launch, added: true })
}
