//! Sockets and pipes.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use mini_executor::{Async, LocalExecutor, block_on, sleep, yield_now};
use rustix::net::{AddressFamily, SendFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};

#[test]
fn many_connections_are_echoed_at_once() -> io::Result<()> {
    const CLIENTS: usize = 50;
    let listener = Async::<TcpListener>::bind("127.0.0.1:0")?;
    let address = listener.get_ref().local_addr()?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for round in 0..20 {
                    // From less than the server's buffer to a multiple of it.
                    let message = vec![number as u8; 1 + round * 13];
                    stream.write_all(&message).unwrap();
                    let mut answer = vec![0; message.len()];
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(answer, message);
                }
            })
        })
        .collect();
    let executor = LocalExecutor::new();
    let server = async {
        let mut served = Vec::new();
        for _ in 0..CLIENTS {
            let (mut stream, _) = listener.accept().await?;
            served.push(executor.spawn(async move {
                let mut buffer = [0; 64];
                loop {
                    let count = stream.read(&mut buffer).await?;
                    if count == 0 {
                        return io::Result::Ok(());
                    }
                    stream.write_all(&buffer[..count]).await?;
                }
            }));
        }
        for connection in served {
            connection.await?;
        }
        io::Result::Ok(())
    };
    block_on(executor.run(server))?;
    for client in clients {
        client.join().unwrap();
    }
    Ok(())
}

/// The end comes together with the last bytes, or after them: neither is missed by who reads them with a large buffer.
#[test]
fn an_end_that_comes_with_the_last_bytes_is_seen() -> io::Result<()> {
    for pause in [false, true] {
        let (mut here, there) = UnixStream::pair()?;
        let mut there = Async::new(there)?;
        let writing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            here.write_all(b"last").unwrap();
            if pause {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let mut all = Vec::new();
        block_on(there.read_to_end(&mut all))?;
        assert_eq!(all, b"last");
        writing.join().unwrap();
    }
    Ok(())
}

#[test]
fn a_writer_waits_for_a_slow_reader() -> io::Result<()> {
    const LENGTH: usize = 4 << 20;
    let (here, mut there) = UnixStream::pair()?;
    let reading = std::thread::spawn(move || {
        let mut count = 0;
        let mut buffer = vec![0; 10_000];
        while let more @ 1.. = there.read(&mut buffer).unwrap() {
            count += more;
        }
        count
    });
    block_on(async {
        let mut here = Async::new(here)?;
        here.write_all(&vec![1; LENGTH]).await?;
        here.close().await
    })?;
    assert_eq!(reading.join().unwrap(), LENGTH);
    Ok(())
}

#[test]
fn reading_and_writing_at_once_on_one_descriptor() -> io::Result<()> {
    const LENGTH: usize = 1 << 20;
    let (here, there) = UnixStream::pair()?;
    let (here, there) = (Async::new(here)?, Async::new(there)?);
    let executor = LocalExecutor::new();
    let copy = async |from: &Async<UnixStream>| {
        let mut count = 0;
        let mut buffer = vec![0; 5_000];
        let mut from = from;
        while count < LENGTH {
            count += from.read(&mut buffer).await?;
        }
        io::Result::Ok(count)
    };
    let fill = async |mut to: &Async<UnixStream>| to.write_all(&vec![7; LENGTH]).await;
    let tasks = [executor.spawn(copy(&here)), executor.spawn(copy(&there))];
    let writes = [executor.spawn(fill(&here)), executor.spawn(fill(&there))];
    block_on(executor.run(async {
        for write in writes {
            write.await?;
        }
        for task in tasks {
            assert_eq!(task.await?, LENGTH);
        }
        io::Result::Ok(())
    }))
}

#[test]
fn a_descriptor_moves_to_the_thread_that_awaits_it() -> io::Result<()> {
    let (mut here, there) = UnixStream::pair()?;
    let mut there = Async::new(there)?;
    let mut byte = [0];
    block_on(async {
        let mut reading = Box::pin(there.read(&mut byte));
        poll_fn(|context| {
            assert!(reading.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    });
    let reading = std::thread::spawn(move || {
        let mut byte = [0];
        block_on(there.read(&mut byte)).map(|_| byte[0])
    });
    std::thread::sleep(Duration::from_millis(10));
    here.write_all(b"m")?;
    assert_eq!(reading.join().unwrap()?, b'm');
    Ok(())
}

/// Polls a future once, in a `block_on` of its own.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    block_on(poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))))
}

#[test]
fn a_connection_that_is_being_made_stays_so_on_another_thread() -> io::Result<()> {
    // Room for one that nobody accepts. The next one's first packet is dropped.
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0)))?;
    rustix::net::listen(&socket, 0)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    let _first = TcpStream::connect(address)?;
    let mut connecting = Box::pin(Async::<TcpStream>::connect(address));
    assert!(poll_once(&mut connecting).is_pending());
    let mut connecting = std::thread::spawn(move || {
        assert!(poll_once(&mut connecting).is_pending(), "nobody has answered yet");
        connecting
    })
    .join()
    .unwrap();
    assert!(poll_once(&mut connecting).is_pending());
    Ok(())
}

#[test]
fn an_error_that_was_told_is_no_news_the_next_time() -> io::Result<()> {
    let socket = Async::new(UdpSocket::bind("127.0.0.1:0")?)?;
    let nobody = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    socket.get_ref().connect(nobody)?;
    let mut buffer = [0; 8];
    // Watched from here on, so that the error is reported, and not just found.
    assert!(poll_once(&mut Box::pin(socket.read_with(|socket| socket.recv(&mut buffer)))).is_pending());
    socket.get_ref().send(b"?")?;
    let refused = block_on(socket.read_with(|socket| socket.recv(&mut buffer))).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    // Before, it was tried again and again, for ever.
    let mut attempts = 0;
    let mut receiving = Box::pin(socket.read_with(|socket| {
        attempts += 1;
        assert!(attempts < 10);
        socket.recv(&mut buffer)
    }));
    assert!(poll_once(&mut receiving).is_pending());
    Ok(())
}

#[test]
fn a_read_that_stops_at_urgent_data_is_not_all_there_is() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let there = TcpStream::connect(listener.local_addr()?)?;
    let mut here = Async::new(listener.accept()?.0)?;
    let mut buffer = [0; 16];
    block_on(async {
        // Watched, and then three parts at once: urgent is the last byte of the second.
        assert!(poll_fn(|context| Poll::Ready(Pin::new(&mut here.read(&mut buffer)).poll(context))).await.is_pending());
        for (part, flags) in [("abc", SendFlags::empty()), ("d", SendFlags::OOB), ("efg", SendFlags::empty())] {
            rustix::net::send(&there, part.as_bytes(), flags)?;
        }
        let mut read = Vec::new();
        while read.len() < 6 {
            let count = here.read(&mut buffer).await?;
            read.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(read, b"abcefg");
        io::Result::Ok(())
    })
}

#[test]
fn closing_ends_one_direction() -> io::Result<()> {
    let (here, mut there) = UnixStream::pair()?;
    let mut here = Async::new(here)?;
    block_on(async {
        here.write_all(b"all").await?;
        here.close().await?;
        let mut received = Vec::new();
        there.read_to_end(&mut received)?;
        assert_eq!(received, b"all");
        there.write_all(b"answer")?;
        drop(there);
        let mut answer = String::new();
        here.read_to_string(&mut answer).await?;
        assert_eq!(answer, "answer");
        // Nobody is there any more, and that is no error.
        here.close().await
    })
}

#[test]
fn less_than_there_was_room_for_is_not_all_there_is_where_messages_stay_apart() -> io::Result<()> {
    let (reader, writer) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC)?;
    let mut reader = Async::new(File::from(reader))?;
    let mut writer = File::from(writer);
    let mut buffer = [0; 16];
    let (mut first, mut second) = ([0; 16], [0; 16]);
    block_on(async {
        // Registered and waiting, so that there is one report for the two that come.
        let mut reading = Box::pin(reader.read(&mut buffer));
        poll_fn(|context| {
            assert!(reading.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(reading);
        writer.write_all(b"one")?;
        writer.write_all(b"two")?;
        assert_eq!(reader.read(&mut first).await?, 3);
        assert_eq!(reader.read(&mut second).await?, 3);
        io::Result::Ok(())
    })?;
    assert_eq!((&first[..3], &second[..3]), (&b"one"[..], &b"two"[..]));
    Ok(())
}

#[test]
fn a_socket_is_served_beside_a_task_that_yields_for_ever() -> io::Result<()> {
    let (mut here, there) = UnixStream::pair()?;
    let mut there = Async::new(there)?;
    let writing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        here.write_all(b"x").unwrap();
        here
    });
    let executor = LocalExecutor::new();
    executor
        .spawn(async {
            loop {
                yield_now().await;
            }
        })
        .detach();
    let read = executor.spawn(async move {
        let mut byte = [0];
        there.read_exact(&mut byte).await.map(|()| byte[0])
    });
    assert_eq!(block_on(executor.run(read))?, b'x');
    drop(writing.join());
    Ok(())
}

#[test]
fn timers_and_sockets_at_once() -> io::Result<()> {
    let (reader, mut writer) = io::pipe()?;
    let reader = Async::new(reader)?;
    let executor = LocalExecutor::new();
    let read = executor.spawn(async move {
        let mut byte = [0];
        reader.read_with(|mut pipe| pipe.read(&mut byte)).await?;
        io::Result::Ok(byte[0])
    });
    let write = executor.spawn(async move {
        sleep(Duration::from_millis(3)).await;
        writer.write_all(b"t")
    });
    block_on(executor.run(async {
        write.await?;
        assert_eq!(read.await?, b't');
        Ok(())
    }))
}

#[test]
fn a_descriptor_that_nobody_serves_names_the_mistake() -> io::Result<()> {
    let (_here, there) = UnixStream::pair()?;
    let mut there = Async::new(there)?;
    let mut byte = [0];
    let error = futures_lite::future::block_on(there.read(&mut byte)).unwrap_err();
    assert!(error.to_string().contains("mini_executor::block_on"), "{error}");
    Ok(())
}

#[test]
fn what_epoll_cannot_watch_is_an_error() -> io::Result<()> {
    let file = Async::new(std::fs::File::open("Cargo.toml")?)?;
    // A file is always ready, so nothing ever has to wait; asked to, epoll refuses.
    let refused = block_on(file.read_with(|_| io::Result::<()>::Err(io::ErrorKind::WouldBlock.into())));
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    Ok(())
}

#[test]
fn connecting_to_where_nobody_listens_fails() -> io::Result<()> {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let refused = block_on(Async::<TcpStream>::connect(address)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let nowhere = std::env::temp_dir().join("mini-executor-no-such-socket");
    assert!(block_on(Async::<UnixStream>::connect(nowhere)).is_err());
    Ok(())
}

#[test]
fn sockets_of_the_file_system() -> io::Result<()> {
    const CONNECTIONS: u8 = 100;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("socket");
    let listener = Async::<UnixListener>::bind(&path)?;
    let executor = LocalExecutor::new();
    let server = executor.spawn(async move {
        let mut sum = 0_u32;
        for _ in 0..CONNECTIONS {
            let (mut stream, _) = listener.accept().await?;
            let mut number = [0];
            stream.read_exact(&mut number).await?;
            sum += u32::from(number[0]);
        }
        io::Result::Ok(sum)
    });
    let sum = block_on(executor.run(async {
        for number in 0..CONNECTIONS {
            let mut stream = Async::<UnixStream>::connect(&path).await?;
            stream.write_all(&[number]).await?;
        }
        server.await
    }))?;
    assert_eq!(sum, 99 * 100 / 2);
    Ok(())
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn waits_that_are_given_up_leave_nothing_at_a_silent_descriptor() -> io::Result<()> {
    let (_here, there) = UnixStream::pair()?;
    let there = Async::new(there)?;
    let counts: Vec<Arc<Count>> = (0..100).map(|_| Arc::default()).collect();
    block_on(async {
        for count in &counts {
            let mut byte = [0];
            let mut reading = pin!(there.read_with(|mut stream| stream.read(&mut byte)));
            // Twice: the second is the same wait.
            for _ in 0..2 {
                assert!(reading.as_mut().poll(&mut Context::from_waker(&Waker::from(count.clone()))).is_pending());
            }
            assert_eq!(Arc::strong_count(count), 2);
        }
    });
    assert!(counts.iter().all(|count| Arc::strong_count(count) == 1 && count.0.load(Ordering::Relaxed) == 0));
    Ok(())
}

#[test]
fn of_those_who_poll_a_stream_the_last_are_woken_and_nobody_before() -> io::Result<()> {
    let (mut here, there) = UnixStream::pair()?;
    let there = Async::new(there)?;
    let counts: Vec<Arc<Count>> = (0..100).map(|_| Arc::default()).collect();
    let executor = LocalExecutor::new();
    block_on(executor.run(async {
        for count in &counts {
            let waker = Waker::from(count.clone());
            for _ in 0..2 {
                assert!(Pin::new(&mut &there).poll_read(&mut Context::from_waker(&waker), &mut [0]).is_pending());
            }
        }
        let (others, last) = counts.split_at(84);
        assert!(others.iter().all(|count| Arc::strong_count(count) == 1));
        assert!(last.iter().all(|count| Arc::strong_count(count) == 2 && count.0.load(Ordering::Relaxed) == 0));
        here.write_all(b"x")?;
        let mut byte = [0];
        there.read_with(|mut stream| stream.read(&mut byte)).await?;
        assert!(others.iter().all(|count| count.0.load(Ordering::Relaxed) == 0));
        let seen: Vec<_> =
            last.iter().map(|count| (Arc::strong_count(count), count.0.load(Ordering::Relaxed))).collect();
        assert_eq!(seen, [(1, 1); 16]);
        Ok(())
    }))
}
