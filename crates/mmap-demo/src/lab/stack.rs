//! Stacks: how they grow, what a thread's costs, and what lies below the end.

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::mm::MapFlags;

use super::memory::{Mapping, die_of_bad_addresses, in_a_child, page};
use super::outcome::{Findings, Outcome, Verdict, percent};
use super::reserve::{Steps, signed};
use super::{Failure, Trying};

/// How far the main thread's stack is made to grow: the usual limit is 8 MiB.
const DEEP: usize = 4 << 20;
/// The stack has some room from the beginning.
const NEARLY: i64 = (DEEP - DEEP / 8).cast_signed() as i64;
/// What a thread gets.
const OF_THREAD: usize = 64 << 20;
/// What a call takes of it, at least.
const FRAME: usize = 16 << 10;

/// Goes at least so many bytes down the stack, and back, and tells how deep it was.
fn dive(bytes: usize) -> usize {
    below(usize::MAX, bytes)
}

/// As [`dive`], from the frame at this address on; from none, from here. How large a frame becomes is the compiler's business.
#[inline(never)]
fn below(top: usize, bytes: usize) -> usize {
    let frame = black_box([1_u8; FRAME]);
    let here = (&raw const frame).addr();
    let top = if top == usize::MAX { here } else { top };
    let depth = top.saturating_sub(here);
    let deepest = if depth < bytes { below(top, bytes) } else { depth };
    // After the call, so that the frame is still needed.
    black_box(&frame);
    deepest
}

pub(super) fn walk() -> Result<Outcome, Failure> {
    let mut steps = Steps::new()?;
    black_box(dive(DEEP));
    steps.note(
        "the main thread 4 MiB down its stack, and back",
        "the kernel makes it longer at each fault, and never shorter",
    )?;
    let main = steps.growth();
    let thread = std::thread::Builder::new().stack_size(OF_THREAD);
    let (asked, answered) = std::sync::mpsc::channel::<()>();
    let (done, ready) = std::sync::mpsc::channel::<()>();
    let thread = thread
        .spawn(move || {
            let _ = done.send(());
            let _ = answered.recv();
            black_box(dive(DEEP));
            let _ = done.send(());
            let _ = answered.recv();
        })
        .trying("to start a thread")?;
    let _ = ready.recv();
    steps.note(
        "a thread with a stack of 64 MiB",
        "reserved at once; as much again for the allocations of a second thread",
    )?;
    let begun = steps.growth();
    let _ = asked.send(());
    let _ = ready.recv();
    steps.note("the thread 4 MiB down", "resident, page by page")?;
    let deep = steps.growth();
    drop(asked);
    let _ = thread.join();
    // Alone again: a child may be forked.
    let mut guard = Mapping::anonymous(2 * page(), MapFlags::empty()).trying("to map a page")?;
    guard.protect(false).trying("to guard a page")?;
    let into_guard = in_a_child(|| {
        die_of_bad_addresses();
        guard.write_anyway(0);
    });
    let endless = in_a_child(|| {
        die_of_bad_addresses();
        black_box(dive(usize::MAX));
    });
    let [into_guard, endless] = [into_guard.trying("to fork")?, endless.trying("to fork")?].map(ExitStatus::from_raw);
    let of_bad_address = |status: ExitStatus| status.signal() == Some(libc::SIGSEGV);
    let verdicts = vec![
        Verdict::of(
            "the main thread's stack grows as it is used",
            main.0 >= NEARLY && main.1 >= NEARLY,
            format!("4 MiB down: VIRT {}, RES {}", signed(main.0), signed(main.1)),
        ),
        Verdict::of(
            "a thread's stack costs what it was given",
            begun.1 > OF_THREAD.cast_signed() as i64 / 2,
            format!(
                "64 MiB given: VIRT {}, RES {}; 4 MiB down: RES {}: it costs what was touched",
                signed(begun.0),
                signed(begun.1),
                signed(deep.1)
            ),
        ),
        Verdict::of(
            "who runs off the end of the stack is stopped by a page that may not be touched",
            of_bad_address(into_guard) && of_bad_address(endless),
            format!("a write to such a page: {into_guard}; a recursion without end: {endless}"),
        ),
    ];
    let values = [
        ("main_grown_percent", percent(main.0, DEEP)),
        ("thread_resident_percent", percent(begun.1, OF_THREAD)),
        ("stopped", f64::from(u8::from(of_bad_address(into_guard) && of_bad_address(endless)))),
    ];
    let question = "How does a stack grow, and what stops it?";
    Ok(Outcome::new("stack", question, Findings::Steps(steps.steps), verdicts).with_values(values))
}
