//! A stage: a pair of clusters, a remote repository with the example, and the built binary, for one scenario.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::clusters::{ClusterPair, Lease};
use crate::harness::git::{Commit, Remote};
use crate::harness::gitsync::{Daemon, Gitsync};
use crate::harness::output::Output;
use crate::harness::tags;
use crate::harness::wait::wait_for;

/// The image of the example, without its tag.
pub const IMAGE: &str = "sanjeev-thiyagarajan/jenkins-flask-app";
/// The overlay that people and CI write.
pub const STAGING: &str = "environments/staging/kustomization.yaml";
/// The overlay that promotions write.
pub const PROD: &str = "environments/prod/kustomization.yaml";
/// The proof that promotions write.
pub const VERIFIED: &str = "environments/prod/verified.yaml";

const DEPLOYMENT: &str = "deployments/flask-app";

/// Machines are shared and slow; what comes true at all comes true within this.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Everything that a scenario needs, for itself alone.
pub struct Stage {
    /// The remote repository.
    pub remote: Remote,
    /// The binary, with the right kubeconfig.
    pub gitsync: Gitsync,
    /// The first good commit: whatever is wrong later, an environment can be asked for by it.
    first: Remote,
    pair: Lease,
}

// === impl Stage ===

impl Stage {
    /// The example repository as it is.
    pub fn with_example() -> Self {
        Self::with(|_| {})
    }

    /// The example with a check of three seconds, short intervals, and the first good tag in staging; prod has another.
    pub fn new() -> Self {
        Self::with(|remote| {
            remote.replace("policies/load-check.yaml", "duration: 10s", "duration: 3s");
            for environment in ["staging", "prod"] {
                let path = format!("environments/{environment}/environment.yaml");
                remote.replace(&path, "interval: 30s", "interval: 3s");
            }
            remote.replace(PROD, "9f31c0de", &tags::good(0));
            remote.replace(STAGING, "abc123de", &tags::good(1));
        })
    }

    /// As [`Stage::new`], with a log of that filter.
    pub fn with_log(filter: &str) -> Self {
        let stage = Self::new();
        Self {
            gitsync: stage.gitsync.env("RUST_LOG", filter),
            ..stage
        }
    }

    fn with(prepare: impl FnOnce(&Remote)) -> Self {
        let pair = ClusterPair::lease();
        let remote = Remote::example();
        prepare(&remote);
        let first = Remote::empty();
        let to = first.url();
        remote.git(&["push", "--quiet", &to, "main"]).ok();
        let gitsync = Gitsync::new().env("KUBECONFIG", &pair.kubeconfig);
        Self {
            remote,
            gitsync,
            first,
            pair,
        }
    }

    /// The clusters.
    pub fn pair(&self) -> &ClusterPair {
        &self.pair
    }

    /// Starts `gitsync run`.
    pub fn daemon(&self) -> Daemon {
        self.gitsync.daemon(&["run", "--repo", &self.remote.url()])
    }

    /// Starts `gitsync run` with further arguments.
    pub fn daemon_with_args(&self, args: &[&str]) -> Daemon {
        let url = self.remote.url();
        self.gitsync.daemon(&[&["run", "--repo", &url], args].concat())
    }

    /// Starts `gitsync run` with another kubeconfig.
    pub fn daemon_with(&self, kubeconfig: &Path) -> Daemon {
        let kubeconfig = kubeconfig.to_str().expect("because the tests' paths are text");
        self.gitsync
            .daemon(&["run", "--repo", &self.remote.url(), "--kubeconfig", kubeconfig])
    }

    /// Runs gitsync in a directory with another kubeconfig.
    pub fn run_with(&self, dir: &Path, kubeconfig: &Path, args: &[&str]) -> Output {
        let kubeconfig = kubeconfig.to_str().expect("because the tests' paths are text");
        self.gitsync
            .run_in(dir, &[&["--kubeconfig", kubeconfig], args].concat())
    }

    /// A file at the remote's tip.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        self.remote
            .read(path)
            .unwrap_or_else(|| panic!("there is no {path}"))
    }

    /// Commits files on top of the remote branch; the daemon may push at the same time.
    #[track_caller]
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) {
        let edits: Vec<_> = files.iter().map(|(path, text)| (*path, Some(*text))).collect();
        self.remote.commit(message, &edits);
    }

    /// Commits another tag into staging's overlay.
    #[track_caller]
    pub fn set_staging(&self, tag: &str) {
        self.commit(&format!("Set {tag}"), &[(STAGING, &self.staging(tag))]);
    }

    /// Staging's overlay, as the first commit has it, with another tag.
    pub fn staging(&self, tag: &str) -> String {
        let overlay = self.first.read(STAGING).expect("because the example has it");
        overlay.replace(&tags::good(1), tag)
    }

    /// The promotions on the remote branch, newest first.
    pub fn promotions(&self) -> Vec<Commit> {
        let is_promotion = |commit: &Commit| trailer(commit, "Gitsync-Evidence").is_some();
        self.remote.log().into_iter().filter(is_promotion).collect()
    }

    /// Whether an object of the application's namespace exists, for example `services/web`.
    pub fn exists(&self, cluster: &str, object: &str) -> bool {
        self.get(cluster, object).is_some()
    }

    /// A field of an object as text; empty when it is not there.
    pub fn field(&self, cluster: &str, object: &str, pointer: &str) -> String {
        let object = self.get(cluster, object);
        match object.and_then(|object| object.pointer(pointer).cloned()) {
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn get(&self, cluster: &str, object: &str) -> Option<Value> {
        let (kind, name) = object
            .split_once('/')
            .expect("because an object is written kind/name");
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
        let image = self.field(cluster, DEPLOYMENT, "/spec/template/spec/containers/0/image");
        tags::tag_of(&image).to_owned()
    }

    /// Waits until all replicas in a cluster run `tag` and are available.
    #[track_caller]
    pub fn wait_until_running(&self, cluster: &str, tag: &str) {
        wait_for(DEADLINE, &format!("{cluster} runs {tag}"), || {
            let count = |field: &str| self.field(cluster, DEPLOYMENT, &format!("/status/{field}"));
            let counts = ["updatedReplicas", "availableReplicas", "replicas"].map(count);
            let seen = (self.running(cluster), counts);
            if seen.0 == tag && seen.1.iter().all(|count| count == "3") {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        });
    }

    /// Waits until a field of an object is `wanted`.
    #[track_caller]
    pub fn wait_for_field(&self, cluster: &str, object: &str, pointer: &str, wanted: &str) {
        wait_for(
            DEADLINE,
            &format!("{pointer} of {object} in {cluster} is {wanted}"),
            || {
                let seen = self.field(cluster, object, pointer);
                if seen == wanted {
                    Ok(())
                } else {
                    Err(format!("it is {seen:?}"))
                }
            },
        );
    }

    /// Waits until what an environment says of itself (phase, message and problems) contains every part.
    #[track_caller]
    pub fn wait_for_status(&self, environment: &str, parts: &[&str]) {
        wait_for(
            DEADLINE,
            &format!("the status of {environment} says {parts:?}"),
            || {
                let args = [
                    "status",
                    "--env",
                    environment,
                    "-o",
                    "json",
                    "--repo",
                    &self.first.url(),
                ];
                let output = self.gitsync.run(&args);
                let rows: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
                let status = rows[0]["status"].to_string();
                if parts.iter().all(|part| status.contains(part)) {
                    Ok(())
                } else {
                    Err(format!("{status}\n{output}"))
                }
            },
        );
    }

    /// Waits until a daemon's log contains every part.
    #[track_caller]
    pub fn wait_for_log(&self, daemon: &Daemon, parts: &[&str]) {
        wait_for(DEADLINE, &format!("the log says {parts:?}"), || {
            let log = daemon.log();
            if parts.iter().all(|part| log.contains(part)) {
                Ok(())
            } else {
                Err(log)
            }
        });
    }
}

/// The first value of a commit's trailer.
pub fn trailer<'a>(commit: &'a Commit, key: &str) -> Option<&'a str> {
    commit
        .trailers
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
}
