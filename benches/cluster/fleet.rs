//! Fleet: a control plane, and a repository whose one environment holds many apps.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::harness::control_plane::kubeconfig::Kubeconfig;
use crate::harness::control_plane::{ControlPlane, Request};
use crate::harness::git::Remote;
use crate::harness::gitsync::{Daemon, Gitsync};
use crate::harness::output::Output;
use crate::harness::state::StateDirectory;
use crate::trees;

/// The environment.
pub const NAME: &str = "bench";
/// The namespace of its objects.
pub const NAMESPACE: &str = "prod";

const DIR: &str = "environments/bench";
/// The one app with an image of its own.
const SOLO: &str = "apps/app-0002/deployment.yaml";

/// A cluster and what is to run there.
pub struct Fleet {
    cluster: ControlPlane,
    remote: Remote,
    gitsync: Gitsync,
    files: StateDirectory,
    apps: usize,
}

impl Fleet {
    /// Starts the cluster and commits so many apps of five objects.
    pub fn start(apps: usize) -> Self {
        let cluster = ControlPlane::start(NAME);
        let files = StateDirectory::create("fleet");
        let kubeconfig = files.path().join("kubeconfig.yaml");
        Kubeconfig::default()
            .with(NAME, cluster.access())
            .write(&kubeconfig, 0o600);
        let gitsync = Gitsync::new().env("KUBECONFIG", &kubeconfig);
        let fleet = Self {
            cluster,
            remote: Remote::empty(),
            gitsync,
            files,
            apps,
        };
        fleet.commit();
        fs::write(fleet.rendered(), fleet.render()).unwrap();
        fleet
    }

    fn commit(&self) {
        let clone = self.remote.clone_to("fleet");
        let dir = clone.join(DIR);
        trees::overlay(&dir, self.apps);
        for app in 0..self.apps {
            // Without pods nothing but the API server is measured.
            edit(
                &dir.join(format!("apps/app-{app:04}/deployment.yaml")),
                "replicas: 2",
                "replicas: 0",
            );
        }
        edit(
            &dir.join("kustomization.yaml"),
            "replicas:\n- name: app-0007\n  count: 5\n",
            "",
        );
        edit(
            &dir.join(SOLO),
            "registry.example.com/app:v1.0.0",
            "registry.example.com/solo:v1.0.0",
        );
        let environment = format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {NAME}}}\nspec:\n  cluster: {{context: {NAME}}}\n  \
             sync: {{interval: 2s, timeout: 10m}}\n"
        );
        fs::write(dir.join("environment.yaml"), environment).unwrap();
        self.remote.commit_all(&clone, "Deploy the fleet");
    }

    fn render(&self) -> String {
        let clone = self.remote.clone_to("rendered");
        let dir = clone.join(DIR);
        self.gitsync.run(&["render", dir.to_str().unwrap()]).ok()
    }

    /// How many objects the environment has.
    pub fn objects(&self) -> usize {
        self.apps * 5 + 1
    }

    /// The file with all objects as kubectl takes them.
    pub fn rendered(&self) -> String {
        let path: PathBuf = self.files.path().join("rendered.yaml");
        path.display().to_string()
    }

    /// Empties the cluster.
    pub fn empty(&self) {
        self.cluster.reset().unwrap();
    }

    /// Runs kubectl.
    pub fn kubectl(&self, args: &[&str]) -> Output {
        self.cluster.kubectl(args)
    }

    /// The repository's URL.
    pub fn url(&self) -> String {
        self.remote.url()
    }

    /// Runs gitsync on the repository.
    pub fn gitsync(&self, args: &[&str]) -> Output {
        self.gitsync
            .run(&[args, &["--repo", &self.remote.url()]].concat())
    }

    /// Starts the daemon.
    pub fn daemon(&self) -> Daemon {
        self.gitsync.daemon(&["run", "--repo", &self.remote.url()])
    }

    /// Edits an app's ConfigMap by hand.
    pub fn edit(&self, app: &str, text: &str) {
        let patch = json!({"data": {"app.properties": text}}).to_string();
        self.kubectl(&[
            "patch",
            "configmap",
            app,
            "-n",
            NAMESPACE,
            "--type=merge",
            "-p",
            &patch,
        ])
        .ok();
    }

    /// Commits another tag for one app's image.
    pub fn set_image(&self, from: &str, to: &str) {
        let (from, to) = (format!("solo:{from}"), format!("solo:{to}"));
        self.remote.replace(&format!("{DIR}/{SOLO}"), &from, &to);
    }

    /// The cluster.
    pub fn cluster(&self) -> &ControlPlane {
        &self.cluster
    }

    /// The number of requests so far of all clients.
    pub fn now(&self) -> usize {
        self.cluster.requests_of("nobody", 0).1
    }

    /// The requests of a client since then, watches aside.
    pub fn requests(&self, agent: &str, since: usize) -> Vec<Request> {
        let (requests, _) = self.cluster.requests_of(agent, since);
        requests
            .into_iter()
            .filter(|request| request.verb != "watch")
            .collect()
    }
}

fn edit(path: &std::path::Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}
