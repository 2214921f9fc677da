//! The functions of this program that `k6/http` stands on.

use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use rquickjs::function::Opt;
use rquickjs::{Array, Coerced, Ctx, Exception, Function, Object, Result, Value};

use super::super::client::{Call, Reply, Wants};
use super::super::cookies::Cookie;
use super::super::coroutine::{Answer, Ask, wait_for};
use super::super::response;
use super::super::vu::{Stage, Statuses, Vu};
use super::{bytes, give_up, tags};

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
    let request = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>,
              method: String,
              url: Value<'js>,
              body: Value<'js>,
              content_type: Value<'js>,
              params: Opt<Value<'js>>|
              -> Result<Function<'js>> {
            let call = call(&ctx, method, &url, &body, &content_type, params.0)?;
            let mut replies = send(&ctx, &vu, vec![call])?;
            match replies.pop() {
                Some(reply) => response::details(&ctx, reply),
                None => Err(give_up(&ctx)),
            }
        }
    };
    let batch = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, requests: Array<'js>| -> Result<Array<'js>> {
            let mut calls = Vec::with_capacity(requests.len());
            for request in requests.iter::<Array>() {
                let request = request?;
                let (url, body): (Value, Value) = (request.get(1)?, request.get(2)?);
                let (content_type, params): (Value, Value) = (request.get(3)?, request.get(4)?);
                let method: Coerced<String> = request.get(0)?;
                calls.push(call(&ctx, method.0, &url, &body, &content_type, Some(params))?);
            }
            let answers = Array::new(ctx.clone())?;
            for (index, reply) in send(&ctx, &vu, calls)?.into_iter().enumerate() {
                answers.set(index, response::details(&ctx, reply)?)?;
            }
            Ok(answers)
        }
    };
    let expect = {
        let vu = Rc::clone(vu);
        move |ranges: Value<'js>| -> Result<()> {
            let statuses = statuses(&ranges)?;
            vu.expected.replace(statuses);
            Ok(())
        }
    };
    let text =
        |value: Value<'js>| -> Result<String> { Ok(String::from_utf8_lossy(&bytes(&value)?).into_owned()) };
    native.set("text", Function::new(ctx.clone(), text)?)?;
    native.set("fields", response::fields())?;
    native.set("request", Function::new(ctx.clone(), request)?)?;
    native.set("batch", Function::new(ctx.clone(), batch)?)?;
    native.set("expect", Function::new(ctx.clone(), expect)?)?;
    jar(ctx, vu, native)
}

/// The functions of the cookie jar.
fn jar<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
    let cookies = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, url: String| -> Result<Object<'js>> {
            let url = address(&ctx, &url)?;
            let by_name = Object::new(ctx.clone())?;
            for cookie in vu.jar.borrow().of(&url, Timestamp::now()) {
                let mut values: Vec<String> = by_name
                    .get::<_, Option<Vec<String>>>(cookie.name.as_str())?
                    .unwrap_or_default();
                values.push(cookie.value.clone());
                by_name.set(cookie.name.as_str(), values)?;
            }
            Ok(by_name)
        }
    };
    let set = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>,
              url: String,
              name: String,
              value: String,
              options: Opt<Value<'js>>|
              -> Result<()> {
            let url = address(&ctx, &url)?;
            let mut cookie = Cookie::new(&url, &name, &value);
            if let Some(options) = options.0.as_ref().and_then(Value::as_object) {
                cookie.path = options.get::<_, Option<String>>("path")?.unwrap_or(cookie.path);
                cookie.max_age = options.get::<_, Option<f64>>("max_age")?.unwrap_or_default() as i64;
                cookie.secure = options.get::<_, Option<bool>>("secure")?.unwrap_or_default();
                if let Some(domain) = options.get::<_, Option<String>>("domain")? {
                    (cookie.domain, cookie.host_only) = (domain, false);
                }
            }
            let now = Timestamp::now();
            vu.jar.borrow_mut().keep(cookie.received(now), now);
            Ok(())
        }
    };
    let clear = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, url: String, name: Option<String>| -> Result<()> {
            vu.jar.borrow_mut().forget(&address(&ctx, &url)?, name.as_deref());
            Ok(())
        }
    };
    native.set("cookies", Function::new(ctx.clone(), cookies)?)?;
    native.set("setCookie", Function::new(ctx.clone(), set)?)?;
    native.set("clearCookies", Function::new(ctx.clone(), clear)?)
}

fn address(ctx: &Ctx<'_>, text: &str) -> Result<Url> {
    Url::parse(text)
        .map_err(|error| Exception::throw_message(ctx, &format!("`{text}` is no address: {error}")))
}

fn send(ctx: &Ctx<'_>, vu: &Vu, calls: Vec<Call>) -> Result<Vec<Reply>> {
    if vu.stage.get() == Stage::Init {
        return Err(Exception::throw_message(
            ctx,
            "making http requests in the init context is not supported",
        ));
    }
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let Answer::Replies(replies) = wait_for(Ask::Send(calls)) else {
        return Err(give_up(ctx));
    };
    if let Some(error) = replies
        .iter()
        .filter(|reply| reply.fatal)
        .find_map(|reply| reply.error.as_ref())
    {
        return Err(Exception::throw_message(ctx, &error.0));
    }
    Ok(replies)
}

// === requests ===

fn call<'js>(
    ctx: &Ctx<'js>,
    method: String,
    url: &Value<'js>,
    body: &Value<'js>,
    content_type: &Value<'js>,
    params: Option<Value<'js>>,
) -> Result<Call> {
    let mut call = Call {
        method: method.to_ascii_uppercase(),
        ..Call::default()
    };
    match url
        .as_object()
        .map(|object| (object.get::<_, Option<String>>("url"), object.get("name")))
    {
        Some((Ok(Some(address)), name)) => (call.url, call.name) = (address, name?),
        _ => call.url = url.get::<Coerced<String>>()?.0,
    }
    if !body.is_null() && !body.is_undefined() {
        call.body = Some(bytes(body)?.into());
        call.content_type = content_type
            .as_string()
            .map(rquickjs::String::to_string)
            .transpose()?;
    }
    if let Some(params) = params.as_ref().and_then(Value::as_object) {
        read_params(ctx, &mut call, params)?;
    }
    Ok(call)
}

fn read_params<'js>(ctx: &Ctx<'js>, call: &mut Call, params: &Object<'js>) -> Result<()> {
    let refuse = |text: String| Err(Exception::throw_type(ctx, &text));
    for field in params.props::<String, Value>() {
        let (name, value) = field?;
        if value.is_undefined() || value.is_null() && name != "responseCallback" {
            continue;
        }
        match name.as_str() {
            "headers" => call.headers = tags(Some(value))?.0,
            "tags" => {
                let mut own = tags(Some(value))?;
                if let Some(at) = own.0.iter().position(|(name, _)| name == "name") {
                    call.name = Some(own.0.remove(at).1);
                }
                call.tags = own;
            }
            "timeout" => match timeout(&value) {
                Some(time) => call.timeout = Some(time),
                None => return refuse("invalid timeout value".to_owned()),
            },
            "redirects" => call.redirects = Some(value.get::<Coerced<i32>>()?.0.max(0).unsigned_abs()),
            "cookies" => call.cookies = cookies(&value)?,
            "auth" => match value.get::<Coerced<String>>()?.0.as_str() {
                "basic" => call.basic = true,
                other => {
                    return refuse(format!(
                        "the authentication `{other}` is not supported, only basic"
                    ));
                }
            },
            "responseType" => {
                call.wants = Some(match value.get::<Coerced<String>>()?.0.as_str() {
                    "text" => Wants::Text,
                    "binary" => Wants::Binary,
                    "none" => Wants::Nothing,
                    other => return refuse(format!("`{other}` is no responseType")),
                });
            }
            "responseCallback" if value.is_null() => call.expected = Some(None),
            "responseCallback" => match value.as_object().map(|object| object.get::<_, Value>("ranges")) {
                Some(Ok(ranges)) if ranges.is_array() => call.expected = Some(statuses(&ranges)?),
                _ => return refuse("unsupported responseCallback".to_owned()),
            },
            // The one jar that there is.
            "jar" => {}
            "compression" => return refuse(format!("the request parameter `{name}` is not supported")),
            // k6 does not look at what it does not know either.
            _ => {}
        }
    }
    Ok(())
}

/// Milliseconds, or a text such as `1s`.
fn timeout(value: &Value<'_>) -> Option<Duration> {
    if let Some(millis) = value.as_number() {
        return Duration::try_from_secs_f64(millis / 1e3).ok();
    }
    let text = value.as_string()?.to_string().ok()?;
    text.parse::<crate::config::duration::Duration>()
        .ok()
        .map(crate::config::duration::Duration::get)
}

fn cookies(value: &Value<'_>) -> Result<Vec<(String, String, bool)>> {
    let mut cookies = Vec::new();
    let Some(object) = value.as_object() else {
        return Ok(cookies);
    };
    for field in object.props::<String, Value>() {
        let (name, value) = field?;
        match value.as_object() {
            Some(details) => {
                let text: Coerced<String> = details.get("value")?;
                cookies.push((
                    name,
                    text.0,
                    details.get::<_, Option<bool>>("replace")?.unwrap_or_default(),
                ));
            }
            None => cookies.push((name, value.get::<Coerced<String>>()?.0, false)),
        }
    }
    Ok(cookies)
}

fn statuses(ranges: &Value<'_>) -> Result<Option<Statuses>> {
    let Some(ranges) = ranges.as_array() else {
        return Ok(None);
    };
    let range = |range: Result<Vec<u16>>| {
        let range = range?;
        Ok((
            range.first().copied().unwrap_or_default(),
            range.get(1).copied().unwrap_or_default(),
        ))
    };
    ranges
        .iter::<Vec<u16>>()
        .map(range)
        .collect::<Result<Statuses>>()
        .map(Some)
}
