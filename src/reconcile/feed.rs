//! Feed: the latest good commit of the repository, and what is wrong with a newer one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::config::repository::{self, Config, concerns};
use crate::model::{EnvName, Revision};
use crate::problem::{Problem, Problems};
use crate::source::Snapshot;
use crate::world::git::GitError;
use crate::world::remote::Remote;

/// How many commits back a good configuration is looked for at the start.
const LOOK_BACK: usize = 50;
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a look at the remote may take before its loop counts as hanging: more than the deadlines of its requests.
const LONGEST_LOOK: Duration = Duration::from_secs(600);

/// A commit with its configuration.
#[derive(Debug, Clone)]
pub struct Head {
    /// The files.
    pub snapshot: Snapshot,
    /// What they configure.
    pub config: Arc<Config>,
    /// What is wrong with git, or with the commit; empty when all is well.
    pub troubles: Vec<Problem>,
    /// The environments that the commit breaks: they stay at what they were last synced to.
    pub broken: BTreeSet<EnvName>,
}

/// The receiving end: the latest [`Head`], and a way to ask for a look at the remote now.
#[derive(Clone)]
pub struct Feed {
    heads: watch::Receiver<Option<Arc<Head>>>,
    poke: Arc<Notify>,
}

/// Looks at the remote again and again, and publishes what it finds.
pub struct Poller {
    remote: Remote,
    heads: watch::Sender<Option<Arc<Head>>>,
    poke: Arc<Notify>,
}

/// A commit that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// Git does not give it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Its configuration is wrong.
    #[error("the configuration of commit {revision} has problems")]
    Config {
        /// The commit.
        revision: String,
        /// All of them.
        #[source]
        problems: Problems,
    },
}

/// Reads a commit and its configuration.
///
/// # Errors
///
/// When git does not give the commit, or its configuration has problems.
pub async fn head_at(remote: &Remote, revision: &Revision) -> Result<Head, HeadError> {
    head_of(remote.snapshot(revision).await?)
}

/// Reads the configuration of a commit.
///
/// # Errors
///
/// When it has problems: then with all of them.
pub fn head_of(snapshot: Snapshot) -> Result<Head, HeadError> {
    let config = repository::read(snapshot.tree()).map_err(|problems| HeadError::Config {
        revision: snapshot.revision().short().to_owned(),
        problems,
    })?;
    Ok(Head {
        snapshot,
        config: Arc::new(config),
        troubles: Vec::new(),
        broken: BTreeSet::new(),
    })
}

/// Reads a commit whose configuration may have problems, over the last good one.
#[must_use]
pub fn head_over(snapshot: Snapshot, last: &Config) -> Head {
    let partial = repository::read_over(snapshot.tree(), last);
    Head {
        troubles: in_commit(snapshot.revision().short(), partial.problems),
        snapshot,
        config: Arc::new(partial.config),
        broken: partial.broken,
    }
}

/// Fetches the branch and reads its tip.
///
/// # Errors
///
/// As [`head_at`], and when the remote cannot be fetched from.
pub async fn fetch_head(remote: &Remote) -> Result<Head, HeadError> {
    let fetched = remote.fetch().await?;
    head_at(remote, &fetched.revision).await
}

// === impl Head ===

impl Head {
    /// What is wrong, as far as it concerns an environment: a mistake in another one's directory does not.
    #[must_use]
    pub fn troubles_of(&self, name: &EnvName) -> Vec<Problem> {
        let is_anothers = |problem: &&Problem| {
            let mut others = self.broken.iter().filter(|other| *other != name);
            !concerns(problem, name) && others.any(|other| concerns(problem, other))
        };
        self.troubles
            .iter()
            .filter(|problem| !is_anothers(problem))
            .cloned()
            .collect()
    }
}

// === impl Feed ===

impl Feed {
    /// A feed of `remote`, and the poller that fills it.
    #[must_use]
    pub fn new(remote: Remote) -> (Self, Poller) {
        let (sender, receiver) = watch::channel(None);
        let poke = Arc::new(Notify::new());
        let feed = Self {
            heads: receiver,
            poke: Arc::clone(&poke),
        };
        (
            feed,
            Poller {
                remote,
                heads: sender,
                poke,
            },
        )
    }

    /// The latest head, if there was one yet.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Head>> {
        self.heads.borrow().clone()
    }

    /// Waits until there is another head than at the last look of this feed, and gives it.
    pub async fn changed(&mut self) -> Option<Arc<Head>> {
        // The sender lives as long as the daemon does; without it nothing will ever change again.
        if self.heads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.heads.borrow_and_update().clone()
    }

    /// Marks the latest head as seen, and gives it.
    pub fn take(&mut self) -> Option<Arc<Head>> {
        self.heads.borrow_and_update().clone()
    }

    /// Asks for a look at the remote now.
    pub fn poke(&self) {
        self.poke.notify_one();
    }
}

// === impl Poller ===

impl Poller {
    /// Looks until cancelled: at the interval, when poked, and when a local repository changes.
    pub async fn run(self, hub: Hub, cancel: CancellationToken) {
        let _watcher = self
            .remote
            .git()
            .url()
            .local_path()
            .and_then(|path| watch_refs(path, &self.poke));
        let mut failures: u32 = 0;
        loop {
            hub.beat("git", LONGEST_LOOK);
            failures = if self.look().await {
                0
            } else {
                failures.saturating_add(1)
            };
            let pause = jittered(self.pause(failures));
            hub.beat("git", pause + LONGEST_LOOK);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.poke.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks once; false when something is wrong with git or the commit.
    async fn look(&self) -> bool {
        match self.next().await {
            Ok(None) => true,
            Ok(Some(head)) => {
                tracing::info!(revision = head.snapshot.revision().short(), "new commit");
                self.heads.send_replace(Some(Arc::new(head)));
                true
            }
            Err(GitError::Cancelled) => true,
            Err(error) => {
                let problem = Problem::new(crate::problem::chain(&error));
                self.publish_troubles(vec![problem]).await;
                false
            }
        }
    }

    /// The head to publish, if anything is new.
    async fn next(&self) -> Result<Option<Head>, GitError> {
        let moved = self.remote.poll().await?;
        let known = self.heads.borrow().clone();
        let at_rest = known.as_ref().is_some_and(|head| head.troubles.is_empty());
        if moved.is_none() && at_rest {
            // A promotion, or another process with the same cache, may have fetched what this poller has not seen.
            let fetched = self.remote.fetched().await?;
            if fetched.as_ref() == known.as_ref().map(|head| head.snapshot.revision()) {
                return Ok(None);
            }
        }
        let fetched = self.remote.fetch().await?;
        if fetched.rewritten {
            tracing::warn!(
                branch = self.remote.git().branch(),
                "the history of the branch was rewritten"
            );
        }
        match head_at(&self.remote, &fetched.revision).await {
            Ok(head) => Ok(Some(head).filter(|head| !is_known(known.as_deref(), head))),
            Err(HeadError::Git(error)) => Err(error),
            Err(HeadError::Config { .. }) => {
                let good = match known.as_deref() {
                    Some(head) => Some(head.clone()),
                    None => self.last_good(&fetched.revision).await?,
                };
                let last = good.map(|good| good.config).unwrap_or_default();
                let head = head_over(self.remote.snapshot(&fetched.revision).await?, &last);
                if known.as_ref().is_none_or(|known| known.troubles != head.troubles) {
                    for problem in &head.troubles {
                        tracing::error!("{problem}");
                    }
                }
                Ok(Some(head).filter(|head| !is_known(known.as_deref(), head)))
            }
        }
    }

    /// The newest commit before `tip` whose configuration is good: after a restart the daemon goes on from there.
    async fn last_good(&self, tip: &Revision) -> Result<Option<Head>, GitError> {
        for commit in self.remote.history(tip, None, LOOK_BACK).await?.iter().skip(1) {
            if let Ok(head) = head_at(&self.remote, &commit.revision).await {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    async fn publish_troubles(&self, troubles: Vec<Problem>) {
        let known = self.heads.borrow().clone();
        if known.as_ref().is_some_and(|head| head.troubles == troubles) {
            return;
        }
        for problem in &troubles {
            tracing::error!("{problem}");
        }
        if let Some(head) = known {
            self.heads.send_replace(Some(Arc::new(Head {
                troubles,
                ..(*head).clone()
            })));
        }
    }

    /// The shortest interval of any environment; after failures twice as long each time, up to a minute.
    fn pause(&self, failures: u32) -> Duration {
        let head = self.heads.borrow().clone();
        let intervals = head
            .iter()
            .flat_map(|head| head.config.environments.values())
            .map(|e| e.spec.sync.interval.get());
        let interval = intervals
            .min()
            .unwrap_or(Duration::from_secs(5))
            .max(SHORTEST_INTERVAL);
        if failures == 0 {
            return interval;
        }
        let backoff = SHORTEST_INTERVAL.saturating_mul(1 << failures.min(6));
        backoff.min(LONGEST_PAUSE.max(interval))
    }
}

fn is_known(known: Option<&Head>, head: &Head) -> bool {
    known.is_some_and(|known| {
        known.snapshot.revision() == head.snapshot.revision() && known.troubles == head.troubles
    })
}

fn in_commit(revision: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in &mut problems {
        problem.message = format!(
            "{} (commit {revision}, the last good one stays in force)",
            problem.message
        );
    }
    problems
}

/// Up to a tenth more, so that many daemons do not ask at the same moment.
fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one(0) % 1000;
    pause + pause.mul_f64(random as f64 / 10_000.0)
}

/// Pokes when a ref of a local repository changes. Without a watch, the interval is enough.
fn watch_refs(repository: &Path, poke: &Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let git_dir = if repository.join(".git").is_dir() {
        repository.join(".git")
    } else {
        repository.to_owned()
    };
    let poke = Arc::clone(poke);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            poke.notify_one();
        }
    })
    .ok()?;
    let refs: PathBuf = git_dir.join("refs");
    match watcher.watch(&refs, RecursiveMode::Recursive) {
        Ok(()) => Some(watcher),
        Err(error) => {
            tracing::debug!(%error, path = %refs.display(), "not watched");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommitMessage, Edit};
    use crate::world::git::{Git, GitOptions, Identity};
    use crate::world::lease::Leader;

    const ENVIRONMENT: &str = "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {name: prod}\nspec: {cluster: {context: prod}}\n";

    fn mk_edit(path: &str, text: &str) -> Edit {
        let mut edit = Edit::default();
        edit.files.insert(path.to_owned(), text.as_bytes().to_vec());
        edit
    }

    #[tokio::test]
    async fn a_commit_that_another_client_of_the_cache_has_fetched_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().join("fleet.git");
        let identity = Identity {
            name: "ci".into(),
            email: "ci@example.com".into(),
        };
        let message = CommitMessage::default();
        let first = mk_edit("environments/prod/environment.yaml", ENVIRONMENT);
        Git::seed(&repository, "main", &first, &message, &identity).unwrap();
        let open = || {
            let url = repository.display().to_string().parse().unwrap();
            let mut options = GitOptions::new(url, "main");
            options.cache = Some(dir.path().join("cache"));
            Remote::new(Git::open(&options).unwrap(), CancellationToken::new())
        };
        let (mut feed, poller) = Feed::new(open());
        assert!(poller.look().await);
        let before = feed.take().unwrap().snapshot.revision().clone();

        let other = open();
        let edit = mk_edit("environments/prod/kustomization.yaml", "resources: []\n");
        let leader = Leader::alone();
        let target = "environments/prod";
        let pushed = other.commit_and_push(&leader, &before, &edit, &message, &identity, target);
        let pushed = pushed.await.unwrap().unwrap().revision;
        assert_eq!(other.fetch().await.unwrap().revision, pushed);

        assert!(poller.look().await);
        assert_eq!(*feed.latest().unwrap().snapshot.revision(), pushed);
    }
}
