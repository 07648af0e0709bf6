//! One connection of a load, and what is said on it.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{LoadError, MESSAGE};
use crate::rng::SplitMix64;

/// File descriptors left for whatever else the process opens.
const SPARE_FILES: u64 = 64;

/// A connection and the request it is busy with.
#[derive(Debug)]
pub(super) struct Connection<S = TcpStream> {
    pub(super) stream: S,
    request: [u8; MESSAGE],
    /// How much of the request is sent: all of it before the first one.
    sent: usize,
    /// One byte longer than an answer: the read that finds it whole finds out also whether more was said.
    answer: [u8; MESSAGE + 1],
    received: usize,
    busy: bool,
    /// Whether epoll tells when the kernel takes more.
    pub(super) blocked: bool,
    pub(super) since_ns: u64,
    pub(super) idle_ns: u64,
}

impl<S: Read + Write> Connection<S> {
    pub(super) fn new(stream: S) -> Self {
        let (request, answer) = ([0; MESSAGE], [0; MESSAGE + 1]);
        Self {
            stream,
            request,
            sent: MESSAGE,
            answer,
            received: 0,
            busy: false,
            blocked: false,
            since_ns: 0,
            idle_ns: 0,
        }
    }

    pub(super) fn ask(&mut self, content: u64, counts: bool) {
        self.request[..8].copy_from_slice(&content.to_le_bytes());
        self.request[8] = u8::from(counts);
        (self.sent, self.received, self.busy) = (0, 0, true);
    }

    /// Whether all is sent now.
    pub(super) fn send(&mut self) -> io::Result<bool> {
        while self.sent < MESSAGE {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether a whole answer is there now.
    pub(super) fn receive(&mut self) -> io::Result<bool> {
        while self.received < MESSAGE {
            match self.stream.read(&mut self.answer[self.received..]) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "end of stream")),
                Ok(count) => self.received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Judges what was received; a whole answer that is right makes the connection idle.
    pub(super) fn check(&mut self, whole: bool) -> Result<(), String> {
        if self.received > if self.busy { self.sent } else { 0 } {
            return Err("spoke without being asked".to_owned());
        }
        if whole && self.answer[..MESSAGE] != self.request {
            return Err(format!("answered {:02x?}… to {:02x?}…", &self.answer[..8], &self.request[..8]));
        }
        if whole {
            (self.received, self.busy) = (0, false);
        }
        Ok(())
    }
}

/// What request `index` says: [`SplitMix64`]'s number of that index, which needs no state.
pub(super) fn mix(seed: u64, index: u64) -> u64 {
    // The generator takes a step before each number, the first included.
    SplitMix64::new(seed.wrapping_add(index.wrapping_sub(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))).next_u64()
}

/// Sees to it that this process may open so many connections.
pub(super) fn allow_files(connections: usize) -> Result<(), LoadError> {
    let open = fs::read_dir("/proc/self/fd")?.count() as u64;
    let needed = (connections as u64).saturating_add(open + SPARE_FILES);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if needed > hard {
        return Err(LoadError::FileDescriptors { connections, needed, hard });
    }
    if needed > soft {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that takes and gives a few bytes at a time, with signals and waits in between; what is written comes back.
    #[derive(Default)]
    struct Grudging {
        echo: Vec<u8>,
        reads: usize,
        writes: usize,
    }

    fn some(calls: &mut usize, wanted: usize) -> io::Result<usize> {
        *calls += 1;
        match *calls % 3 {
            0 => Err(ErrorKind::WouldBlock.into()),
            1 => Err(ErrorKind::Interrupted.into()),
            _ => Ok(wanted.min(5)),
        }
    }

    impl Read for Grudging {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = some(&mut self.reads, buffer.len())?.min(self.echo.len());
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            buffer[..count].copy_from_slice(&self.echo[..count]);
            self.echo.drain(..count);
            Ok(count)
        }
    }

    impl Write for Grudging {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            let count = some(&mut self.writes, buffer.len())?;
            self.echo.extend_from_slice(&buffer[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_request_may_go_and_an_answer_come_in_pieces() {
        let mut connection = Connection::new(Grudging::default());
        for content in [0, 7, u64::MAX] {
            connection.ask(content, true);
            let mut whole = false;
            for _ in 0..200 {
                connection.send().unwrap();
                whole = connection.receive().unwrap();
                connection.check(whole).unwrap();
                if whole {
                    break;
                }
            }
            assert!(whole);
        }
    }

    #[test]
    fn nothing_may_be_said_before_it_was_asked() {
        let mut connection = Connection::new(Grudging { echo: vec![0], ..Grudging::default() });
        let whole = connection.receive().unwrap();
        assert!(!whole && connection.check(whole).is_err());
        // Of the request nothing is sent yet.
        connection.ask(0, true);
        connection.stream = Grudging { echo: vec![0; 5], ..Grudging::default() };
        let whole = connection.receive().unwrap();
        assert!(!whole && connection.check(whole).is_err());
    }

    #[test]
    fn requests_say_what_the_generator_of_the_seed_does() {
        let mut generator = SplitMix64::new(99);
        assert!((1..100).all(|index| mix(99, index) == generator.next_u64()));
        // A finaliser of nothing but xor, shift and product leaves 0 as it is.
        assert_eq!(mix(0, 0), 0);
    }
}
