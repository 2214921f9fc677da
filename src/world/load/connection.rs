//! Connection: one keep-alive connection of a virtual user, driven by that user alone.
//!
//! It stands below any pooling client: a pool would send a request again when a stale connection swallowed it, and the
//! measurement would not know. HTTP/2 is hyper's.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::http1::{self, Head, Headers, Http1, Kept, Unanswered};
use super::probe::{Probe, Readings};
use super::target::Target;
use crate::verify::exchange::{ErrorKind, Protocol};

/// How long a connection may take to be accepted and to shake hands.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// An open connection.
pub struct Connection {
    exchange: Exchange,
    /// What passes below HTTP, that is inside TLS.
    pub readings: Rc<Readings>,
    /// What passes on the wire.
    pub wire: Rc<Readings>,
}

enum Exchange {
    Http1(Http1),
    Http2(Http2),
}

struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    /// Moves bytes while a request is under way; `None` when the connection has ended.
    driver: Option<Driver>,
    /// The body of the answer, until it is read.
    body: Option<Incoming>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// How long opening a connection took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening {
    /// The TCP connect.
    pub connecting: Duration,
    /// The TLS handshake.
    pub tls_handshaking: Duration,
}

// === impl Connection ===

impl Connection {
    /// Opens a connection to one address of the target.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn open(target: &Target, address: SocketAddr) -> Result<(Self, Opening), ErrorKind> {
        match tokio::time::timeout(CONNECT_LIMIT, Self::open_unbounded(target, address)).await {
            Ok(result) => result,
            Err(_) => Err(ErrorKind::ConnectTimeout),
        }
    }

    async fn open_unbounded(target: &Target, address: SocketAddr) -> Result<(Self, Opening), ErrorKind> {
        let start = Instant::now();
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| connect_error(&error))?;
        let connected = Instant::now();
        stream.set_nodelay(true).map_err(|_| ErrorKind::Connect)?;
        let mut opening = Opening {
            connecting: connected - start,
            tls_handshaking: Duration::ZERO,
        };
        let wire = Rc::new(Readings::default());
        let stream = Probe::new(stream, Rc::clone(&wire));
        let Some(tls) = target.tls() else {
            let exchange = Exchange::Http1(Http1::new(Box::new(stream)));
            return Ok((Self::over(exchange, Rc::clone(&wire), wire), opening));
        };
        let stream = tls.connect(stream).await.map_err(|error| tls_error(&error))?;
        opening.tls_handshaking = connected.elapsed();
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let readings = Rc::new(Readings::default());
        let stream = Probe::new(stream, Rc::clone(&readings));
        let exchange = if is_http2 {
            let shaken = http2::handshake(LocalExecutor, TokioIo::new(stream)).await;
            let (sender, driver) = shaken.map_err(|error| http2_error(&error))?;
            Exchange::Http2(Http2 {
                sender,
                driver: Some(Box::pin(driver)),
                body: None,
            })
        } else {
            Exchange::Http1(Http1::new(Box::new(stream)))
        };
        Ok((Self::over(exchange, readings, wire), opening))
    }

    fn over(exchange: Exchange, readings: Rc<Readings>, wire: Rc<Readings>) -> Self {
        Self {
            exchange,
            readings,
            wire,
        }
    }

    /// How it is spoken.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.exchange {
            Exchange::Http1(_) => Protocol::Http1,
            Exchange::Http2(_) => Protocol::Http2,
        }
    }

    // HTTP/2's futures are large; in boxes, they do not make those of HTTP/1.1 so.

    /// Whether it can take a request.
    pub async fn is_ready(&mut self) -> bool {
        match &mut self.exchange {
            Exchange::Http1(connection) => connection.is_ready().await,
            Exchange::Http2(connection) => Box::pin(connection.is_ready()).await,
        }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn send(&mut self, request: &Request<Bytes>, wanted: Headers) -> Result<Head, Unanswered> {
        match &mut self.exchange {
            Exchange::Http1(connection) => connection.send(request, wanted).await,
            Exchange::Http2(connection) => Box::pin(connection.send(request)).await,
        }
    }

    /// Reads the body of the answer to its end: its length, and its bytes when `keep` gives room for them.
    ///
    /// # Errors
    ///
    /// When the body breaks off, or is larger than what is kept.
    pub async fn read_body(&mut self, keep: Option<usize>) -> Result<(u64, Vec<u8>), ErrorKind> {
        match &mut self.exchange {
            Exchange::Http1(connection) => connection.read_body(keep).await,
            Exchange::Http2(connection) => Box::pin(connection.read_body(keep)).await,
        }
    }
}

// === impl Http2 ===

impl Http2 {
    async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        drive(driver, sender.ready()).await.is_ok() && driver.is_some()
    }

    async fn send(&mut self, request: &Request<Bytes>) -> Result<Head, Unanswered> {
        let Self { sender, driver, .. } = self;
        match drive(driver, sender.try_send_request(request.clone().map(Full::new))).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                self.body = Some(body);
                Ok(Head {
                    status: head.status,
                    headers: head.headers,
                })
            }
            Err(mut error) => Err(match error.take_message() {
                Some(_) => Unanswered::Unsent,
                None => Unanswered::Failed(http2_error(&error.into_error())),
            }),
        }
    }

    async fn read_body(&mut self, keep: Option<usize>) -> Result<(u64, Vec<u8>), ErrorKind> {
        let mut kept = Kept::with_room(keep);
        if let Some(mut body) = self.body.take() {
            while let Some(frame) = drive(&mut self.driver, body.frame()).await {
                let frame = frame.map_err(|error| http2_error(&error))?;
                if let Some(data) = frame.data_ref() {
                    kept.add(data)?;
                }
            }
        }
        Ok(kept.into_parts())
    }
}

/// Runs the connection and something that waits for it in one task: no other task has to be woken for an answer.
async fn drive<F: Future>(driver: &mut Option<Driver>, waiting: F) -> F::Output {
    let mut waiting = pin!(waiting);
    poll_fn(|cx| {
        // What waits comes first: it may have something to write.
        if let Poll::Ready(output) = waiting.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        if let Some(running) = driver
            && running.as_mut().poll(cx).is_ready()
        {
            *driver = None;
        }
        waiting.as_mut().poll(cx)
    })
    .await
}

/// Runs hyper's HTTP/2 helpers on the virtual user's own thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        // The task ends with its connection, whose sender the virtual user holds.
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

// === errors ===

fn connect_error(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
        io::ErrorKind::TimedOut => ErrorKind::ConnectTimeout,
        io::ErrorKind::ConnectionReset => ErrorKind::Reset,
        _ => ErrorKind::Connect,
    }
}

fn tls_error(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::ConnectionReset => ErrorKind::Reset,
        _ => ErrorKind::Tls,
    }
}

/// The kind of a failure in the middle of an exchange by HTTP/2.
fn http2_error(error: &hyper::Error) -> ErrorKind {
    if error.is_parse() {
        return ErrorKind::Protocol;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(link) = cause {
        if let Some(io) = link.downcast_ref::<io::Error>() {
            return http1::kind(io);
        }
        cause = link.source();
    }
    ErrorKind::Closed
}
