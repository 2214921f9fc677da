//! Wishes: what an object's annotations say of how it is to be applied. Flux's and Argo CD's are honoured beside ours.

use serde_json::Value;

/// Annotations by which an object is left alone: ours and Flux's.
const LEFT_ALONE: [&str; 2] = ["gitsync.dev/reconcile", "kustomize.toolkit.fluxcd.io/reconcile"];

/// Annotations that say how an object is applied: ours and Flux's.
const APPLY: [&str; 2] = ["gitsync.dev/ssa", "kustomize.toolkit.fluxcd.io/ssa"];

/// Annotations by which an object may be deleted and created again: ours, Flux's and Argo CD's.
const FORCE: [(&str, &str); 3] = [
    ("gitsync.dev/force", "recreate"),
    ("kustomize.toolkit.fluxcd.io/force", "enabled"),
    ("argocd.argoproj.io/sync-options", "Force=true"),
];

/// Whether an object is not to be applied: git or the cluster says so, or it exists and git asks for no more.
#[must_use]
pub fn is_left_alone(desired: &Value, live: Option<&Value>) -> bool {
    let disabled = |object: &Value| LEFT_ALONE.iter().any(|key| says(object, key, "disabled"));
    let applied = |word: &str| APPLY.iter().any(|key| says(desired, key, word));
    disabled(desired)
        || live.is_some_and(disabled)
        || applied("Ignore")
        || (live.is_some() && applied("IfNotPresent"))
}

/// Whether an object may be deleted and created again where an immutable field changes.
#[must_use]
pub fn is_recreated(desired: &Value) -> bool {
    FORCE.iter().any(|(key, word)| says(desired, key, word))
}

/// Whether an annotation's list of words holds one; letters may be of either case, as Flux reads its own.
fn says(object: &Value, key: &str, word: &str) -> bool {
    let text = object["metadata"]["annotations"][key].as_str();
    text.is_some_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk(key: &str, value: &str) -> Value {
        json!({"metadata": {"annotations": {key: value}}})
    }

    #[test]
    fn an_object_is_left_alone_when_git_or_the_cluster_says_so() {
        let (plain, live) = (json!({}), json!({}));
        for (desired, live, left) in [
            (plain.clone(), None, false),
            (plain.clone(), Some(live.clone()), false),
            (mk("gitsync.dev/reconcile", "disabled"), None, true),
            (plain.clone(), Some(mk("gitsync.dev/reconcile", "disabled")), true),
            (
                plain.clone(),
                Some(mk("kustomize.toolkit.fluxcd.io/reconcile", "Disabled")),
                true,
            ),
            (mk("gitsync.dev/ssa", "Ignore"), None, true),
            (mk("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"), None, false),
            (
                mk("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"),
                Some(live.clone()),
                true,
            ),
            (mk("gitsync.dev/ssa", "Merge"), Some(live), false),
        ] {
            assert_eq!(is_left_alone(&desired, live.as_ref()), left, "{desired} {live:?}");
        }
    }

    #[test]
    fn only_what_asks_for_it_is_recreated() {
        for (object, recreated) in [
            (json!({}), false),
            (mk("gitsync.dev/force", "recreate"), true),
            (mk("gitsync.dev/force", "yes"), false),
            (mk("kustomize.toolkit.fluxcd.io/force", "enabled"), true),
            (
                mk("argocd.argoproj.io/sync-options", "Prune=false,Force=true"),
                true,
            ),
        ] {
            assert_eq!(is_recreated(&object), recreated, "{object}");
        }
    }
}
