//! Ignored fields: what git states and the cluster decides. One rule set for diff, apply and drift alike.
//!
//! A rule names fields by JSON pointers (RFC 6901). Such a field never counts as a difference. It is not taken from git
//! either once the object exists: where somebody else owns it, it is left out of what is applied, so that it becomes theirs
//! alone; where gitsync alone owns it, the live value is applied, because leaving it out would delete it. A new object
//! gets what git says.
//!
//! `spec.replicas` of what an autoscaler of the same environment targets is ignored without a rule.

use std::collections::{BTreeMap, BTreeSet};

use manifest::ObjectId;
use serde_json::Value;

use super::applied::is_item;
use crate::config::environment::IgnoreDifference;

/// The field that an autoscaler decides.
pub const REPLICAS: &str = "/spec/replicas";

/// The rules of an environment, and the targets of its autoscalers.
#[derive(Debug, Default)]
pub struct Ignored<'a> {
    rules: &'a [IgnoreDifference],
    /// What an autoscaler targets, without the group where the autoscaler names none; and which autoscaler it is.
    scaled: BTreeMap<Target, ObjectId>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    kind: String,
    namespace: String,
    name: String,
}

// === impl Ignored ===

impl<'a> Ignored<'a> {
    /// The rules, and the autoscalers among `objects`.
    pub fn new<'o>(
        rules: &'a [IgnoreDifference],
        objects: impl IntoIterator<Item = (&'o ObjectId, &'o Value)>,
    ) -> Self {
        let scaled = objects
            .into_iter()
            .filter_map(|(id, object)| Some((target_of(id, object)?, id.clone())));
        Self {
            rules,
            scaled: scaled.collect(),
        }
    }

    /// The autoscaler that targets an object, if one does.
    #[must_use]
    pub fn autoscaler(&self, id: &ObjectId) -> Option<&ObjectId> {
        self.scaled.get(&Target {
            kind: id.kind.clone(),
            namespace: id.namespace.clone(),
            name: id.name.clone(),
        })
    }

    /// The pointers of the fields of an object that are ignored, each once.
    #[must_use]
    pub fn pointers(&self, id: &ObjectId) -> Vec<String> {
        let applies = |rule: &&IgnoreDifference| {
            let agrees =
                |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
            rule.kind == id.kind
                && agrees(&rule.group, &id.group)
                && agrees(&rule.namespace, &id.namespace)
                && agrees(&rule.name, &id.name)
        };
        let stated = self
            .rules
            .iter()
            .filter(applies)
            .flat_map(|rule| &rule.json_pointers);
        let mut pointers: BTreeSet<String> = stated.cloned().collect();
        if !self.scaled.is_empty() && self.autoscaler(id).is_some() {
            pointers.insert(REPLICAS.to_owned());
        }
        pointers.into_iter().collect()
    }
}

/// What an autoscaler targets: a HorizontalPodAutoscaler, or a ScaledObject of KEDA, which targets a Deployment by default.
fn target_of(id: &ObjectId, object: &Value) -> Option<Target> {
    let default = match (id.group.as_str(), id.kind.as_str()) {
        ("autoscaling", "HorizontalPodAutoscaler") => None,
        ("keda.sh", "ScaledObject") => Some("Deployment"),
        _ => return None,
    };
    let target = object.pointer("/spec/scaleTargetRef")?;
    Some(Target {
        kind: target["kind"].as_str().or(default)?.to_owned(),
        namespace: id.namespace.clone(),
        name: target["name"].as_str()?.to_owned(),
    })
}

/// Makes `body` leave the fields at `pointers` as `live` has them.
pub fn yield_to_live(body: &mut Value, live: &Value, pointers: &[String], manager: &str) {
    for pointer in pointers {
        let theirs = is_owned_by_others(live, &segments(pointer), manager);
        yield_field(body, Some(live), &segments(pointer), theirs);
    }
}

fn yield_field(body: &mut Value, live: Option<&Value>, path: &[String], theirs: bool) {
    let Some((key, rest)) = path.split_first() else {
        return;
    };
    match body {
        Value::Object(map) => {
            let there = live.and_then(|live| live.get(key));
            if !rest.is_empty() {
                if let Some(below) = map.get_mut(key) {
                    yield_field(below, there, rest, theirs);
                }
            } else if let Some(there) = there.filter(|_| !theirs) {
                if let Some(stated) = map.get_mut(key) {
                    stated.clone_from(there);
                }
            } else {
                map.remove(key);
            }
        }
        Value::Array(items) => {
            let Some((item, index)) = key
                .parse::<usize>()
                .ok()
                .and_then(|index| Some((items.get_mut(index)?, index)))
            else {
                return;
            };
            let there = live.and_then(|live| counterpart(item, index, live));
            match there {
                Some(there) if rest.is_empty() => item.clone_from(there),
                _ => yield_field(item, there, rest, theirs),
            }
        }
        _ => {}
    }
}

/// The live element that an element of a list is about: the one of the same name, else the one at the same place.
fn counterpart<'l>(item: &Value, index: usize, live: &'l Value) -> Option<&'l Value> {
    let live = live.as_array()?;
    match item.get("name") {
        Some(name) => live.iter().find(|other| other.get("name") == Some(name)),
        None => live.get(index),
    }
}

/// `object` without the fields at `pointers`, for a comparison.
pub fn strip(object: &mut Value, pointers: &[String]) {
    for pointer in pointers {
        let path = segments(pointer);
        let Some((key, parents)) = path.split_last() else {
            continue;
        };
        let mut at = Some(&mut *object);
        for segment in parents {
            at = at.and_then(|value| step(value, segment));
        }
        match at {
            Some(Value::Object(map)) => drop(map.remove(key)),
            Some(Value::Array(items)) => {
                if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    *item = Value::Null;
                }
            }
            _ => {}
        }
    }
}

fn step<'v>(value: &'v mut Value, segment: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(map) => map.get_mut(segment),
        Value::Array(items) => segment
            .parse::<usize>()
            .ok()
            .and_then(|index| items.get_mut(index)),
        _ => None,
    }
}

/// Whether a manager other than `manager` owns a field, or a part of it, as the server wrote down.
fn is_owned_by_others(live: &Value, path: &[String], manager: &str) -> bool {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] != manager)
        .any(|entry| owns(&entry["fieldsV1"], live, path))
}

fn owns(fields: &Value, live: &Value, path: &[String]) -> bool {
    let Some((segment, rest)) = path.split_first() else {
        return !fields.is_null();
    };
    let Some(fields) = fields.as_object() else {
        return false;
    };
    let below = match live {
        Value::Array(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
        other => other.get(segment),
    };
    let Some(below) = below else { return false };
    if live.is_array() {
        let mut entries = fields.iter().filter(|(entry, _)| is_item(entry, below));
        return entries.any(|(_, inner)| owns(inner, below, rest));
    }
    fields
        .get(&format!("f:{segment}"))
        .is_some_and(|inner| owns(inner, below, rest))
}

/// The segments of a JSON pointer.
fn segments(pointer: &str) -> Vec<String> {
    let segments = pointer.split('/').skip(1);
    segments
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_id(group: &str, kind: &str, name: &str) -> ObjectId {
        ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: "shop".into(),
            name: name.into(),
        }
    }

    fn mk_rule(text: &str) -> IgnoreDifference {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn a_rule_is_about_what_it_names() {
        let web = mk_id("apps", "Deployment", "web");
        for (rule, applies) in [
            ("{kind: Deployment, jsonPointers: [/spec/paused]}", true),
            ("{kind: StatefulSet, jsonPointers: [/spec/paused]}", false),
            (
                "{kind: Deployment, group: apps, name: web, namespace: shop, jsonPointers: [/spec/paused]}",
                true,
            ),
            (
                "{kind: Deployment, group: '', jsonPointers: [/spec/paused]}",
                false,
            ),
            (
                "{kind: Deployment, name: api, jsonPointers: [/spec/paused]}",
                false,
            ),
            (
                "{kind: Deployment, namespace: other, jsonPointers: [/spec/paused]}",
                false,
            ),
        ] {
            let rules = [mk_rule(rule)];
            let found = Ignored::new(&rules, []).pointers(&web);
            assert_eq!(found == ["/spec/paused"], applies, "{rule}");
        }
    }

    #[test]
    fn replicas_belong_to_the_autoscaler_that_targets_the_object() {
        let hpa = json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
        let keda = json!({"spec": {"scaleTargetRef": {"name": "api"}}});
        let ids = [
            mk_id("autoscaling", "HorizontalPodAutoscaler", "h"),
            mk_id("keda.sh", "ScaledObject", "k"),
        ];
        let ignored = Ignored::new(&[], [(&ids[0], &hpa), (&ids[1], &keda)]);
        assert_eq!(ignored.pointers(&mk_id("apps", "Deployment", "web")), [REPLICAS]);
        assert_eq!(ignored.pointers(&mk_id("apps", "Deployment", "api")), [REPLICAS]);
        assert_eq!(
            ignored.autoscaler(&mk_id("apps", "Deployment", "api")),
            Some(&ids[1])
        );
        let elsewhere = ObjectId {
            namespace: "other".into(),
            ..mk_id("apps", "Deployment", "web")
        };
        for other in [mk_id("apps", "StatefulSet", "web"), elsewhere] {
            assert!(ignored.pointers(&other).is_empty(), "{other}");
        }
    }

    fn mk_live(manager: &str) -> Value {
        json!({
            "metadata": {"managedFields": [
                {"manager": "gitsync", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}}}},
                {"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}}}},
            ]},
            "spec": {"replicas": 7, "containers": [{"name": "injected", "image": "x"}, {"name": "web", "image": "web:2"}]},
        })
    }

    #[test]
    fn a_field_is_left_to_its_other_owner_and_else_kept_as_it_is() {
        let desired = json!({"spec": {"replicas": 3, "containers": [{"name": "web", "image": "web:1"}]}});
        let pointers = ["/spec/replicas".to_owned(), "/spec/nothing".to_owned()];
        let mut theirs = desired.clone();
        yield_to_live(&mut theirs, &mk_live("hpa"), &pointers, "gitsync");
        assert_eq!(theirs["spec"].get("replicas"), None);
        let mut ours = desired.clone();
        yield_to_live(&mut ours, &mk_live("gitsync"), &pointers, "gitsync");
        assert_eq!(ours["spec"]["replicas"], 7);
        let mut new = desired.clone();
        let mut without = mk_live("gitsync");
        without["spec"].as_object_mut().unwrap().remove("replicas");
        yield_to_live(&mut new, &without, &pointers, "gitsync");
        assert_eq!(
            new["spec"].get("replicas"),
            None,
            "somebody removed it, and git has no say"
        );
    }

    #[test]
    fn an_element_of_a_list_is_found_by_its_name() {
        let desired = json!({"spec": {"containers": [{"name": "web", "image": "web:1"}]}});
        let pointers = ["/spec/containers/0/image".to_owned()];
        let mut body = desired.clone();
        yield_to_live(&mut body, &mk_live("gitsync"), &pointers, "gitsync");
        assert_eq!(body["spec"]["containers"][0]["image"], "web:2");
    }

    #[test]
    fn what_is_stripped_makes_no_difference() {
        let (mut one, mut two) = (
            json!({"metadata": {"annotations": {"a/b": "1", "c": "2"}}, "args": ["x", "y"]}),
            json!({"metadata": {"annotations": {"a/b": "9", "c": "2"}}, "args": ["x", "z"]}),
        );
        let pointers = [
            "/metadata/annotations/a~1b".to_owned(),
            "/args/1".to_owned(),
            "/not/there".to_owned(),
        ];
        strip(&mut one, &pointers);
        strip(&mut two, &pointers);
        assert_eq!(one, two);
        assert_eq!(one["metadata"]["annotations"], json!({"c": "2"}));
    }
}
