//! Contenders that are processes: set up afresh, pinned or free, round after round.

use crate::host::{Child, ChildError, Interrupt, Launch, Limits, Stamps};
use crate::plan::{Effort, Plan};
use crate::protocol::{Done, Params, Prepare, Run};
use crate::round::{Entered, Entrant, Station};

/// A contender that is a process.
struct ProcessEntrant {
    name: String,
    launch: Launch,
    cpus: Vec<usize>,
    limits: Limits,
    interrupt: Interrupt,
    request: Prepare,
}

struct ProcessStation(Child);

impl Station for ProcessStation {
    fn run(&mut self, request: Run) -> Result<(Done, Stamps), ChildError> {
        self.0.run(request)
    }

    fn leave(self: Box<Self>) {
        self.0.end();
    }
}

impl Entrant for ProcessEntrant {
    fn name(&self) -> &str {
        &self.name
    }

    fn enter(&mut self, size: Option<u64>) -> Result<Entered<'_>, ChildError> {
        let mut child = Child::start(&self.launch, &self.cpus, self.limits, &self.interrupt)?;
        let mut request = self.request.clone();
        if let Some(size) = size {
            request.params.0.insert("n".to_owned(), size.into());
        }
        child.prepare(&request)?;
        let (hello, startup) = (child.hello().clone(), child.startup());
        Ok(Entered { station: Box::new(ProcessStation(child)), hello: Some(hello), startup })
    }
}

/// A plan's contenders, and its reference once more.
pub(crate) fn entrants(
    plan: &Plan,
    seed: u64,
    effort: &Effort,
    interrupt: &Interrupt,
    allowed: &[usize],
) -> Vec<Box<dyn Entrant>> {
    let reference = plan.entries.iter().find(|entry| entry.name == plan.reference);
    let twin = reference.filter(|_| plan.with_twin).map(|entry| (plan.twin(), entry));
    let all = plan.entries.iter().map(|entry| (entry.name.clone(), entry)).chain(twin);
    all.map(|(name, entry)| {
        let Params(mut params) = plan.params.clone();
        params.extend(entry.params.iter().map(|(key, value)| (key.clone(), (*value).into())));
        let request = Prepare { workload: plan.workload.clone(), params: Params(params), seed };
        let cpus = plan.placement.cpus(allowed);
        let entrant = ProcessEntrant {
            name,
            launch: entry.launch.clone(),
            cpus,
            limits: effort.limits,
            interrupt: interrupt.clone(),
            request,
        };
        Box::new(entrant) as Box<dyn Entrant>
    })
    .collect()
}
