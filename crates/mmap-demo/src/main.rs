//! The command line: parse, run, print. Results go to stdout or files, errors to stderr.
#![deny(unsafe_code)]

mod lab;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use lab::{Experiment, Failure, outcome};
use mmap_demo::{Detail, MemorySnapshot, Process, RegionMap};

/// Usage or bad input.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_INPUT } else { 0 });
        }
    };
    let result = match matches.subcommand() {
        Some(("list", _)) | None => print(&list()),
        Some(("inspect", matches)) => inspect(matches),
        Some(("contender", matches)) => contender(matches),
        Some((name, matches)) => match lab::experiments().into_iter().find(|experiment| experiment.name == name) {
            Some(experiment) => run(&experiment, matches),
            None => Err(Failure::File(format!("there is no experiment {name:?}: `mmap-demo list` names them"))),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has heard enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("{failure}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("F").value_parser(value_parser!(PathBuf)).help(help)
    };
    let json = file("json", "Write the result as JSON to F; `-` prints it in place of the text");
    let experiments = lab::experiments().into_iter().map(|experiment| {
        Command::new(experiment.name)
            .about(experiment.question)
            .arg(json.clone())
            .arg(file("svg", "Write the picture to F"))
            .after_help(format!("Example: mmap-demo {0} --svg {0}.svg", experiment.name))
    });
    let inspect = Command::new("inspect")
        .about("The address space of a process, and what of it is in memory")
        .arg(
            Arg::new("pid")
                .value_name("PID")
                .value_parser(value_parser!(u32))
                .help("Whose; this one's own if left out"),
        )
        .arg(json.clone())
        .arg(file("svg", "Write the picture to F"))
        .after_help("Example: mmap-demo inspect $(pidof cat) --svg cat.svg");
    let contender = Command::new("contender")
        .about("Take part in a comparison: speak the lab's contender protocol on stdin and stdout")
        .arg(Arg::new("name").value_name("NAME").help("As which variant; without, their names are listed"))
        .after_help("Example: mmap-demo contender fault-anonymous");
    Command::new("mmap-demo")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Memory maps made visible: experiments with a verdict, measured on this machine")
        .after_help("Example: mmap-demo reserve --svg reserve.svg\nExit codes: 0 fine, 2 bad input")
        .subcommand(Command::new("list").about("Name the experiments, and what each asks"))
        .subcommands(experiments)
        .subcommand(inspect)
        .subcommand(contender)
}

fn list() -> String {
    let line = |experiment: Experiment| format!("{:<12} {}\n", experiment.name, experiment.question);
    lab::experiments().into_iter().map(line).collect()
}

fn run(experiment: &Experiment, matches: &ArgMatches) -> Result<(), Failure> {
    let outcome = experiment.outcome()?;
    deliver(matches, || outcome.to_string(), || serde_json::to_string_pretty(&outcome), || outcome::svg(&outcome))
}

fn inspect(matches: &ArgMatches) -> Result<(), Failure> {
    let process = match matches.get_one::<u32>("pid") {
        Some(&pid) => Process::of(pid)?,
        None => Process::own()?,
    };
    let map = RegionMap::of(&process)?;
    let text = || -> Result<String, Failure> {
        let snapshot = MemorySnapshot::of(&process, Detail::Sharing)?;
        Ok(format!("{}\n{snapshot}", map.picture(columns())))
    };
    let text = text()?;
    deliver(matches, || text, || serde_json::to_string_pretty(&map), || map.svg())
}

fn contender(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.get_one::<String>("name") {
        Some(name) => lab::contender::serve(name),
        None => print(&lab::contender::names().into_iter().map(|name| name + "\n").collect::<String>()),
    }
}

/// As wide as the terminal says it is, or a page.
fn columns() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(140)
}

/// Prints a result or puts it into the files that were asked for.
fn deliver(
    matches: &ArgMatches,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> serde_json::Result<String>,
    svg: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let [to_json, to_svg] = ["json", "svg"].map(|name| matches.get_one::<PathBuf>(name));
    if let Some(path) = to_svg {
        write(path, &svg())?;
    }
    if let Some(path) = to_json {
        let json = json().map_err(|error| Failure::File(format!("the result can't be put into JSON: {error}")))?;
        write(path, &(json + "\n"))?;
    }
    if [to_json, to_svg].into_iter().flatten().any(|path| path == Path::new("-")) {
        return Ok(());
    }
    print(&text())
}

fn write(to: &Path, text: &str) -> Result<(), Failure> {
    if to == Path::new("-") {
        return print(text);
    }
    std::fs::write(to, text).map_err(|error| Failure::File(format!("{}: can't be written: {error}", to.display())))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
