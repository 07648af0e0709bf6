//! Which colour is whose, and what tasks are called.
//!
//! Few tasks have a colour each. Many that have names in common have one for each name: 200 workers are one colour. Many without names
//! keep a colour each, which no legend could list; so do those of a generator, of whom nothing is known but where they were kept.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use super::{clipped, escape};
use crate::outcome::Outcome;

/// Entries of the legend.
pub(super) const LEGEND: usize = 24;
/// Entries beside one another.
const COLUMNS: usize = 6;
const ROW: f64 = 20.0;
/// The colour of columns that sum up tasks without a legend.
const MANY: u32 = u32::MAX;

/// What the picture's tasks are called, and how they are told apart.
#[derive(Debug)]
pub(super) struct Colours {
    names: HashMap<u32, String>,
    /// The colour of each task that is seen: its place in the legend.
    keys: BTreeMap<u32, u32>,
    legend: Vec<String>,
    /// Are there more than a legend could list?
    unlisted: bool,
}

impl Colours {
    /// For the tasks that are in the picture.
    pub(super) fn new(outcome: &Outcome, mut seen: Vec<u32>) -> Self {
        if outcome.tasks.len() <= LEGEND {
            // Who never ran is in the legend, too: that may be the point.
            seen.extend(outcome.tasks.iter().map(|task| task.id));
        }
        seen.sort_unstable();
        seen.dedup();
        let mut given: HashMap<u32, &str> = HashMap::new();
        let mut uses: HashMap<&str, u32> = HashMap::new();
        for (id, name) in outcome.tasks.iter().filter_map(|task| Some((task.id, task.name.as_deref()?))) {
            given.insert(id, name);
            *uses.entry(name).or_default() += 1;
        }
        let name_of = |task: u32| given.get(&task).copied().unwrap_or_default();
        let mut names = HashMap::new();
        for task in &seen {
            let name = name_of(*task);
            let label = match (name, uses.get(name).is_some_and(|uses| *uses > 1)) {
                ("", _) => format!("task {task}"),
                (name, true) => format!("{name} {task}"),
                (name, false) => name.to_owned(),
            };
            names.insert(*task, label);
        }
        if outcome.tasks.is_empty() {
            names.clear();
            return Self { names, keys: seen.into_iter().zip(0..).collect(), legend: Vec::new(), unlisted: true };
        }
        if seen.len() <= LEGEND {
            let never_ran = |task: &u32| outcome.task(*task).is_some_and(|task| task.response.is_none());
            let entry = |task| format!("{}{}", names[task], if never_ran(task) { " (never ran)" } else { "" });
            let legend = seen.iter().map(entry).collect();
            return Self { keys: seen.into_iter().zip(0..).collect(), legend, names, unlisted: false };
        }
        let mut groups: Vec<&str> = Vec::new();
        let mut keys = BTreeMap::new();
        let mut sizes: Vec<usize> = Vec::new();
        for task in &seen {
            let group = groups.iter().position(|group| *group == name_of(*task)).unwrap_or_else(|| {
                groups.push(name_of(*task));
                sizes.push(0);
                groups.len() - 1
            });
            sizes[group] += 1;
            keys.insert(*task, group as u32);
            if groups.len() > LEGEND {
                break;
            }
        }
        if groups.len() > LEGEND || groups.iter().all(|group| group.is_empty()) {
            return Self { names, keys: seen.into_iter().zip(0..).collect(), legend: Vec::new(), unlisted: true };
        }
        let entry = |(group, size): (&&str, &usize)| match (*group, *size) {
            ("", size) => format!("{size} without a name"),
            (group, 1) => group.to_owned(),
            (group, size) => format!("{group}, {size} tasks"),
        };
        Self { names, keys, legend: groups.iter().zip(&sizes).map(entry).collect(), unlisted: false }
    }

    /// What stands for a task's colour.
    pub(super) fn key(&self, task: u32) -> u32 {
        self.keys.get(&task).copied().unwrap_or(u32::MAX)
    }

    /// The same for a column of many: a colour that no legend explains would say nothing there.
    pub(super) fn column_key(&self, task: u32) -> u32 {
        if self.unlisted { MANY } else { self.key(task) }
    }

    /// What the task is called.
    pub(super) fn name(&self, task: u32) -> &str {
        self.names.get(&task).map_or("", String::as_str)
    }

    /// Neighbours get hues far apart: steps of the golden angle. All are light enough for black letters.
    #[allow(clippy::unused_self, reason = "colours are the colours'")]
    pub(super) fn fill(&self, key: u32) -> String {
        if key == MANY {
            return "#8e9fb5".to_owned();
        }
        let hue = (210.0 + f64::from(key % 360) * 137.508) % 360.0;
        let lightness = [66, 78, 58][(key as usize / 8) % 3];
        format!("hsl({hue:.0},62%,{lightness}%)")
    }

    /// The legend's height.
    pub(super) fn height(&self) -> f64 {
        ROW * (1 + self.legend.len().div_ceil(COLUMNS)) as f64
    }

    /// The legend, its first line's base at `y`.
    pub(super) fn write(
        &self,
        svg: &mut String,
        (left, width): (f64, f64),
        y: f64,
        has_columns: bool,
    ) -> std::fmt::Result {
        for (number, name) in self.legend.iter().enumerate() {
            let x = left + (number % COLUMNS) as f64 * width / COLUMNS as f64;
            let y = y + (number / COLUMNS) as f64 * ROW;
            let fill = self.fill(number as u32);
            writeln!(svg, r#"<rect x="{x:.1}" y="{}" width="12" height="12" fill="{fill}"/>"#, y - 10.0)?;
            writeln!(svg, r#"<text x="{:.1}" y="{y}">{}</text>"#, x + 17.0, escape(&clipped(name, 22)))?;
        }
        let y = y + self.height() - ROW;
        let mut note = "light grey: idle, or busy with switching".to_owned();
        if self.unlisted {
            note += "; a colour each for tasks without names";
        }
        if has_columns {
            note += "; what is too short for a box is summed up: a column's height is its part of the time";
        }
        writeln!(svg, r##"<text x="{left}" y="{y}" fill="#555">{note}</text>"##)
    }
}
