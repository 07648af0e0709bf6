//! `contenders NAME` takes part in a comparison as that runtime, speaking the contender protocol on stdin and stdout.

use std::process::ExitCode;

use bench_harness::child::serve;
use contenders::runtimes::{find, runtimes};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let names = || runtimes().iter().map(|runtime| runtime.name).collect::<Vec<_>>();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            use std::io::Write;
            let listed = writeln!(std::io::stdout(), "{}", names().join("\n"));
            if listed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        [name] if let Some(mut runtime) = find(name) => match serve(&mut runtime) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("contenders {name}: {error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!(
                "usage: contenders NAME   speaks the contender protocol as that runtime\n       contenders --list lists the names\n\
                 The runtimes are: {}",
                names().join(", ")
            );
            ExitCode::from(2)
        }
    }
}
