//! What tasks talk through: a library's channels, lock, pipes and sockets, as the runtimes that use them share them.

/// The capability `Lock` of a library's mutex. Three libraries have the same one, under three names.
macro_rules! impl_lock {
    ($mutex:ident, $guard:ident) => {
        impl crate::capability::Lock for $mutex<u64> {
            type Guard<'a> = $guard<'a, u64>;

            fn new(value: u64) -> Self {
                Self::new(value)
            }

            async fn lock(&self) -> $guard<'_, u64> {
                self.lock().await
            }
        }
    };
}

/// The capabilities `Pipe` and `Tcp` on a library's `Async<T>`: async-io's and mini-executor's have the same shape, and share no trait
/// that says so.
macro_rules! impl_pipe_and_tcp {
    ($async:ident, $(#[$about:meta])* $pipe:ident) => {
        $(#[$about])*
        pub(crate) enum $pipe {
            Read($async<std::io::PipeReader>),
            Write($async<std::io::PipeWriter>),
        }

        impl crate::capability::Pipe for $pipe {
            fn open() -> Result<(Self, Self), bench_harness::protocol::Refusal> {
                let open = || {
                    let (reader, writer) = std::io::pipe()?;
                    Ok((Self::Read($async::new(reader)?), Self::Write($async::new(writer)?)))
                };
                open().map_err(|error: std::io::Error| {
                    bench_harness::protocol::Refusal::failed(format!("pipe: {error}"))
                })
            }

            async fn read(&mut self) -> std::io::Result<u8> {
                use std::io::Read;

                let Self::Read(reader) = self else { return Err(std::io::ErrorKind::Unsupported.into()) };
                let mut byte = [0];
                let count = reader.read_with(|mut end| end.read(&mut byte)).await?;
                if count == 1 { Ok(byte[0]) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
            }

            async fn write(&mut self, byte: u8) -> std::io::Result<()> {
                use std::io::Write;

                let Self::Write(writer) = self else { return Err(std::io::ErrorKind::Unsupported.into()) };
                writer.write_with(|mut end| end.write(&[byte])).await?;
                Ok(())
            }
        }

        impl crate::capability::Tcp for $async<std::net::TcpStream> {
            type Listener = $async<std::net::TcpListener>;

            fn listen(socket: std::net::TcpListener) -> std::io::Result<Self::Listener> {
                $async::new(socket)
            }

            async fn accept(listener: &mut Self::Listener) -> std::io::Result<Self> {
                let (stream, _) = listener.accept().await?;
                stream.get_ref().set_nodelay(true)?;
                Ok(stream)
            }

            async fn read(&mut self, mut buffer: Vec<u8>) -> (std::io::Result<usize>, Vec<u8>) {
                (futures_lite::AsyncReadExt::read(self, &mut buffer).await, buffer)
            }

            async fn write(&mut self, buffer: Vec<u8>) -> (std::io::Result<()>, Vec<u8>) {
                (futures_lite::AsyncWriteExt::write_all(self, &buffer).await, buffer)
            }
        }
    };
}

pub(crate) mod floor;
pub(crate) mod mini;
pub(crate) mod smol;
pub(crate) mod tokio;
