//! Patch: a change as an RFC 6902 document, for programs.

use manifest::redact_pair;
use serde_json::{Value, json};

use super::{Change, Diff, ObjectDiff};

/// The whole difference as JSON: a summary and one RFC 6902 patch per changed object. Secret values are masked.
#[must_use]
pub fn document(environment: &str, diff: &Diff) -> Value {
    let counts = diff.counts();
    json!({
        "environment": environment,
        "summary": {"create": counts.create, "update": counts.update, "prune": counts.prune, "same": counts.same},
        "objects": diff.changed().map(object).collect::<Vec<_>>(),
    })
}

fn object(diff: &ObjectDiff) -> Value {
    let (action, before, after) = match &diff.change {
        Change::Create(after) => ("create", Value::Null, after.clone()),
        Change::Update { before, after } => ("update", before.clone(), after.clone()),
        Change::Prune(before) => ("prune", before.clone(), Value::Null),
        Change::Same => ("same", Value::Null, Value::Null),
    };
    let (before, after) = redact_pair(&before, &after);
    json!({
        "action": action,
        "apiVersion": diff.gvk.api_version(),
        "kind": diff.id.kind,
        "namespace": diff.id.namespace,
        "name": diff.id.name,
        "origin": diff.origin.as_ref().map(ToString::to_string),
        "patch": json_patch::diff(before.value(), after.value()),
    })
}

#[cfg(test)]
mod tests {
    use manifest::{Gvk, ObjectId};

    use super::*;

    #[test]
    fn the_patch_turns_before_into_after() {
        let (before, after) = (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}));
        let id = ObjectId {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
        };
        let change = Change::Update {
            before: before.clone(),
            after: after.clone(),
        };
        let diff = Diff {
            objects: vec![ObjectDiff {
                id,
                gvk: Gvk::new("apps/v1", "Deployment"),
                origin: None,
                change,
            }],
        };
        let told = document("prod", &diff);
        let patch: json_patch::Patch = serde_json::from_value(told["objects"][0]["patch"].clone()).unwrap();
        let mut value = before;
        json_patch::patch(&mut value, &patch).unwrap();
        assert_eq!(value, after);
        assert_eq!(told["summary"]["update"], 1);
    }
}
