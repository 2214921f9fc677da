//! Samples of a request: the metrics that k6 has for it, with their tags.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::client::{Call, Reply};
use super::hop::Hop;
use super::vu::{Statuses, Vu};
use crate::verify::exchange::{Protocol, millis};
use crate::verify::script::Proof;
use crate::verify::script::catalog::{Tags, builtin};

/// The tags of a request.
pub struct HttpTags<'a> {
    call: &'a Call,
    hop: &'a Hop,
    status: u16,
    error: Option<&'a (String, u16)>,
    protocol: Option<Protocol>,
    /// `None` when nothing is a failure.
    expected: Option<bool>,
}

impl<'a> HttpTags<'a> {
    /// The tags of a request that has no answer yet.
    #[must_use]
    pub fn unanswered(call: &'a Call, hop: &'a Hop) -> Self {
        Self {
            call,
            hop,
            status: 0,
            error: None,
            protocol: None,
            expected: Some(false),
        }
    }
}

impl Tags for HttpTags<'_> {
    fn is(&self, tag: &str, value: &str) -> bool {
        if self.call.tags.0.iter().any(|(name, _)| name == tag) {
            return self.call.tags.is(tag, value);
        }
        let url = || {
            let mut url = self.hop.address.url.clone();
            // Credentials do not become tags.
            let _ = (url.set_username(""), url.set_password(None));
            url.to_string()
        };
        let written = |text: &str| text == value;
        match tag {
            "name" => match &self.call.name {
                Some(name) => written(name),
                None => written(&self.call.url) || url() == value,
            },
            "url" => match &self.call.name {
                Some(name) => written(name),
                None => written(&self.call.url) || url() == value,
            },
            "method" => written(self.hop.method.as_str()),
            "status" => value.parse() == Ok(self.status),
            "proto" => self.protocol.is_some_and(|protocol| written(protocol.name())),
            "expected_response" => self
                .expected
                .is_some_and(|expected| written(if expected { "true" } else { "false" })),
            "error" => self
                .error
                .is_some_and(|(text, _)| !text.is_empty() && written(text)),
            "error_code" => self.error.is_some_and(|(_, code)| value.parse() == Ok(*code)),
            _ => false,
        }
    }
}

/// Records a request. `follows` tells that its answer is a redirect which is followed; `earlier` is the time of the
/// redirects before it.
pub fn record(
    vu: &Vu,
    call: &Call,
    hop: &Hop,
    reply: &Reply,
    start: Instant,
    earlier: Duration,
    follows: bool,
) {
    let own = vu.expected.borrow();
    let expected = match &call.expected {
        Some(expected) => expected.as_ref(),
        None => own.as_ref(),
    };
    let within = |statuses: &Statuses| {
        statuses
            .iter()
            .any(|(min, max)| (*min..=*max).contains(&reply.status))
    };
    let as_expected = expected.map(within);
    let failed = as_expected == Some(false) || reply.status == 0;
    let tags = HttpTags {
        call,
        hop,
        status: reply.status,
        error: reply.error.as_ref(),
        protocol: reply.protocol,
        expected: as_expected,
    };
    vu.live.requests.fetch_add(1, Relaxed);
    if failed && !follows {
        vu.live.failed.fetch_add(1, Relaxed);
        vu.measured.borrow_mut().failures += 1;
    }
    let at = start.saturating_duration_since(vu.origin.get());
    vu.add_sample(builtin::HTTP_REQS, 1.0, at, Proof::Value, &tags);
    // Whoever waits for a request that was sent late waits that much longer.
    let whole = millis(reply.timings.duration() + earlier + vu.late.take());
    let proof = |value: f64| match (follows, failed) {
        (true, _) => Proof::Nothing,
        (false, true) => Proof::Broken,
        (false, false) => Proof::Instead(value),
    };
    let timings = &reply.timings;
    let times = [
        (timings.duration(), whole),
        (timings.blocked, millis(timings.blocked)),
        (timings.connecting, millis(timings.connecting)),
        (timings.tls_handshaking, millis(timings.tls_handshaking)),
        (timings.sending, millis(timings.sending)),
        (timings.waiting, millis(timings.waiting)),
        (timings.receiving, millis(timings.receiving)),
    ];
    for (index, (time, proved)) in times.into_iter().enumerate() {
        vu.add_sample(
            builtin::HTTP_REQ_DURATION + index,
            millis(time),
            at,
            proof(proved),
            &tags,
        );
    }
    if let Some(expected) = as_expected {
        let proof = if follows { Proof::Nothing } else { Proof::Value };
        vu.add_sample(
            builtin::HTTP_REQ_FAILED,
            f64::from(u8::from(!expected)),
            at,
            proof,
            &tags,
        );
    }
}
