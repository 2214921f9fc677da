//! Install: the manifests that run gitsync in a cluster, with no more rights than the repository's objects need.
//!
//! They are made as text, because each right has its reason beside it as a comment; who applies them reads the text back.

pub mod access;
mod kinds;
mod rule;

use std::fmt::Write as _;

use crate::record::NAMESPACE;
use access::Access;

/// The name of everything that belongs to the daemon itself.
pub const NAME: &str = "gitsync";

/// The label of everything that uninstalling removes, and its value.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/part-of", "gitsync");

/// The port of the dashboard, the probes and the metrics.
pub const PORT: u16 = 8080;

/// What a person decides about an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image of gitsync.
    pub image: String,
    /// How many replicas share the environments.
    pub replicas: u32,
    /// The URL of the repository.
    pub repo: String,
    /// Its branch.
    pub branch: String,
    /// The Secret with the credentials for git, if it needs any.
    pub git_secret: Option<String>,
    /// The Secret with the credentials for pushing, if they differ.
    pub git_write_secret: Option<String>,
    /// The Secret with the kubeconfig of other clusters, if there are any.
    pub kubeconfig_secret: Option<String>,
    /// The namespace whose pods may scrape metrics and see the dashboard, besides gitsync's own.
    pub monitoring_namespace: String,
    /// Whether the Prometheus operator is asked to scrape.
    pub pod_monitor: bool,
    /// The TCP ports that the daemon calls, besides those of git and of API servers; load checks go there.
    pub ports: Vec<u16>,
}

/// One file of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub file: String,
    /// Its objects, as YAML with comments.
    pub text: String,
}

/// All manifests: the daemon, and the rights that it has in this cluster.
#[must_use]
pub fn manifests(settings: &Settings, access: &[Access]) -> Vec<Document> {
    let mut documents = vec![
        document("namespace.yaml", namespace(NAMESPACE)),
        document("service-account.yaml", service_account()),
    ];
    documents.extend(access::documents(access));
    documents.push(document("deployment.yaml", deployment(settings)));
    documents.push(document("service.yaml", service()));
    if settings.replicas > 1 {
        documents.push(document("pod-disruption-budget.yaml", disruption_budget()));
    }
    documents.push(document("network-policy.yaml", network_policy(settings)));
    if settings.pod_monitor {
        documents.push(document("pod-monitor.yaml", pod_monitor()));
    }
    documents
}

/// The account and its rights alone: for a cluster that gitsync reaches from another one.
#[must_use]
pub fn rights(access: &[Access]) -> Vec<Document> {
    let mut documents = vec![
        document("namespace.yaml", namespace(NAMESPACE)),
        document("service-account.yaml", service_account()),
    ];
    documents.extend(access::documents(access));
    documents
}

/// The kustomization of such files.
#[must_use]
pub fn kustomization(documents: &[Document]) -> Document {
    let mut text =
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n".to_owned();
    for document in documents {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {}", document.file);
    }
    document("kustomization.yaml", text)
}

/// All documents as one stream.
#[must_use]
pub fn stream(documents: &[Document]) -> String {
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    texts.join("---\n")
}

fn document(file: &str, text: String) -> Document {
    Document {
        file: file.to_owned(),
        text,
    }
}

/// A namespace. It has no label of ours: uninstalling leaves namespaces alone.
fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n")
}

/// The `metadata` of an object, with the label by which uninstalling finds it.
fn metadata(name: &str, namespace: &str) -> String {
    let within = if namespace.is_empty() {
        String::new()
    } else {
        format!("  namespace: {namespace}\n")
    };
    let (label, value) = LABEL;
    format!(
        "metadata:\n  name: {name}\n{within}  labels:\n    app.kubernetes.io/name: {NAME}\n    {label}: {value}\n"
    )
}

fn service_account() -> String {
    format!(
        "apiVersion: v1\nkind: ServiceAccount\n{}",
        metadata(NAME, NAMESPACE)
    )
}

fn service() -> String {
    format!(
        "apiVersion: v1\nkind: Service\n{}spec:\n  selector:\n    app.kubernetes.io/name: {NAME}\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n",
        metadata(NAME, NAMESPACE)
    )
}

fn disruption_budget() -> String {
    format!(
        "# One replica at least stays while nodes are drained.\napiVersion: policy/v1\nkind: PodDisruptionBudget\n{}spec:\n  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: {NAME}\n",
        metadata(NAME, NAMESPACE)
    )
}

fn pod_monitor() -> String {
    format!(
        "# Needs the Prometheus operator's CRDs.\napiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\n{}spec:\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: {NAME}\n  podMetricsEndpoints:\n  - port: http\n    path: /metrics\n",
        metadata(NAME, NAMESPACE)
    )
}

fn deployment(settings: &Settings) -> String {
    let volumes = Volumes::of(settings);
    let args: String = arguments(settings)
        .iter()
        .map(|argument| format!("        - {}\n", quoted(argument)))
        .collect();
    include_str!("deployment.yaml")
        .replace("{metadata}", metadata(NAME, NAMESPACE).trim_end())
        .replace("{replicas}", &settings.replicas.to_string())
        .replace("{image}", &quoted(&settings.image))
        .replace("{args}", args.trim_end())
        .replace("{port}", &PORT.to_string())
        .replace("{mounts}", volumes.mounts.trim_end())
        .replace("{volumes}", volumes.sources.trim_end())
}

/// What `gitsync run` is started with.
fn arguments(settings: &Settings) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "run",
        "--leader-elect",
        &format!("--listen=0.0.0.0:{PORT}"),
        &format!("--listen-host={NAME}.{NAMESPACE}.svc"),
        "--cache-dir=/cache",
        &format!("--repo={}", settings.repo),
        &format!("--branch={}", settings.branch),
    ]
    .map(str::to_owned)
    .into();
    let is_ssh = is_ssh(&settings.repo);
    if settings.git_secret.is_some() {
        arguments.extend(if is_ssh {
            vec![
                "--ssh-key=/etc/gitsync/git/identity".to_owned(),
                "--ssh-known-hosts=/etc/gitsync/git/known_hosts".to_owned(),
            ]
        } else {
            vec!["--git-token-file=/etc/gitsync/git/token".to_owned()]
        });
    }
    if settings.git_write_secret.is_some() {
        arguments.push(if is_ssh {
            "--ssh-write-key=/etc/gitsync/git-write/identity".to_owned()
        } else {
            "--git-write-token-file=/etc/gitsync/git-write/token".to_owned()
        });
    }
    if settings.kubeconfig_secret.is_some() {
        arguments.push("--kubeconfig=/etc/gitsync/kubeconfig/config".to_owned());
    }
    arguments
}

/// Where Secrets are mounted. Their content is never in a manifest.
struct Volumes {
    mounts: String,
    sources: String,
}

// === impl Volumes ===

impl Volumes {
    fn of(settings: &Settings) -> Self {
        let mut volumes = Self {
            mounts: String::new(),
            sources: String::new(),
        };
        let secrets = [
            ("git", &settings.git_secret),
            ("git-write", &settings.git_write_secret),
            ("kubeconfig", &settings.kubeconfig_secret),
        ];
        for (name, secret) in secrets {
            if let Some(secret) = secret {
                volumes.add(name, secret);
            }
        }
        volumes
    }

    fn add(&mut self, name: &str, secret: &str) {
        // Writing to a string cannot fail.
        let _ = write!(
            self.mounts,
            "        - name: {name}\n          mountPath: /etc/gitsync/{name}\n          readOnly: true\n"
        );
        // 288 is 0440; with the pod's fsGroup: ssh refuses keys that others may read.
        let _ = write!(
            self.sources,
            "      - name: {name}\n        secret:\n          secretName: {secret}\n          defaultMode: 288\n"
        );
    }
}

fn network_policy(settings: &Settings) -> String {
    let mut ports = vec![443, 6443, git_port(&settings.repo)];
    ports.extend(&settings.ports);
    ports.sort_unstable();
    ports.dedup();
    let ports: String = ports
        .iter()
        .map(|port| format!("    - port: {port}\n      protocol: TCP\n"))
        .collect();
    include_str!("network-policy.yaml")
        .replace("{metadata}", metadata(NAME, NAMESPACE).trim_end())
        .replace("{monitoring}", &settings.monitoring_namespace)
        .replace("{ports}", ports.trim_end())
}

/// Whether a repository is reached by ssh: `ssh://…`, or `user@host:path`.
#[must_use]
pub fn is_ssh(repo: &str) -> bool {
    repo.starts_with("ssh://") || (!repo.contains("://") && repo.contains('@') && repo.contains(':'))
}

/// The TCP port of a repository's host.
fn git_port(repo: &str) -> u16 {
    let default = match repo.split_once("://") {
        Some(("https", _)) => 443,
        Some(("http", _)) => 80,
        _ => 22,
    };
    let Some((_, rest)) = repo.split_once("://") else {
        return default;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or(default)
}

/// A scalar that is a string, whatever it looks like.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
