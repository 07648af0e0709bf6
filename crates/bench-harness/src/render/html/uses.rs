//! What people use runtimes for, and which workloads tell about it.

use crate::report::Comparison;

/// A kind of work.
pub(super) struct Use {
    /// Its place in links.
    pub(super) id: &'static str,
    /// Its name.
    pub(super) title: &'static str,
    /// The workloads that tell about it, by the part of the name before the stroke.
    workloads: &'static [&'static str],
}

/// All kinds of work; the last takes what no other does.
pub(super) const USES: [Use; 6] = [
    Use { id: "making", title: "Making units of work", workloads: &["spawn-join"] },
    Use {
        id: "switching",
        title: "Switching and handing over",
        workloads: &["yield", "ping-pong", "channel", "mutex", "foreign-wake"],
    },
    Use {
        id: "connections",
        title: "Many connections and timers",
        workloads: &["tcp-echo", "memory", "timers", "mixed"],
    },
    Use { id: "cpu", title: "CPU-bound work", workloads: &["fork-join", "oversubscription"] },
    Use {
        id: "robustness",
        title: "When something goes wrong",
        workloads: &["blocked-loop", "fairness", "panic", "cancel", "offload"],
    },
    Use { id: "other", title: "Other work", workloads: &[] },
];

/// The kinds of work that `comparisons` tell about, each with its comparisons and their places in the list.
pub(super) fn grouped(comparisons: &[Comparison]) -> Vec<(&'static Use, Vec<(usize, &Comparison)>)> {
    let groups = USES.iter().enumerate().map(|(index, kind)| {
        let of_kind = comparisons.iter().enumerate().filter(|(_, comparison)| use_of(&comparison.workload) == index);
        (kind, of_kind.collect::<Vec<_>>())
    });
    groups.filter(|(_, comparisons)| !comparisons.is_empty()).collect()
}

fn use_of(workload: &str) -> usize {
    let family = workload.split('/').next().unwrap_or(workload);
    USES.iter().position(|kind| kind.workloads.contains(&family)).unwrap_or(USES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_has_a_use_and_strangers_the_last() {
        let uses = ["ping-pong/pipe", "timers", "blocked-loop", "mine/own"].map(|workload| USES[use_of(workload)].id);
        assert_eq!(uses, ["switching", "connections", "robustness", "other"]);
    }
}
