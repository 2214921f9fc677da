//! `gitsync suspend` and `gitsync resume`: an environment left alone, by a file in git.

use jiff::Timestamp;

use super::context::{Context, env_name};
use super::edit::{self, EditArgs};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::orders::SuspensionSpec;
use crate::promote::orders;
use crate::reconcile::orders::now;

/// Arguments of `gitsync suspend`.
#[derive(Debug, clap::Args)]
pub struct SuspendArgs {
    /// Environment to leave alone
    #[arg(value_name = "ENV")]
    pub env: String,
    /// Why, for whoever finds it suspended
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// When it ends by itself: a time (2026-01-31T18:00:00Z) or a duration from now (2h)
    #[arg(long, value_name = "TIME|DURATION", value_parser = |text: &str| orders::until(text, now()))]
    pub until: Option<Timestamp>,
    #[command(flatten)]
    edit: EditArgs,
}

/// Arguments of `gitsync resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Environment to take care of again
    #[arg(value_name = "ENV")]
    pub env: String,
    #[command(flatten)]
    edit: EditArgs,
}

/// Commits a suspension: nothing is applied, drift stays, nothing is promoted to the environment or from it.
///
/// # Errors
///
/// When there is no such environment, or the push is refused.
pub async fn suspend(ui: &mut Ui, context: &Context, args: &SuspendArgs) -> Result<Answer, Failure> {
    let name = env_name(&args.env)?;
    if args.until.is_some_and(|until| until <= Timestamp::now()) {
        return Err(Failure::usage("--until is in the past"));
    }
    let spec = SuspensionSpec {
        reason: args.reason.clone(),
        by: Some(context.identity().name),
        until: args.until,
    };
    let (name, spec) = (&name, &spec);
    edit::push(ui, context, &args.edit, |tip| async move {
        Ok(orders::suspend(&tip.snapshot, name, spec)?)
    })
    .await
}

/// Commits the end of a suspension.
///
/// # Errors
///
/// When there is no such environment, or the push is refused.
pub async fn resume(ui: &mut Ui, context: &Context, args: &ResumeArgs) -> Result<Answer, Failure> {
    let name = &env_name(&args.env)?;
    edit::push(ui, context, &args.edit, |tip| async move {
        Ok(orders::resume(&tip.snapshot, name)?)
    })
    .await
}
