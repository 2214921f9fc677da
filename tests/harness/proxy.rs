//! A proxy for plain HTTP between gitsync and what it writes to: it counts writes, and kills the daemon at one of them.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::process::send;
use super::runtime::{block_on, runtime};

/// What happens to the daemon at a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The write is not made.
    Before,
    /// The write is made, and its answer is not heard.
    After,
    /// It is asked to end (SIGTERM); the write is made, and its answer is heard.
    Terminate,
}

/// Which write it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The one of that number, from 1 on.
    Number(usize),
    /// The first one whose method and address contain that.
    To(&'static str),
}

/// Kills or ends a process at one of its writes, counted over all proxies that share this.
#[derive(Debug)]
pub struct Trigger {
    at: Write,
    side: Side,
    pid: AtomicU32,
    writes: AtomicUsize,
    fired: AtomicBool,
    /// What was written, in order, for the message of a failure.
    lines: Mutex<Vec<String>>,
}

/// A listening proxy; it ends at drop.
pub struct Proxy {
    authority: String,
    task: JoinHandle<()>,
}

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

// === impl Trigger ===

impl Trigger {
    /// A trigger for that write.
    pub fn new(at: Write, side: Side) -> Arc<Self> {
        Arc::new(Self {
            at,
            side,
            pid: AtomicU32::new(0),
            writes: AtomicUsize::new(0),
            fired: AtomicBool::new(false),
            lines: Mutex::default(),
        })
    }

    /// A trigger that kills nobody.
    pub fn never() -> Arc<Self> {
        Self::new(Write::Number(0), Side::Before)
    }

    /// Says whom to kill. Before this, and after the kill, everything passes.
    pub fn arm(&self, pid: u32) {
        self.pid.store(pid, Ordering::SeqCst);
    }

    /// Whether the process was killed.
    pub fn has_fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    /// The writes so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a write, and says whether the process dies at it.
    fn hits(&self, line: String) -> bool {
        if self.has_fired() {
            return false;
        }
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let is_it = match self.at {
            Write::Number(at) => number == at,
            Write::To(part) => line.contains(part),
        };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let fires = is_it && !self.fired.swap(true, Ordering::SeqCst);
        if !self.has_fired() || fires {
            lines.push(line);
        }
        fires
    }

    fn fire(&self) {
        let signal = match self.side {
            Side::Before | Side::After => "KILL",
            Side::Terminate => "TERM",
        };
        send(signal, self.pid.load(Ordering::SeqCst));
    }
}

// === impl Proxy ===

impl Proxy {
    /// Listens, and passes everything on to `upstream` (`host:port`).
    pub fn start(upstream: &str, trigger: &Arc<Trigger>) -> Self {
        let listener = block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let authority = listener.local_addr().expect("because it is bound").to_string();
        let task = runtime().spawn(serve(listener, upstream.to_owned(), Arc::clone(trigger)));
        Self { authority, task }
    }

    /// The URL of the proxy, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, upstream: String, trigger: Arc<Trigger>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let (upstream, trigger) = (upstream.clone(), Arc::clone(&trigger));
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, upstream.clone(), Arc::clone(&trigger)));
                    // A client that dies in the middle is what this is for.
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    upstream: String,
    trigger: Arc<Trigger>,
) -> Result<Answer, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let hit = is_write(&request) && trigger.hits(line);
    if hit && trigger.side == Side::Before {
        trigger.fire();
        return Ok(nothing(StatusCode::BAD_GATEWAY));
    }
    if hit && trigger.side == Side::Terminate {
        trigger.fire();
    }
    let answer = forward(request, &upstream).await;
    if hit && trigger.side == Side::After {
        trigger.fire();
    }
    Ok(answer.unwrap_or_else(|_| nothing(StatusCode::BAD_GATEWAY)))
}

/// A write to a cluster that is no dry-run, or a push. Asking for a review writes nothing.
fn is_write(request: &Request<Incoming>) -> bool {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    match *request.method() {
        Method::GET | Method::HEAD => false,
        Method::POST if path.contains("/git-") => path.ends_with("/git-receive-pack"),
        _ => !query.contains("dryRun=All"),
    }
}

async fn forward(
    request: Request<Incoming>,
    upstream: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| body.boxed()))
}

fn nothing(status: StatusCode) -> Answer {
    let body = Empty::new().map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
