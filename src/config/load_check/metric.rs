//! Metric: what a load check measures. The names, types and units are k6's built-in ones.

use std::fmt;

/// A built-in metric of a load check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Requests sent, each hop of a redirect counted.
    HttpReqs,
    /// Sending, waiting and receiving together; without connecting.
    HttpReqDuration,
    /// The time before a request could be sent: connecting and the TLS handshake of a new connection.
    HttpReqBlocked,
    /// The TCP connect of a new connection.
    HttpReqConnecting,
    /// The TLS handshake of a new connection.
    HttpReqTlsHandshaking,
    /// Writing the request.
    HttpReqSending,
    /// From the end of writing to the first byte of the answer.
    HttpReqWaiting,
    /// From the first byte of the answer to its last.
    HttpReqReceiving,
    /// The share of requests that failed: no answer, or an unexpected status.
    HttpReqFailed,
    /// The share of checks that held.
    Checks,
    /// Iterations that were completed.
    Iterations,
    /// How long a completed iteration took.
    IterationDuration,
    /// Iterations that an arrival rate asked for and no virtual user was free to run.
    DroppedIterations,
    /// Virtual users that are running.
    Vus,
    /// Virtual users that were made ready.
    VusMax,
    /// Bytes written to sockets, TLS included.
    DataSent,
    /// Bytes read from sockets, TLS included.
    DataReceived,
}

/// What kind of number a metric is; which threshold methods it has follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A sum that grows.
    Counter,
    /// The last value of something that goes up and down.
    Gauge,
    /// A share between 0 and 1.
    Rate,
    /// A distribution; durations in milliseconds.
    Trend,
}

impl Metric {
    /// Every metric, in the order of k6's summary.
    pub const ALL: [Self; 17] = [
        Self::Checks,
        Self::HttpReqBlocked,
        Self::HttpReqConnecting,
        Self::HttpReqDuration,
        Self::HttpReqFailed,
        Self::HttpReqReceiving,
        Self::HttpReqSending,
        Self::HttpReqTlsHandshaking,
        Self::HttpReqWaiting,
        Self::HttpReqs,
        Self::DroppedIterations,
        Self::IterationDuration,
        Self::Iterations,
        Self::Vus,
        Self::VusMax,
        Self::DataReceived,
        Self::DataSent,
    ];

    /// The name, as in k6.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpReqs => "http_reqs",
            Self::HttpReqDuration => "http_req_duration",
            Self::HttpReqBlocked => "http_req_blocked",
            Self::HttpReqConnecting => "http_req_connecting",
            Self::HttpReqTlsHandshaking => "http_req_tls_handshaking",
            Self::HttpReqSending => "http_req_sending",
            Self::HttpReqWaiting => "http_req_waiting",
            Self::HttpReqReceiving => "http_req_receiving",
            Self::HttpReqFailed => "http_req_failed",
            Self::Checks => "checks",
            Self::Iterations => "iterations",
            Self::IterationDuration => "iteration_duration",
            Self::DroppedIterations => "dropped_iterations",
            Self::Vus => "vus",
            Self::VusMax => "vus_max",
            Self::DataSent => "data_sent",
            Self::DataReceived => "data_received",
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// What kind of number it is.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::HttpReqs
            | Self::Iterations
            | Self::DroppedIterations
            | Self::DataSent
            | Self::DataReceived => Kind::Counter,
            Self::Vus | Self::VusMax => Kind::Gauge,
            Self::HttpReqFailed | Self::Checks => Kind::Rate,
            Self::HttpReqDuration
            | Self::HttpReqBlocked
            | Self::HttpReqConnecting
            | Self::HttpReqTlsHandshaking
            | Self::HttpReqSending
            | Self::HttpReqWaiting
            | Self::HttpReqReceiving
            | Self::IterationDuration => Kind::Trend,
        }
    }

    /// The tags that a threshold may select by.
    ///
    /// k6 accepts any tag everywhere, and a threshold on a tag that the metric never carries sees no data and
    /// passes. Here such a selector is refused.
    #[must_use]
    pub const fn tags(self) -> &'static [&'static str] {
        match self {
            Self::HttpReqs
            | Self::HttpReqDuration
            | Self::HttpReqBlocked
            | Self::HttpReqConnecting
            | Self::HttpReqTlsHandshaking
            | Self::HttpReqSending
            | Self::HttpReqWaiting
            | Self::HttpReqReceiving
            | Self::HttpReqFailed => &[
                "name",
                "method",
                "status",
                "scenario",
                "expected_response",
                "error_code",
                "proto",
            ],
            Self::Checks => &["check", "scenario"],
            Self::Iterations | Self::IterationDuration | Self::DroppedIterations => &["scenario"],
            Self::Vus | Self::VusMax | Self::DataSent | Self::DataReceived => &[],
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
