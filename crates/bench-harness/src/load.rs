//! Load for a TCP echo server: one client, fixed, so that only the server differs between two measurements.
//!
//! A single thread with one epoll(7) and any number of connections. In a **closed** loop every connection asks again as
//! soon as it has its answer: the server's throughput. In an **open** loop requests start at a fixed rate whatever the
//! server does: its latency ([`OpenLoop`]). The client deserves a core that the server does not use.
//!
//! A request is [`MESSAGE`] bytes: a random-looking number (seed and request determine it), a byte that says whether it counts
//! (those that prove a connection or find out what a server can do don't), the rest zero. The server sends them back
//! unchanged, and every answer is checked.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::num::NonZeroUsize;
//! use std::time::Duration;
//! use bench_harness::load::{Client, MESSAGE};
//!
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! std::thread::spawn(move || {
//!     let (mut stream, _) = listener.accept().unwrap();
//!     let mut message = [0; MESSAGE];
//!     while stream.read_exact(&mut message).is_ok() && stream.write_all(&message).is_ok() {}
//! });
//! let mut client = Client::connect(address, NonZeroUsize::MIN, &Default::default())?;
//! let served = client.closed(1_000, 7, Duration::from_secs(60))?;
//! assert_eq!(served.latency.events(), 1_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connection;
mod course;
mod error;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use connection::{Connection, allow_files, mix};
use course::Course;
pub use error::LoadError;

use crate::host::Interrupt;
use crate::tails::{OpenLoop, Tails};
use crate::usage::monotonic_ns;

/// Bytes of a request, and of its answer.
pub use crate::protocol::ECHO_MESSAGE as MESSAGE;

/// How long all connections may take to be made and proven.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// So many connections may wait to be accepted. Fewer than any usual listen backlog: one overrun costs a second.
const UNPROVEN: u64 = 64;
/// How long to wait in one go before looking whether a person pressed Ctrl-C.
const INTERRUPT_LOOK: Duration = Duration::from_millis(250);
/// So long before a start is due the open loop stops sleeping: epoll counts in ms and wakes a little late.
const AWAKE_NS: u64 = 100_000;
/// Answers taken from the kernel at once.
const EVENTS: usize = 256;

/// Connections to a server, kept from run to run.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    connections: Vec<Connection>,
    interrupt: Interrupt,
}

/// What a run measured.
#[derive(Debug, Clone)]
pub struct Served {
    /// From the start of a request (in an open loop the *intended* start) to its whole answer. What an answer waited for
    /// this client's one thread is part of it.
    pub latency: Tails,
    /// The median of the p99s of windows of 1,000 answers each, ns: one stall of the machine spoils one window, not the figure.
    /// `None` below 1,000 answers.
    pub window_p99_ns: Option<u64>,
    /// Open loop only: how late the client itself started requests, counted from when they were due and a connection was
    /// free. Where that is no small part of the latency, the figures are about the client.
    pub lateness: Tails,
    /// Before the first request, [`monotonic_ns`].
    pub begin_ns: u64,
    /// After the last answer.
    pub end_ns: u64,
}

impl Client {
    /// Connects, and has one request answered on every connection: so it is known to be accepted, and the listen backlog
    /// is never overrun. Where the soft limit of file descriptors is too low it is raised to the hard one, for the
    /// process and those it starts from then on.
    ///
    /// # Errors
    /// When there can't be as many connections, or the server has not answered on all of them within 10 s.
    pub fn connect(address: SocketAddr, connections: NonZeroUsize, interrupt: &Interrupt) -> Result<Self, LoadError> {
        Self::connect_within(CONNECT_LIMIT, address, connections.get(), interrupt)
    }

    fn connect_within(
        limit: Duration,
        address: SocketAddr,
        connections: usize,
        interrupt: &Interrupt,
    ) -> Result<Self, LoadError> {
        allow_files(connections)?;
        let mut client = Self {
            address,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); EVENTS],
            connections: Vec::with_capacity(connections),
            interrupt: interrupt.clone(),
        };
        let mut course = Course::new(address, connections as u64, 0, limit, false);
        while course.answers < course.requests {
            while course.issued < course.requests && course.issued - course.answers < UNPROVEN {
                client.add(&course)?;
                client.start(client.connections.len() - 1, None, &mut course)?;
            }
            for at in 0..client.wait(u64::MAX, &course)? {
                client.look(at, &mut course)?;
            }
        }
        Ok(client)
    }

    /// Closed loop: `requests` requests over all connections, each of which sends its next as soon as its answer is whole.
    ///
    /// # Errors
    /// When the server errs, or not all answers are in within `limit`. The client is of no more use then: answers may
    /// still be under way.
    pub fn closed(&mut self, requests: u64, seed: u64, limit: Duration) -> Result<Served, LoadError> {
        self.closed_loop(Course::new(self.address, requests, seed, limit, true))
    }

    /// A closed loop whose requests say that they don't count, to find out what a server can do: requests a second.
    ///
    /// # Errors
    /// Like [`closed`](Self::closed).
    pub fn capacity(&mut self, requests: u64, seed: u64, limit: Duration) -> Result<f64, LoadError> {
        let served = self.closed_loop(Course::new(self.address, requests, seed, limit, false))?;
        Ok(requests as f64 * 1e9 / served.end_ns.saturating_sub(served.begin_ns).max(1) as f64)
    }

    fn closed_loop(&mut self, mut course: Course) -> Result<Served, LoadError> {
        let requests = course.requests;
        for place in 0..self.connections.len().min(usize::try_from(requests).unwrap_or(usize::MAX)) {
            self.start(place, None, &mut course)?;
        }
        while course.answers < requests {
            for at in 0..self.wait(u64::MAX, &course)? {
                if let Some(place) = self.look(at, &mut course)?
                    && course.issued < requests
                {
                    self.start(place, None, &mut course)?;
                }
            }
        }
        Ok(course.served())
    }

    /// Open loop: `requests` requests that are due at `per_second`, given to idle connections in turn. Where none is idle a
    /// request waits for one, and the wait is part of its latency. Starts are precise because the client spins while the
    /// next one is near (always, from about 1,000 requests a second on).
    ///
    /// # Errors
    /// Like [`closed`](Self::closed).
    pub fn open(
        &mut self,
        requests: u64,
        per_second: NonZeroU64,
        seed: u64,
        limit: Duration,
    ) -> Result<Served, LoadError> {
        let mut course = Course::new(self.address, requests, seed, limit, true);
        let mut schedule = OpenLoop::new(course.begin_ns, per_second);
        let mut queue = Queue { due_ns: schedule.next_start(), schedule, idle: (0..self.connections.len()).collect() };
        while course.answers < requests {
            self.start_due(&mut queue, &mut course)?;
            let nothing_to_start = queue.idle.is_empty() || course.issued == requests;
            let pause_ns = if nothing_to_start { u64::MAX } else { queue.due_ns.saturating_sub(monotonic_ns()) };
            for at in 0..self.wait(pause_ns.saturating_sub(AWAKE_NS), &course)? {
                if let Some(place) = self.look(at, &mut course)? {
                    queue.idle.push_back(place);
                    // Not only after the last of many answers: that would be late.
                    self.start_due(&mut queue, &mut course)?;
                }
            }
        }
        Ok(course.served())
    }

    /// Starts what is due, as long as there are idle connections.
    fn start_due(&mut self, queue: &mut Queue, course: &mut Course) -> Result<(), LoadError> {
        while course.issued < course.requests && queue.due_ns <= monotonic_ns() {
            let Some(place) = queue.idle.pop_front() else { break };
            self.start(place, Some(queue.due_ns), course)?;
            queue.due_ns = queue.schedule.next_start();
        }
        Ok(())
    }

    /// Makes one more connection.
    fn add(&mut self, course: &Course) -> Result<(), LoadError> {
        let stream = loop {
            let left = Duration::from_nanos(self.left_ns(course)?);
            match TcpStream::connect_timeout(&self.address, left.min(INTERRUPT_LOOK)) {
                Ok(stream) => break stream,
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(source) => {
                    let (address, made, connections) = (self.address, course.issued, course.requests);
                    return Err(LoadError::Connect { address, made, connections, source });
                }
            }
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, self.connections.len() as u64))?;
        self.connections.push(Connection::new(stream));
        Ok(())
    }

    /// Starts the next request on the connection at `place`, which is idle.
    fn start(&mut self, place: usize, due_ns: Option<u64>, course: &mut Course) -> Result<(), LoadError> {
        let connection = &mut self.connections[place];
        connection.ask(mix(course.seed, course.issued), course.counts);
        course.issued += 1;
        let now_ns = monotonic_ns();
        connection.since_ns = due_ns.unwrap_or(now_ns);
        if let Some(due_ns) = due_ns {
            course.lateness.push(now_ns.saturating_sub(due_ns.max(connection.idle_ns)));
        }
        self.send(place, course)
    }

    /// Sends as much of the request as the kernel takes; if that is not all, epoll tells when it takes more.
    fn send(&mut self, place: usize, course: &Course) -> Result<(), LoadError> {
        let connection = &mut self.connections[place];
        let blocked = !connection.send().map_err(|error| course.closed(error))?;
        if blocked != connection.blocked {
            connection.blocked = blocked;
            let or_room = if blocked { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | or_room, place as u64);
            self.epoll.modify(&connection.stream, &mut event)?;
        }
        Ok(())
    }

    /// Sees to the event at `at`; gives the connection's place if it has its answer now.
    fn look(&mut self, at: usize, course: &mut Course) -> Result<Option<usize>, LoadError> {
        let place = self.events[at].data() as usize;
        if self.connections[place].blocked {
            self.send(place, course)?;
        }
        let connection = &mut self.connections[place];
        let whole = connection.receive().map_err(|error| course.closed(error))?;
        let now_ns = monotonic_ns();
        connection.check(whole).map_err(|what| course.wrong(what))?;
        if !whole {
            return Ok(None);
        }
        connection.idle_ns = now_ns;
        course.end_ns = now_ns;
        course.answers += 1;
        course.latencies.push(now_ns.saturating_sub(connection.since_ns));
        Ok(Some(place))
    }

    /// Waits for events at most about so long, and says how many there are.
    fn wait(&mut self, most_ns: u64, course: &Course) -> Result<usize, LoadError> {
        let wait = Duration::from_nanos(most_ns.min(self.left_ns(course)?)).min(INTERRUPT_LOOK);
        match self.epoll.wait(&mut self.events, wait.as_millis() as u8) {
            Err(Errno::EINTR) => Ok(0),
            waited => Ok(waited?),
        }
    }

    /// How much of the limit is left, never 0.
    fn left_ns(&self, course: &Course) -> Result<u64, LoadError> {
        if self.interrupt.is_set() {
            return Err(LoadError::Interrupted);
        }
        course.left_ns()
    }
}

/// What an open loop still has to start, and on what.
struct Queue {
    schedule: OpenLoop,
    /// When the next request is.
    due_ns: u64,
    /// Idle connections, that for the longest time first.
    idle: VecDeque<usize>,
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Too long to be waited for in a test.
    const LONG: Duration = Duration::from_mins(10);
    /// How often a server has answered on a connection when it turns odd: once to prove the connection, and then.
    const PROVEN: u64 = 1;

    /// What a server does with a message, the how manieth of its connection; `false` ends the connection.
    type Behave = fn(u64, &mut Vec<u8>) -> bool;

    fn echo(_: u64, _: &mut Vec<u8>) -> bool {
        true
    }

    fn mute(nth: u64, _: &mut Vec<u8>) -> bool {
        if nth < PROVEN + 5 {
            return true;
        }
        loop {
            thread::park();
        }
    }

    fn serve(behave: Behave) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut nth = 0;
                    let mut message = vec![0; MESSAGE];
                    while stream.read_exact(&mut message).is_ok()
                        && behave(nth, &mut message)
                        && stream.write_all(&message).is_ok()
                    {
                        message.resize(MESSAGE, 0);
                        nth += 1;
                    }
                });
            }
        });
        address
    }

    fn client(connections: usize, behave: Behave) -> Client {
        Client::connect_within(LONG, serve(behave), connections, &Interrupt::default()).unwrap()
    }

    #[test]
    fn a_closed_loop_has_every_request_answered() {
        // More than may be unproven at a time; fewer requests than connections.
        for (connections, requests) in [(1, 200), (10, 2_000), (100, 3_000), (100, 30), (1, 0)] {
            let mut client = client(connections, echo);
            for seed in 0..2 {
                let served = client.closed(requests, seed, LONG).unwrap();
                assert_eq!((served.latency.events(), served.lateness.events()), (requests, 0));
                assert!(served.latency.max().unwrap_or(0) <= served.end_ns - served.begin_ns);
            }
        }
    }

    #[test]
    fn an_open_loop_keeps_its_rate() {
        let served = client(4, echo).open(200, NonZeroU64::new(2_000).unwrap(), 1, LONG).unwrap();
        assert_eq!((served.latency.events(), served.lateness.events()), (200, 200));
        // The last is due after 199 of 200 gaps of 0.5 ms.
        assert!(served.end_ns - served.begin_ns >= 95_000_000);
    }

    #[test]
    fn a_stall_delays_all_that_were_due_meanwhile() {
        let mut client = client(1, |nth, _| {
            if nth == PROVEN + 20 {
                thread::sleep(Duration::from_millis(50));
            }
            true
        });
        let served = client.open(200, NonZeroU64::new(2_000).unwrap(), 1, LONG).unwrap();
        let slow = served.latency.pairs().into_iter().filter(|&(latency_ns, _)| latency_ns >= 10_000_000);
        // Every 0.5 ms one was due, and those of the stall's first 40 ms waited 10 ms at least.
        assert!(slow.map(|(_, count)| count).sum::<u64>() >= 80);
        assert!(served.latency.max().unwrap() >= 40_000_000);
    }

    #[test]
    fn an_answer_that_is_no_echo_is_an_error() {
        let spoil: [Behave; 3] = [
            |nth, message| {
                message[3] ^= u8::from(nth == PROVEN + 5);
                true
            },
            |nth, message| {
                message[MESSAGE - 1] = u8::from(nth == PROVEN + 5);
                true
            },
            |nth, message| {
                message.resize(MESSAGE + usize::from(nth == PROVEN + 5), 0);
                true
            },
        ];
        for behave in spoil {
            let error = client(1, behave).closed(10, 1, LONG).unwrap_err();
            assert!(matches!(error, LoadError::WrongAnswer { answers: 5, .. }), "{error}");
        }
    }

    #[test]
    fn a_connection_that_ends_is_an_error_that_counts_the_answers() {
        let error = client(1, |nth, _| nth < PROVEN + 5).closed(10, 1, LONG).unwrap_err();
        assert!(matches!(error, LoadError::Closed { answers: 5, requests: 10, .. }), "{error}");
        let error = client(3, |nth, _| nth < PROVEN + 5).open(30, NonZeroU64::MAX, 1, LONG).unwrap_err();
        assert!(matches!(error, LoadError::Closed { answers: 5..=15, .. }), "{error}");
    }

    #[test]
    fn nobody_listening_is_an_error() {
        // A port that is taken, so that nobody else can come to listen there.
        let taken = std::net::TcpStream::connect(serve(echo)).unwrap();
        let address = taken.local_addr().unwrap();
        let error = Client::connect(address, NonZeroUsize::MIN, &Interrupt::default()).unwrap_err();
        assert!(matches!(error, LoadError::Connect { made: 0, .. }), "{error}");
    }

    #[test]
    fn a_server_that_does_not_answer_is_an_error_at_the_limit() {
        let limit = Duration::from_millis(20);
        let error = client(2, mute).closed(1_000, 1, limit).unwrap_err();
        assert!(matches!(error, LoadError::Limit { answers: 0..=10, .. }), "{error}");
        let error = client(2, mute).open(1_000, NonZeroU64::MAX, 1, limit).unwrap_err();
        assert!(matches!(error, LoadError::Limit { answers: 0..=10, .. }), "{error}");
        // The kernel makes the connection, but nobody accepts it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let error = Client::connect_within(limit, address, 2, &Interrupt::default()).unwrap_err();
        assert!(matches!(error, LoadError::Limit { answers: 0, requests: 2, .. }), "{error}");
    }

    #[test]
    fn an_interrupt_ends_every_wait() {
        let mut client = client(2, mute);
        let interrupt = client.interrupt.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            interrupt.set();
        });
        assert!(matches!(client.closed(1_000, 1, LONG), Err(LoadError::Interrupted)));
        assert!(matches!(client.open(1_000, NonZeroU64::MIN, 1, LONG), Err(LoadError::Interrupted)));
        let again = Client::connect(client.address, NonZeroUsize::MIN, &client.interrupt);
        assert!(matches!(again, Err(LoadError::Interrupted)));
    }

    #[test]
    fn too_many_connections_are_refused_with_what_they_would_take() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let error = Client::connect(address, NonZeroUsize::MAX, &Interrupt::default()).unwrap_err();
        assert!(matches!(error, LoadError::FileDescriptors { needed: u64::MAX, .. }), "{error}");
    }
}
