//! `gitsync sync`: one environment brought in line by hand, and waited for.

use super::context::{Context, env_name, head_failure};
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;
use crate::config::duration::Duration as Span;
use crate::promote::decide::Step;
use crate::reconcile::environment::error::{PassError, problems_of, summary};
use crate::reconcile::environment::{Options, Reconciler};
use crate::reconcile::feed::fetch_head;
use crate::record::Phase;
use crate::world::cluster::watch;

/// Arguments of `gitsync sync`.
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    /// Environment to sync
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: String,
    /// How long to wait until everything is healthy; by default what the environment says
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Span>,
    /// Prune also namespaces, volumes and CRDs that git no longer has
    #[arg(long)]
    pub confirm_prune: bool,
}

/// Syncs until everything is healthy and pruned. Gates are not run and nothing is promoted.
///
/// # Errors
///
/// When git or the cluster cannot be used. A rollout that fails is the answer no.
pub async fn sync(ui: &mut Ui, context: &Context, args: &SyncArgs) -> Result<Answer, Failure> {
    let name = env_name(&args.env)?;
    let remote = context.remote()?;
    let head = fetch_head(&remote).await.map_err(head_failure)?;
    let environment = head
        .config
        .environment(&args.env)
        .map_err(|problem| Failure::usage(crate::problem::Problems::from(problem)))?;
    let limit = args.timeout.unwrap_or(environment.spec.sync.timeout).get();
    let (shared, _poller) = context.shared(remote);
    let mut reconciler = Reconciler::new(
        shared,
        name,
        Options {
            promotes: false,
            confirm_prune: args.confirm_prune,
            retry_failed_before: None,
        },
    );
    let changed = reconciler.changed();
    let deadline = tokio::time::Instant::now() + limit;
    let mut last = String::new();
    loop {
        let outcome = reconciler.pass(&head).await.map_err(pass_failure)?;
        if outcome.message != last {
            ui.story(&format!(
                "{name}: {message}",
                name = args.env,
                message = outcome.message
            ));
            last.clone_from(&outcome.message);
        }
        match outcome.step {
            Step::Rest => return Ok(Answer::Yes),
            Step::Hold(_) => return Ok(Answer::No),
            Step::Wait(why) => return Err(held(why)),
            Step::Hook(_) if outcome.phase == Phase::Failed => return Ok(Answer::No),
            Step::RollBack(_) => return Ok(Answer::No),
            Step::Await(_)
            | Step::Hook(_)
            | Step::Sync
            | Step::Prune
            | Step::Verify(_)
            | Step::Promote(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => {
                return Err(Failure::unreachable(format!("not healthy after {} s: {last}", limit.as_secs())));
            }
            () = watch::burst(&changed) => {}
            () = tokio::time::sleep(outcome.again) => {}
        }
    }
}

/// What a person or the clock has to allow first, at the edge.
pub fn held(why: String) -> Failure {
    Failure::new(Kind::Refused, why)
}

/// A pass that did not come to an end, at the edge.
pub fn pass_failure(error: PassError) -> Failure {
    let kind = if error.is_transient() {
        Kind::Unreachable
    } else {
        Kind::Usage
    };
    let hint = error.hint();
    let problems = problems_of(&error);
    let failure = if problems.is_empty() {
        Failure::new(kind, error)
    } else {
        let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        Failure::new(kind, format!("{}:{}", summary(&error), lines.concat()))
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
