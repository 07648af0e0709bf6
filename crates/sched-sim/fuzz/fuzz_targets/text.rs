//! Any text, as JSON and as TOML: an error or a scenario; a scenario runs to an end within its limits and can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sched_sim::scenario::read::{Format, text};

#[path = "../run.rs"]
mod run;

fuzz_target!(|input: &str| {
    for format in [Format::Json, Format::Toml] {
        if let Ok(scenario) = text(input, format) {
            run::within_limits(scenario);
        }
    }
});
