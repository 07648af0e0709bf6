//! Memory given up, more or less: `MADV_COLD`, `MADV_FREE`, `MADV_DONTNEED`.

use mmap_demo::{Detail, Figure, MemorySnapshot, Process};
use rustix::mm::{Advice, MapFlags};

use super::memory::Mapping;
use super::outcome::{Findings, Outcome, Verdict, bytes, percent};
use super::reserve::{Steps, signed, within};
use super::{Failure, Trying};

const LENGTH: usize = 64 << 20;

pub(super) fn walk() -> Result<Outcome, Failure> {
    let mut steps = Steps::new()?;
    let memory = Mapping::anonymous(LENGTH, MapFlags::empty()).trying("to map memory")?;
    let _ = memory.advise(Advice::LinuxNoHugepage);
    memory.touch(0..LENGTH);
    steps.note("64 MiB written to", "")?;
    memory.advise(Advice::LinuxCold).trying("to call memory cold (MADV_COLD, Linux 5.4)")?;
    steps.note("called cold (MADV_COLD)", "the first to go when memory is short; it is not")?;
    let cold = steps.growth().1;
    memory.advise(Advice::LinuxFree).trying("to let memory be taken (MADV_FREE, Linux 4.5)")?;
    let lazy = MemorySnapshot::of(&Process::own()?, Detail::Sharing)?.get(Figure::LazyFree).unwrap_or(0);
    steps.note(
        "let go (MADV_FREE)",
        &format!("taken when memory is short, and still counted; LazyFree {}", bytes(lazy)),
    )?;
    let free = steps.growth().1;
    memory.touch(0..LENGTH / 2);
    let left = MemorySnapshot::of(&Process::own()?, Detail::Sharing)?.get(Figure::LazyFree).unwrap_or(0);
    steps.note("half of it written to again", &format!("that half is kept: LazyFree {}", bytes(left)))?;
    memory.advise(Advice::LinuxDontNeed).trying("to give memory up")?;
    steps.note("given up (MADV_DONTNEED)", "gone at once; read again, it is zeros")?;
    let dont_need = steps.growth().1;
    let zeros = memory.look(0..LENGTH);
    let small = (LENGTH / 50).cast_signed() as i64;
    let verdicts = vec![
        Verdict::of("MADV_COLD takes nothing away", cold.abs() < small, format!("RES {}", signed(cold))),
        Verdict::of(
            "MADV_FREE gives memory back at once",
            within(-free, LENGTH),
            format!("RES {}, though {} may be taken any time: RES overstates what it costs", signed(free), bytes(lazy)),
        ),
        Verdict::of(
            "what is written to after MADV_FREE is kept",
            within(left.cast_signed(), LENGTH / 2),
            format!("half of it written to: {} may still be taken", bytes(left)),
        ),
        Verdict::of(
            "MADV_DONTNEED gives memory back at once",
            within(-dont_need, LENGTH) && zeros == 0,
            format!("RES {}; it reads as zeros", signed(dont_need)),
        ),
    ];
    let values = [
        ("cold_given_back_percent", percent(-cold, LENGTH)),
        ("free_given_back_percent", percent(-free, LENGTH)),
        ("dontneed_given_back_percent", percent(-dont_need, LENGTH)),
    ];
    let question = "What is given back by madvise, and when?";
    Ok(Outcome::new("advise", question, Findings::Steps(steps.steps), verdicts).with_values(values))
}
