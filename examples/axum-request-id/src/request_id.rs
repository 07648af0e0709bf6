//! The variable, and the `tower` layer that sets it: all that a service needs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use ctxvar::{ContextExt, ContextVar};
use tower::{Layer, Service};

/// The id of the request that the current work is done for. An `Arc`, since every `get` clones.
pub(crate) static REQUEST_ID: ContextVar<Arc<str>> = ContextVar::new("request id");

/// What stands for the id where no request is known.
pub(crate) const NOBODY: &str = "nobody";

pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Shows the current request's id to `read`, or [`NOBODY`], without cloning it.
pub(crate) fn with_id<R>(read: impl FnOnce(&str) -> R) -> R {
    REQUEST_ID.with(|id| read(id.map_or(NOBODY, |id| id)))
}

/// The current request's id, or [`NOBODY`].
pub(crate) fn current_id() -> String {
    with_id(str::to_owned)
}

/// Gives each request an id, and its response the same.
///
/// The id is there until the handler has returned. A body that is streamed is made after that, by the server: give the stream the context
/// along, as `Body::from_stream(stream.in_context())` (ctxvar's feature `stream`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestIdLayer;

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestIdService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestIdService { inner }
    }
}

/// A service inside [`RequestIdLayer`].
#[derive(Clone, Debug)]
pub(crate) struct RequestIdService<S> {
    inner: S,
}

impl<S> Service<Request> for RequestIdService<S>
where
    S: Service<Request, Response = Response>,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let id = id_of(&request);
        // The lesson in one line. At each poll of that future the variable has this value, whichever thread polls it.
        let answered = self.inner.call(request).with_var(&REQUEST_ID, id.clone());
        Box::pin(async move {
            let mut response = answered.await?;
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(&X_REQUEST_ID, id);
            }
            Ok(response)
        })
    }
}

/// The id that came with the request, or a new one.
fn id_of(request: &Request) -> Arc<str> {
    static MADE: AtomicU64 = AtomicU64::new(0);

    // It goes into every line of the log: `to_str` has no line breaks in it, and the limit keeps a stranger from filling the disk.
    let sent = request.headers().get(&X_REQUEST_ID).and_then(|id| id.to_str().ok());
    match sent.filter(|id| (1..=64).contains(&id.len())) {
        Some(id) => id.into(),
        None => format!("made-{}", MADE.fetch_add(1, Ordering::Relaxed) + 1).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use futures::stream;

    use super::*;

    fn sent(id: &[u8]) -> Request {
        Request::builder().header(&X_REQUEST_ID, id).body(Body::empty()).unwrap()
    }

    #[test]
    fn an_id_that_came_along_is_taken() {
        assert_eq!(&*id_of(&sent(b"ada-1")), "ada-1");
        assert_eq!(&*id_of(&sent(&[b'x'; 64])), "x".repeat(64));
    }

    #[test]
    fn none_or_one_that_is_no_good_is_replaced() {
        let requests = [Request::new(Body::empty()), sent(b""), sent(&[b'x'; 65]), sent(b"caf\xe9")];
        let ids: Vec<_> = requests.iter().map(id_of).collect();
        assert!(ids.iter().all(|id| id.starts_with("made-")), "{ids:?}");
        assert!(ids.iter().enumerate().all(|(n, id)| !ids[..n].contains(id)), "{ids:?}");
    }

    /// The server polls a body when the handler has returned, and so outside of the layer's future.
    #[tokio::test]
    async fn a_streamed_body_needs_the_context_given_to_it() {
        let id = || stream::once(async { Ok::<_, Infallible>(current_id()) });
        let bare = get(move || async move { Body::from_stream(id()) });
        let in_context = get(move || async move { Body::from_stream(id().in_context()) });
        let mut app = Router::new().route("/bare", bare).route("/in-context", in_context).layer(RequestIdLayer);
        for (path, expected) in [("/bare", NOBODY), ("/in-context", "ada-1")] {
            let request = Request::get(path).header(&X_REQUEST_ID, "ada-1").body(Body::empty()).unwrap();
            let response = Service::<Request>::call(&mut app, request).await.unwrap();
            let body = to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(body, expected, "{path}");
        }
    }
}
