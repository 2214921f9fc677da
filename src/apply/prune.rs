//! Prune: which objects may be deleted because git no longer has them.
//!
//! Deleting is the one thing that cannot be taken back, so an object goes only when everything agrees: it is in
//! the inventory, its label names this environment, no other controller owns it, and it does not ask to be kept. And
//! where much would go at once, a brake asks a person first.

use serde_json::Value;

use crate::live::ENVIRONMENT_LABEL;
use crate::model::EnvName;

/// Kinds whose deletion takes other things with it; they are kept until somebody confirms.
const CONFIRMED_KINDS: [(&str, &str); 4] = [
    ("", "Namespace"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
];

/// Annotations by which an object asks to be kept: ours, Flux's and Argo CD's.
const KEEP: [(&str, &str); 4] = [
    ("gitsync.dev/prune", "disabled"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ("argocd.argoproj.io/sync-options", "Prune=false"),
    ("argocd.argoproj.io/sync-options", "Delete=false"),
];

/// Annotations by which an object asks for a confirmation: ours and Argo CD's.
const ASK: [(&str, &str); 2] = [
    ("gitsync.dev/prune", "confirm"),
    ("argocd.argoproj.io/sync-options", "Prune=confirm"),
];

/// The annotation by which a person confirms that one object may go.
const CONFIRMED: (&str, &str) = ("gitsync.dev/prune", "confirmed");

/// So many objects may always go at once, whatever share they are.
const FEW: usize = 5;

/// What becomes of an object that git no longer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is deleted.
    Delete,
    /// It stays, and leaves the inventory: it is not ours to delete. The text says why.
    Release(&'static str),
    /// It stays until somebody confirms. The text says why.
    Keep(&'static str),
}

/// Why this many deletions need a person's word: they are more than a few, and more than `limit` percent of what
/// gitsync applied.
#[must_use]
pub fn brake(deletions: usize, inventory: usize, limit: u8) -> Option<String> {
    let too_many = deletions > FEW && deletions * 100 > inventory * usize::from(limit);
    too_many.then(|| {
        format!(
            "pruning would delete {deletions} of {inventory} objects, more than pruneLimit: {limit}% allows; nothing is \
             deleted until somebody confirms it with: gitsync sync --confirm-prune"
        )
    })
}

/// Judges one live object that git no longer has. `confirmed` allows what needs a confirmation.
#[must_use]
pub fn judge(live: &Value, environment: &EnvName, confirmed: bool) -> Verdict {
    let label = live
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(ENVIRONMENT_LABEL));
    if label.and_then(Value::as_str) != Some(environment.as_str()) {
        return Verdict::Release("its gitsync.dev/environment label does not name this environment");
    }
    let owners = live
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    if owners
        .into_iter()
        .flatten()
        .any(|owner| owner["controller"] == true)
    {
        return Verdict::Release("another controller owns it");
    }
    let annotations = live.pointer("/metadata/annotations");
    let asks = |(key, value): &(&str, &str)| {
        let found = annotations.and_then(|a| a.get(*key)).and_then(Value::as_str);
        found.is_some_and(|text| {
            text.split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(value))
        })
    };
    if KEEP.iter().any(asks) {
        return Verdict::Release("its annotations ask to keep it");
    }
    let group = live["apiVersion"]
        .as_str()
        .and_then(|v| v.split_once('/'))
        .map_or("", |(group, _)| group);
    let kind = live["kind"].as_str().unwrap_or_default();
    if confirmed || asks(&CONFIRMED) {
        return Verdict::Delete;
    }
    if CONFIRMED_KINDS.contains(&(group, kind)) {
        return Verdict::Keep(
            "deleting this kind takes other things with it; confirm with: gitsync sync --confirm-prune, or by the annotation gitsync.dev/prune: confirmed",
        );
    }
    if ASK.iter().any(asks) {
        return Verdict::Keep(
            "its annotations ask for a confirmation: gitsync sync --confirm-prune, or gitsync.dev/prune: confirmed",
        );
    }
    Verdict::Delete
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_goes_only_when_everything_agrees() {
        let env: EnvName = "prod".parse().unwrap();
        let object = |api: &str, kind: &str, metadata: Value| json!({"apiVersion": api, "kind": kind, "metadata": metadata});
        let ours = json!({"labels": {"gitsync.dev/environment": "prod"}});
        let with = |key: &str, value: Value| {
            let mut metadata = ours.clone();
            metadata[key] = value;
            metadata
        };
        let config_map = |metadata: Value| object("v1", "ConfigMap", metadata);
        assert_eq!(judge(&config_map(ours.clone()), &env, false), Verdict::Delete);
        for (name, live) in [
            ("no label", config_map(json!({}))),
            (
                "another environment",
                config_map(json!({"labels": {"gitsync.dev/environment": "staging"}})),
            ),
            (
                "owned",
                config_map(with(
                    "ownerReferences",
                    json!([{"controller": true, "kind": "X"}]),
                )),
            ),
            (
                "asks",
                config_map(with("annotations", json!({"gitsync.dev/prune": "disabled"}))),
            ),
            (
                "asks as for Flux",
                config_map(with(
                    "annotations",
                    json!({"kustomize.toolkit.fluxcd.io/prune": "Disabled"}),
                )),
            ),
            (
                "asks as for Argo CD",
                config_map(with(
                    "annotations",
                    json!({"argocd.argoproj.io/sync-options": "Validate=false,Prune=false"}),
                )),
            ),
        ] {
            assert!(matches!(judge(&live, &env, true), Verdict::Release(_)), "{name}");
        }
        let namespace = object("v1", "Namespace", ours.clone());
        assert!(matches!(judge(&namespace, &env, false), Verdict::Keep(_)));
        assert_eq!(judge(&namespace, &env, true), Verdict::Delete);
        let confirmed = json!({"gitsync.dev/prune": "confirmed"});
        let confirmed = object("v1", "Namespace", with("annotations", confirmed));
        assert_eq!(judge(&confirmed, &env, false), Verdict::Delete);
        for annotations in [
            json!({"argocd.argoproj.io/sync-options": "Prune=confirm"}),
            json!({"gitsync.dev/prune": "confirm"}),
        ] {
            let asking = config_map(with("annotations", annotations));
            assert!(matches!(judge(&asking, &env, false), Verdict::Keep(_)));
            assert_eq!(judge(&asking, &env, true), Verdict::Delete);
        }
        for (api, kind) in [
            ("v1", "PersistentVolumeClaim"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ] {
            let volume = object(api, kind, json!({"labels": {"gitsync.dev/environment": "prod"}}));
            assert!(matches!(judge(&volume, &env, false), Verdict::Keep(_)), "{kind}");
        }
    }

    #[test]
    fn more_than_a_few_and_more_than_the_share_needs_a_word() {
        for (deletions, inventory, limit, braked) in [
            (5, 5, 50, false),
            (6, 12, 50, false),
            (6, 11, 50, true),
            (1001, 1001, 50, true),
            (501, 1001, 50, true),
            (500, 1001, 50, false),
            (6, 1001, 0, true),
            (1001, 1001, 100, false),
        ] {
            assert_eq!(
                brake(deletions, inventory, limit).is_some(),
                braked,
                "{deletions} of {inventory} at {limit}%"
            );
        }
    }
}
