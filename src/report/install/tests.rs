use std::collections::BTreeSet;

use manifest::Manifest;
use serde_json::Value;

use super::access::{Subject, Target, of};
use super::*;

const OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {spec: {containers: []}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: here}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: there, namespace: shop}
---
apiVersion: example.com/v1
kind: Gizmo
metadata: {name: g, namespace: shop}
";

fn mk_access(spec: &str) -> Access {
    let spec = serde_yaml::from_str(spec).unwrap();
    of(Subject {
        name: &"prod".parse().unwrap(),
        spec: &spec,
        objects: &Manifest::parse(OBJECTS, "objects.yaml").unwrap(),
        hooks: &[],
        default_namespace: "default",
        targets: &[mk_target(false)],
    })
}

fn mk_target(distributed: bool) -> Target {
    Target {
        service: "web".into(),
        distributed,
    }
}

fn mk_settings() -> Settings {
    Settings {
        image: "registry.example/gitsync:0.1.0".into(),
        replicas: 2,
        repo: "https://git.example:8443/team/fleet.git".into(),
        branch: "main".into(),
        git_secret: Some("git-token".into()),
        git_write_secret: Some("git-write".into()),
        kubeconfig_secret: Some("clusters".into()),
        monitoring_namespace: "monitoring".into(),
        pod_monitor: true,
        ports: vec![80],
    }
}

fn objects(documents: &[Document]) -> Vec<Value> {
    let parse = |document: &Document| Manifest::parse(&document.text, &document.file).unwrap();
    let parsed = documents.iter().flat_map(parse);
    parsed.map(|manifest| manifest.value().clone()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// `namespace group/resource verbs names` of every rule.
fn rights(objects: &[Value]) -> Vec<String> {
    let list = |value: &Value| {
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(",")
    };
    let roles = objects.iter().filter(|object| object["rules"].is_array());
    roles
        .flat_map(|role| {
            let namespace = role["metadata"]["namespace"].as_str().unwrap_or("*");
            let rules = role["rules"].as_array().unwrap();
            rules.iter().map(move |rule| {
                let names = list(&rule["resourceNames"]);
                format!(
                    "{namespace} {}/{} {} {names}",
                    list(&rule["apiGroups"]),
                    list(&rule["resources"]),
                    list(&rule["verbs"])
                )
                .trim()
                .to_owned()
            })
        })
        .collect()
}

#[test]
fn rights_are_those_of_the_repositorys_objects_and_no_others() {
    let access = mk_access("cluster: {inCluster: true}");
    assert_eq!(access.notes.len(), 1, "{:?}", access.notes);
    assert!(access.notes[0].contains("`gizmos`"));
    let found = rights(&objects(&super::rights(&[access])));
    let wanted = [
        "gitsync-system coordination.k8s.io/leases create",
        "gitsync-system coordination.k8s.io/leases get,update gitsync-prod",
        "default /configmaps get,list,watch,create,patch,delete",
        "default apps/replicasets list",
        "default /pods list",
        "default /events list",
        "gitsync-system /configmaps get,patch gitsync-prod",
        "gitsync-system /configmaps create",
        "gitsync-system events.k8s.io/events create,patch",
        "shop /pods list,watch",
        "shop apps/replicasets list",
        "shop /events list",
        "shop /configmaps get,list,watch,create,patch,delete",
        "shop /services get,list,watch,create,patch,delete",
        "shop apps/deployments get,list,watch,create,patch,delete",
        "shop discovery.k8s.io/endpointslices list",
        "shop example.com/gizmos get,list,watch,create,patch,delete",
        "* /configmaps list,watch",
        "* /namespaces list,watch,create",
        "* /namespaces get,patch,delete shop",
        "* /nodes list",
    ];
    let (found, wanted): (BTreeSet<&str>, BTreeSet<&str>) = (
        found.iter().map(String::as_str).collect(),
        wanted.into_iter().collect(),
    );
    assert_eq!(found, wanted);
    for right in found {
        assert!(
            !right.contains("secrets") && !right.contains("escalate") && !right.contains(" * "),
            "{right}"
        );
    }
}

/// What a spec, hooks and a target bring beside what every environment here has.
fn more(spec: &str, hooks: &str, distributed: bool) -> Vec<String> {
    let spec = serde_yaml::from_str(spec).unwrap();
    let objects = Manifest::parse(OBJECTS, "objects.yaml").unwrap();
    let (_, hooks) = crate::desired::hooks::split(Manifest::parse(hooks, "hooks.yaml").unwrap()).unwrap();
    let access = of(Subject {
        name: &"prod".parse().unwrap(),
        spec: &spec,
        objects: &objects,
        hooks: &hooks,
        default_namespace: "default",
        targets: &[mk_target(distributed)],
    });
    let usual = rights(&self::objects(&super::rights(&[mk_access(
        "cluster: {inCluster: true}",
    )])));
    let found = rights(&self::objects(&super::rights(&[access])));
    found.into_iter().filter(|right| !usual.contains(right)).collect()
}

#[test]
fn hooks_and_load_checks_bring_the_rights_that_they_need_and_only_where_they_are() {
    let (inside, outside) = ("cluster: {inCluster: true}", "cluster: {context: prod}");
    assert_eq!(more(inside, "", false), [""; 0]);
    let hook = |namespace: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: migrate{namespace}, annotations: {{gitsync.dev/hook: pre-sync}}}}\n"
        )
    };
    for (namespace, is_in) in [("", "default"), (", namespace: jobs", "jobs")] {
        let wanted = format!("{is_in} batch/jobs get,create,patch,delete");
        assert_eq!(more(inside, &hook(namespace), false), [wanted]);
    }
    assert_eq!(
        more(inside, "", true),
        ["shop batch/jobs create,delete", "shop /pods/attach get,create"]
    );
    assert_eq!(more(outside, "", false), ["shop /pods/portforward get,create"]);
    assert_eq!(
        more(outside, "", true),
        ["shop batch/jobs create,delete", "shop /pods/attach get,create"],
        "what sends the load is in the cluster"
    );
}

#[test]
fn the_pods_of_a_load_check_run_the_image_that_is_installed() {
    let objects = objects(&manifests(&mk_settings(), &[]));
    let deployment = of_kind(&objects, "Deployment")[0];
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let image = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .find(|env| env["name"] == "GITSYNC_IMAGE");
    assert_eq!(image.unwrap()["value"], container["image"]);
}

#[test]
fn an_environment_that_does_not_prune_deletes_nothing() {
    let access = mk_access("cluster: {inCluster: true}\nsync: {prune: false}");
    let found = rights(&objects(&super::rights(&[access])));
    assert!(found.iter().all(|right| !right.contains("delete")), "{found:#?}");
}

#[test]
fn an_account_that_is_impersonated_has_the_rights_and_gitsync_only_that_to_be_it() {
    let access = mk_access("cluster: {inCluster: true}\nimpersonate: {serviceAccount: shop/deployer}");
    let objects = objects(&super::rights(&[access]));
    let mut of_gitsync = Vec::new();
    for binding in objects.iter().filter(|object| object["roleRef"].is_object()) {
        let (role, subject) = (&binding["roleRef"]["name"], &binding["subjects"][0]);
        if subject["name"] == "gitsync" {
            of_gitsync.push(role.as_str().unwrap());
        } else {
            assert_eq!(
                (&subject["namespace"], &subject["name"]),
                (&"shop".into(), &"deployer".into())
            );
        }
    }
    assert_eq!(of_gitsync, ["gitsync-leases", "gitsync-impersonate-prod"]);
    let rights = rights(&objects);
    assert!(
        rights.contains(&"shop /serviceaccounts impersonate deployer".to_owned()),
        "{rights:#?}"
    );
}

#[test]
fn the_pod_meets_the_restricted_standard_and_has_bounds() {
    let objects = objects(&manifests(&mk_settings(), &[]));
    let deployment = of_kind(&objects, "Deployment")[0];
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let facts = [
        (pod, "/securityContext/runAsNonRoot", "true"),
        (pod, "/securityContext/seccompProfile/type", "\"RuntimeDefault\""),
        (container, "/securityContext/allowPrivilegeEscalation", "false"),
        (container, "/securityContext/readOnlyRootFilesystem", "true"),
        (container, "/securityContext/capabilities/drop", "[\"ALL\"]"),
        (container, "/livenessProbe/httpGet/path", "\"/healthz\""),
        (container, "/readinessProbe/httpGet/path", "\"/readyz\""),
        (container, "/resources/limits/memory", "\"512Mi\""),
        (container, "/resources/requests/memory", "\"64Mi\""),
        (pod, "/serviceAccountName", "\"gitsync\""),
    ];
    for (object, pointer, wanted) in facts {
        let found = object.pointer(pointer).map(ToString::to_string);
        assert_eq!(found.as_deref(), Some(wanted), "{pointer}");
    }
    let selector = deployment["spec"]["selector"]["matchLabels"].as_object().unwrap();
    for (label, value) in selector {
        assert_eq!(
            deployment["spec"]["template"]["metadata"]["labels"][label],
            *value
        );
    }
}

#[test]
fn every_mount_has_its_volume_and_secrets_are_only_named() {
    let all = manifests(&mk_settings(), &[]);
    let objects = objects(&all);
    let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
    let names = |list: &Value| -> BTreeSet<String> {
        let entries = list.as_array().unwrap().iter();
        entries
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let container = &pod["containers"][0];
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
    let args: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mounts: Vec<&str> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    for file in args.iter().filter_map(|argument| argument.split_once("=/etc/")) {
        let path = format!("/etc/{}", file.1);
        assert!(
            mounts.iter().any(|mount| path.starts_with(*mount)),
            "{path} is not mounted"
        );
    }
    assert!(
        args.contains(&"--git-token-file=/etc/gitsync/git/token"),
        "{args:?}"
    );
    assert!(
        args.contains(&"--git-write-token-file=/etc/gitsync/git-write/token"),
        "{args:?}"
    );
    assert!(of_kind(&objects, "Secret").is_empty());
}

#[test]
fn ssh_takes_a_key_and_the_hosts_that_it_may_be_shown_to() {
    for repo in [
        "git@git.example:team/fleet.git",
        "ssh://git@git.example/team/fleet.git",
    ] {
        let settings = Settings {
            repo: repo.into(),
            ..mk_settings()
        };
        let arguments = arguments(&settings);
        for wanted in ["--ssh-key=", "--ssh-known-hosts=", "--ssh-write-key="] {
            assert!(
                arguments.iter().any(|argument| argument.starts_with(wanted)),
                "{repo}: {arguments:?}"
            );
        }
        assert!(network_policy(&settings).contains("port: 22"));
    }
}

#[test]
fn traffic_goes_to_git_to_api_servers_and_to_load_checks_only() {
    let objects = objects(&manifests(&mk_settings(), &[]));
    let policy = &of_kind(&objects, "NetworkPolicy")[0]["spec"];
    let ports: Vec<u64> = policy["egress"][1]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|port| port["port"].as_u64())
        .collect();
    assert_eq!(ports, [80, 443, 6443, 8443]);
    assert_eq!(policy["policyTypes"].to_string(), "[\"Ingress\",\"Egress\"]");
    assert_eq!(of_kind(&objects, "PodMonitor").len(), 1);
    let without = Settings {
        pod_monitor: false,
        ..mk_settings()
    };
    assert!(
        manifests(&without, &[])
            .iter()
            .all(|document| !document.text.contains("PodMonitor"))
    );
}

#[test]
fn what_uninstalling_removes_is_labelled_and_namespaces_are_not() {
    let documents = manifests(&mk_settings(), &[mk_access("cluster: {inCluster: true}")]);
    for object in objects(&documents) {
        let labelled = object["metadata"]["labels"][LABEL.0] == LABEL.1;
        assert_eq!(labelled, object["kind"] != "Namespace", "{object}");
    }
    let kustomization = kustomization(&documents).text;
    for document in &documents {
        assert!(kustomization.contains(&format!("- {}\n", document.file)));
    }
}
