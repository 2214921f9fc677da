//! Worker: a thread of the load generator, with a runtime of its own so that load never takes turns with the rest of
//! the program.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::header::HeaderName;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::message::Message;
use super::target::Target;
use super::user::{Answer, User};
use crate::config::load_check::plan::{Executor, Plan, Scenario};
use crate::verify::exchange::{ErrorKind, SeriesKey, millis};
use crate::verify::expression::{Response, holds};
use crate::verify::samples::Samples;
use crate::verify::schedule::{Arrivals, weighted, working_times};

/// What all workers share.
pub struct Shared {
    /// What to do.
    pub plan: Arc<Plan>,
    /// Where to do it: the target, and the baseline where there is one. Empty where other processes send the load.
    pub targets: Vec<Arc<Target>>,
    /// The start of the check.
    pub origin: Instant,
    /// Ends everything at once.
    pub stop: CancellationToken,
    /// Counters that are shown while the check runs: those of the target.
    pub live: Live,
    /// The same of the baseline, which nobody is shown.
    pub unseen: Live,
}

/// Counters of a check that runs.
#[derive(Default)]
pub struct Live {
    /// Requests that were answered or failed.
    pub requests: AtomicU64,
    /// Those that failed.
    pub failed: AtomicU64,
    /// By index of the plan's scenarios.
    pub scenarios: Vec<LiveScenario>,
}

/// Counters of a scenario.
#[derive(Default)]
pub struct LiveScenario {
    /// Virtual users that work.
    pub vus: AtomicU32,
    /// Virtual users that were made ready.
    pub ready: AtomicU32,
    /// Iterations that were started, where they are counted.
    pub started: AtomicU64,
    /// Iterations that were completed.
    pub complete: AtomicU64,
    /// Iterations that were cut off.
    pub interrupted: AtomicU64,
    /// Iterations that nobody was free to run.
    pub dropped: AtomicU64,
}

/// How often a worker hands over what it measured.
pub const HAND_OVER: Duration = Duration::from_millis(100);

/// After how many requests it does so earlier: it never holds much.
const FULL: u32 = 512;

/// How often a worker looks whether it is on time.
const LAG_PERIOD: Duration = Duration::from_millis(20);

/// The resolution of the runtime's timer.
const TICK: Duration = Duration::from_millis(1);

/// A runtime for one thread.
///
/// # Errors
///
/// When the operating system gives no event queue.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

/// Runs the share of worker `index` of `workers`, and hands over what it measures until it is done.
///
/// # Errors
///
/// When there is no runtime.
pub fn run(
    shared: Arc<Shared>,
    index: usize,
    workers: usize,
    results: mpsc::Sender<Samples>,
) -> io::Result<()> {
    let runtime = runtime()?;
    let worker = Rc::new(Worker {
        messages: shared.messages(),
        samples: RefCell::new(Samples::new(&shared.plan)),
        recorded: Cell::new(0),
        full: Notify::new(),
        shared,
    });
    LocalSet::new().block_on(&runtime, async {
        let mut tasks = JoinSet::new();
        for (number, scenario) in worker.shared.plan.scenarios.iter().enumerate() {
            worker.start(&mut tasks, number, scenario, index, workers)?;
        }
        let mut done = pin!(join_all(&mut tasks));
        let mut hand_over = tokio::time::interval(HAND_OVER);
        let mut late = Instant::now() + LAG_PERIOD;
        loop {
            tokio::select! {
                () = &mut done => break,
                _ = hand_over.tick() => worker.hand_over(&results).await,
                () = worker.full.notified() => worker.hand_over(&results).await,
                () = sleep_until(late) => {
                    let now = Instant::now();
                    worker.note_lag(now.saturating_duration_since(late + TICK));
                    late = now + LAG_PERIOD;
                }
            }
        }
        worker.hand_over(&results).await;
        Ok(())
    })
}

/// Waits for every task. One that panicked makes the thread panic: its samples would be missing without a word.
pub async fn join_all(tasks: &mut JoinSet<()>) {
    while let Some(joined) = tasks.join_next().await {
        expect_sound(joined);
    }
}

/// Goes on with the panic of a task that had one.
pub fn expect_sound(joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// The requests of a virtual user's next iteration: all of the scenario's, or the one that its weights choose.
fn chosen<'a>(plan: &Plan, all: &'a [usize], vu: u32, iteration: u64) -> &'a [usize] {
    let weights: Option<Vec<u32>> = all.iter().map(|index| plan.requests[*index].weight).collect();
    match weights {
        Some(weights) => {
            let one = weighted(&weights, vu, iteration);
            &all[one..=one]
        }
        None => all,
    }
}

/// A time in which a virtual user works: when it begins, when the last iteration may start, and how long that one may
/// take to finish. Counted from the start of the check.
pub type Shift = (Duration, Duration, Duration);

/// The times in which the virtual user of index `vu` works.
pub fn shifts(scenario: &Scenario, vu: u32) -> Vec<Shift> {
    let whole = scenario.executor.duration();
    let Executor::RampingVus {
        start,
        stages,
        graceful_ramp_down,
    } = &scenario.executor
    else {
        return vec![(scenario.start, scenario.start + whole, scenario.graceful_stop)];
    };
    let shift = |(begin, end): (Duration, Duration)| {
        let grace = if end >= whole {
            scenario.graceful_stop
        } else {
            *graceful_ramp_down
        };
        (scenario.start + begin, scenario.start + end, grace)
    };
    working_times(*start, stages, vu).into_iter().map(shift).collect()
}

struct Worker {
    shared: Arc<Shared>,
    /// By index of [`Shared::targets`] and of the plan's requests.
    messages: Vec<Vec<Result<Message, ErrorKind>>>,
    /// What was measured and not handed over.
    samples: RefCell<Samples>,
    /// The requests in these.
    recorded: Cell<u32>,
    /// These are [`FULL`].
    full: Notify,
}

/// A virtual user at work in a scenario.
struct Working {
    worker: Rc<Worker>,
    user: User,
    /// What it sends to: index of [`Shared::targets`].
    side: usize,
    scenario: usize,
    /// Its number among the scenario's virtual users.
    vu: u32,
    /// How many iterations it began.
    iteration: u64,
    /// The request under way: its index in the plan, and when it was begun.
    under_way: Option<(usize, Instant)>,
    /// Whether an iteration may go on for a while after the end.
    graced: bool,
}

/// Where the right to start an iteration comes from.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// Time alone.
    Endless,
    /// A number for each user.
    Own(u64),
    /// A number for all users of the scenario.
    Common(u64),
}

// === impl Shared ===

impl Shared {
    /// The counters of a side: 0 is the target, 1 the baseline.
    fn side(&self, side: usize) -> &Live {
        if side == 0 { &self.live } else { &self.unseen }
    }

    fn messages(&self) -> Vec<Vec<Result<Message, ErrorKind>>> {
        let requests = &self.plan.requests;
        let of = |target: &Arc<Target>| {
            requests
                .iter()
                .map(|request| Message::new(target, request))
                .collect()
        };
        self.targets.iter().map(of).collect()
    }
}

impl Live {
    /// Counters of `plan` that are all zero.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            scenarios: plan.scenarios.iter().map(|_| LiveScenario::default()).collect(),
            ..Self::default()
        }
    }
}

// === impl Worker ===

impl Worker {
    /// Starts this worker's share of a scenario's virtual users, for each side the same.
    fn start(
        self: &Rc<Self>,
        tasks: &mut JoinSet<()>,
        number: usize,
        scenario: &Scenario,
        index: usize,
        workers: usize,
    ) -> io::Result<()> {
        for side in 0..self.shared.targets.len() {
            self.start_side(tasks, side, number, scenario, (index, workers))?;
        }
        Ok(())
    }

    fn start_side(
        self: &Rc<Self>,
        tasks: &mut JoinSet<()>,
        side: usize,
        number: usize,
        scenario: &Scenario,
        (index, workers): (usize, usize),
    ) -> io::Result<()> {
        let share = self.shared.plan.share;
        if let Executor::ArrivalRate {
            start,
            time_unit,
            stages,
            pre_allocated,
            max,
        } = &scenario.executor
        {
            // The free users of an arrival rate are one pool, which stays with one thread.
            if number % workers == index {
                let begin = self.shared.origin + scenario.start;
                let all = Arrivals::new(*start, *time_unit, stages);
                let own = all.skip(share.index as usize).step_by(share.of as usize);
                let clock = Clock::new(own.map(move |due| begin + due), self.shared.stop.clone())?;
                let users = (*pre_allocated, *max);
                tasks.spawn_local(Rc::clone(self).arrivals(side, number, clock, users));
            }
            return Ok(());
        }
        let is_own = |vu: &u32| vu % share.of == share.index && (vu / share.of) as usize % workers == index;
        for vu in (0..scenario.executor.max_vus()).filter(is_own) {
            let budget = match &scenario.executor {
                Executor::SharedIterations { iterations, .. } => Budget::Common(share.part(*iterations)),
                Executor::PerVuIterations { iterations, .. } => Budget::Own(*iterations),
                _ => Budget::Endless,
            };
            tasks.spawn_local(self.working(side, number, vu).loops(shifts(scenario, vu), budget));
        }
        Ok(())
    }

    fn working(self: &Rc<Self>, side: usize, scenario: usize, vu: u32) -> Working {
        let target = &self.shared.targets[side];
        let addresses = target.addresses();
        let address = addresses[vu as usize % addresses.len()];
        self.live(side, scenario).ready.fetch_add(1, Relaxed);
        Working {
            worker: Rc::clone(self),
            user: User::new(Arc::clone(target), address),
            side,
            scenario,
            vu,
            iteration: 0,
            under_way: None,
            graced: !self.shared.plan.scenarios[scenario].graceful_stop.is_zero(),
        }
    }

    /// Starts an iteration whenever one is due, on a user that is free.
    async fn arrivals(self: Rc<Self>, side: usize, number: usize, mut clock: Clock, users: (u32, u32)) {
        let share = self.shared.plan.share;
        let part = |users: u32| u32::try_from(share.part(u64::from(users))).unwrap_or(users);
        let (pre_allocated, max) = (part(users.0), part(users.1));
        let own = |user: u32| user * share.of + share.index;
        let scenario = &self.shared.plan.scenarios[number];
        let stop = self.shared.origin + scenario.end();
        let free: Rc<RefCell<Vec<Working>>> = Rc::default();
        for vu in 0..pre_allocated {
            free.borrow_mut().push(self.working(side, number, own(vu)));
        }
        let mut users = pre_allocated;
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
                    self.working(side, number, own(users - 1))
                }
                None => {
                    self.live(side, number).dropped.fetch_add(1, Relaxed);
                    let at = due.saturating_duration_since(self.shared.origin);
                    if at >= self.shared.plan.strict.warmup {
                        self.samples.borrow_mut().side(side).add_dropped(
                            &self.shared.plan,
                            index16(number),
                            at,
                        );
                    }
                    continue;
                }
            };
            let free = Rc::clone(&free);
            tasks.spawn_local(async move {
                working.live().vus.fetch_add(1, Relaxed);
                working.worker.note_lag(due.elapsed());
                let stop_token = working.worker.shared.stop.clone();
                let stopped = pin!(stop_token.cancelled());
                let cut = pin!(sleep_until(stop));
                working.iteration(Some(due), cut, stopped).await;
                working.live().vus.fetch_sub(1, Relaxed);
                free.borrow_mut().push(working);
            });
        }
        join_all(&mut tasks).await;
    }

    fn live(&self, side: usize, scenario: usize) -> &LiveScenario {
        &self.shared.side(side).scenarios[scenario]
    }

    fn note_lag(&self, lag: Duration) {
        self.samples.borrow_mut().lag.add(millis(lag));
    }
}

// === impl Working ===

impl Working {
    /// Iterates without a pause in each of the shifts, as long as the budget lasts.
    async fn loops(mut self, shifts: Vec<Shift>, mut budget: Budget) {
        let (origin, stop) = (self.worker.shared.origin, self.worker.shared.stop.clone());
        let mut stopped = pin!(stop.cancelled());
        for (begin, end, grace) in shifts {
            tokio::select! {
                () = sleep_until(origin + begin) => {}
                () = &mut stopped => return,
            }
            let mut cut = pin!(sleep_until(origin + end + grace));
            self.graced = !grace.is_zero();
            self.live().vus.fetch_add(1, Relaxed);
            while Instant::now() < origin + end && self.take(&mut budget) {
                if !self.iteration(None, cut.as_mut(), stopped.as_mut()).await {
                    break;
                }
            }
            self.live().vus.fetch_sub(1, Relaxed);
        }
    }

    /// Whether another iteration may start.
    fn take(&self, budget: &mut Budget) -> bool {
        match budget {
            Budget::Endless => true,
            Budget::Own(left) => {
                let some = *left > 0;
                *left = left.saturating_sub(1);
                some
            }
            Budget::Common(all) => self.live().started.fetch_add(1, Relaxed) < *all,
        }
    }

    /// Does one iteration; tells whether it came to its end. One that was due at `due` is timed from then on.
    async fn iteration(
        &mut self,
        due: Option<Instant>,
        cut: Pin<&mut impl Future<Output = ()>>,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        let begin = due.unwrap_or_else(Instant::now);
        let complete = tokio::select! {
            biased;
            () = self.requests(begin, due.is_some()) => true,
            () = cut => {
                self.interrupt();
                false
            }
            // A run that is stopped says nothing about what was under way.
            () = stopped => false,
        };
        self.count_iteration(begin, complete);
        complete
    }

    /// Sends the requests of an iteration, the first one at `begin`, which may have passed when that was due.
    async fn requests(&mut self, begin: Instant, mut due: bool) {
        let worker = Rc::clone(&self.worker);
        let plan = &worker.shared.plan;
        let mut first = Some(begin);
        let all = &plan.scenarios[self.scenario].requests;
        let chosen = chosen(plan, all, self.vu, self.iteration);
        self.iteration += 1;
        for index in chosen {
            let request = &plan.requests[*index];
            let begin = first.take().unwrap_or_else(Instant::now);
            let now = if std::mem::take(&mut due) {
                Instant::now()
            } else {
                begin
            };
            let lag = now - begin;
            self.under_way = Some((*index, begin));
            let (side, scenario) = (self.side, self.scenario);
            let on_hop = |hop: &Answer| worker.record((side, scenario), *index, begin, hop, true);
            let mut answer = match &worker.messages[side][*index] {
                Ok(message) => self.user.perform(request, message, now.into_std(), on_hop).await,
                Err(error) => Answer::without(*error),
            };
            self.under_way = None;
            // A request that was sent late was late for whoever waited for it.
            if let (true, Some(timings)) = (lag > Duration::ZERO, &mut answer.timings) {
                timings.sending += lag;
            }
            worker.record((side, scenario), *index, begin, &answer, false);
            if !request.sleep.is_zero() {
                tokio::time::sleep(request.sleep).await;
            }
        }
    }

    /// Records the request that was under way when the check ended. One that was not answered in the time of grace
    /// either has failed; without such a time it says only that it took this long at least.
    fn interrupt(&mut self) {
        if let Some((index, begin)) = self.under_way.take() {
            let error = if self.graced {
                ErrorKind::Timeout
            } else {
                ErrorKind::Interrupted
            };
            let answer = self.user.cut_off(error);
            self.worker
                .record((self.side, self.scenario), index, begin, &answer, false);
        }
    }

    fn count_iteration(&mut self, begin: Instant, complete: bool) {
        let (sent, received) = self.user.new_bytes();
        let worker = &self.worker;
        let live = worker.live(self.side, self.scenario);
        let counter = if complete {
            &live.complete
        } else {
            &live.interrupted
        };
        counter.fetch_add(1, Relaxed);
        let mut samples = worker.samples.borrow_mut();
        let samples = samples.side(self.side);
        samples.data_sent += sent;
        samples.data_received += received;
        let warm = begin.saturating_duration_since(worker.shared.origin) >= worker.shared.plan.strict.warmup;
        let iterations = &mut samples.iterations[self.scenario];
        if !complete {
            iterations.interrupted += 1;
        } else if warm {
            iterations.complete += 1;
            iterations.duration.add(millis(begin.elapsed()));
        }
    }

    fn live(&self) -> &LiveScenario {
        self.worker.live(self.side, self.scenario)
    }
}

// === recording ===

impl Worker {
    async fn hand_over(&self, results: &mpsc::Sender<Samples>) {
        self.recorded.set(0);
        let measured = self.samples.replace(Samples::new(&self.shared.plan));
        // The receiver is gone only when the caller is: then nobody wants the rest either.
        if results.send(measured).await.is_err() {
            self.shared.stop.cancel();
        }
    }

    /// Records an answer, and whether the request's checks hold of it.
    fn record(
        &self,
        (side, scenario): (usize, usize),
        index: usize,
        begin: Instant,
        answer: &Answer,
        hop: bool,
    ) {
        let plan = &self.shared.plan;
        let request = &plan.requests[index];
        let key = SeriesKey {
            scenario: index16(scenario),
            request: index16(index),
            status: answer.status,
            error: answer.error,
            hop,
            expected: hop || request.expects(answer.status),
            protocol: answer.protocol,
        };
        let live = self.shared.side(side);
        live.requests.fetch_add(1, Relaxed);
        if key.failed() {
            live.failed.fetch_add(1, Relaxed);
        }
        let at = begin.saturating_duration_since(self.shared.origin);
        if at < plan.strict.warmup {
            return;
        }
        self.recorded.set(self.recorded.get() + 1);
        if self.recorded.get() == FULL {
            self.full.notify_one();
        }
        let mut samples = self.samples.borrow_mut();
        let samples = samples.side(side);
        samples.add_request(plan, key, at, answer.timings);
        if hop {
            return;
        }
        let header = |name: &str| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            answer.headers.get(name).map(hyper::header::HeaderValue::as_bytes)
        };
        let response = Response {
            status: answer.status,
            size: answer.size,
            timings: answer.timings.unwrap_or_default(),
            body: &answer.body,
            header: &header,
        };
        for (check, expression) in &request.checks {
            // Without an answer nothing holds: not even that it was fast.
            let held = answer.error.is_none() && holds(expression, &response);
            samples.add_check(plan, key.scenario, index16(*check), at, held);
        }
    }
}

/// An index of the plan in the width of a series' key.
fn index16(index: usize) -> u16 {
    u16::try_from(index).expect("because a plan has far fewer parts than 65,536")
}
