//! Pipes for smol: async-io's `Async` over the ends of a pipe.

use std::io::{self, PipeReader, PipeWriter, Read, Write};

use async_io::Async;
use bench_harness::protocol::Refusal;

use crate::capability::Pipe;

/// An end of a pipe, registered with async-io's reactor.
pub(crate) enum AsyncFd {
    Read(Async<PipeReader>),
    Write(Async<PipeWriter>),
}

impl Pipe for AsyncFd {
    fn open() -> Result<(Self, Self), Refusal> {
        let open = || {
            let (reader, writer) = io::pipe()?;
            Ok((Self::Read(Async::new(reader)?), Self::Write(Async::new(writer)?)))
        };
        open().map_err(|error: io::Error| Refusal::failed(format!("pipe: {error}")))
    }

    async fn read(&mut self) -> io::Result<u8> {
        let Self::Read(reader) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        let mut byte = [0];
        reader.read_with(|mut end| end.read(&mut byte)).await?;
        Ok(byte[0])
    }

    async fn write(&mut self, byte: u8) -> io::Result<()> {
        let Self::Write(writer) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        writer.write_with(|mut end| end.write(&[byte])).await?;
        Ok(())
    }
}
