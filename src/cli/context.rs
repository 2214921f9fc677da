//! Context: which repository and which clusters a command is about.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Kind};
use super::litter::Litter;
use crate::config::load_check::limits::Limits;
use crate::config::repository::survey::Overlay;
use crate::config::repository::{Config, Environment};
use crate::config::verified::VerifiedSpec;
use crate::desired::Desired;
use crate::desired::tree::render;
use crate::model::{EnvName, Revision};
use crate::problem::Problems;
use crate::reconcile::Shared;
use crate::reconcile::feed::{Feed, Head, HeadError, Poller, head_of};
use crate::reconcile::hub::Hub;
use crate::report::why::CommitLine;
use crate::source::Snapshot;
use crate::world::cluster::connect::{ConnectError, connect};
use crate::world::cluster::{Cluster, ClusterError};
use crate::world::git::{
    Commit, Credentials, Git, GitError, GitOptions, Identity, RepositoryUrl, SshKey, WorkingCopy,
};
use crate::world::lease::Leader;
use crate::world::remote::Remote;

/// Options that every command has.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Repository: a URL (https, ssh, file) or a directory; by default the working copy of the current directory
    #[arg(long, global = true, env = "GITSYNC_REPO", value_name = "URL|DIR")]
    pub repo: Option<String>,
    /// Branch; by default the one checked out here, else main
    #[arg(long, global = true, env = "GITSYNC_BRANCH", value_name = "NAME")]
    pub branch: Option<String>,
    /// Kubeconfig file; by default $KUBECONFIG (a list), then ~/.kube/config; it is only ever read
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Directory of the repository cache; by default $XDG_CACHE_HOME/gitsync, then ~/.cache/gitsync
    #[arg(long, global = true, env = "GITSYNC_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// User name for git over https; the password or token comes from --git-token-file or $GITSYNC_GIT_TOKEN
    #[arg(long, global = true, env = "GITSYNC_GIT_USERNAME", value_name = "NAME")]
    pub git_username: Option<String>,
    /// File with the password or token for git over https; read anew at each use
    #[arg(long, global = true, env = "GITSYNC_GIT_TOKEN_FILE", value_name = "FILE")]
    pub git_token_file: Option<PathBuf>,
    /// File with the password or token for pushing, if it differs from the one for reading
    #[arg(
        long,
        global = true,
        env = "GITSYNC_GIT_WRITE_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub git_write_token_file: Option<PathBuf>,
    /// Private key for git over ssh
    #[arg(
        long,
        global = true,
        env = "GITSYNC_SSH_KEY",
        value_name = "FILE",
        requires = "ssh_known_hosts"
    )]
    pub ssh_key: Option<PathBuf>,
    /// Host keys for git over ssh; a host that is not in it is refused
    #[arg(long, global = true, env = "GITSYNC_SSH_KNOWN_HOSTS", value_name = "FILE")]
    pub ssh_known_hosts: Option<PathBuf>,
    /// Private key for pushing over ssh, if it differs from the one for reading
    #[arg(
        long,
        global = true,
        env = "GITSYNC_SSH_WRITE_KEY",
        value_name = "FILE",
        requires = "ssh_known_hosts"
    )]
    pub ssh_write_key: Option<PathBuf>,
    /// Certificates (PEM) of authorities to trust for git over https, besides the system's
    #[arg(long, global = true, env = "GITSYNC_GIT_CA_FILE", value_name = "FILE")]
    pub git_ca_file: Option<PathBuf>,
}

/// How many commits back the last change of a directory is looked for.
const LOOK_BACK: usize = 200;

/// The environment variable that may hold the password or token for git.
const TOKEN_VARIABLE: &str = "GITSYNC_GIT_TOKEN";

/// The files of a command, and where they come from.
pub struct Files {
    /// The files.
    pub snapshot: Snapshot,
    from: Origin,
}

/// Files whose configuration is sound.
pub struct Checkout {
    /// The files and their configuration.
    pub head: Head,
    from: Origin,
}

enum Origin {
    WorkingCopy(WorkingCopy),
    Remote(Remote),
}

/// Options of a command with what the process adds to them.
pub struct Context {
    /// What was typed.
    pub args: GlobalArgs,
    /// Who commits are made by, where that is not found out.
    pub author: Option<Identity>,
    /// What has to be removed, however the process ends.
    pub litter: Litter,
    /// Cancelled by the first signal.
    pub cancel: CancellationToken,
}

// === impl Context ===

impl Context {
    /// The remote branch: what `--repo` says, else where the working copy of the current directory comes from.
    ///
    /// # Errors
    ///
    /// When there is neither, or the URL or the cache cannot be used.
    pub fn remote(&self) -> Result<Remote, Failure> {
        let copy = || Git::discover(Path::new("."));
        let (url, checked_out) = match &self.args.repo {
            Some(repo) => (repo.clone(), None),
            None => {
                let copy = copy().map_err(git_failure)?;
                let url = copy
                    .origin
                    .clone()
                    .unwrap_or_else(|| copy.root.display().to_string());
                (url, copy.branch)
            }
        };
        let url: RepositoryUrl = url.parse().map_err(git_failure)?;
        let branch = self
            .args
            .branch
            .clone()
            .or(checked_out)
            .unwrap_or_else(|| "main".to_owned());
        let mut options = GitOptions::new(url, branch);
        options.cache.clone_from(&self.args.cache_dir);
        options.ca_file.clone_from(&self.args.git_ca_file);
        options.read = self.credentials();
        options.write = self.write_credentials();
        Ok(Remote::new(
            Git::open(&options).map_err(git_failure)?,
            self.cancel.clone(),
        ))
    }

    fn credentials(&self) -> Credentials {
        let args = &self.args;
        let username = args.git_username.clone().unwrap_or_else(|| "git".to_owned());
        let from_variable = std::env::var_os(TOKEN_VARIABLE).is_some_and(|token| !token.is_empty());
        let http = match &args.git_token_file {
            Some(file) => Credentials::token_file(username, file),
            None if from_variable => Credentials::token_variable(username, TOKEN_VARIABLE),
            None => Credentials::default(),
        };
        let ssh = SshKey {
            identity: args.ssh_key.clone(),
            known_hosts: args.ssh_known_hosts.clone(),
        };
        Credentials { ssh, ..http }
    }

    /// What to push with, where that is another account than the one for reading.
    fn write_credentials(&self) -> Option<Credentials> {
        let args = &self.args;
        if args.git_write_token_file.is_none() && args.ssh_write_key.is_none() {
            return None;
        }
        let mut write = self.credentials();
        if let Some(file) = &args.git_write_token_file {
            let username = args.git_username.clone().unwrap_or_else(|| "git".to_owned());
            write.basic = Credentials::token_file(username, file).basic;
        }
        if let Some(key) = &args.ssh_write_key {
            write.ssh.identity = Some(key.clone());
        }
        Some(write)
    }

    /// Who commits are made by: git's own variables, the working copy's configuration, else gitsync.
    #[must_use]
    pub fn identity(&self) -> Identity {
        if let Some(author) = &self.author {
            return author.clone();
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let from_env = variable("GIT_AUTHOR_NAME")
            .zip(variable("GIT_AUTHOR_EMAIL"))
            .map(|(name, email)| Identity { name, email });
        let configured = || Git::discover(Path::new(".")).ok().and_then(|copy| copy.identity);
        from_env.or_else(configured).unwrap_or_else(|| Identity {
            name: "gitsync".to_owned(),
            email: "gitsync@localhost".to_owned(),
        })
    }

    /// The files that a preview is about: the working copy with its uncommitted changes, or the tip of `--repo`.
    ///
    /// # Errors
    ///
    /// When there is no repository, or its configuration is wrong: then with every problem.
    pub async fn checkout(&self) -> Result<Checkout, Failure> {
        self.files().await?.sound()
    }

    /// The same files, whatever is wrong with their configuration.
    ///
    /// # Errors
    ///
    /// When there is no repository.
    pub async fn files(&self) -> Result<Files, Failure> {
        if self.args.repo.is_some() {
            let remote = self.remote()?;
            let fetched = remote.fetch().await.map_err(git_failure)?;
            let snapshot = remote.snapshot(&fetched.revision).await.map_err(git_failure)?;
            let from = Origin::Remote(remote);
            return Ok(Files { snapshot, from });
        }
        Files::of_working_copy(Git::discover(Path::new(".")).map_err(git_failure)?)
    }

    /// What reconcilers share, and the poller that feeds them.
    #[must_use]
    pub fn shared(&self, remote: Remote) -> (Shared, Poller) {
        let (feed, poller) = Feed::new(remote.clone());
        let shared = Shared {
            remote,
            feed,
            kubeconfig: self.args.kubeconfig.clone(),
            identity: self.identity().into(),
            limits: Limits::default(),
            hub: Hub::default(),
            election: None,
            leader: Leader::alone(),
            cancel: self.cancel.clone(),
        };
        (shared, poller)
    }

    /// A client for an environment.
    ///
    /// # Errors
    ///
    /// When the kubeconfig or its context cannot be used.
    pub async fn cluster(&self, environment: &Environment) -> Result<Cluster, Failure> {
        connect(
            &environment.spec,
            self.args.kubeconfig.as_deref(),
            &Leader::alone(),
        )
        .await
        .map_err(connect_failure)
    }
}

fn working_files(copy: &WorkingCopy) -> Result<Snapshot, Failure> {
    // Before the first commit, the files stand for themselves.
    let unborn = || "0".repeat(40).parse::<Revision>();
    let revision = copy
        .head
        .clone()
        .map_or_else(unborn, Ok)
        .map_err(Failure::usage)?;
    let files = copy
        .files()
        .map_err(|error| Failure::usage(format!("{}: {error}", copy.root.display())))?;
    Ok(Snapshot::new(revision, std::sync::Arc::new(files)))
}

// === impl Files ===

impl Files {
    fn of_working_copy(copy: WorkingCopy) -> Result<Self, Failure> {
        Ok(Self {
            snapshot: working_files(&copy)?,
            from: Origin::WorkingCopy(copy),
        })
    }

    /// The files with their configuration, when that is sound.
    fn sound(self) -> Result<Checkout, Failure> {
        Ok(Checkout {
            head: head_of(self.snapshot).map_err(head_failure)?,
            from: self.from,
        })
    }

    /// Renders an overlay as it should be now.
    ///
    /// # Errors
    ///
    /// As [`Checkout::render`].
    pub async fn render(&self, overlay: &Overlay) -> Result<Desired, Failure> {
        let proved = self.from.proved(overlay.verified.as_ref()).await?;
        let (dir, snapshot) = (overlay.dir.clone(), self.snapshot.clone());
        // On a thread for what computes, so that several can be rendered at once.
        let rendering = tokio::task::spawn_blocking(move || render(&dir, &snapshot, proved.as_ref()));
        let rendered = rendering.await.map_err(|error| Failure::new(Kind::Bug, error))?;
        rendered.map_err(Failure::usage)
    }
}

// === impl Origin ===

impl Origin {
    /// The files of the commit that was proved, once one was.
    async fn proved(&self, verified: Option<&VerifiedSpec>) -> Result<Option<Snapshot>, Failure> {
        match verified.and_then(|verified| verified.revision().ok()) {
            Some(revision) => Ok(Some(self.snapshot(&revision).await?)),
            None => Ok(None),
        }
    }

    async fn snapshot(&self, revision: &Revision) -> Result<Snapshot, Failure> {
        match self {
            Self::WorkingCopy(copy) => copy.snapshot(revision).map_err(git_failure),
            Self::Remote(remote) => remote.snapshot(revision).await.map_err(git_failure),
        }
    }
}

// === impl Checkout ===

impl Checkout {
    /// The tip of a remote branch.
    #[must_use]
    pub fn of_remote(head: Head, remote: Remote) -> Self {
        Self {
            head,
            from: Origin::Remote(remote),
        }
    }

    /// A working copy with its uncommitted changes.
    ///
    /// # Errors
    ///
    /// When its configuration has problems.
    pub fn of_working_copy(copy: WorkingCopy) -> Result<Self, Failure> {
        Files::of_working_copy(copy)?.sound()
    }

    /// A commit of a working copy.
    ///
    /// # Errors
    ///
    /// When its configuration has problems.
    pub fn of_commit(snapshot: Snapshot, copy: WorkingCopy) -> Result<Self, Failure> {
        Ok(Self {
            head: head_of(snapshot).map_err(head_failure)?,
            from: Origin::WorkingCopy(copy),
        })
    }

    /// Replaces a file of the working copy.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or the files are no working copy.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<(), Failure> {
        let Origin::WorkingCopy(copy) = &self.from else {
            return Err(Failure::usage("a remote branch has no files to write"));
        };
        let file = copy.root.join(path);
        std::fs::write(&file, content)
            .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", file.display())))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.head.config
    }

    /// The environments called `names`; all of them when none is named.
    ///
    /// # Errors
    ///
    /// When there is no such environment.
    pub fn environments(&self, names: &[String]) -> Result<Vec<&Environment>, Failure> {
        if names.is_empty() {
            return Ok(self.config().in_order());
        }
        let named = names.iter().map(|name| self.config().environments_of(name));
        let found: Result<Vec<_>, _> = named.collect();
        found
            .map(|found| found.concat())
            .map_err(|problem| Failure::usage(Problems::from(problem)))
    }

    /// Renders an environment as it should be now.
    ///
    /// # Errors
    ///
    /// When the proved revision is not there, or the overlay has problems: then with all of them.
    pub async fn render(&self, environment: &Environment) -> Result<Desired, Failure> {
        let proved = self.proved(environment).await?;
        render(&environment.dir, &self.head.snapshot, proved.as_ref()).map_err(Failure::usage)
    }

    /// The files of the commit that was proved for an environment, once one was.
    ///
    /// # Errors
    ///
    /// When git does not have it.
    pub async fn proved(&self, environment: &Environment) -> Result<Option<Snapshot>, Failure> {
        self.from.proved(environment.verified.as_ref()).await
    }

    /// The last commit that changed a directory, as far back as people look, from the commit on that a cluster was last
    /// given. A working copy that has not pulled that commit cannot say; better nothing than an older one.
    pub async fn last_change(&self, dir: &str, seen: Option<&Revision>) -> Option<CommitLine> {
        let from = seen.unwrap_or_else(|| self.head.snapshot.revision());
        let commits = match &self.from {
            Origin::WorkingCopy(copy) => copy.history(from, LOOK_BACK),
            Origin::Remote(remote) => remote.history(from, None, LOOK_BACK).await,
        };
        let commits = commits.ok()?;
        let mut newer: Option<(&Commit, Option<String>)> = None;
        for commit in &commits {
            let id = self.from.snapshot(&commit.revision).await.ok()?.tree_id(dir);
            if let Some((newer, newer_id)) = &newer
                && *newer_id != id
            {
                return commit_line(newer);
            }
            newer = Some((commit, id));
        }
        // The first commit of a short history made it.
        newer
            .filter(|_| commits.len() < LOOK_BACK)
            .and_then(|(first, _)| commit_line(first))
    }
}

fn commit_line(commit: &Commit) -> Option<CommitLine> {
    let author = commit.author.split(" <").next().unwrap_or(&commit.author);
    Some(CommitLine {
        id: commit.revision.short().to_owned(),
        subject: commit.subject.clone(),
        author: author.to_owned(),
        time: commit.time.try_into().ok()?,
    })
}

/// An environment's name as it was typed.
///
/// # Errors
///
/// When it cannot be one.
pub fn env_name(text: &str) -> Result<EnvName, Failure> {
    text.parse().map_err(Failure::usage)
}

/// A git error at the edge: retryable ones mean that the world is unreachable.
#[must_use]
pub fn git_failure(error: GitError) -> Failure {
    if error.retryable() {
        Failure::unreachable(error)
    } else {
        Failure::usage(error)
    }
}

/// A commit that cannot be used, at the edge.
#[must_use]
pub fn head_failure(error: HeadError) -> Failure {
    match error {
        HeadError::Git(error) => git_failure(error),
        HeadError::Config { problems, .. } => Failure::usage(problems),
    }
}

/// A connection that cannot be made, at the edge.
#[must_use]
pub fn connect_failure(error: ConnectError) -> Failure {
    let hint = error.hint();
    Failure::usage(error).hint(hint)
}

/// A cluster's refusal or silence, at the edge.
#[must_use]
pub fn cluster_failure(error: ClusterError) -> Failure {
    let hint = error.hint();
    let failure = match error {
        ClusterError::Objects(problems) => Failure::usage(problems),
        error if error.is_transient() => Failure::unreachable(error),
        error => Failure::usage(error),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
