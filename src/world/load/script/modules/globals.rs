//! The functions of this program that the globals of a script stand on.

use std::rc::Rc;

use rquickjs::{ArrayBuffer, Ctx, Exception, Function, Module, Object, Result, Value};

use super::super::vu::{Stage, Vu};
use crate::config::script::bundle::resolve;
use crate::config::script::scan;

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
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
    let log = {
        let vu = Rc::clone(vu);
        move |level: String, text: String| vu.script.print(&level, text)
    };
    let modules: Vec<&str> = scan::MODULES.iter().map(|(name, _)| *name).collect();
    native.set("modules", modules)?;
    native.set("open", Function::new(ctx.clone(), open)?)?;
    native.set("source", Function::new(ctx.clone(), source)?)?;
    native.set("compile", Function::new(ctx.clone(), compile)?)?;
    native.set("log", Function::new(ctx.clone(), log)?)
}

/// The file whose code is running; the first one outside of k6's modules.
fn calling_file(ctx: &Ctx<'_>, vu: &Vu) -> String {
    let names = (0..4).filter_map(|level| ctx.script_or_module_name(level)?.to_string().ok());
    names
        .filter(|name| name != "eval_script" && !name.is_empty() && !name.starts_with('<'))
        .find(|name| scan::exports(name).is_none())
        .unwrap_or_else(|| vu.script.main.clone())
}
