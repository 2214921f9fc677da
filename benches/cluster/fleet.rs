//! Fleet: a control plane, and a repository whose one environment holds many apps.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::harness::control_plane::kubeconfig::Kubeconfig;
use crate::harness::control_plane::{ControlPlane, Request};
use crate::harness::git::{Remote, edit, git};
use crate::harness::git_server::GitServer;
use crate::harness::gitsync::{Daemon, Gitsync};
use crate::harness::kubectl;
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
/// What every object gets when all are to change.
const ANNOTATION: &str = "commonAnnotations:\n  bench.example.com/changed: \"yes\"\n";

/// How long kubectl may take with all objects.
const KUBECTL: Duration = Duration::from_secs(1800);

/// A cluster and what is to run there.
pub struct Fleet {
    cluster: ControlPlane,
    remote: Remote,
    gitsync: Gitsync,
    files: StateDirectory,
    apps: usize,
    /// The number of the solo app's present tag.
    tag: Cell<usize>,
    /// The overlay's kustomization with all apps.
    whole: RefCell<String>,
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
        // As in the image: see deploy/Dockerfile.
        let gitsync = Gitsync::new()
            .env("KUBECONFIG", &kubeconfig)
            .env("MIMALLOC_PURGE_DELAY", "0");
        let fleet = Self {
            cluster,
            remote: Remote::empty(),
            gitsync,
            files,
            apps,
            tag: Cell::new(0),
            whole: RefCell::default(),
        };
        fleet.commit();
        fleet.whole.replace(fleet.overlay());
        fleet.write_rendered();
        fleet
    }

    fn commit(&self) {
        let clone = self.remote.clone_to("fleet");
        let dir = clone.join(DIR);
        if self.apps > 0 {
            write_apps(&dir, self.apps);
        } else {
            write_namespace(&dir);
        }
        let environment = format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {NAME}}}\nspec:\n  cluster: {{context: {NAME}}}\n  \
             sync: {{interval: 2s, timeout: 10m}}\n"
        );
        fs::write(dir.join("environment.yaml"), environment).unwrap();
        self.remote.commit_all(&clone, "Deploy the fleet");
    }

    /// Writes the file that kubectl applies, as the branch's tip renders.
    pub fn write_rendered(&self) {
        fs::write(self.rendered(), self.render()).unwrap();
    }

    fn render(&self) -> String {
        let clone = tempfile::tempdir().unwrap();
        git(clone.path(), &["clone", "--quiet", &self.remote.url(), "."]).ok();
        let dir = clone.path().join(DIR);
        self.gitsync.run(&["render", dir.to_str().unwrap()]).ok()
    }

    fn overlay(&self) -> String {
        self.remote.read(&format!("{DIR}/kustomization.yaml")).unwrap()
    }

    fn set_overlay(&self, text: &str) {
        let path = format!("{DIR}/kustomization.yaml");
        self.remote.commit("Change the overlay", &[(&path, Some(text))]);
    }

    /// Changes every object.
    pub fn annotate(&self) {
        self.set_overlay(&format!("{ANNOTATION}{}", self.overlay()));
    }

    /// Changes every object back.
    pub fn forget_annotation(&self) {
        self.set_overlay(&self.overlay().replace(ANNOTATION, ""));
    }

    /// Takes the last twenty apps away.
    pub fn drop_apps(&self) {
        let is_last = |line: &str| {
            let number = line
                .strip_prefix("- apps/app-")
                .and_then(|number| number.parse::<usize>().ok());
            number.is_some_and(|number| number + 20 >= self.apps)
        };
        let overlay = self.overlay();
        let left: Vec<&str> = overlay.lines().filter(|line| !is_last(line)).collect();
        self.set_overlay(&(left.join("\n") + "\n"));
        self.write_rendered();
    }

    /// Brings them back.
    pub fn restore_apps(&self) {
        self.set_overlay(&self.whole.borrow().clone());
        self.write_rendered();
    }

    /// Commits the next tag of the solo app's image.
    pub fn next_image(&self) {
        let tag = self.tag.get();
        let (from, to) = (format!("solo:v1.0.{tag}\n"), format!("solo:v1.0.{}\n", tag + 1));
        self.remote.replace(&format!("{DIR}/{SOLO}"), &from, &to);
        self.tag.set(tag + 1);
    }

    /// Applies what is rendered as a set that kubectl remembers, so that it deletes what is no longer in it. Such a set is
    /// kept in a namespace, so the Namespace itself is not in it.
    pub fn kubectl_with_set(&self) -> Output {
        let path = self.files.path().join("set.yaml");
        let rendered = fs::read_to_string(self.rendered()).unwrap();
        let documents = rendered
            .split("\n---\n")
            .filter(|document| !document.contains("kind: Namespace\n"));
        fs::write(&path, documents.collect::<Vec<_>>().join("\n---\n")).unwrap();
        let mut command = kubectl::command(self.kubeconfig().as_ref(), self.files.path());
        command.env("KUBECTL_APPLYSET", "true").args([
            "apply",
            "--server-side",
            "--prune",
            "--applyset=secrets/bench",
        ]);
        command.args(["-n", NAMESPACE, "-f"]).arg(&path);
        Output::of(command, KUBECTL)
    }

    /// How many apps there are.
    pub fn apps(&self) -> usize {
        self.apps
    }

    /// The kubeconfig of the cluster.
    pub fn kubeconfig(&self) -> String {
        self.files.path().join("kubeconfig.yaml").display().to_string()
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
        let mut command = kubectl::command(self.kubeconfig().as_ref(), self.files.path());
        command.args(args);
        Output::of(command, KUBECTL)
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
        self.daemon_at(&self.remote.url(), &[])
    }

    /// Starts the daemon for another URL of the repository, with further arguments.
    pub fn daemon_at(&self, url: &str, args: &[&str]) -> Daemon {
        self.gitsync.daemon(&[&["run", "--repo", url], args].concat())
    }

    /// Serves the repository by HTTP.
    pub fn serve(&self) -> GitServer {
        GitServer::start(&self.remote, None)
    }

    /// Writes a secret into a file, and gives its path.
    pub fn secret_file(&self, secret: &str) -> String {
        let path = self.files.path().join("secret");
        fs::write(&path, secret).unwrap();
        path.display().to_string()
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

/// Writes the overlay of apps without pods, so that nothing but the API server is measured, and with one app whose image
/// is its own.
pub fn write_apps(dir: &Path, apps: usize) {
    trees::overlay(dir, apps);
    for app in 0..apps {
        let deployment = dir.join(format!("apps/app-{app:04}/deployment.yaml"));
        edit(&deployment, "replicas: 2", "replicas: 0");
    }
    let replicas = "replicas:\n- name: app-0007\n  count: 5\n";
    edit(&dir.join("kustomization.yaml"), replicas, "");
    let (all, solo) = (
        "registry.example.com/app:v1.0.0",
        "registry.example.com/solo:v1.0.0",
    );
    edit(&dir.join(SOLO), all, solo);
}

/// Writes an overlay with nothing but the namespace.
fn write_namespace(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n");
    fs::write(dir.join("namespace.yaml"), namespace).unwrap();
    fs::write(dir.join("kustomization.yaml"), "resources:\n- namespace.yaml\n").unwrap();
}
