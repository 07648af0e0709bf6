//! What the tasks of smol and async-std talk through: async-channel, async-lock, and async-io over pipes and sockets.

use std::net::TcpStream;

use async_io::Async;
use async_lock::{Mutex, MutexGuard};

use crate::capability::{Channel, Kit};

pub(crate) struct SmolKit;

impl Kit for SmolKit {
    type Channel = AsyncChannel;
    type Lock = Mutex<u64>;
    type Pipe = AsyncFd;
    type Tcp = Async<TcpStream>;
}

/// async-channel, which is async-std's too.
pub(crate) struct AsyncChannel;

impl Channel for AsyncChannel {
    type Sender = async_channel::Sender<u64>;
    type Receiver = async_channel::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        capacity.map_or_else(async_channel::unbounded, async_channel::bounded)
    }

    async fn send(sender: &mut Self::Sender, message: u64) {
        // Nobody receives any more only where a workload has ended.
        let _ = sender.send(message).await;
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await.ok()
    }
}

// async-lock's mutex, which is async-std's too.
impl_lock!(Mutex, MutexGuard);

impl_pipe_and_tcp!(
    Async,
    /// An end of a pipe, registered with async-io's reactor.
    AsyncFd
);
