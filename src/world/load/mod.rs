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
mod probe;
pub mod script;
pub mod target;
mod user;
mod worker;

use target::{Target, TargetError};
use worker::{Live, LiveScenario, Shared};

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
    origin: &str,
    progress: watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Checked, LoadError> {
    let plan = Arc::new(plan);
    let target = Target::resolve(origin, &plan, cancel).await?;
    target.wait_ready(&plan, cancel).await?;
    let looks = plan.strict.max_extend + 1;
    let target = Arc::new(target);
    let mut samples = run(&plan, &target, &progress, 0, cancel).await?;
    let mut repetitions = 0;
    loop {
        let verdict = judge(&plan, &samples, looks);
        if verdict.outcome != LoadOutcome::Inconclusive || repetitions == plan.strict.max_extend {
            return Ok(Checked {
                url: target.url(),
                samples,
                verdict,
                repetitions,
            });
        }
        repetitions += 1;
        samples.extend(run(&plan, &target, &progress, repetitions, cancel).await?);
    }
}

/// Sends the load of `plan` once.
///
/// # Errors
///
/// When the generator cannot run.
pub async fn run(
    plan: &Arc<Plan>,
    target: &Arc<Target>,
    progress: &watch::Sender<Progress>,
    repetition: u32,
    cancel: &CancellationToken,
) -> Result<Samples, LoadError> {
    let stop = CancellationToken::new();
    // Whatever ends this future ends the threads.
    let _guard = stop.clone().drop_guard();
    let shared = Arc::new(Shared {
        plan: Arc::clone(plan),
        target: Arc::clone(target),
        origin: Instant::now(),
        stop,
        live: Live {
            scenarios: plan.scenarios.iter().map(|_| LiveScenario::default()).collect(),
            ..Live::default()
        },
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
    let (mut latest, mut latency, mut point_due) = (Trend::default(), Vec::new(), LATENCY_EVERY);
    loop {
        tokio::select! {
            measured = results.recv() => match measured {
                Some(measured) => {
                    latest.merge(measured.trend(&shared.plan, &duration()));
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
    let trend = std::mem::take(latest);
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
