//! What people use runtimes for: the topics of a report's comparisons.

use crate::report::Comparison;

/// A kind of work.
#[derive(Clone)]
pub(super) struct Use {
    /// Its place in links.
    pub(super) id: String,
    /// Its name.
    pub(super) title: String,
}

/// The kinds of work that `comparisons` tell about, in the order in which they first come up, each with its comparisons and their
/// places in the list.
pub(super) fn grouped(comparisons: &[Comparison]) -> Vec<(Use, Vec<(usize, &Comparison)>)> {
    let mut groups: Vec<(Use, Vec<(usize, &Comparison)>)> = Vec::new();
    for (index, comparison) in comparisons.iter().enumerate() {
        let title = if comparison.topic.is_empty() { "Other work" } else { &comparison.topic };
        let known = groups.iter().position(|(kind, _)| kind.title == title);
        let place = known.unwrap_or(groups.len());
        if known.is_none() {
            groups.push((Use { id: format!("work-{}", place + 1), title: title.to_owned() }, Vec::new()));
        }
        groups[place].1.push((index, comparison));
    }
    groups
}
