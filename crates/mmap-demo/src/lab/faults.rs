//! Which page faults wait for a disk.

use mmap_demo::{Detail, Figure, MemorySnapshot, Process};
use rustix::mm::{Advice, MapFlags};

use super::memory::{Mapping, page};
use super::outcome::{Findings, Outcome, Verdict, percent};
use super::reserve::Steps;
use super::{Failure, Trying, file};

const LENGTH: usize = 16 << 20;

/// Minor and major faults so far.
fn faults() -> Result<[u64; 2], Failure> {
    let snapshot = MemorySnapshot::of(&Process::own()?, Detail::Kinds)?;
    Ok([Figure::MinorFaults, Figure::MajorFaults].map(|figure| snapshot.get(figure).unwrap_or(0)))
}

pub(super) fn walk() -> Result<Outcome, Failure> {
    let file = file::warm(LENGTH)?;
    let mut steps = Steps::new()?;
    let mut counted = |what: &str, work: &dyn Fn()| -> Result<[u64; 2], Failure> {
        let before = faults()?;
        work();
        let after = faults()?;
        let [minor, major] = [after[0] - before[0], after[1] - before[1]];
        steps.note(what, &format!("{minor} minor faults, {major} major"))?;
        Ok([minor, major])
    };
    let memory = Mapping::anonymous(LENGTH, MapFlags::empty()).trying("to map memory")?;
    let _ = memory.advise(Advice::LinuxNoHugepage);
    let fresh = counted("16 MiB of fresh memory written to", &|| memory.touch(0..LENGTH))?;
    let mapping = Mapping::of_file(&file, LENGTH, false, MapFlags::empty()).trying("to map a file")?;
    let warm = counted("16 MiB of a file in the page cache read", &|| _ = mapping.look(0..LENGTH))?;
    // What is mapped is not dropped from the page cache.
    drop(mapping);
    let cold = match file::make_cold(&file) {
        Ok(()) => {
            let mapping = Mapping::of_file(&file, LENGTH, false, MapFlags::empty()).trying("to map a file")?;
            // Or the kernel reads ahead, and most pages are there before anybody asks.
            mapping.advise(Advice::Random).trying("to have nothing read ahead")?;
            Ok(counted("the same, not in the page cache, nothing read ahead", &|| _ = mapping.look(0..LENGTH))?)
        }
        Err(failure) => Err(failure.to_string()),
    };
    let pages = LENGTH / page();
    let mut values = vec![
        ("fresh_major_percent", percent(fresh[1].cast_signed(), pages)),
        ("warm_file_major_percent", percent(warm[1].cast_signed(), pages)),
    ];
    let claim = "a fault waits for a disk where the page is on one, and not in memory";
    let waits = match &cold {
        Ok(cold) => {
            values.push(("cold_file_major_percent", percent(cold[1].cast_signed(), pages)));
            let why = format!("a cold file of {pages} pages: {} major faults", cold[1]);
            Verdict::of(claim, cold[1] as usize * 10 > pages * 9, why)
        }
        Err(why) => Verdict::skipped(claim, why),
    };
    let verdicts = vec![
        Verdict::of(
            "a page fault means that the page was swapped to disk",
            fresh[1] + warm[1] > 0,
            format!(
                "fresh memory: {} faults, {} major; a file in the page cache: {} and {}",
                fresh[0], fresh[1], warm[0], warm[1]
            ),
        ),
        waits,
    ];
    let question = "Which page faults wait for a disk?";
    Ok(Outcome::new("faults", question, Findings::Steps(steps.steps), verdicts).with_values(values))
}
