//! What is given and would change nothing: most likely it was meant for something else.

use std::collections::{BTreeMap, BTreeSet};

use super::Checker;
use crate::engine::every_step;
use crate::scenario::{PolicyKind, Queues, RuntimeKind, Step};

impl Checker<'_> {
    pub(super) fn unused(&mut self) {
        self.names();
        self.runtime_keys();
        if matches!(self.scenario.policy.kind, PolicyKind::Ps | PolicyKind::Las) {
            self.of_single_cores();
        }
    }

    /// A semaphore or channel that no program uses is one whose name is written in two ways.
    fn names(&mut self) {
        let scenario = self.scenario;
        let (mut semaphores, mut channels) = (BTreeSet::new(), BTreeSet::new());
        every_step(scenario, &mut |step| match step {
            Step::SemWait(name) | Step::SemPost(name) => _ = semaphores.insert(name),
            Step::Send { channel, .. } | Step::Recv(channel) => _ = channels.insert(channel),
            _ => {}
        });
        let given: [(&str, &BTreeMap<String, u32>, _); 2] =
            [("semaphores", &scenario.semaphores, semaphores), ("channels", &scenario.channels, channels)];
        for (key, given, used) in given {
            let fix = match used.iter().find(|name| !given.contains_key(**name)) {
                Some(other) => format!("leave it out, or name one that is used, as {other:?}"),
                None => "leave it out".into(),
            };
            for name in given.keys().filter(|name| !used.contains(name)) {
                self.problem(format!("{key}.{name}"), "no program uses it", fix.as_str());
            }
        }
    }

    fn runtime_keys(&mut self) {
        let runtime = &self.scenario.runtime;
        let has_processes = matches!(runtime.kind, RuntimeKind::Gil2 | RuntimeKind::Gil3 | RuntimeKind::EventLoop);
        let has_pool = matches!(runtime.kind, RuntimeKind::ThreadPool | RuntimeKind::ProcessPool | RuntimeKind::MN);
        // A loop is one thread: who says so is right.
        let is_loop = runtime.kind == RuntimeKind::EventLoop && runtime.workers == Some(1);
        let unused = [
            ("workers", runtime.workers.is_some() && !has_pool && !is_loop, "thread_pool, process_pool and m_n"),
            (
                "queue_limit",
                runtime.queue_limit.is_some() && !runtime.kind.has_workers(),
                "thread_pool, process_pool, event_loop and m_n",
            ),
            ("processes", runtime.processes.is_some() && !has_processes, "gil2, gil3 and event_loop"),
        ];
        for (key, _, kinds) in unused.into_iter().filter(|(_, is_unused, _)| *is_unused) {
            let what = "it would change nothing with this kind of runtime";
            self.problem(format!("runtime.{key}"), what, format!("leave it out: it is for {kinds}"));
        }
    }

    /// Tasks that share all cores have none of their own.
    fn of_single_cores(&mut self) {
        let (what, fix) = ("it would change nothing: ps and las know no single cores", "leave it out");
        if self.scenario.policy.queues() == Queues::PerCore {
            self.problem("policy.queues", what, fix);
        }
        for (number, task) in self.scenario.tasks.iter().enumerate() {
            if task.affinity.is_some() {
                self.problem(format!("tasks[{number}].affinity"), what, fix);
            }
        }
    }
}
