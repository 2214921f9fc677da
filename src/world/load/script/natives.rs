//! Natives: the functions of this program that the modules of a script stand on.

use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose as alphabets;
use rquickjs::function::Opt;
use rquickjs::{
    Array, ArrayBuffer, Coerced, Ctx, Exception, Function, Module, Object, Result, TypedArray, Value,
};
use sha2::{Digest as _, Sha256};

use super::coroutine::{Answer, Ask, wait_for};
use super::http;
use super::info;
use super::vu::{CheckTags, OwnTags, Stage, Vu};
use crate::config::load_check::metric::Kind;
use crate::config::script::bundle::resolve;
use crate::config::script::{Contains, Declared, scan};
use crate::verify::exchange::millis;
use crate::verify::script::catalog::builtin;

/// All of them, as one object.
pub fn all<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    checks(ctx, vu, &native)?;
    metrics(ctx, vu, &native)?;
    files_and_data(ctx, vu, &native)?;
    http::add(ctx, vu, &native)?;
    info::add(ctx, vu, &native)?;
    encodings(ctx, &native)?;
    Ok(native)
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

/// What `handleSummary()` returned: bytes by where they go.
pub fn files(value: &Value<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let Some(object) = value.as_object() else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for field in object.props::<String, Value>() {
        let (name, value) = field?;
        files.push((name, bytes(&value)?));
    }
    Ok(files)
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

fn checks<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
    let check = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, name: String, held: bool, own: Opt<Value<'js>>| -> Result<()> {
            if name.contains("::") {
                return Err(Exception::throw_message(
                    &ctx,
                    "group and check names may not contain '::'",
                ));
            }
            if vu.stage.get() == Stage::Init {
                return Err(Exception::throw_message(
                    &ctx,
                    "using check() in the init context is not supported",
                ));
            }
            let own = tags(own.0)?;
            let check = CheckTags {
                check: &name,
                own: &own,
            };
            vu.check(&name, held, &check);
            Ok(())
        }
    };
    let enter = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, name: String| -> Result<Array<'js>> {
            if name.contains("::") {
                return Err(Exception::throw_message(
                    &ctx,
                    "group and check names may not contain '::'",
                ));
            }
            if vu.stage.get() == Stage::Init {
                return Err(Exception::throw_message(
                    &ctx,
                    "using group() in the init context is not supported",
                ));
            }
            let outer = vu.enter(&name);
            let before = Array::new(ctx)?;
            before.set(0, &*outer)?;
            before.set(1, millis(vu.origin.get().elapsed()))?;
            Ok(before)
        }
    };
    let leave = {
        let vu = Rc::clone(vu);
        move |before: Array<'js>| -> Result<()> {
            let (outer, since): (String, f64) = (before.get(0)?, before.get(1)?);
            let took = millis(vu.origin.get().elapsed()) - since;
            vu.add(builtin::GROUP_DURATION, took, &OwnTags::default());
            vu.group.replace(outer.into());
            Ok(())
        }
    };
    let sleep = move |ctx: Ctx<'js>, seconds: f64| -> Result<()> {
        let Ok(time) = Duration::try_from_secs_f64(seconds) else {
            return Ok(());
        };
        match wait_for(Ask::Sleep(time)) {
            Answer::Go => Ok(()),
            _ => Err(give_up(&ctx)),
        }
    };
    native.set("check", Function::new(ctx.clone(), check)?)?;
    native.set("enterGroup", Function::new(ctx.clone(), enter)?)?;
    native.set("leaveGroup", Function::new(ctx.clone(), leave)?)?;
    native.set("sleep", Function::new(ctx.clone(), sleep)?)
}

fn metrics<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
    let declare = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, kind: String, name: String, is_time: bool| -> Result<usize> {
            declare(&vu, &kind, name, is_time).map_err(|text| Exception::throw_message(&ctx, &text))
        }
    };
    let add = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, metric: usize, value: f64, own: Opt<Value<'js>>| -> Result<bool> {
            if vu.stage.get() == Stage::Init {
                return Err(Exception::throw_message(
                    &ctx,
                    "metrics cannot be added to in the init context",
                ));
            }
            if value.is_nan() {
                vu.script
                    .warn_once("a value that is no number was not added to a metric".to_owned());
                return Ok(false);
            }
            vu.add(metric, value, &tags(own.0)?);
            Ok(true)
        }
    };
    native.set("declare", Function::new(ctx.clone(), declare)?)?;
    native.set("add", Function::new(ctx.clone(), add)?)
}

fn declare(vu: &Vu, kind: &str, name: String, is_time: bool) -> std::result::Result<usize, String> {
    if vu.stage.get() != Stage::Init {
        return Err("metrics must be declared in the init context".to_owned());
    }
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let fits = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !fits || !(2..=128).contains(&name.len()) {
        return Err(format!("invalid metric name: `{name}`"));
    }
    let kind = match kind {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "rate" => Kind::Rate,
        _ => Kind::Trend,
    };
    let declared = Declared {
        name,
        kind,
        contains: if is_time { Contains::Time } else { Contains::Plain },
    };
    let mut own = vu.declared.borrow_mut();
    let builtins = crate::verify::script::catalog::builtins();
    let known = builtins
        .iter()
        .chain(own.iter())
        .position(|known| known.name == declared.name);
    match known {
        Some(index) => {
            let before = builtins.iter().chain(own.iter()).nth(index);
            if before
                .is_some_and(|before| before.kind != declared.kind || before.contains != declared.contains)
            {
                return Err(format!(
                    "metric `{}` already exists with another type",
                    declared.name
                ));
            }
            Ok(index)
        }
        None => {
            own.push(declared);
            Ok(builtins.len() + own.len() - 1)
        }
    }
}

fn files_and_data<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
    let open = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, path: String, mode: String| -> Result<Value<'js>> {
            if vu.stage.get() != Stage::Init {
                let text =
                    "the \"open\" function is only available in the init stage (i.e. the global scope)";
                return Err(Exception::throw_message(&ctx, text));
            }
            let path = resolve(&calling_file(&ctx, &vu), &path);
            let failed = |text: String| Exception::throw_message(&ctx, &text);
            if mode == "b" {
                let bytes = vu.script.read(&path).map_err(failed)?;
                return ArrayBuffer::new_copy(ctx.clone(), &*bytes).map(ArrayBuffer::into_value);
            }
            let bytes = vu.script.read(&path).map_err(failed)?;
            let text = rquickjs::String::from_str(ctx.clone(), &String::from_utf8_lossy(&bytes))?;
            Ok(text.into_value())
        }
    };
    let source = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, name: String| -> Result<Vec<String>> {
            if !scan::is_local(&name) {
                return Err(Exception::throw_message(&ctx, &scan::refusal(&name)));
            }
            let path = resolve(&calling_file(&ctx, &vu), &name);
            let text = vu
                .script
                .text(&path)
                .map_err(|text| Exception::throw_message(&ctx, &text))?;
            Ok(vec![path, text])
        }
    };
    let compile = move |ctx: Ctx<'js>, path: String, source: String| -> Result<Value<'js>> {
        // As a module the code has a name, by which errors tell their lines.
        let source = format!("export default (function (module, exports) {{{source}\n}});");
        let (module, promise) = Module::declare(ctx, path, source)?.eval()?;
        promise.finish::<()>()?;
        module.get("default")
    };
    let shared_length = {
        let vu = Rc::clone(vu);
        move |name: String| -> f64 { vu.script.shared(&name).map_or(-1.0, |all| all.len() as f64) }
    };
    let share = {
        let vu = Rc::clone(vu);
        move |name: String, elements: Vec<String>| vu.script.share(&name, elements)
    };
    let shared = {
        let vu = Rc::clone(vu);
        move |name: String, index: usize| -> Option<String> { vu.script.shared(&name)?.get(index).cloned() }
    };
    let log = {
        let vu = Rc::clone(vu);
        move |level: String, text: String| vu.script.print(&level, text)
    };
    native.set("open", Function::new(ctx.clone(), open)?)?;
    native.set("source", Function::new(ctx.clone(), source)?)?;
    native.set("compile", Function::new(ctx.clone(), compile)?)?;
    native.set("sharedLength", Function::new(ctx.clone(), shared_length)?)?;
    native.set("share", Function::new(ctx.clone(), share)?)?;
    native.set("shared", Function::new(ctx.clone(), shared)?)?;
    native.set("log", Function::new(ctx.clone(), log)?)
}

/// The file whose code is running; the first one outside of the prelude.
fn calling_file(ctx: &Ctx<'_>, vu: &Vu) -> String {
    let names = (0..4).filter_map(|level| ctx.script_or_module_name(level)?.to_string().ok());
    names
        .filter(|name| name != "eval_script" && !name.is_empty() && !name.starts_with('<'))
        .find(|name| scan::exports(name).is_none())
        .unwrap_or_else(|| vu.script.main.clone())
}

fn encodings<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    let encode = |value: Value<'js>, variant: String| -> Result<String> {
        Ok(alphabet(&variant).encode(bytes(&value)?))
    };
    let decode = |ctx: Ctx<'js>, text: String, variant: String, as_text: bool| -> Result<Value<'js>> {
        let decoded = alphabet(&variant)
            .decode(text)
            .map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
        if as_text {
            let text = rquickjs::String::from_str(ctx.clone(), &String::from_utf8_lossy(&decoded))?;
            return Ok(text.into_value());
        }
        ArrayBuffer::new(ctx.clone(), decoded).map(ArrayBuffer::into_value)
    };
    let hash = |ctx: Ctx<'js>, _algorithm: String, value: Value<'js>, output: String| -> Result<Value<'js>> {
        digest(&ctx, &Sha256::digest(bytes(&value)?), &output)
    };
    let hmac = |ctx: Ctx<'js>, algorithm: String, key: Value<'js>, value: Value<'js>, output: String| {
        if algorithm != "sha256" {
            let text = format!("the hash algorithm `{algorithm}` is not supported, only sha256");
            return Err(Exception::throw_message(&ctx, &text));
        }
        digest(&ctx, &hmac_sha256(&bytes(&key)?, &bytes(&value)?), &output)
    };
    let text =
        |value: Value<'js>| -> Result<String> { Ok(String::from_utf8_lossy(&bytes(&value)?).into_owned()) };
    native.set("base64", Function::new(ctx.clone(), encode)?)?;
    native.set("unbase64", Function::new(ctx.clone(), decode)?)?;
    native.set("hash", Function::new(ctx.clone(), hash)?)?;
    native.set("hmac", Function::new(ctx.clone(), hmac)?)?;
    native.set("text", Function::new(ctx.clone(), text)?)
}

fn alphabet(variant: &str) -> &'static alphabets::GeneralPurpose {
    match variant {
        "rawstd" => &alphabets::STANDARD_NO_PAD,
        "url" => &alphabets::URL_SAFE,
        "rawurl" => &alphabets::URL_SAFE_NO_PAD,
        _ => &alphabets::STANDARD,
    }
}

fn digest<'js>(ctx: &Ctx<'js>, digest: &[u8], output: &str) -> Result<Value<'js>> {
    let text = match output {
        "hex" => digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>(),
        "base64" => alphabets::STANDARD.encode(digest),
        "base64url" => alphabets::URL_SAFE.encode(digest),
        "base64rawurl" => alphabets::URL_SAFE_NO_PAD.encode(digest),
        "binary" => return ArrayBuffer::new_copy(ctx.clone(), digest).map(ArrayBuffer::into_value),
        other => {
            return Err(Exception::throw_message(
                ctx,
                &format!("invalid output encoding: {other}"),
            ));
        }
    };
    rquickjs::String::from_str(ctx.clone(), &text).map(rquickjs::String::into_value)
}

/// RFC 2104, with SHA-256.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = if key.len() > BLOCK {
        Sha256::digest(key).to_vec()
    } else {
        key.to_vec()
    };
    block.resize(BLOCK, 0);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(text)
        .finalize();
    Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

/// The moment of now in milliseconds since 1970, for what shows dates.
pub fn unix_millis(of: Instant) -> f64 {
    let now = jiff::Timestamp::now().as_microsecond() as f64 / 1e3;
    now - millis(of.elapsed())
}
