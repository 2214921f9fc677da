//! Texts of cells: ages, names of containers and images, selectors.

use jiff::Timestamp;
use serde_json::Value;

use crate::kinds::fields::{entries, items, number, text};
use crate::registry::Cell;

pub const NONE: &str = "<none>";
pub const UNSET: &str = "<unset>";

/// The name of an object.
pub const NAME: Cell = Cell::new("Name", "string", |object, _| object["metadata"]["name"].clone());

/// How long ago an object was made.
pub const AGE: Cell = Cell::new("Age", "string", |object, now| {
    since(&object["metadata"]["creationTimestamp"], now).into()
});

/// The names of the containers of a template.
pub const CONTAINERS: Cell = Cell::wide("Containers", "string", |object, _| {
    of_containers(&object["spec"]["template"]["spec"], "name").into()
});

/// The images of the containers of a template.
pub const IMAGES: Cell = Cell::wide("Images", "string", |object, _| {
    of_containers(&object["spec"]["template"]["spec"], "image").into()
});

/// The label selector of an object.
pub const SELECTOR: Cell = Cell::wide("Selector", "string", |object, _| {
    selector(&object["spec"]["selector"]).into()
});

/// A field of all containers.
pub fn of_containers(spec: &Value, field: &str) -> String {
    let all: Vec<&str> = items(spec, "containers")
        .iter()
        .map(|container| text(container, field))
        .collect();
    all.join(",")
}

/// A count in the object.
pub fn count(object: &Value, pointer: &str) -> i64 {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// `a=1,b=2`, or that there is nothing.
pub fn labels(value: &Value, key: &str) -> String {
    let mut all: Vec<String> = entries(value, key)
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    all.sort();
    if all.is_empty() {
        NONE.to_owned()
    } else {
        all.join(",")
    }
}

/// A label selector as `kubectl` writes it.
pub fn selector(selector: &Value) -> String {
    let mut all: Vec<String> = entries(selector, "matchLabels")
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for one in items(selector, "matchExpressions") {
        let key = text(one, "key");
        let values: Vec<&str> = items(one, "values").iter().filter_map(Value::as_str).collect();
        let values = values.join(",");
        all.push(match text(one, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    all.sort();
    if all.is_empty() {
        NONE.to_owned()
    } else {
        all.join(",")
    }
}

/// An integer or a text as text.
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// How long ago a time was.
pub fn since(time: &Value, now: Timestamp) -> String {
    match time.as_str().and_then(|time| time.parse::<Timestamp>().ok()) {
        Some(time) => duration(now.duration_since(time).as_secs()),
        None => "<unknown>".to_owned(),
    }
}

/// A duration in seconds in the two largest units that matter, as `kubectl` writes ages.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |first: i64, unit: &str, second: i64, small: &str| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{second}{small}"),
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(hours / 24, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        () => format!("{}y", hours / 24 / 365),
    }
}

/// The first of some texts, and how many more there are.
pub fn first(all: &[String], most: usize) -> String {
    match all.len() {
        0 => NONE.to_owned(),
        count if count <= most => all.join(","),
        count => format!("{} + {} more...", all[..most].join(","), count - most),
    }
}

/// The addresses of a load balancer.
pub fn balancer(status: &Value) -> String {
    let ingress = items(&status["loadBalancer"], "ingress").iter();
    let mut all: Vec<&str> = ingress
        .map(|one| {
            if text(one, "ip").is_empty() {
                text(one, "hostname")
            } else {
                text(one, "ip")
            }
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all.join(",")
}

/// `80/TCP`, with the node port if there is one.
pub fn port(port: &Value) -> String {
    let (own, protocol) = (number(port, "port"), text(port, "protocol"));
    match number(port, "nodePort") {
        0 => format!("{own}/{protocol}"),
        node => format!("{own}:{node}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, wanted) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (600, "10m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (30_000, "8h"),
            (200_000, "2d7h"),
            (1_000_000, "11d"),
            (70_000_000, "2y80d"),
            (400_000_000, "12y"),
        ] {
            assert_eq!(duration(seconds), wanted);
        }
    }
}
