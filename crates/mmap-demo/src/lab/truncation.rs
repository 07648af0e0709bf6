//! A file that is cut under its reader.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use mmap_demo::{Method, ViewError, ViewOptions};

use super::memory::{Mapping, leave_no_core};
use super::outcome::{Findings, Outcome, Verdict};
use super::reserve::Steps;
use super::{Failure, Trying};

const LENGTH: u64 = 64 << 20;
/// Tells the program that it is the one that may die.
const CARELESS: &str = "MMAP_DEMO_CARELESS";

pub(super) fn walk() -> Result<Outcome, Failure> {
    if std::env::var_os(CARELESS).is_some() {
        careless()?;
    }
    let path = std::env::temp_dir().join(format!("mmap-demo-cut-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).trying("to make a file")?;
    std::fs::remove_file(&path).trying("to remove a file's name")?;
    let piece = vec![7; 1 << 20];
    for at in (0..LENGTH).step_by(piece.len()) {
        file.write_all_at(&piece, at).trying("to fill a file")?;
    }
    let mut steps = Steps::new()?;
    let mut view = ViewOptions::new().method(Method::Map).of(file.try_clone().trying("to copy a descriptor")?)?;
    steps.note("64 MiB of a file in view", "")?;
    let mut buffer = vec![0; 1 << 20];
    for at in (0..LENGTH).step_by(buffer.len()) {
        view.read_exact_at(&mut buffer, at)?;
    }
    steps.note("read from one end to the other", "its pages are the page cache's: mapped, not copied")?;
    file.set_len(LENGTH / 2).trying("to cut a file")?;
    steps.note("the file cut to the half", "the pages are gone at once")?;
    let error = view.read_at(&mut buffer, LENGTH - (1 << 20)).err();
    let said = error.as_ref().map_or_else(|| "nothing was said".to_owned(), ToString::to_string);
    steps.note("read behind the cut", &said)?;
    view.refresh()?;
    view.read_exact_at(&mut buffer, 0)?;
    steps.note("looked at afresh", "the half that is left can be read")?;
    drop(view);
    let died = Command::new(std::env::current_exe().trying("to find this program")?)
        .arg("truncation")
        .env(CARELESS, "1")
        .output()
        .trying("to start this program")?
        .status;
    let died_of_it = died.signal() == Some(libc::SIGBUS);
    let told = matches!(error, Some(ViewError::Truncated { now, .. }) if now == LENGTH / 2);
    let verdicts = vec![
        Verdict::of(
            "a mapped file that is cut kills its reader",
            died_of_it,
            format!("the same with a bare mapping, in a process of its own: {died}"),
        ),
        Verdict::of("it need not: a view gives an error", told, said),
    ];
    let question = "What happens to a reader when its file is cut?";
    let values = [("bare_map_dies", f64::from(u8::from(died_of_it))), ("view_gives_error", f64::from(u8::from(told)))];
    Ok(Outcome::new("truncation", question, Findings::Steps(steps.steps), verdicts).with_values(values))
}

/// Reads from a mapping whose file was cut.
fn careless() -> Result<(), Failure> {
    leave_no_core();
    let path = std::env::temp_dir().join(format!("mmap-demo-careless-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).trying("to make a file")?;
    std::fs::remove_file(&path).trying("to remove a file's name")?;
    file.set_len(1 << 20).trying("to make a file longer")?;
    let flags = rustix::mm::MapFlags::empty();
    let mapping = Mapping::of_file(&file, 1 << 20, false, flags).trying("to map a file")?;
    file.set_len(0).trying("to cut a file")?;
    std::hint::black_box(mapping.read(1 << 19));
    Ok(())
}
