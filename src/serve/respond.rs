//! Responses: what is answered, with the headers that keep a browser from doing more than was meant.

use futures::Stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Bytes;
use hyper::body::Frame;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

/// The body of every response.
pub(super) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A response.
pub(super) type Answer = Response<Body>;

/// Nothing from elsewhere, nothing inline, no frame around, no form to elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Stricter, and a browser would send its own forms with `Origin: null`.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// A response of a media type.
pub(super) fn with(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    guarded(status, media, Full::new(body.into()).boxed_unsync())
}

/// A page.
pub(super) fn html(status: StatusCode, page: String) -> Answer {
    with(status, "text/html; charset=utf-8", page)
}

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(text) => with(status, "application/json", text),
        Err(_) => with(
            StatusCode::INTERNAL_SERVER_ERROR,
            "application/json",
            r#"{"error":"the answer could not be written"}"#,
        ),
    }
}

/// A refusal, for programs.
pub(super) fn refusal(status: StatusCode, why: &str) -> Answer {
    json(status, &json!({ "error": why }))
}

/// "See there instead", after a form.
pub(super) fn see(place: &str) -> Answer {
    let mut answer = with(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    set(&mut answer, header::LOCATION, place);
    answer
}

/// A stream of server-sent events.
pub(super) fn events(events: impl Stream<Item = String> + Send + 'static) -> Answer {
    use futures::StreamExt as _;
    let frames = events.map(|event| Ok(Frame::data(Bytes::from(event))));
    guarded(
        StatusCode::OK,
        "text/event-stream",
        StreamBody::new(frames).boxed_unsync(),
    )
}

/// Sets a header; a value that cannot be one is left out.
pub(super) fn set(answer: &mut Answer, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

fn guarded(status: StatusCode, media: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
