//! Access: the rights that one environment needs in its cluster, read off the objects that the repository has for it.

use std::collections::{BTreeMap, BTreeSet};

use manifest::Manifest;

use super::kinds::Kinds;
use super::rule::Rule;
use super::{Document, NAME, document, metadata, namespace};
use crate::config::environment::EnvironmentSpec;
use crate::desired::hooks::Hook;
use crate::model::EnvName;
use crate::record::{NAMESPACE, config_map_name};

/// What one environment needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    environment: EnvName,
    /// The account that acts there: its namespace and name.
    account: (String, String),
    /// The rights to what is in no namespace, and lists that span several.
    cluster: Vec<Rule>,
    /// The rights by namespace.
    namespaces: BTreeMap<String, Vec<Rule>>,
    /// What a person has to know or to decide.
    pub notes: Vec<String>,
}

/// What is known of an environment.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a EnvName,
    /// Its configuration.
    pub spec: &'a EnvironmentSpec,
    /// What the repository has for it.
    pub objects: &'a [Manifest],
    /// The Jobs that run before and after a sync.
    pub hooks: &'a [Hook],
    /// The namespace of objects that name none.
    pub default_namespace: &'a str,
    /// The Services that its gates send requests to.
    pub targets: &'a [Target],
}

/// A Service that a load check sends requests to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub service: String,
    /// Whether pods of the cluster send them.
    pub distributed: bool,
}

/// Reads off what an environment needs.
#[must_use]
pub fn of(subject: Subject<'_>) -> Access {
    let Subject { name, spec, .. } = subject;
    let own = (NAMESPACE.to_owned(), NAME.to_owned());
    let account = spec.impersonate.as_ref().map_or(own, |impersonate| {
        let account = impersonate.service_account.split_once('/');
        account.map_or_else(Default::default, |(namespace, name)| {
            (namespace.to_owned(), name.to_owned())
        })
    });
    let mut access = Access {
        environment: name.clone(),
        account,
        cluster: Vec::new(),
        namespaces: BTreeMap::new(),
        notes: Vec::new(),
    };
    access.record();
    access.objects(subject);
    access.hooks(subject);
    access.gates(subject);
    access.merge();
    access
}

// === impl Access ===

impl Access {
    fn record(&mut self) {
        let name = config_map_name(&self.environment);
        self.grant(
            NAMESPACE,
            Rule::new(
                "the record: inventory, last sync, verifications",
                "",
                "configmaps",
                &["get", "patch"],
            )
            .only(vec![name]),
        );
        self.grant(
            NAMESPACE,
            Rule::new(
                "its first writing, which cannot be limited to a name",
                "",
                "configmaps",
                &["create"],
            ),
        );
        let why = "Events that tell what gitsync did";
        self.grant(
            NAMESPACE,
            Rule::new(why, "events.k8s.io", "events", &["create", "patch"]),
        );
    }

    fn objects(&mut self, subject: Subject<'_>) {
        let kinds = Kinds::of(subject.objects);
        let mut spread: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        let mut named: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for object in subject.objects {
            let gvk = object.gvk();
            let resource = kinds.resource(&gvk);
            if !resource.known {
                self.note(format!(
                    "`{}` is taken to be the resource of {} {}, whose CRD is not in the repository; check it",
                    resource.plural,
                    gvk.api_version(),
                    gvk.kind
                ));
            }
            if gvk.group == "rbac.authorization.k8s.io" {
                self.note(format!(
                    "{} {} grants rights; the API server lets gitsync apply it only if gitsync has these rights itself",
                    gvk.kind,
                    object.name()
                ));
            }
            let key = (gvk.group.clone(), resource.plural.clone());
            if resource.namespaced {
                let namespace = namespace_of(object, subject);
                spread.entry(key).or_default().insert(namespace.to_owned());
                if object.value().pointer("/spec/template/spec").is_some() {
                    let why = "that something moves, why a rollout does not, and what the load check meets";
                    self.grant(namespace, Rule::new(why, "", "pods", &["list", "watch"]));
                }
                for (group, shown) in [("apps", "replicasets"), ("", "pods"), ("", "events")] {
                    self.grant(
                        namespace,
                        Rule::new("shown in the dashboard", group, shown, &["list"]),
                    );
                }
            } else {
                named.entry(key).or_default().push(object.name().to_owned());
            }
        }
        for ((group, resource), namespaces) in &spread {
            let verbs = verbs(subject.spec);
            for namespace in namespaces {
                self.grant(
                    namespace,
                    Rule::new("objects of the repository", group, resource, &verbs),
                );
            }
            if namespaces.len() > 1 {
                let why = "they are in several namespaces, and watched together";
                self.cluster
                    .push(Rule::new(why, group, resource, &["list", "watch"]));
            }
        }
        for ((group, resource), names) in named {
            let why = "finding, watching and making them cannot be limited to names";
            self.cluster
                .push(Rule::new(why, &group, &resource, &["list", "watch", "create"]));
            let mut some = vec!["get", "patch"];
            some.extend(subject.spec.sync.prune.then_some("delete"));
            self.cluster
                .push(Rule::new("objects of the repository", &group, &resource, &some).only(names));
        }
    }

    fn hooks(&mut self, subject: Subject<'_>) {
        for hook in subject.hooks {
            let why = "Jobs that run before and after a sync, and are replaced by those of the next";
            let verbs = ["get", "create", "patch", "delete"];
            let jobs = Rule::new(why, "batch", "jobs", &verbs);
            self.grant(namespace_of(&hook.manifest, subject), jobs);
        }
    }

    fn gates(&mut self, subject: Subject<'_>) {
        let services = subject
            .objects
            .iter()
            .filter(|object| object.gvk().kind == "Service");
        let pairs = services.flat_map(|service| {
            let targets = subject.targets.iter();
            let targets = targets.filter(|target| target.service == service.name());
            targets.map(move |target| (service, target))
        });
        for (service, target) in pairs {
            let namespace = namespace_of(service, subject);
            let why = "which pods answer the load check";
            let slices = Rule::new(why, "discovery.k8s.io", "endpointslices", &["list"]);
            self.grant(namespace, slices);
            self.grant(namespace, Rule::new(why, "", "pods", &["list"]));
            let why = "where the load check finds it";
            self.grant(namespace, Rule::new(why, "", "services", &["list", "watch"]));
            let has_route = matches!(
                service.value()["spec"]["type"].as_str(),
                Some("LoadBalancer" | "ExternalName")
            );
            if target.distributed {
                self.distribution(namespace);
            } else if !has_route && !subject.spec.cluster.in_cluster {
                let why = "the load check's way to a Service that has no route from where gitsync runs";
                self.grant(namespace, Rule::new(why, "", "pods/portforward", &STREAM));
            }
            if service.value()["spec"]["type"] == "NodePort" {
                let why = format!("the address of Service {}, which is a node's", service.name());
                self.cluster.push(Rule::new(&why, "", "nodes", &["list"]));
            }
        }
    }

    /// What it takes to run a load check from the pods of a Job.
    fn distribution(&mut self, namespace: &str) {
        let why = "the pods that send the load, as a Job";
        let jobs = Rule::new(why, "batch", "jobs", &["create", "delete"]);
        self.grant(namespace, jobs);
        self.grant(namespace, Rule::new(why, "", "pods", &["list"]));
        let why = "what they are told, and what they answer";
        self.grant(namespace, Rule::new(why, "", "pods/attach", &STREAM));
    }

    fn grant(&mut self, namespace: &str, rule: Rule) {
        self.namespaces
            .entry(namespace.to_owned())
            .or_default()
            .push(rule);
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Joins the rules for the same resource and names.
    fn merge(&mut self) {
        let lists = self.namespaces.values_mut().chain([&mut self.cluster]);
        for rules in lists {
            let mut merged: Vec<Rule> = Vec::new();
            for rule in rules.drain(..) {
                let same = |other: &&mut Rule| {
                    (&other.group, &other.resource, &other.names)
                        == (&rule.group, &rule.resource, &rule.names)
                };
                match merged.iter_mut().find(same) {
                    Some(known) => {
                        known.verbs.extend(&rule.verbs);
                        known
                            .verbs
                            .sort_by_key(|verb| VERBS.iter().position(|known| known == verb));
                        known.verbs.dedup();
                        if !known.why.contains(&rule.why) {
                            known.why = format!("{}; {}", known.why, rule.why);
                        }
                    }
                    None => merged.push(rule),
                }
            }
            *rules = merged;
        }
    }

    fn document(&self) -> Document {
        let name = format!("{NAME}-{}", self.environment);
        let subject = format!(
            "subjects:\n- kind: ServiceAccount\n  namespace: {}\n  name: {}\n",
            self.account.0, self.account.1
        );
        let mut texts = Vec::new();
        for (within, rules) in &self.namespaces {
            if within != NAMESPACE {
                texts.push(format!(
                    "# The Role below needs it; its labels and the rest are git's.\n{}",
                    namespace(within)
                ));
            }
            texts.push(role("Role", &metadata(&name, within), rules));
            texts.push(binding("Role", &name, &metadata(&name, within), &subject));
        }
        if !self.cluster.is_empty() {
            texts.push(role("ClusterRole", &metadata(&name, ""), &self.cluster));
            texts.push(binding("ClusterRole", &name, &metadata(&name, ""), &subject));
        }
        texts.extend(self.impersonation());
        document(&format!("access-{}.yaml", self.environment), texts.join("---\n"))
    }

    /// The right of gitsync's own account to act as the environment's.
    fn impersonation(&self) -> Vec<String> {
        let (within, account) = &self.account;
        if (within.as_str(), account.as_str()) == (NAMESPACE, NAME) {
            return Vec::new();
        }
        let name = format!("{NAME}-impersonate-{}", self.environment);
        let why = format!("environment {} is changed as this account", self.environment);
        let rule = Rule::new(&why, "", "serviceaccounts", &["impersonate"]).only(vec![account.clone()]);
        vec![
            role("Role", &metadata(&name, within), &[rule]),
            binding("Role", &name, &metadata(&name, within), &own_subject()),
        ]
    }
}

/// Opening a stream to a pod: API servers before 1.35 ask for the first right, later ones for both.
const STREAM: [&str; 2] = ["get", "create"];

/// The namespace that an object is in.
fn namespace_of<'a>(object: &'a Manifest, subject: Subject<'a>) -> &'a str {
    match object.namespace() {
        "" => subject.default_namespace,
        namespace => namespace,
    }
}

/// The order in which verbs are written.
const VERBS: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "impersonate",
];

/// What gitsync does with the objects of an environment. Making one by server-side apply takes `create` and `patch`.
fn verbs(spec: &EnvironmentSpec) -> Vec<&'static str> {
    let mut verbs = vec!["get", "list", "watch", "create", "patch"];
    verbs.extend(spec.sync.prune.then_some("delete"));
    verbs
}

/// The rights of several environments, and gitsync's own.
pub(super) fn documents(access: &[Access]) -> Vec<Document> {
    let names: Vec<String> = access
        .iter()
        .map(|access| config_map_name(&access.environment))
        .collect();
    let mut documents = vec![leases(&names)];
    documents.extend(access.iter().map(Access::document));
    documents
}

/// The Leases by which replicas share the environments.
fn leases(names: &[String]) -> Document {
    let name = format!("{NAME}-leases");
    let mut rules = vec![Rule::new(
        "which replica keeps an environment; the first writing cannot be limited to a name",
        "coordination.k8s.io",
        "leases",
        &["create"],
    )];
    if !names.is_empty() {
        let why = "taking, renewing and releasing it";
        rules.push(Rule::new(why, "coordination.k8s.io", "leases", &["get", "update"]).only(names.to_vec()));
    }
    let text = [
        role("Role", &metadata(&name, NAMESPACE), &rules),
        binding("Role", &name, &metadata(&name, NAMESPACE), &own_subject()),
    ];
    document("leases.yaml", text.join("---\n"))
}

fn own_subject() -> String {
    format!("subjects:\n- kind: ServiceAccount\n  namespace: {NAMESPACE}\n  name: {NAME}\n")
}

fn role(kind: &str, metadata: &str, rules: &[Rule]) -> String {
    let rules: String = rules.iter().map(Rule::text).collect();
    format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\n{metadata}rules:\n{rules}")
}

fn binding(kind: &str, role: &str, metadata: &str, subjects: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\n{metadata}roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {role}\n{subjects}"
    )
}
