//! hyper on mini-executor: an HTTP server on one thread.
//!
//!     cargo run --package http-server -- 127.0.0.1:8080
//!     curl http://127.0.0.1:8080/anything
//!
//! Port 0 has the system choose one; the address is printed.

#![allow(clippy::print_stdout, reason = "the address is what it prints")]

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use mini_executor::{Async, LocalExecutor, TokioIo, block_on, sleep, spawn_blocking};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = Async::<TcpListener>::bind(&address)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    println!("http://{}", listener.get_ref().local_addr()?);
    let executor = LocalExecutor::new();
    block_on(executor.run(serve(&executor, listener)))
}

/// A task a connection.
async fn serve(executor: &LocalExecutor<'_>, listener: Async<TcpListener>) -> io::Result<()> {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, for instance. The connection waits in the queue until some are closed.
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let io = hyper_util::rt::TokioIo::new(TokioIo::new(stream));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(answer));
        let served = async {
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        };
        executor.spawn_named("connection", served).detach();
    }
}

/// `/sleep` waits, `/block` computes where that holds nobody up, all else is answered at once.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match request.uri().path() {
        "/sleep" => {
            sleep(Duration::from_millis(100)).await;
            "slept".to_owned()
        }
        "/block" => spawn_blocking(|| format!("{}", (1..1_000_000_u64).fold(0, |sum, number| sum ^ number))).await,
        path => format!("hello from {path}"),
    };
    Ok(Response::new(Full::new(Bytes::from(text + "\n"))))
}
