//! Exchange: one request and what became of it, as it is counted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::Plan;

/// What tells requests apart; every tag follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// Index of [`Plan::scenarios`].
    pub scenario: u16,
    /// Index of [`Plan::requests`].
    pub request: u16,
    /// The status of the answer; 0 without one.
    pub status: u16,
    /// Why there is no usable answer.
    pub error: Option<ErrorKind>,
    /// Whether the answer was a redirect that was followed: such a request is counted, and its time is part of the
    /// last one's.
    pub hop: bool,
    /// Whether the status is an expected one.
    pub expected: bool,
    /// How it was spoken.
    pub protocol: Protocol,
}

/// Why a request has no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The answer did not come, or did not end, in time.
    Timeout,
    /// The connection was not accepted in time.
    ConnectTimeout,
    /// Nobody listens at the address.
    Refused,
    /// No connection for another reason.
    Connect,
    /// The other side reset the connection.
    Reset,
    /// The other side closed the connection before the answer ended.
    Closed,
    /// The TLS handshake failed.
    Tls,
    /// The answer is not HTTP.
    Protocol,
    /// A body that a check reads is larger than is kept.
    TooLarge,
    /// A redirect leads away from the target, or nowhere.
    Redirect,
    /// The check ended before the answer did.
    Interrupted,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

/// The parts of a request's time, as k6 divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Before the request could be sent: connecting and the TLS handshake.
    pub blocked: Duration,
    /// The TCP connect; zero on a connection that was open.
    pub connecting: Duration,
    /// The TLS handshake; zero on a connection that was open.
    pub tls_handshaking: Duration,
    /// Writing the request.
    pub sending: Duration,
    /// From then to the first byte of the answer, or to the error.
    pub waiting: Duration,
    /// From then to the end of the answer.
    pub receiving: Duration,
}

/// The metrics of a request's time.
pub const TIMED: [Metric; 7] = [
    Metric::HttpReqDuration,
    Metric::HttpReqBlocked,
    Metric::HttpReqConnecting,
    Metric::HttpReqTlsHandshaking,
    Metric::HttpReqSending,
    Metric::HttpReqWaiting,
    Metric::HttpReqReceiving,
];

// === impl SeriesKey ===

impl SeriesKey {
    /// Whether the request counts as failed: no usable answer, or an unexpected status.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.cut() && (self.error.is_some() || !self.expected)
    }

    /// Whether the check ended before it could be told whether the request fails: it is slow, and nothing else.
    #[must_use]
    pub fn cut(&self) -> bool {
        self.error == Some(ErrorKind::Interrupted)
    }

    /// Whether it has all of `tags`.
    #[must_use]
    pub fn matches(&self, plan: &Plan, tags: &[(String, String)]) -> bool {
        tags.iter().all(|(tag, value)| self.has_tag(plan, tag, value))
    }

    fn has_tag(&self, plan: &Plan, tag: &str, value: &str) -> bool {
        let request = &plan.requests[usize::from(self.request)];
        match tag {
            "name" => request.name == value,
            "method" => request.method == value,
            "scenario" => plan.scenarios[usize::from(self.scenario)].name == value,
            "status" => value.parse() == Ok(self.status),
            "expected_response" => {
                value
                    == if self.failed() || self.cut() {
                        "false"
                    } else {
                        "true"
                    }
            }
            "error_code" => self.error_code().is_some_and(|code| value.parse() == Ok(code)),
            "proto" => value == self.protocol.name(),
            _ => false,
        }
    }

    /// The number by which k6 names the failure.
    fn error_code(&self) -> Option<u16> {
        match self.error {
            Some(error) => Some(error.code()),
            None => (self.status >= 400).then_some(1000 + self.status),
        }
    }
}

// === impl ErrorKind ===

impl ErrorKind {
    /// The number by which k6 names it, where it has one.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Timeout => 1050,
            Self::Connect => 1210,
            Self::ConnectTimeout => 1211,
            Self::Refused => 1212,
            Self::Reset => 1220,
            Self::Tls => 1300,
            Self::Closed | Self::Protocol | Self::TooLarge | Self::Redirect | Self::Interrupted => 1000,
        }
    }

    /// What happened, as it follows on a number of requests.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Timeout => "not answered in time",
            Self::ConnectTimeout => "not connected in time",
            Self::Refused => "connection refused",
            Self::Connect => "no connection",
            Self::Reset => "connection reset",
            Self::Closed => "connection closed before the answer ended",
            Self::Tls => "TLS handshake failed",
            Self::Protocol => "the answer is not HTTP",
            Self::TooLarge => "the body is larger than a check can read",
            Self::Redirect => "redirected away from the target",
            Self::Interrupted => "not answered before the check ended",
        }
    }
}

impl Protocol {
    /// The value of the tag `proto`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}

// === impl Timings ===

impl Timings {
    /// Sending, waiting and receiving: `http_req_duration`.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.sending + self.waiting + self.receiving
    }

    /// Adds the time of a redirect that was followed before.
    #[must_use]
    pub fn after(self, hop: Self) -> Self {
        Self {
            blocked: self.blocked + hop.blocked,
            connecting: self.connecting + hop.connecting,
            tls_handshaking: self.tls_handshaking + hop.tls_handshaking,
            sending: self.sending + hop.sending,
            waiting: self.waiting + hop.waiting,
            receiving: self.receiving + hop.receiving,
        }
    }

    /// Milliseconds in the order of [`TIMED`].
    pub(super) fn millis(&self) -> [f64; TIMED.len()] {
        [
            self.duration(),
            self.blocked,
            self.connecting,
            self.tls_handshaking,
            self.sending,
            self.waiting,
            self.receiving,
        ]
        .map(millis)
    }
}

/// A duration in milliseconds, the unit of every trend.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}
