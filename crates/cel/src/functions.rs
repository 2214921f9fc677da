//! Functions: those of the language's standard library and of Kubernetes that need nothing but their arguments.

use std::sync::Arc;

use regex::RegexBuilder;

use crate::{Error, Value};

/// How much memory a pattern may take when it is compiled.
const PATTERN_SIZE: usize = 1 << 20;

/// Calls a function, of a target or by itself. One that is not here is unknown.
pub(crate) fn call(name: &str, target: Option<&Value>, arguments: &[Value]) -> Result<Value, Error> {
    let by_itself = match (target, arguments) {
        (None, [argument]) => convert(name, argument),
        (None, [text, pattern]) if name == "matches" => of_text(name, text, std::slice::from_ref(pattern)),
        (Some(of), []) if name == "size" => convert(name, of),
        (Some(of @ Value::String(_)), arguments) => of_text(name, of, arguments),
        (Some(Value::List(list)), arguments) => of_list(name, list, arguments),
        _ => None,
    };
    by_itself.unwrap_or_else(|| {
        let of = target.map_or_else(String::new, |target| format!(" of a {}", target.kind()));
        Err(Error::Unknown(format!("`{name}()`{of} is not evaluated here")))
    })
}

fn convert(name: &str, value: &Value) -> Option<Result<Value, Error>> {
    let cannot = || {
        let kind = value.kind();
        Error::Failed(format!("type conversion error from '{kind}' to '{name}'"))
    };
    Some(match (name, value) {
        ("size", Value::String(text)) => Ok(length(text.chars().count())),
        ("size", Value::List(list)) => Ok(length(list.len())),
        ("size", Value::Map(map)) => Ok(length(map.len())),
        ("dyn", value) => Ok(value.clone()),
        ("string", Value::Null | Value::List(_) | Value::Map(_)) => Err(cannot()),
        ("string", value) => Ok(Value::text(value.to_string())),
        ("bool", Value::Bool(_)) => Ok(value.clone()),
        ("bool", Value::String(text)) => match &**text {
            "true" | "TRUE" | "True" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "FALSE" | "False" | "f" | "0" => Ok(Value::Bool(false)),
            _ => Err(cannot()),
        },
        ("int", Value::Int(_)) => Ok(value.clone()),
        ("int", Value::Uint(number)) => i64::try_from(*number).map(Value::Int).map_err(|_| cannot()),
        ("int", Value::String(text)) => text.parse().map(Value::Int).map_err(|_| cannot()),
        #[expect(clippy::cast_possible_truncation, reason = "the range was asked for")]
        ("int", Value::Double(number)) if number.abs() < 9.2e18 => Ok(Value::Int(*number as i64)),
        ("uint", Value::Uint(_)) => Ok(value.clone()),
        ("uint", Value::Int(number)) => u64::try_from(*number).map(Value::Uint).map_err(|_| cannot()),
        ("uint", Value::String(text)) => text.parse().map(Value::Uint).map_err(|_| cannot()),
        ("double", Value::Double(_)) => Ok(value.clone()),
        #[expect(
            clippy::cast_precision_loss,
            reason = "the language converts to the nearest double"
        )]
        ("double", Value::Int(number)) => Ok(Value::Double(*number as f64)),
        ("double", Value::String(text)) => text.parse().map(Value::Double).map_err(|_| cannot()),
        ("size" | "int" | "uint" | "double" | "bool", _) => Err(cannot()),
        _ => return None,
    })
}

fn of_text(name: &str, target: &Value, arguments: &[Value]) -> Option<Result<Value, Error>> {
    let Value::String(text) = target else { return None };
    let texts: Vec<Option<&str>> = arguments
        .iter()
        .map(|argument| match argument {
            Value::String(text) => Some(&**text),
            _ => None,
        })
        .collect();
    let whole = |at: usize| match arguments.get(at) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let strings = |parts: Vec<&str>| {
        Ok(Value::List(Arc::new(
            parts.into_iter().map(Value::text).collect(),
        )))
    };
    Some(match (name, texts.as_slice()) {
        ("contains", [Some(part)]) => Ok(Value::Bool(text.contains(part))),
        ("startsWith", [Some(part)]) => Ok(Value::Bool(text.starts_with(part))),
        ("endsWith", [Some(part)]) => Ok(Value::Bool(text.ends_with(part))),
        ("matches", [Some(pattern)]) => RegexBuilder::new(pattern)
            .size_limit(PATTERN_SIZE)
            .build()
            .map(|pattern| Value::Bool(pattern.is_match(text)))
            .map_err(|_| Error::Unknown(format!("the pattern `{pattern}` cannot be read here"))),
        ("lowerAscii", []) => Ok(Value::text(text.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Value::text(text.to_ascii_uppercase())),
        ("trim", []) => Ok(Value::text(text.trim())),
        ("split", [Some("")]) => return None,
        ("split", [Some(by)]) => strings(text.split(by).collect()),
        ("replace", [Some(from), Some(to)]) if grown(text, from, to) => {
            Ok(Value::text(text.replace(from, to)))
        }
        ("indexOf", [Some(part)]) => Ok(place(text, text.find(part))),
        ("lastIndexOf", [Some(part)]) => Ok(place(text, text.rfind(part))),
        ("charAt", [None]) => {
            let at = usize::try_from(whole(0)?).ok();
            let count = text.chars().count();
            match at.filter(|at| *at <= count) {
                Some(at) => Ok(Value::text(text.chars().skip(at).take(1).collect::<String>())),
                None => Err(Error::Failed("index out of range".to_owned())),
            }
        }
        ("substring", [None] | [None, None]) => {
            let count = text.chars().count();
            let start = usize::try_from(whole(0)?).ok();
            let end = match arguments.len() {
                1 => Some(count),
                _ => usize::try_from(whole(1)?).ok(),
            };
            match start
                .zip(end)
                .filter(|(start, end)| start <= end && *end <= count)
            {
                Some((start, end)) => Ok(Value::text(
                    text.chars().skip(start).take(end - start).collect::<String>(),
                )),
                None => Err(Error::Failed("index out of range".to_owned())),
            }
        }
        _ => return None,
    })
}

/// Whether what a replacement makes stays of a size that fits.
fn grown(text: &str, from: &str, to: &str) -> bool {
    let count = text.matches(from).count();
    text.len() + count * to.len() < 1 << 20
}

fn of_list(name: &str, list: &[Value], arguments: &[Value]) -> Option<Result<Value, Error>> {
    let texts = || {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        };
        list.iter().map(text).collect::<Option<Vec<String>>>()
    };
    let best = |wanted: std::cmp::Ordering| {
        let mut best: Option<&Value> = None;
        for value in list {
            let better = match best {
                None => true,
                Some(best) => value.compare(best)? == wanted,
            };
            best = if better { Some(value) } else { best };
        }
        let empty = || Error::Failed(format!("{name}() of an empty list"));
        Some(best.cloned().ok_or_else(empty))
    };
    Some(match (name, arguments) {
        ("join", []) => Ok(Value::text(texts()?.concat())),
        ("join", [Value::String(between)]) => Ok(Value::text(texts()?.join(between))),
        ("isSorted", []) => {
            let mut sorted = true;
            for pair in list.windows(2) {
                sorted &= pair[0].compare(&pair[1])?.is_le();
            }
            Ok(Value::Bool(sorted))
        }
        ("sum", []) => {
            let mut sum = 0_i64;
            for value in list {
                let Value::Int(number) = value else { return None };
                sum = sum.checked_add(*number)?;
            }
            Ok(Value::Int(sum))
        }
        ("min", []) => return best(std::cmp::Ordering::Less),
        ("max", []) => return best(std::cmp::Ordering::Greater),
        ("indexOf", [value]) => Ok(position(list.iter().position(|item| item == value))),
        ("lastIndexOf", [value]) => Ok(position(list.iter().rposition(|item| item == value))),
        _ => return None,
    })
}

fn length(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn position(at: Option<usize>) -> Value {
    at.map_or(Value::Int(-1), length)
}

/// A place in a text in characters, from one in bytes.
fn place(text: &str, at: Option<usize>) -> Value {
    position(at.map(|at| text[..at].chars().count()))
}
