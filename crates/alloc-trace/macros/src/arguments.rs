//! What stands in the attribute's parentheses, and what is wrong with it.

/// What to write.
pub(crate) const EXAMPLE: &str =
    "write limits, for example `#[alloc_budget(max_allocs = 0)]`; there are max_allocs, max_bytes and max_peak";

/// The limits, as methods of `Budget`.
const LIMITS: [&str; 3] = ["max_allocs", "max_bytes", "max_peak"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The call, or the task.
    Work,
    Thread,
    Task,
    Process,
}

/// `V` is a value as tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments<V> {
    pub(crate) limits: Vec<(&'static str, V)>,
    pub(crate) scope: Scope,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    /// At which of the pairs; behind the last one: at no particular.
    pub(crate) index: usize,
}

impl<V> Arguments<V> {
    /// From pairs: the key, the value as text and as tokens.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (String, String, V)>) -> Result<Self, Wrong> {
        let mut limits: Vec<(&'static str, V)> = Vec::new();
        let mut scope = None;
        let mut count = 0;
        for (index, (key, text, value)) in pairs.into_iter().enumerate() {
            count = index + 1;
            let wrong = |message| Err(Wrong { message, index });
            let limit = LIMITS.into_iter().find(|limit| *limit == key);
            let twice = scope.is_some() && key == "scope" || limits.iter().any(|(known, _)| *known == key);
            if twice {
                return wrong(format!("`{key}` is given twice: leave one"));
            }
            match (limit, key.as_str(), text.trim_matches('"')) {
                (Some(limit), ..) => limits.push((limit, value)),
                (None, "scope", "thread") => scope = Some(Scope::Thread),
                (None, "scope", "task") => scope = Some(Scope::Task),
                (None, "scope", "process") => scope = Some(Scope::Process),
                (None, "scope", other) => {
                    return wrong(format!(
                        "there is no scope `{other}`: write `thread`, `task` or `process`, or leave it out"
                    ));
                }
                (None, ..) => return wrong(unknown(&key)),
            }
        }
        if limits.is_empty() {
            return Err(Wrong { message: format!("a budget without limits: {EXAMPLE}"), index: count });
        }
        Ok(Self { limits, scope: scope.unwrap_or(Scope::Work) })
    }
}

fn unknown(key: &str) -> String {
    let meant = match key.trim_start_matches("max_") {
        "allocs" | "alloc" | "allocations" | "allocation" | "blocks" | "count" | "calls" => Some("max_allocs"),
        "bytes" | "byte" | "size" | "total" => Some("max_bytes"),
        "peak" | "peak_bytes" | "heap" | "live" | "memory" => Some("max_peak"),
        _ => None,
    };
    match meant {
        Some(meant) => format!("there is no `{key}`: write `{meant}`"),
        None => format!("there is no `{key}`: {EXAMPLE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(pairs: &[(&str, &str)]) -> Result<Arguments<String>, String> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into(), (*value).into()));
        Arguments::new(pairs).map_err(|wrong| format!("{}: {}", wrong.index, wrong.message))
    }

    #[test]
    fn limits_and_a_scope_are_understood() {
        let found = arguments(&[("max_peak", "1 << 10"), ("scope", "\"process\""), ("max_allocs", "0")]).unwrap();
        assert_eq!(found.limits, [("max_peak", "1 << 10".into()), ("max_allocs", "0".into())]);
        assert_eq!(found.scope, Scope::Process);
        assert_eq!(arguments(&[("max_bytes", "7")]).unwrap().scope, Scope::Work);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        let wrong = |pairs: &[(&str, &str)]| arguments(pairs).unwrap_err();
        assert_eq!(wrong(&[]), format!("0: a budget without limits: {EXAMPLE}"));
        assert_eq!(wrong(&[("scope", "task")]), format!("1: a budget without limits: {EXAMPLE}"));
        assert_eq!(wrong(&[("max_bytes", "1"), ("allocs", "1")]), "1: there is no `allocs`: write `max_allocs`");
        assert_eq!(wrong(&[("max_colour", "1")]), format!("0: there is no `max_colour`: {EXAMPLE}"));
        assert_eq!(wrong(&[("max_peak", "1"), ("max_peak", "1")]), "1: `max_peak` is given twice: leave one");
        assert_eq!(wrong(&[("scope", "task"), ("scope", "task")]), "1: `scope` is given twice: leave one");
        assert_eq!(
            wrong(&[("scope", "house")]),
            "0: there is no scope `house`: write `thread`, `task` or `process`, or leave it out"
        );
    }
}
