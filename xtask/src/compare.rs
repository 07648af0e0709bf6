//! `compare-runtimes`, the main job, and `compare-allocators`: the same of other programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bench_harness::change::{Changes, changes};
use bench_harness::claim::{Claim, Leg};
use bench_harness::host::Interrupt;
use bench_harness::placement::{Placement, allowed_cpus};
use bench_harness::plan::{Effort, Plan};
use bench_harness::render::{csv, html, markdown, terminal};
use bench_harness::report::{Report, Status, Verdict};
use bench_harness::session::Session;
use clap::{Args, ValueEnum};
use experiments::{Program, Programme, REPLAY, Selection, claims, plans};

use crate::progress::Display;
use crate::{FINE, REFUTED, TOO_NOISY, output, replay, subjects};

/// Where results lie if nothing else is said.
const RUNTIMES: &str = "target/compare-runtimes";
const ALLOCATORS: &str = "target/compare-allocators";

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask compare-runtimes                               everything, about 6 minutes of measuring
  cargo xtask compare-runtimes --quick                       about a minute
  cargo xtask compare-runtimes --only ping-pong,yield/one    a family of workloads, and one by its whole name
  cargo xtask compare-runtimes --runtime smol-mt,rayon       these against each comparison's reference
  cargo xtask compare-runtimes --compare old.json            what has changed since
  cargo xtask compare-runtimes --resume                      go on after Ctrl-C
  cargo xtask compare-runtimes --contender 'python3 mine.py' any program that speaks the contender protocol
  cargo xtask compare-runtimes --io-uring --only tcp-echo    with monoio, compio and glommio

Results lie in target/compare-runtimes: report.html (open it), report.json, report.md, report.csv.

Exit code: 0 fine, 1 refuted (only with --gate), 2 bad input, 3 machine too noisy to say anything.")]
pub(crate) struct Runtimes {
    #[command(flatten)]
    comparison: Options,
    /// Only these runtimes, each against the comparison's reference.
    #[arg(long, value_delimiter = ',', value_name = "R,..")]
    runtime: Vec<String>,
    /// Let the program CMD take part too; it has to speak the contender protocol. Repeatable.
    #[arg(long, value_name = "CMD")]
    contender: Vec<String>,
    /// Let monoio, compio and glommio take part too, the runtimes over `io_uring`. A longer first build.
    #[arg(long)]
    io_uring: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask compare-allocators                             glibc's, jemalloc and mimalloc, about a minute of measuring
  cargo xtask compare-allocators --quick                     less than that
  cargo xtask compare-allocators --only alloc/churn          one workload; `alloc` for all of that family
  cargo xtask compare-allocators --allocator mimalloc        it against glibc's
  cargo xtask compare-allocators --replay app.trace          what YOUR program allocates; record it before:
                                                             cargo xtask trace -o app.trace -- ./app
  cargo xtask compare-allocators --json - | less             the report as JSON and nothing else
  cargo xtask compare-allocators --html allocators.html      the page, where you want it
  cargo xtask compare-allocators --compare old.json          what has changed since

The workloads, each in a line: examples/allocators/src/lib.rs. jemalloc and mimalloc are built from C: the first time takes minutes.
Results lie in target/compare-allocators: report.html (open it), report.json, report.md, report.csv.

Exit code: 0 fine, 1 refuted (only with --gate), 2 bad input, 3 machine too noisy to say anything.")]
pub(crate) struct Allocators {
    #[command(flatten)]
    comparison: Options,
    /// Only these allocators, each against the C library's.
    #[arg(long, value_delimiter = ',', value_name = "A,..", value_parser = subjects::ALLOCATOR_NAMES)]
    allocator: Vec<String>,
    /// Replay the calls of a program in place of all workloads; F is its trace, from `cargo xtask trace -o F -- PROGRAM`.
    #[arg(long, value_name = "F", conflicts_with = "only")]
    replay: Option<PathBuf>,
}

/// What every comparison can be asked for.
#[derive(Args)]
struct Options {
    /// The short programme: about 60 s of measuring.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// As long as it takes: every comparison until it is decided or has had its last look; more trials, tails to p99.9.
    #[arg(long)]
    full: bool,
    /// Only these workloads: with variant (`ping-pong/pipe`) or without (`ping-pong`, all variants).
    #[arg(long, value_delimiter = ',', value_name = "W,..")]
    only: Vec<String>,
    /// Only this placement.
    #[arg(long)]
    placement: Option<Where>,
    /// Write the report as JSON to F; `-` prints it in place of the tables.
    #[arg(long, value_name = "F")]
    json: Option<PathBuf>,
    /// Write the page, one file that opens in any browser, to F.
    #[arg(long, value_name = "F")]
    html: Option<PathBuf>,
    /// Write the tables as Markdown to F.
    #[arg(long, value_name = "F")]
    md: Option<PathBuf>,
    /// Write one line a contender as CSV to F.
    #[arg(long, value_name = "F")]
    csv: Option<PathBuf>,
    /// Seeds orders and inputs; the same seed gives the same order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Say what has changed since the report OLD.
    #[arg(long, value_name = "OLD")]
    compare: Option<PathBuf>,
    /// Go on with a report that Ctrl-C cut short: F, or the one that was written last.
    #[arg(long, value_name = "F")]
    #[expect(clippy::option_option, reason = "clap's way to say: a flag whose value may be left out")]
    resume: Option<Option<PathBuf>>,
    /// Exit with 1 when a claim is refuted or, with --compare, something became slower.
    #[arg(long)]
    gate: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Where {
    /// All threads on one core.
    Pinned,
    /// All cores.
    Free,
}

/// Compares runtimes and tells the exit code.
pub(crate) fn runtimes(options: &Runtimes) -> Result<u8> {
    let selection = options.comparison.selection(&options.runtime, None);
    options.comparison.run(&selection, RUNTIMES, |interrupt| {
        let mut contenders = subjects::all(&selection.programs(), options.io_uring)?;
        for command in &options.contender {
            let added = subjects::added(command, interrupt)?;
            if contenders.iter().any(|contender| contender.name == added.name) {
                bail!("the contender {command:?} calls itself {:?}, a name that is taken", added.name);
            }
            contenders.push(added);
        }
        Ok(plans(&selection, &contenders)?)
    })
}

/// Compares allocators and tells the exit code.
pub(crate) fn allocators(options: &Allocators) -> Result<u8> {
    let selection = options.comparison.selection(&options.allocator, Some(Program::Allocators));
    if let Some(trace) = &options.replay {
        let recording = in_workspace(ALLOCATORS).join("replay.recording");
        return options.comparison.run(&selection, ALLOCATORS, |_| replay::plans(trace, &recording, &selection));
    }
    if selection.only.iter().any(|only| only == REPLAY) {
        bail!(
            "{REPLAY} is a program of yours: trace it, cargo xtask trace -o F -- PROGRAM, and have it replayed by --replay F"
        );
    }
    options
        .comparison
        .run(&selection, ALLOCATORS, |_| Ok(plans(&selection, &subjects::all(&selection.programs(), false)?)?))
}

impl Options {
    fn selection(&self, runtimes: &[String], program: Option<Program>) -> Selection {
        Selection {
            only: self.only.clone(),
            runtimes: runtimes.to_vec(),
            placement: self.placement.map(|place| match place {
                Where::Pinned => Placement::Pinned,
                Where::Free => Placement::Free,
            }),
            programme: match (self.quick, self.full) {
                (true, _) => Programme::Quick,
                (_, true) => Programme::Full,
                _ => Programme::Standard,
            },
            program,
        }
    }

    fn effort(&self) -> Effort {
        match (self.quick, self.full) {
            (true, _) => Effort::quick(),
            (_, true) => Effort::full(),
            _ => Effort::standard(),
        }
    }

    /// Compares what is selected, as `build` plans it when it has made the contenders, and tells the exit code. Results lie in `folder`, a place in
    /// the workspace that git ignores, if nothing else is said.
    fn run(
        &self,
        selection: &Selection,
        folder: &str,
        build: impl FnOnce(&Interrupt) -> Result<Vec<Plan>>,
    ) -> Result<u8> {
        // What is wrong is said before anything is built or measured.
        selection.check_workloads()?;
        let files = Files::of(self, folder);
        files.check()?;
        let old = self.compare.as_deref().map(read_report).transpose()?;
        let last_written = |asked: &Option<PathBuf>| asked.clone().unwrap_or_else(|| files.json.clone());
        let partial = self.resume.as_ref().map(|asked| read_report(&last_written(asked))).transpose()?;
        let interrupt = subjects::interrupt()?;

        let plans = without_second_core(build(&interrupt)?)?;
        // Claims that nothing of this is about are not asked for.
        let about = |leg: &Leg| plans.iter().any(|plan| leg.is_about(plan));
        let claims: Vec<Claim> = claims().into_iter().filter(|claim| claim.legs.iter().all(about)).collect();
        let mut session = Session::new(plans, self.effort(), self.seed, command_line(), interrupt);
        if let Some(partial) = partial {
            session = session.resume(partial)?;
        }
        let mut display = Display::new();
        let report = session.run(&claims, &mut |progress| display.show(progress));
        display.end();
        finish(self, &files, &report, old.as_ref())
    }
}

/// On one core, free is pinned: measured once, and said.
pub(crate) fn without_second_core(plans: Vec<Plan>) -> Result<Vec<Plan>> {
    let allowed = allowed_cpus().context("the affinity mask can't be read")?;
    if allowed.len() > 1 {
        return Ok(plans);
    }
    anstream::eprintln!("note: only CPU {allowed:?} may be used, so nothing can run free; pinned comparisons only");
    let kept: Vec<Plan> = plans.into_iter().filter(|plan| plan.placement == Placement::Pinned).collect();
    if kept.is_empty() {
        bail!("nothing is left to measure: everything asked for needs a second core");
    }
    Ok(kept)
}

/// Writes and prints everything, and tells the exit code.
fn finish(options: &Options, files: &Files, report: &Report, old: Option<&Report>) -> Result<u8> {
    let changed = old.map(|old| changes(old, report));
    if !files.to_stdout() {
        let mut text = terminal::report(report);
        if let (Some(changed), Some(path)) = (&changed, &options.compare) {
            text += &terminal::changes(changed, &path.display().to_string());
        }
        output::to_stdout(&text)?;
    } else if let (Some(changed), Some(path)) = (&changed, &options.compare) {
        anstream::eprint!("{}", terminal::changes(changed, &path.display().to_string()));
    }
    files.write(report)?;
    Ok(exit_code(options.gate, report, changed.as_ref()))
}

pub(crate) fn exit_code(gate: bool, report: &Report, changed: Option<&Changes>) -> u8 {
    let ratios = || {
        report.comparisons.iter().flat_map(|comparison| &comparison.contenders).filter(|row| row.status == Status::Ok)
    };
    let rounds: usize = report.comparisons.iter().map(|comparison| comparison.rounds.len()).sum();
    let void = report.noise.void_rounds as usize;
    let nothing_decided = !ratios().any(|row| row.ratio.values().any(|ratio| ratio.decided));
    if !report.partial && rounds > 0 && (2 * void > rounds || (nothing_decided && report.noise.grade == "D")) {
        anstream::eprintln!(
            "This machine is too noisy to say anything: {void} of {rounds} rounds were disturbed by others, noise grade {}. \
             Stop what else is running and try again.",
            report.noise.grade
        );
        return TOO_NOISY;
    }
    let slower =
        changed.is_some_and(|changed| changed.changes.iter().any(|change| change.changed && change.estimate > 1.0));
    let refuted = report.claims.iter().any(|claim| claim.verdict == Verdict::Refuted);
    if gate && (slower || refuted) { REFUTED } else { FINE }
}

fn read_report(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
    Report::parse(&text).with_context(|| format!("{} can't be used", path.display()))
}

/// What a person types to run it again.
pub(crate) fn command_line() -> String {
    let words = std::env::args().skip(1).map(|word| if word.contains(' ') { format!("'{word}'") } else { word });
    std::iter::once("cargo xtask".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// A folder of the workspace, as short as it can be said from here.
fn in_workspace(folder: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let here = std::env::current_dir().unwrap_or_default();
    root.strip_prefix(here).unwrap_or(root).join(folder)
}

/// Where the report goes.
struct Files {
    html: PathBuf,
    json: PathBuf,
    md: PathBuf,
    csv: PathBuf,
}

impl Files {
    fn of(options: &Options, folder: &str) -> Self {
        let folder = in_workspace(folder);
        let file = |asked: &Option<PathBuf>, name: &str| asked.clone().unwrap_or_else(|| folder.join(name));
        Self {
            html: file(&options.html, "report.html"),
            json: file(&options.json, "report.json"),
            md: file(&options.md, "report.md"),
            csv: file(&options.csv, "report.csv"),
        }
    }

    fn all(&self) -> [&Path; 4] {
        [&self.html, &self.json, &self.md, &self.csv]
    }

    /// Whether stdout is taken by a document.
    fn to_stdout(&self) -> bool {
        self.all().into_iter().any(output::is_stdout)
    }

    fn check(&self) -> Result<()> {
        if self.all().into_iter().filter(|path| output::is_stdout(path)).count() > 1 {
            bail!("only one of --html, --json, --md and --csv can go to stdout");
        }
        self.all().into_iter().try_for_each(output::check_writable)
    }

    /// Writes all, also when one of them fails; the first failure is told.
    fn write(&self, report: &Report) -> Result<()> {
        let json = serde_json::to_string(report).context("the report can't be put into JSON")? + "\n";
        let documents = [
            (&self.html, html::report(report)),
            (&self.json, json),
            (&self.md, markdown::report(report)),
            (&self.csv, csv::report(report)),
        ];
        let mut first_failure = Ok(());
        let mut written = Vec::new();
        for (path, text) in documents {
            match output::write(path, &text) {
                Ok(()) if output::is_stdout(path) => {}
                Ok(()) if path == &self.html => written.push(format!("{} (open it)", path.display())),
                Ok(()) => written.push(path.display().to_string()),
                Err(error) => first_failure = first_failure.and(Err(error)),
            }
        }
        if !written.is_empty() {
            let hint = if report.partial {
                "go on with --resume".to_owned()
            } else {
                format!("run again with --compare {} to see what changed", self.json.display())
            };
            anstream::eprintln!("Written  {}       {hint}", written.join(" · "));
        }
        first_failure
    }
}
