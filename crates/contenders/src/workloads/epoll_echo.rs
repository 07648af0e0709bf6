//! The floor of tcp-echo: a loop over epoll by hand, nothing between the system calls but a table of connections.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use bench_harness::protocol::ECHO_MESSAGE;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::tcp_echo::{Meter, ROOM};

/// A connection, and what has come and was not answered.
struct Connection {
    stream: TcpStream,
    bytes: [u8; ROOM],
    have: usize,
}

/// Serves until something fails.
pub(super) fn serve(socket: &TcpListener, meter: &Meter) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let listener = socket.as_raw_fd() as u64;
    epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, listener))?;
    meter.listens();
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut events = [EpollEvent::empty(); 256];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            waited => waited?,
        };
        for event in &events[..ready] {
            if event.data() == listener {
                accept(socket, &epoll, &mut connections)?;
            } else if let Some(connection) = connections.get_mut(&event.data())
                && !connection.answer(meter)
            {
                // Closing it takes it out of the set.
                connections.remove(&event.data());
            }
        }
    }
}

fn accept(socket: &TcpListener, epoll: &Epoll, connections: &mut HashMap<u64, Connection>) -> io::Result<()> {
    loop {
        match socket.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let name = stream.as_raw_fd() as u64;
                epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, name))?;
                connections.insert(name, Connection { stream, bytes: [0; ROOM], have: 0 });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Connection {
    /// Reads once, as level-triggered readiness says there is something; tells whether the connection goes on.
    fn answer(&mut self, meter: &Meter) -> bool {
        match self.stream.read(&mut self.bytes[self.have..]) {
            Ok(0) => false,
            Ok(more) => {
                self.have += more;
                if !self.have.is_multiple_of(ECHO_MESSAGE) {
                    return true;
                }
                let messages = &self.bytes[..std::mem::take(&mut self.have)];
                messages.chunks_exact(ECHO_MESSAGE).for_each(|message| meter.count(message));
                // A client that waits for each answer leaves room in the kernel's buffer for it.
                self.stream.write_all(messages).is_ok()
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}
