//! Reserved, touched, given back: VIRT and RES step by step.

use mmap_demo::{Detail, Figure, MemorySnapshot, Process};
use rustix::mm::{Advice, MapFlags};

use super::Failure;
use super::Trying;
use super::memory::Mapping;
use super::outcome::{Findings, Outcome, Step, Verdict, bytes, mib, percent};

const RESERVED: usize = 8 << 30;
const TOUCHED: usize = 256 << 20;

/// Takes steps and notes the memory after each.
pub(super) struct Steps {
    process: Process,
    pub(super) steps: Vec<Step>,
}

impl Steps {
    pub(super) fn new() -> Result<Self, Failure> {
        let mut steps = Self { process: Process::own()?, steps: Vec::new() };
        steps.note("at the beginning", "")?;
        Ok(steps)
    }

    pub(super) fn note(&mut self, what: &str, note: &str) -> Result<(), Failure> {
        let snapshot = MemorySnapshot::of(&self.process, Detail::Sharing)?;
        let figure = |figure| snapshot.get(figure).unwrap_or(0);
        self.steps.push(Step {
            what: what.to_owned(),
            mapped: figure(Figure::Virtual),
            // Counted one by one: the other counter lags behind.
            resident: figure(Figure::ResidentExact),
            note: note.to_owned(),
        });
        Ok(())
    }

    /// By how much the last step has changed the mapped and the resident bytes.
    pub(super) fn growth(&self) -> (i64, i64) {
        let [.., before, after] = self.steps.as_slice() else { return (0, 0) };
        let less = |after: u64, before: u64| after.cast_signed() - before.cast_signed();
        (less(after.mapped, before.mapped), less(after.resident, before.resident))
    }
}

pub(super) fn reserve() -> Result<Outcome, Failure> {
    let mut steps = Steps::new()?;
    let memory = Mapping::anonymous(RESERVED, MapFlags::NORESERVE).trying("to reserve 8 GiB")?;
    let _ = memory.advise(Advice::LinuxNoHugepage);
    steps.note("8 GiB mapped", "")?;
    let (mapped, resident) = steps.growth();
    // Of 8 GiB a percent would be 80 MiB: so much must not go unseen.
    let untouched = mib(resident);
    let free = Verdict::of(
        "virtual memory costs nothing until it is touched",
        mapped == RESERVED.cast_signed() as i64 && resident < 1 << 20,
        format!("8 GiB mapped: VIRT {}, RES {}", signed(mapped), signed(resident)),
    );
    memory.touch(0..TOUCHED);
    steps.note("256 MiB of it written to", "")?;
    let (virt, res) = steps.growth();
    let after_touch = percent(res, TOUCHED);
    let touched = Verdict::of(
        "what is touched becomes resident, page by page",
        virt.abs() < 1 << 20 && within(res, TOUCHED),
        format!("256 MiB touched: VIRT {}, RES {}", signed(virt), signed(res)),
    );
    memory.look(TOUCHED..2 * TOUCHED);
    steps.note("the next 256 MiB read", "all of it is one page of zeros")?;
    memory.advise(Advice::LinuxDontNeed).trying("to give memory up")?;
    steps.note("all of it given up (MADV_DONTNEED)", "still mapped: zeros when read again")?;
    let (virt, res) = steps.growth();
    let given = Verdict::of(
        "memory can be given back and stay mapped",
        virt.abs() < 1 << 20 && within(-res, TOUCHED),
        format!("MADV_DONTNEED: VIRT {}, RES {}", signed(virt), signed(res)),
    );
    drop(memory);
    steps.note("unmapped", "")?;
    let verdicts = vec![free, touched, given];
    let values = [("untouched_resident_mib", untouched), ("touched_percent", after_touch)];
    let question = "What does memory cost that is reserved and not touched?";
    Ok(Outcome::new("reserve", question, Findings::Steps(steps.steps), verdicts).with_values(values))
}

/// But for page tables and what the measuring itself takes: 2 %.
pub(super) fn within(growth: i64, expected: usize) -> bool {
    growth.abs_diff(expected.cast_signed() as i64) <= expected as u64 / 50
}

pub(super) fn signed(growth: i64) -> String {
    format!("{}{}", if growth < 0 { '-' } else { '+' }, bytes(growth.unsigned_abs()))
}
