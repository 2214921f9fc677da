//! `gitsync install` and `gitsync uninstall`: gitsync's own objects in a cluster.

use std::collections::BTreeSet;
use std::path::PathBuf;

use manifest::Manifest;

use super::context::{Checkout, Context, cluster_failure, connect_failure};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::environment::{ClusterSpec, EnvironmentSpec};
use crate::config::repository::Environment;
use crate::desired::Desired;
use crate::problem::plural;
use crate::record::NAMESPACE;
use crate::report::install::access::{self, Access, Subject, Target};
use crate::report::install::{Document, Settings, is_ssh, kustomization, manifests, rights, stream};
use crate::world::cluster::Cluster;
use crate::world::cluster::connect::connect;
use crate::world::lease::Leader;

/// Arguments of `gitsync install`.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    /// Environment in the cluster that is installed to; may be repeated; those with `inCluster` always are
    #[arg(long, value_name = "NAME")]
    pub env: Vec<String>,
    /// Only the account and its rights: for a cluster that gitsync reaches from another one
    #[arg(long)]
    pub rights_only: bool,
    /// Image of gitsync
    #[arg(long, value_name = "IMAGE", default_value = concat!("gitsync:", env!("CARGO_PKG_VERSION")), value_parser = image)]
    pub image: String,
    /// How many replicas share the environments
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    pub replicas: u32,
    /// Secret with the credentials for git: `token`, or for ssh `identity` and `known_hosts`
    #[arg(long, value_name = "SECRET", value_parser = name)]
    pub git_secret: Option<String>,
    /// Secret with the credentials for pushing, if they differ: `token` or `identity`
    #[arg(long, value_name = "SECRET", value_parser = name, requires = "git_secret")]
    pub git_write_secret: Option<String>,
    /// Secret with the kubeconfig of other clusters: `config`
    #[arg(long, value_name = "SECRET", value_parser = name)]
    pub kubeconfig_secret: Option<String>,
    /// Namespace that may scrape the metrics
    #[arg(long, value_name = "NAMESPACE", default_value = "monitoring", value_parser = name)]
    pub monitoring_namespace: String,
    /// Add a PodMonitor for the Prometheus operator
    #[arg(long)]
    pub pod_monitor: bool,
    /// Write a kustomization into this directory instead of printing
    #[arg(long, value_name = "DIR", conflicts_with = "apply")]
    pub output_dir: Option<PathBuf>,
    /// Apply to the cluster instead of printing
    #[arg(long)]
    pub apply: bool,
    /// Context of the kubeconfig to apply to; by default the current one
    #[arg(long, value_name = "NAME", requires = "apply")]
    pub context: Option<String>,
}

/// Arguments of `gitsync uninstall`.
#[derive(Debug, clap::Args)]
pub struct UninstallArgs {
    /// Context of the kubeconfig; by default the current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Only list what would be deleted
    #[arg(long)]
    pub dry_run: bool,
}

/// Prints, writes or applies what runs gitsync in a cluster.
///
/// # Errors
///
/// When the repository or its configuration is wrong, or the cluster refuses.
pub async fn install(ui: &mut Ui, context: &Context, args: &InstallArgs) -> Result<Answer, Failure> {
    let checkout = context.checkout().await?;
    let here = environments_here(&checkout, args)?;
    let (mut access, mut ports) = (Vec::new(), BTreeSet::new());
    for environment in &here {
        let desired = checkout.render(environment).await?;
        let targets = targets(&checkout, environment);
        access.push(access_of(environment, &desired, &targets));
        ports.extend(ports_of(&desired, &targets));
    }
    for note in access.iter().flat_map(|access| &access.notes) {
        ui.warn(note);
    }
    let documents = if args.rights_only {
        rights(&access)
    } else {
        manifests(&settings(context, args, &checkout, ports)?, &access)
    };
    if args.apply {
        let cluster = cluster(context, args.context.as_deref()).await?;
        return apply(ui, &cluster, &documents).await;
    }
    match &args.output_dir {
        None => ui.print(&stream(&documents)),
        Some(dir) => write(ui, dir, &documents),
    }
}

/// Deletes what [`install`] brought, and says what it leaves.
///
/// # Errors
///
/// When the cluster cannot be asked or refuses.
pub async fn uninstall(ui: &mut Ui, context: &Context, args: &UninstallArgs) -> Result<Answer, Failure> {
    let cluster = cluster(context, args.context.as_deref()).await?;
    let installed = cluster.installed().await.map_err(cluster_failure)?;
    let mut told = String::new();
    for object in &installed {
        if !args.dry_run {
            cluster.uninstall(object).await.map_err(cluster_failure)?;
        }
        let done = if args.dry_run {
            "would be deleted"
        } else {
            "deleted"
        };
        told.push_str(&format_line(&object.to_string(), done));
    }
    ui.print(&told)?;
    ui.story("everything that gitsync applied for environments goes on running; nobody keeps it as git says any more");
    let remains = cluster.remains().await.map_err(cluster_failure)?;
    if !remains.is_empty() {
        ui.story(&format!(
            "namespace {NAMESPACE} remains with {}, so that a new installation goes on where this one ended",
            remains.join(", ")
        ));
        ui.story(&format!(
            "to remove these too: kubectl --context {} delete namespace {NAMESPACE}",
            cluster.name()
        ));
    }
    Ok(Answer::Yes)
}

fn format_line(object: &str, done: &str) -> String {
    format!("{object} {done}\n")
}

/// The environments that are in the cluster that is installed to.
fn environments_here<'a>(
    checkout: &'a Checkout,
    args: &InstallArgs,
) -> Result<Vec<&'a Environment>, Failure> {
    let named = if args.env.is_empty() {
        Vec::new()
    } else {
        checkout.environments(&args.env)?
    };
    let all = checkout.config().in_order();
    let is_here = |environment: &&Environment| {
        let named = named.iter().any(|named| named.name == environment.name);
        named || (environment.spec.cluster.in_cluster && !args.rights_only)
    };
    let here: Vec<&Environment> = all.into_iter().filter(is_here).collect();
    if here.is_empty() && args.rights_only {
        return Err(
            Failure::usage("no environment is named, so there are no rights to give")
                .hint("name those of the cluster: --env NAME"),
        );
    }
    Ok(here)
}

fn access_of(environment: &Environment, desired: &Desired, targets: &[Target]) -> Access {
    access::of(Subject {
        name: &environment.name,
        spec: &environment.spec,
        objects: &desired.objects,
        hooks: &desired.hooks,
        default_namespace: "default",
        targets,
    })
}

/// The Services that the gates of an environment send requests to.
fn targets(checkout: &Checkout, environment: &Environment) -> Vec<Target> {
    let config = checkout.config();
    let gates = config
        .promotions_from(&environment.name)
        .flat_map(|promotion| &promotion.gates);
    let checks = gates.filter_map(|gate| config.load_checks.get(gate));
    let targets = checks.filter_map(|check| {
        Some(Target {
            service: check.target.service.as_ref()?.name.clone(),
            distributed: check.distribution.is_some(),
        })
    });
    targets.collect()
}

/// The ports of those Services.
fn ports_of(desired: &Desired, targets: &[Target]) -> Vec<u16> {
    let is_target = |object: &&Manifest| {
        let mut targets = targets.iter();
        object.gvk().kind == "Service" && targets.any(|target| target.service == object.name())
    };
    let services = desired.objects.iter().filter(is_target);
    let ports = services.flat_map(|service| {
        service.value()["spec"]["ports"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    });
    ports
        .filter_map(|port| port["port"].as_u64()?.try_into().ok())
        .collect()
}

fn settings(
    context: &Context,
    args: &InstallArgs,
    checkout: &Checkout,
    ports: BTreeSet<u16>,
) -> Result<Settings, Failure> {
    let remote = context.remote()?;
    let repo = remote.git().url().to_string();
    if remote.git().url().local_path().is_some() {
        return Err(
            Failure::usage(format!("a pod cannot reach the repository {repo}"))
                .hint("name it by URL: --repo https://… or --repo ssh://…"),
        );
    }
    if is_ssh(&repo) && args.git_secret.is_none() {
        return Err(Failure::usage("git over ssh needs a key and the host's key").hint(format!(
            "kubectl -n {NAMESPACE} create secret generic git --from-file=identity=… --from-file=known_hosts=…, then --git-secret git"
        )));
    }
    let elsewhere = |environment: &&Environment| !environment.spec.cluster.in_cluster;
    if let Some(environment) = checkout.config().in_order().into_iter().find(elsewhere)
        && args.kubeconfig_secret.is_none()
    {
        return Err(Failure::usage(format!(
            "environment {} is reached by a context of a kubeconfig",
            environment.name
        ))
        .hint(format!(
            "kubectl -n {NAMESPACE} create secret generic clusters --from-file=config=…, then --kubeconfig-secret clusters"
        ))
        .hint("or set spec.cluster.inCluster: true, if it is the cluster that gitsync runs in"));
    }
    Ok(Settings {
        image: args.image.clone(),
        replicas: args.replicas,
        repo,
        branch: remote.git().branch().to_owned(),
        git_secret: args.git_secret.clone(),
        git_write_secret: args.git_write_secret.clone(),
        kubeconfig_secret: args.kubeconfig_secret.clone(),
        monitoring_namespace: args.monitoring_namespace.clone(),
        pod_monitor: args.pod_monitor,
        ports: ports.into_iter().collect(),
    })
}

async fn cluster(context: &Context, name: Option<&str>) -> Result<Cluster, Failure> {
    let spec = EnvironmentSpec {
        cluster: ClusterSpec {
            context: name.map(str::to_owned),
            ..ClusterSpec::default()
        },
        impersonate: None,
        sync: crate::config::environment::Sync::default(),
        on_failure: crate::config::environment::OnFailure::default(),
        allow: None,
        health_check_exprs: Vec::new(),
    };
    connect(&spec, context.args.kubeconfig.as_deref(), &Leader::alone())
        .await
        .map_err(connect_failure)
}

async fn apply(ui: &mut Ui, cluster: &Cluster, documents: &[Document]) -> Result<Answer, Failure> {
    let mut told = String::new();
    for document in documents {
        for object in Manifest::parse(&document.text, &document.file).map_err(Failure::usage)? {
            let applied = cluster.install(&object).await.map_err(cluster_failure)?;
            told.push_str(&format_line(&applied.to_string(), "applied"));
        }
    }
    ui.print(&told)
}

fn write(ui: &mut Ui, dir: &std::path::Path, documents: &[Document]) -> Result<Answer, Failure> {
    let wrong =
        |error: std::io::Error| Failure::usage(format!("{} cannot be written: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(wrong)?;
    for document in documents.iter().chain([&kustomization(documents)]) {
        std::fs::write(dir.join(&document.file), &document.text).map_err(wrong)?;
    }
    ui.story(&format!(
        "wrote {} to {}; apply them with: kubectl apply --server-side -k {1}",
        plural(documents.len() + 1, "file"),
        dir.display()
    ));
    Ok(Answer::Yes)
}

/// An image reference, which goes into a manifest as it is.
fn image(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "./:@_-".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err("expected NAME:TAG or NAME@DIGEST".to_owned());
    }
    Ok(text.to_owned())
}

/// The name of an object.
fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if !text.chars().all(allowed) || !edge(text.chars().next()) || !edge(text.chars().last()) {
        return Err("expected a-z, 0-9, - and ., as Kubernetes does".to_owned());
    }
    Ok(text.to_owned())
}
