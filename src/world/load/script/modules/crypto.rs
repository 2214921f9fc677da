//! The functions of this program that `k6/crypto` stands on.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose as alphabets;
use rquickjs::{ArrayBuffer, Ctx, Exception, Function, Object, Result, Value};
use sha2::{Digest as _, Sha256};

use super::super::vu::Vu;
use super::bytes;

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, _vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
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
    native.set("hash", Function::new(ctx.clone(), hash)?)?;
    native.set("hmac", Function::new(ctx.clone(), hmac)?)
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
