//! Collecting: a run of a script's scenarios by several threads, and what they measure.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::vu::{Live, VuTags};
use super::worker::{self, Report, Shared};
use super::{Prepared, ScriptError, broken};
use crate::config::load_check::Mode;
use crate::verify::progress::{Progress, ScenarioProgress};
use crate::verify::samples::Ended;
use crate::verify::script::catalog::builtin;
use crate::verify::script::judge::crossed;
use crate::verify::script::{Measured, Proof, Sample};

/// What the scenarios of a run gave.
pub struct Collected {
    /// What was measured.
    pub measured: Measured,
    /// Why the script ended it, when it did.
    pub aborted: Option<String>,
    /// Whether the script said that the test has failed.
    pub failed: bool,
    /// Why it could not be begun.
    pub broken: Option<ScriptError>,
}

/// How often progress is published.
const PROGRESS: Duration = Duration::from_millis(100);

/// How often rules with `abortOnFail` are looked at, as in k6.
const ABORT_EVALUATION: Duration = Duration::from_secs(2);

/// How often the number of virtual users is noted, as in k6.
const GAUGES: Duration = Duration::from_secs(1);

/// Runs the scenarios once.
///
/// # Errors
///
/// When a thread cannot start or breaks.
pub async fn run(
    prepared: &Prepared,
    setup_data: Option<Arc<str>>,
    repetition: u32,
    progress: &watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Collected, ScriptError> {
    let stop = CancellationToken::new();
    // Whatever ends this future ends the threads.
    let _guard = stop.clone().drop_guard();
    let Prepared {
        script,
        plan,
        catalog,
        mode,
        ..
    } = prepared;
    let (start, begun) = watch::channel(None);
    let shared = Arc::new(Shared {
        script: Arc::clone(script),
        plan: Arc::clone(plan),
        catalog: Arc::clone(catalog),
        setup_data,
        mode: *mode,
        stop,
        live: Arc::new(Live::new(plan.load.scenarios.len())),
        start: begun,
        aborted: Mutex::default(),
    });
    let (threads, reports) = start_threads(&shared)?;
    let mut collector = Collector {
        shared: &shared,
        mode: *mode,
        repetition,
        measured: Measured::new(catalog),
        ended: Ended::Completed,
        origin: None,
        broken: None,
    };
    collector
        .collect(reports, threads.len(), &start, progress, cancel)
        .await;
    let elapsed = collector.elapsed();
    collector.note_left_over();
    let Collector {
        mut measured,
        ended,
        broken,
        ..
    } = collector;
    let joined = tokio::task::spawn_blocking(move || join(threads)).await;
    joined.map_err(|error| ScriptError::Broken(error.to_string()))??;
    measured.elapsed = elapsed;
    measured.ended = ended;
    let aborted = shared
        .aborted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    Ok(Collected {
        measured,
        aborted,
        failed: shared.live.failed_test.load(Relaxed),
        broken,
    })
}

struct Collector<'a> {
    shared: &'a Arc<Shared>,
    mode: Mode,
    repetition: u32,
    measured: Measured,
    ended: Ended,
    /// When iterations began; `None` before all virtual users have loaded the script.
    origin: Option<Instant>,
    broken: Option<ScriptError>,
}

impl Collector<'_> {
    async fn collect(
        &mut self,
        mut reports: mpsc::Receiver<Report>,
        threads: usize,
        start: &watch::Sender<Option<Instant>>,
        progress: &watch::Sender<Progress>,
        cancel: &CancellationToken,
    ) {
        let mut tick = tokio::time::interval(PROGRESS);
        let (mut evaluation, mut gauges) = (interval(ABORT_EVALUATION), interval(GAUGES));
        let mut ready = 0;
        loop {
            tokio::select! {
                report = reports.recv() => match report {
                    Some(Report::Measured(measured)) => self.measured.merge(*measured),
                    Some(Report::Ready) => {
                        ready += 1;
                        if ready == threads && self.broken.is_none() {
                            let now = Instant::now();
                            self.origin = Some(now);
                            start.send_replace(Some(now));
                            (evaluation, gauges) = (interval(ABORT_EVALUATION), interval(GAUGES));
                        }
                    }
                    Some(Report::Broken(error)) => {
                        self.broken.get_or_insert(error);
                        self.shared.stop.cancel();
                    }
                    None => break,
                },
                _ = tick.tick() => drop(progress.send_replace(self.progress())),
                _ = gauges.tick(), if self.origin.is_some() => self.note_users(),
                _ = evaluation.tick(), if self.origin.is_some() && self.ended == Ended::Completed => self.evaluate(),
                () = cancel.cancelled(), if self.ended != Ended::Interrupted => {
                    self.ended = Ended::Interrupted;
                    self.shared.stop.cancel();
                }
            }
        }
        progress.send_replace(self.progress());
    }

    fn evaluate(&mut self) {
        self.measured.elapsed = self.elapsed();
        if let Some(rule) = crossed(&self.shared.plan, &self.shared.catalog, &self.measured, self.mode) {
            self.ended = Ended::Aborted(rule);
            self.shared.stop.cancel();
        }
    }

    fn note_users(&mut self) {
        let scenarios = &self.shared.live.scenarios;
        let active: u32 = scenarios.iter().map(|live| live.vus.load(Relaxed)).sum();
        let ready: u32 = scenarios.iter().map(|live| live.ready.load(Relaxed)).sum();
        for (metric, value) in [(builtin::VUS, active), (builtin::VUS_MAX, ready)] {
            let sample = Sample {
                metric,
                value: f64::from(value),
                at: self.elapsed(),
                proof: Proof::Value,
            };
            let tags = VuTags::global(&self.shared.plan);
            self.measured.add(&self.shared.catalog, sample, &tags);
        }
    }

    /// Notes the iterations that were to be done and were not begun in time.
    fn note_left_over(&mut self) {
        let Shared { plan, live, stop, .. } = &**self.shared;
        if stop.is_cancelled() {
            return;
        }
        for (number, scenario) in plan.load.scenarios.iter().enumerate() {
            let begun = live.scenarios[number].started.load(Relaxed);
            let left = scenario
                .executor
                .iterations()
                .map_or(0, |all| all.saturating_sub(begun));
            if left > 0 {
                let sample = Sample {
                    metric: builtin::DROPPED_ITERATIONS,
                    value: left as f64,
                    at: self.elapsed(),
                    proof: Proof::Nothing,
                };
                let tags = VuTags::of_scenario(plan, number);
                self.measured.add(&self.shared.catalog, sample, &tags);
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.origin.map_or(Duration::ZERO, |origin| origin.elapsed())
    }

    fn progress(&self) -> Progress {
        let Shared { plan, live, .. } = &**self.shared;
        let elapsed = self.elapsed();
        let scenarios = plan.load.scenarios.iter().zip(&live.scenarios);
        Progress {
            elapsed,
            duration: plan.load.duration(),
            repetition: self.repetition,
            requests: live.requests.load(Relaxed),
            failed: live.failed.load(Relaxed),
            latency: Vec::new(),
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
        }
    }
}

/// An interval whose first tick is one period from now.
fn interval(period: Duration) -> tokio::time::Interval {
    tokio::time::interval_at(tokio::time::Instant::now() + period, period)
}

type Threads = Vec<JoinHandle<Result<(), ScriptError>>>;

fn start_threads(shared: &Arc<Shared>) -> Result<(Threads, mpsc::Receiver<Report>), ScriptError> {
    let workers = super::super::workers(&shared.plan.load);
    let (sender, receiver) = mpsc::channel(2 * workers);
    let mut threads = Vec::with_capacity(workers);
    for index in 0..workers {
        let (shared, sender) = (Arc::clone(shared), sender.clone());
        let thread = std::thread::Builder::new()
            .name(format!("script-{index}"))
            .spawn(move || worker::run(shared, index, workers, sender));
        threads.push(thread.map_err(|error| broken(&error))?);
    }
    Ok((threads, receiver))
}

fn join(threads: Threads) -> Result<(), ScriptError> {
    for thread in threads {
        let ended = thread.join();
        ended.map_err(|_| ScriptError::Broken("a thread panicked".to_owned()))??;
    }
    Ok(())
}
