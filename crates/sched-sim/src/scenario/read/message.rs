//! What a parser says, in the words of whoever writes scenarios: what is wrong there, and what would be right.
//!
//! serde speaks of fields, variants and types of Rust. Its sentences have a few fixed forms (`serde::de::Error`'s constructors), which are
//! taken apart here; one that has no such form is passed on as it is.

/// What is wrong, and the fix; and the part of the key that the parser's path lacks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) what: String,
    pub(super) fix: String,
    pub(super) missing: Option<String>,
}

/// Turns a parser's sentence about a value into ours.
pub(super) fn about_value(message: &str) -> Said {
    let said = |what: String, fix: String| Said { what, fix, missing: None };
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (name, known) = quoted(rest);
        return said(format!("there is no key {name:?} here"), choice(name, &known, "keys"));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (name, known) = quoted(rest);
        return said(format!("{name:?} is not known here"), choice(name, &known, "words"));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let (name, _) = quoted(rest);
        let missing = Some(name.to_owned());
        return Said { what: "it is missing".into(), fix: example(name), missing };
    }
    if let Some(rest) = message.strip_prefix("duplicate field ") {
        let (name, _) = quoted(rest);
        return said(format!("{name:?} stands there twice"), "leave one of them".into());
    }
    let of_type = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = of_type.and_then(|rest| rest.split_once(", expected ")) {
        // "integer `5`", "string \"5 ms\"", "floating point `1.5`": the value stands at the end.
        let found = found.split_once('`').map_or(found, |(_, value)| value.trim_end_matches('`'));
        return said(format!("{found} does not fit"), format!("give {}", kind(expected)));
    }
    // Our own sentences say what would be right after a semicolon.
    match message.split_once("; ") {
        Some((what, fix)) => said(what.to_owned(), fix.to_owned()),
        None => said(message.to_owned(), "`sched-sim schema` prints what is allowed".into()),
    }
}

/// The first name in backquotes, and the others.
fn quoted(text: &str) -> (&str, Vec<&str>) {
    let mut names = text.split('`').skip(1).step_by(2);
    (names.next().unwrap_or_default(), names.collect())
}

/// The nearest of the names, if it is near, and all of them.
fn choice(name: &str, known: &[&str], what: &str) -> String {
    let nearest = known.iter().map(|known| (distance(name, known), *known)).min();
    let near = nearest.filter(|(distance, known)| *distance <= 1 + known.len() / 4);
    let all = known.join(", ");
    match near {
        Some((_, near)) => format!("did you mean {near:?}? The {what} are {all}"),
        None if known.is_empty() => format!("there are no {what} here"),
        None => format!("the {what} are {all}"),
    }
}

/// How many letters have to be added, left out or changed (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *known);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// A type of Rust as a person would say it.
fn kind(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative and not huge".into(),
        "i8" => "a whole number, -20 to 19".into(),
        "f32" | "f64" => "a number".into(),
        "a string" => "a text in quotes".into(),
        "a sequence" => "a list: [..]".into(),
        "a map" => "a table: { key = value }".into(),
        "a boolean" => "true or false".into(),
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => {
            "a table with the keys that `sched-sim schema` lists".into()
        }
        other if other.starts_with("tuple of 2 elements") || other.contains("a tuple of size 2") => {
            "two things: [how often, [steps]]".into()
        }
        other => other.to_owned(),
    }
}

/// What a key that has to be there might look like.
fn example(name: &str) -> String {
    let line = match name {
        "schema" => r#"schema = "sched-scenario/0""#,
        "machine" => "machine = { cores = 4 }",
        "cores" => "cores = 4",
        "policy" => r#"policy = { kind = "rr", quantum = 4 }"#,
        "kind" => r#"kind = ".."; `sched-sim schema` lists the words"#,
        "id" => "id = 0, another one for each task",
        "program" => "program = [{ cpu = 10 }]",
        "arrivals" => r#"arrivals = { kind = "poisson", rate = 0.5 }"#,
        "service" => r#"service = { kind = "exp", mean = 1 }"#,
        "rate" => "rate = 0.5, arrivals per unit of time",
        "mean" => "mean = 1",
        "scenario" => r#"scenario = "base.toml", or the scenario itself"#,
        _ => return format!("give it: {name} = ..; `sched-sim schema` says what it means"),
    };
    format!("give {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshtein_s() {
        let pairs = [("", "abc"), ("kitten", "sitting"), ("quantun", "quantum"), ("arival", "arrival")];
        assert_eq!(pairs.map(|(one, other)| distance(one, other)), [3, 3, 1, 1]);
    }

    #[test]
    fn an_unknown_key_is_met_with_the_nearest() {
        let said = about_value("unknown field `quantun`, expected one of `kind`, `quantum`");
        assert_eq!(said.what, "there is no key \"quantun\" here");
        assert_eq!(said.fix, "did you mean \"quantum\"? The keys are kind, quantum");
    }
}
