//! The functions of this program that `k6/execution` stands on.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use jiff::Timestamp;
use rquickjs::{Ctx, Exception, Function, IntoJs as _, Object, Result, Value};

use super::super::vu::{LiveScenario, Stage, Vu};
use super::give_up;
use crate::verify::exchange::millis;

/// Adds them.
pub fn add<'js>(ctx: &Ctx<'js>, vu: &Rc<Vu>, native: &Object<'js>) -> Result<()> {
    let info = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, name: String| info(&ctx, &vu, &name)
    };
    let abort = {
        let vu = Rc::clone(vu);
        move |ctx: Ctx<'js>, reason: String| -> Result<()> {
            vu.aborted.replace(Some(reason));
            vu.cancelled.set(true);
            Err(give_up(&ctx))
        }
    };
    let fail = {
        let vu = Rc::clone(vu);
        move |reason: String| {
            vu.live.failed_test.store(true, Relaxed);
            vu.script
                .print("error", format!("test marked as failed: {reason}"));
        }
    };
    let options = {
        let vu = Rc::clone(vu);
        move || -> String {
            vu.script
                .plan()
                .map_or("{}".to_owned(), |plan| plan.options.to_string())
        }
    };
    let tag = {
        let vu = Rc::clone(vu);
        move |name: String| -> Option<String> { own_tag(&vu, &name) }
    };
    let set_tag = {
        let vu = Rc::clone(vu);
        move |name: String, value: Option<String>| {
            let mut tags = vu.tags.borrow_mut();
            match value {
                Some(value) => drop(tags.insert(name, value)),
                None => drop(tags.remove(&name)),
            }
        }
    };
    let all_tags = {
        let vu = Rc::clone(vu);
        move || -> Vec<String> {
            let mut names: Vec<String> = vu.tags.borrow().keys().cloned().collect();
            names.extend(["scenario", "group"].map(str::to_owned));
            names
        }
    };
    native.set("info", Function::new(ctx.clone(), info)?)?;
    native.set("abort", Function::new(ctx.clone(), abort)?)?;
    native.set("fail", Function::new(ctx.clone(), fail)?)?;
    native.set("options", Function::new(ctx.clone(), options)?)?;
    native.set("vuTag", Function::new(ctx.clone(), tag)?)?;
    native.set("setVuTag", Function::new(ctx.clone(), set_tag)?)?;
    native.set("vuTags", Function::new(ctx.clone(), all_tags)?)
}

fn own_tag(vu: &Vu, name: &str) -> Option<String> {
    if let Some(value) = vu.tags.borrow().get(name) {
        return Some(value.clone());
    }
    let plan = vu.script.plan()?;
    let scenario = vu.iteration.borrow().scenario;
    match name {
        "scenario" => plan
            .load
            .scenarios
            .get(scenario)
            .map(|scenario| scenario.name.clone()),
        "group" => Some(vu.group.borrow().to_string()),
        _ => plan
            .work
            .get(scenario)
            .and_then(|work| work.tags.get(name))
            .or(plan.tags.get(name))
            .cloned(),
    }
}

fn info<'js>(ctx: &Ctx<'js>, vu: &Vu, name: &str) -> Result<Value<'js>> {
    if vu.stage.get() != Stage::Iteration
        && (name.starts_with("scenario.") || name == "vu.iterationInScenario")
    {
        let text = "getting scenario information outside of the VU context is not supported";
        return Err(Exception::throw_message(ctx, text));
    }
    if vu.stage.get() == Stage::Init && name.starts_with("instance.") {
        let text = "getting instance information in the init context is not supported";
        return Err(Exception::throw_message(ctx, text));
    }
    let iteration = vu.iteration.borrow().clone();
    let plan = vu.script.plan();
    let scenario = plan.and_then(|plan| plan.load.scenarios.get(iteration.scenario));
    let work = plan.and_then(|plan| plan.work.get(iteration.scenario));
    let sum = |counter: fn(&LiveScenario) -> u64| vu.live.scenarios.iter().map(counter).sum::<u64>() as f64;
    match name {
        "scenario.name" => scenario
            .map_or("", |scenario| scenario.name.as_str())
            .into_js(ctx),
        "scenario.executor" => work.map_or("", |work| work.executor.as_str()).into_js(ctx),
        "scenario.startTime" => {
            let start = scenario.map_or(vu.origin.get(), |scenario| vu.origin.get() + scenario.start);
            unix_millis(start).floor().into_js(ctx)
        }
        "scenario.progress" => progress(vu, iteration.scenario).into_js(ctx),
        "scenario.iterationInInstance" | "scenario.iterationInTest" => {
            (iteration.of_scenario as f64).into_js(ctx)
        }
        "vu.idInInstance" | "vu.idInTest" => f64::from(vu.number).into_js(ctx),
        "vu.iterationInInstance" => (iteration.own as f64).into_js(ctx),
        "vu.iterationInScenario" => (iteration.in_scenario as f64).into_js(ctx),
        "instance.iterationsCompleted" => sum(|live| live.complete.load(Relaxed)).into_js(ctx),
        "instance.iterationsInterrupted" => sum(|live| live.interrupted.load(Relaxed)).into_js(ctx),
        "instance.vusActive" => sum(|live| u64::from(live.vus.load(Relaxed))).into_js(ctx),
        "instance.vusInitialized" => sum(|live| u64::from(live.ready.load(Relaxed))).into_js(ctx),
        "instance.currentTestRunDuration" => millis(vu.origin.get().elapsed()).into_js(ctx),
        _ => Ok(Value::new_undefined(ctx.clone())),
    }
}

/// How much of the scenario is done, between 0 and 1.
fn progress(vu: &Vu, scenario: usize) -> f64 {
    let plan = vu
        .script
        .plan()
        .and_then(|plan| plan.load.scenarios.get(scenario));
    let Some(plan) = plan else { return 0.0 };
    let share = match plan.executor.iterations() {
        Some(all) => vu.live.scenarios[scenario].complete.load(Relaxed) as f64 / all as f64,
        None => {
            let elapsed = vu.origin.get().elapsed().saturating_sub(plan.start);
            elapsed.as_secs_f64() / plan.executor.duration().as_secs_f64()
        }
    };
    share.clamp(0.0, 1.0)
}

/// The moment of now in milliseconds since 1970, for what shows dates.
fn unix_millis(of: Instant) -> f64 {
    let now = Timestamp::now().as_microsecond() as f64 / 1e3;
    now - millis(of.elapsed())
}
