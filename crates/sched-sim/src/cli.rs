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
    std::fs::write(to, text).map_err(|error| Failure::File(format!("{}: can't be written: {error}", to.display())))
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
