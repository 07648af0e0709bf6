//! The command line: parse, call, print. Results go to stdout or files; progress and errors to stderr.
#![deny(unsafe_code)]

mod launch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use alloc_trace::trace::{
    Analysis, Measure, Symbols, TraceFile, collapsed, dhat, difference, flamegraph, heaptrack, html, perfetto, pprof,
    sampled, stacks, stats, summary,
};
use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use indicatif::{ProgressBar, ProgressStyle};

/// Usage or bad input.
const BAD_INPUT: u8 = 2;

/// Places of damage that are told on stderr; the rest is counted.
const MOST_DAMAGE: usize = 10;

/// Why a command did not do what it should; what to tell.
enum Failure {
    Told(String),
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_INPUT } else { 0 });
        }
    };
    let result = match matches.subcommand() {
        Some(("run", matches)) => {
            return match launch::run(matches) {
                Ok(code) => code,
                Err(told) => {
                    anstream::eprintln!("alloc-trace: {told}");
                    ExitCode::from(BAD_INPUT)
                }
            };
        }
        Some((name, matches)) => report(name, matches),
        None => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has heard enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => told(&format!("the output can't be written: {error}")),
        Err(Failure::Told(what)) => told(&what),
    }
}

fn told(what: &str) -> ExitCode {
    anstream::eprintln!("alloc-trace: {what}");
    ExitCode::from(BAD_INPUT)
}

fn command() -> Command {
    let file = |name: &'static str| Arg::new(name).required(true).value_parser(value_parser!(PathBuf));
    let names = Measure::ALL.map(|(name, _)| name);
    let by = Arg::new("by")
        .long("by")
        .value_name("WHAT")
        .default_value("peak")
        .value_parser(PossibleValuesParser::new(names))
        .help("What to weigh stacks by");
    let report = |name: &'static str, about: &'static str, example: &'static str| {
        Command::new(name).about(about).after_help(example)
    };
    let trace = file("file").help("A trace");
    Command::new("alloc-trace")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Who allocates, in any dynamically linked program")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help("Example: alloc-trace run -o app.trace -- ./app && alloc-trace summary app.trace\nExit codes: the program's own from `run`; else 0 fine, 2 bad input")
        .subcommand(launch::command())
        .subcommand(
            report("summary", "What was allocated, most at a time, left over; and by whom", "Example: alloc-trace summary app.trace")
                .arg(trace.clone()),
        )
        .subcommand(
            report("stats", "Calls by kind and by size", "Example: alloc-trace stats app.trace").arg(trace.clone()),
        )
        .subcommand(
            report("flamegraph", "A picture of the stacks, as SVG", "Example: alloc-trace flamegraph --by leaked app.trace > app.svg")
                .arg(trace.clone())
                .arg(by.clone()),
        )
        .subcommand(
            report(
                "collapsed",
                "A line for each stack, as other flame graph programs read them",
                "Example: alloc-trace collapsed --by allocations app.trace | sort",
            )
            .arg(trace)
            .arg(by.clone()),
        )
        .subcommand(
            report(
                "html",
                "All of it as one page that needs no network: figures, memory over time, flame graph, stacks to sort and search",
                "Example: alloc-trace html app.trace > app.html\nExample: alloc-trace html --before old.trace new.trace > change.html",
            )
            .arg(file("file").help("A trace"))
            .arg(file("before").long("before").value_name("F").required(false).help("Another, to show what has changed since")),
        )
        .subcommand(
            report(
                "perfetto",
                "Memory over time for ui.perfetto.dev, beside other traces of the process",
                "Example: alloc-trace perfetto app.trace > app.json",
            )
            .arg(file("file").help("A trace")),
        )
        .subcommand(
            report("pprof", "A profile for pprof", "Example: alloc-trace pprof app.trace > app.pb && go tool pprof -top app.pb")
                .arg(file("file").help("A trace")),
        )
        .subcommand(
            report("dhat", "The trace for valgrind's DHAT viewer", "Example: alloc-trace dhat app.trace > app.json, then open dh_view.html of valgrind's libexec folder and load it")
                .arg(file("file").help("A trace")),
        )
        .subcommand(
            report("heaptrack", "The trace for heaptrack's own programs", "Example: alloc-trace heaptrack app.trace > app.heaptrack && heaptrack_print app.heaptrack")
                .arg(file("file").help("A trace")),
        )
        .subcommand(
            report("diff", "Which stacks have more in a second trace, and which less", "Example: alloc-trace diff --by bytes before.trace after.trace")
                .arg(file("before").help("A trace"))
                .arg(file("after").help("Another"))
                .arg(by),
        )
}

fn report(name: &str, matches: &ArgMatches) -> Result<(), Failure> {
    let measure = || {
        let chosen = matches.get_one::<String>("by").map_or("peak", String::as_str);
        let known = Measure::ALL.into_iter().find(|(name, _)| *name == chosen);
        known.map_or((chosen, Measure::Peak), |(name, measure)| (name, measure))
    };
    let analysis = |argument| -> Result<Analysis, Failure> {
        let found = analysis(matches, argument)?;
        // The others have it in their text.
        if !matches!(name, "summary" | "stats" | "html")
            && let Some(note) = sampled(&found)
        {
            anstream::eprintln!("alloc-trace: sampled, {note}");
        }
        Ok(found)
    };
    let mut symbols = Symbols::default();
    let text = match name {
        "pprof" => {
            let profile = pprof(&analysis("file")?, &mut symbols);
            return Ok(print(&profile)?);
        }
        "dhat" => {
            let found = analysis("file")?;
            dhat(&found, opened(matches, "file")?, &mut symbols)
        }
        "heaptrack" => {
            let found = analysis("file")?;
            let mut out = io::BufWriter::new(io::stdout().lock());
            let written = heaptrack(&found, opened(matches, "file")?, &mut symbols, &mut out);
            return match written.and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(Failure::Told(error.to_string())),
                other => Ok(other?),
            };
        }
        "html" => {
            let before = matches.contains_id("before").then(|| analysis("before")).transpose()?;
            html(&analysis("file")?, before.as_ref())
        }
        "perfetto" => perfetto(&analysis("file")?),
        "summary" => summary(&analysis("file")?, &mut symbols),
        "stats" => stats(&analysis("file")?),
        "collapsed" => collapsed(&stacks(&analysis("file")?, measure().1, &mut symbols)),
        "flamegraph" => {
            let analysis = analysis("file")?;
            let (name, measure) = measure();
            let title = format!("{}: {name}", analysis.origin.program);
            let unit = if measure.is_bytes() { "bytes" } else { "calls" };
            flamegraph(&stacks(&analysis, measure, &mut symbols), &title, unit)
        }
        _ => {
            let (before, after) = (analysis("before")?, analysis("after")?);
            let measure = measure().1;
            let before = stacks(&before, measure, &mut symbols);
            difference(&before, &stacks(&after, measure, &mut Symbols::default()), measure)
        }
    };
    Ok(print(text.as_bytes())?)
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn opened(matches: &ArgMatches, argument: &str) -> Result<TraceFile, Failure> {
    let Some(path) = matches.get_one::<PathBuf>(argument) else {
        return Err(Failure::Told("no trace named".to_owned()));
    };
    TraceFile::open(path).map_err(|error| Failure::Told(error.to_string()))
}

/// Reads a trace, with a bar on a terminal; what could not be read is told on stderr.
fn analysis(matches: &ArgMatches, argument: &str) -> Result<Analysis, Failure> {
    let file = opened(matches, argument)?;
    let path = file.path().to_owned();
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {percent} % {eta}") {
        bar.set_style(style);
    }
    bar.set_message(path.display().to_string());
    let found = Analysis::of(file, |part| bar.set_position((part * 1000.0) as u64));
    bar.finish_and_clear();
    for damage in found.damage.iter().take(MOST_DAMAGE) {
        anstream::eprintln!("alloc-trace: {}: {damage}", path.display());
    }
    if let Some(more) = found.damage.len().checked_sub(MOST_DAMAGE).filter(|&more| more > 0) {
        anstream::eprintln!("alloc-trace: {}: and at {more} more places", path.display());
    }
    Ok(found)
}
