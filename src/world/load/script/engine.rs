//! Engine: a script in the JavaScript engine of one virtual user.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared as DeclaredModule;
use rquickjs::{
    CatchResultExt as _, CaughtError, Context, Ctx, Error, Exception, Function, Module, Object, Promise,
    Result, Runtime, Type, Value,
};

use super::coroutine::{Answer, Ask, JS_STACK, wait_for};
use super::modules;
use super::vu::{Stage, Vu};
use crate::config::script::bundle::resolve;
use crate::config::script::{Declared, scan};

/// Something that a script does.
pub struct Step {
    /// The exported function.
    pub function: Arc<str>,
    /// Its argument, as JSON.
    pub argument: Option<Arc<str>>,
    /// The iteration that it is; `None` for what runs once.
    pub iteration: Option<u64>,
}

/// What became of a step.
pub enum Outcome {
    /// The script was loaded.
    Loaded(Loaded),
    /// The function returned; its value as JSON, where that is wanted.
    Returned(Option<String>),
    /// `handleSummary()` returned what is to be written where.
    Files(Vec<(String, Vec<u8>)>),
    /// It threw.
    Threw(Thrown),
}

/// A script that was loaded.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The functions that it exports.
    pub exports: Vec<String>,
    /// Its options, as JSON.
    pub options: Option<String>,
    /// The metrics that it makes.
    pub metrics: Vec<Declared>,
}

/// What a script threw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thrown {
    /// The message with the lines of the script.
    pub text: String,
}

/// The name of the function that finds k6's modules.
const MODULE: &str = "__k6_module";

/// How long JavaScript works before others may have the thread.
const SLICE: Duration = Duration::from_millis(2);

/// Runs a virtual user's script to its end, on a coroutine's stack.
pub fn serve(vu: &Rc<Vu>) {
    if let Err(error) = try_serve(vu) {
        let thrown = Thrown {
            text: error.to_string(),
        };
        drop(wait_for(Ask::Next(Outcome::Threw(thrown))));
    }
}

fn try_serve(vu: &Rc<Vu>) -> Result<()> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(vu.script.memory());
    runtime.set_max_stack_size(JS_STACK);
    let interrupted = Rc::clone(vu);
    runtime.set_interrupt_handler(Some(Box::new(move || is_over(&interrupted))));
    runtime.set_loader(Modules(Rc::clone(vu)), Modules(Rc::clone(vu)));
    let context = Context::full(&runtime)?;
    context.with(|ctx| {
        let loaded = load(&ctx, vu);
        let (namespace, mut outcome) = match loaded.catch(&ctx) {
            Ok((namespace, loaded)) => (Some(namespace), Outcome::Loaded(loaded)),
            Err(error) => (None, Outcome::Threw(thrown(&error))),
        };
        let mut script = namespace.map(|namespace| Performer::new(&ctx, namespace));
        while let Answer::Do(step) = wait_for(Ask::Next(outcome)) {
            outcome = match &mut script {
                Some(script) => script.perform(&ctx, vu, &step),
                None => Outcome::Returned(None),
            };
        }
    });
    Ok(())
}

/// Whether the step is over; lets others have the thread when it takes long.
fn is_over(vu: &Vu) -> bool {
    if vu.cancelled.get() {
        return true;
    }
    vu.since.get().elapsed() > SLICE && !matches!(wait_for(Ask::Breathe), Answer::Go)
}

// === loading ===

fn load<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>) -> Result<(Object<'js>, Loaded)> {
    prepare(ctx, vu)?;
    let main = &vu.script.main;
    let source = read(ctx, vu, main)?;
    let namespace = if scan::is_module(&source) {
        let (module, promise) = Module::declare(ctx.clone(), main.as_str(), source)?.eval()?;
        promise.finish::<()>()?;
        module.namespace()?
    } else {
        let require: Function = ctx.globals().get("require")?;
        require.call((format!("file://{main}"),))?
    };
    let mut loaded = Loaded {
        metrics: vu.declared.take(),
        ..Loaded::default()
    };
    for key in namespace.keys::<String>() {
        let key = key?;
        if namespace.get::<_, Value>(key.as_str())?.is_function() {
            loaded.exports.push(key);
        }
    }
    let options: Value = namespace.get("options")?;
    if !options.is_undefined() && !options.is_null() {
        loaded.options = ctx
            .json_stringify(options)?
            .map(|text| text.to_string())
            .transpose()?;
    }
    Ok((namespace, loaded))
}

/// Makes the globals.
fn prepare(ctx: &Ctx<'_>, vu: &Rc<Vu>) -> Result<()> {
    let globals = ctx.globals();
    let env = Object::new(ctx.clone())?;
    for (name, value) in &vu.script.env {
        env.set(name.as_str(), value.as_str())?;
    }
    let plan = vu.script.plan();
    let scenario = vu.iteration.borrow().scenario;
    for (name, value) in plan
        .and_then(|plan| plan.work.get(scenario))
        .iter()
        .flat_map(|work| &work.env)
    {
        if vu.number > 0 {
            env.set(name.as_str(), value.as_str())?;
        }
    }
    globals.set("__ENV", env)?;
    globals.set("__VU", vu.number)?;
    globals.set(MODULE, modules::globals(ctx, vu)?)
}

/// A file's text, once nothing in it is found unsupported.
fn read(ctx: &Ctx<'_>, vu: &Vu, path: &str) -> Result<String> {
    let throw = |text: String| Exception::throw_message(ctx, &text);
    let source = vu.script.text(path).map_err(throw)?;
    let unsupported = scan::unsupported(&source);
    if unsupported.is_empty() {
        return Ok(source);
    }
    let lines: Vec<String> = unsupported
        .iter()
        .map(|found| format!("{path}:{}: {}", found.line, found.what))
        .collect();
    Err(throw(lines.join("\n")))
}

/// Finds the modules that a script imports.
struct Modules(Rc<Vu>);

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        if scan::exports(name).is_some() {
            return Ok(name.to_owned());
        }
        if scan::is_local(name) {
            return Ok(resolve(base, name));
        }
        Err(Exception::throw_message(
            ctx,
            &format!("{base}: {}", scan::refusal(name)),
        ))
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, DeclaredModule>> {
        let source = match scan::exports(name) {
            Some(exports) => builtin(name, exports),
            None => {
                let source = read(ctx, &self.0, name)?;
                if scan::is_module(&source) {
                    source
                } else {
                    format!(
                        "export default globalThis.require({:?});",
                        format!("file://{name}")
                    )
                }
            }
        };
        Module::declare(ctx.clone(), name, source)
    }
}

/// The text of a module that k6 has.
fn builtin(name: &str, exports: &[&str]) -> String {
    let names = exports.join(", ");
    format!(
        "const module = globalThis.{MODULE}({name:?});\nexport const {{ {names} }} = module;\nexport default module;\n"
    )
}

// === steps ===

/// A loaded script, and what its steps have in common.
struct Performer<'js> {
    namespace: Object<'js>,
    globals: Object<'js>,
    /// The function of the last step.
    function: Option<(Arc<str>, Function<'js>)>,
    /// What setup() returned is the same for all iterations; each virtual user has a copy of its own.
    argument: Option<Value<'js>>,
}

impl<'js> Performer<'js> {
    fn new(ctx: &Ctx<'js>, namespace: Object<'js>) -> Self {
        Self {
            namespace,
            globals: ctx.globals(),
            function: None,
            argument: None,
        }
    }

    fn perform(&mut self, ctx: &Ctx<'js>, vu: &Vu, step: &Step) -> Outcome {
        let is_iteration = step.iteration.is_some();
        vu.leave_groups();
        if matches!(&*step.function, "setup" | "teardown") && !is_iteration {
            vu.group.replace(format!("::{}", step.function).into());
        }
        vu.stage.set(if is_iteration {
            Stage::Iteration
        } else {
            Stage::Once
        });
        match self.call(ctx, step).catch(ctx) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Threw(thrown(&error)),
        }
    }

    fn call(&mut self, ctx: &Ctx<'js>, step: &Step) -> Result<Outcome> {
        if let Some(iteration) = step.iteration {
            self.globals.set("__ITER", iteration as f64)?;
        }
        let function = self.function(&step.function)?;
        if let (Some(json), None) = (&step.argument, &self.argument) {
            self.argument = Some(ctx.json_parse(&**json)?);
        }
        let argument = self.argument.clone();
        let argument = argument.unwrap_or_else(|| Value::new_undefined(ctx.clone()));
        let mut value: Value = function.call((argument,))?;
        if value.type_of() == Type::Promise {
            let promise: Promise = value.get()?;
            value = promise.finish()?;
        }
        while ctx.execute_pending_job() {}
        match &*step.function {
            _ if step.iteration.is_some() => Ok(Outcome::Returned(None)),
            "handleSummary" => Ok(Outcome::Files(files(&value)?)),
            _ if value.is_undefined() => Ok(Outcome::Returned(None)),
            _ => {
                let json = ctx
                    .json_stringify(value)?
                    .map(|text| text.to_string())
                    .transpose()?;
                Ok(Outcome::Returned(json))
            }
        }
    }

    fn function(&mut self, name: &Arc<str>) -> Result<Function<'js>> {
        if let Some((last, function)) = &self.function
            && last == name
        {
            return Ok(function.clone());
        }
        let function: Function = self.namespace.get(&**name)?;
        self.function = Some((Arc::clone(name), function.clone()));
        Ok(function)
    }
}

/// What `handleSummary()` returned: bytes by where they go.
fn files(value: &Value<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let Some(object) = value.as_object() else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for field in object.props::<String, Value>() {
        let (name, value) = field?;
        files.push((name, modules::bytes(&value)?));
    }
    Ok(files)
}

/// What was thrown, as text.
fn thrown(error: &CaughtError<'_>) -> Thrown {
    let text = match error {
        CaughtError::Exception(exception) => {
            let name: String = exception.as_object().get("name").unwrap_or_default();
            let message = exception.message().unwrap_or_default();
            let stack = exception.stack().unwrap_or_default();
            // The lines of k6's modules say nothing to whoever wrote the script.
            let own = |line: &&str| !line.contains("(eval_script:") && !line.contains("(native)");
            let lines = stack
                .trim_end()
                .lines()
                .filter(own)
                .collect::<Vec<_>>()
                .join("\n");
            let head = match (name.as_str(), message.as_str()) {
                ("" | "Error", "") => "Error".to_owned(),
                ("" | "Error", message) => message.to_owned(),
                (name, message) => format!("{name}: {message}"),
            };
            if lines.is_empty() {
                head
            } else {
                format!("{head}\n{lines}")
            }
        }
        CaughtError::Value(value) => shown(value),
        CaughtError::Error(Error::Allocation) => "out of memory".to_owned(),
        CaughtError::Error(error) => error.to_string(),
    };
    Thrown { text }
}

fn shown(value: &Value<'_>) -> String {
    match value.as_string() {
        Some(text) => text.to_string().unwrap_or_default(),
        None => {
            let json = value.ctx().json_stringify(value.clone()).ok().flatten();
            json.and_then(|json| json.to_string().ok())
                .unwrap_or_else(|| value.type_name().to_owned())
        }
    }
}
