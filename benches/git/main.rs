//! The benchmark of git: what the daemon asks of a repository, beside the git command line doing the same.
//!
//! `cargo bench --bench git` prints markdown; `-- --commits N --mebibytes N` takes another history than 100,000 commits of
//! 1 GiB. Both speak smart HTTP on loopback with git's own `http-backend`. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that unwraps fails with what it met"
)]

#[expect(dead_code, reason = "the tests' harness, of which this needs a part")]
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod history;
#[path = "../common/options.rs"]
mod options;
#[path = "../common/spread.rs"]
mod spread;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gitsync::model::{CommitMessage, Edit};
use gitsync::world::git::{Bounds, Git, GitOptions, Identity};
use harness::git::{BRANCH, Remote, hermetic};
use harness::git_server::GitServer;
use harness::state::StateDirectory;
use history::{FILE, History};
use options::option;
use spread::Spread;
use tokio_util::sync::CancellationToken;

/// Timed runs of each program, in turn.
const ROUNDS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(300);

/// Both programs, each with what it keeps of the repository.
struct Bench {
    history: History,
    url: String,
    /// gitsync's own cache.
    ours: Git,
    /// A clone of git's with a work tree and the last commit only.
    clone: PathBuf,
    _state: StateDirectory,
    _server: GitServer,
}

/// The times of both programs for one piece of work.
#[derive(Default)]
struct Times {
    git: Vec<Duration>,
    gitsync: Vec<Duration>,
}

fn main() {
    let number =
        |name: &str, default: usize| option(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (commits, mebibytes) = (number("--commits", 100_000), number("--mebibytes", 1024));
    let bench = Bench::new(commits, mebibytes);
    println!(
        "A repository of {commits} commits, {} MiB on the server's disk.\n",
        bench.history.mebibytes()
    );
    println!("| work | program | median of {ROUNDS} | min to max | ratio |\n|---|---|--:|--:|--:|");
    first(&bench);
    row("poll, nothing new", "`git ls-remote`", polls(&bench));
    row("fetch of one commit", "`git fetch --depth 1`", fetches(&bench));
    row(
        "commit of one line, and push",
        "`git commit`, `git push`",
        pushes(&bench),
    );
}

impl Bench {
    fn new(commits: usize, mebibytes: usize) -> Self {
        let history = History::create(Remote::empty(), commits, mebibytes);
        let server = GitServer::start(history.remote(), None);
        let state = StateDirectory::create("git-bench");
        let clone = state.path().join("clone");
        let shallow = ["clone", "--quiet", "--depth", "1", "--branch", BRANCH];
        git(
            Path::new("/"),
            &[&shallow[..], &[&server.url(), clone.to_str().unwrap()]].concat(),
        );
        let options = GitOptions {
            cache: Some(state.path().join("cache")),
            ..GitOptions::new(server.url().parse().unwrap(), BRANCH)
        };
        Self {
            url: server.url(),
            ours: Git::open(&options).unwrap(),
            clone,
            history,
            _state: state,
            _server: server,
        }
    }
}

fn bounds() -> Bounds {
    Bounds::new(DEADLINE, CancellationToken::new())
}

/// What a new cache costs: the branch with all of its history.
fn first(bench: &Bench) {
    let whole = bench.clone.with_extension("git");
    let arguments = [
        "clone",
        "--quiet",
        "--bare",
        "--single-branch",
        "--branch",
        BRANCH,
        &bench.url,
    ];
    let git_took = timed(|| {
        git(
            Path::new("/"),
            &[&arguments[..], &[whole.to_str().unwrap()]].concat(),
        )
    });
    let gitsync = timed(|| drop(bench.ours.fetch(&bounds()).unwrap()));
    let times = Times {
        git: vec![git_took],
        gitsync: vec![gitsync],
    };
    row("first fetch (once)", "`git clone --bare --single-branch`", times);
    fs::remove_dir_all(whole).unwrap();
}

fn polls(bench: &Bench) -> Times {
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        times.git.push(timed(|| {
            git(&bench.clone, &["ls-remote", "--quiet", &bench.url, BRANCH])
        }));
        times
            .gitsync
            .push(timed(|| assert_eq!(bench.ours.poll(&bounds()).unwrap(), None)));
    }
    times
}

fn fetches(bench: &Bench) -> Times {
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        bench.history.commit();
        times.git.push(timed(|| {
            git(
                &bench.clone,
                &["fetch", "--quiet", "--depth", "1", "origin", BRANCH],
            )
        }));
        let before = bench.ours.fetched();
        times
            .gitsync
            .push(timed(|| drop(bench.ours.fetch(&bounds()).unwrap())));
        assert_ne!(bench.ours.fetched(), before, "the commit was fetched");
    }
    times
}

fn pushes(bench: &Bench) -> Times {
    let identity = Identity {
        name: "gitsync".to_owned(),
        email: "gitsync@example.com".to_owned(),
    };
    let message = CommitMessage {
        subject: "Promote app".to_owned(),
        ..CommitMessage::default()
    };
    let mut times = Times::default();
    for round in 0..ROUNDS {
        git(
            &bench.clone,
            &["fetch", "--quiet", "--depth", "1", "origin", BRANCH],
        );
        git(&bench.clone, &["reset", "--quiet", "--hard", "FETCH_HEAD"]);
        times.git.push(timed(|| {
            fs::write(bench.clone.join(FILE), format!("image: app:git-{round}\n")).unwrap();
            git(
                &bench.clone,
                &["commit", "--quiet", "--all", "--message", "Promote app"],
            );
            git(
                &bench.clone,
                &["push", "--quiet", "origin", &format!("HEAD:{BRANCH}")],
            );
        }));
        let base = bench.ours.fetch(&bounds()).unwrap().revision;
        let content = format!("image: app:gitsync-{round}\n").into_bytes();
        let edit = Edit {
            files: [(FILE.to_owned(), content)].into(),
            ..Edit::default()
        };
        times.gitsync.push(timed(|| {
            let pushed =
                bench
                    .ours
                    .commit_and_push(&base, &edit, &message, &identity, "environments/prod", &bounds());
            assert!(pushed.unwrap().is_some(), "the file changes");
        }));
    }
    times
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    hermetic(&mut command);
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "dev")
            .env(format!("GIT_{who}_EMAIL"), "dev@example.com");
    }
    let output = command.current_dir(directory).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn row(work: &str, program: &str, times: Times) {
    let (theirs, ours) = (Spread::from(times.git), Spread::from(times.gitsync));
    println!("| {work} | {program} | {theirs} | |");
    println!(
        "| {work} | gitsync | {ours} | {:.1}× |",
        theirs.median / ours.median
    );
}
