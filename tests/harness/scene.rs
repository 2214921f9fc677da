//! A scene: two sandbox clusters, a remote by HTTP and the built binary, for faults that a real cluster cannot be made to
//! show on demand. What is said of gitsync here is said of the same binary; only the API server is played.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::sandbox::{Access, Cluster, Handle, Options, kubeconfig};
use serde_json::Value;

use super::git::{Commit, Remote};
use super::git_server::GitServer;
use super::gitsync::{Daemon, Gitsync};
use super::proxy::{Proxy, Trigger};
use super::runtime::block_on;
use super::state::StateDirectory;
use super::tags::{self, Behaviour};
use super::wait::wait_for;

const STAGING: &str = "environments/staging/kustomization.yaml";
const PROD: &str = "environments/prod/kustomization.yaml";

/// What comes true at all comes true within this, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Everything that a scenario needs, for itself alone. Scenes do not share anything, and may run side by side.
pub struct Scene {
    /// The remote repository.
    pub remote: Remote,
    /// The binary, with the right kubeconfig.
    pub gitsync: Gitsync,
    /// The cluster of staging.
    pub staging: Handle,
    /// The cluster of prod.
    pub prod: Handle,
    url: String,
    server: GitServer,
    _proxies: Vec<Proxy>,
    _directory: StateDirectory,
}

// === impl Scene ===

impl Scene {
    /// The example with a check of a second, short intervals, and the first good tag in staging; prod has another.
    pub fn new() -> Self {
        Self::with_trigger(&Trigger::never())
    }

    /// The same, with everything that is written going past `trigger`.
    pub fn with_trigger(trigger: &Arc<Trigger>) -> Self {
        let remote = Remote::example();
        remote.replace("policies/load-check.yaml", "duration: 10s", "duration: 1s");
        for environment in ["staging", "prod"] {
            let path = format!("environments/{environment}/environment.yaml");
            remote.replace(&path, "interval: 30s", "interval: 1s");
        }
        remote.replace(PROD, "9f31c0de", &tags::good(0));
        remote.replace(STAGING, "abc123de", &tags::good(1));
        let server = GitServer::start(&remote, None);
        let (staging, prod) = (start("staging"), start("prod"));
        let git = Proxy::start(&authority(&server.url()), trigger);
        let mut proxies = Vec::new();
        let mut through = |handle: &Handle| {
            let proxy = Proxy::start(&handle.address().to_string(), trigger);
            let server = proxy.url();
            proxies.push(proxy);
            Access {
                server,
                ..handle.access()
            }
        };
        let contexts = [through(&staging), through(&prod)];
        let directory = StateDirectory::create("scene");
        let file: PathBuf = directory.path().join("kubeconfig.yaml");
        std::fs::write(&file, kubeconfig(&contexts)).expect("a kubeconfig");
        let url = format!("{}/fleet.git", git.url());
        proxies.push(git);
        Self {
            gitsync: Gitsync::new().env("KUBECONFIG", &file),
            remote,
            staging,
            prod,
            url,
            server,
            _proxies: proxies,
            _directory: directory,
        }
    }

    /// Starts `gitsync run`.
    pub fn daemon(&self) -> Daemon {
        self.daemon_with(&[])
    }

    /// Starts `gitsync run` with further arguments.
    pub fn daemon_with(&self, args: &[&str]) -> Daemon {
        self.gitsync
            .daemon(&[&["run", "--repo", &self.url], args].concat())
    }

    /// The cluster of an environment.
    pub fn cluster(&self, environment: &str) -> &Cluster {
        match environment {
            "staging" => self.staging.cluster(),
            _ => self.prod.cluster(),
        }
    }

    /// An object, if it exists.
    pub fn get(&self, environment: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.cluster(environment)
            .client("test")
            .get(resource, namespace, name)
            .ok()
    }

    /// The tag that an environment's Deployment asks for; empty when there is none.
    pub fn running(&self, environment: &str) -> String {
        let found = self.get(environment, "deployments.apps", "flask-app", "flask-app");
        let image = found.and_then(|object| {
            let image = object.pointer("/spec/template/spec/containers/0/image")?;
            image.as_str().map(str::to_owned)
        });
        image
            .map(|image| tags::tag_of(&image).to_owned())
            .unwrap_or_default()
    }

    /// Waits until all replicas of an environment run `tag` and are available.
    #[track_caller]
    pub fn wait_until_running(&self, environment: &str, tag: &str, daemon: &Daemon) {
        wait_for(DEADLINE, &format!("{environment} runs {tag}"), || {
            let found = self.get(environment, "deployments.apps", "flask-app", "flask-app");
            let status = found
                .map(|mut object| object["status"].take())
                .unwrap_or_default();
            let all = ["updatedReplicas", "availableReplicas", "replicas"];
            if self.running(environment) == tag && all.iter().all(|field| status[field] == 3) {
                Ok(())
            } else {
                Err(format!(
                    "{} with {status}\n{}",
                    self.running(environment),
                    daemon.log()
                ))
            }
        });
    }

    /// Waits until gitsync has asked git once more, which it does whatever becomes of the clusters.
    #[track_caller]
    pub fn wait_for_poll(&self) {
        let before = self.server.requests().len();
        wait_for(DEADLINE, "git is asked again", || {
            let now = self.server.requests().len();
            if now > before {
                Ok(())
            } else {
                Err(format!("{now} requests"))
            }
        });
    }

    /// Sets staging's tag by a commit.
    pub fn set_staging(&self, from: &str, to: &str) -> String {
        self.remote.replace(STAGING, from, to)
    }

    /// The promotions on the branch, newest first.
    pub fn promotions(&self) -> Vec<Commit> {
        let is_promotion = |commit: &Commit| commit.trailers.iter().any(|(key, _)| key == "Gitsync-Evidence");
        self.remote.log().into_iter().filter(is_promotion).collect()
    }
}

fn start(name: &str) -> Handle {
    let options = Options {
        name: name.to_owned(),
        runtime: Arc::new(behaviour),
        tls: false,
        ..Options::default()
    };
    block_on(Cluster::start(options)).expect("a sandbox")
}

/// The images of the harness, as the sandbox plays them.
fn behaviour(image: &str) -> ::sandbox::Behaviour {
    let quick = Duration::from_millis(5);
    match Behaviour::of_image(image) {
        Behaviour::Good => ::sandbox::Behaviour::serving(quick),
        Behaviour::Slow => ::sandbox::Behaviour::serving(Duration::from_millis(700)),
        Behaviour::Fails => ::sandbox::Behaviour::failing(500),
        Behaviour::Late => ::sandbox::Behaviour::slow_start(Duration::from_secs(3), quick),
        Behaviour::Stuck => ::sandbox::Behaviour::never_ready(),
        Behaviour::Crash => ::sandbox::Behaviour::crashing(1, Vec::new()),
        Behaviour::NoPull => ::sandbox::Behaviour::unpullable("not found"),
    }
}

fn authority(url: &str) -> String {
    let rest = url.trim_start_matches("http://");
    rest.split('/').next().unwrap_or_default().to_owned()
}
