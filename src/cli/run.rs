//! `gitsync run`: the daemon.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::duration::Duration;
use crate::config::load_check::limits::Limits;
use crate::reconcile::daemon;
use crate::reconcile::election::Election;
use crate::serve::{Server, Settings};
use crate::world::lease::{self, Times};

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
    /// Keep an environment only while holding its Lease, so that several replicas share the environments
    #[arg(long, env = "GITSYNC_LEADER_ELECT")]
    pub leader_elect: bool,
    /// How long other replicas wait after the last renewal of a Lease before they take over, in whole seconds
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "35s",
        requires = "leader_elect"
    )]
    pub leader_elect_lease_duration: Duration,
    /// How long after the last renewal of its Lease a replica still writes
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        requires = "leader_elect"
    )]
    pub leader_elect_renew_deadline: Duration,
    /// How often a Lease is renewed or looked at
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        requires = "leader_elect"
    )]
    pub leader_elect_retry_period: Duration,
    /// Address of the dashboard, the API, metrics and webhooks, for example 127.0.0.1:8080; port 0 takes a free one; by
    /// default nothing listens
    #[arg(long, env = "GITSYNC_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Name by which clients may call the server, besides localhost and addresses; may be repeated
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub listen_host: Vec<String>,
    /// File with the token that actions need; without it, or $GITSYNC_ACTION_TOKEN, the dashboard only shows
    #[arg(long, env = "GITSYNC_ACTION_TOKEN_FILE", value_name = "FILE")]
    pub action_token_file: Option<PathBuf>,
    /// File with the secret of webhooks to /hook; without it, or $GITSYNC_HOOK_SECRET, they are refused
    #[arg(long, env = "GITSYNC_HOOK_SECRET_FILE", value_name = "FILE")]
    pub hook_secret_file: Option<PathBuf>,
}

/// The shortest secret that is taken, in bytes: a shorter one can be guessed.
const SHORTEST_SECRET: usize = 16;

/// Keeps every environment of the repository as git says, until a signal comes.
///
/// # Errors
///
/// When the repository cannot be named, its cache cannot be made, or the address cannot be had. Everything later is
/// waited for and tried again.
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
    shared.election = election(ui, args)?;
    let Some(address) = args.listen else {
        daemon::run(shared, poller).await;
        ui.story("stopped");
        return Ok(Answer::Yes);
    };
    let settings = settings(args)?;
    let acts = if settings.token.is_some() {
        "actions need the token"
    } else {
        "it only shows"
    };
    let (hub, feed) = (shared.hub.clone(), shared.feed.clone());
    let server = Server::bind(address, settings, hub, feed, shared.cancel.clone())
        .await
        .map_err(Failure::usage)?;
    ui.story(&format!("dashboard at http://{}/ ({acts})", server.address()));
    tokio::join!(daemon::run(shared, poller), server.run());
    ui.story("stopped");
    Ok(Answer::Yes)
}

/// The election that this process takes part in, if it does.
fn election(ui: &mut Ui, args: &RunArgs) -> Result<Option<Election>, Failure> {
    if !args.leader_elect {
        return Ok(None);
    }
    let times = Times {
        lease: args.leader_elect_lease_duration.get(),
        renew_deadline: args.leader_elect_renew_deadline.get(),
        retry: args.leader_elect_retry_period.get(),
    };
    let times = times.check().map_err(Failure::usage)?;
    let me = lease::identity();
    ui.story(&format!("this replica is {me}"));
    Ok(Some(Election::new(me, times)))
}

fn settings(args: &RunArgs) -> Result<Settings, Failure> {
    Ok(Settings {
        hosts: args.listen_host.clone(),
        token: secret(args.action_token_file.as_deref(), "GITSYNC_ACTION_TOKEN")?,
        hook_secret: secret(args.hook_secret_file.as_deref(), "GITSYNC_HOOK_SECRET")?,
    })
}

/// A secret from a file, else from a variable; never from an argument, which other processes can see.
fn secret(file: Option<&Path>, variable: &str) -> Result<Option<String>, Failure> {
    let (from, text) = match (file, std::env::var(variable)) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
            (file.display().to_string(), text)
        }
        (None, Ok(text)) if !text.is_empty() => (format!("${variable}"), text),
        (None, _) => return Ok(None),
    };
    let text = text.trim();
    if text.len() < SHORTEST_SECRET {
        return Err(Failure::usage(format!(
            "the secret in {from} has fewer than {SHORTEST_SECRET} characters"
        ))
        .hint("make one with: openssl rand -hex 32"));
    }
    Ok(Some(text.to_owned()))
}
