//! `gitsync rollback`: an environment as it was before its last promotion, as a commit.

use super::context::{Context, env_name};
use super::edit::{self, EditArgs};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::reconcile::orders::{self, Back, now};

/// Arguments of `gitsync rollback`.
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// Environment to roll back
    #[arg(value_name = "ENV")]
    pub env: String,
    /// Commit whose images and proof come back, by the beginning of its id; by default the promotion before the last
    #[arg(long, value_name = "REV")]
    pub to: Option<String>,
    /// Why; it stands in the commit and in the quarantine
    #[arg(long, value_name = "TEXT", default_value = "rolled back")]
    pub reason: String,
    #[command(flatten)]
    edit: EditArgs,
}

/// Commits the images and the proof of an earlier state, and puts what it leaves into quarantine, so that promotion
/// does not bring it back. Needs neither a cluster nor a working staging.
///
/// # Errors
///
/// When there is nothing to go back to, an overlay cannot be edited safely, or the push is refused.
pub async fn rollback(ui: &mut Ui, context: &Context, args: &RollbackArgs) -> Result<Answer, Failure> {
    let name = env_name(&args.env)?;
    let remote = &context.remote()?;
    let by = context.identity().name;
    let back = Back {
        environment: &name,
        to: args.to.as_deref(),
        reason: &args.reason,
        by: &by,
        now: now(),
    };
    edit::push(ui, context, &args.edit, |tip| async move {
        Ok(orders::back(remote, &tip.snapshot, back).await?)
    })
    .await
}
