//! ctxvar in axum: an id for each request, known wherever work is done for it.
//!
//!     cargo run --package axum-request-id
//!
//! A server on a free port of 127.0.0.1, and eight requests to it at once. Which comes first differs from run to run; this is one, without
//! the middle of its log:
//!
//! ```text
//! [made-4] INFO shelf checked
//! [nobody] INFO mail sent
//! [client-2] INFO shelf checked
//! [made-2] INFO shelf checked
//! [nobody] INFO mail sent
//! [client-4] INFO shelf checked
//! [nobody] INFO mail sent
//! [made-3] INFO shelf checked
//! …
//! [made-1] INFO receipt written
//! [client-0] INFO receipt written
//! [nobody] INFO mail sent
//!
//! x-request-id sent in the response  handler          three calls deep ctxvar spawn     ctxvar blocking  tokio::spawn
//! client-0          client-0         client-0         client-0         client-0         client-0         nobody
//! -                 made-1           made-1           made-1           made-1           made-1           nobody
//! client-2          client-2         client-2         client-2         client-2         client-2         nobody
//! -                 made-2           made-2           made-2           made-2           made-2           nobody
//! client-4          client-4         client-4         client-4         client-4         client-4         nobody
//! -                 made-3           made-3           made-3           made-3           made-3           nobody
//! client-6          client-6         client-6         client-6         client-6         client-6         nobody
//! -                 made-4           made-4           made-4           made-4           made-4           nobody
//!
//! All as it should be: each piece of work knew its own request, but for what was spawned bare.
//! ```
//!
//! `ctxvar spawn` is what `ctxvar::tokio::spawn` started, `ctxvar blocking` what `ctxvar::tokio::spawn_blocking` did. The last column is the
//! mistake that these two are there for, as are the log's lines of nobody: a bare `tokio::spawn` starts work that belongs to no request.
//!
//! The program compares all of that with what it should be, and ends with 1 and a message where it isn't so.
//!
//! Begin with `request_id.rs`, which is all that a service needs; `log.rs` puts the id in the log; `client.rs` is the other side.

#![allow(clippy::print_stdout, reason = "a transcript is what it prints")]

mod client;
mod log;
mod request_id;

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tracing::info;

use crate::client::Answer;
use crate::log::Lines;
use crate::request_id::{NOBODY, RequestIdLayer, current_id};

/// How many requests are under way at a time. Half of them bring an id along.
const REQUESTS: usize = 8;

/// Where the id is read: the columns of the table, and the lines of an answer.
const PLACES: [&str; 5] = ["handler", "three calls deep", "ctxvar spawn", "ctxvar blocking", "tokio::spawn"];

// Eight requests on two threads: they take turns on each, and go on in the other one, so no thread-local could tell them apart.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\naxum-request-id: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let lines = log::start()?;
    let answers = serve_and_ask(shop().layer(RequestIdLayer)).await?;
    print(&answers);
    check_answers(&answers)?;
    check_log(&lines, &answers)?;
    println!("\nAll as it should be: each piece of work knew its own request, but for what was spawned bare.");
    Ok(())
}

/// A service that knows nothing of ids: no function below takes one.
fn shop() -> Router {
    Router::new().route("/", get(buy)).with_state(Arc::new(Barrier::new(REQUESTS)))
}

/// The handler. It answers with the id as it is read in each of [`PLACES`].
async fn buy(State(everybody): State<Arc<Barrier>>) -> String {
    // Until all requests are here. From now on they are mixed as much as they can be.
    everybody.wait().await;
    let in_handler = current_id();
    let deep = check_order();
    let spawned = ctxvar::tokio::spawn(async {
        tokio::task::yield_now().await;
        current_id()
    });
    let blocking = ctxvar::tokio::spawn_blocking(|| {
        info!("receipt written");
        current_id()
    });
    // The mistake. The task begins in the context of whichever thread polls it, where no request's id is set.
    let bare = tokio::spawn(async {
        info!("mail sent");
        current_id()
    });
    let (spawned, blocking, bare) = tokio::try_join!(spawned, blocking, bare).expect("none of the tasks panics");
    [in_handler, deep, spawned, blocking, bare].join("\n")
}

fn check_order() -> String {
    check_stock()
}

fn check_stock() -> String {
    check_shelf()
}

/// Three calls deep, in plain functions.
fn check_shelf() -> String {
    info!("shelf checked");
    current_id()
}

/// Serves on a free port, sends all requests at once, and ends when each has its answer. The answers are in the requests' order.
async fn serve_and_ask(app: Router) -> anyhow::Result<Vec<Answer>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port on 127.0.0.1")?;
    let address = listener.local_addr()?;
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let sent = (number % 2 == 0).then(|| format!("client-{number}"));
        requests.spawn(async move { (number, client::ask(address, sent).await) });
    }
    let all_answers = async {
        let mut answers = Vec::new();
        // The first failure ends it: the others may be waiting for that request to arrive.
        while let Some(ended) = requests.join_next().await {
            let (number, answer) = ended?;
            answers.push((number, answer.with_context(|| format!("request {number}"))?));
        }
        answers.sort_unstable_by_key(|(number, _)| *number);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    };
    tokio::select! {
        served = async { axum::serve(listener, app).await } => bail!("the server ended before its clients: {served:?}"),
        answers = all_answers => answers,
    }
}

/// A row for each request.
fn print(answers: &[Answer]) {
    println!(
        "\n{:<18}{:<17}{}",
        "x-request-id sent",
        "in the response",
        PLACES.map(|place| format!("{place:<17}")).concat().trim_end()
    );
    for Answer { sent, received, seen } in answers {
        let or_none = |id: &Option<String>| id.clone().unwrap_or_else(|| "-".to_owned());
        let seen: Vec<_> = seen.iter().map(|id| format!("{id:<17}")).collect();
        println!("{:<18}{:<17}{}", or_none(sent), or_none(received), seen.concat().trim_end());
    }
}

/// Every request has an id that no other has, its own if it sent one, and all of its work knew it.
fn check_answers(answers: &[Answer]) -> anyhow::Result<()> {
    ensure!(answers.len() == REQUESTS, "{} answers to {REQUESTS} requests", answers.len());
    let mut ids = HashSet::new();
    for (number, Answer { sent, received, seen }) in answers.iter().enumerate() {
        let id = received.as_ref().with_context(|| format!("request {number}: no x-request-id in the response"))?;
        ensure!(ids.insert(id), "request {number}: another one has the id {id}, too");
        ensure!(sent.is_none() || sent == received, "request {number}: sent with the id {sent:?}, answered with {id}");
        ensure!(seen.len() == PLACES.len(), "request {number}: {} places in the answer: {seen:?}", seen.len());
        for (place, seen) in PLACES.iter().zip(seen) {
            let expected = if *place == "tokio::spawn" { NOBODY } else { id };
            ensure!(seen == expected, "request {number}, {place}: the id is {seen:?} and should be {expected:?}");
        }
    }
    Ok(())
}

/// Every line of the log names the request that it was written for.
fn check_log(lines: &Lines, answers: &[Answer]) -> anyhow::Result<()> {
    let mut expected = Vec::new();
    for id in answers.iter().filter_map(|answer| answer.received.as_deref()) {
        for (id, message) in [(id, "shelf checked"), (id, "receipt written"), (NOBODY, "mail sent")] {
            expected.push(format!("[{id}] INFO {message}"));
        }
    }
    let mut logged = lines.all();
    expected.sort_unstable();
    logged.sort_unstable();
    ensure!(logged == expected, "the log is {logged:#?} and should be, in any order, {expected:#?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_work_for_a_request_knows_its_id() {
        let answers = serve_and_ask(shop().layer(RequestIdLayer)).await.unwrap();
        check_answers(&answers).unwrap();
    }

    /// What `check_answers` accepts is the layer's doing.
    #[tokio::test]
    async fn without_the_layer_nobody_knows_an_id() {
        let answers = serve_and_ask(shop()).await.unwrap();
        for answer in &answers {
            assert_eq!(answer.received, None);
            assert_eq!(answer.seen, [NOBODY; PLACES.len()]);
        }
        let error = check_answers(&answers).unwrap_err();
        assert_eq!(error.to_string(), "request 0: no x-request-id in the response");
    }

    #[tokio::test]
    async fn one_wrong_id_is_found() {
        let mut answers = serve_and_ask(shop().layer(RequestIdLayer)).await.unwrap();
        answers[3].seen[2] = "client-0".to_owned();
        let error = check_answers(&answers).unwrap_err().to_string();
        assert!(error.starts_with("request 3, ctxvar spawn: the id is \"client-0\""), "{error}");
    }
}
