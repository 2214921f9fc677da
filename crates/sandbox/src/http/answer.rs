//! Answer: the HTTP form of what the API says.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use super::accept::{Accept, Form};
use super::table;
use crate::status::Status;

/// The body of an answer.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// An answer of JSON.
pub(super) fn json(code: u16, value: &Value) -> Response<Body> {
    bytes(code, "application/json", Bytes::from(value.to_string()))
}

/// An answer of bytes.
pub(super) fn bytes(code: u16, content_type: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).boxed_unsync());
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// An answer of plain text.
pub(super) fn text(text: &'static str) -> Response<Body> {
    bytes(
        200,
        "text/plain; charset=utf-8",
        Bytes::from_static(text.as_bytes()),
    )
}

/// The answer about a path that is no path of the API.
pub(super) fn not_found() -> Response<Body> {
    bytes(
        404,
        "text/plain; charset=utf-8",
        Bytes::from_static(b"404 page not found\n"),
    )
}

/// A refusal.
pub(super) fn status(status: &Status) -> Response<Body> {
    let mut response = json(status.code, &status.to_value());
    let after = status
        .details
        .as_ref()
        .and_then(|details| details["retryAfterSeconds"].as_u64());
    if let Some(after) = after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(after));
    }
    warn(response, &status.warnings)
}

/// An answer that goes on.
pub(super) fn stream(stream: BoxStream<'static, Bytes>) -> Response<Body> {
    let frames = stream.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// An object in the form that the client wants.
pub(super) fn object(code: u16, object: Value, view: table::View<'_>, accept: Accept) -> Response<Body> {
    match accept.form {
        Form::Table(include) => json(code, &view.table(&[object], include, true, None)),
        Form::Metadata => json(code, &table::metadata_of(&object)),
        Form::Object | Form::Aggregated => json(code, &object),
    }
}

/// Adds warnings to an answer.
pub(super) fn warn(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}
