//! Connection: one keep-alive connection of a virtual user, driven by that user alone.
//!
//! It stands below any pooling client: a pool would send a request again when a stale connection swallowed it, and the
//! measurement would not know.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::probe::{Probe, Readings};
use super::target::Target;
use crate::verify::exchange::{ErrorKind, Protocol};

pub mod answer;
mod http1;
mod http2;

use answer::{Head, Headers, Unanswered};
use http1::Http1;
use http2::Http2;

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

/// What a connection is made of.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

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
            Exchange::Http2(Http2::open(Box::new(stream)).await?)
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
