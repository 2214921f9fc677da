//! A remote: a bare repository as a team's git server holds it, and a developer's hand on it.
//!
//! Everything is done by the git command line, the reference that gitsync's own client has to agree with, with an
//! environment that holds nothing of the machine's: no configuration, a fixed identity, and a clock of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::output::Output;
use super::state::StateDirectory;
use super::wait::{wait_for, wait_until};

/// The branch that everybody pushes to.
pub const BRANCH: &str = "main";

/// What a server's repository is configured with: it takes pushes over HTTP, and looks after itself at other times.
const SERVER: &str = "[http]\n\treceivepack = true\n[receive]\n\tautogc = false\n";

/// How long one git command may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// How long somebody else's pushes may hold up a commit.
const PUSHED: Duration = Duration::from_secs(60);

/// The time of the first commit: 2026-01-01T00:00:00Z. Each further one is a second later.
static CLOCK: AtomicU64 = AtomicU64::new(1_767_225_600);

/// A bare repository with one branch, `main`.
#[derive(Debug)]
pub struct Remote {
    directory: StateDirectory,
}

/// A commit, as `git log` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The object id, in full.
    pub id: String,
    /// The author's name.
    pub author: String,
    /// The first line of the message.
    pub subject: String,
    /// The trailers in their order, key and value.
    pub trailers: Vec<(String, String)>,
    /// The paths that differ from the first parent.
    pub files: Vec<String>,
}

/// Where a push is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The objects have arrived; the branch has not moved. A `pre-receive` hook.
    BeforeUpdate,
    /// The branch has moved; the client has not been told. A `post-receive` hook.
    AfterUpdate,
}

/// Pushes wait at a point until this is dropped.
#[must_use = "pushes wait only as long as this value lives"]
#[derive(Debug)]
pub struct Held<'a> {
    remote: &'a Remote,
    point: Point,
}

/// A change of one file: its path and its new content, or nothing to remove it.
pub type Edit<'a> = (&'a str, Option<&'a str>);

// === impl Remote ===

impl Remote {
    /// A repository with the project's own example in its first commit: `apps`, `environments` and `policies`.
    pub fn example() -> Self {
        let remote = Self::empty();
        let clone = remote.clone_to("seed");
        for directory in ["apps", "environments", "policies"] {
            copy(
                &Path::new(env!("CARGO_MANIFEST_DIR")).join(directory),
                &clone.join(directory),
            );
        }
        remote.commit_all(&clone, "Deploy the flask-app");
        remote
    }

    /// A repository without a commit.
    pub fn empty() -> Self {
        let directory = StateDirectory::create("remote");
        let remote = Self { directory };
        let bare = remote.path();
        let init = [
            "init",
            "--quiet",
            "--bare",
            "--initial-branch",
            BRANCH,
            path_str(&bare),
        ];
        git(Path::new("/"), &init).ok();
        let config = bare.join("config");
        let text = fs::read_to_string(&config).expect("what git init has written");
        fs::write(&config, text + SERVER).expect("the remote's own directory");
        remote
    }

    /// The bare repository's directory.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("fleet.git")
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Commits some edits to the branch as a developer does, with a clone and a push, and returns the commit's id.
    ///
    /// # Panics
    ///
    /// When nothing changes, or when the push is refused.
    #[track_caller]
    pub fn commit(&self, message: &str, edits: &[Edit<'_>]) -> String {
        let name = format!("clone-{}", CLOCK.fetch_add(1, Ordering::Relaxed));
        let clone = self.clone_to(&name);
        for (path, content) in edits {
            let path = clone.join(path);
            match content {
                Some(content) => {
                    fs::create_dir_all(path.parent().expect("because a file has a directory"))
                        .expect("a directory");
                    fs::write(&path, content).expect("a file of a clone");
                }
                None => fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            }
        }
        self.commit_all(&clone, message)
    }

    /// Replaces a text that occurs once in a file, and commits that.
    ///
    /// # Panics
    ///
    /// When the text does not occur exactly once.
    #[track_caller]
    pub fn replace(&self, path: &str, from: &str, to: &str) -> String {
        let content = self.read(path).unwrap_or_else(|| panic!("there is no {path}"));
        assert_eq!(
            content.matches(from).count(),
            1,
            "{from:?} has to occur once in {path}:\n{content}"
        );
        self.commit(
            &format!("Change {path}"),
            &[(path, Some(&content.replace(from, to)))],
        )
    }

    /// The content of a file at the head of the branch.
    pub fn read(&self, path: &str) -> Option<String> {
        self.read_at(BRANCH, path)
    }

    /// The content of a file at a revision.
    pub fn read_at(&self, revision: &str, path: &str) -> Option<String> {
        let output = self.git(&["show", &format!("{revision}:{path}")]);
        (output.code == 0).then_some(output.stdout)
    }

    /// The id of the head of the branch.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "--verify", BRANCH])
            .ok()
            .trim()
            .to_owned()
    }

    /// The commits of the branch, the newest first.
    pub fn log(&self) -> Vec<Commit> {
        let format = "--format=%x1e%H%x1f%an%x1f%s%x1f%(trailers:only,unfold)%x1f";
        let log = self
            .git(&[
                "log",
                "--first-parent",
                "--diff-merges=first-parent",
                "--name-only",
                format,
                BRANCH,
            ])
            .ok();
        log.split('\x1e').skip(1).map(commit).collect()
    }

    /// The difference between two revisions, without context, as `git diff` prints it.
    pub fn diff(&self, from: &str, to: &str) -> String {
        self.git(&["diff", "--unified=0", from, to]).ok()
    }

    /// Runs git in the bare repository.
    pub fn git(&self, args: &[&str]) -> Output {
        git(&self.path(), args)
    }

    /// Stops every push at a point, until the value that is returned is dropped.
    pub fn hold(&self, point: Point) -> Held<'_> {
        let held = Held { remote: self, point };
        let (flag, arrived) = (held.flag(), held.arrived());
        fs::write(&flag, "").expect("a file beside the repository");
        // The loop also ends when the test does, because the directory goes then.
        let hook = format!(
            "#!/bin/sh\n: >'{}'\nwhile [ -e '{}' ]; do sleep 0.05; done\n",
            arrived.display(),
            flag.display()
        );
        self.set_hook(point.hook(), &hook);
        held
    }

    /// Refuses every push with a reason, as a protected branch does, until [`Self::accept`].
    pub fn refuse(&self, reason: &str) {
        let script = format!("#!/bin/sh\ncat >/dev/null\necho '{reason}' >&2\nexit 1\n");
        self.set_hook(Point::BeforeUpdate.hook(), &script);
    }

    /// Accepts pushes again.
    pub fn accept(&self) {
        for point in [Point::BeforeUpdate, Point::AfterUpdate] {
            // A hook that is not there refuses nothing.
            drop(fs::remove_file(self.path().join("hooks").join(point.hook())));
        }
    }

    /// A new clone in a directory of this remote's, as a developer has one.
    pub fn clone_to(&self, name: &str) -> PathBuf {
        let clone = self.directory.path().join(name);
        git(
            Path::new("/"),
            &["clone", "--quiet", &self.url(), path_str(&clone)],
        )
        .ok();
        clone
    }

    /// Commits all that a clone holds, and pushes it; on top of what gitsync pushed meanwhile, as its developer would.
    #[track_caller]
    pub fn commit_all(&self, clone: &Path, message: &str) -> String {
        git(clone, &["add", "--all"]).ok();
        git(clone, &["commit", "--quiet", "--message", message]).ok();
        wait_for(PUSHED, "a push on top of the newest tip", || {
            let push = git(clone, &["push", "--quiet", "origin", &format!("HEAD:{BRANCH}")]);
            if push.code == 0 {
                return Ok(());
            }
            git(clone, &["pull", "--quiet", "--rebase", "origin", BRANCH]).ok();
            Err(push.to_string())
        });
        git(clone, &["rev-parse", "HEAD"]).ok().trim().to_owned()
    }

    fn set_hook(&self, name: &str, script: &str) {
        let hook = self.path().join("hooks").join(name);
        fs::create_dir_all(hook.parent().expect("because a hook is in a directory"))
            .expect("a directory for hooks");
        // A hook that is being written must not be run, and one that runs must not be written.
        let unfinished = hook.with_extension("unfinished");
        fs::write(&unfinished, script)
            .and_then(|()| fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(&unfinished, &hook))
            .unwrap_or_else(|error| panic!("cannot write the hook {name}: {error}"));
    }
}

// === impl Point ===

impl Point {
    fn hook(self) -> &'static str {
        match self {
            Self::BeforeUpdate => "pre-receive",
            Self::AfterUpdate => "post-receive",
        }
    }
}

// === impl Held ===

impl Held<'_> {
    /// Waits until a push has come to the point.
    #[track_caller]
    pub fn wait_for_push(&self, deadline: Duration) {
        let arrived = self.arrived();
        wait_until(deadline, &format!("a push comes to {:?}", self.point), || {
            arrived.exists()
        });
    }

    fn flag(&self) -> PathBuf {
        self.remote
            .directory
            .path()
            .join(format!("{}.hold", self.point.hook()))
    }

    fn arrived(&self) -> PathBuf {
        self.remote
            .directory
            .path()
            .join(format!("{}.arrived", self.point.hook()))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let hook = self.remote.path().join("hooks").join(self.point.hook());
        // The hook goes before the flag: a push that comes now is to go through.
        for path in [hook, self.flag(), self.arrived()] {
            drop(fs::remove_file(path));
        }
    }
}

/// Runs git somewhere, with nothing of the machine's configuration.
pub fn git(directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.current_dir(directory).args(args);
    hermetic(&mut command);
    let time = format!("{} +0000", CLOCK.fetch_add(1, Ordering::Relaxed));
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "A Developer")
            .env(format!("GIT_{who}_EMAIL"), "developer@example.com")
            .env(format!("GIT_{who}_DATE"), &time);
    }
    Output::of(command, DEADLINE)
}

/// Takes the machine's configuration, and whatever git set if it runs the tests, out of a command's environment.
///
/// git does not look after its repositories by itself: that would be every sixth process of a test.
pub fn hermetic(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "maintenance.auto")
        .env("GIT_CONFIG_VALUE_0", "false");
}

/// Where git is: given a path, and only then, a process is started without a copy of the test's own page tables.
pub fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&directories)
            .map(|directory| directory.join("git"))
            .find(|path| path.is_file())
            .expect("git on the PATH")
    });
    &PROGRAM
}

fn commit(record: &str) -> Commit {
    let mut fields = record.split('\x1f');
    let mut field = || fields.next().unwrap_or_default().trim();
    let (id, author, subject) = (field(), field(), field());
    let trailers = field().lines().filter_map(|line| line.split_once(": "));
    Commit {
        id: id.to_owned(),
        author: author.to_owned(),
        subject: subject.to_owned(),
        trailers: trailers
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        files: field().lines().map(str::to_owned).collect(),
    }
}

/// Replaces a text in a file of a clone.
///
/// # Panics
///
/// When the file does not hold it.
#[track_caller]
pub fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    fs::write(path, text.replace(from, to)).expect("a file of a clone");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory of a clone");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path = entry.expect("an entry of a directory").path();
        let target = to.join(path.file_name().expect("because an entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file of a clone");
        }
    }
}

fn path_str(path: &Path) -> &str {
    path.to_str()
        .expect("because temporary directories have plain names")
}
