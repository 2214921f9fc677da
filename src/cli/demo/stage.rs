//! Stage: what the demo plays on. Two sandbox clusters, a bare repository, the daemon and its dashboard, all of it in one
//! process and one temporary directory, which goes with this value.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use sandbox::{Cluster, Handle, Options};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::example;
use super::log::Log;
use crate::cli::context::{Context, GlobalArgs, git_failure};
use crate::cli::failure::{Answer, Failure, Kind};
use crate::cli::litter::Litter;
use crate::cli::ui::Ui;
use crate::cli::{Cli, Command, LogFormat, image, log_to, rollback, status};
use crate::desired::hex;
use crate::model::{CommitMessage, Revision};
use crate::reconcile::daemon;
use crate::reconcile::feed::Feed;
use crate::reconcile::hub::Hub;
use crate::reconcile::rehearse::images;
use crate::report::paint::Paint;
use crate::serve::{Server, Settings};
use crate::world::git::{Commit, Git, Identity};
use crate::world::remote::Remote;

/// The branch of the demo's repository.
const BRANCH: &str = "main";

/// How long the daemon may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// How many commits are ever shown.
const HISTORY: usize = 50;

/// Everything that the demo needs.
pub struct Stage {
    /// The staging cluster.
    pub staging: Handle,
    /// The prod cluster.
    pub prod: Handle,
    /// What the daemon knows.
    pub hub: Hub,
    /// Where the dashboard is.
    pub dashboard: SocketAddr,
    /// What the dashboard's actions need.
    pub token: String,
    /// What the daemon writes.
    pub log: Arc<Log>,
    /// Ends the demo.
    pub cancel: CancellationToken,
    feed: Feed,
    remote: Remote,
    daemon: JoinHandle<()>,
    dir: TemporaryDir,
}

/// A directory for this user alone, removed at the end.
struct TemporaryDir(PathBuf);

// === impl Stage ===

impl Stage {
    /// Makes everything, and lets the daemon begin.
    ///
    /// # Errors
    ///
    /// When there is no room for it, no port, or no git.
    pub async fn open(outer: &Context) -> Result<Self, Failure> {
        let dir = TemporaryDir::make(&outer.litter)?;
        let log = Arc::new(Log::create(&dir.0.join("gitsync.log")).map_err(|error| in_dir(&dir.0, &error))?);
        log_to(Arc::clone(&log), false, "gitsync=info", LogFormat::Text);
        let (staging, prod) = (cluster("staging").await?, cluster("prod").await?);
        let kubeconfig = sandbox::kubeconfig(&[staging.access(), prod.access()]);
        write_secret(&dir.0.join("kubeconfig"), &kubeconfig).map_err(|error| in_dir(&dir.0, &error))?;
        seed(&dir.0)?;
        let cancel = outer.cancel.child_token();
        let context = context(&dir.0, author("gitsync"), cancel.clone());
        let (shared, poller) = context.shared(context.remote()?);
        let (hub, feed, remote) = (shared.hub.clone(), shared.feed.clone(), shared.remote.clone());
        let token = random()?;
        let settings = Settings {
            token: Some(token.clone()),
            ..Settings::default()
        };
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(anywhere, settings, hub.clone(), feed.clone(), cancel.clone());
        let server = server.await.map_err(Failure::unreachable)?;
        let dashboard = server.address();
        let daemon = tokio::spawn(async move {
            tokio::join!(daemon::run(shared, poller), server.run());
        });
        Ok(Self {
            staging,
            prod,
            hub,
            dashboard,
            token,
            log,
            cancel,
            feed,
            remote,
            daemon,
            dir,
        })
    }

    /// The cluster of an environment.
    pub fn cluster(&self, environment: &str) -> &Cluster {
        match environment {
            "prod" => self.prod.cluster(),
            _ => self.staging.cluster(),
        }
    }

    /// The kubeconfig of both clusters.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.0.join("kubeconfig")
    }

    /// The directory of the daemon's clone of the repository.
    pub fn cache(&self) -> PathBuf {
        self.dir.0.join("cache")
    }

    /// The file that the daemon's log goes to.
    pub fn log_file(&self) -> PathBuf {
        self.dir.0.join("gitsync.log")
    }

    /// The repository's URL.
    pub fn repository(&self) -> String {
        url(&self.dir.0)
    }

    /// Runs a command of gitsync as `author` would, and gives what it said.
    ///
    /// # Errors
    ///
    /// When the command fails.
    pub async fn run(&self, author: Identity, args: &[&str], paint: Paint) -> Result<String, Failure> {
        let bug = |why: String| Failure::new(Kind::Bug, why);
        let words = ["gitsync"].iter().chain(args);
        let cli = Cli::try_parse_from(words).map_err(|error| bug(error.to_string()))?;
        let context = context(&self.dir.0, author, self.cancel.clone());
        let mut ui = Ui::keeping(paint);
        let answer = match &cli.command {
            Command::Image(args) => image::image(&mut ui, &context, args).await?,
            Command::Rollback(args) => rollback::rollback(&mut ui, &context, args).await?,
            Command::Status(args) => status::status(&mut ui, &context, args).await?,
            _ => return Err(bug(format!("the demo does not play {args:?}"))),
        };
        // What is on the branch wakes the daemon, as a webhook would.
        self.feed.poke();
        match answer {
            Answer::Yes | Answer::No => Ok(ui.kept()),
            Answer::Code(code) => Err(bug(format!("exit code {code}: {}", ui.kept()))),
        }
    }

    /// The commits of the branch, newest first.
    ///
    /// # Errors
    ///
    /// When git does not give them.
    pub async fn commits(&self) -> Result<Vec<Commit>, Failure> {
        let tip = self.tip().await?;
        self.remote
            .history(&tip, None, HISTORY)
            .await
            .map_err(git_failure)
    }

    /// The tip of the branch.
    ///
    /// # Errors
    ///
    /// When git does not give it.
    pub async fn tip(&self) -> Result<Revision, Failure> {
        let fetched = self.remote.fetch().await.map_err(git_failure)?;
        Ok(fetched.revision)
    }

    /// Ends everything and removes it.
    pub async fn close(self) {
        self.cancel.cancel();
        let abort = self.daemon.abort_handle();
        if tokio::time::timeout(GRACE, self.daemon).await.is_err() {
            abort.abort();
        }
    }
}

/// A person or a program that commits.
pub fn author(name: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        email: format!("{name}@demo.invalid"),
    }
}

async fn cluster(name: &str) -> Result<Handle, Failure> {
    let options = Options {
        name: name.to_owned(),
        runtime: Arc::new(images::behaviour),
        ..Options::default()
    };
    let wrong = |error| Failure::unreachable(error).hint("the demo needs free ports on 127.0.0.1");
    Cluster::start(options).await.map_err(wrong)
}

fn context(dir: &Path, author: Identity, cancel: CancellationToken) -> Context {
    Context {
        args: GlobalArgs {
            repo: Some(url(dir)),
            branch: Some(BRANCH.to_owned()),
            kubeconfig: Some(dir.join("kubeconfig")),
            cache_dir: Some(dir.join("cache")),
            ..GlobalArgs::default()
        },
        author: Some(author),
        litter: Litter::default(),
        cancel,
    }
}

fn url(dir: &Path) -> String {
    format!("file://{}", dir.join("fleet.git").display())
}

fn seed(dir: &Path) -> Result<(), Failure> {
    let message = CommitMessage {
        subject: "Deploy the flask-app".to_owned(),
        ..CommitMessage::default()
    };
    let repository = dir.join("fleet.git");
    Git::seed(&repository, BRANCH, &example::files(), &message, &author("dev")).map_err(git_failure)?;
    Ok(())
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn in_dir(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be written: {error}", dir.display()))
        .hint("TMPDIR names another directory for temporary files")
}

/// Sixteen random bytes as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Failure::new(Kind::Bug, "the system gives no random numbers"))?;
    Ok(hex(&bytes))
}

// === impl TemporaryDir ===

impl TemporaryDir {
    fn make(litter: &Litter) -> Result<Self, Failure> {
        let name = format!("gitsync-demo-{}", &random()?[..8]);
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| in_dir(&path, &error))?;
        litter.add(path.clone());
        Ok(Self(path))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // A git that is just ending may still write a file; nobody begins another one.
        for _ in 0..3 {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
        }
    }
}
