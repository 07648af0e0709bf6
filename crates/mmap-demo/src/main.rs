//! The command line: parse, run, print. Results go to stdout or files, errors to stderr.
#![deny(unsafe_code)]

mod lab;
mod look;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use lab::{Experiment, Failure, outcome};

/// Usage or bad input.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    // Before anything else is allocated.
    if lab::allocator::began_for_its_heap() {
        return ExitCode::SUCCESS;
    }
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_INPUT } else { 0 });
        }
    };
    let result = match matches.subcommand() {
        Some(("list", _)) | None => print(&list()),
        Some(("map", matches)) => look::map(matches),
        Some(("snapshot", matches)) => look::snapshot(matches),
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

/// An option that names a file.
fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("F").value_parser(value_parser!(PathBuf)).help(help)
}

fn command() -> Command {
    let json = file("json", "Write the result as JSON to F; `-` prints it in place of the text");
    let experiments = lab::experiments().into_iter().map(|experiment| {
        Command::new(experiment.name)
            .about(experiment.question)
            .arg(json.clone())
            .arg(file("svg", "Write the picture to F"))
            .after_help(format!("Example: mmap-demo {0} --svg {0}.svg", experiment.name))
    });
    let contender = Command::new("contender")
        .about("Take part in a comparison: speak the lab's contender protocol on stdin and stdout")
        .arg(Arg::new("name").value_name("NAME").help("As which variant; without, their names are listed"))
        .after_help("Example: mmap-demo contender fault-anonymous");
    Command::new("mmap-demo")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Memory maps made visible: experiments with a verdict, measured on this machine")
        .after_help(
            "Examples: mmap-demo reserve --svg reserve.svg\n          mmap-demo map $(pidof cat) --sharers\nExit codes: 0 fine, 2 bad input",
        )
        .subcommand(Command::new("list").about("Name the experiments, and what each asks"))
        .subcommands(experiments)
        .subcommands(look::commands())
        .subcommand(contender)
}

fn list() -> String {
    let line = |experiment: Experiment| format!("{:<15} {}\n", experiment.name, experiment.question);
    lab::experiments().into_iter().map(line).collect()
}

fn run(experiment: &Experiment, matches: &ArgMatches) -> Result<(), Failure> {
    let outcome = experiment.outcome()?;
    deliver(matches, || outcome.to_string(), || serde_json::to_string_pretty(&outcome), || outcome::svg(&outcome))
}

fn contender(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.get_one::<String>("name") {
        Some(name) => lab::contender::serve(name),
        None => print(&lab::contender::names().into_iter().map(|name| name + "\n").collect::<String>()),
    }
}

/// Prints a result or puts it into the files that were asked for.
fn deliver(
    matches: &ArgMatches,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> serde_json::Result<String>,
    svg: impl FnOnce() -> String,
) -> Result<(), Failure> {
    // Not all commands draw.
    let [to_json, to_svg] = ["json", "svg"].map(|name| matches.try_get_one::<PathBuf>(name).ok().flatten());
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
