//! Field spec: a field of some kinds of objects that a transformer works on, and the tables of them.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use manifest::{Gvk, Node};

use crate::walk::Path;

/// A field of the objects that match a group, version and kind; empty parts match anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSpec {
    pub gvk: Gvk,
    pub path: Arc<Path>,
    /// Whether the field is made where it is missing.
    pub create: bool,
}

/// Whether `gvk` has the parts that `selector` names.
pub(crate) fn selects(selector: &Gvk, gvk: &Gvk) -> bool {
    let part = |wanted: &str, have: &str| wanted.is_empty() || wanted == have;
    part(&selector.kind, &gvk.kind)
        && part(&selector.group, &gvk.group)
        && part(&selector.version, &gvk.version)
}

impl FieldSpec {
    pub(crate) fn new(gvk: Gvk, path: &str, create: bool) -> Self {
        Self {
            gvk,
            path: Arc::new(Path::parse(path)),
            create,
        }
    }

    /// Whether the spec applies to an object.
    pub(crate) fn matches(&self, node: &Node) -> bool {
        let text = |key| node.get(key).and_then(Node::as_str).unwrap_or_default();
        if !self.gvk.kind.is_empty() && self.gvk.kind != text("kind") {
            return false;
        }
        if self.gvk.group.is_empty() && self.gvk.version.is_empty() {
            return true;
        }
        let api_version = text("apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        (self.gvk.group.is_empty() || self.gvk.group == group)
            && (self.gvk.version.is_empty() || self.gvk.version == version)
    }
}

/// Adds a spec to a list unless one is there that applies to no more objects.
///
/// # Errors
///
/// When the one that is there disagrees about making the field.
pub(crate) fn merge_one(list: &mut Vec<FieldSpec>, spec: &FieldSpec) -> Result<(), String> {
    match list
        .iter()
        .find(|have| have.path == spec.path && selects(&spec.gvk, &have.gvk))
    {
        Some(have) if have.create != spec.create => Err(format!(
            "conflicting field specs: {} is created by one and not by the other",
            spec.path
        )),
        Some(_) => Ok(()),
        None => {
            list.push(spec.clone());
            Ok(())
        }
    }
}

pub(crate) fn merge_all(list: &mut Vec<FieldSpec>, specs: &[FieldSpec]) -> Result<(), String> {
    specs.iter().try_for_each(|spec| merge_one(list, spec))
}

/// The fields that refer to objects of one kind by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BackReferences {
    pub target: Gvk,
    pub referrers: Vec<FieldSpec>,
}

/// The field specs of all transformers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    pub name_prefix: Vec<FieldSpec>,
    pub name_suffix: Vec<FieldSpec>,
    pub namespace: Vec<FieldSpec>,
    pub common_labels: Vec<FieldSpec>,
    pub labels: Vec<FieldSpec>,
    pub template_labels: Vec<FieldSpec>,
    pub volume_claim_template_labels: Vec<FieldSpec>,
    pub common_annotations: Vec<FieldSpec>,
    pub name_reference: Vec<BackReferences>,
    pub var_reference: Vec<FieldSpec>,
    pub images: Vec<FieldSpec>,
    pub replicas: Vec<FieldSpec>,
}

impl Config {
    /// The builtin field specs.
    pub(crate) fn builtin() -> Arc<Self> {
        static BUILTIN: LazyLock<Arc<Config>> =
            LazyLock::new(|| Arc::new(parse_table(include_str!("../data/fieldspecs.txt"))));
        Arc::clone(&BUILTIN)
    }

    /// The list with a name of the configuration file.
    pub(crate) fn list_mut(&mut self, name: &str) -> Option<&mut Vec<FieldSpec>> {
        Some(match name {
            "namePrefix" => &mut self.name_prefix,
            "nameSuffix" => &mut self.name_suffix,
            "namespace" => &mut self.namespace,
            "commonLabels" => &mut self.common_labels,
            "labels" => &mut self.labels,
            "templateLabels" => &mut self.template_labels,
            "volumeClaimTemplateLabels" => &mut self.volume_claim_template_labels,
            "commonAnnotations" => &mut self.common_annotations,
            "varReference" => &mut self.var_reference,
            "images" => &mut self.images,
            "replicas" => &mut self.replicas,
            _ => return None,
        })
    }

    /// The union of two configurations.
    pub(crate) fn merge(self: &Arc<Self>, other: &Arc<Self>) -> Result<Arc<Self>, String> {
        // The builtin specs are distinct, so that adding them to nothing or to themselves changes nothing.
        let is_builtin = |config: &Arc<Self>| Arc::ptr_eq(config, &Self::builtin());
        if **other == Self::default() || (Arc::ptr_eq(self, other) && is_builtin(other)) {
            return Ok(Arc::clone(self));
        }
        if is_builtin(other) && **self == Self::default() {
            return Ok(Arc::clone(other));
        }
        let mut merged = Self::clone(self);
        let mut source = Self::clone(other);
        for name in LISTS {
            let from = source.list_mut(name).map(std::mem::take).unwrap_or_default();
            if let Some(to) = merged.list_mut(name) {
                merge_all(to, &from)?;
                to.sort_by(|a, b| order(&a.gvk, &b.gvk));
            }
        }
        for references in &source.name_reference {
            merged.add_references(references)?;
        }
        merged.name_reference.sort_by(|a, b| order(&a.target, &b.target));
        Ok(Arc::new(merged))
    }

    pub(crate) fn add_references(&mut self, references: &BackReferences) -> Result<(), String> {
        let mut found = false;
        for have in self
            .name_reference
            .iter_mut()
            .filter(|have| have.target == references.target)
        {
            merge_all(&mut have.referrers, &references.referrers)?;
            found = true;
        }
        if !found {
            self.name_reference.push(references.clone());
        }
        Ok(())
    }
}

/// The names of all lists but `nameReference`, as configuration files spell them.
pub(crate) const LISTS: [&str; 11] = [
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "templateLabels",
    "volumeClaimTemplateLabels",
    "commonAnnotations",
    "varReference",
    "images",
    "replicas",
];

/// The kinds that sort first, in this order.
pub(crate) const ORDER_FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// The kinds that sort last, in this order.
pub(crate) const ORDER_LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The order of types: known kinds by rank, then by text with `~` marks for missing parts.
fn order(a: &Gvk, b: &Gvk) -> Ordering {
    let by_text = || {
        type_parts(a)
            .flat_map(str::bytes)
            .cmp(type_parts(b).flat_map(str::bytes))
    };
    rank(a).cmp(&rank(b)).then_with(by_text)
}

fn rank(gvk: &Gvk) -> i64 {
    let at = |list: &[&str]| {
        list.iter()
            .position(|kind| *kind == gvk.kind)
            .and_then(|at| i64::try_from(at).ok())
    };
    match (at(&ORDER_LAST), at(&ORDER_FIRST)) {
        (Some(last), _) => last + 1,
        (None, Some(first)) => first - ORDER_FIRST.len() as i64,
        (None, None) => 0,
    }
}

/// `group_version_kind` with marks for missing parts.
pub(crate) fn type_text(gvk: &Gvk) -> String {
    type_parts(gvk).collect()
}

fn type_parts(gvk: &Gvk) -> impl Iterator<Item = &str> {
    let or = |text, mark| if str::is_empty(text) { mark } else { text };
    let (group, version, kind) = (or(&gvk.group, "~G"), or(&gvk.version, "~V"), or(&gvk.kind, "~K"));
    [group, "_", version, "_", kind].into_iter()
}

/// Reads the table of the builtin specs: a list name on a line of its own, then indented
/// `path  [+]Kind[.version][/group] …`, where `+` makes missing fields and `*` is any kind.
fn parse_table(text: &str) -> Config {
    let mut config = Config::default();
    let mut list = "";
    for line in text.lines() {
        let Some(row) = line.strip_prefix("  ") else {
            list = line;
            if let Some(target) = line.strip_prefix("nameReference ") {
                let target = parse_type(target).0;
                config.name_reference.push(BackReferences {
                    target,
                    referrers: Vec::new(),
                });
            }
            continue;
        };
        let mut words = row.split_whitespace();
        let path = Arc::new(Path::parse(words.next().unwrap_or_default()));
        for word in words {
            let (gvk, create) = parse_type(word);
            let spec = FieldSpec {
                gvk,
                path: Arc::clone(&path),
                create,
            };
            if list.starts_with("nameReference") {
                if let Some(last) = config.name_reference.last_mut() {
                    last.referrers.push(spec);
                }
            } else if let Some(specs) = config.list_mut(list) {
                specs.push(spec);
            }
        }
    }
    for name in LISTS {
        if let Some(specs) = config.list_mut(name) {
            specs.sort_by(|a, b| order(&a.gvk, &b.gvk));
        }
    }
    config.name_reference.sort_by(|a, b| order(&a.target, &b.target));
    config
}

fn parse_type(word: &str) -> (Gvk, bool) {
    let (create, word) = word.strip_prefix('+').map_or((false, word), |rest| (true, rest));
    let (word, group) = word.split_once('/').unwrap_or((word, ""));
    let (kind, version) = word.split_once('.').unwrap_or((word, ""));
    let kind = if kind == "*" { "" } else { kind };
    (
        Gvk {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        },
        create,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_table_is_complete() {
        let config = Config::builtin();
        assert_eq!(config.name_prefix.len(), 1);
        assert_eq!(config.replicas.len(), 4);
        assert!(config.images.iter().all(|spec| spec.create));
        assert!(
            config
                .name_reference
                .iter()
                .any(|r| r.target.kind == "ConfigMap" && r.referrers.len() > 40)
        );
        assert_eq!(config.namespace[0].path.to_string(), "metadata/name");
    }

    #[test]
    fn the_builtin_specs_are_distinct() {
        let builtin = Config::builtin();
        let copy = Arc::new(Config::clone(&builtin));
        assert_eq!(Arc::new(Config::default()).merge(&copy).unwrap(), builtin);
        assert_eq!(builtin.merge(&copy).unwrap(), builtin);
    }

    #[test]
    fn merging_finds_conflicts() {
        let spec = |kind: &str, create| FieldSpec::new(Gvk::new("", kind), "spec/x", create);
        let mut list = vec![spec("A", true)];
        assert!(merge_one(&mut list, &spec("A", true)).is_ok());
        assert!(merge_one(&mut list, &spec("B", false)).is_ok());
        assert_eq!(list.len(), 2);
        assert!(merge_one(&mut list, &spec("A", false)).is_err());
    }
}
