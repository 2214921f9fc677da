//! Connection: from an environment's cluster reference to a client.
//!
//! Kubeconfig files are only ever read: contexts are chosen in memory, so the file need not be writable and two
//! environments never fight over a current context.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderValue, USER_AGENT};
use kube::Config;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::Cluster;
use crate::config::environment::{EnvironmentSpec, Impersonate};
use crate::problem::chain;
use crate::world::lease::{FenceLayer, Leader};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How gitsync calls itself to API servers.
const AGENT: &str = concat!("gitsync/", env!("CARGO_PKG_VERSION"));

/// Why no client could be made; nothing has been sent yet.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read.
    #[error("kubeconfig {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// There is no kubeconfig at all.
    #[error(
        "there is no kubeconfig: neither --kubeconfig nor KUBECONFIG is set, and ~/.kube/config does not exist"
    )]
    Missing,
    /// The kubeconfig is no kubeconfig.
    #[error("kubeconfig {path} is not valid: {why}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the reader says, without what it quotes: an environment may name any file as its kubeconfig, and
        /// nothing of that file may be told.
        why: String,
    },
    /// The context is not there.
    #[error("kubeconfig {path} has no context `{context}`; it has {known}")]
    NoContext {
        /// The file or files.
        path: String,
        /// What was asked for.
        context: String,
        /// What there is.
        known: String,
    },
    /// The context's cluster or user is incomplete.
    #[error("context `{context}` cannot be used")]
    Incomplete {
        /// The context.
        context: String,
        /// What is missing.
        #[source]
        source: KubeconfigError,
    },
    /// gitsync does not run in a cluster.
    #[error("inCluster is set, but this process does not run in a pod with a ServiceAccount")]
    NotInCluster(#[source] kube::config::InClusterError),
    /// The program that makes the credentials does not run.
    #[error("the credential plugin `{plugin}` of context `{name}` does not work")]
    Plugin {
        /// The context.
        name: String,
        /// The program, as the kubeconfig names it.
        plugin: String,
        /// What the client says.
        #[source]
        source: Box<kube::Error>,
    },
    /// The client cannot be built, for example because of a certificate.
    #[error("no client can be made for {name}")]
    Client {
        /// The context.
        name: String,
        /// What the client says.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Makes a client for an environment. Nothing is sent to the cluster.
///
/// `kubeconfig` is what `--kubeconfig` says; without it, `KUBECONFIG` (a list) and `~/.kube/config` are read, as
/// kubectl does. `base` is the directory that a relative `spec.cluster.kubeconfig` starts from.
///
/// Every request of it that changes anything asks `leader` first.
///
/// # Errors
///
/// When the kubeconfig, the context or its credentials cannot be used.
pub async fn connect(
    spec: &EnvironmentSpec,
    kubeconfig: Option<&Path>,
    leader: &Leader,
) -> Result<Cluster, ConnectError> {
    let (name, mut config) = if spec.cluster.in_cluster {
        (
            "in-cluster".to_owned(),
            Config::incluster().map_err(ConnectError::NotInCluster)?,
        )
    } else {
        let own = spec.cluster.kubeconfig.as_deref().map(Path::new);
        from_kubeconfig(own.or(kubeconfig), spec.cluster.context.as_deref()).await?
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // So that a cluster's audit log says who asked.
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    if let Some(Impersonate { service_account }) = &spec.impersonate {
        let account = service_account.replacen('/', ":", 1);
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{account}"));
    }
    let default_namespace = config.default_namespace.clone();
    let plugin = config
        .auth_info
        .exec
        .as_ref()
        .and_then(|exec| exec.command.clone());
    let builder = ClientBuilder::try_from(config).map_err(|source| {
        let (name, source) = (name.clone(), Box::new(source));
        match plugin {
            Some(plugin) if matches!(*source, kube::Error::Auth(_)) => {
                ConnectError::Plugin { name, plugin, source }
            }
            _ => ConnectError::Client { name, source },
        }
    })?;
    let client = builder.with_layer(&FenceLayer(leader.clone())).build();
    Ok(Cluster::new(client, name, default_namespace))
}

async fn from_kubeconfig(
    path: Option<&Path>,
    context: Option<&str>,
) -> Result<(String, Config), ConnectError> {
    let (shown, file) = read(path)?;
    let context = context
        .map(str::to_owned)
        .or_else(|| file.current_context.clone())
        .unwrap_or_default();
    if !file.contexts.iter().any(|known| known.name == context) {
        let known: Vec<&str> = file.contexts.iter().map(|known| known.name.as_str()).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        return Err(ConnectError::NoContext {
            path: shown,
            context,
            known,
        });
    }
    let options = KubeConfigOptions {
        context: Some(context.clone()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|source| ConnectError::Incomplete {
            context: context.clone(),
            source,
        })?;
    Ok((context, config))
}

/// Reads the kubeconfig, and says which file or files it was.
fn read(path: Option<&Path>) -> Result<(String, Kubeconfig), ConnectError> {
    let paths = kubeconfig_paths(path);
    let mut merged: Option<Kubeconfig> = None;
    for path in &paths {
        let next = read_one(path)?;
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(|error| invalid(path, &error))?,
            None => next,
        });
    }
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    merged
        .map(|file| (shown.join(", "), file))
        .ok_or(ConnectError::Missing)
}

/// The kubeconfig files that are read, in order: the one asked for, or `KUBECONFIG`'s, or `~/.kube/config`.
#[must_use]
pub fn kubeconfig_paths(path: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = path {
        return vec![path.to_owned()];
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        // As kubectl does, files of the list that do not exist are passed over.
        return std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty() && path.exists())
            .collect();
    }
    let home = std::env::home_dir().map(|home| home.join(".kube/config"));
    home.into_iter().filter(|path| path.exists()).collect()
}

/// The contexts of the kubeconfig; none when it cannot be read.
#[must_use]
pub fn context_names(path: Option<&Path>) -> Vec<String> {
    let file = read(path).map(|(_, file)| file);
    let contexts = file.map(|file| file.contexts).unwrap_or_default();
    contexts.into_iter().map(|context| context.name).collect()
}

fn read_one(path: &Path) -> Result<Kubeconfig, ConnectError> {
    Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(source, _) => ConnectError::Unreadable {
            path: path.to_owned(),
            source,
        },
        error => invalid(path, &error),
    })
}

fn invalid(path: &Path, error: &KubeconfigError) -> ConnectError {
    ConnectError::Invalid {
        path: path.to_owned(),
        why: without_quotes(&chain(error)),
    }
}

/// The first line of a text, with an ellipsis in place of everything that stands in quotes, to the last one of the kind.
/// The lines after it may show the place in the file.
fn without_quotes(text: &str) -> String {
    let mut text = text.lines().next().unwrap_or_default().to_owned();
    for quote in ['"', '`', '\''] {
        if let (Some(first), Some(last)) = (text.find(quote), text.rfind(quote))
            && first < last
        {
            text.replace_range(first + 1..last, "…");
        }
    }
    text
}

// === impl ConnectError ===

impl ConnectError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => format!("check its owner and mode: ls -l {}", path.display()),
            Self::Missing => "pass --kubeconfig FILE, or set KUBECONFIG".to_owned(),
            Self::Invalid { path, .. } => format!(
                "see what kubectl makes of it: kubectl config view --kubeconfig {}",
                path.display()
            ),
            Self::Plugin { plugin, .. } => {
                format!("install it where gitsync runs, or see what it says by itself: command -v {plugin}")
            }
            Self::NoContext { .. } => {
                "set spec.cluster.context to one of them, or add the context: kubectl config get-contexts"
                    .to_owned()
            }
            Self::Incomplete { context, .. } => {
                format!("see: kubectl config view --minify --context {context}")
            }
            Self::NotInCluster(_) => "use spec.cluster.context outside of a cluster".to_owned(),
            Self::Client { .. } => "check the certificates and keys of the context".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_file_that_is_no_kubeconfig_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for text in [
            "canary",
            "\"canary\"",
            "'canary'",
            "- canary",
            "clusters: canary",
            "contexts: {canary",
            "canary: 'can\nary",
            "clusters: [{name: canary, cluster: [canary]}]",
            "kind: \"a\\\"canary\\\"b\"\nusers: \"a\\\"canary\"",
            "users: [{name: x, user: {exec: {interactiveMode: canary}}}]",
        ] {
            std::fs::write(&path, text).unwrap();
            if let Err(error) = read(Some(&path)) {
                let told = format!("{}{error:?}", chain(&error));
                assert!(!told.contains("canary"), "{text:?}: {told}");
            }
        }
    }
}
