//! Clusters in this process: the sandbox, which needs nothing but a moment, for commands that ask a cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Behaviour, Cluster, Handle, Options, kubeconfig};

use crate::harness::git::Remote;
use crate::harness::runtime::block_on;
use crate::harness::state::StateDirectory;
use crate::harness::tags;

/// Running clusters, and one kubeconfig with a context for each.
pub struct Clusters {
    /// The clusters; they end with this value.
    handles: Vec<Handle>,
    /// The file.
    pub kubeconfig: PathBuf,
    /// Where it lies.
    _directory: StateDirectory,
}

// === impl Clusters ===

impl Clusters {
    /// Starts one cluster for each name. What an image does is told by its tag, as on the real control plane.
    pub fn start(names: &[&str]) -> Self {
        let start = |name: &&str| {
            let options = Options {
                name: (*name).to_owned(),
                runtime: Arc::new(behaviour),
                ..Options::default()
            };
            block_on(Cluster::start(options)).expect("a cluster in this process")
        };
        let handles: Vec<Handle> = names.iter().map(start).collect();
        let access: Vec<_> = handles.iter().map(Handle::access).collect();
        let directory = StateDirectory::create("sandboxes");
        let file = directory.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig(&access)).expect("a file of the state directory");
        Self {
            handles,
            kubeconfig: file,
            _directory: directory,
        }
    }

    /// Somebody who writes to one of the clusters, by the name of what they use.
    pub fn client(&self, cluster: usize, manager: &str) -> sandbox::Client {
        self.handles[cluster].cluster().client(manager)
    }
}

/// The example's repository with `v2` in staging and `v1` in prod, and with a check that is over soon.
pub fn two_versions() -> Remote {
    let remote = Remote::example();
    remote.replace("policies/load-check.yaml", "duration: 10s", "duration: 1s");
    remote.replace("environments/staging/kustomization.yaml", "abc123de", "v2");
    remote.replace("environments/prod/kustomization.yaml", "9f31c0de", "v1");
    remote
}

fn behaviour(image: &str) -> Behaviour {
    match tags::Behaviour::of_image(image) {
        tags::Behaviour::Good | tags::Behaviour::Late | tags::Behaviour::Fails => {
            Behaviour::serving(Duration::from_millis(5))
        }
        tags::Behaviour::Slow => Behaviour::serving(Duration::from_millis(700)),
        tags::Behaviour::Stuck => Behaviour {
            ready_after: None,
            ..Behaviour::serving(Duration::from_millis(5))
        },
        tags::Behaviour::Crash => Behaviour::crashing(1, vec!["fatal: no database".to_owned()]),
        tags::Behaviour::NoPull => Behaviour::unpullable("not found"),
    }
}
