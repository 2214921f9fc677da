//! Fleet: one load sent by several processes, as pods of a Job or as children, and merged exactly.
//!
//! ```text
//! check ─▶ Prepare ─▶ each worker: Ready ─▶ Run to all at once ─▶ Standing, Samples … ─▶ Done ─▶ Run again, or the end
//! ```
//!
//! The messages are lines of JSON over any pair of streams ([`message`]). A worker opens no port and needs no right in
//! the cluster; it ends when its input does.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::worker::{Live, Shared};
use super::{Checked, Generator, LoadError, Origins, collect, until_clear};
use crate::config::load_check::LoadCheckSpec;
use crate::config::load_check::plan::{Plan, Share};
use crate::verify::progress::Progress;
use crate::verify::samples::Samples;

pub mod job;
pub mod message;
pub mod pods;
pub mod worker;

use message::{FromWorker, Standing, ToWorker};

/// The two streams of a worker.
pub struct Link {
    /// What it reads.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it writes.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// What has to be kept as long as the streams are used.
    pub keep: Option<Box<dyn Send>>,
}

/// Workers that are ready to send load.
pub struct Fleet {
    inputs: Vec<Box<dyn AsyncWrite + Send + Unpin>>,
    heard: mpsc::Receiver<(usize, Result<FromWorker, String>)>,
    /// Reads the workers' outputs; ends with the fleet.
    _readers: JoinSet<()>,
    _kept: Vec<Box<dyn Send>>,
}

/// A longer line is no message of ours.
const LONGEST_LINE: u64 = 64 << 20;

/// How long a worker may take to answer, beside the wait for its target.
const ANSWER: Duration = Duration::from_secs(30);

/// Sends the load of `plan`, which `spec` compiles to, from `links` to `origins`, and judges it as if one process had
/// sent it.
///
/// # Errors
///
/// When a worker does not get ready, or ends early.
pub async fn check(
    spec: &LoadCheckSpec,
    plan: Plan,
    origins: Origins,
    links: Vec<Link>,
    progress: watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Checked, LoadError> {
    let plan = Arc::new(plan);
    let url = origins.target.clone();
    let fleet = tokio::select! {
        fleet = Fleet::prepare(spec, &plan, origins, links) => fleet?,
        () = cancel.cancelled() => return Err(broken("interrupted while its workers got ready")),
    };
    until_clear(&plan, url, Generator::Fleet(fleet), &progress, cancel).await
}

fn broken(why: impl Into<String>) -> LoadError {
    LoadError::Worker(why.into())
}

// === impl Fleet ===

impl Fleet {
    /// Gives each worker its part, and waits until all have reached the target.
    async fn prepare(
        spec: &LoadCheckSpec,
        plan: &Plan,
        origins: Origins,
        links: Vec<Link>,
    ) -> Result<Self, LoadError> {
        let of = u32::try_from(links.len()).unwrap_or(u32::MAX);
        let (sender, heard) = mpsc::channel(2 * links.len().max(1));
        let mut fleet = Self {
            inputs: Vec::new(),
            heard,
            _readers: JoinSet::new(),
            _kept: Vec::new(),
        };
        for (
            index,
            Link {
                mut input,
                output,
                keep,
            },
        ) in (0..).zip(links)
        {
            let share = Share { index, of };
            let message = ToWorker::Prepare {
                spec: Box::new(spec.clone()),
                origins: origins.clone(),
                share,
            };
            send(&mut input, &message)
                .await
                .map_err(|error| gone(index as usize, &error))?;
            fleet.inputs.push(input);
            fleet._kept.extend(keep);
            fleet._readers.spawn(read(index as usize, output, sender.clone()));
        }
        drop(sender);
        let deadline = Instant::now() + plan.wait_ready + ANSWER;
        for _ in 0..fleet.inputs.len() {
            match tokio::time::timeout_at(deadline, fleet.next()).await {
                Ok((_, Ok(FromWorker::Ready))) => {}
                Ok((index, Ok(FromWorker::Unready { reason }))) => {
                    return Err(LoadError::Unready {
                        worker: index,
                        reason,
                    });
                }
                Ok((index, Ok(_))) => return Err(broken(format!("worker {index} spoke out of turn"))),
                Ok((index, Err(why))) => return Err(broken(format!("worker {index}: {why}"))),
                Err(_) => return Err(broken("a worker did not get ready in time")),
            }
        }
        Ok(fleet)
    }

    async fn next(&mut self) -> (usize, Result<FromWorker, String>) {
        let nobody = || (0, Err("all workers have ended".to_owned()));
        self.heard.recv().await.unwrap_or_else(nobody)
    }

    async fn tell(&mut self, message: &ToWorker) -> Result<(), LoadError> {
        let all = self.inputs.iter_mut().map(|input| send(input, message));
        for (index, sent) in futures::future::join_all(all).await.into_iter().enumerate() {
            sent.map_err(|error| gone(index, &error))?;
        }
        Ok(())
    }

    /// Sends the load of `plan` once, from all workers together.
    ///
    /// # Errors
    ///
    /// When a worker ends early.
    pub(super) async fn run(
        &mut self,
        plan: &Arc<Plan>,
        progress: &watch::Sender<Progress>,
        repetition: u32,
        cancel: &CancellationToken,
    ) -> Result<Samples, LoadError> {
        self.tell(&ToWorker::Run).await?;
        let shared = Shared {
            plan: Arc::clone(plan),
            targets: Vec::new(),
            origin: Instant::now(),
            stop: CancellationToken::new(),
            live: Live::new(plan),
            unseen: Live::new(plan),
        };
        let (sender, results) = mpsc::channel(2);
        let (samples, heard) = tokio::join!(
            collect(&shared, results, progress, repetition, cancel),
            self.listen(&shared, sender)
        );
        heard?;
        Ok(Samples {
            elapsed: shared.origin.elapsed(),
            ..samples
        })
    }

    /// Hands on what the workers measure until each is done, and tells them to stop when the run is to end.
    async fn listen(&mut self, shared: &Shared, samples: mpsc::Sender<Samples>) -> Result<(), LoadError> {
        let mut standings = vec![Standing::default(); self.inputs.len()];
        let (mut left, mut stopped) = (self.inputs.len(), false);
        let mut waiting = VecDeque::new();
        while left > 0 {
            tokio::select! {
                (index, heard) = self.next() => match heard.map_err(|why| broken(format!("worker {index}: {why}")))? {
                    FromWorker::Samples(measured) => waiting.push_back(*measured),
                    FromWorker::Standing(standing) => {
                        standings[index] = standing;
                        show(&standings, &shared.live);
                    }
                    FromWorker::Done => left -= 1,
                    FromWorker::Broken { reason } => return Err(broken(format!("worker {index}: {reason}"))),
                    FromWorker::Ready | FromWorker::Unready { .. } => {
                        return Err(broken(format!("worker {index} spoke out of turn")));
                    }
                },
                () = shared.stop.cancelled(), if !stopped => {
                    stopped = true;
                    self.tell(&ToWorker::Stop).await?;
                }
            }
            while let Some(measured) = waiting.pop_front() {
                // Only an end of the run closes the channel, and then nobody wants to know.
                let _ = samples.send(measured).await;
            }
        }
        Ok(())
    }
}

/// Adds up where the workers stand.
fn show(standings: &[Standing], live: &Live) {
    live.requests
        .store(standings.iter().map(|one| one.requests).sum(), Relaxed);
    live.failed
        .store(standings.iter().map(|one| one.failed).sum(), Relaxed);
    for (index, scenario) in live.scenarios.iter().enumerate() {
        let of = || standings.iter().filter_map(|one| one.scenarios.get(index));
        scenario.vus.store(of().map(|one| one.vus).sum(), Relaxed);
        scenario.ready.store(of().map(|one| one.ready).sum(), Relaxed);
        scenario
            .complete
            .store(of().map(|one| one.complete).sum(), Relaxed);
        scenario
            .interrupted
            .store(of().map(|one| one.interrupted).sum(), Relaxed);
        scenario.dropped.store(of().map(|one| one.dropped).sum(), Relaxed);
    }
}

// === streams ===

fn gone(index: usize, error: &io::Error) -> LoadError {
    broken(format!("worker {index} does not listen: {error}"))
}

async fn send(input: &mut (impl AsyncWrite + Unpin), message: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    input.write_all(&line).await?;
    input.flush().await
}

/// Hands on every message of a worker, and at last why there are no more.
async fn read(
    index: usize,
    output: Box<dyn AsyncRead + Send + Unpin>,
    sender: mpsc::Sender<(usize, Result<FromWorker, String>)>,
) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let heard = match (&mut output)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) => Err("it ended early".to_owned()),
            Ok(_) => serde_json::from_slice(&line)
                .map_err(|error| format!("it does not speak as it should: {error}")),
            Err(error) => Err(format!("it cannot be heard: {error}")),
        };
        let last = heard.is_err();
        if sender.send((index, heard)).await.is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
pub mod tests;
