//! What the commands share: failures, output, progress, Ctrl-C.

pub(crate) mod run;
pub(crate) mod sweep;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sched_sim::{Control, Problems};

/// Why a command gave up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something is wrong with the input.
    #[error("{0}")]
    Input(#[from] Problems),
    /// A file can't be read or written, or a sweep's line is none.
    #[error("{0}")]
    File(String),
    /// Somebody pressed Ctrl-C; what was done until then is written.
    #[error("{0}")]
    Interrupted(String),
    /// Standard output is gone.
    #[error("can't write the result: {0}")]
    Output(#[from] std::io::Error),
}

/// Writes a result to a file, or to standard output for `-`.
pub(crate) fn write(to: &Path, text: &str) -> Result<(), Failure> {
    if to == Path::new("-") {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        return Ok(());
    }
    let failure = |error: std::io::Error| Failure::File(format!("{}: can't be written: {error}", to.display()));
    // A device or a pipe can only be written to in place.
    if to.exists() && !to.is_file() {
        return std::fs::write(to, text).map_err(failure);
    }
    // Beside its place and then renamed: who ends us meanwhile does not leave half a file.
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let beside = to.with_file_name(name);
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, to)).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        failure(error)
    })
}

/// Ends runs on Ctrl-C with what they have; a second Ctrl-C ends the program.
pub(crate) fn stop_on_ctrl_c(control: &Control) {
    let stop = control.stop.clone();
    // Without a handler (somebody set one before) Ctrl-C ends the program at once: no harm.
    let _ = ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}

/// A line on standard error, if that is a terminal, that says how far the runs are.
pub(crate) fn progress(unit: &str, length: Option<u64>) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = if length.is_some() {
        format!("{{bar:40}} {{pos}} of {{len}} {unit}, {{eta}} left")
    } else {
        format!("{{spinner}} {{human_pos}} {unit}, {{per_sec}}")
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
