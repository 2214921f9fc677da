//! `gitsync check`: the load check by itself.

use std::path::{Path, PathBuf};
use std::time::Duration as Span;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Output;
use super::context::Context;
use super::failure::{Answer, Failure, Kind};
use super::script;
use super::ui::Ui;
use crate::config::document;
use crate::config::duration::Duration;
use crate::config::load_check::plan::{Base, Plan};
use crate::config::load_check::{Invalid, LoadCheckSpec, Mode, ServiceRef};
use crate::config::repository::{Config, Environment};
use crate::config::script::bundle::Bundle;
use crate::problem::{Problem, Problems, chain};
use crate::report::load_check::json as load_json;
use crate::report::load_check::{explain, plot, progress, summary};
use crate::verify::judge::LoadOutcome;
use crate::verify::progress::Progress;
use crate::verify::samples::Ended;
use crate::world::cluster::Cluster;
use crate::world::cluster::service::{Resolved, Seat, resolve, resolve_from};
use crate::world::load::script::source::Message;
use crate::world::load::target::TargetError;
use crate::world::load::{self, Checked, LoadError, Origins, fleet};

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

/// k6's exit code for a crossed threshold.
pub(super) const THRESHOLD_CROSSED: u8 = 99;
/// k6's exit code for a wrong configuration.
pub(super) const WRONG_CONFIGURATION: u8 = 104;
/// k6's exit code for a run that was interrupted.
pub(super) const INTERRUPTED: u8 = 105;
/// The exit code for a verdict that stayed unclear.
pub(super) const INCONCLUSIVE: u8 = 111;
/// The exit code for a target that has no address or does not answer.
const NOT_READY: u8 = 112;

/// How often progress is shown on a terminal, and in a log.
const LIVE: Span = Span::from_millis(100);
const LOG: Span = Span::from_secs(1);

/// Why no load can be sent, with the exit code that it means.
pub(super) struct Stop {
    pub(super) code: u8,
    pub(super) text: String,
    pub(super) hints: Vec<String>,
}

/// The load check that was asked for, and where it comes from.
struct Subject {
    name: String,
    spec: LoadCheckSpec,
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

/// The load check that the arguments name.
async fn subject(context: &Context, args: &CheckArgs) -> Result<Result<Subject, Stop>, Failure> {
    if let Some(file) = &args.file {
        return Ok(from_file(file, args.name.as_deref()));
    }
    match (&args.url, &args.name) {
        // An address alone is enough, as it is for other load generators.
        (Some(url), None) => Ok(Ok(Subject {
            name: url.clone(),
            spec: LoadCheckSpec::for_url(url),
        })),
        (_, name) => {
            let checkout = context.checkout().await?;
            let checks = &checkout.config().load_checks;
            let found = checks.iter().map(|(name, spec)| Subject {
                name: name.clone(),
                spec: spec.clone(),
            });
            Ok(choose(found.collect(), name.as_deref(), "the repository"))
        }
    }
}

fn from_file(file: &Path, name: Option<&str>) -> Result<Subject, Stop> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Stop::configuration(format!("{shown} cannot be read: {error}"), Vec::new()))?;
    let wrong = |problems| Stop::configuration(Problems(problems).to_string(), Vec::new());
    let mut found = Vec::new();
    for raw in document::read(&shown, &text).map_err(wrong)? {
        if raw.kind == "LoadCheck" {
            let mut located = raw.typed::<LoadCheckSpec>().map_err(wrong)?;
            if let Some(script) = located.document.spec.script.clone() {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let bundle = Bundle::gather(&name, &script, |path| read_beside(file, path));
                let place = |problem| located.problem(&["spec", "script"], problem);
                let bundle = bundle.map_err(|problems| wrong(problems.into_iter().map(place).collect()))?;
                located.document.spec.bundle = Some(bundle);
            }
            let problems: Vec<Problem> = located
                .document
                .spec
                .validate()
                .into_iter()
                .map(|invalid| {
                    let pointer = format!("spec{}", invalid.pointer);
                    let path: Vec<String> = pointer.split('/').map(unescape).collect();
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    let problem = located.problem(&path, invalid.message);
                    invalid
                        .hint
                        .iter()
                        .fold(problem, |problem, hint| problem.hint(hint))
                })
                .collect();
            if !problems.is_empty() {
                return Err(wrong(problems));
            }
            found.push(Subject {
                name: located.name().to_owned(),
                spec: located.document.spec,
            });
        }
    }
    choose(found, name, &shown)
}

/// A file in the directory of another one, or below; `None` when it is not there.
fn read_beside(file: &Path, path: &str) -> Result<Option<String>, String> {
    let path = file.parent().unwrap_or(Path::new("")).join(path);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// A key as it stands in a document (RFC 6901).
fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn choose(mut found: Vec<Subject>, name: Option<&str>, place: &str) -> Result<Subject, Stop> {
    let names: Vec<String> = found.iter().map(|subject| subject.name.clone()).collect();
    let position = match name {
        Some(name) => names.iter().position(|known| known == name),
        None => (names.len() == 1).then_some(0),
    };
    if let Some(position) = position {
        return Ok(found.swap_remove(position));
    }
    let listed = names.join(", ");
    Err(match (name, names.len()) {
        (_, 0) => Stop::configuration(
            format!("{place} has no LoadCheck"),
            vec![
                "gitsync schema LoadCheck says what one looks like; gitsync check --url URL needs none"
                    .to_owned(),
            ],
        ),
        (Some(name), _) => Stop::configuration(
            format!("{place} has no load check `{name}`, only {listed}"),
            Vec::new(),
        ),
        (None, _) => Stop::configuration(
            format!("{place} has several load checks: {listed}"),
            vec![format!("gitsync check --name {}", names[0])],
        ),
    })
}

/// Where a check's load goes, and where it is sent from.
struct Places {
    origins: Origins,
    /// The cluster and the namespace of the pods that send the load, where it is distributed.
    pods: Option<(Cluster, String)>,
    /// Ways through an API server, which are open as long as these are kept.
    _open: Vec<Resolved>,
}

/// Finds the target, the baseline and, for a distributed check, the cluster of its pods.
async fn places(
    context: &Context,
    args: &CheckArgs,
    subject: &Subject,
    plan: &Plan,
) -> Result<Result<Places, Stop>, Failure> {
    let distributed = subject.spec.distribution.is_some();
    let bases = [Some(&plan.base), plan.baseline.as_ref()];
    let services = bases
        .iter()
        .flatten()
        .any(|base| matches!(base, Base::Service(_)));
    let mut near = None;
    if services || distributed {
        near = match Near::find(context, args, subject, plan).await? {
            Ok(near) => Some(near),
            Err(stop) => return Ok(Err(stop)),
        };
    }
    let mut open = Vec::new();
    let mut origins = Vec::new();
    for base in bases.into_iter().flatten() {
        match (base, &near) {
            (Base::Origin(origin), _) => origins.push(origin.clone()),
            (Base::Service(service), Some(near)) => {
                match near.resolve(context, service, plan.wait_ready, distributed).await {
                    Ok(found) => {
                        origins.push(found.base_url.clone());
                        open.push(found);
                    }
                    Err(stop) => return Ok(Err(stop)),
                }
            }
            (Base::Service(_), None) => unreachable!("because the cluster of a Service is found above"),
        }
    }
    let mut origins = origins.into_iter();
    Ok(Ok(Places {
        origins: Origins {
            target: origins.next().unwrap_or_default(),
            baseline: origins.next(),
        },
        pods: near
            .filter(|_| distributed)
            .map(|near| (near.cluster, near.namespace)),
        _open: open,
    }))
}

/// The cluster of a check's environment, and the namespace of its Service there.
struct Near {
    cluster: Cluster,
    namespace: String,
}

impl Near {
    async fn find(
        context: &Context,
        args: &CheckArgs,
        subject: &Subject,
        plan: &Plan,
    ) -> Result<Result<Self, Stop>, Failure> {
        let with_hint = |failure: Failure| {
            failure.hint("gitsync check --url URL needs neither a repository nor a cluster")
        };
        let checkout = context.checkout().await.map_err(with_hint)?;
        let environment = match environment(checkout.config(), args.env.as_deref(), &subject.name) {
            Ok(environment) => environment,
            Err(stop) => return Ok(Err(stop)),
        };
        let cluster = context.cluster(environment).await?;
        let service = match &plan.base {
            Base::Service(service) => Some(service),
            Base::Origin(_) => None,
        };
        let namespace = match service.and_then(|service| service.namespace.clone()) {
            Some(namespace) => namespace,
            None => {
                let desired = checkout.render(environment).await?;
                let is_it = |object: &&manifest::Manifest| {
                    object.gvk().kind == "Service"
                        && service.is_some_and(|service| object.name() == service.name)
                };
                let rendered = desired
                    .objects
                    .iter()
                    .find(is_it)
                    .map(|object| object.namespace().to_owned());
                rendered
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| cluster.default_namespace().to_owned())
            }
        };
        Ok(Ok(Self { cluster, namespace }))
    }

    /// The address of a Service, as seen from here, or from the pods that send the load.
    async fn resolve(
        &self,
        context: &Context,
        service: &ServiceRef,
        limit: Span,
        from_pods: bool,
    ) -> Result<Resolved, Stop> {
        let (client, namespace) = (self.cluster.client(), &self.namespace);
        let found = if from_pods {
            resolve_from(Seat::Inside, client, namespace, service, limit, &context.cancel).await
        } else {
            resolve(client, namespace, service, limit, &context.cancel).await
        };
        found.map_err(|error| Stop {
            code: match error.may_pass() {
                _ if context.cancel.is_cancelled() => INTERRUPTED,
                true => NOT_READY,
                false => WRONG_CONFIGURATION,
            },
            text: chain(&error),
            hints: vec![error.hint()],
        })
    }
}

/// The environment that was named, else the one from which a promotion leads that has the check as a gate.
fn environment<'a>(config: &'a Config, named: Option<&str>, check: &str) -> Result<&'a Environment, Stop> {
    let configuration = |problem: Problem| Stop::configuration(problem.to_string(), Vec::new());
    if let Some(name) = named {
        return config.environment(name).map_err(configuration);
    }
    let gates = config
        .promotions
        .values()
        .filter(|promotion| promotion.gates.iter().any(|gate| gate == check));
    let mut from: Vec<&str> = gates.map(|promotion| promotion.from.as_str()).collect();
    from.sort_unstable();
    from.dedup();
    match from.as_slice() {
        [name] => config.environment(name).map_err(configuration),
        _ => Err(Stop::configuration(
            "which environment has the check's Service is not clear".to_owned(),
            vec!["gitsync check --env NAME, or --url URL".to_owned()],
        )),
    }
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

/// Shows where a run stands, and what its script prints, until it is over.
pub(super) async fn show<T>(
    ui: &mut Ui,
    origin: &str,
    receiver: watch::Receiver<Progress>,
    messages: &mut mpsc::Receiver<Message>,
    running: impl Future<Output = T>,
) -> T {
    let mut tick = tokio::time::interval(if ui.is_live() { LIVE } else { LOG });
    let mut meter = Meter::default();
    let mut waiting = Waiting { ticks: 0 };
    let mut running = std::pin::pin!(running);
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            Some(message) = messages.recv() => script::tell(ui, &message),
            _ = tick.tick() => {
                let now = receiver.borrow().clone();
                if now.elapsed.is_zero() {
                    waiting.tell(ui, origin);
                    continue;
                }
                let rate = meter.rate(&now);
                if ui.is_live() {
                    let line = progress::live_line(&now, rate, ui.width());
                    ui.live(&line);
                } else {
                    ui.story(&progress::plain_line(&now));
                }
            }
        }
    };
    ui.clear();
    let last = receiver.borrow().clone();
    if !last.elapsed.is_zero() {
        ui.story(&progress::plain_line(&last));
        last.scenarios
            .iter()
            .for_each(|scenario| ui.story(&progress::scenario_line(scenario)));
    }
    result
}

/// The wait for the target's first answer.
struct Waiting {
    ticks: u32,
}

impl Waiting {
    /// Says once that there is a wait, when there is one worth a word.
    fn tell(&mut self, ui: &mut Ui, origin: &str) {
        let line = format!("waiting until {origin} answers");
        self.ticks += 1;
        match (ui.is_live(), self.ticks) {
            (true, 5..) => ui.live(&line),
            (false, 2) => ui.story(&line),
            _ => {}
        }
    }
}

/// Requests per second of late.
#[derive(Default)]
struct Meter {
    since: (Span, u64),
    rate: f64,
}

impl Meter {
    fn rate(&mut self, now: &Progress) -> f64 {
        let (then, before) = self.since;
        // A repetition counts from nothing again.
        if now.elapsed < then {
            *self = Self::default();
            return self.rate(now);
        }
        let rate = now.requests.saturating_sub(before) as f64 / (now.elapsed - then).as_secs_f64();
        let first = then.is_zero();
        if now.elapsed >= then + Span::from_secs(1) {
            (self.since, self.rate) = ((now.elapsed, now.requests), rate);
        } else if first {
            self.rate = rate;
        }
        self.rate
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

fn exit_code(outcome: LoadOutcome, ended: Ended) -> u8 {
    match (outcome, ended) {
        (_, Ended::Interrupted) => INTERRUPTED,
        (LoadOutcome::Pass, _) => 0,
        (LoadOutcome::Fail, _) => THRESHOLD_CROSSED,
        (LoadOutcome::Inconclusive | LoadOutcome::Void, _) => INCONCLUSIVE,
    }
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

// === impl Subject ===

impl Subject {
    /// The same with what the arguments say instead.
    fn changed_by(mut self, args: &CheckArgs) -> Self {
        let spec = &mut self.spec;
        spec.mode = args.mode.unwrap_or(spec.mode);
        if let Some(url) = &args.url {
            spec.target.service = None;
            spec.target.url = Some(url.clone());
            // An address with a path of its own says where to send to.
            let own_path = url
                .split_once("://")
                .is_some_and(|(_, rest)| rest.trim_end_matches('/').contains('/'));
            if own_path {
                spec.target.path = None;
            }
        }
        if args.vus.is_some() || args.duration.is_some() || args.iterations.is_some() {
            // As in k6, options of the command line replace what would contradict them.
            spec.scenarios.clear();
            spec.stages.clear();
            spec.vus = args.vus.or(spec.vus);
        }
        if args.duration.is_some() {
            (spec.duration, spec.iterations) = (args.duration, None);
        }
        if args.iterations.is_some() {
            (spec.duration, spec.iterations) = (None, args.iterations);
        }
        self
    }
}

// === impl Stop ===

impl Stop {
    fn configuration(text: String, hints: Vec<String>) -> Self {
        Self {
            code: WRONG_CONFIGURATION,
            text,
            hints,
        }
    }

    fn invalid(name: &str, invalid: Vec<Invalid>) -> Self {
        let line = |invalid: Invalid| {
            let hint = invalid.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let field = invalid.pointer.trim_start_matches('/').replace('/', ".");
            let field = if field.is_empty() {
                String::new()
            } else {
                format!("{field}: ")
            };
            format!("{name}: {field}{}{hint}", invalid.message)
        };
        let lines: Vec<String> = invalid.into_iter().map(line).collect();
        Self::configuration(lines.join("\n"), Vec::new())
    }

    pub(super) fn load(error: &LoadError) -> Self {
        let (code, hints) = match error {
            LoadError::Script(error) => return script::stop(error),
            LoadError::Target(target) => {
                let code = match target {
                    TargetError::Interrupted { .. } => INTERRUPTED,
                    TargetError::Malformed { .. } => WRONG_CONFIGURATION,
                    _ => NOT_READY,
                };
                (code, vec![target.hint().to_owned()])
            }
            LoadError::Limits(_) => (WRONG_CONFIGURATION, Vec::new()),
            LoadError::Unready { .. } => (NOT_READY, Vec::new()),
            LoadError::Worker(_) => (INCONCLUSIVE, Vec::new()),
            LoadError::Start(_) | LoadError::Broken => (Kind::Bug.code(), Vec::new()),
        };
        Self {
            code,
            text: chain(error),
            hints,
        }
    }

    pub(super) fn tell(self, ui: &mut Ui, output: Output) -> Result<Answer, Failure> {
        let Self { code, text, hints } = self;
        ui.error(&text, &hints);
        if output == Output::Json {
            let answer =
                json!({"schema": 1, "verdict": "error", "reason": text, "exitCode": code, "hints": hints});
            ui.print(&format!("{answer:#}\n"))?;
        }
        Ok(Answer::Code(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_args(arguments: &[&str]) -> CheckArgs {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            args: CheckArgs,
        }
        let arguments = ["check"].iter().chain(arguments);
        <Program as clap::Parser>::try_parse_from(arguments).unwrap().args
    }

    fn mk_subject(spec: &str) -> Subject {
        Subject {
            name: "acceptance".to_owned(),
            spec: serde_yaml::from_str(spec).unwrap(),
        }
    }

    #[test]
    fn options_replace_what_the_check_says() {
        let spec = "target: {service: web, path: /health}\nvus: 10\nduration: 10s\n";
        for (arguments, vus, duration, iterations, path) in [
            (&[][..], Some(10), Some(10), None, Some("/health")),
            (&["-u", "3"], Some(3), Some(10), None, Some("/health")),
            (&["-d", "5s"], Some(10), Some(5), None, Some("/health")),
            (&["-i", "70"], Some(10), None, Some(70), Some("/health")),
            (
                &["--url", "http://a:1"],
                Some(10),
                Some(10),
                None,
                Some("/health"),
            ),
            (&["--url", "http://a:1/x"], Some(10), Some(10), None, None),
        ] {
            let changed = mk_subject(spec).changed_by(&mk_args(arguments)).spec;
            assert_eq!(changed.vus, vus, "{arguments:?}");
            assert_eq!(
                changed.duration,
                duration.map(Duration::from_secs),
                "{arguments:?}"
            );
            assert_eq!(changed.iterations, iterations, "{arguments:?}");
            assert_eq!(changed.target.path.as_deref(), path, "{arguments:?}");
            assert_eq!(changed.validate(), [], "{arguments:?}");
        }
    }

    #[test]
    fn exit_codes_are_k6s_and_two_more() {
        for (outcome, ended, code) in [
            (LoadOutcome::Pass, Ended::Completed, 0),
            (LoadOutcome::Fail, Ended::Completed, 99),
            (LoadOutcome::Fail, Ended::Aborted(0), 99),
            (LoadOutcome::Void, Ended::Interrupted, 105),
            (LoadOutcome::Inconclusive, Ended::Completed, 111),
            (LoadOutcome::Void, Ended::Completed, 111),
        ] {
            assert_eq!(exit_code(outcome, ended), code, "{outcome:?} {ended:?}");
        }
    }

    #[test]
    fn one_of_several_checks_has_to_be_named() {
        let several = || {
            vec![
                mk_subject("target: {url: 'http://a'}"),
                Subject {
                    name: "smoke".to_owned(),
                    ..mk_subject("target: {url: 'http://b'}")
                },
            ]
        };
        assert_eq!(
            choose(several(), Some("smoke"), "the repository")
                .ok()
                .map(|found| found.name),
            Some("smoke".to_owned())
        );
        for (name, says) in [
            (None, "several load checks: acceptance, smoke"),
            (Some("x"), "no load check `x`"),
        ] {
            let stop = choose(several(), name, "the repository").err().unwrap();
            assert!(stop.text.contains(says), "{}", stop.text);
            assert_eq!(stop.code, 104);
        }
        assert!(
            choose(Vec::new(), None, "a.yaml")
                .err()
                .unwrap()
                .text
                .contains("has no LoadCheck")
        );
    }

    #[test]
    fn a_wrong_file_is_told_with_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("check.yaml");
        std::fs::write(
            &file,
            "apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata:\n  name: a\nspec:\n  target:\n    url: http://a\n  \
             vus: 0\n  thresholds:\n    http_req_duration:\n      - p90<600\n",
        )
        .unwrap();
        let stop = from_file(&file, None).err().unwrap();
        assert_eq!(stop.code, 104);
        for part in ["check.yaml:8", "check.yaml:11", "write p(90)"] {
            assert!(stop.text.contains(part), "{part}: {}", stop.text);
        }
    }
}
