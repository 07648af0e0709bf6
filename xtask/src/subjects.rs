//! Builds and finds the programs that take part.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench_harness::host::{Child, Interrupt, Launch, Limits};
use bench_harness::placement::allowed_cpus;
use experiments::Contender;

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
pub(crate) fn runtimes(binary: &Path) -> Result<Vec<Contender>> {
    let output = Command::new(binary).arg("--list").output().context("the contenders' list could not be had")?;
    let names = String::from_utf8(output.stdout).context("the contenders' list is not text")?;
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
