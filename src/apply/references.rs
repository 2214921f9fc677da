//! References: which ConfigMaps and Secrets a pod needs.
//!
//! A generated ConfigMap has its content's hash in its name, so each change makes a new one and leaves the old one to be
//! pruned. Pods of an earlier template may still need it: to restart, or to scale up.

use std::collections::BTreeSet;

use serde_json::Value;

/// A kind of the core group, `ConfigMap` or `Secret`, and a name.
pub type Reference = (&'static str, String);

const CONFIG_MAP: &str = "ConfigMap";
const SECRET: &str = "Secret";

/// The ConfigMaps and Secrets that pods of this spec need.
#[must_use]
pub fn of_pod_spec(spec: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    for volume in items(&spec["volumes"]) {
        of_volume(volume, &mut found);
        for source in items(&volume["projected"]["sources"]) {
            take(CONFIG_MAP, &source["configMap"]["name"], &mut found);
            take(SECRET, &source["secret"]["name"], &mut found);
        }
    }
    for secret in items(&spec["imagePullSecrets"]) {
        take(SECRET, &secret["name"], &mut found);
    }
    let containers = ["containers", "initContainers", "ephemeralContainers"];
    for container in containers.into_iter().flat_map(|list| items(&spec[list])) {
        for source in items(&container["envFrom"]) {
            take(CONFIG_MAP, &source["configMapRef"]["name"], &mut found);
            take(SECRET, &source["secretRef"]["name"], &mut found);
        }
        for variable in items(&container["env"]) {
            let from = &variable["valueFrom"];
            take(CONFIG_MAP, &from["configMapKeyRef"]["name"], &mut found);
            take(SECRET, &from["secretKeyRef"]["name"], &mut found);
        }
    }
    found
}

fn of_volume(volume: &Value, found: &mut BTreeSet<Reference>) {
    take(CONFIG_MAP, &volume["configMap"]["name"], found);
    take(SECRET, &volume["secret"]["secretName"], found);
    // The other volumes name their Secret alike, where they have one.
    for source in volume.as_object().into_iter().flat_map(|volume| volume.values()) {
        take(SECRET, &source["secretRef"]["name"], found);
        take(SECRET, &source["nodePublishSecretRef"]["name"], found);
        // Of azureFile only.
        take(SECRET, &source["secretName"], found);
    }
}

fn take(kind: &'static str, name: &Value, found: &mut BTreeSet<Reference>) {
    if let Some(name) = name.as_str() {
        found.insert((kind, name.to_owned()));
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_need_one_is_found() {
        let spec = json!({
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"name": "a", "configMap": {"name": "files"}},
                {"name": "b", "secret": {"secretName": "tls"}},
                {"name": "c", "projected": {"sources": [{"configMap": {"name": "p-files"}}, {"secret": {"name": "p-tls"}}, {"serviceAccountToken": {}}]}},
                {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "csi"}}},
                {"name": "e", "emptyDir": {}},
            ],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "env"}}]}],
            "containers": [{"envFrom": [{"secretRef": {"name": "env-secret"}}], "env": [
                {"name": "A", "value": "plain"},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "key", "key": "k"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "key-secret", "key": "k"}}},
                {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}],
        });
        let found = of_pod_spec(&spec);
        let names = |kind: &str| -> Vec<&str> {
            let of_kind = found.iter().filter(|(other, _)| *other == kind);
            of_kind.map(|(_, name)| name.as_str()).collect()
        };
        assert_eq!(names(CONFIG_MAP), ["env", "files", "key", "p-files"]);
        assert_eq!(
            names(SECRET),
            ["csi", "env-secret", "key-secret", "p-tls", "pull", "tls"]
        );
        assert!(of_pod_spec(&json!({})).is_empty());
    }
}
