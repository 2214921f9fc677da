//! Script: load as a k6 script describes it.
//!
//! ```text
//! Script ─▶ load ─▶ options ─▶ ScriptPlan ─▶ run: setup ─▶ workers ─ users ─ coroutines ─▶ teardown ─▶ Measured
//!                                                                   └ clients ─ connections
//! ```
//!
//! A virtual user is a QuickJS engine on a stack of its own. When its JavaScript has to wait, the stack is left as it
//! is, and the thread goes on with another virtual user; so a few threads serve hundreds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::target::Target;
use crate::config::load_check::limits::Limits;
use crate::config::load_check::plan::Plan;
use crate::config::load_check::{LoadCheckSpec, Mode, StrictSpec};
use crate::config::script::ScriptPlan;
use crate::config::script::options::{self, Layer, Problems, Sources};
use crate::verify::judge::{LoadOutcome, LoadVerdict};
use crate::verify::progress::Progress;
use crate::verify::samples::Ended;
use crate::verify::script::Measured;
use crate::verify::script::catalog::{Catalog, builtins};
use crate::verify::script::judge::judge;

mod client;
mod collect;
mod cookies;
mod coroutine;
mod engine;
mod hop;
mod modules;
mod response;
mod samples;
pub mod source;
mod stamps;
mod user;
mod vu;
mod worker;

pub use engine::{Loaded, Thrown};
use engine::{Outcome, Step};
use source::{Network, Script};
use user::User;
use vu::{Live, Vu};

/// A script whose options are read: it can be run.
pub struct Prepared {
    /// The script.
    pub script: Arc<Script>,
    /// What its options mean.
    pub plan: Arc<ScriptPlan>,
    /// Its metrics.
    pub catalog: Arc<Catalog>,
    /// The functions that it exports.
    pub exports: Vec<String>,
    /// How it is judged.
    pub mode: Mode,
}

/// What a run of a script gave.
#[derive(Debug)]
pub struct Run {
    /// What was measured.
    pub measured: Measured,
    /// What it means.
    pub verdict: LoadVerdict,
    /// How often the run was repeated because its verdict was unclear.
    pub repetitions: u32,
    /// Why the script ended the run, when it did.
    pub aborted: Option<String>,
    /// Whether the script said that the test has failed.
    pub failed: bool,
    /// What `setup()` returned, as JSON.
    pub setup_data: Option<Arc<str>>,
    /// Why `setup()` or `teardown()` did not end well.
    pub broken: Option<ScriptError>,
}

/// Why a script cannot be run, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It threw outside of an iteration.
    #[error("{place}: {}", thrown.text)]
    Threw {
        /// The function, or `the script` while it is loaded.
        place: String,
        /// What it threw.
        thrown: Thrown,
    },
    /// It ended the run outside of an iteration.
    #[error("{0}")]
    Aborted(String),
    /// A function took too long.
    #[error("{function}() did not end within {limit:?}")]
    TimedOut {
        /// The function.
        function: String,
        /// Its limit.
        limit: Duration,
    },
    /// Somebody cancelled it.
    #[error("interrupted")]
    Interrupted,
    /// A thread could not start, or panicked.
    #[error("the load generator broke: {0}")]
    Broken(String),
    /// It exports nothing that could be run.
    #[error("the script exports no function")]
    Empty,
    /// Its options are wrong, or are not supported.
    #[error("{}", .0.0.join("\n"))]
    Options(Problems),
}

/// How long loading a script may take.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// How long `handleSummary()` may take, as in k6.
const SUMMARY_LIMIT: Duration = Duration::from_secs(120);

/// Loads a script once and reads its options, over which those of `over` count, the last most.
///
/// # Errors
///
/// When it cannot be loaded, or its options are wrong.
pub async fn prepare(
    script: Script,
    over: Vec<Layer>,
    strict: StrictSpec,
    mode: Mode,
    cancel: &CancellationToken,
) -> Result<Prepared, ScriptError> {
    let script = Arc::new(script);
    let loaded = load(&script, cancel).await?;
    let own = match loaded
        .options
        .as_deref()
        .map(serde_json::from_str::<serde_json::Value>)
    {
        None | Some(Ok(serde_json::Value::Null)) => Layer::new(),
        Some(Ok(serde_json::Value::Object(own))) => own,
        Some(_) => {
            let problem = "options: an object is expected".to_owned();
            return Err(ScriptError::Options(Problems(vec![problem])));
        }
    };
    let mut metrics = builtins();
    metrics.extend(loaded.metrics);
    if loaded.exports.is_empty() {
        return Err(ScriptError::Empty);
    }
    let plan = options::read(Sources {
        layers: std::iter::once(own).chain(over).collect(),
        exports: &loaded.exports,
        metrics: &metrics,
        strict,
        implicit_rule: mode == Mode::Strict,
    });
    let plan = Arc::new(plan.map_err(ScriptError::Options)?);
    plan.warnings
        .iter()
        .for_each(|warning| script.warn_once(warning.clone()));
    script.set_plan(Arc::clone(&plan));
    Ok(Prepared {
        catalog: Arc::new(Catalog::new(metrics, plan.rules.clone())),
        script,
        plan,
        exports: loaded.exports,
        mode,
    })
}

async fn load(script: &Arc<Script>, cancel: &CancellationToken) -> Result<Loaded, ScriptError> {
    let catalog = Arc::new(Catalog::new(builtins(), Vec::new()));
    let once = Once::new(script, &catalog, Instant::now());
    match once.perform(None, LOAD_LIMIT, cancel).await? {
        (Outcome::Loaded(loaded), _) => Ok(loaded),
        (Outcome::Threw(thrown), _) => Err(ScriptError::threw("the script", thrown)),
        _ => Ok(Loaded::default()),
    }
}

/// Runs the script of a load check against `origin`: waits until it answers, sends the load, judges it.
///
/// The script reaches the target and the hosts of the specification, and reads the files of the commit.
///
/// # Errors
///
/// When the target is not ready, the script asks for more than `limits`, or it cannot be run.
pub async fn check(
    spec: &LoadCheckSpec,
    plan: Plan,
    origin: &str,
    limits: Option<&Limits>,
    progress: &watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<(Prepared, Run), LoadError> {
    let plan = Arc::new(plan);
    let target = Target::resolve(origin, &plan, cancel).await?;
    target.wait_ready(&plan, cancel).await?;
    let bundle = spec.bundle.clone().unwrap_or_default();
    let env = spec
        .env
        .iter()
        .map(|(name, value)| (name.clone(), filled_in(value, &target)))
        .collect();
    let network = Network::Only {
        origin: target.url(),
        target: Box::new(target),
        hosts: spec.hosts.clone(),
    };
    // What it prints has no reader here; the bounded channel drops it.
    let (script, _) = Script::new(
        bundle.main.clone(),
        Box::new(bundle),
        env,
        network,
        plan.tls.clone(),
    );
    let prepared = prepare(
        script,
        vec![spec.script_options()],
        spec.strict.clone(),
        spec.mode,
        cancel,
    )
    .await?;
    // What the script asks for is known only now, and still nothing was sent.
    let exceeded = limits
        .map(|limits| limits.exceeded_by(&prepared.plan.load))
        .unwrap_or_default();
    if !exceeded.is_empty() {
        return Err(LoadError::Limits(exceeded.join("; ")));
    }
    let run = prepared.run(progress, cancel).await?;
    Ok((prepared, run))
}

/// A variable's value with the target in place of `${target.host}`, `${target.port}` and `${target.url}`.
fn filled_in(value: &str, target: &Target) -> String {
    let authority = target.authority();
    let port = target
        .addresses()
        .first()
        .map(|address| address.port().to_string());
    value
        .replace("${target.host}", authority.host())
        .replace("${target.port}", &port.unwrap_or_default())
        .replace("${target.url}", &target.url())
}

impl Prepared {
    /// Runs the script: `setup()`, its scenarios, as often as the verdict is unclear and the plan allows, `teardown()`.
    ///
    /// # Errors
    ///
    /// When a thread of the generator cannot start or breaks.
    pub async fn run(
        &self,
        progress: &watch::Sender<Progress>,
        cancel: &CancellationToken,
    ) -> Result<Run, ScriptError> {
        let mut run = Run {
            measured: Measured::new(&self.catalog),
            verdict: self.judge(&Measured::new(&self.catalog)),
            repetitions: 0,
            aborted: None,
            failed: false,
            setup_data: None,
            broken: None,
        };
        if self.has("setup", "noSetup") {
            run.setup(self, cancel).await?;
        }
        if run.broken.is_none() && run.aborted.is_none() {
            self.iterate(&mut run, progress, cancel).await?;
        }
        let begun = run.broken.is_none();
        if self.has("teardown", "noTeardown") && begun && run.measured.ended != Ended::Interrupted {
            run.teardown(self, cancel).await?;
        }
        run.verdict = self.judge(&run.measured);
        Ok(run)
    }

    async fn iterate(
        &self,
        run: &mut Run,
        progress: &watch::Sender<Progress>,
        cancel: &CancellationToken,
    ) -> Result<(), ScriptError> {
        loop {
            let collected =
                collect::run(self, run.setup_data.clone(), run.repetitions, progress, cancel).await?;
            run.measured.extend(collected.measured);
            run.aborted = collected.aborted;
            run.failed |= collected.failed;
            run.broken = collected.broken;
            let unclear = self.judge(&run.measured).outcome == LoadOutcome::Inconclusive;
            let ended = run.aborted.is_some() || run.failed || run.broken.is_some();
            if !unclear || ended || run.repetitions == self.plan.load.strict.max_extend {
                return Ok(());
            }
            run.repetitions += 1;
        }
    }

    fn judge(&self, measured: &Measured) -> LoadVerdict {
        let looks = self.plan.load.strict.max_extend + 1;
        judge(&self.plan, &self.catalog, measured, self.mode, looks)
    }

    /// Whether the script exports a function that no option switches off.
    fn has(&self, name: &str, switch: &str) -> bool {
        let off = self
            .plan
            .options
            .get(switch)
            .and_then(serde_json::Value::as_bool)
            .unwrap_or_default();
        !off && self.exports.iter().any(|export| export == name)
    }

    /// Asks the script's `handleSummary()`, if it has one, what is to be written where. `data` is its argument.
    ///
    /// # Errors
    ///
    /// When it throws or takes too long.
    pub async fn summarise(
        &self,
        data: &serde_json::Value,
        cancel: &CancellationToken,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, ScriptError> {
        if !self.has("handleSummary", "noSummary") {
            return Ok(None);
        }
        let once = Once::new(&self.script, &self.catalog, Instant::now());
        let step = Step {
            function: "handleSummary".into(),
            argument: Some(data.to_string().into()),
            iteration: None,
        };
        match once.perform(Some(step), SUMMARY_LIMIT, cancel).await? {
            (Outcome::Files(files), _) => Ok(Some(files.into_iter().collect())),
            (Outcome::Threw(thrown), _) => Err(ScriptError::threw("handleSummary()", thrown)),
            _ => Ok(None),
        }
    }
}

// === impl Run ===

impl Run {
    /// The verdict, with what ended the run before its time.
    #[must_use]
    pub fn concluded(mut self) -> LoadVerdict {
        let why = match (&self.broken, &self.aborted) {
            (Some(error), _) => Some(error.to_string()),
            (None, Some(reason)) => Some(format!("the script aborted the test: {reason}")),
            (None, None) => self
                .failed
                .then(|| "the script marked the test as failed".to_owned()),
        };
        if let Some(why) = why {
            (self.verdict.outcome, self.verdict.reason) = (LoadOutcome::Fail, why);
        }
        self.verdict
    }

    async fn setup(&mut self, prepared: &Prepared, cancel: &CancellationToken) -> Result<(), ScriptError> {
        let limit = prepared.plan.setup_timeout;
        let outcome = self.once(prepared, "setup", None, limit, cancel).await?;
        if let Some(Outcome::Returned(data)) = outcome {
            self.setup_data = data.map(Arc::from);
        }
        Ok(())
    }

    async fn teardown(&mut self, prepared: &Prepared, cancel: &CancellationToken) -> Result<(), ScriptError> {
        let (data, limit) = (self.setup_data.clone(), prepared.plan.teardown_timeout);
        self.once(prepared, "teardown", data, limit, cancel)
            .await
            .map(drop)
    }

    /// Runs one of the functions that run once, and keeps what it measured and how it ended.
    async fn once(
        &mut self,
        prepared: &Prepared,
        function: &str,
        argument: Option<Arc<str>>,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<Option<Outcome>, ScriptError> {
        let step = Step {
            function: function.into(),
            argument,
            iteration: None,
        };
        let once = Once::new(&prepared.script, &prepared.catalog, Instant::now());
        let live = Arc::clone(&once.live);
        let performed = once.perform(Some(step), limit, cancel).await;
        self.failed |= live.failed_test.load(Relaxed);
        match performed {
            Ok((outcome, measured)) => {
                self.measured.merge(measured);
                if let Outcome::Threw(thrown) = outcome {
                    self.broken = Some(ScriptError::threw(&format!("{function}()"), thrown));
                    return Ok(None);
                }
                Ok(Some(outcome))
            }
            Err(ScriptError::Aborted(reason)) => {
                self.aborted.get_or_insert(reason);
                Ok(None)
            }
            Err(ScriptError::Broken(text)) => Err(ScriptError::Broken(text)),
            Err(other) => {
                self.broken = Some(other);
                Ok(None)
            }
        }
    }
}

// === impl ScriptError ===

impl ScriptError {
    fn threw(place: &str, thrown: Thrown) -> Self {
        Self::Threw {
            place: place.to_owned(),
            thrown,
        }
    }
}

/// A virtual user that does one thing, on a thread of its own.
struct Once {
    script: Arc<Script>,
    catalog: Arc<Catalog>,
    origin: Instant,
    live: Arc<Live>,
}

impl Once {
    fn new(script: &Arc<Script>, catalog: &Arc<Catalog>, origin: Instant) -> Self {
        Self {
            script: Arc::clone(script),
            catalog: Arc::clone(catalog),
            origin,
            live: Arc::new(Live::new(
                script.plan().map_or(0, |plan| plan.load.scenarios.len()),
            )),
        }
    }

    /// Loads the script and does the step, if there is one.
    async fn perform(
        self,
        step: Option<Step>,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<(Outcome, Measured), ScriptError> {
        let cancel = cancel.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let runtime = super::worker::runtime().map_err(|error| broken(&error))?;
            LocalSet::new().block_on(&runtime, self.work(step, limit, &cancel))
        });
        thread
            .await
            .map_err(|error| ScriptError::Broken(error.to_string()))?
    }

    async fn work(
        self,
        step: Option<Step>,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<(Outcome, Measured), ScriptError> {
        let measured = Rc::new(RefCell::new(Measured::new(&self.catalog)));
        let vu = Vu::new(
            self.script,
            self.catalog,
            Rc::clone(&measured),
            self.live,
            self.origin,
            0,
        );
        let mut user = User::new(Rc::new(vu));
        let function = step
            .as_ref()
            .map_or("the script", |step| &step.function)
            .to_owned();
        let mut cut = pin!(async {
            tokio::select! {
                () = tokio::time::sleep(limit) => {}
                () = cancel.cancelled() => {}
            }
        });
        let mut outcome = user.load(cut.as_mut()).await;
        if let (Outcome::Loaded(_), Some(step)) = (&outcome, step) {
            outcome = user.step(step, cut.as_mut()).await;
        }
        if let Some(reason) = user.vu.aborted.take() {
            return Err(ScriptError::Aborted(reason));
        }
        if user.vu.cancelled.get() {
            return Err(if cancel.is_cancelled() {
                ScriptError::Interrupted
            } else {
                ScriptError::TimedOut { function, limit }
            });
        }
        let (sent, received) = user.client.new_bytes();
        user.vu.add_bytes(sent, received);
        drop(user);
        let measured = measured.take();
        Ok((outcome, measured))
    }
}

fn broken(error: &io::Error) -> ScriptError {
    ScriptError::Broken(error.to_string())
}
