//! tcp-echo: a server that sends back what it gets. The host's client loads and times it; see `bench_harness::load`.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{ECHO_MESSAGE, Params, Refusal};

use super::{Answer, Workload, mix, not_started};
use crate::capability::{BlockingTcp, Jobs, Kit, Tasks, Tcp, Threads};

pub(super) struct TcpEcho;

/// What a server reads into: larger than a message, for a server does not know what comes. Whoever waits for edges is told by a read
/// that does not fill the buffer that there is no more, and is spared a second one.
pub(super) const ROOM: usize = 4 * ECHO_MESSAGE;

impl Workload for TcpEcho {
    const NAMES: &'static [&'static str] =
        &["tcp-echo/1", "tcp-echo/100", "tcp-echo/1000", "tcp-echo/open-rate", "tcp-echo/open-50", "tcp-echo/open-80"];

    fn on_tasks<R: Tasks>(_: &str) -> Answer {
        if let Some(why) = <R::Kit as Kit>::Tcp::MISSING {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(|params, seed| {
            Server::open(params, seed, |socket, meter| {
                let runtime = R::start()?;
                runtime.run(serve::<R>(socket, meter, || ()))
            })
        }))
    }

    fn on_threads<R: Threads>(_: &str) -> Answer {
        if let Some(why) = R::Tcp::MISSING {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(|params, seed| {
            R::start().map_err(|error| not_started(&error))?;
            Server::open(params, seed, |socket, meter| {
                R::run(move || {
                    serve_blocking::<R>(socket, &meter, || ());
                    0
                });
                Ok(())
            })
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a connection would keep its worker: as many clients as workers, and no more"))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported(
            "a process a connection is not asked for here; see ping-pong/pipe for what a switch costs",
        ))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon has no sockets, and its jobs must not wait"))
    }

    /// epoll by hand.
    fn on_floor<R: Tasks>(_: &str) -> Answer {
        Ok(Box::new(|params, seed| {
            Server::open(params, seed, |socket, meter| super::epoll_echo::serve(&socket, &meter))
        }))
    }
}

/// Counts what was served, for the thread that waits for the block's end.
#[derive(Default)]
pub(super) struct Meter {
    listening: AtomicBool,
    /// Why it does not serve, or no longer.
    ended: OnceLock<String>,
    served: AtomicU64,
    sum: AtomicU64,
    /// When that many are served, the block is over.
    target: AtomicU64,
    waiting: OnceLock<Thread>,
}

impl Meter {
    /// From now on whoever connects is accepted.
    pub(super) fn listens(&self) {
        self.listening.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether a block runs: there is a request that was not counted yet, or one that came before its block was announced.
    pub(super) fn is_busy(&self) -> bool {
        self.served.load(Ordering::SeqCst) != self.target.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), Refusal> {
        self.ended.get().map_or(Ok(()), |why| Err(Refusal::failed(format!("the server ended: {why}"))))
    }

    fn wake(&self) {
        self.waiting.get().into_iter().for_each(Thread::unpark);
    }

    /// A request is about to be answered. Before and not after: once the client has its answers, all of them are counted.
    pub(super) fn count(&self, message: &[u8]) {
        // Others only show the client that it is served.
        if message[8] == 0 {
            return;
        }
        let number = message.first_chunk().map_or(0, |head| u64::from_le_bytes(*head));
        self.sum.fetch_add(number, Ordering::Relaxed);
        let served = self.served.fetch_add(1, Ordering::SeqCst) + 1;
        if served == self.target.load(Ordering::SeqCst) {
            self.wake();
        }
    }
}

/// A server that runs on a thread of its own, beside the one that talks to the host.
pub(super) struct Server {
    address: String,
    meter: Arc<Meter>,
    n: u64,
    seed: u64,
    /// The numbers of all requests that were to be answered so far.
    sum: u64,
}

/// The numbers of so many requests.
fn sum(seed: u64, requests: u64) -> u64 {
    (0..requests).fold(0, |sum: u64, index| sum.wrapping_add(mix(seed, index)))
}

impl Server {
    /// Opens a socket on the loopback and has `serve` answer there, for ever.
    pub(super) fn open(
        params: &Params,
        seed: u64,
        serve: impl FnOnce(TcpListener, Arc<Meter>) -> io::Result<()> + Send + 'static,
    ) -> Result<Box<dyn Prepared>, Refusal> {
        let failed = |error: io::Error| Refusal::failed(format!("a server on the loopback: {error}"));
        let n = params.integer("n", 1..=10_000_000)?;
        allow_files(params.integer("connections", 1..=100_000)?)?;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?.to_string();
        let meter = Arc::new(Meter::default());
        meter.waiting.get_or_init(std::thread::current);
        let counted = Arc::clone(&meter);
        let body = move || {
            let served = serve(socket, Arc::clone(&counted));
            let why = served.err().map_or_else(|| "it stopped by itself".to_owned(), |error| error.to_string());
            let _ = counted.ended.set(why);
            counted.wake();
        };
        std::thread::Builder::new().name("server".to_owned()).spawn(body).map_err(failed)?;
        let begin = Instant::now();
        while !meter.listening.load(Ordering::Acquire) {
            std::thread::park_timeout(Duration::from_millis(10));
            meter.check()?;
            if begin.elapsed() > Duration::from_secs(10) {
                return Err(Refusal::failed("the server does not come to listening"));
            }
        }
        Ok(Box::new(Self { address, meter, n, seed, sum: 0 }))
    }
}

impl Prepared for Server {
    fn listen(&self) -> Option<String> {
        Some(self.address.clone())
    }

    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        let (meter, requests) = (&self.meter, self.n * iters);
        // From the last block's end and not from what is served by now: the first requests may be there already.
        let target = meter.target.load(Ordering::Acquire) + requests;
        self.sum = self.sum.wrapping_add(sum(self.seed, requests));
        // Sequentially consistent, as in `count`: either it sees the new target, or this sees what it has counted.
        meter.target.store(target, Ordering::SeqCst);
        while meter.served.load(Ordering::SeqCst) < target {
            std::thread::park_timeout(Duration::from_millis(500));
            meter.check()?;
        }
        clock.stop();
        if meter.sum.load(Ordering::Acquire) != self.sum {
            return Err(Refusal::failed("the requests that were answered are not those that were to be sent"));
        }
        Ok(Work::new(requests, sum(self.seed, self.n)))
    }
}

/// A connection takes a file, and the usual soft limit is 1,024; the hard limit is what counts.
fn allow_files(connections: u64) -> Result<(), Refusal> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const OTHERS: u64 = 64;
    let failed = |error: nix::errno::Errno| Refusal::failed(format!("the limit of open files: {error}"));
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    let needed = connections + OTHERS;
    if needed > hard {
        let why =
            format!("{connections} connections take {needed} open files; the hard limit here is {hard} (ulimit -Hn)");
        return Err(Refusal::unsupported(why));
    }
    if needed > soft { setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed) } else { Ok(()) }
}

/// A task a connection. `beside` is called there after each answer.
pub(super) async fn serve<R: Tasks>(
    socket: TcpListener,
    meter: Arc<Meter>,
    beside: impl Fn() + Clone + Send + 'static,
) -> io::Result<()> {
    type Stream<R> = <<R as Tasks>::Kit as Kit>::Tcp;
    let mut listener = Stream::<R>::listen(socket)?;
    meter.listens();
    loop {
        let stream = Stream::<R>::accept(&mut listener).await?;
        R::detach(R::spawn(converse(stream, Arc::clone(&meter), beside.clone())));
    }
}

/// Answers what comes, mostly one message at a time, until the connection is over.
async fn converse<S: Tcp>(mut stream: S, meter: Arc<Meter>, beside: impl Fn()) {
    let mut buffer = vec![0; ROOM];
    loop {
        let (read, mut bytes) = stream.read(buffer).await;
        let Some(have) = read.ok().filter(|&have| have > 0) else { return };
        bytes.truncate(have);
        while !bytes.len().is_multiple_of(ECHO_MESSAGE) {
            // Rare: a message of 64 bytes comes in one piece but for the strangest of moments.
            let (read, rest) = stream.read(vec![0; ECHO_MESSAGE - bytes.len() % ECHO_MESSAGE]).await;
            let Some(more) = read.ok().filter(|&more| more > 0) else { return };
            bytes.extend_from_slice(&rest[..more]);
        }
        bytes.chunks_exact(ECHO_MESSAGE).for_each(|message| meter.count(message));
        let (written, whole) = stream.write(bytes).await;
        if written.is_err() {
            return;
        }
        buffer = whole;
        buffer.resize(ROOM, 0);
        beside();
    }
}

/// A thread or a coroutine a connection. `beside` is called there after each answer.
pub(super) fn serve_blocking<R: Threads>(
    socket: TcpListener,
    meter: &Arc<Meter>,
    beside: impl Fn() + Clone + Send + 'static,
) {
    if let Err(error) = accept_blocking::<R>(socket, meter, beside) {
        let _ = meter.ended.set(error.to_string());
    }
}

fn accept_blocking<R: Threads>(
    socket: TcpListener,
    meter: &Arc<Meter>,
    beside: impl Fn() + Clone + Send + 'static,
) -> io::Result<()> {
    let mut listener = R::Tcp::listen(socket)?;
    meter.listens();
    loop {
        let mut stream = R::Tcp::accept(&mut listener)?;
        let (meter, beside) = (Arc::clone(meter), beside.clone());
        drop(R::spawn(move || {
            let mut buffer = [0; ROOM];
            while echo_blocking(&mut stream, &mut buffer, &meter).is_some() {
                beside();
            }
            0
        }));
    }
}

fn echo_blocking(stream: &mut impl BlockingTcp, buffer: &mut [u8; ROOM], meter: &Meter) -> Option<()> {
    let mut have = stream.read(buffer).ok().filter(|&have| have > 0)?;
    while !have.is_multiple_of(ECHO_MESSAGE) {
        let missing = ECHO_MESSAGE - have % ECHO_MESSAGE;
        have += stream.read(&mut buffer[have..have + missing]).ok().filter(|&more| more > 0)?;
    }
    let messages = &buffer[..have];
    messages.chunks_exact(ECHO_MESSAGE).for_each(|message| meter.count(message));
    stream.write(messages).ok()
}
