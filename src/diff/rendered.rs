//! Diff of renderings: what git asks for at one place against what it asks for at another. No cluster is asked.

use std::collections::{BTreeMap, BTreeSet};

use manifest::{Manifest, ObjectId};

use super::{Change, Diff, ObjectDiff, compare};
use crate::live;

/// How objects of the two sides belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// By everything that names an object: the same environment at two commits.
    Exact,
    /// By all but the namespace where that leads to one object alone: two environments.
    AcrossNamespaces,
}

/// What becomes of `before` when `after` takes its place.
#[must_use]
pub fn between(before: &[Manifest], after: &[Manifest], pairing: Pairing) -> Diff {
    let ids: Vec<ObjectId> = before.iter().map(Manifest::id).collect();
    let index = Index::of(&ids);
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut objects = Vec::new();
    for manifest in after {
        let old = index.find(&manifest.id(), pairing, &taken);
        taken.extend(old);
        let old = old.map(|at| before[at].value());
        objects.push(object(manifest, compare(old, manifest.value(), &[])));
    }
    let gone = before
        .iter()
        .enumerate()
        .filter(|(index, _)| !taken.contains(index));
    objects.extend(gone.map(|(_, old)| ObjectDiff {
        origin: None,
        ..object(old, Change::Prune(live::normalise(old.value())))
    }));
    Diff { objects }
}

fn object(manifest: &Manifest, change: Change) -> ObjectDiff {
    ObjectDiff {
        id: manifest.id(),
        gvk: manifest.gvk(),
        origin: Some(manifest.origin().clone()),
        change,
    }
}

/// The places of objects by what names them.
struct Index<'a> {
    exact: BTreeMap<&'a ObjectId, usize>,
    /// By all but the namespace.
    alike: BTreeMap<[&'a str; 3], Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of(ids: &'a [ObjectId]) -> Self {
        let (mut exact, mut alike) = (BTreeMap::new(), BTreeMap::<_, Vec<usize>>::new());
        for (at, id) in ids.iter().enumerate() {
            exact.entry(id).or_insert(at);
            alike.entry(without_namespace(id)).or_default().push(at);
        }
        Self { exact, alike }
    }

    /// The object that belongs to `id`, if it is not taken yet.
    fn find(&self, id: &ObjectId, pairing: Pairing, taken: &BTreeSet<usize>) -> Option<usize> {
        let free = |at: &usize| !taken.contains(at);
        let exact = self.exact.get(id).copied().filter(free);
        if exact.is_some() || pairing == Pairing::Exact {
            return exact;
        }
        let alike = self.alike.get(&without_namespace(id));
        let mut found = alike.into_iter().flatten().copied().filter(free);
        found.next().filter(|_| found.next().is_none())
    }
}

fn without_namespace(id: &ObjectId) -> [&str; 3] {
    [&id.group, &id.kind, &id.name]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_object(kind: &str, namespace: &str, name: &str, n: u32) -> Manifest {
        let text = format!(
            "apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{n: '{n}'}}\n"
        );
        Manifest::parse(&text, "a.yaml").unwrap().remove(0)
    }

    #[test]
    fn objects_are_paired_by_name_and_across_namespaces_only_where_asked() {
        let before = [
            mk_object("ConfigMap", "stage", "a", 1),
            mk_object("ConfigMap", "stage", "b", 1),
        ];
        let after = [
            mk_object("ConfigMap", "prod", "a", 2),
            mk_object("ConfigMap", "prod", "c", 1),
        ];
        let exact = between(&before, &after, Pairing::Exact).counts();
        assert_eq!((exact.create, exact.update, exact.prune), (2, 0, 2));
        let across = between(&before, &after, Pairing::AcrossNamespaces).counts();
        assert_eq!((across.create, across.update, across.prune), (1, 1, 1));
        assert!(between(&before, &before, Pairing::Exact).is_empty());
    }
}
