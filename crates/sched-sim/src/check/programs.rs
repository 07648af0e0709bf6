//! What is wrong with programs: names, tasks that do not exist, loops that are too deep.

use super::Checker;
use crate::engine::{Tasks, every_step};
use crate::scenario::{CpuTime, Step, Task};

/// Loops and `nogil` sections may be so deep.
const DEPTH: usize = 32;
/// Loops of one program.
const LOOPS: usize = 60_000;
/// Stopwatches: each has a histogram of its own, which may take half a megabyte.
const MARKS: usize = 1_000;

impl Checker<'_> {
    pub(super) fn programs(&mut self) {
        for (number, task) in self.scenario.tasks.iter().enumerate() {
            let mut loops = 0;
            self.steps(&format!("tasks[{number}].program"), &task.program, false, 0, &mut loops);
        }
        if let Some(program) = self.scenario.generator.as_ref().and_then(|generator| generator.program.as_ref()) {
            self.steps("generator.program", program, true, 0, &mut 0);
        }
        let mut marks = std::collections::HashSet::new();
        every_step(self.scenario, &mut |step| {
            if let Step::Mark(name) = step {
                marks.insert(name);
            }
        });
        if marks.len() > MARKS {
            let what = format!("{} different marks", marks.len());
            self.problem("tasks", what, format!("use at most {MARKS}"));
        }
    }

    fn steps(&mut self, key: &str, steps: &[Step], generated: bool, depth: usize, loops: &mut usize) {
        if depth > DEPTH {
            self.problem(key, "sections nested too deep", format!("nest at most {DEPTH}"));
            return;
        }
        for (number, step) in steps.iter().enumerate() {
            let key = format!("{key}[{number}]");
            match step {
                Step::Cpu(CpuTime::Fixed(time)) => self.time(&format!("{key}.cpu"), *time),
                Step::Cpu(CpuTime::Service(_)) if !generated => {
                    self.problem(
                        format!("{key}.cpu"),
                        "only a generator's program has a service time",
                        "give a number",
                    );
                }
                Step::Io(time) => self.time(&format!("{key}.io"), *time),
                Step::Sleep(time) => self.time(&format!("{key}.sleep"), *time),
                Step::Await { cpu, io } => {
                    self.time(&format!("{key}.await.cpu"), *cpu);
                    self.time(&format!("{key}.await.io"), *io);
                }
                Step::Send { bytes, .. } if *bytes > u64::from(u32::MAX) => {
                    let what = format!("a message of {bytes} bytes");
                    self.problem(format!("{key}.bytes"), what, format!("give at most {}", u32::MAX));
                }
                Step::Spawn(task) => match self.task(*task) {
                    Some(known) if known.spawned => {}
                    Some(_) => self.problem(
                        format!("{key}.spawn"),
                        format!("task {task} comes by itself"),
                        "mark it: spawned = true",
                    ),
                    None => self.missing(&format!("{key}.spawn"), *task),
                },
                Step::Join(task) => self.exists(&format!("{key}.join"), *task),
                Step::Kill(task) => self.exists(&format!("{key}.kill"), *task),
                Step::Nogil(steps) => {
                    self.steps(&format!("{key}.nogil"), steps, generated, depth + 1, loops);
                }
                Step::Repeat(_, steps) => {
                    *loops += 1;
                    if *loops > LOOPS {
                        self.problem(&key, "too many loops in one program", format!("use at most {LOOPS}"));
                        return;
                    }
                    self.steps(&format!("{key}.repeat[1]"), steps, generated, depth + 1, loops);
                }
                _ => {}
            }
        }
    }

    /// What each task of a kind takes: its columns, and a counter for each loop of its program.
    pub(super) fn bytes_of(task: &Task) -> u64 {
        fn loops(steps: &[Step]) -> u64 {
            let of = |step: &Step| match step {
                Step::Nogil(steps) => loops(steps),
                Step::Repeat(_, steps) => 1 + loops(steps),
                _ => 0,
            };
            steps.iter().map(of).sum()
        }
        Tasks::BYTES + 4 * loops(&task.program)
    }

    fn exists(&mut self, key: &str, task: u32) {
        if self.task(task).is_none() {
            self.missing(key, task);
        }
    }

    fn missing(&mut self, key: &str, task: u32) {
        self.problem(key, format!("there is no task {task}"), "name the id of a task");
    }
}
