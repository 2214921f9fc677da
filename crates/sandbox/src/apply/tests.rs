use serde_json::{Value, json};

use super::*;
use crate::schema::{Schema, Type};

fn scope<T>(work: impl FnOnce(&Scope<'_>) -> T) -> T {
    let schema = Schema::builtin();
    let of = Type::Defined(schema.kinds[&("apps".to_owned(), "v1".to_owned(), "Deployment".to_owned())]);
    let reset = Set::of(&[&["status"]]);
    work(&Scope {
        node: schema.node(&of),
        version: "apps/v1",
        subresource: "",
        reset: &reset,
        now: "2026-01-01T00:00:00Z",
    })
}

fn mk_deployment(replicas: Option<u32>, containers: &[(&str, &str)]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, image)| json!({"name": name, "image": image}))
        .collect();
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": containers}}},
    });
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = replicas.into();
    }
    object
}

#[test]
fn what_is_no_longer_applied_goes_and_what_others_own_stays() {
    scope(|scope| {
        let both = mk_deployment(Some(2), &[("web", "a"), ("side", "b")]);
        let (object, managers) = apply(scope, None, Managers::default(), &both, "one", false).unwrap();
        let two = mk_deployment(None, &[("side", "b")]);
        let (object, managers) = apply(scope, Some(&object), managers, &two, "two", false).unwrap();
        let less = mk_deployment(None, &[("web", "a")]);
        let (object, managers) = apply(scope, Some(&object), managers, &less, "one", false).unwrap();
        assert!(object["spec"].get("replicas").is_none());
        let names = &object["spec"]["template"]["spec"]["containers"];
        assert_eq!(names.as_array().unwrap().len(), 2, "{names}");
        let (object, _) = apply(
            scope,
            Some(&object),
            managers,
            &mk_deployment(None, &[]),
            "two",
            false,
        )
        .unwrap();
        let names = &object["spec"]["template"]["spec"]["containers"];
        assert_eq!(names.as_array().unwrap().len(), 1, "{names}");
    });
}

#[test]
fn a_conflict_names_the_owner_and_the_field() {
    scope(|scope| {
        let (object, managers) = apply(
            scope,
            None,
            Managers::default(),
            &mk_deployment(Some(2), &[("web", "a")]),
            "one",
            false,
        )
        .unwrap();
        let other = mk_deployment(Some(3), &[("web", "b")]);
        let refused = apply(scope, Some(&object), managers.clone(), &other, "two", false).unwrap_err();
        let wanted = "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.replicas\n\
                      - .spec.template.spec.containers[name=\"web\"].image";
        assert_eq!(refused.message, wanted);
        assert_eq!(refused.code, 409);
        let (object, managers) = apply(scope, Some(&object), managers, &other, "two", true).unwrap();
        assert_eq!(object["spec"]["replicas"], 3);
        let mut written = object;
        managers.write(&mut written);
        let entries = written["metadata"]["managedFields"].as_array().unwrap();
        let one = entries.iter().find(|entry| entry["manager"] == "one").unwrap();
        let left = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"web\"}": {".": {}, "f:name": {}},
        }}}}});
        assert_eq!(one["fieldsV1"], left);
    });
}

#[test]
fn an_update_takes_what_it_changes() {
    scope(|scope| {
        let first = mk_deployment(Some(2), &[("web", "a")]);
        let (object, managers) = apply(scope, None, Managers::default(), &first, "one", false).unwrap();
        let mut changed = object.clone();
        changed["spec"]["replicas"] = 5.into();
        let managers = update(scope, &object, &changed, managers, "kubectl-scale");
        let refused = apply(scope, Some(&changed), managers, &first, "one", false).unwrap_err();
        let wanted = "Apply failed with 1 conflict: conflict with \"kubectl-scale\" using apps/v1: \
                      .spec.replicas";
        assert_eq!(refused.message, wanted);
    });
}

#[test]
fn items_of_the_same_keys_are_owned_as_one() {
    scope(|scope| {
        let with_ports = |ports: Value| {
            let mut object = mk_deployment(None, &[("web", "a")]);
            object["spec"]["template"]["spec"]["containers"][0]["ports"] = ports;
            object
        };
        let ports = |managers: &Managers, name: &str| {
            let mut written = json!({"metadata": {}});
            managers.clone().write(&mut written);
            let entries = written["metadata"]["managedFields"].as_array().unwrap();
            let entry = entries.iter().find(|entry| entry["manager"] == name).unwrap();
            let containers = &entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"];
            containers["k:{\"name\":\"web\"}"]["f:ports"].clone()
        };
        let udp = json!({"containerPort": 80, "protocol": "UDP"});
        let first = with_ports(json!([{"containerPort": 80}, udp]));
        let (object, managers) = apply(scope, None, Managers::default(), &first, "one", false).unwrap();
        // A strategic merge knows only one of the keys, and leaves two of the same behind.
        let doubled = with_ports(json!([udp, udp]));
        let managers = update(scope, &object, &doubled, managers, "two");
        assert_eq!(ports(&managers, "one"), Value::Null);
        let repeated = json!({"k:{\"containerPort\":80,\"protocol\":\"UDP\"}": {}});
        assert_eq!(ports(&managers, "two"), repeated);
        let named = json!([{"containerPort": 80, "protocol": "UDP", "name": "dns"}]);
        let (object, _) = apply(
            scope,
            Some(&doubled),
            managers,
            &with_ports(named.clone()),
            "three",
            true,
        )
        .unwrap();
        assert_eq!(
            object["spec"]["template"]["spec"]["containers"][0]["ports"],
            named
        );
    });
}
