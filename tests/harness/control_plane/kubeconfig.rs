//! A kubeconfig: the contexts through which clusters are reached, right ones and wrong ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What it takes to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The URL of the API server.
    pub server: String,
    /// The certificates to trust, in PEM.
    pub authority: String,
    /// The bearer token.
    pub token: String,
}

/// Contexts by name, in order; the first is the current one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubeconfig {
    contexts: Vec<(String, Access)>,
}

// === impl Kubeconfig ===

impl Kubeconfig {
    /// Adds a context; for tests of what is wrong, with a changed [`Access`] or under another name.
    #[must_use = "the context is added to the value that is returned"]
    pub fn with(mut self, context: &str, access: Access) -> Self {
        self.contexts.push((context.to_owned(), access));
        self
    }

    /// The file's content.
    pub fn to_yaml(&self) -> String {
        let named = |make: &dyn Fn(&str, &Access) -> Value| -> Vec<Value> {
            self.contexts
                .iter()
                .map(|(name, access)| make(name, access))
                .collect()
        };
        let clusters = named(&|name, access| {
            let authority = STANDARD.encode(&access.authority);
            json!({"name": name, "cluster": {"server": access.server, "certificate-authority-data": authority}})
        });
        let users = named(&|name, access| json!({"name": name, "user": {"token": access.token}}));
        let contexts = named(&|name, _| json!({"name": name, "context": {"cluster": name, "user": name}}));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.contexts.first().map_or("", |(name, _)| name),
            "clusters": clusters,
            "users": users,
            "contexts": contexts,
        });
        serde_yaml::to_string(&config).expect("because every value has a YAML form")
    }

    /// Writes the file with the given permissions, for example 0o400, or 0 for an unreadable one.
    ///
    /// It appears by a rename, so that a reader sees the old or the new content, and a read-only file can be replaced.
    ///
    /// # Panics
    ///
    /// When the directory cannot be written.
    pub fn write(&self, path: &Path, mode: u32) {
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, self.to_yaml())
            .and_then(|()| fs::set_permissions(&unfinished, fs::Permissions::from_mode(mode)))
            .and_then(|()| fs::rename(&unfinished, path))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}
