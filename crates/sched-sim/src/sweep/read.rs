//! Grids and shards from files.

use std::path::Path;

use serde_json::Value;

use super::{Grid, RunSummary, set};
use crate::check::{Problem, Problems, check};
use crate::scenario::Scenario;
use crate::scenario::read::{Format, data, in_file, text_of, value, with_lines};

/// Runs that a grid may have: a shard's results are kept until it is done.
pub const MOST_RUNS: u64 = 10_000_000;

/// Reads a grid from a file. Its scenario may be the name of another file, from the grid's folder.
///
/// Every value of `vary` is tried in the scenario, each alone; whether they go together is [`Grid::check`]'s to say.
///
/// # Errors
///
/// A file can't be read, the grid or its scenario is none, a value makes it none, or there are no runs or too many.
pub fn file(path: &Path) -> Result<Grid, Problems> {
    let (text, format) = (text_of(path)?, Format::of(path));
    let mut grid: Grid = in_file(path, data(&text, format))?;
    let mut base_key = "scenario";
    if let Some(name) = grid.scenario.as_str() {
        let base = path.parent().unwrap_or(Path::new("")).join(name);
        let (text, format) = (text_of(&base)?, Format::of(&base));
        grid.scenario = in_file(&base, data(&text, format))?;
        in_file(&base, scenario(&grid.scenario, "").map_err(|problems| with_lines(problems, &text, format)))?;
        base_key = "";
    }
    let checked = try_all(&grid, base_key).map_err(|problems| with_lines(problems, &text, format));
    in_file(path, checked)?;
    Ok(grid)
}

/// Tries the scenario, and each value in it.
fn try_all(grid: &Grid, base_key: &str) -> Result<(), Problems> {
    if !base_key.is_empty() {
        scenario(&grid.scenario, base_key)?;
    }
    match grid.checked_len() {
        None | Some(0) => {
            return Err(Problems::one(
                "replicates",
                "the grid has no runs, or more than 2^64",
                "give 1 or more of everything",
            ));
        }
        Some(runs) if runs > MOST_RUNS => {
            let what = format!("the grid has {runs} runs");
            return Err(Problems::one("vary", what, format!("give at most {MOST_RUNS}, in several grids if need be")));
        }
        Some(_) => {}
    }
    for (key, values) in &grid.vary {
        for (number, choice) in values.iter().enumerate() {
            let place = format!("vary.{key}[{number}]");
            let mut changed = grid.scenario.clone();
            set(&mut changed, key, choice.clone())?;
            scenario(&changed, "").map_err(|problems| {
                let about = |problem: Problem| Problem {
                    what: format!("with {choice} there, {}: {}", problem.key, problem.what),
                    key: place.clone(),
                    ..problem
                };
                Problems(problems.0.into_iter().map(about).collect())
            })?;
        }
    }
    Ok(())
}

/// Is it a scenario? Keys of what is wrong begin with `key`.
fn scenario(data: &Value, key: &str) -> Result<Scenario, Problems> {
    let read = value::<Scenario>(data).and_then(|scenario| check(&scenario).map(|()| scenario));
    read.map_err(|mut problems| {
        for problem in problems.0.iter_mut().filter(|_| !key.is_empty()) {
            problem.key = format!("{key}.{}", problem.key);
        }
        problems
    })
}

/// Reads a shard's results, a line each.
///
/// # Errors
///
/// The file can't be read, or a line is no result.
pub fn shard(path: &Path) -> Result<Vec<RunSummary>, Problems> {
    let text = text_of(path)?;
    let mut runs = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let run = data(line, Format::Json).map_err(|mut problems| {
            for problem in &mut problems.0 {
                problem.line = Some(number + 1);
                problem.fix = "a shard is what `sched-sim sweep` wrote; do it again".into();
            }
            problems
        });
        runs.push(in_file(path, run)?);
    }
    Ok(runs)
}
