//! What "shared" means in top, and what "anonymous" means at all.

use std::fs::File;

use mmap_demo::{Detail, Figure, MemorySnapshot, Process};
use rustix::mm::{Advice, MapFlags};

use super::memory::{Mapping, found_by_a_child};
use super::outcome::{Findings, Outcome, Verdict, bytes, percent};
use super::reserve::{Steps, signed, within};
use super::{Failure, Trying, file};

const LENGTH: usize = 64 << 20;

/// What top calls SHR, and what others have mapped, too.
fn of_this_process() -> Result<[u64; 2], Failure> {
    let snapshot = MemorySnapshot::of(&Process::own()?, Detail::Sharing)?;
    let figure = |figure| snapshot.get(figure).unwrap_or(0);
    Ok([figure(Figure::Shareable), figure(Figure::SharedClean) + figure(Figure::SharedDirty)])
}

fn less(after: u64, before: u64) -> i64 {
    after.cast_signed() - before.cast_signed()
}

/// A file that one process has mapped, and then two.
pub(super) fn shr() -> Result<Outcome, Failure> {
    let file = file::warm(LENGTH)?;
    let mut steps = Steps::new()?;
    let before = of_this_process()?;
    let mapping = Mapping::of_file(&file, LENGTH, false, MapFlags::empty()).trying("to map a file")?;
    mapping.look(0..LENGTH);
    let alone = of_this_process()?;
    let note = |[shr, shared]: [u64; 2]| format!("SHR {}, shared with others {}", bytes(shr), bytes(shared));
    steps.note("64 MiB of a file mapped and read, by nobody else", &note(alone))?;
    let found = found_by_a_child(|| {
        mapping.look(0..LENGTH);
        of_this_process().into_iter().flatten().collect()
    });
    let [shr, shared] = found.trying("to fork")?[..] else {
        return Err(Failure::File("the child ended before it had told all".to_owned()));
    };
    steps.note("and read by a child, too", &format!("of the child: {}", note([shr, shared])))?;
    let (shr_grown, shared_grown) = (less(alone[0], before[0]), less(alone[1], before[1]));
    let verdicts = vec![
        Verdict::of(
            "SHR counts what could be shared",
            within(shr_grown, LENGTH),
            format!("64 MiB of a file that nobody else has mapped: SHR {}", signed(shr_grown)),
        ),
        Verdict::of(
            "shared in top's columns means shared",
            within(shared_grown, LENGTH),
            format!("of these 64 MiB others have {}: smaps says so, top doesn't", signed(shared_grown)),
        ),
        Verdict::of(
            "what two processes have mapped is shared",
            shared > LENGTH as u64,
            format!("with a child that has read it, too: {}", bytes(shared)),
        ),
    ];
    let values = [
        ("shr_percent", percent(shr_grown, LENGTH)),
        ("shared_percent", percent(shared_grown, LENGTH)),
        ("shared_with_child", f64::from(u8::from(shared > LENGTH as u64))),
    ];
    let question = "Does SHR say what is shared?";
    Ok(Outcome::new("shr", question, Findings::Steps(steps.steps), verdicts).with_values(values))
}

/// A private map of `/dev/zero` beside an anonymous one.
pub(super) fn zero() -> Result<Outcome, Failure> {
    let device = File::open("/dev/zero").trying("to open /dev/zero")?;
    let mut steps = Steps::new()?;
    let anonymous = || -> Result<u64, Failure> {
        let snapshot = MemorySnapshot::of(&Process::own()?, Detail::Kinds)?;
        Ok(snapshot.get(Figure::ResidentAnonymous).unwrap_or(0))
    };
    let mut grown = |name: &str, mapping: std::io::Result<Mapping>| -> Result<(i64, u64), Failure> {
        let mapping = mapping.trying("to map memory")?;
        let _ = mapping.advise(Advice::LinuxNoHugepage);
        let zeros = mapping.look(0..LENGTH);
        let before = anonymous()?;
        mapping.touch(0..LENGTH);
        let grown = less(anonymous()?, before);
        steps.note(&format!("64 MiB {name}, read and written to"), &format!("anonymous: {}", signed(grown)))?;
        Ok((grown, zeros))
    };
    let (of_none, zeros) = grown("anonymous", Mapping::anonymous(LENGTH, MapFlags::empty()))?;
    let (of_device, device_zeros) =
        grown("of /dev/zero, private", Mapping::of_file(&device, LENGTH, true, MapFlags::empty()))?;
    let verdicts = vec![Verdict::of(
        "an anonymous map is a private map of /dev/zero",
        within(of_none, LENGTH) && within(of_device, LENGTH) && zeros + device_zeros == 0,
        format!(
            "both read as zeros; written to, the one adds {} of pages without a file, the other {}: a map without a file is a map of zeros",
            bytes(of_none.unsigned_abs()),
            bytes(of_device.unsigned_abs())
        ),
    )];
    let values = [("anonymous_percent", percent(of_none, LENGTH)), ("dev_zero_percent", percent(of_device, LENGTH))];
    let question = "An anonymous map has no file: why is it called a map?";
    Ok(Outcome::new("zero", question, Findings::Steps(steps.steps), verdicts).with_values(values))
}
