//! What is wrong with the volumes of a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::Check;
use super::text;
use crate::kinds::fields::{is_empty, items, some, text as text_of};

/// The volumes, and the names of those that can be mounted.
pub fn volumes<'a>(spec: &'a Value, path: &str, check: &mut Check) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        source(volume, &path, check);
        let name = text_of(volume, "name");
        let wrong = text::label(name);
        if name.is_empty() {
            check.required(format!("{path}.name"), "");
        } else if wrong.is_some() {
            check.text(format!("{path}.name"), name, wrong);
        } else if !names.insert(name) {
            check.duplicate(format!("{path}.name"), name);
        }
    }
    names
}

fn source(volume: &Value, path: &str, check: &mut Check) {
    let sources = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| *key != "name" && !value.is_null());
    let sources: Vec<&String> = sources.map(|(key, _)| key).collect();
    for other in sources.iter().skip(1) {
        check.forbidden(
            format!("{path}.{other}"),
            "may not specify more than 1 volume type",
        );
    }
    for (source, field) in [
        ("secret", "secretName"),
        ("configMap", "name"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
        ("csi", "driver"),
    ] {
        if some(volume, source) && is_empty(&volume[source], field) {
            check.required(format!("{path}.{source}.{field}"), "");
        }
    }
    for source in ["secret", "configMap"] {
        for (index, item) in items(&volume[source], "items").iter().enumerate() {
            for field in ["key", "path"] {
                if is_empty(item, field) {
                    check.required(format!("{path}.{source}.items[{index}].{field}"), "");
                }
            }
        }
        let mode = volume[source]["defaultMode"].as_i64();
        if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
            let why = "must be a number between 0 and 0777 (octal), both inclusive";
            check.invalid(format!("{path}.{source}.defaultMode"), mode, why);
        }
    }
}
