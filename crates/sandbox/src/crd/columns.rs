//! Columns: what `kubectl get` prints of a custom kind.

use jiff::Timestamp;
use serde_json::Value;

use crate::registry::Column;

/// A column with the path of its cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Printed {
    column: Column,
    path: String,
}

/// Reads `additionalPrinterColumns`; without any, there is the age.
pub(super) fn read(written: &Value) -> Vec<Printed> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let columns = written.as_array().into_iter().flatten();
    let printed: Vec<Printed> = columns
        .map(|one| Printed {
            column: Column {
                name: text(&one["name"]),
                kind: text(&one["type"]),
                format: text(&one["format"]),
                description: match one["description"].as_str() {
                    Some(words) => words.to_owned(),
                    None => format!(
                        "Custom resource definition column (in JSONPath format): {}",
                        text(&one["jsonPath"])
                    ),
                },
                priority: one["priority"]
                    .as_u64()
                    .and_then(|priority| u8::try_from(priority).ok())
                    .unwrap_or(0),
            },
            path: text(&one["jsonPath"]),
        })
        .collect();
    if !printed.is_empty() {
        return printed;
    }
    vec![Printed {
        column: Column::new("Age", "date", "When the object was created."),
        path: ".metadata.creationTimestamp".to_owned(),
    }]
}

/// The columns, the name first.
pub(super) fn columns(printed: &[Printed]) -> Vec<Column> {
    let name = Column::new("Name", "string", "The name, unique within a namespace.");
    std::iter::once(name)
        .chain(printed.iter().map(|one| one.column.clone()))
        .collect()
}

/// The cells of an object.
pub(super) fn row(printed: &[Printed], object: &Value, now: Timestamp) -> Vec<Value> {
    let cells = printed.iter().map(|one| cell(one, object, now));
    std::iter::once(object["metadata"]["name"].clone())
        .chain(cells)
        .collect()
}

fn cell(printed: &Printed, object: &Value, now: Timestamp) -> Value {
    let Some(found) = find(object, &printed.path) else {
        return Value::Null;
    };
    match (printed.column.kind.as_str(), found) {
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => age(now.duration_since(time).as_secs()).into(),
            Err(_) => "<invalid>".into(),
        },
        ("string", Value::String(text)) => text.clone().into(),
        ("string", other) => other.to_string().into(),
        (_, other) => other.clone(),
    }
}

/// Finds a value by the part of JSONPath that columns use: fields, indices, and one filter by equality.
fn find<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = object;
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (step, after) = inner.split_once(']')?;
            at = match step.strip_prefix("?(@.") {
                Some(filter) => {
                    let (field, wanted) = filter.trim_end_matches(')').split_once("==")?;
                    let wanted = wanted.trim().trim_matches(['"', '\'']);
                    at.as_array()?.iter().find(|item| item[field.trim()] == wanted)?
                }
                None => match step.parse::<usize>() {
                    Ok(index) => at.get(index)?,
                    Err(_) => at.get(step.trim_matches(['"', '\'']))?,
                },
            };
            rest = after;
        } else {
            let field = rest.trim_start_matches('.');
            let (name, length) = field_name(field);
            at = at.get(&name)?;
            rest = field.get(length..)?;
        }
    }
    Some(at)
}

/// A name up to the next dot or bracket; a dot may be escaped.
fn field_name(text: &str) -> (String, usize) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, sign) in text.char_indices() {
        match sign {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' | '[' if !escaped => return (name, at),
            _ => name.push(sign),
        }
        escaped = false;
    }
    (name, text.len())
}

/// A number of seconds as people read it: `5m10s`, `3d`.
pub(crate) fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |first: i64, unit: &str, second: i64, smaller: &str| {
        if second == 0 {
            format!("{first}{unit}")
        } else {
            format!("{first}{unit}{second}{smaller}")
        }
    };
    match seconds {
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_fields_items_and_conditions() {
        let object = json!({"spec": {"a.b": 1, "list": [{"x": 2}]},
                            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let rows = [
            (".spec.a\\.b", Some(json!(1))),
            (".spec['a.b']", Some(json!(1))),
            (".spec.list[0].x", Some(json!(2))),
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                Some(json!("True")),
            ),
            (".spec.nothing", None),
        ];
        for (path, wanted) in rows {
            assert_eq!(find(&object, path).cloned(), wanted, "{path}");
        }
        assert_eq!(
            [age(5), age(300), age(4000), age(100_000)],
            ["5s", "5m", "66m", "27h"]
        );
    }
}
