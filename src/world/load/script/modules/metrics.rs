//! The functions of this program that `k6/metrics` stands on.

use std::rc::Rc;

use rquickjs::function::Opt;
use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

use super::super::vu::{Stage, Vu};
use super::tags;
use crate::config::load_check::metric::Kind;
use crate::config::script::{Contains, Declared};

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
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
