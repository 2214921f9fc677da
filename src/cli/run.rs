//! `gitsync run`: the daemon.

use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::duration::Duration;
use crate::config::load_check::limits::Limits;
use crate::reconcile::daemon;

/// Arguments of `gitsync run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Most virtual users that a gate may have at once
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().vus)]
    pub max_vus: u32,
    /// Most iterations per second that an arrival rate of a gate may start
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().rate)]
    pub max_rate: u32,
    /// Longest run of a gate, its time of grace included
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub max_duration: Duration,
}

/// Keeps every environment of the repository as git says, until a signal comes.
///
/// # Errors
///
/// When the repository cannot be named or its cache cannot be made. Everything later is waited for and tried again.
pub async fn run(ui: &mut Ui, context: &Context, args: &RunArgs) -> Result<Answer, Failure> {
    let remote = context.remote()?;
    ui.story(&format!(
        "gitsync {} follows {} of {}",
        env!("CARGO_PKG_VERSION"),
        remote.git().branch(),
        remote.git().url()
    ));
    let (mut shared, poller) = context.shared(remote);
    shared.limits = Limits {
        vus: args.max_vus,
        rate: args.max_rate,
        duration: args.max_duration.get(),
    };
    daemon::run(shared, poller).await;
    ui.story("stopped");
    Ok(Answer::Yes)
}
