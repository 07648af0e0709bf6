//! What mini-executor's tasks talk through: its own channels, lock, pipes and sockets.

use std::net::TcpStream;

use mini_executor::Async;
use mini_executor::sync::{Mutex, MutexGuard, mpsc};

use crate::capability::{Channel, Kit};

pub(crate) struct MiniKit;

impl Kit for MiniKit {
    type Channel = MiniChannel;
    type Lock = Mutex<u64>;
    type Pipe = MiniPipe;
    type Tcp = Async<TcpStream>;
}

/// Its `mpsc`.
pub(crate) struct MiniChannel;

impl Channel for MiniChannel {
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        capacity.map_or_else(mpsc::unbounded, mpsc::bounded)
    }

    async fn send(sender: &mut Self::Sender, message: u64) {
        // Nobody receives any more only where a workload has ended.
        let _ = sender.send(message).await;
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }
}

impl_lock!(Mutex, MutexGuard);

impl_pipe_and_tcp!(
    Async,
    /// An end of a pipe, watched by the thread's driver.
    MiniPipe
);
