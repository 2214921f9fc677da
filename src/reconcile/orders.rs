//! Orders, carried out: what a person decided becomes a commit on the branch, and the loop takes it from there.
//!
//! The command line and the dashboard come through here. The dashboard leaves its orders at the [hub](super::hub); a
//! task of the daemon takes them one after the other.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::feed::HeadError;
use super::promotion::gates_hash;
use crate::config::orders::{Approval, SuspensionSpec};
use crate::config::repository::Config;
use crate::config::verified;
use crate::model::{EnvName, Revision, trailer};
use crate::problem::{Problem, Problems};
use crate::promote::orders::{self, Wish, environment_dir, promoter};
use crate::promote::rollback::{Request, has_rejected, roll_back};
use crate::source::Snapshot;
use crate::world::cluster::ClusterError;
use crate::world::cluster::connect::{ConnectError, connect};
use crate::world::git::{Commit, GitError, Identity, PushError};
use crate::world::lease::Leader;
use crate::world::remote::Remote;
use crate::world::write_back::{Draft, Plan, Writer, Written};

/// How far back a state is looked for.
const HISTORY_LIMIT: usize = 10_000;

/// How many orders may wait.
const WAITING: usize = 16;

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Allow the promotion of exactly what was proved, under this name.
    Approve {
        /// The evidence that the person saw.
        evidence: String,
    },
    /// Go back to an earlier state.
    Rollback {
        /// The beginning of a commit's id; by default the promotion before the last.
        to: Option<String>,
        /// Why.
        reason: String,
    },
    /// Leave the environment alone.
    Suspend {
        /// Why.
        reason: String,
        /// When that ends by itself.
        until: Option<Timestamp>,
    },
    /// Take care of the environment again.
    Resume,
}

/// What an order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The commit; none when git already said so.
    pub revision: Option<Revision>,
    /// One sentence.
    pub said: String,
}

/// Why an order was not carried out. Nothing was changed, unless a push was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It cannot be done as it was asked.
    #[error("{}", unhinted(.0))]
    Wrong(Problems),
    /// A guard refuses it.
    #[error("{}", .0.message)]
    Refused(Problem),
    /// Git does not give what it should.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The configuration cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The push did not go through.
    #[error(transparent)]
    Push(#[from] PushError),
    /// No client of the proving cluster can be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The proving cluster does not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// There is no daemon behind the page, or it is on its way out.
    #[error("nobody carries out orders now")]
    Nobody,
}

/// An order on its way to the daemon.
pub struct Letter {
    environment: EnvName,
    order: Order,
    by: String,
    answer: oneshot::Sender<Result<Carried, OrderError>>,
}

/// Where orders are left, and where the daemon takes them.
pub struct Mailbox {
    post: mpsc::Sender<Letter>,
    taken: Mutex<Option<mpsc::Receiver<Letter>>>,
}

/// Where an environment goes back to.
#[derive(Debug, Clone, Copy)]
pub struct Back<'a> {
    /// The environment.
    pub environment: &'a EnvName,
    /// The beginning of a commit's id; by default the promotion before the last.
    pub to: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
    /// Who asks.
    pub by: &'a str,
    /// When.
    pub now: Timestamp,
}

struct Target {
    revision: Revision,
    snapshot: Snapshot,
    /// The evidence of the promotion that is taken back.
    evidence: Option<String>,
}

/// The present time, in whole seconds: more says nothing to people.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The name of what the environment that promotes to `to` has proved, by the record in its cluster.
///
/// # Errors
///
/// When nothing leads there, the cluster cannot be asked, or nothing was proved of what runs now.
pub async fn proved(config: &Config, kubeconfig: Option<&Path>, to: &EnvName) -> Result<String, OrderError> {
    let (promotion, from) = promoter(config, to).map_err(wrong)?;
    let cluster = connect(&from.spec, kubeconfig, &Leader::alone()).await?;
    let record = cluster.read_record(&from.name).await?.record;
    let evidence = orders::evidence(&record, &promotion.name, &gates_hash(promotion, config));
    evidence.ok_or_else(|| {
        let name = &from.name;
        let why = format!("{name} has not proved what it runs now; there is nothing to approve");
        OrderError::Refused(Problem::new(why).hint(format!("gitsync status --env {name}")))
    })
}

/// The edit that takes an environment back. It needs neither a cluster nor a working staging.
///
/// # Errors
///
/// When there is nothing to go back to, or an overlay cannot be edited safely.
pub async fn back(remote: &Remote, tip: &Snapshot, back: Back<'_>) -> Result<Wish, OrderError> {
    let dir = environment_dir(tip, back.environment.as_str()).map_err(wrong)?;
    let target = match back.to {
        Some(text) => named(remote, tip, text).await?,
        None => before_the_last(remote, tip, back.environment, &dir).await?,
    };
    let done = roll_back(Request {
        environment: back.environment,
        dir: &dir,
        tip,
        to: &target.snapshot,
        evidence: target.evidence.as_deref(),
        reason: back.reason,
        by: back.by,
        now: back.now,
    })
    .map_err(OrderError::Wrong)?;
    Ok(orders::rollback(
        back.environment,
        dir,
        &target.revision,
        back.reason,
        done,
    ))
}

/// The commit that a person named.
async fn named(remote: &Remote, tip: &Snapshot, text: &str) -> Result<Target, OrderError> {
    let history = remote.history(tip.revision(), None, HISTORY_LIMIT).await?;
    let begins = |commit: &&Commit| text.len() >= 4 && commit.revision.as_str().starts_with(text);
    let found: Vec<&Commit> = history.iter().filter(begins).collect();
    match found[..] {
        [commit] => Ok(Target {
            revision: commit.revision.clone(),
            snapshot: remote.snapshot(&commit.revision).await?,
            evidence: None,
        }),
        [] => Err(wrong(
            Problem::new(format!("no commit of the branch begins with `{text}`"))
                .hint("git log --oneline lists them; four digits at least"),
        )),
        [..] => Err(wrong(Problem::new(format!(
            "`{text}` is the beginning of {} commits; write more of it",
            found.len()
        )))),
    }
}

/// The state before the promotion that the environment has now; states with a rejected image are passed over.
async fn before_the_last(
    remote: &Remote,
    tip: &Snapshot,
    name: &EnvName,
    dir: &str,
) -> Result<Target, OrderError> {
    let path = format!("{dir}/{}", verified::FILE_NAME);
    let nothing = |why: &str| {
        let hint = format!("name the commit to go back to: gitsync rollback {name} --to REV");
        wrong(Problem::new(format!("{name} {why}")).hint(hint))
    };
    let rejected = |snapshot: &Snapshot| has_rejected(snapshot, tip, dir).map_err(OrderError::Wrong);
    let present = tip
        .tree_id(&path)
        .ok_or_else(|| nothing("has never received a promotion"))?;
    let history = remote.history(tip.revision(), None, HISTORY_LIMIT).await?;
    let mut evidence = None;
    let mut last_with_it = None;
    for (index, commit) in history.iter().enumerate() {
        let Some(trailer) = evidence_of(commit) else {
            continue;
        };
        let snapshot = remote.snapshot(&commit.revision).await?;
        if snapshot.tree_id(&path).as_deref() == Some(present.as_str()) {
            (evidence, last_with_it) = (Some(trailer), Some(index));
        } else if last_with_it.is_some() && !rejected(&snapshot)? {
            let revision = commit.revision.clone();
            return Ok(Target {
                revision,
                snapshot,
                evidence,
            });
        }
    }
    // Before its first promotion, the environment was as its overlay says there.
    let parent = last_with_it.and_then(|index| history.get(index + 1));
    let parent = parent.ok_or_else(|| nothing("has no earlier state"))?;
    let snapshot = remote.snapshot(&parent.revision).await?;
    if rejected(&snapshot)? {
        return Err(nothing("has no earlier state that is not in quarantine"));
    }
    Ok(Target {
        revision: parent.revision.clone(),
        snapshot,
        evidence,
    })
}

/// The evidence that a commit names, when it is a promotion.
pub(super) fn evidence_of(commit: &Commit) -> Option<String> {
    let mut trailers = commit.trailers.iter();
    let (_, value) = trailers.find(|(key, _)| key == trailer::EVIDENCE)?;
    Some(value.clone())
}

/// Carries out, one after the other, what is left at the hub, until the daemon ends.
pub async fn serve(shared: Shared) {
    let Some(mut letters) = shared.hub.mailbox().open() else {
        return;
    };
    loop {
        let letter = tokio::select! {
            () = shared.cancel.cancelled() => return,
            letter = letters.recv() => letter,
        };
        let Some(letter) = letter else { return };
        let carried = carry_out(&shared, &letter.environment, letter.order, &letter.by).await;
        shared.feed.poke();
        // Who asked may have gone; the log and git have the answer.
        let _ = letter.answer.send(carried);
    }
}

async fn carry_out(shared: &Shared, name: &EnvName, order: Order, by: &str) -> Result<Carried, OrderError> {
    if let Order::Approve { evidence } = &order {
        let head = super::feed::fetch_head(&shared.remote).await?;
        let proved = proved(&head.config, shared.kubeconfig.as_deref(), name).await?;
        if proved != *evidence {
            let why = "something else was proved since; look at it again before approving";
            return Err(OrderError::Refused(Problem::new(why)));
        }
    }
    let (order, time) = (&order, now());
    let last = Mutex::new(None);
    let plan = |tip: Snapshot| {
        let last = &last;
        async move {
            let wish = wish(&shared.remote, &tip, name, order, by, time).await?;
            let mut message = wish.message.clone();
            message.trailers.push((trailer::BY.to_owned(), by.to_owned()));
            let (dir, edit) = (wish.dir.clone(), wish.edit.clone());
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(wish);
            Ok::<_, OrderError>(Plan::<()>::Commit(Draft { dir, edit, message }))
        }
    };
    let identity = Identity {
        name: by.to_owned(),
        ..Identity::clone(&shared.identity)
    };
    // A person orders this, whichever replica was asked; only what follows by itself needs a leader.
    let writer = Writer {
        remote: &shared.remote,
        identity: &identity,
        leader: &Leader::alone(),
    };
    let written = writer.write_back(|_| {}, plan).await?;
    let wish = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (done, idle) = wish.map(|wish| (wish.done, wish.idle)).unwrap_or_default();
    Ok(match written {
        Written::Pushed(revision) => Carried {
            revision: Some(revision),
            said: done,
        },
        Written::Unchanged | Written::Left(()) => Carried {
            revision: None,
            said: idle,
        },
    })
}

async fn wish(
    remote: &Remote,
    tip: &Snapshot,
    name: &EnvName,
    order: &Order,
    by: &str,
    now: Timestamp,
) -> Result<Wish, OrderError> {
    let wish = match order {
        Order::Approve { evidence } => {
            let approval = Approval {
                image: None,
                evidence: Some(evidence.clone()),
                by: Some(by.to_owned()),
                time: Some(now),
            };
            orders::approve(tip, name, &[approval])
        }
        Order::Rollback { to, reason } => {
            let asked = Back {
                environment: name,
                to: to.as_deref(),
                reason,
                by,
                now,
            };
            return back(remote, tip, asked).await;
        }
        Order::Suspend { reason, until } => {
            let spec = SuspensionSpec {
                reason: reason.clone(),
                by: Some(by.to_owned()),
                until: *until,
            };
            orders::suspend(tip, name, &spec)
        }
        Order::Resume => orders::resume(tip, name),
    };
    wish.map_err(OrderError::Wrong)
}

fn wrong(problem: Problem) -> OrderError {
    OrderError::Wrong(problem.into())
}

/// The problems; the advice on a single one is told beside it.
fn unhinted(problems: &Problems) -> String {
    match &problems.0[..] {
        [one] => Problem {
            hint: None,
            ..one.clone()
        }
        .to_string(),
        _ => problems.to_string(),
    }
}

// === impl OrderError ===

impl OrderError {
    /// What to do next, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Wrong(Problems(problems)) => match &problems[..] {
                [one] => one.hint.clone(),
                _ => None,
            },
            Self::Refused(problem) => problem.hint.clone(),
            Self::Connect(error) => Some(error.hint()),
            Self::Cluster(error) => error.hint(),
            _ => None,
        }
    }

    /// Whether the same order may be carried out later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Git(error) | Self::Head(HeadError::Git(error)) => error.retryable(),
            Self::Push(error) => error.retryable() || matches!(error, PushError::Unreachable(_)),
            Self::Cluster(error) => error.is_transient(),
            Self::Nobody => true,
            Self::Connect(_) | Self::Wrong(_) | Self::Refused(_) | Self::Head(_) => false,
        }
    }
}

// === impl Mailbox ===

impl Default for Mailbox {
    fn default() -> Self {
        let (post, letters) = mpsc::channel(WAITING);
        Self {
            post,
            taken: Mutex::new(Some(letters)),
        }
    }
}

impl Mailbox {
    /// Leaves an order, and waits for what it comes to. It is carried out even if nobody waits any longer.
    ///
    /// # Errors
    ///
    /// When it is not carried out.
    pub async fn send(&self, environment: EnvName, order: Order, by: String) -> Result<Carried, OrderError> {
        if self
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
        {
            return Err(OrderError::Nobody);
        }
        let (answer, carried) = oneshot::channel();
        let letter = Letter {
            environment,
            order,
            by,
            answer,
        };
        self.post.try_send(letter).map_err(|_| OrderError::Nobody)?;
        carried.await.map_err(|_| OrderError::Nobody)?
    }

    fn open(&self) -> Option<mpsc::Receiver<Letter>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
