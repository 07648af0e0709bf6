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
    /// The thread's mask as it was.
    before: SigSet,
    /// The program, as long as it has not been waited for: then its number is nobody else's.
    running: Arc<Mutex<Option<Pid>>>,
}

impl Signals {
    /// Takes them from now on.
    ///
    /// What the terminal sends (Ctrl-C and Ctrl-\\), it sends to the program as well: here it is taken, and that is all. What others send to
    /// end us is passed on.
    pub(super) fn take() -> io::Result<Self> {
        let taken = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP]);
        let before = taken.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let running = Arc::new(Mutex::new(None));
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
        Ok(Self { before, running })
    }

    /// Starts a program, which gets them as they were: none of them is blocked or ignored on our account.
    #[allow(unsafe_code, reason = "the program's signals are let through between fork and exec")]
    pub(super) fn start(&self, command: &mut Command) -> io::Result<Child> {
        let before = self.before;
        let let_through = move || before.thread_set_mask().map_err(io::Error::from);
        // Whatever comes meanwhile waits until there is somebody to pass it on to.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: between fork and exec it only calls `pthread_sigmask`, which may be called there (signal-safety(7)), and allocates nothing.
        let child = unsafe { command.pre_exec(let_through) }.spawn()?;
        *running = Some(process(&child));
        Ok(child)
    }

    /// Waits for it to end, whatever it makes of the signals.
    pub(super) fn wait(self, program: &mut Child) -> io::Result<ExitStatus> {
        let process = process(program);
        while waitid(Id::Pid(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::Error::EINTR) {}
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        program.wait()
    }
}

fn process(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
