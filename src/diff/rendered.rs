//! Diff of renderings: what git asks for at one place against what it asks for at another. No cluster is asked.

use std::collections::BTreeSet;

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
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut objects = Vec::new();
    for manifest in after {
        let old = find(before, &manifest.id(), pairing, &taken);
        taken.extend(old);
        let old = old.map(|index| before[index].value());
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

fn find(before: &[Manifest], id: &ObjectId, pairing: Pairing, taken: &BTreeSet<usize>) -> Option<usize> {
    let free = |index: &usize| !taken.contains(index);
    let exact = before.iter().position(|old| old.id() == *id).filter(free);
    if exact.is_some() || pairing == Pairing::Exact {
        return exact;
    }
    let alike = |old: &ObjectId| old.group == id.group && old.kind == id.kind && old.name == id.name;
    let mut found = (0..before.len()).filter(|index| free(index) && alike(&before[*index].id()));
    found.next().filter(|_| found.next().is_none())
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
