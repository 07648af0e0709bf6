//! For libraries that are written against tokio's traits of reading and writing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::ReadBuf;

/// Anything that reads and writes by the traits of `futures-io` does so by tokio's.
///
/// ```
/// use mini_executor::{Async, TokioIo, block_on};
/// use std::os::unix::net::UnixStream;
/// use tokio::io::{AsyncRead, ReadBuf};
/// use std::io::Write;
/// use std::pin::Pin;
///
/// # fn main() -> std::io::Result<()> {
/// let (mut here, there) = UnixStream::pair()?;
/// here.write_all(b"hello")?;
/// let mut there = TokioIo::new(Async::new(there)?);
/// let mut room = [0; 8];
/// let mut buffer = ReadBuf::new(&mut room);
/// block_on(std::future::poll_fn(|context| Pin::new(&mut there).poll_read(context, &mut buffer)))?;
/// assert_eq!(buffer.filled(), b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TokioIo<T>(T);

impl<T> TokioIo<T> {
    /// Wraps it. For an example see [`TokioIo`].
    pub const fn new(io: T) -> Self {
        Self(io)
    }
}

impl<T: AsyncRead + Unpin> tokio::io::AsyncRead for TokioIo<T> {
    #[track_caller]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.initialize_unfilled();
        let count = ready!(Pin::new(&mut self.0).poll_read(context, room))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> tokio::io::AsyncWrite for TokioIo<T> {
    #[track_caller]
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}
