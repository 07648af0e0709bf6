//! Makes the reports, on a thread of its own.
//!
//! Reading a large program's symbols takes a second, a hook may take any time. The watchdog would be blind as long: it hands
//! over what it found, and looks on.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Thread;
use std::time::Duration;

use super::Frame;
use super::hang::{Hang, Polled, Silence, report};
use super::kernel::Activity;
use super::signal::Captured;

/// Reports that wait to be made, each with up to 64 KiB of stack. When there are more hangs, the rest are dropped.
const MOST_WAITING: usize = 16;

/// What the watchdog found out about a hang.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) polled: Polled,
    pub(super) lasted: Duration,
    pub(super) is_repeated: bool,
    pub(super) thread: Thread,
    pub(super) thread_id: i32,
    pub(super) activity: Activity,
    pub(super) captured: Result<Captured, Silence>,
}

/// Has it reported. Starts the thread with the first hang there is.
pub(super) fn send(found: Found) {
    static SENDER: OnceLock<Option<SyncSender<Found>>> = OnceLock::new();
    let sender = SENDER.get_or_init(|| {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let spawned = std::thread::Builder::new().name("mini-hangs".to_owned()).spawn(move || run(&receiver));
        spawned.is_ok().then_some(sender)
    });
    if let Some(sender) = sender {
        // Never `send`, which waits: a hook that hangs would have the watchdog hang. Full: the program hangs faster than can be told,
        // and has been told so.
        let _ = sender.try_send(found);
    }
}

fn run(receiver: &Receiver<Found>) {
    while let Ok(found) = receiver.recv() {
        let (captured, silence) = match &found.captured {
            Ok(captured) => (Some(captured), None),
            Err(silence) => (None, Some(*silence)),
        };
        let stack = captured.map_or_else(Vec::new, frames);
        report(&Hang {
            polled: found.polled,
            name: captured.and_then(|captured| captured.name.as_deref()),
            spawned: captured.and_then(|captured| captured.spawned),
            lasted: found.lasted,
            is_repeated: found.is_repeated,
            thread: found.thread.name(),
            thread_id: found.thread_id,
            activity: found.activity.clone(),
            stack: &stack,
            silence,
        });
    }
}

#[cfg(all(feature = "stacks", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn frames(captured: &Captured) -> Vec<Frame> {
    super::stack::frames(captured)
}

#[cfg(not(all(feature = "stacks", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(super) fn frames(_: &Captured) -> Vec<Frame> {
    Vec::new()
}
