//! Worker: a thread with its share of a script's virtual users.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::super::clock::Clock;
use super::super::worker::{Budget, HAND_OVER, expect_sound, join_all, runtime, shifts};
use super::engine::{Outcome, Step, Thrown};
use super::source::Script;
use super::user::User;
use super::vu::{Iteration, Live, LiveScenario, OwnTags, Vu, VuTags};
use super::{ScriptError, broken};
use crate::config::load_check::Mode;
use crate::config::load_check::plan::Executor;
use crate::config::script::ScriptPlan;
use crate::verify::exchange::millis;
use crate::verify::schedule::Arrivals;
use crate::verify::script::catalog::{Catalog, builtin};
use crate::verify::script::{Measured, Proof, Sample};

/// What all workers share.
pub struct Shared {
    /// The script.
    pub script: Arc<Script>,
    /// What its options mean.
    pub plan: Arc<ScriptPlan>,
    /// Its metrics.
    pub catalog: Arc<Catalog>,
    /// What `setup()` returned.
    pub setup_data: Option<Arc<str>>,
    /// How the run is judged.
    pub mode: Mode,
    /// Ends everything at once.
    pub stop: CancellationToken,
    /// Counters that are shown while it runs.
    pub live: Arc<Live>,
    /// When iterations begin: as soon as all virtual users have loaded the script.
    pub start: watch::Receiver<Option<Instant>>,
    /// Why the script ended the run.
    pub aborted: Mutex<Option<String>>,
}

/// What a worker tells.
pub enum Report {
    /// Its virtual users have loaded the script.
    Ready,
    /// One of them could not.
    Broken(ScriptError),
    /// What was measured since the last time.
    Measured(Box<Measured>),
}

/// How long a virtual user may take to load the script.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// Runs the share of worker `index` of `workers`.
///
/// # Errors
///
/// When there is no runtime or no clock.
pub fn run(
    shared: Arc<Shared>,
    index: usize,
    workers: usize,
    reports: mpsc::Sender<Report>,
) -> Result<(), ScriptError> {
    let runtime = runtime().map_err(|error| broken(&error))?;
    let measured = Rc::new(RefCell::new(Measured::new(&shared.catalog)));
    let worker = Rc::new(Worker { shared, measured });
    LocalSet::new().block_on(&runtime, async {
        let users = match worker.prepare(index, workers).await {
            Ok(users) => users,
            Err(error) => {
                // Nobody who listens is nobody who waits.
                let _ = reports.send(Report::Broken(error)).await;
                return Ok(());
            }
        };
        let _ = reports.send(Report::Ready).await;
        let Some(origin) = worker.begin().await else {
            return Ok(());
        };
        let mut tasks = JoinSet::new();
        for (number, users) in users {
            worker.start(&mut tasks, number, users, origin)?;
        }
        let mut done = pin!(join_all(&mut tasks));
        let mut hand_over = tokio::time::interval(HAND_OVER);
        loop {
            tokio::select! {
                () = &mut done => break,
                _ = hand_over.tick() => {
                    let measured = worker.measured.replace(Measured::new(&worker.shared.catalog));
                    if reports.send(Report::Measured(Box::new(measured))).await.is_err() {
                        worker.shared.stop.cancel();
                    }
                }
            }
        }
        let _ = reports
            .send(Report::Measured(Box::new(worker.measured.take())))
            .await;
        Ok(())
    })
}

struct Worker {
    shared: Arc<Shared>,
    measured: Rc<RefCell<Measured>>,
}

/// A virtual user at work in a scenario.
struct Working {
    worker: Rc<Worker>,
    user: User,
    scenario: usize,
    /// The function that it runs.
    function: Arc<str>,
    /// Iterations that it has begun.
    begun: u64,
}

// === impl Worker ===

impl Worker {
    /// Makes this worker's share of the virtual users, by scenario.
    async fn prepare(
        self: &Rc<Self>,
        index: usize,
        workers: usize,
    ) -> Result<Vec<(usize, Vec<(u32, Working)>)>, ScriptError> {
        let mut all = Vec::new();
        let mut first = 1;
        for (number, scenario) in self.shared.plan.load.scenarios.iter().enumerate() {
            let mine = |vu: u32| match &scenario.executor {
                // The free users of an arrival rate are one pool, which stays with one thread.
                Executor::ArrivalRate { .. } => number % workers == index,
                _ => vu as usize % workers == index,
            };
            let count = match &scenario.executor {
                Executor::ArrivalRate { pre_allocated, .. } => *pre_allocated,
                executor => executor.max_vus(),
            };
            let mut users = Vec::new();
            for vu in (0..count).filter(|vu| mine(*vu)) {
                users.push((vu, self.working(number, first + vu).await?));
            }
            let has_pool =
                matches!(scenario.executor, Executor::ArrivalRate { .. }) && number % workers == index;
            if !users.is_empty() || has_pool {
                all.push((number, users));
            }
            first += scenario.executor.max_vus();
        }
        Ok(all)
    }

    /// A virtual user that has loaded the script.
    async fn working(self: &Rc<Self>, scenario: usize, number: u32) -> Result<Working, ScriptError> {
        let shared = &self.shared;
        let vu = Vu::new(
            Arc::clone(&shared.script),
            Arc::clone(&shared.catalog),
            Rc::clone(&self.measured),
            Arc::clone(&shared.live),
            shared.start.borrow().unwrap_or_else(Instant::now),
            number,
        );
        vu.iteration.borrow_mut().scenario = scenario;
        let mut user = User::new(Rc::new(vu));
        let limit = pin!(async {
            tokio::select! {
                () = tokio::time::sleep(LOAD_LIMIT) => {}
                () = shared.stop.cancelled() => {}
            }
        });
        match user.load(limit).await {
            Outcome::Threw(thrown) => Err(ScriptError::threw("the script", thrown)),
            _ => {
                shared.live.scenarios[scenario].ready.fetch_add(1, Relaxed);
                Ok(Working {
                    worker: Rc::clone(self),
                    user,
                    scenario,
                    function: shared.plan.work[scenario].exec.as_str().into(),
                    begun: 0,
                })
            }
        }
    }

    /// Waits until iterations may begin; `None` when they never will.
    async fn begin(&self) -> Option<Instant> {
        let mut start = self.shared.start.clone();
        tokio::select! {
            started = start.wait_for(Option::is_some) => started.ok().and_then(|start| *start),
            () = self.shared.stop.cancelled() => None,
        }
    }

    fn start(
        self: &Rc<Self>,
        tasks: &mut JoinSet<()>,
        number: usize,
        users: Vec<(u32, Working)>,
        origin: Instant,
    ) -> Result<(), ScriptError> {
        let scenario = &self.shared.plan.load.scenarios[number];
        users
            .iter()
            .for_each(|(_, working)| working.user.vu.origin.set(origin));
        let budget = match &scenario.executor {
            Executor::ArrivalRate {
                start,
                time_unit,
                stages,
                max,
                ..
            } => {
                let begin = tokio::time::Instant::from_std(origin + scenario.start);
                let moments = Arrivals::new(*start, *time_unit, stages).map(move |due| begin + due);
                let clock = Clock::new(moments, self.shared.stop.clone()).map_err(|error| broken(&error))?;
                let free = users.into_iter().map(|(_, working)| working).collect();
                tasks.spawn_local(Rc::clone(self).arrivals(number, clock, free, *max, origin));
                return Ok(());
            }
            Executor::SharedIterations { iterations, .. } => Budget::Common(*iterations),
            Executor::PerVuIterations { iterations, .. } => Budget::Own(*iterations),
            _ => Budget::Endless,
        };
        for (vu, working) in users {
            tasks.spawn_local(working.loops(shifts(scenario, vu), budget, origin));
        }
        Ok(())
    }

    /// Starts an iteration whenever one is due, on a user that is free.
    async fn arrivals(
        self: Rc<Self>,
        number: usize,
        mut clock: Clock,
        free: Vec<Working>,
        max: u32,
        origin: Instant,
    ) {
        let scenario = &self.shared.plan.load.scenarios[number];
        let before: u32 = self.shared.plan.load.scenarios[..number]
            .iter()
            .map(|one| one.executor.max_vus())
            .sum();
        let end = tokio::time::Instant::from_std(origin + scenario.end());
        let mut users = u32::try_from(free.len()).unwrap_or(u32::MAX);
        let free = Rc::new(RefCell::new(free));
        let mut tasks = JoinSet::new();
        while let Some(due) = clock.next().await {
            while let Some(joined) = tasks.try_join_next() {
                expect_sound(joined);
            }
            let next = free.borrow_mut().pop();
            let mut working = match next {
                Some(working) => working,
                None if users < max => {
                    users += 1;
                    if self.shared.mode == Mode::K6 {
                        // k6 makes the user and drops the iteration that showed the need for it.
                        self.drop_iteration(number, due.into_std().saturating_duration_since(origin));
                        if let Ok(working) = self.working(number, before + users).await {
                            working.user.vu.origin.set(origin);
                            free.borrow_mut().push(working);
                        }
                        continue;
                    }
                    match self.working(number, before + users).await {
                        Ok(working) => {
                            working.user.vu.origin.set(origin);
                            working
                        }
                        Err(_) => continue,
                    }
                }
                None => {
                    self.drop_iteration(number, due.into_std().saturating_duration_since(origin));
                    continue;
                }
            };
            let (free, worker) = (Rc::clone(&free), Rc::clone(&self));
            tasks.spawn_local(async move {
                let live = &worker.shared.live.scenarios[number];
                live.vus.fetch_add(1, Relaxed);
                worker.measured.borrow_mut().lag.add(millis(due.elapsed()));
                let cut = pin!(until(end, &worker.shared.stop));
                let number = live.started.fetch_add(1, Relaxed);
                working.iterate(number, Some(due.into_std()), cut).await;
                live.vus.fetch_sub(1, Relaxed);
                free.borrow_mut().push(working);
            });
        }
        join_all(&mut tasks).await;
    }

    /// Notes an iteration that nobody was free to run: its requests are slower than every bound.
    fn drop_iteration(&self, number: usize, at: Duration) {
        let shared = &self.shared;
        shared.live.scenarios[number].dropped.fetch_add(1, Relaxed);
        let sample = |metric, proof| Sample {
            metric,
            value: 1.0,
            at,
            proof,
        };
        let tags = VuTags::of_scenario(&shared.plan, number);
        let mut measured = self.measured.borrow_mut();
        measured.add(
            &shared.catalog,
            sample(builtin::DROPPED_ITERATIONS, Proof::Value),
            &tags,
        );
        measured.prove(
            &shared.catalog,
            sample(builtin::HTTP_REQ_DURATION, Proof::Broken),
            &tags,
        );
    }
}

/// Until a moment, or until everything ends.
async fn until(end: tokio::time::Instant, stop: &CancellationToken) {
    tokio::select! {
        () = sleep_until(end) => {}
        () = stop.cancelled() => {}
    }
}

// === impl Working ===

impl Working {
    /// Iterates without a pause in each of the shifts, as long as the budget lasts.
    async fn loops(
        mut self,
        shifts: Vec<(Duration, Duration, Duration)>,
        mut budget: Budget,
        origin: Instant,
    ) {
        let stop = self.worker.shared.stop.clone();
        for (begin, end, grace) in shifts {
            let at = |offset: Duration| tokio::time::Instant::from_std(origin + offset);
            tokio::select! {
                () = sleep_until(at(begin)) => {}
                () = stop.cancelled() => return,
            }
            let mut cut = pin!(until(at(end + grace), &stop));
            self.live().vus.fetch_add(1, Relaxed);
            while origin.elapsed() < end
                && let Some(number) = self.take(&mut budget)
            {
                if !self.iterate(number, None, cut.as_mut()).await {
                    break;
                }
            }
            self.live().vus.fetch_sub(1, Relaxed);
        }
    }

    /// The number, in its scenario, of another iteration, if one may start.
    fn take(&self, budget: &mut Budget) -> Option<u64> {
        if let Budget::Own(left) = budget {
            *left = left.checked_sub(1)?;
        }
        let number = self.live().started.fetch_add(1, Relaxed);
        match budget {
            Budget::Common(all) => (number < *all).then_some(number),
            Budget::Endless | Budget::Own(_) => Some(number),
        }
    }

    /// Does one iteration; tells whether another may follow.
    async fn iterate(
        &mut self,
        of_scenario: u64,
        due: Option<Instant>,
        mut cut: Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        let begin = Instant::now();
        let worker = Rc::clone(&self.worker);
        let shared = &worker.shared;
        let vu = Rc::clone(&self.user.vu);
        *vu.iteration.borrow_mut() = Iteration {
            scenario: self.scenario,
            own: self.begun,
            in_scenario: self.begun,
            of_scenario,
        };
        vu.late
            .set(due.map_or(Duration::ZERO, |due| begin.saturating_duration_since(due)));
        let step = Step {
            function: Arc::clone(&self.function),
            argument: shared.setup_data.clone(),
            iteration: Some(self.begun),
        };
        self.begun += 1;
        let outcome = self.user.step(step, cut.as_mut()).await;
        // k6 counts an iteration that ends the run as one that came to its end.
        let complete = !vu.cancelled.get() || vu.aborted.borrow().is_some();
        self.count(begin, complete, outcome);
        if let Some(reason) = vu.aborted.take() {
            shared
                .aborted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(reason);
            shared.stop.cancel();
            return false;
        }
        let rest = shared.plan.min_iteration.saturating_sub(begin.elapsed());
        if complete && !rest.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = cut => return false,
            }
        }
        complete
    }

    fn count(&self, begin: Instant, complete: bool, outcome: Outcome) {
        let vu = &self.user.vu;
        let http = &self.worker.shared.plan.http;
        if !http.keep_cookies {
            vu.jar.borrow_mut().clear();
        }
        if http.no_vu_reuse {
            self.user.client.close();
        }
        let (sent, received) = self.user.client.new_bytes();
        let counter = if complete {
            &self.live().complete
        } else {
            &self.live().interrupted
        };
        counter.fetch_add(1, Relaxed);
        vu.cancelled.set(false);
        vu.leave_groups();
        vu.add_bytes(sent, received);
        if !complete {
            return;
        }
        if let Outcome::Threw(Thrown { text }) = outcome {
            self.worker.measured.borrow_mut().note_exception(&text);
            vu.script.warn_once(text);
        }
        let at = begin.saturating_duration_since(vu.origin.get());
        let own = OwnTags::default();
        vu.add_sample(
            builtin::ITERATION_DURATION,
            millis(begin.elapsed()),
            at,
            Proof::Value,
            &own,
        );
        vu.add_sample(builtin::ITERATIONS, 1.0, at, Proof::Value, &own);
    }

    fn live(&self) -> &LiveScenario {
        &self.worker.shared.live.scenarios[self.scenario]
    }
}
