//! The functions of this program that `k6/encoding` stands on.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose as alphabets;
use rquickjs::{ArrayBuffer, Ctx, Exception, Function, Object, Result, Value};

use super::super::vu::Vu;
use super::bytes;

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, _vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
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
    native.set("base64", Function::new(ctx.clone(), encode)?)?;
    native.set("unbase64", Function::new(ctx.clone(), decode)?)
}

fn alphabet(variant: &str) -> &'static alphabets::GeneralPurpose {
    match variant {
        "rawstd" => &alphabets::STANDARD_NO_PAD,
        "url" => &alphabets::URL_SAFE,
        "rawurl" => &alphabets::URL_SAFE_NO_PAD,
        _ => &alphabets::STANDARD,
    }
}
