//! Validation: what is wrong with an object, in the words of a real server.
//!
//! The rules are those of the `validation.go` files below `k8s.io/kubernetes/pkg/apis` that users meet: required fields,
//! names, ports, quantities, enumerations, selectors, and fields that never change. Names and labels of the object itself
//! are looked at by the API.

mod check;
mod containers;
mod network;
mod other;
mod pods;
mod text;
mod volumes;
mod workloads;

use serde_json::Value;

use self::check::Check;
use super::fields;
use crate::status::FieldError;

/// What is wrong with a new object.
pub fn validate_create(object: &Value) -> Vec<FieldError> {
    let mut check = Check::default();
    validate(object, None, &mut check);
    check.errors
}

/// What is wrong with the replacement of an object.
pub fn validate_update(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut check = Check::default();
    validate(object, Some(old), &mut check);
    check.errors
}

fn validate(object: &Value, old: Option<&Value>, check: &mut Check) {
    let api_version = fields::text(object, "apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let rules: fn(&Value, Option<&Value>, &mut Check) = match (group, fields::text(object, "kind")) {
        ("", "Pod") => pods::pod,
        ("", "ReplicationController") => workloads::replication_controller,
        ("apps", "Deployment") => workloads::deployment,
        ("apps", "ReplicaSet") => workloads::replica_set,
        ("apps", "StatefulSet") => workloads::stateful_set,
        ("apps", "DaemonSet") => workloads::daemon_set,
        ("batch", "Job") => workloads::job,
        ("batch", "CronJob") => workloads::cron_job,
        ("autoscaling", "HorizontalPodAutoscaler") => workloads::autoscaler,
        ("policy", "PodDisruptionBudget") => workloads::budget,
        ("", "Service") => network::service,
        ("networking.k8s.io", "Ingress") => network::ingress,
        ("networking.k8s.io", "NetworkPolicy") => network::policy,
        ("", "ConfigMap") => other::config_map,
        ("", "Secret") => other::secret,
        ("", "PersistentVolumeClaim") => other::claim,
        ("", "PersistentVolume") => other::volume,
        ("storage.k8s.io", "StorageClass") => other::storage_class,
        ("scheduling.k8s.io", "PriorityClass") => other::priority_class,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => other::role,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => other::role_binding,
        _ => return,
    };
    rules(object, old, check);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::defaults::default;

    fn deployment(container: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
            },
        })
    }

    fn service(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        for (name, mut object, wanted) in [
            (
                "nothing",
                deployment(json!({"name": "web", "image": "web"})),
                vec![],
            ),
            (
                "no name",
                deployment(json!({"image": "web"})),
                vec!["spec.template.spec.containers[0].name: Required value"],
            ),
            (
                "a mount of nothing",
                deployment(
                    json!({"name": "web", "image": "web", "volumeMounts": [{"name": "data", "mountPath": "/"}]}),
                ),
                vec!["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\""],
            ),
            (
                "more asked for than allowed",
                deployment(json!({
                    "name": "web", "image": "web", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}},
                })),
                vec![
                    "spec.template.spec.containers[0].resources.requests: Invalid value: \"1500m\": must be less than or \
                     equal to cpu limit of 1",
                ],
            ),
            (
                "a port of no number",
                service(json!({"ports": [{"port": 0}]})),
                vec![
                    "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                    "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                "ports without names",
                service(json!({"ports": [{"port": 80}, {"port": 81}]})),
                vec![
                    "spec.ports[0].name: Required value",
                    "spec.ports[1].name: Required value",
                ],
            ),
        ] {
            default(&mut object);
            let told: Vec<String> = validate_create(&object).iter().map(ToString::to_string).collect();
            assert_eq!(told, wanted, "{name}");
        }
    }

    #[test]
    fn some_fields_never_change() {
        let mut old = deployment(json!({"name": "web", "image": "web"}));
        default(&mut old);
        let mut new = old.clone();
        new["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2".into();
        assert_eq!(validate_update(&new, &old), []);
        new["spec"]["template"]["metadata"]["labels"]["tier"] = "front".into();
        new["spec"]["selector"] = json!({"matchLabels": {"tier": "front"}});
        let told = validate_update(&new, &old)[0].to_string();
        assert_eq!(
            told,
            "spec.selector: Invalid value: {\"matchLabels\":{\"tier\":\"front\"}}: field is immutable"
        );

        let frozen = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}, "immutable": true});
        let changed = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}, "immutable": true});
        let told = validate_update(&changed, &frozen)[0].to_string();
        assert_eq!(
            told,
            "data: Forbidden: field is immutable when `immutable` is set"
        );
    }
}
