//! Name references: fields that name a renamed resource follow its new name.

use std::collections::{BTreeSet, HashMap};

use manifest::{Gvk, Node, Tag};

use crate::build::Context;
use crate::error::{BuildError, Result};
use crate::fieldspec::{Config, FieldSpec, selects};
use crate::id::{Id, NO_NAMESPACE};
use crate::layer::Accumulated;
use crate::parallel;
use crate::resource::Resource;
use crate::walk::{set_field, set_scalar, visit};

/// Updates every field that refers to a resource by an earlier name.
///
/// # Errors
///
/// When a name may mean several resources.
pub(crate) fn fix_references(context: &Context<'_>, accumulated: &mut Accumulated) -> Result<()> {
    let names = Names::of(context, accumulated.resources.list());
    let rules = Rules::of(&accumulated.config);
    let resources = std::mem::take(accumulated.resources.list_mut());
    let resources = resources.into_iter().enumerate().collect();
    // No resource's fields depend on what those of another one have become.
    let fixed = parallel::map(resources, parallel::OBJECTS, |(at, mut resource)| {
        let result = fix_references_of(&mut resource, at, &names, &rules);
        (resource, result)
    });
    for (resource, result) in fixed {
        result.map_err(|why| context.located(resource.place, BuildError::new(why)))?;
        accumulated.resources.list_mut().push(resource);
    }
    Ok(())
}

fn fix_references_of(
    resource: &mut Resource,
    at: usize,
    names: &Names,
    rules: &Rules<'_>,
) -> std::result::Result<(), String> {
    let rules = rules.of_kind(&names.all[at].original.gvk);
    if rules.is_empty() {
        return Ok(());
    }
    let subjects = subject_namespaces(&resource.node)?;
    for (target, spec) in rules {
        let referrer = Referrer::new(names, at, resource, target, spec, &subjects);
        visit(&mut resource.node, &spec.path, None, &mut |node| {
            referrer.set(node)
        })
        .map_err(|why| format!("updating name reference in '{}' field: {why}", spec.path))?;
    }
    Ok(())
}

/// The rules by the kind of the referrer.
struct Rules<'c> {
    by_kind: HashMap<&'c str, Vec<(usize, &'c Gvk, &'c FieldSpec)>>,
    any_kind: Vec<(usize, &'c Gvk, &'c FieldSpec)>,
}

impl<'c> Rules<'c> {
    fn of(config: &'c Config) -> Self {
        let mut rules = Self {
            by_kind: HashMap::new(),
            any_kind: Vec::new(),
        };
        let mut number = 0;
        for references in &config.name_reference {
            for spec in &references.referrers {
                let list = match spec.gvk.kind.as_str() {
                    "" => &mut rules.any_kind,
                    kind => rules.by_kind.entry(kind).or_default(),
                };
                list.push((number, &references.target, spec));
                number += 1;
            }
        }
        rules
    }

    fn of_kind<'s>(&'s self, gvk: &Gvk) -> Vec<(&'c Gvk, &'c FieldSpec)> {
        let own = self.by_kind.get(gvk.kind.as_str()).into_iter().flatten();
        let mut all: Vec<_> = own
            .chain(&self.any_kind)
            .filter(|(_, _, spec)| selects(&spec.gvk, gvk))
            .copied()
            .collect();
        all.sort_unstable_by_key(|(number, ..)| *number);
        all.into_iter().map(|(_, target, spec)| (target, spec)).collect()
    }
}

/// What references need to know about one resource.
struct Name {
    current: Id,
    original: Id,
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

/// All resources of the build, found by what they were called.
struct Names {
    all: Vec<Name>,
    by_previous_name: HashMap<String, Vec<usize>>,
    by_original_namespace: HashMap<String, Vec<usize>>,
}

impl Names {
    fn of(context: &Context<'_>, resources: &[Resource]) -> Self {
        let schema = &context.schema;
        let mut names = Self {
            all: Vec::with_capacity(resources.len()),
            by_previous_name: HashMap::new(),
            by_original_namespace: HashMap::new(),
        };
        for (at, resource) in resources.iter().enumerate() {
            let previous = resource.previous_ids(schema);
            let current = resource.id(schema);
            let original = previous.first().unwrap_or(&current).clone();
            for id in &previous {
                let list = names.by_previous_name.entry(id.name.clone()).or_default();
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
            let namespace = original.effective_namespace();
            if namespace != NO_NAMESPACE {
                names
                    .by_original_namespace
                    .entry(namespace.to_owned())
                    .or_default()
                    .push(at);
            }
            let (prefixes, suffixes) = (resource.memory.prefixes.clone(), resource.memory.suffixes.clone());
            names.all.push(Name {
                current,
                original,
                previous,
                prefixes,
                suffixes,
            });
        }
        names
    }
}

/// One field of one resource that may hold a name.
struct Referrer<'n> {
    names: &'n Names,
    own: &'n Name,
    target: &'n Gvk,
    /// The role that a binding refers to; limits what its `roleRef` may mean.
    role: Option<Gvk>,
    /// Namespaces of the service accounts that a role binding names.
    subject_namespaces: &'n BTreeSet<String>,
}

impl<'n> Referrer<'n> {
    fn new(
        names: &'n Names,
        at: usize,
        resource: &Resource,
        target: &'n Gvk,
        spec: &FieldSpec,
        subject_namespaces: &'n BTreeSet<String>,
    ) -> Self {
        let role = spec
            .path
            .as_str()
            .ends_with("roleRef/name")
            .then(|| role_gvk(&resource.node))
            .flatten();
        Self {
            names,
            own: &names.all[at],
            target,
            role,
            subject_namespaces,
        }
    }

    fn set(&self, node: &mut Node) -> std::result::Result<(), String> {
        if node.is_null() {
            return Ok(());
        }
        if let Some(items) = node.items_mut() {
            return items.iter_mut().try_for_each(|item| match item.is_sequence() {
                true => Err("expected a string or a mapping".to_owned()),
                false => self.set(item),
            });
        }
        if node.is_mapping() {
            self.set_mapping(node)
        } else {
            self.set_scalar(node)
        }
    }

    fn set_scalar(&self, node: &mut Node) -> std::result::Result<(), String> {
        let old = node.as_str().unwrap_or_default();
        let candidates = self.candidates(old).filter(|name| self.is_reachable(name));
        let Some(referral) = self.select(candidates.collect(), false)? else {
            return Ok(());
        };
        if referral.current.name == old {
            return Ok(());
        }
        set_scalar(node, referral.current.name.as_str(), Tag::None)
    }

    fn set_mapping(&self, node: &mut Node) -> std::result::Result<(), String> {
        let Some(name) = node.get("name") else {
            return Err("path config error; no 'name' field in node".to_owned());
        };
        let old = name.as_str().unwrap_or_default().to_owned();
        let namespace = node
            .get("namespace")
            .map(|node| node.as_str().unwrap_or_default());
        let candidates = self.candidates(&old).filter(|name| self.is_reachable(name));
        let candidates = match namespace {
            None => candidates.collect(),
            Some(namespace) => {
                let originally = self
                    .names
                    .by_original_namespace
                    .get(namespace)
                    .into_iter()
                    .flatten();
                let any = originally
                    .map(|at| &self.names.all[*at])
                    .any(|name| self.is_reachable(name));
                let matches = |name: &&Name| {
                    let id = if any { &name.original } else { &name.current };
                    id.effective_namespace() == namespace && namespace != NO_NAMESPACE
                };
                candidates.filter(matches).collect()
            }
        };
        let Some(referral) = self.select(candidates, true)? else {
            return Ok(());
        };
        let Id { name, namespace, .. } = &referral.current;
        if *name == old && namespace.is_empty() {
            return Ok(());
        }
        set_field(node, "name", Node::scalar(name.as_str()))?;
        if !namespace.is_empty() {
            set_field(node, "namespace", Node::scalar(namespace.as_str()))?;
        }
        Ok(())
    }

    fn candidates(&self, old: &str) -> impl Iterator<Item = &'n Name> {
        let names = self.names;
        names
            .by_previous_name
            .get(old)
            .into_iter()
            .flatten()
            .map(|at| &names.all[*at])
    }

    /// Whether the resource can refer to another one at all.
    fn is_reachable(&self, name: &Name) -> bool {
        self.own.current.cluster_scoped
            || name.current.cluster_scoped
            || name.current.effective_namespace() == self.own.current.effective_namespace()
            || self.subject_namespaces.contains(&name.current.namespace)
    }

    /// The resource that is meant: the only one of the right kind, or the one with the same prefixes.
    fn select(
        &self,
        candidates: Vec<&'n Name>,
        with_namespace: bool,
    ) -> std::result::Result<Option<&'n Name>, String> {
        let was = |name: &Name, gvk: &Gvk| name.previous.iter().any(|id| selects(gvk, &id.gvk));
        let mut candidates = candidates;
        candidates.retain(|name| {
            was(name, self.target)
                && self.role.as_ref().is_none_or(|role| was(name, role))
                && self.shares_namespace(name)
        });
        if candidates.len() > 1 || candidates.is_empty() {
            candidates.retain(|name| same_affixes(self.own, name, true));
            if candidates.len() > 1 {
                candidates.retain(|name| same_affixes(self.own, name, false));
            }
        }
        let Some((first, rest)) = candidates.split_first() else {
            return Ok(None);
        };
        let same = |name: &&Name| {
            name.current.name == first.current.name
                && (!with_namespace || name.current.namespace == first.current.namespace)
        };
        if rest.iter().all(same) {
            return Ok(Some(first));
        }
        let ids: Vec<_> = candidates.iter().map(|name| name.current.to_string()).collect();
        Err(format!("found multiple possible referrals: {}", ids.join(", ")))
    }

    fn shares_namespace(&self, name: &Name) -> bool {
        self.own.current.cluster_scoped
            || name.current.cluster_scoped
            || name.current.gvk.kind == "ServiceAccount"
            || name.current.effective_namespace() == self.own.current.effective_namespace()
    }
}

fn role_gvk(node: &Node) -> Option<Gvk> {
    let role = node.get("roleRef")?;
    let text = |key| Some(role.get(key)?.as_str().unwrap_or_default().to_owned());
    Some(Gvk {
        group: text("apiGroup")?,
        version: String::new(),
        kind: text("kind")?,
    })
}

/// The namespaces of the service accounts that a role binding names.
fn subject_namespaces(node: &Node) -> std::result::Result<BTreeSet<String>, String> {
    let mut namespaces = BTreeSet::new();
    let is_binding = node.get("kind").and_then(Node::as_str) == Some("RoleBinding");
    let is_cluster_wide =
        |subject: &Node| subject.get("kind").and_then(Node::as_str) != Some("ServiceAccount");
    if !is_binding {
        return Ok(namespaces);
    }
    for subject in node.get("subjects").map(Node::items).unwrap_or_default() {
        let Some(namespace) = subject.get("namespace").filter(|_| !is_cluster_wide(subject)) else {
            continue;
        };
        let text = namespace
            .as_str()
            .filter(|_| matches!(namespace.tag, Tag::Str | Tag::None));
        let text = text.ok_or("the namespace of a subject is blank: remove the field or give it a name")?;
        namespaces.insert(text.to_owned());
    }
    Ok(namespaces)
}

/// Whether two resources went through the same prefixes and suffixes, as far as both have any.
fn same_affixes(one: &Name, other: &Name, allow_empty: bool) -> bool {
    let same = |a: &[String], b: &[String]| {
        if allow_empty && (a.is_empty() || b.is_empty()) {
            return true;
        }
        let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
        if short.is_empty() {
            long.is_empty()
        } else {
            long.ends_with(short)
        }
    };
    same(&one.prefixes, &other.prefixes) && same(&one.suffixes, &other.suffixes)
}
