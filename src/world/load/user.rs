//! User: a virtual user with one connection, who sends requests and times them as k6 does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hyper::header::HeaderMap;

use super::connection::answer::{Headers, Unanswered};
use super::connection::{Connection, Opening};
use super::message::Message;
use super::target::Target;
use crate::config::load_check::plan;
use crate::verify::exchange::{ErrorKind, Protocol, Timings};

/// A virtual user.
pub struct User {
    target: Arc<Target>,
    address: SocketAddr,
    connection: Option<Connection>,
    /// The wire's byte counts of connections that ended.
    closed_bytes: (u64, u64),
    /// What has been told of the byte counts.
    told_bytes: (u64, u64),
    exchange: Exchange,
}

/// The stamps of the request under way. They outlive the future that sends it, so that a request that is cut off
/// still has its time.
#[derive(Default)]
struct Exchange {
    start: Option<Instant>,
    connected: Option<Instant>,
    opening: Opening,
    protocol: Protocol,
}

/// An answer, or why there is none.
#[derive(Debug, Default)]
pub struct Answer {
    /// The status; 0 without an answer.
    pub status: u16,
    /// Why there is no usable answer.
    pub error: Option<ErrorKind>,
    /// Its times; `None` when the request could not be written.
    pub timings: Option<Timings>,
    /// The bytes of the body.
    pub size: u64,
    /// The body, when a check reads it.
    pub body: Vec<u8>,
    /// The headers.
    pub headers: HeaderMap,
    /// How it was spoken.
    pub protocol: Protocol,
}

/// A body that a check reads may have this many bytes.
const KEPT_BODY: usize = 4 << 20;

// === impl User ===

impl User {
    /// A user whose connections go to `address`.
    #[must_use]
    pub fn new(target: Arc<Target>, address: SocketAddr) -> Self {
        Self {
            target,
            address,
            connection: None,
            closed_bytes: (0, 0),
            told_bytes: (0, 0),
            exchange: Exchange::default(),
        }
    }

    /// Sends the message of a request `now`, and follows its redirects. `on_hop` is told of each that is followed.
    ///
    /// The future may be dropped at any time; [`User::cut_off`] then tells what became of the request.
    pub async fn perform(
        &mut self,
        request: &plan::Request,
        message: &Message,
        now: Instant,
        mut on_hop: impl FnMut(&Answer),
    ) -> Answer {
        let (mut start, mut redirected) = (now, None);
        let deadline = tokio::time::Instant::from_std(now) + request.timeout;
        let mut earlier = Timings::default();
        for hop in 0.. {
            let message = redirected.as_ref().unwrap_or(message);
            let mut answer = match tokio::time::timeout_at(deadline, self.ask(request, message, start)).await
            {
                Ok(answer) => answer,
                Err(_) => self.cut_off(ErrorKind::Timeout),
            };
            answer.timings = answer.timings.map(|timings| timings.after(earlier));
            let next = match answer.error {
                None if request.max_redirects > 0 => message.redirected(&self.target, &answer),
                _ => None,
            };
            match next {
                None => return answer,
                Some(Ok(next)) if hop < request.max_redirects => {
                    on_hop(&answer);
                    earlier = answer.timings.unwrap_or_default();
                    (start, redirected) = (Instant::now(), Some(next));
                }
                Some(_) => {
                    return Answer {
                        error: Some(ErrorKind::Redirect),
                        ..answer
                    };
                }
            }
        }
        unreachable!("because the number of redirects is bounded")
    }

    /// Sends the message of a request `now`, and once, without following redirects.
    pub async fn ask(&mut self, request: &plan::Request, message: &Message, now: Instant) -> Answer {
        self.exchange = Exchange {
            start: Some(now),
            ..Exchange::default()
        };
        match self.try_exchange(request, message).await {
            Ok(answer) => answer,
            Err(error) => self.cut_off(error),
        }
    }

    /// Ends the request under way, whose future was dropped, for the reason `error`.
    ///
    /// Its connection is closed: the rest of the old answer would be read as the next one's.
    pub fn cut_off(&mut self, error: ErrorKind) -> Answer {
        let timings = self.timings(Instant::now());
        let protocol = self.exchange.protocol;
        self.close();
        Answer {
            error: Some(error),
            timings,
            protocol,
            ..Answer::default()
        }
    }

    /// The bytes sent and received on the wire since this was last asked.
    pub fn new_bytes(&mut self) -> (u64, u64) {
        let open = self.connection.as_ref().map_or((0, 0), wire_bytes);
        let (sent, received) = (self.closed_bytes.0 + open.0, self.closed_bytes.1 + open.1);
        let (told_sent, told_received) = std::mem::replace(&mut self.told_bytes, (sent, received));
        (sent - told_sent, received - told_received)
    }

    async fn try_exchange(
        &mut self,
        request: &plan::Request,
        message: &Message,
    ) -> Result<Answer, ErrorKind> {
        let wanted = if request.reads_headers() {
            Headers::All
        } else {
            Headers::OfRedirects
        };
        let head = loop {
            let reused = self.connect().await?;
            let Some(connection) = &mut self.connection else {
                return Err(ErrorKind::Connect);
            };
            connection.readings.begin();
            self.exchange.protocol = connection.protocol();
            self.exchange.connected = Some(Instant::now());
            match connection.send(message.of(connection.protocol()), wanted).await {
                Ok(head) => break head,
                // A connection that the other side closed while it was idle: no byte was written, so this is not a
                // second attempt.
                Err(Unanswered::Unsent) if reused => self.close(),
                Err(Unanswered::Unsent) => return Err(ErrorKind::Closed),
                Err(Unanswered::Failed(error)) => return Err(error),
            }
        };
        let Some(connection) = &mut self.connection else {
            return Err(ErrorKind::Closed);
        };
        let keep = request.reads_body().then_some(KEPT_BODY);
        let (size, body) = connection.read_body(keep).await?;
        Ok(Answer {
            status: head.status.as_u16(),
            error: None,
            timings: self.timings(Instant::now()),
            size,
            body,
            headers: head.headers,
            protocol: self.exchange.protocol,
        })
    }

    /// Makes sure that there is a connection; tells whether it was open already.
    async fn connect(&mut self) -> Result<bool, ErrorKind> {
        if let Some(connection) = &mut self.connection {
            if connection.is_ready().await {
                return Ok(true);
            }
            self.close();
        }
        // In a box, so that a request on an open connection does not carry the room for opening one.
        let (connection, opening) = Box::pin(Connection::open(&self.target, self.address)).await?;
        self.connection = Some(connection);
        self.exchange.opening = opening;
        Ok(false)
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            let (sent, received) = wire_bytes(&connection);
            self.closed_bytes.0 += sent;
            self.closed_bytes.1 += received;
        }
    }

    /// The times of the request under way, if it could be written, as of `end`.
    fn timings(&self, end: Instant) -> Option<Timings> {
        let Exchange {
            start,
            connected,
            opening,
            ..
        } = &self.exchange;
        let (start, connected) = ((*start)?, (*connected)?);
        let readings = &self.connection.as_ref()?.readings;
        let written = readings.last_write.get().unwrap_or(connected);
        // An answer can begin before the request's last byte is out.
        let answered = readings.first_read.get().unwrap_or(end).max(written);
        Some(Timings {
            blocked: connected - start,
            connecting: opening.connecting,
            tls_handshaking: opening.tls_handshaking,
            sending: written - connected,
            waiting: answered - written,
            receiving: end.saturating_duration_since(answered),
        })
    }
}

fn wire_bytes(connection: &Connection) -> (u64, u64) {
    (connection.wire.sent.get(), connection.wire.received.get())
}

// === impl Answer ===

impl Answer {
    /// No answer, and why: nothing was sent.
    #[must_use]
    pub fn without(error: ErrorKind) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}
