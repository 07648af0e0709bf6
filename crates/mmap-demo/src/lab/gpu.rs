//! What a GPU's driver, context and memory cost the host.

use super::Failure;
use super::cuda::{Driver, NoGpu};
use super::outcome::{Findings, Outcome, Skipped, Verdict, percent};
use super::reserve::{Steps, signed};

const MIB: i64 = 1 << 20;
const ON_DEVICE: usize = 1 << 30;
const PINNED: usize = 256 << 20;

const CLAIMS: [&str; 4] = [
    "the context reserves virtual memory",
    "a device allocation raises host VIRT and RES",
    "bookkeeping adds resident memory",
    "pinned memory is host memory",
];
const QUESTION: &str = "What do a GPU's context and memory cost the host?";

pub(super) fn walk() -> Result<Outcome, Failure> {
    let mut steps = Steps::new()?;
    let grown = match measured(&mut steps)? {
        Ok(grown) => grown,
        Err(missing) => {
            // What was seen until then stands.
            let verdicts = CLAIMS.map(|claim| Verdict::skipped(claim, &missing.to_string())).to_vec();
            let mut outcome = Outcome::new("gpu", QUESTION, Findings::Steps(steps.steps), verdicts);
            outcome.skipped = Some(Skipped { reason: missing.reason(), why: missing.to_string() });
            return Ok(outcome);
        }
    };
    let Grown { context, memory, pinned } = grown;
    let grew = |(virt, res): (i64, i64)| format!("VIRT {}, RES {}", signed(virt), signed(res));
    let half = |whole: usize| whole.cast_signed() as i64 / 2;
    let verdicts = vec![
        Verdict::of(CLAIMS[0], context.0 - context.1 >= 1024 * MIB, format!("driver and context: {}", grew(context))),
        Verdict::of(
            CLAIMS[1],
            memory.0 >= half(ON_DEVICE) && memory.1 >= half(ON_DEVICE),
            format!("1 GiB on the device, written to: {}", grew(memory)),
        ),
        Verdict::of(CLAIMS[2], context.1 >= MIB, format!("driver and context: {}", grew(context))),
        Verdict::of(CLAIMS[3], pinned.1 >= half(PINNED), format!("256 MiB pinned: {}", grew(pinned))),
    ];
    let values = [
        ("context_virtual_gib", (context.0 / (1024 * MIB)).max(0) as f64),
        ("context_adds_resident", f64::from(u8::from(context.1 >= MIB))),
        ("memory_virtual_percent", percent(memory.0, ON_DEVICE)),
        ("memory_resident_percent", percent(memory.1, ON_DEVICE)),
        ("pinned_resident_percent", percent(pinned.1, PINNED)),
    ];
    Ok(Outcome::new("gpu", QUESTION, Findings::Steps(steps.steps), verdicts).with_values(values))
}

/// By how much VIRT and RES grew.
struct Grown {
    /// The driver, begun, and the context.
    context: (i64, i64),
    memory: (i64, i64),
    pinned: (i64, i64),
}

fn measured(steps: &mut Steps) -> Result<Result<Grown, NoGpu>, Failure> {
    macro_rules! tried {
        ($result:expr) => {
            match $result {
                Ok(value) => value,
                Err(missing) => return Ok(Err(missing)),
            }
        };
    }
    let driver = tried!(Driver::load());
    steps.note("the driver's library loaded", "")?;
    let device = tried!(driver.begin());
    steps.note("the driver begun", "")?;
    let begun = steps.growth();
    let context = tried!(device.context());
    steps.note("a context made", "")?;
    let made = steps.growth();
    let memory = tried!(context.memory(ON_DEVICE));
    steps.note("1 GiB of the device allocated and written to", "")?;
    let on_device = steps.growth();
    let pinned = tried!(context.pinned(PINNED));
    steps.note("256 MiB of the host pinned", "")?;
    let of_host = steps.growth();
    drop((pinned, memory));
    steps.note("both freed", "")?;
    drop(context);
    steps.note("the context given back", "")?;
    Ok(Ok(Grown { context: (begun.0 + made.0, begun.1 + made.1), memory: on_device, pinned: of_host }))
}
