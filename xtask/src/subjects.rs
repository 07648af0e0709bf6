//! Builds and finds the programs that take part.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench_harness::host::{Child, Interrupt, Launch, Limits};
use bench_harness::placement::allowed_cpus;
use experiments::Contender;

/// Builds the contenders' binary, if it is not up to date, and tells where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--release", "--package", "contenders", "--bin", "contenders"]);
    // Nothing but results on stdout; cargo's progress goes to stderr by itself.
    let status = command.stdout(Stdio::null()).status().context("cargo could not be started")?;
    if !status.success() {
        bail!("the contenders could not be built (cargo ended with {status}); its messages stand above");
    }
    let own = std::env::current_exe().context("where this program lies is unknown")?;
    let binary = own.with_file_name("contenders");
    if !binary.exists() {
        bail!(
            "{} is not there although it was built: do CARGO_TARGET_DIR or build.target-dir differ?",
            binary.display()
        );
    }
    Ok(binary)
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
