//! Bounds: how long a git operation may take, and who may end it earlier.
//!
//! git's own code blocks in reads of sockets and pipes. A watch runs beside each operation: at the deadline, or
//! when the caller cancels, it raises the flag that gix looks at, wakes what waits on a socket, and kills the
//! children that something waits on.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio_util::sync::CancellationToken;

use super::error::GitError;

/// The limits of one operation.
#[derive(Debug, Clone)]
pub struct Bounds {
    timeout: Duration,
    deadline: Instant,
    cancel: CancellationToken,
    /// Whether the remote is waited for as long as it goes on speaking.
    patient: bool,
}

/// How long an operation may take that is waited for as long as the remote goes on speaking.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The watch over one operation; it ends with the value.
pub(super) struct Watch {
    bounds: Bounds,
    shared: Arc<Shared>,
    done: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the operation and its watch look at together.
pub(super) struct Shared {
    /// The flag that gix reads between its steps.
    pub(super) interrupt: AtomicBool,
    /// Cancelled at the moment the operation has to end.
    pub(super) ended: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    why: Option<Ended>,
    /// Between "push sent" and "push answered" nobody may cancel; the deadline still counts.
    shielded: bool,
    /// The process group of the running child, which leads it.
    group: Option<Pid>,
    /// Since when the remote is waited for.
    waiting_since: Option<Instant>,
}

/// A stream to or from the remote; the watch sees how long each call waits.
pub(super) struct Awaited<S> {
    stream: S,
    shared: Arc<Shared>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Cancelled,
    TimedOut,
}

// === impl Bounds ===

impl Bounds {
    /// An operation that starts now, takes at most `timeout`, and ends early when `cancel` is cancelled.
    #[must_use]
    pub fn new(timeout: Duration, cancel: CancellationToken) -> Self {
        Self {
            timeout,
            deadline: Instant::now() + timeout,
            cancel,
            patient: false,
        }
    }

    /// The same, but the time is that of each silence of the remote, and the whole may take an hour: how long a pack
    /// takes depends on its size and on the network, and one that is given up begins anew.
    pub(super) fn patient(&self) -> Self {
        Self {
            deadline: Instant::now() + PATIENCE,
            patient: true,
            ..self.clone()
        }
    }

    /// When the operation is to be ended, if it goes on as it does.
    fn end(&self, shared: &Shared) -> Instant {
        match shared.lock().waiting_since {
            Some(since) if self.patient => self.deadline.min(since + self.timeout),
            // Nobody is waited for now: look again when somebody may have been for too long.
            None if self.patient => self.deadline.min(Instant::now() + self.timeout),
            _ => self.deadline,
        }
    }

    /// When the operation ends at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the operation has to end, and with which error.
    pub(super) fn check(&self, url: &impl ToString) -> Result<(), GitError> {
        if self.cancel.is_cancelled() {
            return Err(GitError::Cancelled);
        }
        if Instant::now() >= self.deadline {
            return Err(self.timed_out(url));
        }
        Ok(())
    }

    pub(super) fn timed_out(&self, url: &impl ToString) -> GitError {
        GitError::TimedOut {
            url: url.to_string(),
            after: self.timeout,
        }
    }
}

// === impl Watch ===

impl Watch {
    /// Starts to watch over an operation.
    pub(super) fn start(bounds: &Bounds) -> Self {
        let shared = Arc::new(Shared {
            interrupt: AtomicBool::new(false),
            ended: CancellationToken::new(),
            state: Mutex::default(),
        });
        let done = CancellationToken::new();
        let thread = {
            let (bounds, shared, done) = (bounds.clone(), Arc::clone(&shared), done.clone());
            std::thread::Builder::new()
                .name("git watch".into())
                .spawn(move || watch(&bounds, &shared, &done))
                .ok()
        };
        // Without a watch the operation would have no bounds, so it ends before it starts.
        if thread.is_none() {
            shared.end(Ended::TimedOut);
        }
        Self {
            bounds: bounds.clone(),
            shared,
            done,
            thread,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The error of an operation that was ended from outside, if it was.
    pub(super) fn ended(&self, url: &impl ToString) -> Option<GitError> {
        match self.shared.lock().why? {
            Ended::Cancelled => Some(GitError::Cancelled),
            Ended::TimedOut => Some(self.bounds.timed_out(url)),
        }
    }

    /// From here on only the deadline ends the operation.
    ///
    /// # Errors
    ///
    /// When it has been ended already.
    pub(super) fn shield(&self, url: &impl ToString) -> Result<(), GitError> {
        self.shared.lock().shielded = true;
        self.ended(url).map_or(Ok(()), Err)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn watch(bounds: &Bounds, shared: &Shared, done: &CancellationToken) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        return shared.end(Ended::TimedOut);
    };
    runtime.block_on(async {
        // A shielded operation goes on after a cancellation, but not after the deadline.
        let mut cancelled = false;
        loop {
            let end = bounds.end(shared);
            if Instant::now() >= end {
                return shared.end(Ended::TimedOut);
            }
            tokio::select! {
                () = done.cancelled() => return,
                () = bounds.cancel.cancelled(), if !cancelled => {
                    shared.end(Ended::Cancelled);
                    cancelled = true;
                }
                () = tokio::time::sleep_until(end.into()) => {}
            }
        }
    });
}

// === impl Awaited ===

impl<S> Awaited<S> {
    pub(super) fn new(stream: S, shared: &Arc<Shared>) -> Self {
        Self {
            stream,
            shared: Arc::clone(shared),
        }
    }
}

impl<S: Read> Read for Awaited<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stream = &mut self.stream;
        self.shared.waiting(|| stream.read(buffer))
    }
}

impl<S: Write> Write for Awaited<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = &mut self.stream;
        self.shared.waiting(|| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let stream = &mut self.stream;
        self.shared.waiting(|| stream.flush())
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: Ended) {
        let mut state = self.lock();
        if state.why.is_some() || (state.shielded && why == Ended::Cancelled) {
            return;
        }
        state.why = Some(why);
        self.interrupt.store(true, Ordering::Relaxed);
        self.ended.cancel();
        kill(state.group);
    }

    /// Does something that waits for the remote.
    pub(super) fn waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.lock().waiting_since = Some(Instant::now());
        let result = work();
        self.lock().waiting_since = None;
        result
    }

    /// Puts a child, the leader of its own process group, under the watch.
    pub(super) fn adopt(&self, child: &std::process::Child) {
        let mut state = self.lock();
        state.group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if state.why.is_some() {
            kill(state.group);
        }
    }

    /// Kills the child's process group and forgets it. Must be called before the child is waited for: until
    /// then its id belongs to nobody else.
    pub(super) fn release(&self) {
        let group = self.lock().group.take();
        kill(group);
    }
}

fn kill(group: Option<Pid>) {
    if let Some(group) = group {
        // The group may have ended by itself.
        kill_process_group(group, Signal::KILL).ok();
    }
}
