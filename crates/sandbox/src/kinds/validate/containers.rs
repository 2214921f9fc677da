//! What is wrong with containers: their names, ports, variables, mounts, probes and resources.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::Check;
use super::text;
use crate::kinds::fields::{entries, is_empty, items, number, some, text as text_of};
use crate::kinds::quantity::Quantity;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Resources that any container may name; others need a domain.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The containers of a pod.
pub fn containers(spec: &Value, path: &str, volumes: &BTreeSet<&str>, check: &mut Check) {
    let list = format!("{path}.containers");
    if is_empty(spec, "containers") {
        check.required(list.clone(), "");
    }
    let mut names = BTreeSet::new();
    for (index, container) in items(spec, "containers").iter().enumerate() {
        let path = format!("{list}[{index}]");
        common(container, &path, volumes, check);
        if !names.insert(text_of(container, "name")) {
            check.duplicate(format!("{path}.name"), text_of(container, "name"));
        }
        probes(container, &path, check);
    }
    for (index, container) in items(spec, "initContainers").iter().enumerate() {
        let path = format!("{path}.initContainers[{index}]");
        common(container, &path, volumes, check);
        if !names.insert(text_of(container, "name")) {
            check.duplicate(format!("{path}.name"), text_of(container, "name"));
        }
        let is_sidecar = text_of(container, "restartPolicy") == "Always";
        if is_sidecar {
            probes(container, &path, check);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if some(container, field) {
                let why = "may not be set for init containers without restartPolicy=Always";
                check.forbidden(format!("{path}.{field}"), why);
            }
        }
    }
}

fn common(container: &Value, path: &str, volumes: &BTreeSet<&str>, check: &mut Check) {
    match text_of(container, "name") {
        "" => check.required(format!("{path}.name"), ""),
        name => check.text(format!("{path}.name"), name, text::label(name)),
    }
    if is_empty(container, "image") {
        check.required(format!("{path}.image"), "");
    }
    check.one_of(
        container,
        path,
        "terminationMessagePolicy",
        &["File", "FallbackToLogsOnError"],
    );
    ports(container, &format!("{path}.ports"), check);
    variables(container, path, check);
    mounts(container, &format!("{path}.volumeMounts"), volumes, check);
    check.one_of(
        container,
        path,
        "imagePullPolicy",
        &["Always", "IfNotPresent", "Never"],
    );
    resources(&container["resources"], &format!("{path}.resources"), check);
}

fn ports(container: &Value, path: &str, check: &mut Check) {
    let mut names = BTreeSet::new();
    for (index, port) in items(container, "ports").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = text_of(port, "name");
        if !name.is_empty() {
            let wrong = text::port_name(name);
            for why in &wrong {
                check.invalid(format!("{path}.name"), name, *why);
            }
            if wrong.is_empty() && !names.insert(name) {
                check.duplicate(format!("{path}.name"), name);
            }
        }
        match number(port, "containerPort") {
            0 => check.required(format!("{path}.containerPort"), ""),
            port => check.port(format!("{path}.containerPort"), port),
        }
        if number(port, "hostPort") != 0 {
            check.port(format!("{path}.hostPort"), number(port, "hostPort"));
        }
        check.one_of(port, &path, "protocol", &PROTOCOLS);
    }
}

fn variables(container: &Value, path: &str, check: &mut Check) {
    for (index, variable) in items(container, "env").iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        match text_of(variable, "name") {
            "" => check.required(format!("{path}.name"), ""),
            name => check.text(format!("{path}.name"), name, text::variable(name)),
        }
        if some(variable, "valueFrom") {
            source(variable, &format!("{path}.valueFrom"), check);
        }
    }
    for (index, source) in items(container, "envFrom").iter().enumerate() {
        let path = format!("{path}.envFrom[{index}]");
        let named = ["configMapRef", "secretRef"]
            .into_iter()
            .filter(|name| some(source, name));
        let named: Vec<&str> = named.collect();
        if named.is_empty() {
            check.invalid(
                path.clone(),
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            );
        }
        for name in named {
            if is_empty(&source[name], "name") {
                check.required(format!("{path}.{name}.name"), "");
            }
        }
    }
}

fn source(variable: &Value, path: &str, check: &mut Check) {
    let from = &variable["valueFrom"];
    let count = from.as_object().map_or(0, serde_json::Map::len);
    for key in ["configMapKeyRef", "secretKeyRef"]
        .into_iter()
        .filter(|key| some(from, key))
    {
        for field in ["name", "key"] {
            if is_empty(&from[key], field) {
                check.required(format!("{path}.{key}.{field}"), "");
            }
        }
    }
    if count == 0 {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        check.invalid(path, "", why);
    } else if !is_empty(variable, "value") {
        check.invalid(path, "", "may not be specified when `value` is not empty");
    } else if count > 1 {
        check.invalid(path, "", "may not have more than one field specified at a time");
    }
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<&str>, check: &mut Check) {
    let mut points = BTreeSet::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (name, point) = (text_of(mount, "name"), text_of(mount, "mountPath"));
        if name.is_empty() {
            check.required(format!("{path}.name"), "");
        }
        if !volumes.contains(name) {
            check.not_found(format!("{path}.name"), name);
        }
        if point.is_empty() {
            check.required(format!("{path}.mountPath"), "");
        }
        if !points.insert(point) {
            check.invalid(format!("{path}.mountPath"), point, "must be unique");
        }
    }
}

fn probes(container: &Value, path: &str, check: &mut Check) {
    for hook in ["postStart", "preStop"] {
        let path = format!("{path}.lifecycle.{hook}");
        if some(&container["lifecycle"], hook) {
            handler(&container["lifecycle"][hook], &path, check);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if !some(container, name) {
            continue;
        }
        let (probe, path) = (&container[name], format!("{path}.{name}"));
        handler(probe, &path, check);
        for field in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ] {
            check.not_negative(probe, &path, field);
        }
        let successes = number(probe, "successThreshold");
        if name != "readinessProbe" && successes != 1 {
            check.invalid(format!("{path}.successThreshold"), successes, "must be 1");
        }
    }
}

fn handler(handler: &Value, path: &str, check: &mut Check) {
    let kinds = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
    let mut found = kinds.into_iter().filter(|kind| some(handler, kind));
    let Some(kind) = found.next() else {
        return check.required(path, "must specify a handler type");
    };
    match kind {
        "exec" if is_empty(&handler["exec"], "command") => check.required(format!("{path}.exec.command"), ""),
        "httpGet" => {
            let get = &handler["httpGet"];
            check.port_or_name(format!("{path}.httpGet.port"), &get["port"]);
            if !matches!(text_of(get, "scheme"), "HTTP" | "HTTPS") {
                check.unsupported(
                    format!("{path}.httpGet.scheme"),
                    text_of(get, "scheme"),
                    &["HTTP", "HTTPS"],
                );
            }
        }
        "tcpSocket" | "grpc" => check.port_or_name(format!("{path}.{kind}.port"), &handler[kind]["port"]),
        _ => {}
    }
    for other in found {
        check.forbidden(
            format!("{path}.{other}"),
            "may not specify more than 1 handler type",
        );
    }
}

fn resources(resources: &Value, path: &str, check: &mut Check) {
    for list in ["limits", "requests"] {
        for (name, amount) in sorted(resources, list) {
            let path = format!("{path}.{list}[{name}]");
            if !STANDARD.contains(&name) && !name.contains('/') && !name.starts_with("hugepages-") {
                check.invalid(
                    path.clone(),
                    name,
                    "must be a standard resource type or fully qualified",
                );
                check.invalid(path.clone(), name, "must be a standard resource for containers");
            }
            check.amount(&path, amount);
        }
    }
    for (name, request) in sorted(resources, "requests") {
        let limit = &resources["limits"][name];
        let read = |value: &Value| value.as_str().and_then(Quantity::parse);
        if let (Some(wanted), Some(most)) = (read(request), read(limit))
            && wanted > most
        {
            let limit = limit.as_str().unwrap_or_default();
            let why = format!("must be less than or equal to {name} limit of {limit}");
            check.invalid(format!("{path}.requests"), request.clone(), why);
        }
    }
}

fn sorted<'a>(resources: &'a Value, list: &str) -> Vec<(&'a str, &'a Value)> {
    let mut all: Vec<(&str, &Value)> = entries(resources, list)
        .map(|(name, amount)| (name.as_str(), amount))
        .collect();
    all.sort_by_key(|(name, _)| *name);
    all
}
