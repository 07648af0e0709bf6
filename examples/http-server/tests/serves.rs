//! The server, asked by a client over a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ended with the test, whatever comes of it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    let mut server = Command::new(env!("CARGO_BIN_EXE_http-server"));
    let mut server = Server(server.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().to_owned();

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
