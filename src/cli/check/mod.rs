//! `gitsync check`: the load check by itself.

mod places;
mod show;
mod stop;
mod subject;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::places::{Places, places};
use self::stop::exit_code;
use self::subject::subject;
use super::Output;
use super::context::Context;
use super::failure::{Answer, Failure};
use super::script;
use super::ui::Ui;
use crate::config::duration::Duration;
use crate::config::load_check::plan::{Base, Plan};
use crate::config::load_check::{LoadCheckSpec, Mode};
use crate::report::load_check::json as load_json;
use crate::report::load_check::{explain, plot, progress, summary};
use crate::verify::progress::Progress;
use crate::world::load::{self, Checked, LoadError, fleet};

pub(super) use self::show::show;
pub(super) use self::stop::{INCONCLUSIVE, INTERRUPTED, Stop, THRESHOLD_CROSSED, WRONG_CONFIGURATION};

/// Arguments of `gitsync check`.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// File with a LoadCheck, or a k6 script (.js); by default the load check of the repository
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Run this k6 script, as `k6 run` would
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "name", "url"])]
    pub script: Option<PathBuf>,
    /// Variable that a k6 script finds in __ENV
    #[arg(short = 'e', long = "variable", value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
    /// Stages of a k6 script, for example 10s:5,20s:10
    #[arg(short = 's', long = "stage", value_name = "DURATION:TARGET")]
    pub stages: Vec<String>,
    /// How the run is judged, instead of what the check says
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Name of the load check, where there are several
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Send the load to this address instead of the check's target
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Environment whose cluster has the check's Service; by default the one that the check gates
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// Virtual users, instead of what the check says
    #[arg(short = 'u', long, value_name = "NUMBER")]
    pub vus: Option<u32>,
    /// Duration, for example 10s, instead of what the check says
    #[arg(short = 'd', long, value_name = "DURATION")]
    pub duration: Option<Duration>,
    /// Iterations that all virtual users share, instead of a duration
    #[arg(short = 'i', long, value_name = "NUMBER")]
    pub iterations: Option<u64>,
    /// Say what would be done and how many requests each threshold needs, and send none
    #[arg(long)]
    pub explain: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, conflicts_with = "explain")]
    pub output: Output,
    /// Send a part of another check's load, as told on standard input: what the pods of a distributed check run
    #[arg(long, hide = true, exclusive = true)]
    pub worker: bool,
    /// Write the figures to this file as k6 does with the same option
    #[arg(long, value_name = "FILE")]
    pub summary_export: Option<PathBuf>,
    /// Show how the latencies are distributed, and draw it into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// Runs a load check and prints its summary.
///
/// # Errors
///
/// When the repository or the cluster cannot be used. What is wrong with the check, its target or its verdict is told
/// by the exit code.
pub async fn check(ui: &mut Ui, context: &Context, args: &CheckArgs) -> Result<Answer, Failure> {
    if args.worker {
        return worker(context).await;
    }
    if let Some(script) = args.a_script() {
        return script::check(ui, context, args, script).await;
    }
    let subject = match subject(context, args).await? {
        Ok(subject) => subject.changed_by(args),
        Err(stop) => return stop.tell(ui, args.output),
    };
    let plan = match subject.spec.compile() {
        Ok(plan) => plan,
        Err(invalid) => return Stop::invalid(&subject.name, invalid).tell(ui, args.output),
    };
    if args.explain {
        let target = match &plan.base {
            Base::Origin(origin) => origin.clone(),
            Base::Service(service) => format!("Service {}", service.name),
        };
        let header = progress::header(&plan, &target, ui.paint());
        return ui.print(&format!("{header}\n{}", explain::explain(&plan, ui.paint())));
    }
    let places = match places(context, args, &subject, &plan).await? {
        Ok(places) => places,
        Err(stop) => return stop.tell(ui, args.output),
    };
    let origin = &places.origins.target;
    if subject.spec.script.is_some() {
        return script::check_spec(ui, context, args, &subject.spec, plan, origin).await;
    }
    ui.story(progress::header(&plan, origin, ui.story_paint()).trim_end());
    if let (Some(distribution), Some((_, namespace))) = (&subject.spec.distribution, &places.pods) {
        ui.story(&format!(
            "       from: {} pods in namespace {namespace}",
            distribution.pods
        ));
    }
    match run(ui, &subject.spec, &plan, &places, &context.cancel).await {
        Ok(checked) => conclude(ui, args, &plan, &checked),
        Err(error) => Stop::load(&error).tell(ui, args.output),
    }
}

/// Serves as one of several processes that send a load together.
async fn worker(context: &Context) -> Result<Answer, Failure> {
    let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
    fleet::worker::serve(input, output, &context.cancel)
        .await
        .map(|()| Answer::Code(0))
        .map_err(|error| Failure::usage(format!("the worker has nobody to work for: {error}")))
}

/// Sends the load and shows where it stands.
async fn run(
    ui: &mut Ui,
    spec: &LoadCheckSpec,
    plan: &Plan,
    places: &Places,
    cancel: &CancellationToken,
) -> Result<Checked, LoadError> {
    let (sender, receiver) = watch::channel(Progress::default());
    let (_nobody, mut messages) = mpsc::channel(1);
    let (origin, origins, plan) = (&places.origins.target, places.origins.clone(), plan.clone());
    match &places.pods {
        Some((cluster, namespace)) => {
            let client = cluster.client();
            let running = fleet::pods::check(client, namespace, spec, plan, origins, sender, cancel);
            show(ui, origin, receiver, &mut messages, running).await
        }
        None => {
            let running = load::check(plan, origins, sender, cancel);
            show(ui, origin, receiver, &mut messages, running).await
        }
    }
}

/// Prints what was found.
fn conclude(ui: &mut Ui, args: &CheckArgs, plan: &Plan, checked: &Checked) -> Result<Answer, Failure> {
    let Checked {
        url,
        samples,
        verdict,
        repetitions,
    } = checked;
    let code = exit_code(verdict.outcome, samples.ended);
    if let Some(file) = &args.summary_export {
        let export = load_json::summary_export(plan, samples, verdict);
        write(file, &export)?;
    }
    let mut drawn = String::new();
    if let Some(file) = &args.plot {
        let distribution = plot::Plot::new(plan, samples, verdict);
        write_text(file, &distribution.svg())?;
        drawn = distribution.text();
    }
    let text = match args.output {
        Output::Text => {
            let summary = summary::summary(plan, samples, verdict, ui.paint());
            format!("\n{drawn}{summary}")
        }
        Output::Json => format!(
            "{:#}\n",
            load_json::json(plan, url, samples, verdict, *repetitions, code)
        ),
    };
    ui.print(&text)?;
    Ok(Answer::Code(code))
}

pub(super) fn write(file: &Path, value: &Value) -> Result<(), Failure> {
    write_text(file, &format!("{value:#}\n"))
}

fn write_text(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", file.display())))
}

// === impl CheckArgs ===

impl CheckArgs {
    /// The k6 script that is named, as an option or in place of a LoadCheck.
    fn a_script(&self) -> Option<&Path> {
        let positional = self
            .file
            .as_deref()
            .filter(|file| file.extension().is_some_and(|end| end == "js"));
        self.script.as_deref().or(positional)
    }
}
