//! What can go wrong while a server is loaded, each as a sentence for a person.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;

use super::MESSAGE;

/// What ends a load before its time.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// More connections than this process may open.
    #[error(
        "{connections} connections take {needed} file descriptors and this process may have {hard}: ask for fewer, or \
         raise the hard limit (ulimit -Hn)"
    )]
    FileDescriptors {
        /// How many were asked for.
        connections: usize,
        /// What that takes, with those already open.
        needed: u64,
        /// The hard limit.
        hard: u64,
    },
    /// A connection can't be made.
    #[error(
        "{address} takes no connection beyond {made} of {connections}: {source}; see that the server is running and \
         listens there, and that there are local ports enough"
    )]
    Connect {
        /// The server's.
        address: SocketAddr,
        /// Connections made.
        made: u64,
        /// Connections wanted.
        connections: u64,
        /// What the kernel says.
        source: io::Error,
    },
    /// The server is no echo.
    #[error(
        "the server at {address} {what}, after {answers} right answers: it has to send the {MESSAGE} bytes of every \
         request back unchanged, and nothing else"
    )]
    WrongAnswer {
        /// The server's.
        address: SocketAddr,
        /// Right answers before.
        answers: u64,
        /// What it did.
        what: String,
    },
    /// The server gave a connection up.
    #[error(
        "the server at {address} ended a connection after {answers} of {requests} answers ({source}): its own messages \
         may say why"
    )]
    Closed {
        /// The server's.
        address: SocketAddr,
        /// Answers until then, over all connections.
        answers: u64,
        /// Answers wanted.
        requests: u64,
        /// How it ended.
        source: io::Error,
    },
    /// The server hangs or is too slow.
    #[error(
        "the server at {address} gave {answers} of {requests} answers within {limit:?}: see whether it hangs; if it is \
         only slow, allow it more time or send it less"
    )]
    Limit {
        /// The server's.
        address: SocketAddr,
        /// Answers until then, over all connections.
        answers: u64,
        /// Answers wanted.
        requests: u64,
        /// The time there was.
        limit: Duration,
    },
    /// The kernel won't.
    #[error("the kernel refused the load generator its means (epoll, socket options, limits): {0}")]
    Kernel(#[from] io::Error),
    /// A person wants it to end.
    #[error("interrupted")]
    Interrupted,
}

impl From<Errno> for LoadError {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno.into())
    }
}
