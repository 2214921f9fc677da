//! Serve: an HTTP server on one port of a Service, which has its backends answer one after the other.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::Host;
use super::backends::Backend;
use super::cloud::Counts;
use crate::clock::Clock;

/// One port with its server, which ends with this value.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    host: Arc<Host>,
    clock: Clock,
    counts: Arc<Counts>,
    backends: RwLock<Vec<Arc<Backend>>>,
    turn: AtomicUsize,
}

// === impl Server ===

impl Server {
    /// Serves on a socket that listens already.
    ///
    /// # Errors
    ///
    /// When the socket cannot be watched by the runtime.
    pub fn start(
        listener: StdListener,
        host: Arc<Host>,
        clock: Clock,
        counts: Arc<Counts>,
    ) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared {
            host,
            clock,
            counts,
            backends: RwLock::default(),
            turn: AtomicUsize::new(0),
        });
        let task = tokio::spawn(Arc::clone(&shared).accept(listener)).abort_handle();
        Ok(Self { shared, task })
    }

    /// Has these backends answer from now on.
    pub fn set_backends(&self, backends: Vec<Arc<Backend>>) {
        *self
            .shared
            .backends
            .write()
            .unwrap_or_else(PoisonError::into_inner) = backends;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Shared ===

impl Shared {
    /// Answers whoever connects; connections end with this future.
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    // Small answers would otherwise wait for the client's acknowledgement.
                    drop(stream.set_nodelay(true));
                    let shared = Arc::clone(&self);
                    connections.spawn(async move {
                        let service = service_fn(move |request| Arc::clone(&shared).answer(request));
                        let server = auto::Builder::new(TokioExecutor::new());
                        // A client that goes away in the middle is its own business.
                        drop(server.serve_connection(TokioIo::new(stream), service).await);
                    });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let Some(backend) = self.next() else {
            self.counts.add("");
            return Ok(response(
                StatusCode::SERVICE_UNAVAILABLE,
                "no ready endpoint\n".to_owned(),
            ));
        };
        self.counts.add(&backend.image);
        let answer = &backend.answer;
        tokio::time::sleep(answer.latency).await;
        let (path, method) = (request.uri().path(), request.method());
        let line = format!(
            "\"{method} {path} {:?}\" {} {}ms",
            request.version(),
            answer.status,
            answer.latency.as_millis()
        );
        self.host
            .logs
            .write(&backend.uid, &backend.container, self.clock.now(), &line);
        let body = answer.body.clone();
        let body = body.unwrap_or_else(|| format!("{path} from {} in {}\n", backend.image, backend.pod));
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(response(status, body))
    }

    fn next(&self) -> Option<Arc<Backend>> {
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        backends.get(turn % backends.len().max(1)).cloned()
    }
}

fn response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
