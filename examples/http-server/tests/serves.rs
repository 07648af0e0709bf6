//! The server, asked by clients over sockets: one of this file's own, that keeps to the letter of the protocol, and hyper's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use mini_executor::{Async, LocalExecutor, TokioIo, block_on};

/// Ended with the test, whatever comes of it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server, and its address.
fn start() -> (Server, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_http-server"));
    let mut server = Server(server.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().to_owned();
    (server, address)
}

/// Reads one answer, by its length.
fn answer(stream: &mut BufReader<TcpStream>) -> (String, String) {
    let mut length = 0;
    let mut status = String::new();
    stream.read_line(&mut status).unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status.trim().to_owned(), String::from_utf8(body).unwrap())
}

#[test]
fn many_connections_are_kept_alive_and_answered() {
    let (_server, address) = start();
    let clients: Vec<_> = (0..20)
        .map(|number| {
            let address = address.clone();
            std::thread::spawn(move || {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let mut stream = BufReader::new(stream);
                for path in [format!("/{number}"), "/sleep".to_owned(), "/block".to_owned(), "/end".to_owned()] {
                    write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
                    let (status, body) = answer(&mut stream);
                    assert_eq!(status, "HTTP/1.1 200 OK");
                    match path.as_str() {
                        "/sleep" => assert_eq!(body, "slept\n"),
                        "/block" => assert_eq!(body, format!("{}\n", (1..1_000_000_u64).fold(0, |sum, n| sum ^ n))),
                        _ => assert_eq!(body, format!("hello from {path}\n")),
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn hypers_client_is_answered() {
    let (_server, address) = start();
    let executor = LocalExecutor::new();
    let asked = executor.run(async {
        let stream = Async::<TcpStream>::connect(address.parse().unwrap()).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(TokioIo::new(stream));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = executor.spawn(connection);
        for number in 0..3 {
            let request = hyper::Request::get(format!("/{number}")).header("Host", &address);
            let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), hyper::StatusCode::OK);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("hello from /{number}\n"));
            sender.ready().await.unwrap();
        }
        drop(sender);
        connection.await.unwrap();
    });
    block_on(asked);
}
