//! Kubeconfig: how clients find clusters, one file for several of them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How an administrator reaches one cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// The name of the context, the cluster and the user.
    pub name: String,
    /// `https://127.0.0.1:40001`.
    pub server: String,
    /// The authority's certificate as PEM; none without TLS.
    pub authority: Option<String>,
    /// The bearer token.
    pub token: String,
}

// === impl Access ===

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, server, .. } = self;
        f.debug_struct("Access")
            .field("name", name)
            .field("server", server)
            .finish_non_exhaustive()
    }
}

/// The text of a kubeconfig for some clusters. The first one is the current context.
pub fn kubeconfig(clusters: &[Access]) -> String {
    let (mut servers, mut users, mut contexts) = (String::new(), String::new(), String::new());
    for access in clusters {
        // Writing to a string cannot fail.
        let Access {
            name, server, token, ..
        } = access;
        let _ = write!(servers, "- name: {name}\n  cluster:\n    server: {server}\n");
        if let Some(authority) = &access.authority {
            let data = STANDARD.encode(authority);
            let _ = writeln!(servers, "    certificate-authority-data: {data}");
        }
        let _ = write!(users, "- name: {name}\n  user:\n    token: {token}\n");
        let _ = write!(
            contexts,
            "- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n"
        );
    }
    let current = clusters.first().map_or("\"\"", |access| access.name.as_str());
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {current}\nclusters:\n{servers}contexts:\n{contexts}users:\n{users}"
    )
}
