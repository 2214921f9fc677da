//! Load: virtual users and their sockets.
//!
//! ```text
//! Plan ─▶ Target::resolve ─▶ wait_ready ─▶ run ─▶ Samples ─▶ judge ─▶ again, when inconclusive
//!                                           └ worker threads ─ users ─ connections
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::Plan;
use crate::config::load_check::threshold::Selection;
use crate::verify::judge::{LoadOutcome, LoadVerdict, is_crossed, judge};
use crate::verify::progress::{Latency, Progress, ScenarioProgress, add_latency};
use crate::verify::samples::{Ended, Samples};
use crate::verify::trend::Trend;

mod clock;
mod connection;
pub mod fleet;
mod message;
mod probe;
pub mod script;
pub mod target;
mod user;
mod worker;

use fleet::Fleet;
use target::{Target, TargetError};
use worker::{Live, Shared};

/// A load check that was run: what was measured, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Where the load went.
    pub url: String,
    /// What was measured, repetitions included.
    pub samples: Samples,
    /// What it means.
    pub verdict: LoadVerdict,
    /// How often the run was repeated because its verdict was unclear.
    pub repetitions: u32,
}

/// Where load goes, for example `http://127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origins {
    /// The target.
    pub target: String,
    /// The baseline, where the plan has one.
    pub baseline: Option<String>,
}

impl From<&str> for Origins {
    fn from(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            baseline: None,
        }
    }
}

impl From<&String> for Origins {
    fn from(target: &String) -> Self {
        target.as_str().into()
    }
}

/// Why a load check could not be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target cannot be put under load.
    #[error("the target is not ready")]
    Target(#[from] TargetError),
    /// The script cannot be run.
    #[error(transparent)]
    Script(#[from] script::ScriptError),
    /// A script asks for more load than may be sent; none was.
    #[error("no load was sent: {0}")]
    Limits(String),
    /// One of several processes that send the load together cannot reach the target.
    #[error("the target is not ready for worker {worker}: {reason}")]
    Unready {
        /// Which.
        worker: usize,
        /// Why.
        reason: String,
    },
    /// One of several processes that send the load together could not, or not to the end.
    #[error("the load could not be sent from several processes: {0}")]
    Worker(String),
    /// A thread of the generator could not start.
    #[error("the load generator could not start")]
    Start(#[source] io::Error),
    /// A thread of the generator panicked.
    #[error("the load generator broke")]
    Broken,
}

/// How often progress is published.
const PROGRESS: Duration = Duration::from_millis(100);

/// How long a point of the response times is.
const LATENCY_EVERY: Duration = Duration::from_millis(250);

/// How often rules with `abortOnFail` are looked at.
const ABORT_EVALUATION: Duration = Duration::from_secs(2);

/// Runs a load check against `origin` (for example `http://127.0.0.1:8080`): waits until it answers, sends the load,
/// judges what was measured, and repeats the run while the verdict is inconclusive and the plan allows.
///
/// Cancelling ends it at once with a void verdict; dropping the future ends it too.
///
/// # Errors
///
/// When the target has no address or does not answer in time, or the generator cannot run.
pub async fn check(
    plan: Plan,
    origins: impl Into<Origins>,
    progress: watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Checked, LoadError> {
    let plan = Arc::new(plan);
    let targets = ready(&plan, &origins.into(), cancel).await?;
    let url = targets[0].url();
    let generator = Generator::Threads(targets);
    until_clear(&plan, url, generator, &progress, cancel).await
}

/// What sends the load.
enum Generator {
    /// Threads of this process, to these targets.
    Threads(Vec<Arc<Target>>),
    /// Other processes.
    Fleet(Fleet),
}

/// The target of the load, and the baseline where there is one; both answer.
async fn ready(
    plan: &Arc<Plan>,
    origins: &Origins,
    cancel: &CancellationToken,
) -> Result<Vec<Arc<Target>>, TargetError> {
    let mut targets = Vec::new();
    let baseline = plan.baseline.as_ref().and(origins.baseline.as_ref());
    for origin in [Some(&origins.target), baseline].into_iter().flatten() {
        let target = Target::resolve(origin, plan, cancel).await?;
        target.wait_ready(plan, cancel).await?;
        targets.push(Arc::new(target));
    }
    Ok(targets)
}

/// Samples once, and again while the verdict is inconclusive and the plan allows.
async fn until_clear(
    plan: &Arc<Plan>,
    url: String,
    mut generator: Generator,
    progress: &watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Checked, LoadError> {
    let looks = plan.strict.max_extend + 1;
    let mut samples = generator.run(plan, progress, 0, cancel).await?;
    let mut repetitions = 0;
    loop {
        let verdict = judge(plan, &samples, looks);
        if verdict.outcome != LoadOutcome::Inconclusive || repetitions == plan.strict.max_extend {
            return Ok(Checked {
                url,
                samples,
                verdict,
                repetitions,
            });
        }
        repetitions += 1;
        samples.extend(generator.run(plan, progress, repetitions, cancel).await?);
    }
}

impl Generator {
    async fn run(
        &mut self,
        plan: &Arc<Plan>,
        progress: &watch::Sender<Progress>,
        repetition: u32,
        cancel: &CancellationToken,
    ) -> Result<Samples, LoadError> {
        match self {
            Self::Threads(targets) => run(plan, targets, progress, repetition, cancel).await,
            Self::Fleet(fleet) => fleet.run(plan, progress, repetition, cancel).await,
        }
    }
}

/// Sends the load of `plan` once.
///
/// # Errors
///
/// When the generator cannot run.
pub async fn run(
    plan: &Arc<Plan>,
    targets: &[Arc<Target>],
    progress: &watch::Sender<Progress>,
    repetition: u32,
    cancel: &CancellationToken,
) -> Result<Samples, LoadError> {
    let stop = CancellationToken::new();
    // Whatever ends this future ends the threads.
    let _guard = stop.clone().drop_guard();
    let shared = Arc::new(Shared {
        plan: Arc::clone(plan),
        targets: targets.to_vec(),
        origin: Instant::now(),
        stop,
        live: Live::new(plan),
        unseen: Live::new(plan),
    });
    let (threads, results) = start(&shared)?;
    let mut samples = collect(&shared, results, progress, repetition, cancel).await;
    let joined = tokio::task::spawn_blocking(move || join(threads)).await;
    joined.map_err(|_| LoadError::Broken)??;
    samples.elapsed = shared.origin.elapsed();
    Ok(samples)
}

/// Merges what the workers measure until they are done.
async fn collect(
    shared: &Shared,
    mut results: mpsc::Receiver<Samples>,
    progress: &watch::Sender<Progress>,
    repetition: u32,
    cancel: &CancellationToken,
) -> Samples {
    let mut samples = Samples::new(&shared.plan);
    let mut tick = tokio::time::interval(PROGRESS);
    let mut evaluation = tokio::time::interval(ABORT_EVALUATION);
    let mut ended = Ended::Completed;
    let (mut latest, mut latency, mut point_due) = (Trend::counting(), Vec::new(), LATENCY_EVERY);
    loop {
        tokio::select! {
            measured = results.recv() => match measured {
                Some(measured) => {
                    measured.add_to(&mut latest, &shared.plan, &duration());
                    samples.merge(measured);
                }
                None => break,
            },
            _ = tick.tick() => {
                let mut now = shared.progress(repetition);
                if now.elapsed >= point_due {
                    point_due = now.elapsed + LATENCY_EVERY;
                    note_latency(&mut latency, &mut latest, now.elapsed);
                }
                now.latency.clone_from(&latency);
                let ready = shared.live.scenarios.iter().map(|scenario| scenario.ready.load(Relaxed)).sum();
                samples.vus.note(now.vus().0, ready);
                progress.send_replace(now);
            }
            _ = evaluation.tick(), if ended == Ended::Completed => {
                samples.elapsed = shared.origin.elapsed();
                if let Some(rule) = crossed(&shared.plan, &samples) {
                    ended = Ended::Aborted(rule);
                    shared.stop.cancel();
                }
            }
            () = cancel.cancelled(), if ended != Ended::Interrupted => {
                ended = Ended::Interrupted;
                shared.stop.cancel();
            }
        }
    }
    let mut last = shared.progress(repetition);
    note_latency(&mut latency, &mut latest, last.elapsed);
    last.latency = latency;
    progress.send_replace(last);
    samples.ended = ended;
    samples
}

/// Adds what was measured since the last point, and begins the next one.
fn note_latency(points: &mut Vec<Latency>, latest: &mut Trend, at: Duration) {
    let trend = std::mem::replace(latest, Trend::counting());
    if let Some((p90, max)) = trend.percentile(90.0).zip(trend.max()) {
        add_latency(points, Latency { at, p90, max });
    }
}

fn duration() -> Selection {
    Selection {
        metric: Metric::HttpReqDuration,
        tags: Vec::new(),
    }
}

/// The first rule with `abortOnFail` that is crossed.
fn crossed(plan: &Plan, samples: &Samples) -> Option<usize> {
    let due = |delay: Option<Duration>| delay.is_some_and(|delay| samples.elapsed >= delay);
    let rules = plan.rules.iter().enumerate();
    rules
        .filter(|(_, rule)| due(rule.abort_after))
        .map(|(index, _)| index)
        .find(|index| is_crossed(plan, samples, *index))
}

type Threads = Vec<JoinHandle<io::Result<()>>>;

fn start(shared: &Arc<Shared>) -> Result<(Threads, mpsc::Receiver<Samples>), LoadError> {
    let workers = workers(&shared.plan);
    let (sender, receiver) = mpsc::channel(2 * workers);
    let mut threads = Vec::with_capacity(workers);
    for index in 0..workers {
        let (shared, sender) = (Arc::clone(shared), sender.clone());
        let thread = std::thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || worker::run(shared, index, workers, sender));
        threads.push(thread.map_err(LoadError::Start)?);
    }
    Ok((threads, receiver))
}

/// How many threads send load: half of what the machine has, so that the other half is left to what is measured when
/// it runs beside, and to the rest of the program.
fn workers(plan: &Plan) -> usize {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    (available / 2).clamp(1, 4).min(plan.max_vus().max(1) as usize)
}

fn join(threads: Threads) -> Result<(), LoadError> {
    for thread in threads {
        thread
            .join()
            .map_err(|_| LoadError::Broken)?
            .map_err(LoadError::Start)?;
    }
    Ok(())
}

// === impl Shared ===

impl Shared {
    fn progress(&self, repetition: u32) -> Progress {
        let elapsed = self.origin.elapsed();
        let scenarios = self.plan.scenarios.iter().zip(&self.live.scenarios);
        Progress {
            elapsed,
            duration: self.plan.duration(),
            repetition,
            requests: self.live.requests.load(Relaxed),
            failed: self.live.failed.load(Relaxed),
            scenarios: scenarios
                .map(|(scenario, live)| ScenarioProgress {
                    name: scenario.name.clone(),
                    elapsed: elapsed.saturating_sub(scenario.start),
                    duration: scenario.executor.duration(),
                    vus: live.vus.load(Relaxed),
                    max_vus: scenario.executor.max_vus(),
                    iterations: live.complete.load(Relaxed),
                    of_iterations: scenario.executor.iterations(),
                    dropped: live.dropped.load(Relaxed),
                    interrupted: live.interrupted.load(Relaxed),
                })
                .collect(),
            latency: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
