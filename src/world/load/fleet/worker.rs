//! Worker: a process that sends its part of a load, as it is told on its input.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader, Lines};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::message::{FromWorker, ScenarioStanding, Standing, ToWorker};
use super::send;
use crate::config::load_check::LoadCheckSpec;
use crate::config::load_check::plan::{Plan, Share};
use crate::problem::chain;
use crate::world::load::target::Target;
use crate::world::load::worker::{Live, Shared};
use crate::world::load::{Origins, join, ready, start};

/// How often a worker tells where it stands.
const STANDING: Duration = Duration::from_millis(250);

/// Serves as a worker until `input` ends.
///
/// # Errors
///
/// When `input` is not what a load check says, or nobody reads `output`.
pub async fn serve(
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let mut lines = BufReader::new(input).lines();
    let Some(ToWorker::Prepare { spec, origins, share }) = hear(&mut lines).await? else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the first message is not Prepare",
        ));
    };
    // A check that is given up while the target is waited for closes the input.
    let prepared = tokio::select! {
        prepared = prepare(&spec, &origins, share, cancel) => prepared,
        _ = hear(&mut lines) => return Ok(()),
    };
    let (plan, targets) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return send(&mut output, &FromWorker::Unready { reason }).await,
    };
    send(&mut output, &FromWorker::Ready).await?;
    while let Some(message) = hear(&mut lines).await? {
        if matches!(message, ToWorker::Run) {
            run(&plan, &targets, &mut lines, &mut output, cancel).await?;
        }
    }
    Ok(())
}

async fn prepare(
    spec: &LoadCheckSpec,
    origins: &Origins,
    share: Share,
    cancel: &CancellationToken,
) -> Result<(Arc<Plan>, Vec<Arc<Target>>), String> {
    let plan = spec.compile().map_err(|problems| {
        let problems: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        problems.join("; ")
    })?;
    let plan = Arc::new(Plan { share, ..plan });
    let targets = ready(&plan, origins, cancel)
        .await
        .map_err(|error| chain(&error))?;
    Ok((plan, targets))
}

/// The next message; `None` at the end of the input.
async fn hear<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> io::Result<Option<ToWorker>> {
    let line = lines.next_line().await?;
    line.map(|line| serde_json::from_str(&line).map_err(io::Error::from))
        .transpose()
}

/// Sends the load once, and tells what is measured as it comes.
async fn run<R: AsyncRead + Unpin>(
    plan: &Arc<Plan>,
    targets: &[Arc<Target>],
    lines: &mut Lines<BufReader<R>>,
    output: &mut (impl AsyncWrite + Unpin),
    cancel: &CancellationToken,
) -> io::Result<()> {
    let stop = cancel.child_token();
    // Whatever ends this future ends the threads.
    let _guard = stop.clone().drop_guard();
    let shared = Arc::new(Shared {
        plan: Arc::clone(plan),
        targets: targets.to_vec(),
        origin: Instant::now(),
        stop: stop.clone(),
        live: Live::new(plan),
        unseen: Live::new(plan),
    });
    let (threads, mut results) = match start(&shared) {
        Ok(started) => started,
        Err(error) => {
            return send(
                output,
                &FromWorker::Broken {
                    reason: chain(&error),
                },
            )
            .await;
        }
    };
    let mut tick = tokio::time::interval(STANDING);
    loop {
        tokio::select! {
            measured = results.recv() => match measured {
                Some(measured) => send(output, &FromWorker::Samples(Box::new(measured))).await?,
                None => break,
            },
            _ = tick.tick() => send(output, &FromWorker::Standing(standing(&shared.live))).await?,
            message = hear(lines), if !stop.is_cancelled() => match message? {
                Some(ToWorker::Stop) | None => stop.cancel(),
                Some(_) => {}
            },
        }
    }
    let joined = tokio::task::spawn_blocking(move || join(threads)).await;
    send(output, &FromWorker::Standing(standing(&shared.live))).await?;
    let last = match joined {
        Ok(Ok(())) => FromWorker::Done,
        Ok(Err(error)) => FromWorker::Broken {
            reason: chain(&error),
        },
        Err(_) => FromWorker::Broken {
            reason: "the load generator broke".to_owned(),
        },
    };
    send(output, &last).await
}

fn standing(live: &Live) -> Standing {
    let scenarios = live.scenarios.iter();
    Standing {
        requests: live.requests.load(Relaxed),
        failed: live.failed.load(Relaxed),
        scenarios: scenarios
            .map(|scenario| ScenarioStanding {
                vus: scenario.vus.load(Relaxed),
                ready: scenario.ready.load(Relaxed),
                complete: scenario.complete.load(Relaxed),
                interrupted: scenario.interrupted.load(Relaxed),
                dropped: scenario.dropped.load(Relaxed),
            })
            .collect(),
    }
}
