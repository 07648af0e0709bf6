//! From the catalogue and a person's wishes to plans.

use std::collections::BTreeSet;

use bench_harness::host::Launch;
use bench_harness::placement::Placement;
use bench_harness::plan::{CPU, Entry, Plan, WALL};
use bench_harness::protocol::Params;
use bench_harness::report::Kind;

use crate::workloads::{Experiment, Field, Program, experiments};

/// The margin within which times count as equal.
const STEADY_MARGIN: f64 = 0.01;
/// The margin within which tails count as equal.
const TAIL_MARGIN: f64 = 0.05;

/// What a person asked for. Empty lists mean everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Workloads, with variant (`ping-pong/pipe`) or without (`ping-pong`: all variants).
    pub only: Vec<String>,
    /// Runtimes. The reference of each comparison takes part in any case, for the ratios are against it.
    pub runtimes: Vec<String>,
    /// One placement.
    pub placement: Option<Placement>,
    /// How much of the catalogue.
    pub programme: Programme,
    /// Only what this program has: all of it, if no name is given.
    pub program: Option<Program>,
}

/// How much of the catalogue is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Programme {
    /// What tells most in a minute.
    Quick,
    /// Every workload, where it tells most.
    #[default]
    Standard,
    /// Every workload everywhere, at its full size.
    Full,
}

/// A runtime that can take part, and how to start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// Its name.
    pub name: String,
    /// How to start it.
    pub launch: Launch,
    /// Whether a person added it for this run: it then takes part everywhere.
    pub added: bool,
}

/// Why a selection can't be met.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No such workload.
    #[error("there is no workload {asked:?}{}; there are: {}", nearest(asked, known), known.join(", "))]
    Workload {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such runtime.
    #[error("there is no runtime {asked:?}{}; there are: {}", nearest(asked, known), known.join(", "))]
    Runtime {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The wishes exclude one another.
    #[error("nothing is left to measure: {0}")]
    Nothing(String),
}

impl Selection {
    /// Checks the workloads' names, without knowing the runtimes yet.
    ///
    /// # Errors
    /// With the first unknown workload, the known ones and the nearest.
    pub fn check_workloads(&self) -> Result<(), SelectError> {
        for asked in &self.only {
            let all: Vec<Experiment> = experiments().into_iter().filter(|experiment| self.has(experiment)).collect();
            if !all.iter().any(|experiment| matches(experiment.workload, asked)) {
                let mut known: Vec<String> =
                    all.iter().map(|experiment| family(experiment.workload).to_owned()).collect();
                known.dedup();
                known.sort_unstable();
                known.dedup();
                // With a family that exists, the variants are what was meant.
                let of_family = all.iter().filter(|experiment| family(experiment.workload) == family(asked));
                let variants: Vec<String> = of_family.map(|experiment| experiment.workload.to_owned()).collect();
                let known = if variants.is_empty() { known } else { variants };
                return Err(SelectError::Workload { asked: asked.clone(), known });
            }
        }
        Ok(())
    }

    /// The programs that have to be there for it. What no name asks for is the runtimes' alone: other programs would be built for nothing.
    pub fn programs(&self) -> BTreeSet<Program> {
        if self.only.is_empty() || self.program.is_some() {
            return BTreeSet::from([self.program.unwrap_or(Program::Contenders)]);
        }
        let asked = |experiment: &Experiment| self.only.iter().any(|asked| matches(experiment.workload, asked));
        experiments().into_iter().filter(asked).map(|experiment| experiment.program).collect()
    }

    /// Whether the experiment is of the program that is meant, if one is.
    fn has(&self, experiment: &Experiment) -> bool {
        self.program.is_none_or(|program| program == experiment.program)
    }
}

/// The plans for a selection.
///
/// # Errors
/// When a name is unknown or nothing is left.
pub fn plans(selection: &Selection, contenders: &[Contender]) -> Result<Vec<Plan>, SelectError> {
    selection.check_workloads()?;
    let asked = |experiment: &Experiment| {
        selection.only.is_empty() || selection.only.iter().any(|asked| matches(experiment.workload, asked))
    };
    let mut wanted = experiments();
    wanted.retain(|experiment| selection.has(experiment) && asked(experiment));
    of_experiments(&wanted, selection, contenders)
}

/// The plans for these experiments, whatever workloads are selected.
pub(crate) fn of_experiments(
    experiments: &[Experiment],
    selection: &Selection,
    contenders: &[Contender],
) -> Result<Vec<Plan>, SelectError> {
    if let Some(asked) =
        selection.runtimes.iter().find(|asked| contenders.iter().all(|contender| contender.name != **asked))
    {
        let known = contenders.iter().map(|contender| contender.name.clone()).collect();
        return Err(SelectError::Runtime { asked: asked.clone(), known });
    }
    let mut plans = Vec::new();
    for experiment in experiments {
        // Who names a workload wants it, also where the short programme leaves it out.
        let named = selection.only.iter().any(|asked| asked == experiment.workload);
        let placements = match selection.programme {
            _ if named => experiment.full,
            Programme::Quick => experiment.quick,
            // Who names a place wants it, also where the usual programme has another.
            Programme::Standard if selection.placement.is_some() => experiment.full,
            Programme::Standard => experiment.standard,
            Programme::Full => experiment.full,
        };
        for &placement in placements {
            if selection.placement.is_none_or(|asked| asked == placement) {
                plans.extend(plan(experiment, placement, selection, contenders));
            }
        }
    }
    if plans.is_empty() {
        return Err(SelectError::Nothing(
            "these workloads, runtimes and this placement have nothing in common".to_owned(),
        ));
    }
    Ok(plans)
}

fn plan(
    experiment: &Experiment,
    placement: Placement,
    selection: &Selection,
    contenders: &[Contender],
) -> Option<Plan> {
    let wanted = |name: &str| {
        selection.runtimes.is_empty()
            || name == experiment.reference
            || selection.runtimes.iter().any(|asked| asked == name)
    };
    let entry = |contender: &Contender| Entry {
        name: contender.name.clone(),
        launch: contender.launch.clone(),
        params: Vec::new(),
    };
    let entries: Vec<Entry> = match experiment.field {
        Field::All => contenders.iter().filter(|contender| wanted(&contender.name)).map(entry).collect(),
        Field::Only(names) => contenders
            .iter()
            .filter(|contender| contender.added || names.contains(&contender.name.as_str()))
            .filter(|contender| wanted(&contender.name))
            .map(entry)
            .collect(),
        Field::Varied { runtimes, parameter, unit, values } => {
            let those = contenders.iter().filter(|contender| runtimes.contains(&contender.name.as_str()));
            // One alone is compared with itself, whoever was asked for: whether it was, is seen below.
            let those = those.filter(|contender| runtimes.len() == 1 || wanted(&contender.name));
            let varied = |Contender { name, launch, .. }: &Contender| {
                let entry = |(index, &value): (usize, &u64)| Entry {
                    name: if index == 0 { name.clone() } else { format!("{name}@{value}{unit}") },
                    launch: launch.clone(),
                    params: vec![(parameter.to_owned(), value)],
                };
                values.iter().enumerate().map(entry).collect::<Vec<_>>()
            };
            those.flat_map(varied).collect()
        }
    };
    // A reference alone has nobody to be compared with; but what it does at all can be told.
    let alone = experiment.kind == Kind::Behaviour && matches!(experiment.field, Field::Only([_]));
    let asked_for = (alone || entries.iter().any(|entry| entry.name != experiment.reference))
        && entries.iter().any(|entry| wanted_at_all(selection, &entry.name));
    if !asked_for || !entries.iter().any(|entry| entry.name == experiment.reference) {
        return None;
    }
    let steady = [WALL, CPU, "bytes"].contains(&experiment.metric);
    let full = selection.programme == Programme::Full;
    let replaced = if full { experiment.full_params } else { &[] };
    let params = experiment.params.iter().chain(replaced).map(|(key, value)| ((*key).to_owned(), (*value).into()));
    let sizes = experiment.sizes.iter().chain(if full { experiment.full_sizes } else { &[] });
    Some(Plan {
        workload: experiment.workload.to_owned(),
        summary: experiment.summary.to_owned(),
        topic: experiment.topic.to_owned(),
        kind: experiment.kind,
        params: Params(params.collect()),
        placement,
        operation: experiment.operation.to_owned(),
        metric: experiment.metric.to_owned(),
        reference: experiment.reference.to_owned(),
        with_twin: !alone,
        margin: if steady { STEADY_MARGIN } else { TAIL_MARGIN },
        sizes: sizes.copied().collect(),
        entries,
    })
}

/// Whether a person asked for this entry, the reference's free ride aside.
fn wanted_at_all(selection: &Selection, name: &str) -> bool {
    let runtime = name.split('@').next().unwrap_or(name);
    selection.runtimes.is_empty() || selection.runtimes.iter().any(|asked| asked == runtime)
}

/// `spawn-join` takes `spawn-join/batch`; a whole name takes itself.
fn matches(workload: &str, asked: &str) -> bool {
    workload == asked || family(workload) == asked
}

fn family(workload: &str) -> &str {
    workload.split('/').next().unwrap_or(workload)
}

/// `, did you mean "smol-mt"?` where something known is near.
fn nearest(asked: &str, known: &[String]) -> String {
    let best = known.iter().map(|name| (distance(asked, name), name)).min();
    match best {
        Some((distance, name)) if distance <= name.len().max(4) / 2 => format!(", did you mean {name:?}?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contenders() -> Vec<Contender> {
        let launch = Launch { program: "contenders".into(), args: Vec::new() };
        ["tokio-ct", "smol-mt", "thread", "thread-pool", "process", "floor"]
            .map(|name| Contender { name: name.to_owned(), launch: launch.clone(), added: false })
            .to_vec()
    }

    fn select(only: &[&str], runtimes: &[&str]) -> Selection {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Selection { only: owned(only), runtimes: owned(runtimes), ..Selection::default() }
    }

    #[test]
    fn a_family_takes_all_its_variants_and_a_whole_name_every_placement() {
        let plans = |only: &str| plans(&select(&[only], &[]), &contenders()).unwrap();
        let titles: Vec<String> = plans("spawn-join").iter().map(Plan::title).collect();
        assert!(titles.contains(&"spawn-join/batch · pinned".to_owned()), "{titles:?}");
        assert!(titles.contains(&"spawn-join/sleep-1ms · free".to_owned()), "{titles:?}");
        assert_eq!(plans("ping-pong/pipe").len(), 2);
    }

    #[test]
    fn the_full_programme_has_larger_sizes_and_the_quick_one_fewer_workloads() {
        let plans = |programme| plans(&Selection { programme, ..Selection::default() }, &contenders()).unwrap();
        let (quick, standard, full) = (plans(Programme::Quick), plans(Programme::Standard), plans(Programme::Full));
        assert!(quick.len() < standard.len() && standard.len() < full.len());
        let memory =
            |plans: &[Plan]| plans.iter().find(|plan| plan.workload == "memory/pending").unwrap().sizes.clone();
        assert_eq!(
            (memory(&standard), memory(&full)),
            (vec![1_000, 10_000, 100_000], vec![1_000, 10_000, 100_000, 1_000_000])
        );
        let timers = |plans: &[Plan]| {
            plans.iter().find(|plan| plan.workload == "timers/fire").unwrap().params.integer("n", 0..=u64::MAX).unwrap()
        };
        assert_eq!((timers(&standard), timers(&full)), (20_000, 100_000));
    }

    #[test]
    fn the_usual_programme_has_every_kind_of_work() {
        let plans = plans(&Selection::default(), &contenders()).unwrap();
        let usual: BTreeSet<&str> = plans.iter().map(|plan| family(&plan.workload)).collect();
        // Those of programs that the usual comparison doesn't build are for the claims, and for whoever names them.
        let of_runtimes = |experiment: &&Experiment| experiment.program == Program::Contenders;
        let all: BTreeSet<&str> =
            experiments().iter().filter(of_runtimes).map(|experiment| family(experiment.workload)).collect();
        assert_eq!(usual, all);
        assert!(all.len() >= 17, "{all:?}");
    }

    #[test]
    fn only_what_is_asked_for_is_built() {
        let programs = |only: &[&str]| select(only, &[]).programs().into_iter().collect::<Vec<_>>();
        assert_eq!(programs(&[]), [Program::Contenders]);
        assert_eq!(programs(&["memory"]), [Program::Contenders], "what waiting units weigh");
        assert_eq!(programs(&["memory-shr", "memory-free"]), [Program::MmapDemo, Program::Allocators]);
        let allocators = Selection { program: Some(Program::Allocators), ..Selection::default() };
        assert_eq!(allocators.programs(), BTreeSet::from([Program::Allocators]));
    }

    #[test]
    fn a_walk_is_told_of_alone_and_the_ways_of_a_comparison_only_together() {
        let launch = Launch { program: "mmap-demo".into(), args: Vec::new() };
        let contender = |name: &str| Contender { name: name.to_owned(), launch: launch.clone(), added: false };
        let walk = plans(&select(&["memory-reserve"], &[]), &[contender("reserve")]).unwrap();
        assert_eq!((walk.len(), walk[0].entries.len(), walk[0].with_twin), (1, 1, false));
        assert!(plans(&select(&["memory-fork"], &[]), &[contender("fork-small")]).is_err());
        assert!(plans(&select(&["memory-fork"], &[]), &[contender("fork-small"), contender("fork-256m")]).is_ok());
    }

    #[test]
    fn a_program_has_its_own_workloads_and_an_allocator_stands_beside_the_reference() {
        let launch = Launch { program: "free".into(), args: Vec::new() };
        let names = ["glibc", "glibc-one-arena", "jemalloc", "mimalloc"];
        let all = names.map(|name| Contender { name: name.to_owned(), launch: launch.clone(), added: false });
        let of = |only: &[&str], allocators: &[&str]| {
            plans(&Selection { program: Some(Program::Allocators), ..select(only, allocators) }, &all)
        };
        assert!(of(&[], &[]).unwrap().len() >= 10);
        assert!(matches!(of(&["ping-pong"], &[]), Err(SelectError::Workload { .. })));
        let entries = |allocators: &[&str]| -> Vec<String> {
            let plans = of(&["alloc/threads-small"], allocators).unwrap();
            plans[0].entries.iter().map(|entry| entry.name.clone()).collect()
        };
        assert_eq!(entries(&["mimalloc"]), ["glibc", "glibc@2threads", "mimalloc", "mimalloc@2threads"]);
        assert_eq!(entries(&[]).len(), 8);
    }

    #[test]
    fn an_unknown_workload_names_the_nearest_and_all() {
        let error = plans(&select(&["ping-pnog"], &[]), &contenders()).unwrap_err().to_string();
        assert!(error.contains("did you mean \"ping-pong\"?") && error.contains("fork-join"), "{error}");
        let error = plans(&select(&["ping-pong/pip"], &[]), &contenders()).unwrap_err().to_string();
        assert!(error.contains("did you mean \"ping-pong/pipe\"?"), "{error}");
    }

    #[test]
    fn an_unknown_runtime_names_the_nearest_and_all() {
        let error = plans(&select(&[], &["smol"]), &contenders()).unwrap_err().to_string();
        assert!(error.contains("did you mean \"smol-mt\"?") && error.contains("tokio-ct"), "{error}");
    }

    #[test]
    fn the_reference_takes_part_whoever_is_asked_for() {
        let plans = plans(&select(&["yield/one"], &["smol-mt"]), &contenders()).unwrap();
        let names: Vec<&str> = plans[0].entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["tokio-ct", "smol-mt"]);
    }

    #[test]
    fn wishes_that_exclude_one_another_are_said() {
        let error = plans(&select(&["oversubscription"], &["smol-mt"]), &contenders()).unwrap_err();
        assert!(matches!(error, SelectError::Nothing(_)), "{error}");
    }

    #[test]
    fn every_workload_is_listed_once_and_has_a_place() {
        let all = experiments();
        for (index, experiment) in all.iter().enumerate() {
            assert!(!experiment.full.is_empty(), "{}", experiment.workload);
            assert!(all[..index].iter().all(|other| other.workload != experiment.workload), "{}", experiment.workload);
            let within = |places: &[Placement]| places.iter().all(|place| experiment.full.contains(place));
            assert!(within(experiment.quick) && within(experiment.standard), "{}", experiment.workload);
        }
    }
}
