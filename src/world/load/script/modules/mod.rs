//! Modules: what k6 gives to a script, made for each virtual user when its script asks for it.
//!
//! Each is written in JavaScript, on top of functions of this program that only it can call.

use std::rc::Rc;

use rquickjs::{ArrayBuffer, Coerced, Ctx, Exception, Function, Object, Result, TypedArray, Value};

use super::vu::{OwnTags, Vu};
use crate::config::script::scan;

mod crypto;
mod data;
mod encoding;
mod execution;
mod globals;
mod http;
mod k6;
mod metrics;

/// A module: its name; a function in JavaScript, which is given functions of this program and one that finds other
/// modules; and what adds the functions of this program to an object.
type Module = (&'static str, &'static str, Natives);

type Natives = for<'a, 'js> fn(&'a Ctx<'js>, &'a Rc<Vu>, &'a Object<'js>) -> Result<()>;

/// Those that scripts import, by k6's names, and one that the others share.
const MODULES: [Module; 8] = [
    ("k6", include_str!("k6.js"), k6::add),
    ("k6/http", include_str!("http.js"), http::add),
    ("k6/metrics", include_str!("metrics.js"), metrics::add),
    ("k6/data", include_str!("data.js"), data::add),
    ("k6/execution", include_str!("execution.js"), execution::add),
    ("k6/encoding", include_str!("encoding.js"), encoding::add),
    ("k6/crypto", include_str!("crypto.js"), crypto::add),
    ("values", include_str!("values.js"), |_, _, _| Ok(())),
];

/// Makes the globals of a script; returns the function that finds modules, which it makes when it is first asked.
pub fn globals<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>) -> Result<Function<'js>> {
    let native = Object::new(ctx.clone())?;
    globals::add(ctx, vu, &native)?;
    let make = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, name: String, find: Function<'js>| make(&ctx, &vu, &name, find)
    };
    native.set("module", Function::new(ctx.clone(), make)?)?;
    let make: Function = ctx.eval(spoken(include_str!("globals.js")))?;
    make.call((native,))
}

fn make<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, name: &str, find: Function<'js>) -> Result<Object<'js>> {
    let Some((_, text, natives)) = MODULES.iter().find(|(known, ..)| *known == name) else {
        return Err(Exception::throw_message(ctx, &scan::refusal(name)));
    };
    let native = Object::new(ctx.clone())?;
    natives(ctx, vu, &native)?;
    let make: Function = ctx.eval(spoken(text))?;
    make.call((native, find))
}

/// A text without what only its readers need: the engine of each virtual user keeps the text of its functions.
fn spoken(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let spoken = lines.filter(|line| !line.starts_with("//"));
    spoken.collect::<Vec<_>>().join("\n")
}

/// Throws what ends a step: JavaScript that catches it is interrupted soon after.
pub fn give_up(ctx: &Ctx<'_>) -> rquickjs::Error {
    Exception::throw_message(ctx, "the iteration was interrupted")
}

/// An object's fields as tags; numbers and truth values are written out.
pub fn tags(value: Option<Value<'_>>) -> Result<OwnTags> {
    let mut tags = OwnTags::default();
    let Some(object) = value.as_ref().and_then(Value::as_object) else {
        return Ok(tags);
    };
    for field in object.props::<String, Value>() {
        let (name, value) = field?;
        if !value.is_undefined() && !value.is_null() {
            tags.0.push((name, value.get::<Coerced<String>>()?.0));
        }
    }
    Ok(tags)
}

/// The bytes of a text or an ArrayBuffer.
pub fn bytes(value: &Value<'_>) -> Result<Vec<u8>> {
    if let Some(buffer) = ArrayBuffer::from_value(value.clone()) {
        // Byte by byte: a view of the engine's own memory would not be safe.
        let view = TypedArray::<u8>::from_arraybuffer(buffer)?;
        return (0..view.len())
            .map(|index| view.get(u32::try_from(index).unwrap_or(u32::MAX)))
            .collect();
    }
    Ok(value.get::<Coerced<String>>()?.0.into_bytes())
}
