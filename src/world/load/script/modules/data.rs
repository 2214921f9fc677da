//! The functions of this program that `k6/data` stands on.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Result};

use super::super::vu::Vu;

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
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
    native.set("sharedLength", Function::new(ctx.clone(), shared_length)?)?;
    native.set("share", Function::new(ctx.clone(), share)?)?;
    native.set("shared", Function::new(ctx.clone(), shared)?)
}
