//! Allow-lists: what git may bring to an environment, whatever the account could do there.

use manifest::{Manifest, ObjectId};

use crate::config::environment::Allow;
use crate::problem::Problem;

/// Why an object is not allowed, if it is not. `id` has the namespace that the object really gets.
#[must_use]
pub fn check(allow: &Allow, id: &ObjectId, manifest: &Manifest) -> Option<Problem> {
    let problem = |pointer: &str, message: String| {
        let origin = manifest.line_of(pointer);
        Problem::new(message)
            .at(origin.as_ref().or(Some(manifest.origin())))
            .object(id)
    };
    if !allow.allows_kind(&id.group, &id.kind) {
        let full = match id.group.as_str() {
            "" => id.kind.clone(),
            group => format!("{}.{group}", id.kind),
        };
        let message = format!("the environment does not allow objects of kind {full}");
        return Some(
            problem("/kind", message).hint(format!("add {full} to spec.allow.kinds of its environment.yaml")),
        );
    }
    if !allow.allows_namespace(&id.namespace) {
        let message = format!(
            "the environment does not allow objects in namespace {}",
            id.namespace
        );
        let hint = format!(
            "add {} to spec.allow.namespaces of its environment.yaml",
            id.namespace
        );
        return Some(problem("/metadata/namespace", message).hint(hint));
    }
    // A Namespace is what it is called.
    let own = (id.group.is_empty() && id.kind == "Namespace" && !allow.allows_namespace(&id.name))
        .then_some(&id.name);
    own.map(|name| {
        problem(
            "/metadata/name",
            format!("the environment does not allow namespace {name}"),
        )
        .hint(format!(
            "add {name} to spec.allow.namespaces of its environment.yaml"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_is_told_with_its_line_and_what_to_add() {
        let allow: Allow =
            serde_yaml::from_str("{kinds: [ConfigMap, Namespace], namespaces: [shop]}").unwrap();
        let told = |text: &str| {
            let manifest = Manifest::parse(text, "web.yaml").unwrap().remove(0);
            check(&allow, &manifest.id(), &manifest).map(|problem| problem.to_string())
        };
        let object = |kind: &str, namespace: &str| {
            format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: web\n  namespace: {namespace}\n")
        };
        assert_eq!(told(&object("ConfigMap", "shop")), None);
        assert_eq!(
            told(&object("Secret", "shop")).as_deref(),
            Some(
                "web.yaml:2: Secret shop/web: the environment does not allow objects of kind Secret (add Secret to spec.allow.kinds of its environment.yaml)"
            )
        );
        let elsewhere = told(&object("ConfigMap", "kube-system")).unwrap();
        assert!(
            elsewhere.starts_with("web.yaml:5: ConfigMap kube-system/web: "),
            "{elsewhere}"
        );
        let namespace = told("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: other\n").unwrap();
        assert!(
            namespace.contains("does not allow namespace other"),
            "{namespace}"
        );
    }
}
