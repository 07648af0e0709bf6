//! The other side: an HTTP client that sends one request.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::request_id::X_REQUEST_ID;

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The id it was sent with.
    pub(crate) sent: Option<String>,
    /// The response's.
    pub(crate) received: Option<String>,
    /// The lines of the body: the id as it was read in each of [`PLACES`](crate::PLACES).
    pub(crate) seen: Vec<String>,
}

/// Sends a request over a connection of its own.
pub(crate) async fn ask(server: SocketAddr, id: Option<String>) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(server).await.with_context(|| format!("can't connect to {server}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::get("/").header(header::HOST, server.to_string());
    if let Some(id) = &id {
        request = request.header(&X_REQUEST_ID, id);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    ensure!(response.status() == StatusCode::OK, "the response's status is {}", response.status());
    let received = match response.headers().get(&X_REQUEST_ID) {
        Some(id) => Some(id.to_str()?.to_owned()),
        None => None,
    };
    let body = response.into_body().collect().await?.to_bytes();
    let seen = std::str::from_utf8(&body)?.lines().map(str::to_owned).collect();
    drop(sender);
    connection.await??;
    Ok(Answer { sent: id, received, seen })
}
