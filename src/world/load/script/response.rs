//! Response: what a script sees of an answer.
//!
//! A script looks at one or two fields of a response, so each is made when it is asked for.

use hyper::StatusCode;
use rquickjs::{Array, ArrayBuffer, Ctx, Function, IntoJs as _, Object, Result, Value};

use super::client::Reply;
use crate::verify::exchange::millis;

/// A field's value in the engine of a virtual user.
type Field = for<'js> fn(&Ctx<'js>, &Reply) -> Result<Value<'js>>;

/// The fields by k6's names, in its order.
const FIELDS: [(&str, Field); 14] = [
    ("remote_ip", |ctx, reply| {
        let address = reply.remote.map(|remote| remote.ip().to_string());
        address.unwrap_or_default().into_js(ctx)
    }),
    ("remote_port", |ctx, reply| {
        reply.remote.map_or(0, |remote| remote.port()).into_js(ctx)
    }),
    ("url", |ctx, reply| (*reply.url).into_js(ctx)),
    ("status", |ctx, reply| reply.status.into_js(ctx)),
    ("status_text", |ctx, reply| status_text(reply.status).into_js(ctx)),
    ("proto", |ctx, reply| {
        reply.protocol.map_or("", |protocol| protocol.name()).into_js(ctx)
    }),
    ("headers", headers),
    ("cookies", cookies),
    ("body", body),
    ("timings", timings),
    ("tls_version", |ctx, reply| {
        if reply.secure { "tls1.3" } else { "" }.into_js(ctx)
    }),
    ("error", |ctx, reply| {
        reply
            .error
            .as_ref()
            .map_or("", |(error, _)| error.as_str())
            .into_js(ctx)
    }),
    ("error_code", |ctx, reply| {
        reply.error.as_ref().map_or(0, |(_, code)| *code).into_js(ctx)
    }),
    ("request", request),
];

/// The names of the fields.
pub fn fields() -> Vec<&'static str> {
    FIELDS.iter().map(|(name, _)| *name).collect()
}

/// The function that gives a response's fields, by their number.
pub fn details<'js>(ctx: &Ctx<'js>, reply: Reply) -> Result<Function<'js>> {
    Function::new(
        ctx.clone(),
        move |ctx: Ctx<'js>, field: usize| -> Result<Value<'js>> {
            match FIELDS.get(field) {
                Some((_, value)) => value(&ctx, &reply),
                None => Ok(Value::new_undefined(ctx)),
            }
        },
    )
}

/// A status with its phrase; nothing without an answer.
fn status_text(status: u16) -> String {
    StatusCode::from_u16(status).map_or_else(|_| String::new(), |status| status.to_string())
}

fn body<'js>(ctx: &Ctx<'js>, reply: &Reply) -> Result<Value<'js>> {
    match &reply.body {
        None => Ok(Value::new_null(ctx.clone())),
        Some(body) if reply.binary => ArrayBuffer::new_copy(ctx.clone(), body).map(ArrayBuffer::into_value),
        Some(body) => String::from_utf8_lossy(body).into_js(ctx),
    }
}

fn headers<'js>(ctx: &Ctx<'js>, reply: &Reply) -> Result<Value<'js>> {
    let headers = Object::new(ctx.clone())?;
    for name in reply.headers.keys() {
        let values: Vec<_> = reply
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        headers.set(canonical(name.as_str()), values.join(", "))?;
    }
    Ok(headers.into_value())
}

fn timings<'js>(ctx: &Ctx<'js>, reply: &Reply) -> Result<Value<'js>> {
    let times = &reply.timings;
    let timings = Object::new(ctx.clone())?;
    timings.set("duration", millis(times.duration()))?;
    timings.set("blocked", millis(times.blocked))?;
    timings.set("looking_up", 0)?;
    timings.set("connecting", millis(times.connecting))?;
    timings.set("tls_handshaking", millis(times.tls_handshaking))?;
    timings.set("sending", millis(times.sending))?;
    timings.set("waiting", millis(times.waiting))?;
    timings.set("receiving", millis(times.receiving))?;
    Ok(timings.into_value())
}

/// The request of an answer.
fn request<'js>(ctx: &Ctx<'js>, reply: &Reply) -> Result<Value<'js>> {
    let asked = &reply.request;
    let request = Object::new(ctx.clone())?;
    request.set("method", asked.method.as_str())?;
    request.set("url", &*asked.url)?;
    let body = asked
        .body
        .as_ref()
        .map(|body| String::from_utf8_lossy(body).into_owned());
    request.set("body", body.unwrap_or_default())?;
    let headers = Object::new(ctx.clone())?;
    for (name, value) in asked.message.iter().flat_map(|message| message.headers()) {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.set(canonical(name.as_str()), vec![value])?;
    }
    request.set("headers", headers)?;
    Ok(request.into_value())
}

/// The cookies that an answer sets, by name.
fn cookies<'js>(ctx: &Ctx<'js>, reply: &Reply) -> Result<Value<'js>> {
    let by_name = Object::new(ctx.clone())?;
    for cookie in &reply.cookies {
        let list = match by_name.get::<_, Option<Array>>(cookie.name.as_str())? {
            Some(list) => list,
            None => Array::new(ctx.clone())?,
        };
        let one = Object::new(ctx.clone())?;
        one.set("name", cookie.name.as_str())?;
        one.set("value", cookie.value.as_str())?;
        one.set(
            "domain",
            if cookie.host_only {
                ""
            } else {
                cookie.domain.as_str()
            },
        )?;
        one.set("path", cookie.path.as_str())?;
        one.set("http_only", cookie.http_only)?;
        one.set("secure", cookie.secure)?;
        one.set("max_age", cookie.max_age as f64)?;
        one.set(
            "expires",
            cookie.expires.map_or(0.0, |end| end.as_millisecond() as f64),
        )?;
        list.set(list.len(), one)?;
        by_name.set(cookie.name.as_str(), list)?;
    }
    Ok(by_name.into_value())
}

/// A header's name as k6 shows it: `content-type` becomes `Content-Type`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |c: char| {
        let shown = if upper { c.to_ascii_uppercase() } else { c };
        upper = c == '-';
        shown
    };
    name.chars().map(letter).collect()
}
