//! The tables of nodes, events, configuration, storage, access and admission.

use jiff::Timestamp;
use serde_json::Value;

use super::text::{AGE, NAME, NONE, UNSET, plain, since};
use crate::kinds::fields::{entries, flag, is_empty, items, number, text};
use crate::registry::Cell;

pub const NODE: [Cell; 10] = [
    NAME,
    Cell::new("Status", "string", |node, _| node_status(node).into()),
    Cell::new("Roles", "string", |node, _| node_roles(node).into()),
    AGE,
    Cell::new("Version", "string", |node, _| {
        node["status"]["nodeInfo"]["kubeletVersion"]
            .as_str()
            .unwrap_or_default()
            .into()
    }),
    Cell::wide("Internal-IP", "string", |node, _| {
        node_address(node, "InternalIP")
    }),
    Cell::wide("External-IP", "string", |node, _| {
        node_address(node, "ExternalIP")
    }),
    Cell::wide("OS-Image", "string", |node, _| node_info(node, "osImage").into()),
    Cell::wide("Kernel-Version", "string", |node, _| {
        match text(&node["status"]["nodeInfo"], "architecture") {
            "" => node_info(node, "kernelVersion").into(),
            architecture => format!("{} ({architecture})", node_info(node, "kernelVersion")).into(),
        }
    }),
    Cell::wide("Container-Runtime", "string", |node, _| {
        node_info(node, "containerRuntimeVersion").into()
    }),
];

pub const EVENT: [Cell; 10] = [
    Cell::new("Last Seen", "string", |event, now| last_seen(event, now).into()),
    Cell::new("Type", "string", |event, _| text(event, "type").into()),
    Cell::new("Reason", "string", |event, _| text(event, "reason").into()),
    Cell::new("Object", "string", |event, _| {
        let object = &event["involvedObject"];
        let kind = text(object, "kind").to_lowercase();
        match text(object, "name") {
            "" => kind.into(),
            name => format!("{kind}/{name}").into(),
        }
    }),
    Cell::wide("Subobject", "string", |event, _| {
        text(&event["involvedObject"], "fieldPath").into()
    }),
    Cell::wide("Source", "string", |event, _| source(event).into()),
    Cell::new("Message", "string", |event, _| {
        text(event, "message").trim().into()
    }),
    Cell::wide("First Seen", "string", |event, now| first_seen(event, now).into()),
    Cell::wide("Count", "string", |event, _| number(event, "count").max(1).into()),
    Cell::wide("Name", "string", |event, _| event["metadata"]["name"].clone()),
];

pub const NAMESPACE: [Cell; 3] = [
    NAME,
    Cell::new("Status", "string", |object, _| object["status"]["phase"].clone()),
    AGE,
];

pub const SECRET: [Cell; 4] = [
    NAME,
    Cell::new("Type", "string", |object, _| object["type"].clone()),
    Cell::new("Data", "string", |object, _| {
        entries(object, "data").count().into()
    }),
    AGE,
];

pub const CONFIG_MAP: [Cell; 3] = [
    NAME,
    Cell::new("Data", "string", |object, _| {
        (entries(object, "data").count() + entries(object, "binaryData").count()).into()
    }),
    AGE,
];

pub const ACCOUNT: [Cell; 2] = [NAME, AGE];

pub const VOLUME: [Cell; 11] = [
    NAME,
    Cell::new("Capacity", "string", |object, _| {
        object["spec"]["capacity"]["storage"]
            .as_str()
            .unwrap_or("0")
            .into()
    }),
    Cell::new("Access Modes", "string", |object, _| {
        modes(&object["spec"]).into()
    }),
    Cell::new("Reclaim Policy", "string", |object, _| {
        object["spec"]["persistentVolumeReclaimPolicy"].clone()
    }),
    Cell::new("Status", "string", |object, _| phase(object).into()),
    Cell::new("Claim", "string", |object, _| match &object["spec"]["claimRef"] {
        Value::Null => "".into(),
        claim => format!("{}/{}", text(claim, "namespace"), text(claim, "name")).into(),
    }),
    Cell::new("StorageClass", "string", |object, _| {
        text(&object["spec"], "storageClassName").into()
    }),
    Cell::new("VolumeAttributesClass", "string", |object, _| {
        or_unset(&object["spec"]["volumeAttributesClassName"])
    }),
    Cell::new("Reason", "string", |object, _| {
        text(&object["status"], "reason").into()
    }),
    AGE,
    Cell::wide("VolumeMode", "string", |object, _| {
        or_unset(&object["spec"]["volumeMode"])
    }),
];

pub const CLAIM: [Cell; 9] = [
    NAME,
    Cell::new("Status", "string", |object, _| phase(object).into()),
    Cell::new("Volume", "string", |object, _| {
        text(&object["spec"], "volumeName").into()
    }),
    Cell::new("Capacity", "string", |object, _| {
        let is_bound = !is_empty(&object["spec"], "volumeName");
        let capacity = object["status"]["capacity"]["storage"].as_str().unwrap_or("0");
        if is_bound { capacity.into() } else { "".into() }
    }),
    Cell::new("Access Modes", "string", |object, _| {
        let is_bound = !is_empty(&object["spec"], "volumeName");
        if is_bound {
            modes(&object["status"]).into()
        } else {
            "".into()
        }
    }),
    Cell::new("StorageClass", "string", |object, _| {
        text(&object["spec"], "storageClassName").into()
    }),
    Cell::new("VolumeAttributesClass", "string", |object, _| {
        or_unset(&object["spec"]["volumeAttributesClassName"])
    }),
    AGE,
    Cell::wide("VolumeMode", "string", |object, _| {
        or_unset(&object["spec"]["volumeMode"])
    }),
];

pub const QUOTA: [Cell; 4] = [
    NAME,
    Cell::new("Request", "string", |object, _| quota(object, false).into()),
    Cell::new("Limit", "string", |object, _| quota(object, true).into()),
    AGE,
];

pub const STORAGE_CLASS: [Cell; 6] = [
    Cell::new("Name", "string", |object, _| {
        let name = text(&object["metadata"], "name");
        let default = &object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"];
        if default == "true" {
            format!("{name} (default)").into()
        } else {
            name.into()
        }
    }),
    Cell::new("Provisioner", "string", |object, _| object["provisioner"].clone()),
    Cell::new("ReclaimPolicy", "string", |object, _| {
        object["reclaimPolicy"].clone()
    }),
    Cell::new("VolumeBindingMode", "string", |object, _| {
        object["volumeBindingMode"].clone()
    }),
    Cell::new("AllowVolumeExpansion", "string", |object, _| {
        flag(object, "allowVolumeExpansion").into()
    }),
    AGE,
];

pub const PRIORITY_CLASS: [Cell; 5] = [
    NAME,
    Cell::new("Value", "integer", |object, _| number(object, "value").into()),
    Cell::new("Global-Default", "boolean", |object, _| {
        flag(object, "globalDefault").into()
    }),
    AGE,
    Cell::new("PreemptionPolicy", "string", |object, _| {
        text(object, "preemptionPolicy").into()
    }),
];

pub const LEASE: [Cell; 3] = [
    NAME,
    Cell::new("Holder", "string", |object, _| {
        text(&object["spec"], "holderIdentity").into()
    }),
    AGE,
];

pub const BINDING: [Cell; 6] = [
    NAME,
    Cell::new("Role", "string", |object, _| {
        format!(
            "{}/{}",
            text(&object["roleRef"], "kind"),
            text(&object["roleRef"], "name")
        )
        .into()
    }),
    AGE,
    Cell::wide("Users", "string", |object, _| subjects(object, "User").into()),
    Cell::wide("Groups", "string", |object, _| subjects(object, "Group").into()),
    Cell::wide("ServiceAccounts", "string", |object, _| {
        subjects(object, "ServiceAccount").into()
    }),
];

pub const ADMISSION_POLICY: [Cell; 4] = [
    NAME,
    Cell::new("Validations", "integer", |object, _| {
        items(&object["spec"], "validations").len().into()
    }),
    Cell::new(
        "ParamKind",
        "string",
        |object, _| match &object["spec"]["paramKind"] {
            Value::Null => UNSET.into(),
            kind => format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")).into(),
        },
    ),
    AGE,
];

pub const ADMISSION_BINDING: [Cell; 4] = [
    NAME,
    Cell::new("PolicyName", "string", |object, _| {
        object["spec"]["policyName"].clone()
    }),
    Cell::new("ParamRef", "string", |object, _| {
        let reference = &object["spec"]["paramRef"];
        match (text(reference, "namespace"), text(reference, "name")) {
            _ if reference.is_null() => UNSET.into(),
            (_, "") => UNSET.into(),
            ("", name) => format!("*/{name}").into(),
            (namespace, name) => format!("{namespace}/{name}").into(),
        }
    }),
    AGE,
];

pub const WEBHOOKS: [Cell; 3] = [
    NAME,
    Cell::new("Webhooks", "integer", |object, _| {
        items(object, "webhooks").len().into()
    }),
    AGE,
];

fn or_unset(value: &Value) -> Value {
    plain(value).unwrap_or_else(|| UNSET.to_owned()).into()
}

fn node_status(node: &Value) -> String {
    let ready = items(&node["status"], "conditions")
        .iter()
        .find(|one| text(one, "type") == "Ready");
    let mut status = match ready.map(|ready| text(ready, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if flag(&node["spec"], "unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn node_roles(node: &Value) -> String {
    let labels = entries(&node["metadata"], "labels");
    let mut roles: Vec<&str> = labels
        .filter_map(
            |(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => Some(role),
                None if key == "kubernetes.io/role" => value.as_str(),
                None => None,
            },
        )
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    if roles.is_empty() {
        NONE.to_owned()
    } else {
        roles.join(",")
    }
}

fn node_address(node: &Value, kind: &str) -> Value {
    let mut addresses = items(&node["status"], "addresses").iter();
    let found = addresses.find(|one| text(one, "type") == kind);
    found.map_or(NONE, |one| text(one, "address")).into()
}

fn node_info<'a>(node: &'a Value, field: &str) -> &'a str {
    match text(&node["status"]["nodeInfo"], field) {
        "" => "<unknown>",
        text => text,
    }
}

fn first_seen(event: &Value, now: Timestamp) -> String {
    match &event["firstTimestamp"] {
        Value::Null => since(&event["eventTime"], now),
        time => since(time, now),
    }
}

fn last_seen(event: &Value, now: Timestamp) -> String {
    match (&event["series"]["lastObservedTime"], &event["lastTimestamp"]) {
        (Value::Null, Value::Null) => first_seen(event, now),
        (Value::Null, time) | (time, _) => since(time, now),
    }
}

fn source(event: &Value) -> String {
    let (component, host) = match text(&event["source"], "component") {
        "" => (
            text(event, "reportingComponent"),
            text(event, "reportingInstance"),
        ),
        component => (component, text(&event["source"], "host")),
    };
    if host.is_empty() {
        component.to_owned()
    } else {
        format!("{component}, {host}")
    }
}

fn phase(object: &Value) -> &str {
    if object["metadata"]["deletionTimestamp"].is_null() {
        text(&object["status"], "phase")
    } else {
        "Terminating"
    }
}

/// The access modes in their short forms, in the order in which a server tells them.
fn modes(value: &Value) -> String {
    let has = |mode: &str| items(value, "accessModes").iter().any(|one| one == mode);
    let all = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let short: Vec<&str> = all
        .iter()
        .filter(|(mode, _)| has(mode))
        .map(|(_, short)| *short)
        .collect();
    short.join(",")
}

fn quota(object: &Value, limits: bool) -> String {
    let mut hard: Vec<(&String, &Value)> = entries(&object["status"], "hard").collect();
    hard.sort_by_key(|(name, _)| *name);
    let wanted = hard
        .into_iter()
        .filter(|(name, _)| name.starts_with("limits.") == limits);
    let texts: Vec<String> = wanted
        .map(|(name, hard)| {
            let used = plain(&object["status"]["used"][name]).unwrap_or_else(|| "0".to_owned());
            format!("{name}: {used}/{}", hard.as_str().unwrap_or_default())
        })
        .collect();
    texts.join(", ")
}

fn subjects(object: &Value, kind: &str) -> String {
    let of_kind = items(object, "subjects")
        .iter()
        .filter(|subject| text(subject, "kind") == kind);
    let names: Vec<String> = of_kind
        .map(|subject| match text(subject, "namespace") {
            "" => text(subject, "name").to_owned(),
            namespace => format!("{namespace}/{}", text(subject, "name")),
        })
        .collect();
    names.join(", ")
}
