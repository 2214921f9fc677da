//! A stage: a pair of clusters, a remote repository with the example, and the built binary, for one scenario.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::output::Output;
use crate::harness::pair::{ClusterPair, Lease};
use crate::harness::process::{Process, guarded};
use crate::harness::state::StateDirectory;
use crate::harness::tags;
use crate::harness::wait::wait_for;

/// The overlay that promotions write.
pub const OVERLAY_OF_PROD: &str = "environments/prod/kustomization.yaml";
/// The proof that promotions write.
pub const VERIFIED: &str = "environments/prod/verified.yaml";

/// Machines are shared and slow; a condition that comes true at all comes true within this.
const DEADLINE: Duration = Duration::from_secs(180);
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);

/// Everything that a scenario needs, for itself alone.
pub struct Stage {
    pair: Lease,
    state: StateDirectory,
}

/// A commit that gitsync made.
#[derive(Debug)]
pub struct Promotion {
    /// The paths that it changed.
    pub files: Vec<String>,
    message: String,
}

/// A running `gitsync run`.
pub struct Daemon {
    process: Process,
}

// === impl Stage ===

impl Stage {
    /// The example repository as it is.
    pub fn with_example() -> Self {
        Self::start(|_| {})
    }

    /// The example with a check of two seconds and the first good image in staging; it never ran in prod.
    pub fn new() -> Self {
        Self::start(|copy| {
            let edit = |path: &str, from: &str, to: &str| {
                let file = copy.join(path);
                let text = fs::read_to_string(&file).unwrap();
                assert!(text.contains(from), "{path} has no {from:?}");
                fs::write(file, text.replace(from, to)).unwrap();
            };
            edit("policies/load-check.yaml", "duration: 10s", "duration: 3s");
            edit(
                "environments/staging/kustomization.yaml",
                "abc123de",
                &tags::good(1),
            );
            edit(OVERLAY_OF_PROD, "9f31c0de", &tags::good(0));
            for environment in ["staging", "prod"] {
                edit(
                    &format!("environments/{environment}/environment.yaml"),
                    "interval: 30s",
                    "interval: 3s",
                );
            }
        })
    }

    fn start(prepare: impl FnOnce(&Path)) -> Self {
        let stage = Self {
            pair: ClusterPair::lease(),
            state: StateDirectory::create("scenario"),
        };
        stage.git(
            stage.state.path(),
            &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"],
        );
        let copy = stage.working_copy();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in ["apps", "environments", "policies"] {
            copy_tree(&root.join(part), &copy.join(part));
        }
        prepare(&copy);
        stage.git(&copy, &["add", "--all"]);
        stage.git(&copy, &["commit", "--quiet", "--message=Begin"]);
        stage.git(&copy, &["push", "--quiet", "origin", "main"]);
        stage
    }

    /// The clusters.
    pub fn pair(&self) -> &ClusterPair {
        &self.pair
    }

    /// The remote repository's directory.
    pub fn remote(&self) -> PathBuf {
        self.state.path().join("remote.git")
    }

    /// The remote repository's URL.
    pub fn remote_url(&self) -> String {
        format!("file://{}", self.remote().display())
    }

    /// A new clone of the remote.
    pub fn working_copy(&self) -> PathBuf {
        let path = (0..)
            .map(|number| self.state.path().join(format!("copy-{number}")))
            .find(|path| !path.exists())
            .unwrap();
        self.git(
            self.state.path(),
            &["clone", "--quiet", &self.remote_url(), path.to_str().unwrap()],
        );
        path
    }

    /// The image without its tag.
    pub fn image(&self) -> &'static str {
        "sanjeev-thiyagarajan/jenkins-flask-app"
    }

    /// Starts `gitsync run`.
    pub fn daemon(&self) -> Daemon {
        self.daemon_with(&self.pair.kubeconfig)
    }

    /// Starts `gitsync run` with another kubeconfig.
    pub fn daemon_with(&self, kubeconfig: &Path) -> Daemon {
        let log = self.state.log("gitsync");
        let mut command = guarded(env!("CARGO_BIN_EXE_gitsync"), &log);
        command.args([
            "run",
            "--repo",
            &self.remote_url(),
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
        ]);
        self.hermetic(&mut command);
        Daemon {
            process: Process::start("gitsync", &log, command),
        }
    }

    /// Runs gitsync in the state directory, with the right kubeconfig.
    pub fn gitsync(&self, args: &[&str]) -> Output {
        self.gitsync_in(self.state.path(), args)
    }

    /// Runs gitsync in a directory, with the right kubeconfig.
    pub fn gitsync_in(&self, dir: &Path, args: &[&str]) -> Output {
        self.gitsync_with(dir, &self.pair.kubeconfig, args)
    }

    /// Runs gitsync in a directory, with any kubeconfig.
    pub fn gitsync_with(&self, dir: &Path, kubeconfig: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gitsync"));
        command.current_dir(dir).args(args).env("KUBECONFIG", kubeconfig);
        self.hermetic(&mut command);
        Output::of(command, COMMAND_DEADLINE)
    }

    /// Commits files on top of the remote branch and pushes.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) {
        let copy = self.working_copy();
        for (path, text) in files {
            let file = copy.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        self.git(&copy, &["add", "--all"]);
        self.git(&copy, &["commit", "--quiet", "--message", message]);
        // The daemon may have pushed since the clone was made.
        wait_for(DEADLINE, "a push on top of the newest tip", || {
            self.git(&copy, &["pull", "--quiet", "--rebase", "origin", "main"]);
            let push = self.try_git(&copy, &["push", "--quiet", "origin", "main"]);
            if push.code == 0 {
                Ok(())
            } else {
                Err(push.to_string())
            }
        });
        fs::remove_dir_all(copy).unwrap();
    }

    /// An environment's overlay with another tag.
    pub fn overlay(&self, environment: &str, tag: &str) -> String {
        let text = self.show(&format!("environments/{environment}/kustomization.yaml"));
        let lines = text.lines().map(|line| match line.split_once("newTag: ") {
            Some((before, _)) => format!("{before}newTag: {tag}\n"),
            None => format!("{line}\n"),
        });
        let text: String = lines.collect();
        if text.contains("newTag: ") {
            return text;
        }
        let example = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(format!("environments/{environment}/kustomization.yaml")),
        );
        let lines = example.unwrap();
        lines
            .lines()
            .map(|line| {
                line.split_once("newTag: ")
                    .map_or(format!("{line}\n"), |(before, _)| {
                        format!("{before}newTag: {tag}\n")
                    })
            })
            .collect()
    }

    /// Commits another tag into staging's overlay.
    pub fn set_staging(&self, tag: &str) {
        self.commit(
            &format!("Set {tag}"),
            &[(
                "environments/staging/kustomization.yaml",
                &self.overlay("staging", tag),
            )],
        );
    }

    /// A file at the remote's tip.
    pub fn show(&self, path: &str) -> String {
        self.git(&self.remote(), &["show", &format!("main:{path}")])
    }

    /// The first commit.
    pub fn initial_commit(&self) -> String {
        self.git(&self.remote(), &["rev-list", "--max-parents=0", "main"])
            .trim()
            .to_owned()
    }

    /// How many promotions are on the remote branch.
    pub fn promotions(&self) -> usize {
        self.git(
            &self.remote(),
            &["log", "--format=%H", "--grep=^Gitsync-Evidence: ", "main"],
        )
        .lines()
        .count()
    }

    /// The newest promotion.
    pub fn last_promotion(&self) -> Promotion {
        let remote = self.remote();
        let commit = self
            .git(
                &remote,
                &["log", "-1", "--format=%H", "--grep=^Gitsync-Evidence: ", "main"],
            )
            .trim()
            .to_owned();
        let files = self.git(
            &remote,
            &["diff-tree", "--no-commit-id", "--name-only", "-r", &commit],
        );
        Promotion {
            files: files.lines().map(str::to_owned).collect(),
            message: self.git(&remote, &["log", "-1", "--format=%B", &commit]),
        }
    }

    /// Whether an object of the application's namespace exists, for example `services/web`.
    pub fn exists(&self, cluster: &str, object: &str) -> bool {
        self.get(cluster, object).is_some()
    }

    /// A field of an object as text; empty when it is not there.
    pub fn field(&self, cluster: &str, object: &str, pointer: &str) -> String {
        let value = self
            .get(cluster, object)
            .and_then(|object| object.pointer(pointer).cloned());
        match value {
            Some(serde_json::Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn get(&self, cluster: &str, object: &str) -> Option<serde_json::Value> {
        let (kind, name) = object.split_once('/').unwrap();
        let group = if kind == "deployments" {
            "apis/apps/v1"
        } else {
            "api/v1"
        };
        self.pair
            .cluster(cluster)
            .get(&format!("/{group}/namespaces/flask-app/{kind}/{name}"))
    }

    /// The tag that a cluster's Deployment asks for.
    pub fn running(&self, cluster: &str) -> String {
        let image = self.field(
            cluster,
            "deployments/flask-app",
            "/spec/template/spec/containers/0/image",
        );
        tags::tag_of(&image).to_owned()
    }

    /// Waits until all replicas in a cluster run `tag` and are available.
    #[track_caller]
    pub fn wait_until_running(&self, cluster: &str, tag: &str) {
        self.wait_for(&format!("{cluster} to run {tag}"), || {
            let status =
                |field: &str| self.field(cluster, "deployments/flask-app", &format!("/status/{field}"));
            let seen = (
                self.running(cluster),
                status("updatedReplicas"),
                status("availableReplicas"),
                status("replicas"),
            );
            let wanted = (tag.to_owned(), "3".to_owned(), "3".to_owned(), "3".to_owned());
            if seen == wanted {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        });
    }

    /// Waits until `gitsync status -o json` of an environment contains `part`, and gives it whole.
    #[track_caller]
    pub fn wait_for_status(&self, environment: &str, part: &str) -> String {
        let copy = self.working_copy();
        let status = self.wait_for(&format!("the status of {environment} to say {part}"), || {
            let status = self.gitsync_in(
                &copy,
                &[
                    "status",
                    "--env",
                    environment,
                    "-o",
                    "json",
                    "--repo",
                    &self.good_repository(),
                ],
            );
            if status.stdout.contains(part) {
                Ok(status.stdout)
            } else {
                Err(status.to_string())
            }
        });
        fs::remove_dir_all(copy).unwrap();
        status
    }

    /// A repository whose configuration is the first commit's: the status of an environment can be asked for even when
    /// the tip is broken.
    fn good_repository(&self) -> String {
        let path = self.state.path().join("first.git");
        if !path.exists() {
            self.git(
                self.state.path(),
                &["init", "--quiet", "--bare", "--initial-branch=main", "first.git"],
            );
            self.git(
                &self.remote(),
                &[
                    "push",
                    "--quiet",
                    path.to_str().unwrap(),
                    &format!("{}:refs/heads/main", self.initial_commit()),
                ],
            );
        }
        format!("file://{}", path.display())
    }

    /// Waits for a condition; on failure the daemon's log is shown too.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
        let log = self.state.log("gitsync");
        wait_for(DEADLINE, what, || {
            attempt()
                .map_err(|seen| format!("{seen}\n{}", crate::harness::process::tail("gitsync", &log, 40)))
        })
    }

    /// Runs git and gives its standard output.
    #[track_caller]
    pub fn git(&self, dir: &Path, args: &[&str]) -> String {
        self.try_git(dir, args).ok()
    }

    /// Runs git.
    pub fn try_git(&self, dir: &Path, args: &[&str]) -> Output {
        let mut command = Command::new("git");
        command.current_dir(dir).args(args);
        self.hermetic(&mut command);
        Output::of(command, COMMAND_DEADLINE)
    }

    fn hermetic(&self, command: &mut Command) {
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "Somebody"),
            ("GIT_AUTHOR_EMAIL", "somebody@example.com"),
            ("GIT_COMMITTER_NAME", "Somebody"),
            ("GIT_COMMITTER_EMAIL", "somebody@example.com"),
            ("NO_COLOR", "1"),
        ] {
            command.env(name, value);
        }
        command
            .env("HOME", self.state.path())
            .env("XDG_CACHE_HOME", self.state.path().join("cache"));
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env_remove("GIT_DIR");
    }
}

// === impl Promotion ===

impl Promotion {
    /// The first value of a trailer.
    pub fn trailer(&self, key: &str) -> Option<&str> {
        self.message
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }
}

// === impl Daemon ===

impl Daemon {
    /// All that it has written.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Whether it has not ended.
    pub fn is_running(mut self) -> bool {
        self.process.exit_code().is_none()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// SIGTERM; gives the exit code.
    pub fn terminate(mut self) -> i32 {
        self.process.terminate(DEADLINE)
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
