//! `gitsync doctor`: everything that has to work before anything can, each with what mends it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::Output;
use super::context::{Checkout, Context, cluster_failure};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use super::why::trouble_text;
use crate::config::repository::Environment;
use crate::desired::Desired;
use crate::problem::plural;
use crate::record::Record;
use crate::report::paint::{Paint, Tone};
use crate::world::cluster::connect::kubeconfig_paths;
use crate::world::cluster::{Cluster, service};

/// Arguments of `gitsync doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// How long a load balancer's address is waited for.
const ADDRESS_LIMIT: Duration = Duration::from_secs(3);

/// What gitsync does with every object that it keeps.
const VERBS: [&str; 5] = ["get", "list", "watch", "patch", "delete"];

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    what: String,
    /// Why it does not work; `None` when it does.
    wrong: Option<String>,
    hints: Vec<String>,
}

/// Looks at git, the kubeconfig, each cluster, the permissions there, and the addresses of the load checks.
///
/// # Errors
///
/// Never because of what it finds: that is the answer no.
pub async fn doctor(ui: &mut Ui, context: &Context, args: &DoctorArgs) -> Result<Answer, Failure> {
    let mut findings = Vec::new();
    remote(context, &mut findings).await;
    kubeconfig(context, &mut findings);
    match context.checkout().await {
        Ok(checkout) => {
            findings.push(Finding::good("the configuration is valid"));
            for environment in checkout.config().in_order() {
                examine(context, &checkout, environment, &mut findings).await;
            }
        }
        Err(failure) => findings.push(Finding::bad("the configuration", failure)),
    }
    let bad = findings.iter().filter(|finding| finding.wrong.is_some()).count();
    let text = match args.output {
        Output::Json => {
            let row = |finding: &Finding| json!({"what": finding.what, "ok": finding.wrong.is_none(), "wrong": finding.wrong, "hints": finding.hints});
            format!("{:#}\n", json!(findings.iter().map(row).collect::<Vec<_>>()))
        }
        Output::Text => {
            let lines: String = findings.iter().map(|finding| finding.text(ui.paint())).collect();
            let verdict = match bad {
                0 => ui.paint().tone(Tone::Good, "all is well"),
                count => {
                    let verb = if count == 1 { "does" } else { "do" };
                    let line = format!("{count} of {} {verb} not work", findings.len());
                    ui.paint().tone(Tone::Bad, &line)
                }
            };
            ui.folded(&format!("{lines}{verdict}\n"))
        }
    };
    ui.print(&text)?;
    Ok(if bad == 0 { Answer::Yes } else { Answer::No })
}

async fn remote(context: &Context, findings: &mut Vec<Finding>) {
    let remote = match context.remote() {
        Ok(remote) => remote,
        Err(failure) => return findings.push(Finding::bad("the repository", failure)),
    };
    let what = format!("git: {} of {}", remote.git().branch(), remote.git().url());
    findings.push(match remote.fetch().await {
        Ok(fetched) => Finding::good(&format!("{what} is at {}", fetched.revision.short())),
        Err(error) => Finding::bad(&what, Failure::from(error)),
    });
}

fn kubeconfig(context: &Context, findings: &mut Vec<Finding>) {
    let paths = kubeconfig_paths(context.args.kubeconfig.as_deref());
    for path in &paths {
        let what = format!("kubeconfig {}", path.display());
        findings.push(match std::fs::File::open(path) {
            Ok(_) => Finding::good(&format!(
                "{what} is readable; it need not be writable, and kubectl is not needed"
            )),
            Err(error) => Finding::bad(&what, Failure::usage(error)).hint(format!(
                "sudo chown \"$USER\" {0} && chmod 600 {0}",
                path.display()
            )),
        });
    }
    if paths.is_empty() {
        findings.push(
            Finding::bad("kubeconfig", Failure::usage("there is none"))
                .hint("pass --kubeconfig FILE, set KUBECONFIG, or ask the cloud: aws eks update-kubeconfig --name CLUSTER".to_owned()),
        );
    }
}

async fn examine(
    context: &Context,
    checkout: &Checkout,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) {
    let name = &environment.name;
    let desired = match checkout.render(environment).await {
        Ok(desired) => {
            findings.push(Finding::good(&format!(
                "{name}: renders {}",
                plural(desired.objects.len(), "object")
            )));
            Some(desired)
        }
        Err(failure) => {
            findings.push(Finding::bad(&format!("{name}: its overlay"), failure));
            None
        }
    };
    let cluster = match context.cluster(environment).await {
        Ok(cluster) => cluster,
        Err(failure) => return findings.push(Finding::bad(&format!("{name}: its cluster"), failure)),
    };
    let what = format!("{name}: cluster {}", cluster.name());
    let record = match cluster.read_record(name).await {
        Ok(stored) => stored.record,
        Err(error) => return findings.push(Finding::bad(&what, cluster_failure(error))),
    };
    findings.push(Finding::good(&format!("{what} answers")));
    let Some(desired) = desired else { return };
    let mut wanted = BTreeSet::from([(
        String::new(),
        "configmaps".to_owned(),
        "gitsync-system".to_owned(),
    )]);
    for object in desired.objects.iter() {
        // A kind that is not served yet comes with its CRD.
        if let Ok(Some(resource)) = cluster.resource(&object.gvk()).await {
            let namespace = if resource.namespaced {
                object.namespace()
            } else {
                ""
            };
            wanted.insert((
                resource.api.group.clone(),
                resource.api.plural.clone(),
                namespace.to_owned(),
            ));
        }
    }
    findings.push(permissions(&cluster, name.as_str(), wanted).await);
    namespaces(&cluster, environment, &desired, findings).await;
    addresses(context, checkout, environment, &cluster, &desired, findings).await;
    if record.synced.is_some() {
        pods(&cluster, environment, &desired, &record, findings).await;
    }
}

/// The namespaces that objects name and nobody makes.
async fn namespaces(
    cluster: &Cluster,
    environment: &Environment,
    desired: &Desired,
    findings: &mut Vec<Finding>,
) {
    let context = environment.spec.cluster.context.iter();
    let context: String = context.map(|name| format!(" --context {name}")).collect();
    let own = desired
        .objects
        .iter()
        .filter(|object| object.gvk().kind == "Namespace");
    let own: BTreeSet<&str> = own.map(manifest::Manifest::name).collect();
    let named = desired.objects.iter().map(manifest::Manifest::namespace);
    let named: BTreeSet<&str> = named.filter(|namespace| !namespace.is_empty()).collect();
    let api: Api<Namespace> = Api::all(cluster.client().clone());
    for namespace in named.difference(&own) {
        // Whoever may not look still may be allowed to apply.
        if let Ok(Ok(None)) = tokio::time::timeout(ADDRESS_LIMIT, api.get_metadata_opt(namespace)).await {
            let what = format!("{}: namespace {namespace}", environment.name);
            let failure = Failure::usage("it is neither in the cluster nor part of the environment");
            let hint =
                format!("kubectl{context} create namespace {namespace}, or add a Namespace to the overlay");
            findings.push(Finding::bad(&what, failure).hint(hint));
        }
    }
}

/// What keeps pods from running, of what was applied.
async fn pods(
    cluster: &Cluster,
    environment: &Environment,
    desired: &Desired,
    record: &Record,
    findings: &mut Vec<Finding>,
) {
    let name = &environment.name;
    let what = format!("{name}: pods");
    let observed = cluster
        .observe(environment, desired, &record.inventory, None)
        .await;
    let troubles = match observed {
        Ok(observation) => cluster.troubles(&observation.objects).await,
        Err(error) => Err(error),
    };
    let troubles = match troubles {
        Ok(troubles) => troubles,
        Err(error) => return findings.push(Finding::bad(&what, cluster_failure(error))),
    };
    if troubles.is_empty() {
        findings.push(Finding::good(&format!("{what} run")));
    }
    for (id, trouble) in troubles {
        let (namespace, pod) = (&id.namespace, &trouble.pod);
        let hint = if trouble.reason.contains("Image") {
            format!(
                "does the registry have it, and may this cluster pull it? kubectl -n {namespace} describe pod {pod}"
            )
        } else {
            format!("kubectl -n {namespace} logs {pod} --previous; kubectl -n {namespace} describe pod {pod}")
        };
        let failure = Failure::usage(trouble_text(&trouble));
        findings.push(Finding::bad(&format!("{name}: {id}"), failure).hint(hint));
    }
}

async fn permissions(cluster: &Cluster, name: &str, wanted: BTreeSet<(String, String, String)>) -> Finding {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client().clone());
    let mut refused = Vec::new();
    for (group, resource, namespace) in &wanted {
        for verb in VERBS {
            let attributes = ResourceAttributes {
                group: Some(group.clone()),
                resource: Some(resource.clone()),
                namespace: Some(namespace.clone()),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            };
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(attributes),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let answer =
                tokio::time::timeout(ADDRESS_LIMIT, api.create(&PostParams::default(), &review)).await;
            let allowed = match answer {
                Ok(Ok(review)) => review.status.is_some_and(|status| status.allowed),
                Ok(Err(_)) | Err(_) => false,
            };
            if !allowed {
                let place = if namespace.is_empty() {
                    String::new()
                } else {
                    format!(" -n {namespace}")
                };
                let dot = if group.is_empty() { "" } else { "." };
                refused.push(format!("{verb} {resource}{dot}{group}{place}"));
            }
        }
    }
    let what = format!(
        "{name}: permissions for {} of objects",
        plural(wanted.len(), "kind")
    );
    if refused.is_empty() {
        return Finding::good(&what);
    }
    let hint = format!(
        "ask an administrator for a role; to see it: kubectl auth can-i {}",
        refused[0]
    );
    Finding::bad(
        &what,
        Failure::usage(format!("not allowed: {}", refused.join(", "))),
    )
    .hint(hint)
}

async fn addresses(
    context: &Context,
    checkout: &Checkout,
    environment: &Environment,
    cluster: &Cluster,
    desired: &Desired,
    findings: &mut Vec<Finding>,
) {
    let names: BTreeSet<&String> = checkout
        .config()
        .promotions_from(&environment.name)
        .flat_map(|promotion| &promotion.gates)
        .collect();
    for check in names {
        let Some(target) = checkout
            .config()
            .load_checks
            .get(check)
            .and_then(|spec| spec.target.service.as_ref())
        else {
            continue;
        };
        let is_it =
            |object: &&manifest::Manifest| object.gvk().kind == "Service" && object.name() == target.name;
        let rendered = desired.objects.iter().find(is_it);
        let namespace = rendered.map_or("", |object| object.namespace());
        let namespace = if namespace.is_empty() {
            cluster.default_namespace()
        } else {
            namespace
        };
        let what = format!(
            "{}: service {namespace}/{} of load check {check}",
            environment.name, target.name
        );
        let found = service::resolve(
            cluster.client(),
            namespace,
            target,
            ADDRESS_LIMIT,
            &context.cancel,
        )
        .await;
        findings.push(match found {
            Ok(found) => Finding::good(&format!("{what} is {}", found.place())),
            Err(service::ServiceError::Missing { .. }) if rendered.is_some() => Finding::good(&format!(
                "{what} comes with the first sync; its address is looked at then"
            )),
            Err(error) => {
                let hint = error.hint().to_string();
                Finding::bad(&what, Failure::usage(error)).hint(hint)
            }
        });
    }
}

// === impl Finding ===

impl Finding {
    fn good(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            wrong: None,
            hints: Vec::new(),
        }
    }

    fn bad(what: &str, failure: Failure) -> Self {
        Self {
            what: what.to_owned(),
            wrong: Some(failure.to_string()),
            hints: failure.hints,
        }
    }

    fn hint(mut self, hint: String) -> Self {
        self.hints.push(hint);
        self
    }

    fn text(&self, paint: Paint) -> String {
        let Some(wrong) = &self.wrong else {
            return format!("{} {}\n", paint.tone(Tone::Good, "✓"), self.what);
        };
        let indented = wrong.replace('\n', "\n    ");
        let hints: String = self
            .hints
            .iter()
            .map(|hint| format!("    {} {hint}\n", paint.tone(Tone::Hunk, "→")))
            .collect();
        format!(
            "{} {}: {indented}\n{hints}",
            paint.tone(Tone::Bad, "✗"),
            self.what
        )
    }
}
