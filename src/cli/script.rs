//! `gitsync check` with a k6 script.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::Output;
use super::check::{self, CheckArgs, Stop};
use super::context::Context;
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;
use crate::config::load_check::plan::Plan;
use crate::config::load_check::{LoadCheckSpec, StrictSpec, TlsSpec};
use crate::config::script::options::{self, Layer, Problems};
use crate::report::load_check::progress;
use crate::report::script::data::{summary_data, summary_export};
use crate::report::script::summary::{explain, summary};
use crate::verify::judge::LoadOutcome;
use crate::verify::progress::Progress;
use crate::verify::samples::Ended;
use crate::world::load::script::source::{Disk, Message, Network, Script};
use crate::world::load::script::{self, Prepared, Run, ScriptError};

/// k6's exit codes for functions that take too long.
const SETUP_TIMEOUT: u8 = 100;
const TEARDOWN_TIMEOUT: u8 = 101;
const TIMEOUT: u8 = 102;
/// k6's exit code for a script that throws where that is fatal.
const EXCEPTION: u8 = 107;
/// k6's exit code for a script without functions.
const EMPTY: u8 = 255;
/// k6's exit codes for a test that ends itself, and that says that it has failed.
const ABORTED: u8 = 108;
const MARKED_AS_FAILED: u8 = 110;

/// Runs a k6 script of this machine, as `k6 run` does.
///
/// # Errors
///
/// When its summary cannot be written. What is wrong with the script or its verdict is told by the exit code.
pub async fn check(ui: &mut Ui, context: &Context, args: &CheckArgs, file: &Path) -> Result<Answer, Failure> {
    let layers = match layers(args) {
        Ok(layers) => layers,
        Err(problems) => return stop(&ScriptError::Options(problems)).tell(ui, args.output),
    };
    let main = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut env: BTreeMap<String, String> = variables().collect();
    env.extend(args.variables.iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    }));
    let main = main.to_string_lossy().into_owned();
    let (script, messages) = Script::new(main, Box::new(Disk), env, Network::Any, TlsSpec::default());
    let mode = args.mode.unwrap_or_default();
    match script::prepare(script, layers, StrictSpec::default(), mode, &context.cancel).await {
        Ok(prepared) if args.explain => {
            let header = progress::header(&prepared.plan.load, &prepared.script.main, ui.paint());
            ui.print(&format!(
                "{header}\n{}",
                explain(&prepared.plan, &prepared.catalog, ui.paint())
            ))
        }
        Ok(prepared) => run(ui, context, args, &prepared, messages).await,
        Err(error) => {
            tell_all(ui, messages);
            stop(&error).tell(ui, args.output)
        }
    }
}

/// Runs the script of a LoadCheck against its target.
///
/// # Errors
///
/// When its summary cannot be written. Everything else is told by the exit code.
pub async fn check_spec(
    ui: &mut Ui,
    context: &Context,
    args: &CheckArgs,
    spec: &LoadCheckSpec,
    plan: Plan,
    origin: &str,
) -> Result<Answer, Failure> {
    let (sender, receiver) = watch::channel(Progress::default());
    let (_nobody, mut messages) = mpsc::channel(1);
    let running = script::check(spec, plan, origin, None, &sender, &context.cancel);
    match check::show(ui, origin, receiver, &mut messages, running).await {
        Ok((prepared, run)) => conclude(ui, args, &prepared, &run, Ok(None)),
        Err(error) => Stop::load(&error).tell(ui, args.output),
    }
}

/// Runs a script that is prepared, and prints what was found.
///
/// # Errors
///
/// When its summary cannot be written.
pub async fn run(
    ui: &mut Ui,
    context: &Context,
    args: &CheckArgs,
    prepared: &Prepared,
    mut messages: mpsc::Receiver<Message>,
) -> Result<Answer, Failure> {
    ui.story(progress::header(&prepared.plan.load, &prepared.script.main, ui.story_paint()).trim_end());
    let (sender, receiver) = watch::channel(Progress::default());
    let running = prepared.run(&sender, &context.cancel);
    let result = check::show(ui, &prepared.script.main, receiver, &mut messages, running).await;
    let run = match result {
        Ok(run) => run,
        Err(error) => return stop(&error).tell(ui, args.output),
    };
    let data = run
        .setup_data
        .as_deref()
        .and_then(|json| serde_json::from_str(json).ok());
    let Prepared { plan, catalog, .. } = prepared;
    let data = summary_data(plan, catalog, &run.measured, &run.verdict, data, ui.is_live());
    let summarised = prepared.summarise(&data, &context.cancel).await;
    tell_all(ui, messages);
    conclude(ui, args, prepared, &run, summarised)
}

/// Prints what was found, and answers with k6's exit code.
fn conclude(
    ui: &mut Ui,
    args: &CheckArgs,
    prepared: &Prepared,
    run: &Run,
    summarised: Result<Option<BTreeMap<String, Vec<u8>>>, ScriptError>,
) -> Result<Answer, Failure> {
    let Prepared { plan, catalog, .. } = prepared;
    let code = exit_code(run);
    if let Some(file) = &args.summary_export {
        check::write(file, &summary_export(plan, catalog, &run.measured, &run.verdict))?;
    }
    let written = match summarised {
        Ok(written) => written,
        Err(error) => {
            ui.warn(&format!("{error}; the usual summary is shown instead"));
            None
        }
    };
    let text = match (args.output, &written) {
        (Output::Json, _) => format!("{:#}\n", own_json(prepared, run, code)),
        (Output::Text, None) => {
            format!(
                "\n{}",
                summary(plan, catalog, &run.measured, &run.verdict, ui.paint())
            )
        }
        (Output::Text, Some(_)) => String::new(),
    };
    ui.print(&text)?;
    for (place, bytes) in written.into_iter().flatten() {
        deliver(ui, &place, &bytes)?;
    }
    if let Some(error) = &run.broken {
        ui.error(&error.to_string(), &[]);
    } else if let Some(reason) = &run.aborted {
        ui.error(&format!("the script aborted the test: {reason}"), &[]);
    } else if run.failed {
        ui.error("the script marked the test as failed", &[]);
    }
    Ok(Answer::Code(code))
}

/// Writes one of the things that `handleSummary()` returned.
fn deliver(ui: &mut Ui, place: &str, bytes: &[u8]) -> Result<(), Failure> {
    match place {
        "stdout" => ui.print(&String::from_utf8_lossy(bytes)).map(drop),
        "stderr" => {
            ui.story(String::from_utf8_lossy(bytes).trim_end_matches('\n'));
            Ok(())
        }
        path => {
            if let Err(error) = std::fs::write(path, bytes) {
                ui.warn(&format!("handleSummary(): {path} cannot be written: {error}"));
            }
            Ok(())
        }
    }
}

/// The options of the environment and of the command line.
fn layers(args: &CheckArgs) -> Result<Vec<Layer>, Problems> {
    let environment: Vec<(String, String)> = variables().collect();
    let environment = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut own = Layer::new();
    if let Some(vus) = args.vus {
        own.insert("vus".to_owned(), json!(vus));
    }
    if let Some(duration) = args.duration {
        own.insert("duration".to_owned(), json!(duration.to_string()));
    }
    if let Some(iterations) = args.iterations {
        own.insert("iterations".to_owned(), json!(iterations));
    }
    if !args.stages.is_empty() {
        let text = args.stages.join(",");
        let stages = options::stages(&text)
            .ok_or_else(|| Problems(vec![format!("--stage: `{text}` is not of the form 10s:5,20s:10")]))?;
        own.insert("stages".to_owned(), stages);
    }
    Ok(vec![options::from_environment(environment)?, own])
}

fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn tell_all(ui: &mut Ui, mut messages: mpsc::Receiver<Message>) {
    while let Ok(message) = messages.try_recv() {
        tell(ui, &message);
    }
}

/// Shows what a script prints.
pub fn tell(ui: &mut Ui, message: &Message) {
    match message.level.as_str() {
        "warning" | "error" => ui.warn(&message.text),
        _ => ui.story(&message.text),
    }
}

/// Why a script was not run, with its exit code.
pub(super) fn stop(error: &ScriptError) -> Stop {
    Stop {
        code: code_of(error),
        text: error.to_string(),
        hints: Vec::new(),
    }
}

fn code_of(error: &ScriptError) -> u8 {
    match error {
        ScriptError::Threw { .. } => EXCEPTION,
        ScriptError::Aborted(_) => ABORTED,
        ScriptError::TimedOut { function, .. } => match function.as_str() {
            "setup" => SETUP_TIMEOUT,
            "teardown" => TEARDOWN_TIMEOUT,
            _ => TIMEOUT,
        },
        ScriptError::Interrupted => check::INTERRUPTED,
        ScriptError::Broken(_) => Kind::Bug.code(),
        ScriptError::Empty => EMPTY,
        ScriptError::Options(_) => check::WRONG_CONFIGURATION,
    }
}

/// k6's exit code: what went wrong earlier counts more than a threshold.
fn exit_code(run: &Run) -> u8 {
    match (&run.broken, run.measured.ended, run.verdict.outcome) {
        (Some(error), ..) => code_of(error),
        (None, Ended::Interrupted, _) => check::INTERRUPTED,
        (None, ..) if run.aborted.is_some() => ABORTED,
        (None, ..) if run.failed => MARKED_AS_FAILED,
        (None, _, LoadOutcome::Pass) => 0,
        (None, _, LoadOutcome::Fail) => check::THRESHOLD_CROSSED,
        (None, _, LoadOutcome::Inconclusive | LoadOutcome::Void) => check::INCONCLUSIVE,
    }
}

/// gitsync's own JSON.
fn own_json(prepared: &Prepared, run: &Run, code: u8) -> Value {
    let Prepared { plan, catalog, .. } = prepared;
    let export = summary_export(plan, catalog, &run.measured, &run.verdict);
    json!({
        "schema": 1,
        "verdict": run.verdict.outcome,
        "reason": run.verdict.reason,
        "exitCode": code,
        "mode": prepared.mode,
        "script": prepared.script.main,
        "durationMs": run.measured.seconds() * 1e3,
        "repetitions": run.repetitions,
        "thresholds": run.verdict.thresholds,
        "checks": run.verdict.checks,
        "metrics": export["metrics"],
        "exceptions": run.measured.exceptions,
        "generator": {"lagP99Ms": run.measured.lag.percentile(99.0)},
    })
}
