//! Signals while a program is traced: they are the program's.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// Waits for a program to end, whatever it makes of the signals that would end it.
///
/// What the terminal sends (Ctrl-C and Ctrl-\\), it sends to the program as well: here it is taken, and that is all. What others send to
/// end us is passed on. The program has begun with the signals as they were: none of them is blocked or ignored on our account.
pub(super) fn wait(program: &mut Child) -> io::Result<ExitStatus> {
    let process = Pid::from_raw(program.id().cast_signed());
    // While it has not been waited for, its number is nobody else's.
    let running = Arc::new(Mutex::new(Some(process)));
    let taken = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP]);
    taken.thread_block()?;
    let shared = Arc::clone(&running);
    // It ends with us.
    let _waits = std::thread::Builder::new().spawn(move || {
        while let Ok(signal) = taken.wait() {
            let running = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Signal::SIGTERM | Signal::SIGHUP, Some(process)) = (signal, *running) {
                // It may have ended just now.
                let _ = kill(process, signal);
            }
        }
    })?;
    while waitid(Id::Pid(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::Error::EINTR) {}
    *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    program.wait()
}
