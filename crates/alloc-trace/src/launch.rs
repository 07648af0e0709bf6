//! `run`: starts a program with the preload library, and says which traces there are when it has ended.

mod blind;
mod signals;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

use alloc_trace::trace::format::LARGEST_MEAN;
use alloc_trace::trace::{LIBRARY, TraceFile};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use signals::Signals;

/// Names the library to load, in place of looking for it.
const VARIABLE: &str = "ALLOC_TRACE_PRELOAD";

/// How many traces are named at the end.
const LISTED: usize = 20;

pub(crate) fn command() -> clap::Command {
    clap::Command::new("run")
        .about("Run a program and write down who allocates")
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("F")
                .value_parser(value_parser!(PathBuf))
                .help("Where to; children's traces have their process number behind it [default: PROGRAM.PID.trace]"),
        )
        .arg(
            Arg::new("sample")
                .long("sample")
                .value_name("BYTES")
                .value_parser(bytes)
                .help("Draw one byte in so many, and note the blocks that hold one: 512K costs next to nothing, and figures are estimates"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .requires("sample")
                .value_parser(value_parser!(u64))
                .help("Which bytes are drawn: the same in every run of a program that does the same [default: others each time]"),
        )
        .arg(
            Arg::new("python-objects")
                .long("python-objects")
                .action(ArgAction::SetTrue)
                .conflicts_with("sample")
                .help("Note every object of Python 3.11 to 3.13, too, not only the arenas that it takes them from; the program's allocator stays what it is"),
        )
        .arg(
            Arg::new("program")
                .value_name("PROGRAM")
                .required(true)
                .num_args(1..)
                .last(true)
                .value_parser(value_parser!(OsString))
                .help("The program and its arguments"),
        )
        .after_help("Example: alloc-trace run -o json.trace -- python3 -m json.tool FILE\n\nStacks follow frame pointers, and where there are none the tables that compilers write for exceptions. The former cost less: -fno-omit-frame-pointer, or -C force-frame-pointers=yes.\nThe library is looked for beside this program; ALLOC_TRACE_PRELOAD names another place.")
}

/// A number of bytes, of KiB with a K, of MiB with an M.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let error = || format!("{text:?} is no number of bytes from 1 to 1048576M: 100000, 512K and 1M are");
    number.filter(|number| (1..=LARGEST_MEAN).contains(number)).ok_or_else(error)
}

/// Runs the program; its exit code.
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, String> {
    let words: Vec<&OsString> = matches.get_many("program").into_iter().flatten().collect();
    let Some((&program, arguments)) = words.split_first() else { return Err("no program named".to_owned()) };
    let path = found(Path::new(program)).ok_or_else(|| format!("{}: there is no such program", program.display()))?;
    if let Some(note) = blind::blind(&path)? {
        anstream::eprintln!("alloc-trace: {note}");
    }
    let library = library()?;
    let of_program = || {
        let name = path.file_name().map_or_else(|| "program".into(), |name| name.to_string_lossy());
        PathBuf::from(format!("{name}.{}.trace", std::process::id()))
    };
    let output = matches.get_one::<PathBuf>("output").cloned().unwrap_or_else(of_program);
    let output = std::path::absolute(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    if output.exists() {
        return Err(format!("{}: is there already; name another file, or remove it", output.display()));
    }
    if !output.parent().is_some_and(Path::is_dir) {
        return Err(format!("{}: its directory is not there", output.display()));
    }
    if splits(library.as_os_str()) {
        return Err(format!(
            "{}: the loader takes a space or a colon for the end of a library's name; copy the library to a path without, and name that with {VARIABLE}",
            library.display()
        ));
    }
    let mut preload = library.into_os_string();
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let mut command = Command::new(&path);
    command.args(arguments).env("LD_PRELOAD", preload).env("ALLOC_TRACE_FILE", &output);
    for (name, variable) in [("sample", "ALLOC_TRACE_SAMPLE"), ("seed", "ALLOC_TRACE_SEED")] {
        match matches.get_one::<u64>(name) {
            Some(number) => command.env(variable, number.to_string()),
            None => command.env_remove(variable),
        };
    }
    if matches.get_flag("python-objects") {
        command.env("ALLOC_TRACE_PYTHON_OBJECTS", "1");
    } else {
        command.env_remove("ALLOC_TRACE_PYTHON_OBJECTS");
    }
    // Traces of children of earlier runs, whose own was removed.
    let others: HashSet<PathBuf> = siblings(&output).into_iter().collect();
    let signals = Signals::take().map_err(|error| format!("signals can't be taken: {error}"))?;
    let mut child =
        signals.start(&mut command).map_err(|error| format!("{}: can't be run: {error}", path.display()))?;
    let status = signals.wait(&mut child).map_err(|error| format!("{}: {error}", path.display()))?;
    let written = siblings(&output).into_iter().filter(|path| !others.contains(path));
    report(&output, written.filter_map(|path| TraceFile::open(&path).ok()).collect(), child.id());
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => ExitCode::from(code as u8),
        // As shells say it.
        (None, signal) => ExitCode::from(128 + signal.unwrap_or(0) as u8),
    })
}

/// Whether the loader would take it for several names (ld.so(8), `LD_PRELOAD`).
fn splits(library: &OsStr) -> bool {
    library.as_bytes().iter().any(|byte| b" :".contains(byte))
}

/// Says which traces there are, the program's and its children's below their parents, and what of them is damaged. `process` is the one that was started.
fn report(output: &Path, mut traces: Vec<TraceFile>, process: u32) {
    if traces.is_empty() {
        anstream::eprintln!(
            "alloc-trace: nothing was recorded: the program asked for no memory, did not load the library, or could not write {}",
            output.display()
        );
        return;
    }
    traces.sort_by(|a, b| a.origin().began.total_cmp(&b.origin().began));
    let known: Vec<u32> = traces.iter().map(|trace| trace.origin().process).collect();
    for trace in traces.iter().take(LISTED) {
        let mut depth = 0;
        let mut process = trace.origin().parent;
        while let Some(parent) = traces.iter().find(|other| other.origin().process == process)
            && depth < known.len()
        {
            depth += 1;
            process = parent.origin().parent;
        }
        let origin = trace.origin();
        let name = Path::new(&origin.program).file_name().unwrap_or_default().display();
        anstream::eprintln!(
            "alloc-trace: {:indent$}{} {name} {}",
            "",
            origin.process,
            trace.path().display(),
            indent = depth * 2
        );
        if let Some(damage) = trace.damage().first() {
            anstream::eprintln!("alloc-trace: {}: {damage}", trace.path().display());
        }
    }
    if let Some(more @ 1..) = traces.len().checked_sub(LISTED) {
        anstream::eprintln!("alloc-trace: and {more} more, {}.*", output.display());
    }
    // A launcher, a shell script for one, becomes the program that was meant. One that asks for nothing before its children has not the first trace.
    let meant = traces.iter().rfind(|trace| trace.origin().process == process).unwrap_or(&traces[0]);
    anstream::eprintln!("alloc-trace: now: alloc-trace summary {}", meant.path().display());
}

/// A trace and those of children.
fn siblings(output: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (output.parent(), output.file_name()) else { return Vec::new() };
    let prefix = format!("{}.", name.to_string_lossy());
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let of_child = |path: &PathBuf| {
        let rest = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let rest = rest.as_deref().and_then(|name| name.strip_prefix(&prefix)).map(str::to_owned);
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    };
    let children = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(of_child);
    std::iter::once(output.to_owned()).filter(|path| path.exists()).chain(children).collect()
}

/// A program's file, looked for as a shell does.
fn found(program: &Path) -> Option<PathBuf> {
    let runs =
        |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if program.components().count() > 1 {
        return Some(program.to_owned()).filter(runs);
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|directory| directory.join(program)).find(runs)
}

/// The library: where the variable says, beside this program, or built, if this program runs from its sources.
fn library() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(named);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("{VARIABLE} names {}, which is not there", path.display()))
        };
    }
    let program =
        std::env::current_exe().map_err(|error| format!("where this program is can't be found out: {error}"))?;
    let beside = program.parent().map(Path::to_owned).unwrap_or_default();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload/Cargo.toml");
    let of_cargo = beside.file_name().is_some_and(|name| name == "debug" || name == "release");
    if of_cargo && sources.is_file() {
        return built(&sources, &beside);
    }
    let places = [beside.join(LIBRARY), beside.join("../lib").join(LIBRARY)];
    places.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let [first, second] = places.each_ref().map(|path| path.display());
        format!(
            "the library is at neither {first} nor {second}; build it with `cargo build --profile preload --package alloc-trace-preload` and name it with {VARIABLE}"
        )
    })
}

/// Has cargo build the library by its own profile, whatever this program is built with: its cost is the traced program's, and so is its C library.
fn built(sources: &Path, beside: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = beside.parent().unwrap_or(beside);
    let library = target.join("preload").join(LIBRARY);
    if is_fresh(&library, sources) {
        return Ok(library);
    }
    let output = Command::new(cargo)
        .args(["build", "--profile", "preload", "--quiet", "--manifest-path"])
        .arg(sources)
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            // cargo has found it fresh, or made it so: the next run need not ask again.
            _ = File::options().append(true).open(&library).and_then(|file| file.set_modified(SystemTime::now()));
            Ok(library)
        }
        Ok(output) => {
            Err(format!("the library can't be built: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
        }
        // Without cargo, one that was built before will do.
        Err(_) if library.is_file() => Ok(library),
        Err(error) => Err(format!("the library can't be built: cargo can't be run: {error}; name one with {VARIABLE}")),
    }
}

/// Whether the library is younger than all it is made of, by the list that cargo writes beside it. cargo knows it better, but waits for
/// every other build in that folder, and a program that is to be traced shall not.
fn is_fresh(library: &Path, manifest: &Path) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let (Some(built), Ok(list)) = (modified(library), std::fs::read_to_string(library.with_extension("d"))) else {
        return false;
    };
    let Some((_, files)) = list.lines().next().and_then(|line| line.split_once(": ")) else { return false };
    // A space within a name has a backslash before it.
    let files = files.replace("\\ ", "\0");
    let files: Vec<PathBuf> = files.split(' ').map(|name| PathBuf::from(name.replace('\0', " "))).collect();
    // A folder for several checkouts may have another's.
    if !manifest.parent().is_some_and(|sources| files.contains(&sources.join("src/lib.rs"))) {
        return false;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let settings = [manifest.to_owned(), root.join("Cargo.toml"), root.join("Cargo.lock")];
    files.into_iter().chain(settings).all(|file| modified(&file).is_some_and(|modified| modified < built))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_library_is_fresh_as_long_as_it_is_younger_than_all_it_is_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, age: u64| {
            let path = folder.path().join(name);
            let file = File::options().create(true).append(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            path
        };
        // The lock and settings of this workspace are older than a library of tomorrow.
        let tomorrow = |path: &Path| {
            let file = File::options().append(true).open(path).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_hours(24)).unwrap();
        };
        let (library, manifest) = (file("library.so", 0), file("Cargo.toml", 60));
        tomorrow(&library);
        assert!(!is_fresh(&library, &manifest), "nothing tells what it is made of");
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let (plain, spaced) = (file("src/lib.rs", 60), file("with space.rs", 60));
        let escaped = spaced.display().to_string().replace(' ', "\\ ");
        let list = format!("{}: {} {escaped}\n", library.display(), plain.display());
        std::fs::write(library.with_extension("d"), list).unwrap();
        assert!(is_fresh(&library, &manifest));
        let elsewhere = folder.path().join("other/Cargo.toml");
        std::fs::create_dir(folder.path().join("other")).unwrap();
        std::fs::copy(&manifest, &elsewhere).unwrap();
        assert!(!is_fresh(&library, &elsewhere), "it is made of other sources");
        file("library.so", 600);
        assert!(!is_fresh(&library, &manifest), "it is older than its sources");
        tomorrow(&library);
        std::fs::remove_file(spaced).unwrap();
        assert!(!is_fresh(&library, &manifest), "one of its sources is gone");
        assert!(!is_fresh(&folder.path().join("none.so"), &manifest));
    }
}
