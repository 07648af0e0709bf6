//! Descriptors that tasks wait for.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketType, ipproto, shutdown, sockopt};

use crate::awaits;
use crate::driver::Driver;
use crate::primitives::{Mutex, lock};
use crate::reactor::{Interest, POLLED, Report, Source, Wait};

/// Anything with a descriptor that epoll can wait for: sockets, pipes, not files. It reads and writes without holding the thread.
///
/// It may be awaited on any thread in [`block_on`](crate::block_on), whose driver serves it from then on; by several tasks at once
/// if they are on one thread, or a [`Runtime`](crate::Runtime)'s, whose threads share their driver. (Two tasks of an
/// [`Executor`](crate::Executor) on threads of your own would take it from one another without end.) Of tasks that read, or write, by the traits of
/// `futures-io`, the last sixteen to have polled are woken; by [`read_with`](Self::read_with) there may be any number. Where `T` reads and writes, it has to
/// be the descriptor that does: not a buffer in between.
///
/// ```
/// use mini_executor::{Async, block_on};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// let (mut here, there) = UnixStream::pair()?;
/// let there = Async::new(there)?;
/// here.write_all(b"hello")?;
/// let mut buffer = [0; 8];
/// let count = block_on(there.read_with(|mut stream| stream.read(&mut buffer)))?;
/// assert_eq!(&buffer[..count], b"hello");
/// # Ok(())
/// # }
/// ```
pub struct Async<T: AsFd> {
    io: T,
    /// Whether that is a TCP connection.
    is_tcp: bool,
    source: Arc<Source>,
    /// Where it is registered. Not before it has to wait for the first time.
    place: Mutex<Option<Place>>,
}

struct Place {
    driver: Arc<Driver>,
    key: usize,
}

impl<T: AsFd> Async<T> {
    /// Makes the descriptor non-blocking.
    ///
    /// # Errors
    /// When the system refuses. Inside a [deterministic runtime](crate::Runtime::deterministic): [`io::ErrorKind::Unsupported`].
    ///
    /// ```
    /// use mini_executor::Async;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = Async::new(UnixDatagram::unbound()?)?;
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(io: T) -> io::Result<Self> {
        refuse_in_virtual_time()?;
        let flags = fcntl_getfl(&io)?;
        if !flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(&io, flags | OFlags::NONBLOCK)?;
        }
        let is_tcp = sockopt::socket_protocol(&io).is_ok_and(|protocol| protocol == Some(ipproto::TCP))
            && sockopt::socket_type(&io) == Ok(SocketType::STREAM);
        Ok(Self { io, is_tcp, source: Arc::new(Source::new()), place: Mutex::new(None) })
    }

    /// What is inside.
    ///
    /// For what needs no waiting: addresses, options. What would block fails with `WouldBlock` here.
    ///
    /// ```
    /// use mini_executor::Async;
    /// use std::io::{ErrorKind, Read};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (_here, there) = UnixStream::pair()?;
    /// let there = Async::new(there)?;
    /// assert_eq!(there.get_ref().read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Attempts `operation` until it would not block, and waits to be readable in between.
    ///
    /// # Errors
    /// As the operation; and when the descriptor can't be registered with epoll.
    ///
    /// The operation has to be one attempt, and to say `WouldBlock` where it cannot go on: that is what it is waited for. It may be called
    /// several times. For an example see [`Async`].
    #[track_caller]
    pub fn read_with<'a, R>(
        &'a self,
        operation: impl FnMut(&'a T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.wait_with(Interest::Read, Location::caller(), operation)
    }

    /// Attempts `operation` until it would not block, and waits to be writable in between.
    ///
    /// # Errors
    /// As the operation; and when the descriptor can't be registered with epoll.
    ///
    /// ```
    /// use mini_executor::{Async, block_on};
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (here, _there) = UnixStream::pair()?;
    /// let here = Async::new(here)?;
    /// assert_eq!(block_on(here.write_with(|mut stream| stream.write(b"hello")))?, 5);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn write_with<'a, R>(
        &'a self,
        operation: impl FnMut(&'a T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.wait_with(Interest::Write, Location::caller(), operation)
    }

    /// The same for both, awaited in `place`.
    pub(crate) async fn wait_with<'a, R>(
        &'a self,
        interest: Interest,
        place: &'static Location<'static>,
        mut operation: impl FnMut(&'a T) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut waits = Waits { source: &self.source, interest, wait: None };
        poll_fn(|context| self.attempt(interest, &mut waits.wait, place, context, |io, _| operation(io))).await
    }

    /// Calls `operation` with the report as of which it is worth an attempt.
    fn attempt<'a, R>(
        &'a self,
        interest: Interest,
        wait: &mut Option<Wait>,
        place: &'static Location<'static>,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&'a T, Report) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            if let Some(seen) = self.source.ready(interest) {
                match operation(&self.io, seen) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // Watched before it is believed: a descriptor that is registered only afterwards reports what it is then.
                        self.source.is_not_ready(interest, seen);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    done => return Poll::Ready(done),
                }
            }
            // Not watched yet, or by a thread that awaited it before.
            let driver = Driver::current_address();
            if driver == 0 || !self.source.is_watched_by(driver) {
                self.register()?;
            }
            if !self.source.wait(interest, wait, context.waker()) {
                awaits::record(place);
                return Poll::Pending;
            }
        }
    }

    /// A TCP transfer that moved less than it was given room for has emptied, or filled, the kernel's buffer: the next attempt would
    /// find nothing, and is spared, unless there is an end to be found, or urgent data. Elsewhere there may be more all the same: terminals give a line at a
    /// time, pipes packets if they were asked to, local sockets what lies before descriptors that were sent.
    fn transfer<'a>(
        &'a self,
        interest: Interest,
        place: &'static Location<'static>,
        context: &mut Context<'_>,
        room: usize,
        mut operation: impl FnMut(&'a T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.attempt(interest, &mut Some(POLLED), place, context, |io, seen| {
            let count = operation(io)?;
            if 0 < count && count < room && self.is_tcp && !seen.is_of_more() {
                self.source.is_not_ready(interest, seen);
            }
            Ok(count)
        })
    }

    /// Has the current thread's driver watch it.
    fn register(&self) -> io::Result<()> {
        refuse_in_virtual_time()?;
        let mut place = lock(&self.place);
        if place.as_ref().is_some_and(|place| place.driver.is_current()) {
            return Ok(());
        }
        let driver = Driver::current().ok_or_else(|| {
            io::Error::other(
                "a descriptor was awaited where nobody serves it: run the future with mini_executor::block_on",
            )
        })?;
        let descriptor = self.get_ref().as_fd();
        let former = place.take();
        self.source.set_watcher(0);
        if let Some(former) = &former {
            former.driver.reactor()?.deregister(descriptor, former.key);
        }
        let registered = driver.reactor().and_then(|reactor| reactor.register(descriptor, &self.source));
        let outcome = registered.map(|key| {
            self.source.set_watcher(driver.address());
            *place = Some(Place { driver, key });
        });
        drop(place);
        if former.is_some() {
            // Tasks that were served by the other driver look again, and find this one, or the error.
            let mut wakers = Vec::new();
            self.source.is_moved(&mut wakers);
            wakers.into_iter().for_each(std::task::Waker::wake);
        }
        outcome
    }
}

/// A future's wait, which ends with it.
struct Waits<'a> {
    source: &'a Source,
    interest: Interest,
    /// Not before it has to wait for the first time.
    wait: Option<Wait>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(wait) = self.wait {
            self.source.forget(self.interest, wait);
        }
    }
}

/// What comes when from the kernel is not the seed's to decide.
pub(crate) fn refuse_in_virtual_time() -> io::Result<()> {
    if !Driver::is_current_virtual() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "a deterministic runtime serves no descriptors: no seed decides when the kernel has something. \
         Have the code under test take any reader and writer, and give it channels there",
    ))
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        if let Some(place) = lock(&self.place).take()
            && let Ok(reactor) = place.driver.reactor()
        {
            reactor.deregister(self.io.as_fd(), place.key);
        }
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(self.get_ref()).finish()
    }
}

impl<T: AsFd> AsyncRead for &Async<T>
where
    for<'a> &'a T: Read,
{
    #[track_caller]
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this: &Async<T> = &self;
        this.transfer(Interest::Read, Location::caller(), context, buffer.len(), |mut io| io.read(buffer))
    }
}

impl<T: AsFd> AsyncWrite for &Async<T>
where
    for<'a> &'a T: Write,
{
    #[track_caller]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this: &Async<T> = &self;
        this.transfer(Interest::Write, Location::caller(), context, buffer.len(), |mut io| io.write(buffer))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets and pipes keep nothing back.
        Poll::Ready((&mut self.get_mut().get_ref()).flush())
    }

    /// Ends the sending side of a connection: the other side then reads to the end, and may go on sending. What is no connection is flushed.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = self.get_mut().get_ref();
        (&mut &*io).flush()?;
        Poll::Ready(match shutdown(io, Shutdown::Write) {
            Ok(()) | Err(Errno::NOTSOCK | Errno::NOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }
}

impl<T: AsFd + Unpin> AsyncRead for Async<T>
where
    for<'a> &'a T: Read,
{
    #[track_caller]
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(context, buffer)
    }
}

impl<T: AsFd + Unpin> AsyncWrite for Async<T>
where
    for<'a> &'a T: Write,
{
    #[track_caller]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(context)
    }
}
