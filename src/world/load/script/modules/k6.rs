//! The functions of this program that `k6` stands on.

use std::rc::Rc;
use std::time::Duration;

use rquickjs::function::Opt;
use rquickjs::{Array, Ctx, Exception, Function, Object, Result, Value};

use super::super::coroutine::{Answer, Ask, wait_for};
use super::super::vu::{CheckTags, OwnTags, Stage, Vu};
use super::{give_up, tags};
use crate::verify::exchange::millis;
use crate::verify::script::catalog::builtin;

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
    let check = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, name: String, held: bool, own: Opt<Value<'js>>| -> Result<()> {
            allow(&ctx, &vu, "check", &name)?;
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
            allow(&ctx, &vu, "group", &name)?;
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

/// Throws unless `check()` or `group()` may be called now, with this name.
fn allow(ctx: &Ctx<'_>, vu: &Vu, function: &str, name: &str) -> Result<()> {
    if name.contains("::") {
        let text = "group and check names may not contain '::'";
        return Err(Exception::throw_message(ctx, text));
    }
    if vu.stage.get() == Stage::Init {
        let text = format!("using {function}() in the init context is not supported");
        return Err(Exception::throw_message(ctx, &text));
    }
    Ok(())
}
