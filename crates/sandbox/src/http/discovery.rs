//! Discovery: which kinds there are, in the documents by which a client finds its way.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use super::Call;
use super::accept::Form;
use super::answer::{self, Body};
use super::route::Document;
use crate::api::Api;
use crate::registry::{Kind, Subresource, Verbs};
use crate::schema::Schema;
use crate::status::Status;

/// Groups in the order in which they are preferred; others follow by name.
const ORDER: [&str; 18] = [
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
];

/// `/version`.
pub(super) fn version() -> Value {
    let version = &Schema::builtin().version;
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("0"));
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": format!("v{version}+sandbox"),
        "gitCommit": "sandbox",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Answers with a discovery document.
pub(super) fn document(api: &Api, document: &Document, call: &Call) -> Result<Response<Body>, Status> {
    let groups = groups(api);
    let wants_all = call.accept.form == Form::Aggregated;
    let value = match document {
        Document::Core if wants_all => return Ok(aggregated(&groups, true)),
        Document::Groups if wants_all => return Ok(aggregated(&groups, false)),
        Document::Core => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        Document::Groups => {
            let named = groups.iter().filter(|(group, _)| !group.is_empty());
            let list: Vec<Value> = named.map(|(group, versions)| group_of(group, versions)).collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": list })
        }
        Document::Group(name) => {
            let found = groups
                .iter()
                .find(|(group, _)| group == name && !group.is_empty());
            let Some((group, versions)) = found else {
                return Ok(answer::not_found());
            };
            let mut value = group_of(group, versions);
            value["kind"] = "APIGroup".into();
            value["apiVersion"] = "v1".into();
            value
        }
        Document::Version(group, version) => {
            let found = groups.iter().find(|(name, _)| name == group);
            let kinds = found.and_then(|(_, versions)| versions.iter().find(|(name, _)| name == version));
            let Some((_, kinds)) = kinds else {
                return Ok(answer::not_found());
            };
            resources(group, version, kinds)
        }
        Document::Paths => {
            json!({ "paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"] })
        }
    };
    Ok(answer::json(200, &value))
}

/// Kinds by their version.
type Versions = BTreeMap<String, Vec<Arc<Kind>>>;
/// A group with its versions, each with its kinds.
type Group = (String, Vec<(String, Vec<Arc<Kind>>)>);

fn groups(api: &Api) -> Vec<Group> {
    let mut groups: BTreeMap<(usize, String), Versions> = BTreeMap::new();
    for kind in api.registry.all() {
        let place = ORDER
            .iter()
            .position(|group| *group == kind.group)
            .unwrap_or(ORDER.len());
        let place = if kind.group.is_empty() { 0 } else { place + 1 };
        let versions = groups.entry((place, kind.group.clone())).or_default();
        versions.entry(kind.version.clone()).or_default().push(kind);
    }
    let sorted = groups.into_iter().map(|((_, group), versions)| {
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(rank(version)));
        (group, versions)
    });
    sorted.collect()
}

/// How far a version is: `v2` before `v1` before `v1beta1` before `v1alpha1`, and any other word last.
pub(crate) fn rank(version: &str) -> (u8, u32, u32) {
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    let Some(rest) = version.strip_prefix('v') else {
        return (0, 0, 0);
    };
    for (word, level) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return (level, number(major), number(minor));
        }
    }
    match rest.parse::<u32>() {
        Ok(major) => (3, major, 0),
        Err(_) => (0, 0, 0),
    }
}

fn group_of(group: &str, versions: &[(String, Vec<Arc<Kind>>)]) -> Value {
    let version =
        |version: &String| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    let list: Vec<Value> = versions.iter().map(|(name, _)| version(name)).collect();
    json!({ "name": group, "versions": list, "preferredVersion": list.first() })
}

fn verbs(kind: &Kind) -> Vec<&'static str> {
    match kind.verbs {
        Verbs::All if kind.structural.is_some() => {
            vec![
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "create",
                "update",
                "watch",
            ]
        }
        Verbs::All => vec![
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ],
        Verbs::NoDeleteCollection => vec!["create", "delete", "get", "list", "patch", "update", "watch"],
        Verbs::Create => vec!["create"],
    }
}

/// The verbs, group, version and kind of a path below an object.
fn below(kind: &Kind, subresource: &Subresource) -> (Vec<&'static str>, String, String, String) {
    let own = |verbs: Vec<&'static str>| (verbs, kind.group.clone(), kind.version.clone(), kind.kind.clone());
    let other = |verbs: Vec<&'static str>, group: &str, version: &str, kind: &str| {
        (verbs, group.to_owned(), version.to_owned(), kind.to_owned())
    };
    let reads = || vec!["get", "patch", "update"];
    match subresource {
        Subresource::Scale(_) => other(reads(), "autoscaling", "v1", "Scale"),
        Subresource::Log => own(vec!["get"]),
        Subresource::Eviction => other(vec!["create"], "policy", "v1", "Eviction"),
        Subresource::Binding => other(vec!["create"], "", "v1", "Binding"),
        Subresource::Token => other(vec!["create"], "authentication.k8s.io", "v1", "TokenRequest"),
        Subresource::Finalize => own(vec!["update"]),
        Subresource::Status | Subresource::Plain(_) => own(reads()),
    }
}

fn resources(group: &str, version: &str, kinds: &[Arc<Kind>]) -> Value {
    let mut list = Vec::new();
    for kind in kinds {
        let mut one = json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs(kind),
        });
        if !kind.short_names.is_empty() {
            one["shortNames"] = kind.short_names.clone().into();
        }
        if !kind.categories.is_empty() {
            one["categories"] = kind.categories.clone().into();
        }
        list.push(one);
        for subresource in &kind.subresources {
            let (verbs, group, version, name) = below(kind, subresource);
            let mut one = json!({
                "name": format!("{}/{}", kind.plural, subresource.name()),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": name,
                "verbs": verbs,
            });
            if group != kind.group || version != kind.version {
                one["group"] = group.into();
                one["version"] = version.into();
            }
            list.push(one);
        }
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let mut document = json!({ "kind": "APIResourceList", "groupVersion": group_version, "resources": list });
    // The list of the core group has always gone without.
    if !group.is_empty() {
        document["apiVersion"] = "v1".into();
    }
    document
}

/// Everything in one document.
fn aggregated(groups: &[Group], core: bool) -> Response<Body> {
    let items: Vec<Value> = groups
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, kinds)| {
                    let resources: Vec<Value> = kinds.iter().map(|kind| aggregated_kind(kind)).collect();
                    json!({ "version": version, "resources": resources, "freshness": "Current" })
                })
                .collect();
            let metadata = if group.is_empty() {
                json!({})
            } else {
                json!({ "name": group })
            };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    let content = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    answer::bytes(200, content, list.to_string().into())
}

fn aggregated_kind(kind: &Kind) -> Value {
    let mut one = json!({
        "resource": kind.plural,
        "responseKind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(kind),
    });
    if !kind.short_names.is_empty() {
        one["shortNames"] = kind.short_names.clone().into();
    }
    if !kind.categories.is_empty() {
        one["categories"] = kind.categories.clone().into();
    }
    let below: Vec<Value> = kind
        .subresources
        .iter()
        .map(|subresource| {
            let (verbs, group, version, name) = below(kind, subresource);
            json!({
                "subresource": subresource.name(),
                "responseKind": { "group": group, "version": version, "kind": name },
                "verbs": verbs,
            })
        })
        .collect();
    if !below.is_empty() {
        one["subresources"] = below.into();
    }
    one
}
