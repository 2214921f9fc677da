//! `gitsync run`: the daemon.

use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::reconcile::daemon;

/// Arguments of `gitsync run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {}

/// Keeps every environment of the repository as git says, until a signal comes.
///
/// # Errors
///
/// When the repository cannot be named or its cache cannot be made. Everything later is waited for and tried again.
pub async fn run(ui: &mut Ui, context: &Context, _args: &RunArgs) -> Result<Answer, Failure> {
    let remote = context.remote()?;
    ui.story(&format!(
        "gitsync {} follows {} of {}",
        env!("CARGO_PKG_VERSION"),
        remote.git().branch(),
        remote.git().url()
    ));
    let (shared, poller) = context.shared(remote);
    daemon::run(shared, poller).await;
    ui.story("stopped");
    Ok(Answer::Yes)
}
