//! Waves as git states them: an annotation with a whole number.

use manifest::{Manifest, ObjectId};
use serde_json::Value;

use crate::problem::Problem;

/// The annotations that say an object's wave: ours and Argo CD's.
const ANNOTATIONS: [&str; 2] = ["gitsync.dev/sync-wave", "argocd.argoproj.io/sync-wave"];

/// The sync wave of an object; 0 where nothing else is said, or where what is said is no number.
#[must_use]
pub fn number(object: &Value) -> i32 {
    stated(object)
        .and_then(|(_, text)| text.parse().ok())
        .unwrap_or(0)
}

/// The sync waves of objects that are applied together, in their order. A namespace, and the definition of a kind, come no
/// later than the first object that needs them.
pub fn numbers<'a>(objects: impl Iterator<Item = (&'a ObjectId, &'a Value)>) -> Vec<i32> {
    let objects: Vec<(&ObjectId, &Value, i32)> = objects.map(|(id, body)| (id, body, number(body))).collect();
    let wave = |(id, body, own): &(&ObjectId, &Value, i32)| {
        let is_needed_by: &dyn Fn(&ObjectId) -> bool = match id.kind.as_str() {
            "Namespace" if id.group.is_empty() => &|other| other.namespace == id.name,
            "CustomResourceDefinition" => &|other| {
                let spec = &body["spec"];
                spec["group"] == other.group.as_str() && spec["names"]["kind"] == other.kind.as_str()
            },
            _ => return *own,
        };
        let needed = objects.iter().filter(|(other, ..)| is_needed_by(other));
        needed
            .map(|(.., first)| *first)
            .chain([*own])
            .min()
            .unwrap_or(*own)
    };
    objects.iter().map(wave).collect()
}

/// What is wrong with an object's wave, if anything is.
#[must_use]
pub fn check(manifest: &Manifest) -> Option<Problem> {
    let (key, text) = stated(manifest.value())?;
    text.parse::<i32>().is_err().then(|| {
        let pointer = format!("/metadata/annotations/{}", key.replace('/', "~1"));
        let origin = manifest.line_of(&pointer);
        Problem::new(format!("`{text}` is no sync wave"))
            .at(origin.as_ref().or(Some(manifest.origin())))
            .object(&manifest.id())
            .field(format!("metadata.annotations[{key}]"))
            .hint("write a whole number in quotes, for example \"-1\"")
    })
}

fn stated(object: &Value) -> Option<(&'static str, &str)> {
    let annotations = &object["metadata"]["annotations"];
    ANNOTATIONS
        .into_iter()
        .find_map(|key| Some((key, annotations[key].as_str()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_and_a_definition_come_no_later_than_what_needs_them() {
        let id = |group: &str, kind: &str, namespace: &str, name: &str| ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        };
        let body = |wave: &str| json!({"metadata": {"annotations": {"gitsync.dev/sync-wave": wave}}});
        let gizmos = json!({"spec": {"group": "example.com", "names": {"kind": "Gizmo"}}});
        let objects = [
            (id("", "Namespace", "", "shop"), json!({})),
            (id("", "Namespace", "", "other"), body("3")),
            (id("apps", "Deployment", "shop", "database"), body("-1")),
            (id("apps", "Deployment", "shop", "web"), json!({})),
            (
                id(
                    "apiextensions.k8s.io",
                    "CustomResourceDefinition",
                    "",
                    "gizmos.example.com",
                ),
                gizmos,
            ),
            (id("example.com", "Gizmo", "shop", "a"), body("-2")),
            (id("other.com", "Gizmo", "shop", "a"), body("-5")),
        ];
        let numbers = numbers(objects.iter().map(|(id, body)| (id, body)));
        assert_eq!(numbers, [-5, 3, -1, 0, -2, -2, -5]);
    }

    #[test]
    fn a_wave_is_read_from_our_annotation_and_from_argo_cds() {
        let object = |annotations: Value| json!({"metadata": {"annotations": annotations}});
        for (annotations, wave) in [
            (json!({"gitsync.dev/sync-wave": "3"}), 3),
            (json!({"argocd.argoproj.io/sync-wave": "-2"}), -2),
            (
                json!({"gitsync.dev/sync-wave": "1", "argocd.argoproj.io/sync-wave": "2"}),
                1,
            ),
            (json!({}), 0),
            (Value::Null, 0),
        ] {
            assert_eq!(number(&object(annotations.clone())), wave, "{annotations}");
        }
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    gitsync.dev/sync-wave: first\n";
        let manifest = Manifest::parse(text, "a.yaml").unwrap().remove(0);
        let told = check(&manifest).map(|problem| problem.to_string()).unwrap();
        assert!(
            told.starts_with("a.yaml:6: ConfigMap a: ") && told.contains("`first` is no sync wave"),
            "{told}"
        );
    }
}
