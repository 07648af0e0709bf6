//! The host's side of the protocol: starts a contender, talks to it, and never trusts it.
//!
//! A child may lie, flood, send garbage, exit or hang. Each of these is a [`ChildError`] with a sentence for a person; the
//! child and whatever it started are ended by process group when its [`Child`] is dropped, however that comes about.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::load::LoadError;
use crate::placement::starting_on;
use crate::protocol::{
    ChildMessage, Done, Hello, HostMessage, MAX_INTEGER, MAX_LINE, PROTO, Prepare, Ready, Refusal, Run,
};
use crate::usage::monotonic_ns;

/// How long to wait in one go before looking whether a person pressed Ctrl-C. Long, for each look is a wake-up.
const INTERRUPT_LOOK: Duration = Duration::from_millis(250);
/// How much of a child's stderr is kept for the error's sentence, bytes.
const STDERR_KEPT: usize = 2048;
/// How long a child may take to exit after `bye` before it is killed.
const BYE_LIMIT: Duration = Duration::from_secs(2);

/// How to start a contender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Its program.
    pub program: PathBuf,
    /// The program's arguments.
    pub args: Vec<String>,
}

/// How long a child may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From start to `hello`.
    pub hello: Duration,
    /// From `prepare` to `ready`.
    pub prepare: Duration,
    /// From `run` to `done`.
    pub block: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { hello: seconds(10), prepare: seconds(20), block: seconds(20) }
    }
}

/// Set from a signal handler; every wait looks at it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks everything that waits to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What went wrong with a child.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be started.
    #[error("could not be started: {0}")]
    Start(#[source] io::Error),
    /// It said no.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It ended while an answer was due.
    #[error("ended ({how}) instead of answering `{asked}`{said}")]
    Exited {
        /// The request that was open.
        asked: &'static str,
        /// How it ended.
        how: String,
        /// The last of its stderr.
        said: String,
    },
    /// It did not answer in time.
    #[error("did not answer `{asked}` within {limit:?} and was ended{said}")]
    Hung {
        /// The request that was open.
        asked: &'static str,
        /// The time it had.
        limit: Duration,
        /// The last of its stderr.
        said: String,
    },
    /// It sent something that is not the protocol.
    #[error("answered `{asked}` with something that is not the protocol: {what}")]
    Garbage {
        /// The request that was open.
        asked: &'static str,
        /// What it sent and what is wrong with it.
        what: String,
    },
    /// It sent more than it was asked for.
    #[error("spoke without being asked: {0}")]
    OutOfTurn(String),
    /// It claims what can't be.
    #[error("{0}")]
    Lied(String),
    /// It keeps a CPU busy while others are measured.
    #[error(
        "used {used:.1?} of CPU time in {rested:.1?} in which it was asked for nothing, and so disturbs the others"
    )]
    Restless {
        /// What it used between its blocks.
        used: Duration,
        /// How long it had nothing to do.
        rested: Duration,
    },
    /// It serves, and the load generator could not do its part.
    #[error("{0}")]
    Load(String),
    /// A person wants it to end.
    #[error("interrupted")]
    Interrupted,
}

impl From<LoadError> for ChildError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Interrupted => Self::Interrupted,
            other => Self::Load(other.to_string()),
        }
    }
}

/// Where a child that serves says that it listens.
///
/// # Errors
/// When that is no address.
pub fn server_address(listen: &str) -> Result<SocketAddr, ChildError> {
    listen.parse().map_err(|error| ChildError::Lied(format!("listens at {listen:?}, which is no address: {error}")))
}

/// Whether a block counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Stamps {
    /// The child's stamps lie between the host's.
    Fit,
    /// They don't: the block is void, with the reason.
    Void(String),
}

/// A running contender.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    hello: Hello,
    startup: Duration,
    limits: Limits,
    interrupt: Interrupt,
    unread: Vec<u8>,
    stderr_tail: Vec<u8>,
    /// When it was last left alone, and what it had used by then.
    rests_since: Option<(Instant, Duration)>,
}

impl Child {
    /// Starts a contender on `cpus` and waits for its `hello`.
    ///
    /// # Errors
    /// When it can't be started or pinned, or what it says is not a `hello` of our version.
    pub fn start(launch: &Launch, cpus: &[usize], limits: Limits, interrupt: &Interrupt) -> Result<Self, ChildError> {
        let begin = Instant::now();
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C in a terminal reaches us alone, and one signal ends whatever the child has started.
        command.process_group(0);
        let process = starting_on(cpus, || command.spawn())
            .and_then(|spawned| spawned)
            .map_err(|error| ChildError::Start(named(&launch.program.display().to_string(), &error)))?;
        let hello = Hello {
            proto: PROTO,
            name: String::new(),
            lang: String::new(),
            runtime: String::new(),
            workloads: Vec::new(),
            clock: String::new(),
            threads: 0,
            tags: Vec::new(),
        };
        let mut child = Self {
            process,
            hello,
            startup: Duration::ZERO,
            limits,
            interrupt: interrupt.clone(),
            unread: Vec::new(),
            stderr_tail: Vec::new(),
            rests_since: None,
        };
        match child.answer("hello", limits.hello)? {
            ChildMessage::Hello(hello) => child.hello = hello,
            other => return Err(unexpected("hello", &other)),
        }
        let hello = &child.hello;
        if hello.proto != PROTO {
            return Err(ChildError::Lied(format!("speaks protocol {}, this host speaks {PROTO}", hello.proto)));
        }
        if hello.clock != "CLOCK_MONOTONIC" {
            return Err(ChildError::Lied(format!("stamps with {}, the protocol wants CLOCK_MONOTONIC", hello.clock)));
        }
        child.startup = begin.elapsed();
        Ok(child)
    }

    /// What it said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// From start to `hello`.
    pub fn startup(&self) -> Duration {
        self.startup
    }

    /// Has a workload set up.
    ///
    /// # Errors
    /// When the child refuses or breaks the protocol.
    pub fn prepare(&mut self, request: &Prepare) -> Result<Ready, ChildError> {
        self.ask(&HostMessage::Prepare(request.clone()))?;
        match self.answer("prepare", self.limits.prepare)? {
            ChildMessage::Ready(ready) => Ok(ready),
            other => Err(unexpected("prepare", &other)),
        }
    }

    /// Has one block run. The stamps are judged against our own.
    ///
    /// # Errors
    /// When the child refuses, breaks the protocol, or claims what can't be.
    pub fn run(&mut self, request: Run) -> Result<(Done, Stamps), ChildError> {
        let sent_ns = monotonic_ns();
        self.ask(&HostMessage::Run(request))?;
        self.done(request, sent_ns)
    }

    /// Has a child that serves run one block: `load` comes when the child waits for it.
    ///
    /// # Errors
    /// As [`run`](Self::run); and at once when `load` fails, for then the child waits in vain.
    pub fn run_loaded<T>(
        &mut self,
        request: Run,
        load: impl FnOnce() -> Result<T, ChildError>,
    ) -> Result<(Done, Stamps, T), ChildError> {
        let sent_ns = monotonic_ns();
        self.ask(&HostMessage::Run(request))?;
        match self.answer("run", self.limits.block)? {
            ChildMessage::Started(started) if started.block == request.block => {}
            other => return Err(unexpected("run", &other)),
        }
        let loaded = load()?;
        let (done, stamps) = self.done(request, sent_ns)?;
        Ok((done, stamps, loaded))
    }

    fn done(&mut self, request: Run, sent_ns: u64) -> Result<(Done, Stamps), ChildError> {
        let answer = self.answer("run", self.limits.block)?;
        let received_ns = monotonic_ns();
        let ChildMessage::Done(done) = answer else { return Err(unexpected("run", &answer)) };
        check_claims(request, &done)?;
        let stamps = if done.t0_ns < sent_ns || done.t1_ns > received_ns || done.t1_ns < done.t0_ns {
            Stamps::Void(format!(
                "the child's stamps {}..{} do not lie within the host's {sent_ns}..{received_ns}",
                done.t0_ns, done.t1_ns
            ))
        } else if done.t1_ns == done.t0_ns {
            Stamps::Void("the block took no time at all".to_owned())
        } else {
            Stamps::Fit
        };
        Ok((done, stamps))
    }

    /// Says `bye` and waits a little for an orderly end, which shows as the end of the child's stdout. The dead child itself
    /// is left for `drop` to collect: until then nobody else can be given its pid.
    #[expect(clippy::missing_panics_doc, reason = "the pipe is there as long as the child is")]
    pub fn end(mut self) {
        let begin = Instant::now();
        if self.ask(&HostMessage::Bye(true)).is_err() {
            return;
        }
        let mut leftover = [0; 4096];
        while let Some(left) = BYE_LIMIT.checked_sub(begin.elapsed()) {
            let stdout = self.process.stdout.as_mut().expect("stdout is piped and never taken");
            let mut ready = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
            let wait = PollTimeout::try_from(left.min(INTERRUPT_LOOK)).unwrap_or(PollTimeout::MAX);
            let readable = poll(&mut ready, wait).is_ok_and(|count| count > 0);
            if self.interrupt.is_set() || (readable && matches!(stdout.read(&mut leftover), Ok(0) | Err(_))) {
                return;
            }
        }
    }

    /// Says `bye`, and expects an orderly end.
    ///
    /// # Errors
    /// When it does not end in time, or with another exit code than 0.
    pub fn bye(mut self) -> Result<(), ChildError> {
        self.ask(&HostMessage::Bye(true))?;
        match self.read_line("bye", BYE_LIMIT) {
            Err(ChildError::Exited { how, .. }) if how == exit_code(0) => Ok(()),
            Err(error) => Err(error),
            Ok(line) => Err(ChildError::OutOfTurn(excerpt(&line))),
        }
    }

    /// From now on it is asked for nothing.
    pub fn begin_rest(&mut self) {
        self.rests_since = self.cpu_time().map(|used| (Instant::now(), used));
    }

    /// How long ago that was, and the CPU time it has used since. `None` without a [`begin_rest`](Self::begin_rest), or if the system does
    /// not tell.
    pub fn end_rest(&mut self) -> Option<(Duration, Duration)> {
        let (since, before) = self.rests_since.take()?;
        Some((since.elapsed(), self.cpu_time()?.saturating_sub(before)))
    }

    /// The CPU time it has used so far, all threads of the process together (what it has started itself does not count); `None` if the system does not tell.
    pub fn cpu_time(&self) -> Option<Duration> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(self.process.id().cast_signed())).ok()?;
        clock.now().ok().map(Duration::from)
    }

    fn ask(&mut self, message: &HostMessage) -> Result<(), ChildError> {
        if !self.unread.is_empty() {
            return Err(ChildError::OutOfTurn(excerpt(&self.unread)));
        }
        let mut line = serde_json::to_vec(message).map_err(|error| ChildError::Start(error.into()))?;
        line.push(b'\n');
        let stdin = self.process.stdin.as_mut().expect("stdin is piped and never taken");
        // A broken pipe means the child has ended; the answer that then fails to come tells how.
        match stdin.write_all(&line) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(ChildError::Start(error)),
            _ => Ok(()),
        }
    }

    fn answer(&mut self, asked: &'static str, limit: Duration) -> Result<ChildMessage, ChildError> {
        let line = self.read_line(asked, limit)?;
        let message = serde_json::from_slice(&line)
            .map_err(|error| ChildError::Garbage { asked, what: format!("{} ({error})", excerpt(&line)) })?;
        match message {
            ChildMessage::Error(refusal) => Err(refusal.into()),
            message => Ok(message),
        }
    }

    /// Waits for a whole line. stderr is read along, else a child that writes much there would block for ever.
    fn read_line(&mut self, asked: &'static str, limit: Duration) -> Result<Vec<u8>, ChildError> {
        let begin = Instant::now();
        let mut buffer = vec![0; 64 << 10];
        let mut scanned = 0;
        let mut stderr_open = true;
        loop {
            if let Some(at) = self.unread[scanned..].iter().position(|&byte| byte == b'\n') {
                let rest = self.unread.split_off(scanned + at + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.pop();
                return Ok(line);
            }
            scanned = self.unread.len();
            if scanned > MAX_LINE {
                let what = format!("a line longer than {MAX_LINE} bytes: {}", excerpt(&self.unread));
                return Err(ChildError::Garbage { asked, what });
            }
            if self.interrupt.is_set() {
                return Err(ChildError::Interrupted);
            }
            let Some(left) = limit.checked_sub(begin.elapsed()) else {
                return Err(ChildError::Hung { asked, limit, said: self.said() });
            };
            let stdout = self.process.stdout.as_mut().expect("stdout is piped and never taken");
            let stderr = self.process.stderr.as_mut().expect("stderr is piped and never taken");
            let mut ready =
                [PollFd::new(stdout.as_fd(), PollFlags::POLLIN), PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
            let wait = PollTimeout::try_from(left.min(INTERRUPT_LOOK)).unwrap_or(PollTimeout::MAX);
            let watched = if stderr_open { &mut ready[..] } else { &mut ready[..1] };
            if poll(watched, wait).is_err() {
                // Interrupted by a signal; the flag above tells whether it was meant for us.
                continue;
            }
            let any = |fd: &PollFd| fd.any().unwrap_or(false);
            let (out, err) = (any(&ready[0]), stderr_open && any(&ready[1]));
            if err {
                let count = stderr.read(&mut buffer).unwrap_or(0);
                stderr_open = count > 0;
                self.stderr_tail.extend_from_slice(&buffer[..count]);
                let surplus = self.stderr_tail.len().saturating_sub(STDERR_KEPT);
                self.stderr_tail.drain(..surplus);
            }
            if out {
                match stdout.read(&mut buffer) {
                    Ok(0) | Err(_) => return Err(self.exited(asked, begin, limit)),
                    Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                }
            }
        }
    }

    /// The child closed its stdout: it has ended, or does in a moment, or hangs about mute.
    fn exited(&mut self, asked: &'static str, begin: Instant, limit: Duration) -> ChildError {
        // Looks without collecting: see `drop`.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let pid = Pid::from_raw(self.process.id().cast_signed());
        loop {
            let how = match waitid(Id::Pid(pid), look) {
                Ok(WaitStatus::Exited(_, code)) => exit_code(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
                Ok(WaitStatus::StillAlive) if begin.elapsed() < limit.min(BYE_LIMIT) => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                _ => return ChildError::Hung { asked, limit, said: self.said() },
            };
            return ChildError::Exited { asked, how, said: self.said() };
        }
    }

    fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr_tail);
        // A panic's message stands under the line that says where; what follows is a backtrace or a note.
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let panicked = lines.clone().skip_while(|line| !line.contains("panicked at")).nth(1);
        panicked.or_else(|| lines.next_back()).map_or_else(String::new, |line| format!("; its last words: {line}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The group's id is the child's pid, which nobody else can be given before we have waited for the child.
        let group = Pid::from_raw(self.process.id().cast_signed());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

fn exit_code(code: i32) -> String {
    format!("exit code {code}")
}

fn check_claims(request: Run, done: &Done) -> Result<(), ChildError> {
    let lie = |what: String| Err(ChildError::Lied(what));
    if done.block != request.block || done.iters != request.iters {
        return lie(format!(
            "answered for block {} with {} iterations, asked was block {} with {}",
            done.block, done.iters, request.block, request.iters
        ));
    }
    if done.ops == 0 || !done.ops.is_multiple_of(done.iters) {
        return lie(format!(
            "claims {} operations in {} iterations, which is no whole number each",
            done.ops, done.iters
        ));
    }
    if done.checksum.len() != 16 || !done.checksum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return lie(format!("gave {:?} as a checksum: it has to be 16 lower-case hex digits", done.checksum));
    }
    let usage = &done.usage;
    let counters =
        [usage.user_ns, usage.system_ns, usage.voluntary_switches, usage.involuntary_switches, usage.minor_faults];
    let integers = counters.into_iter().flatten().chain([done.t0_ns, done.t1_ns, done.ops]);
    if let Some(big) = integers.into_iter().find(|&integer| integer > MAX_INTEGER) {
        return lie(format!("claims {big}, which is beyond 2^53"));
    }
    if let Some((name, value)) = done.values.iter().find(|(_, value)| !value.is_finite()) {
        return lie(format!("claims {value} for `{name}`"));
    }
    Ok(())
}

fn unexpected(asked: &'static str, got: &ChildMessage) -> ChildError {
    let line = serde_json::to_vec(got).unwrap_or_default();
    ChildError::Garbage { asked, what: excerpt(&line) }
}

/// The first 80 characters, printable.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(320)]);
    let mut short: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().count() > 80 {
        short.push('…');
    }
    format!("“{short}”")
}

fn named(program: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{program}: {error}"))
}
