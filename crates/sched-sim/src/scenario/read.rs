//! Scenarios from files: JSON or TOML, by the file's name, with errors that name file, line, key and what would be right.

mod locate;
mod message;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::Scenario;
use crate::check::{Problems, check};

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
    in_file(path, text(&text_of(path)?, Format::of(path)))
}

/// Reads a scenario from a text and checks it.
///
/// # Errors
///
/// The text is no JSON or TOML, or the scenario has problems.
pub fn text(text: &str, format: Format) -> Result<Scenario, Problems> {
    let scenario = data(text, format)?;
    check(&scenario).map_err(|problems| with_lines(problems, text, format))?;
    Ok(scenario)
}

/// A file's text.
pub(crate) fn text_of(path: &Path) -> Result<String, Problems> {
    let wrong = |what: String, fix: &str| in_file(path, Err(Problems::one("", what, fix)));
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return wrong(format!("can't be read: {error}"), "name a file that can be read"),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + String::from_utf8_lossy(valid).matches('\n').count();
            in_file(path, Err(syntax(line, "this is no text", "save it as UTF-8")))
        }
    }
}

/// Puts a file's name to what is wrong.
pub(crate) fn in_file<T>(path: &Path, result: Result<T, Problems>) -> Result<T, Problems> {
    result.map_err(|mut problems| {
        for problem in &mut problems.0 {
            problem.file.get_or_insert_with(|| path.display().to_string());
        }
        problems
    })
}

/// Puts lines to problems that are known by their keys.
pub(crate) fn with_lines(mut problems: Problems, text: &str, format: Format) -> Problems {
    for problem in &mut problems.0 {
        // What is not there at all is missed from the start.
        problem.line = locate::line(text, format, &problem.key).or(Some(1));
    }
    problems
}

/// Reads a document, and says in a person's words what is wrong with it.
pub(crate) fn data<T: DeserializeOwned>(text: &str, format: Format) -> Result<T, Problems> {
    match format {
        Format::Json => json(text),
        Format::Toml => toml(text),
    }
}

/// Reads a part of a document that is data already.
pub(crate) fn value<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, Problems> {
    serde_path_to_error::deserialize(value).map_err(|error| wrong(None, error.path(), &error.inner().to_string()))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, Problems> {
    const FIX: &str = "mend the JSON there; TOML is read from files whose names end in .toml";
    let mut from = serde_json::Deserializer::from_str(text);
    let data = serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let path = error.path().clone();
        let inner = error.into_inner();
        // Its message ends with the position, which has a place of its own here.
        let what = inner.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        match inner.classify() {
            Category::Data => wrong(Some(inner.line()), &path, what),
            Category::Syntax if what.starts_with("recursion limit") => {
                syntax(inner.line(), "nested too deep", "nest sections of a program at most 32 deep")
            }
            Category::Eof => syntax(inner.line(), "the text ends too early", FIX),
            Category::Syntax | Category::Io => syntax(inner.line(), what, FIX),
        }
    })?;
    from.end().map_err(|error| syntax(error.line(), "more text behind the end", "leave it out"))?;
    Ok(data)
}

fn toml<T: DeserializeOwned>(text: &str) -> Result<T, Problems> {
    let line = |error: &toml::de::Error| error.span().map(|span| text[..span.start].matches('\n').count() + 1);
    let from = toml::Deserializer::parse(text).map_err(|error| {
        let fix = "mend the TOML there; JSON is read from files whose names do not end in .toml";
        syntax(line(&error).unwrap_or(1), error.message(), fix)
    })?;
    serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().clone();
        let inner = error.into_inner();
        wrong(line(&inner), &path, inner.message())
    })
}

/// The text is not of its format.
fn syntax(line: usize, what: &str, fix: &str) -> Problems {
    let mut problems = Problems::one("", what, fix);
    problems.0[0].line = Some(line);
    problems
}

/// The text is of its format, but is no scenario (or whatever was to be read).
fn wrong(line: Option<usize>, path: &serde_path_to_error::Path, message: &str) -> Problems {
    let said = message::about_value(message);
    let mut key = path.to_string();
    if key == "." {
        key.clear();
    }
    if let Some(missing) = said.missing {
        key = if key.is_empty() { missing } else { format!("{key}.{missing}") };
    }
    let mut problems = Problems::one(key, said.what, said.fix);
    problems.0[0].line = line;
    problems
}
