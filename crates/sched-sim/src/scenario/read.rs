//! Scenarios from files: JSON or TOML, by the file's name, with errors that name file, line, key and what would be right.

mod locate;

use std::path::Path;

use super::Scenario;
use crate::check::{Problem, Problems, check};

/// How a scenario is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// TOML of the same shape.
    Toml,
}

impl Format {
    /// The format that a file's name says; everything but `.toml` is JSON.
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|extension| extension == "toml") { Self::Toml } else { Self::Json }
    }
}

/// Reads a scenario from a file and checks it.
///
/// # Errors
///
/// The file can't be read, is no JSON or TOML, or the scenario has problems.
pub fn file(path: &Path) -> Result<Scenario, Problems> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problems(vec![Problem {
            file: Some(path.display().to_string()),
            line: None,
            key: String::new(),
            what: format!("can't be read: {error}"),
            fix: String::new(),
        }])
    })?;
    self::text(&text, Format::of(path)).map_err(|mut problems| {
        for problem in &mut problems.0 {
            problem.file = Some(path.display().to_string());
        }
        problems
    })
}

/// Reads a scenario from a text and checks it.
///
/// # Errors
///
/// The text is no JSON or TOML, or the scenario has problems.
pub fn text(text: &str, format: Format) -> Result<Scenario, Problems> {
    let scenario = match format {
        Format::Json => json(text)?,
        Format::Toml => toml(text)?,
    };
    check(&scenario).map_err(|mut problems| {
        for problem in &mut problems.0 {
            problem.line = locate::line(text, format, &problem.key);
        }
        problems
    })?;
    Ok(scenario)
}

fn json(text: &str) -> Result<Scenario, Problems> {
    let mut from = serde_json::Deserializer::from_str(text);
    let scenario = serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let key = error.path().to_string();
        let inner = error.into_inner();
        // Its message ends with the position, which has a place of its own here.
        let what = inner.to_string();
        let what = what.split(" at line ").next().unwrap_or_default().to_owned();
        wrong(Some(inner.line()), key, what)
    })?;
    from.end().map_err(|error| wrong(Some(error.line()), String::new(), "more text behind the scenario".into()))?;
    Ok(scenario)
}

fn toml(text: &str) -> Result<Scenario, Problems> {
    let line = |error: &toml::de::Error| error.span().map(|span| text[..span.start].matches('\n').count() + 1);
    let from = toml::Deserializer::parse(text)
        .map_err(|error| wrong(line(&error), String::new(), error.message().to_owned()))?;
    serde_path_to_error::deserialize(from).map_err(|error| {
        let key = error.path().to_string();
        let inner = error.into_inner();
        wrong(line(&inner), key, inner.message().to_owned())
    })
}

fn wrong(line: Option<usize>, key: String, what: String) -> Problems {
    let key = if key == "." { String::new() } else { key };
    Problems(vec![Problem { file: None, line, key, what, fix: "`sched-sim schema` prints what is allowed".into() }])
}
