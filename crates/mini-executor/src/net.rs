//! Sockets: what [`Async`] offers for those of the standard library.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::panic::Location;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, getpeername, socket_with, sockopt};

use crate::io::{Async, refuse_in_virtual_time};
use crate::reactor::Interest;

impl Async<TcpListener> {
    /// Listens on an address. Names are looked up on the spot, which may block; addresses are not.
    ///
    /// # Errors
    /// When the system refuses: the port is taken, for instance.
    ///
    /// ```
    /// use mini_executor::{Async, LocalExecutor, block_on};
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = Async::<TcpListener>::bind("127.0.0.1:0")?;
    /// let address = listener.get_ref().local_addr()?;
    /// let executor = LocalExecutor::new();
    /// let server = executor.spawn(async move {
    ///     let (mut stream, _) = listener.accept().await?;
    ///     stream.write_all(b"hello").await
    /// });
    /// let received = block_on(executor.run(async {
    ///     let mut stream = Async::<TcpStream>::connect(address).await?;
    ///     let mut received = String::new();
    ///     stream.read_to_string(&mut received).await?;
    ///     server.await.map(|()| received)
    /// }))?;
    /// assert_eq!(received, "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        refuse_in_virtual_time()?;
        Self::new(TcpListener::bind(address)?)
    }

    /// The next connection, and where it comes from.
    ///
    /// # Errors
    /// When the system refuses: too many open files, for instance. The connection stays in the queue then.
    ///
    /// A server takes one connection after the other, and gives each to a task of its own:
    ///
    /// ```
    /// use mini_executor::{Async, Runtime, block_on};
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use std::io::{Read, Write};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Runtime::new(1)?;
    /// let handle = runtime.handle();
    /// let listener = Async::<TcpListener>::bind("127.0.0.1:0")?;
    /// let address = listener.get_ref().local_addr()?;
    /// let server = runtime.spawn(async move {
    ///     loop {
    ///         let Ok((mut stream, _)) = listener.accept().await else { return };
    ///         let echo = async move {
    ///             let mut byte = [0];
    ///             stream.read_exact(&mut byte).await?;
    ///             stream.write_all(&byte).await
    ///         };
    ///         handle.spawn(echo).detach();
    ///     }
    /// });
    /// for byte in [7, 8] {
    ///     let mut client = TcpStream::connect(address)?;
    ///     client.write_all(&[byte])?;
    ///     let mut answer = [0];
    ///     client.read_exact(&mut answer)?;
    ///     assert_eq!(answer, [byte]);
    /// }
    /// assert_eq!(block_on(server.cancel()), None);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(Async<TcpStream>, SocketAddr)>> {
        let place = Location::caller();
        async move {
            let (stream, from) = self.wait_with(Interest::Read, place, TcpListener::accept).await?;
            Ok((Async::new(stream)?, from))
        }
    }
}

impl Async<TcpStream> {
    /// Connects to an address.
    ///
    /// # Errors
    /// When the system refuses, or nobody answers there.
    ///
    /// ```
    /// use mini_executor::{Async, block_on};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = block_on(Async::<TcpStream>::connect(listener.local_addr()?))?;
    /// assert_eq!(stream.get_ref().peer_addr()?, listener.local_addr()?);
    ///
    /// let address = listener.local_addr()?;
    /// drop(listener);
    /// assert!(block_on(Async::<TcpStream>::connect(address)).is_err()); // nobody listens
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move {
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = socket(family)?;
            let begun = connect(&socket, &address);
            Self::finish_connecting(begun, TcpStream::from(socket), place).await
        }
    }
}

impl Async<UnixListener> {
    /// Listens on a path.
    ///
    /// # Errors
    /// When the system refuses: there is something at that path, for instance.
    ///
    /// ```
    /// use mini_executor::{Async, group, block_on};
    /// use std::os::unix::net::{UnixListener, UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("socket");
    /// let listener = Async::<UnixListener>::bind(&path)?;
    /// block_on(group(async |group| {
    ///     group.spawn(async { Async::<UnixStream>::connect(&path).await.map(drop).unwrap() });
    ///     let (_stream, from) = listener.accept().await?;
    ///     assert!(from.is_unnamed()); // who connects seldom has a path of its own
    ///     Ok(())
    /// }))
    /// # }
    /// ```
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        refuse_in_virtual_time()?;
        Self::new(UnixListener::bind(path)?)
    }

    /// The next connection, and where it comes from.
    ///
    /// # Errors
    /// When the system refuses.
    ///
    /// See [`bind`](Self::bind) for an example.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(Async<UnixStream>, UnixAddr)>> {
        let place = Location::caller();
        async move {
            let (stream, from) = self.wait_with(Interest::Read, place, UnixListener::accept).await?;
            Ok((Async::new(stream)?, from))
        }
    }
}

impl Async<UnixStream> {
    /// Connects to the listener at a path.
    ///
    /// # Errors
    /// When the system refuses, or nobody listens there; [`io::ErrorKind::WouldBlock`] where as many wait for the listener already as it lets
    /// wait.
    ///
    /// ```
    /// use mini_executor::{Async, block_on};
    /// use std::os::unix::net::{UnixListener, UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("socket");
    /// let _listener = UnixListener::bind(&path)?;
    /// let stream = block_on(Async::<UnixStream>::connect(&path))?;
    /// assert_eq!(stream.get_ref().peer_addr()?.as_pathname(), Some(&*path));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move {
            let socket = socket(AddressFamily::UNIX)?;
            let begun = connect(&socket, &SocketAddrUnix::new(path.as_ref())?);
            Self::finish_connecting(begun, UnixStream::from(socket), place).await
        }
    }
}

fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    // Before anything is sent.
    refuse_in_virtual_time()?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

impl<T: std::os::fd::AsFd> Async<T> {
    /// A connection is made in the background, and the socket becomes writable when that has come to an end.
    async fn finish_connecting(
        begun: Result<(), Errno>,
        stream: T,
        place: &'static Location<'static>,
    ) -> io::Result<Self> {
        let stream = Self::new(stream)?;
        match begun {
            Ok(()) => return Ok(stream),
            Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut is_first = true;
        let outcome = stream
            .wait_with(Interest::Write, place, |socket| {
                // Nothing can be tried: it is waited for once.
                if std::mem::take(&mut is_first) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let failed = sockopt::socket_error(socket)?;
                // Writable is also what nobody knows anything of yet: a socket whose task has gone to another thread.
                match getpeername(socket) {
                    Err(Errno::NOTCONN) if failed.is_ok() => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(failed),
                }
            })
            .await?;
        outcome?;
        Ok(stream)
    }
}
