//! `gitsync promote`: verification and promotion by hand.

use jiff::Timestamp;

use super::context::{Context, head_failure};
use super::failure::{Answer, Failure};
use super::sync::{held, pass_failure};
use super::ui::Ui;
use crate::config::repository::{Config, Promotion};
use crate::promote::decide::Step;
use crate::reconcile::environment::{Options, Reconciler};
use crate::reconcile::feed::fetch_head;
use crate::record::Phase;
use crate::world::cluster::watch;

/// Arguments of `gitsync promote`.
#[derive(Debug, clap::Args)]
pub struct PromoteArgs {
    /// Name of the promotion; may be left out when there is one
    #[arg(value_name = "PROMOTION")]
    pub promotion: Option<String>,
}

/// Syncs the promotion's first environment, waits for it, runs the gates unless they passed already, and promotes.
/// Gates that failed before are run again.
///
/// # Errors
///
/// When git or a cluster cannot be used. A gate or a rollout that fails is the answer no.
pub async fn promote(ui: &mut Ui, context: &Context, args: &PromoteArgs) -> Result<Answer, Failure> {
    let remote = context.remote()?;
    let head = fetch_head(&remote).await.map_err(head_failure)?;
    let promotion = choose(&head.config, args.promotion.as_deref())?.clone();
    let (shared, _poller) = context.shared(remote);
    let mut reconciler = Reconciler::new(
        shared,
        promotion.from.clone(),
        Options {
            promotes: true,
            confirm_prune: false,
            retry_failed_before: Some(Timestamp::now()),
        },
    );
    let changed = reconciler.changed();
    let limit = head.config.environments[&promotion.from].spec.sync.timeout.get();
    let mut deadline = tokio::time::Instant::now() + limit;
    let mut last = String::new();
    loop {
        let outcome = reconciler.pass(&head).await.map_err(pass_failure)?;
        if outcome.message != last {
            ui.story(&format!("{}: {}", promotion.from, outcome.message));
            last.clone_from(&outcome.message);
        }
        match outcome.step {
            Step::Promote(_) => return ui.print(&format!("{last}\n")),
            Step::Rest => {
                return ui.print(&format!(
                    "{} has what {} proved; nothing to promote\n",
                    promotion.to, promotion.from
                ));
            }
            Step::Hold(_) => return Ok(Answer::No),
            Step::Wait(why) => return Err(held(why)),
            // The gates take the time that they are configured to take.
            Step::Verify(_) => deadline = tokio::time::Instant::now() + limit,
            Step::Hook(_) if outcome.phase == Phase::Failed => return Ok(Answer::No),
            Step::RollBack(_) => return Ok(Answer::No),
            Step::Await(_) | Step::Hook(_) | Step::Sync | Step::Prune => {}
        }
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => return Err(Failure::unreachable(format!("not ready after {} s: {last}", limit.as_secs()))),
            () = watch::burst(&changed) => {}
            () = tokio::time::sleep(outcome.again) => {}
        }
    }
}

fn choose<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Promotion, Failure> {
    let known: Vec<&str> = config.promotions.keys().map(String::as_str).collect();
    let found = match name {
        Some(name) => config.promotions.get(name),
        None if known.len() == 1 => config.promotions.values().next(),
        None => None,
    };
    found.ok_or_else(|| match name {
        Some(name) => Failure::usage(format!("there is no promotion `{name}`"))
            .hint(format!("promotions are {}", known.join(", "))),
        None => Failure::usage("name the promotion").hint(format!("promotions are {}", known.join(", "))),
    })
}
