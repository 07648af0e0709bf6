//! What a GPU's driver, context and memory cost the host.

use super::Failure;
use super::cuda::{Driver, NoGpu};
use super::outcome::{Findings, Outcome, Skipped, Verdict, percent};
use super::reserve::{Steps, signed};

const MIB: i64 = 1 << 20;
const ON_DEVICE: usize = 1 << 30;
const PINNED: usize = 256 << 20;

const LIBRARY: &str =
    "the driver's library alone, before a GPU is used, is small: below 256 MiB of VIRT and 64 MiB of RES";
const CONTEXT: &str = "the context reserves virtual memory";
const MEMORY: &str = "a device allocation raises host VIRT and RES";
const BOOKKEEPING: &str = "bookkeeping adds resident memory";
const HOST: &str = "pinned memory is host memory";
const QUESTION: &str = "What do a GPU's context and memory cost the host?";

/// By how much VIRT and RES grew, bytes, or why that is not known.
type Grown = Result<(i64, i64), NoGpu>;

/// What each step did.
struct Measured {
    library: Grown,
    /// The driver, begun, and the context.
    context: Grown,
    memory: Grown,
    pinned: Grown,
}

/// Each step has its own verdict: what fails late takes none from those before it.
pub(super) fn walk() -> Result<Outcome, Failure> {
    let mut steps = Steps::new()?;
    let Measured { library, context, memory, pinned } = measured(&mut steps)?;
    let half = |whole: usize| whole.cast_signed() as i64 / 2;
    let judged = |claim: &str, what: &str, grown: &Grown, holds: &dyn Fn((i64, i64)) -> bool| match grown {
        Ok(grown) => {
            Verdict::of(claim, holds(*grown), format!("{what}: VIRT {}, RES {}", signed(grown.0), signed(grown.1)))
        }
        Err(missing) => Verdict::skipped_because(claim, missing.reason(), &missing.to_string()),
    };
    let of_both = "driver and context";
    let verdicts = vec![
        judged(LIBRARY, "the library loaded", &library, &|(virt, res)| virt < 256 * MIB && res < 64 * MIB),
        judged(CONTEXT, of_both, &context, &|(virt, res)| virt - res >= 1024 * MIB),
        judged(MEMORY, "1 GiB on the device, written to", &memory, &|(virt, res)| {
            virt >= half(ON_DEVICE) && res >= half(ON_DEVICE)
        }),
        judged(BOOKKEEPING, of_both, &context, &|(_, res)| res >= MIB),
        judged(HOST, "256 MiB pinned", &pinned, &|(_, res)| res >= half(PINNED)),
    ];
    let mut values = Vec::new();
    if let Ok((virt, res)) = context {
        values.push(("context_virtual_gib", (virt / (1024 * MIB)).max(0) as f64));
        values.push(("context_adds_resident", f64::from(u8::from(res >= MIB))));
    }
    if let Ok((virt, res)) = memory {
        values.push(("memory_virtual_percent", percent(virt, ON_DEVICE)));
        values.push(("memory_resident_percent", percent(res, ON_DEVICE)));
    }
    if let Ok((_, res)) = pinned {
        values.push(("pinned_resident_percent", percent(res, PINNED)));
    }
    let mut outcome = Outcome::new("gpu", QUESTION, Findings::Steps(steps.steps), verdicts).with_values(values);
    // Without a context there is no GPU to be judged.
    outcome.skipped = context.err().map(|missing| Skipped { reason: missing.reason(), why: missing.to_string() });
    Ok(outcome)
}

fn measured(steps: &mut Steps) -> Result<Measured, Failure> {
    let nothing = |library: Grown, missing: NoGpu| Measured {
        library,
        context: Err(missing.clone()),
        memory: Err(missing.clone()),
        pinned: Err(missing),
    };
    let driver = match Driver::load() {
        Ok(driver) => driver,
        Err(missing) => return Ok(nothing(Err(missing.clone()), missing)),
    };
    steps.note("the driver's library loaded", "")?;
    let library = Ok(steps.growth());
    let device = match driver.begin() {
        Ok(device) => device,
        Err(missing) => return Ok(nothing(library, missing)),
    };
    steps.note("the driver begun", "")?;
    let begun = steps.growth();
    let context = match device.context() {
        Ok(context) => context,
        Err(missing) => return Ok(nothing(library, missing)),
    };
    steps.note("a context made", "")?;
    let made = steps.growth();
    let of_context = Ok((begun.0 + made.0, begun.1 + made.1));
    let memory = context.memory(ON_DEVICE);
    let on_device = noted(steps, &memory, "1 GiB of the device allocated and written to")?;
    let pinned = context.pinned(PINNED);
    let of_host = noted(steps, &pinned, "256 MiB of the host pinned")?;
    drop((pinned, memory));
    steps.note("both freed", "")?;
    drop(context);
    steps.note("the context given back", "")?;
    Ok(Measured { library, context: of_context, memory: on_device, pinned: of_host })
}

/// The memory after a step that may have failed, which is noted as well: the next one begins there.
fn noted<T>(steps: &mut Steps, result: &Result<T, NoGpu>, what: &str) -> Result<Grown, Failure> {
    match result {
        Ok(_) => {
            steps.note(what, "")?;
            Ok(Ok(steps.growth()))
        }
        Err(missing) => {
            steps.note(what, &format!("failed: {missing}"))?;
            Ok(Err(missing.clone()))
        }
    }
}
