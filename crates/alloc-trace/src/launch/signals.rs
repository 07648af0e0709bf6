//! Signals while a program is traced: they are the program's.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// What would end us. Blocked from before the program begins, so that none comes in between.
pub(super) struct Signals {
    taken: SigSet,
    /// The thread's mask as it was.
    before: SigSet,
}

impl Signals {
    /// Takes them from now on.
    pub(super) fn take() -> io::Result<Self> {
        let taken = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP]);
        let before = taken.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { taken, before })
    }

    /// Starts a program, which gets them as they were: none of them is blocked or ignored on our account.
    #[allow(unsafe_code, reason = "the program's signals are let through between fork and exec")]
    pub(super) fn start(&self, command: &mut Command) -> io::Result<Child> {
        let before = self.before;
        let let_through = move || before.thread_set_mask().map_err(io::Error::from);
        // SAFETY: between fork and exec it only calls `pthread_sigmask`, which may be called there (signal-safety(7)), and allocates nothing.
        unsafe { command.pre_exec(let_through) }.spawn()
    }

    /// Waits for it to end, whatever it makes of the signals.
    ///
    /// What the terminal sends (Ctrl-C and Ctrl-\\), it sends to the program as well: here it is taken, and that is all. What others send to
    /// end us is passed on.
    pub(super) fn wait(self, program: &mut Child) -> io::Result<ExitStatus> {
        let process = Pid::from_raw(program.id().cast_signed());
        // While it has not been waited for, its number is nobody else's.
        let running = Arc::new(Mutex::new(Some(process)));
        let shared = Arc::clone(&running);
        // It ends with us.
        let _waits = std::thread::Builder::new().spawn(move || {
            while let Ok(signal) = self.taken.wait() {
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
}
