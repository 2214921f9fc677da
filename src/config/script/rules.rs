//! Rules: the thresholds of a script, read exactly as k6 reads them, its quirks included.

use serde_json::Value;

use super::options::{Problems, duration};
use super::{Declared, ScriptRule};
use crate::config::load_check::metric::Kind;
use crate::config::load_check::threshold::{Method, Operator, Threshold};

/// Operators in the order in which k6 looks for them. The first that occurs anywhere splits the expression.
const OPERATORS: [(&str, Operator); 7] = [
    ("<=", Operator::LessOrEqual),
    ("<", Operator::Less),
    (">=", Operator::GreaterOrEqual),
    (">", Operator::Greater),
    ("===", Operator::Equal),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
];

/// Reads the option `thresholds`.
pub fn read(thresholds: &Value, metrics: &[Declared], problems: &mut Problems) -> Vec<ScriptRule> {
    let mut rules = Vec::new();
    let Some(map) = thresholds.as_object() else {
        if !thresholds.is_null() {
            problems.add("thresholds", "an object of metrics is expected");
        }
        return rules;
    };
    for (name, list) in map {
        let at = format!("thresholds.{name}");
        let Some(list) = list.as_array() else {
            problems.add(&at, "a list of thresholds is expected");
            continue;
        };
        let (metric, tags) = match selection(name, metrics) {
            Ok(selection) => selection,
            Err(problem) => {
                problems.add(&at, problem);
                continue;
            }
        };
        for entry in list {
            match rule(name, metric, &tags, entry, metrics[metric].kind) {
                Ok(rule) => rules.push(rule),
                Err(problem) => problems.add(&at, problem),
            }
        }
    }
    rules
}

fn rule(
    name: &str,
    metric: usize,
    tags: &[(String, String)],
    entry: &Value,
    kind: Kind,
) -> Result<ScriptRule, String> {
    let (source, abort, delay) = match entry {
        Value::String(source) => (source.as_str(), false, None),
        Value::Object(fields) => {
            let source = fields
                .get("threshold")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let abort = match fields.get("abortOnFail") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(abort)) => *abort,
                Some(_) => return Err("abortOnFail is not true or false".to_owned()),
            };
            let delay = fields
                .get("delayAbortEval")
                .filter(|delay| !delay.is_null())
                .map(duration)
                .transpose()?;
            (source, abort, delay)
        }
        _ => return Err("a threshold is a text or an object".to_owned()),
    };
    let threshold = threshold(source)?;
    if !threshold.method.fits(kind) {
        return Err(format!(
            "`{source}`: the metric has no {}; its methods are {}",
            threshold.method,
            Method::of(kind)
        ));
    }
    Ok(ScriptRule {
        name: shown(name),
        metric,
        tags: tags.to_vec(),
        threshold,
        source: source.to_owned(),
        implicit: false,
        abort_after: abort.then(|| delay.unwrap_or_default()),
    })
}

/// A threshold's key as k6 shows it: without blanks at the edges of its selector.
fn shown(name: &str) -> String {
    match name.split_once('{') {
        Some((metric, rest)) => format!("{metric}{{{}}}", rest.strip_suffix('}').unwrap_or(rest).trim()),
        None => name.to_owned(),
    }
}

/// Reads one expression.
///
/// # Errors
///
/// What is wrong with it.
pub fn threshold(text: &str) -> Result<Threshold, String> {
    let split = OPERATORS.iter().find_map(|(symbol, operator)| {
        let at = text.find(symbol)?;
        let right = &text[at + symbol.len()..];
        (!right.is_empty()).then(|| (&text[..at], *operator, right))
    });
    let (method, operator, bound) =
        split.ok_or_else(|| format!("`{text}` is not a method, an operator and a number"))?;
    let method = method.trim();
    Ok(Threshold {
        relative: false,
        method: self::method(method).ok_or_else(|| format!("`{text}`: `{method}` is not a method"))?,
        operator,
        bound: number(bound.trim()).ok_or_else(|| format!("`{text}`: `{bound}` is not a number"))?,
    })
}

fn method(text: &str) -> Option<Method> {
    if text == "p" {
        // k6 reads a bare p as the percentile 0.
        return Some(Method::P(0.0));
    }
    let rank = text.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')'));
    match rank {
        Some(rank) => number(rank)
            .filter(|rank| (0.0..=100.0).contains(rank))
            .map(Method::P),
        None => text.parse().ok(),
    }
}

/// A number as Go's `strconv.ParseFloat` reads it, which also knows hexadecimal ones.
fn number(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let value = match lower.strip_prefix("0x") {
        Some(hex) => hexadecimal(hex)?,
        None if lower.starts_with(['+', '-']) => return None,
        None => lower.parse::<f64>().ok()?,
    };
    Some(if negative { -value } else { value })
}

/// The digits of a hexadecimal number with its binary exponent, for example `1.8p3`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once('p')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mantissa = whole
        .chars()
        .chain(fraction.chars())
        .try_fold(0.0, |sum, digit| {
            Some(sum * 16.0 + f64::from(digit.to_digit(16)?))
        })?;
    let shift = exponent.parse::<i32>().ok()? - 4 * i32::try_from(fraction.len()).ok()?;
    Some(mantissa * 2_f64.powi(shift))
}

/// The metric and the tags of a threshold's key.
fn selection(name: &str, metrics: &[Declared]) -> Result<(usize, Vec<(String, String)>), String> {
    let (metric, selector) = match name.split_once('{') {
        None => (name, None),
        Some((metric, rest)) => {
            let inner = rest
                .strip_suffix('}')
                .ok_or_else(|| format!("`{name}` has no closing brace at its end"))?;
            (metric, Some(inner))
        }
    };
    let index = metrics
        .iter()
        .position(|declared| declared.name == metric)
        .ok_or_else(|| {
            format!("`{metric}` is no metric of k6, nor one that the script makes when it is loaded")
        })?;
    let mut tags = Vec::new();
    for pair in selector.into_iter().flat_map(|selector| selector.split(',')) {
        let bare = |text: &str| text.trim().trim_matches(|c| c == '"' || c == '\'').to_owned();
        let (tag, value) = pair.split_once(':').unwrap_or((pair, ""));
        let (tag, value) = (bare(tag), bare(value));
        if tag.is_empty() || value.is_empty() {
            return Err(format!("`{}` is not a tag and a value", pair.trim()));
        }
        tags.retain(|(known, _)| *known != tag);
        tags.push((tag, value));
    }
    tags.sort();
    Ok((index, tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_with_k6s_quirks() {
        for (text, want) in [
            ("p(90)<600", Some((Method::P(90.0), Operator::Less, 600.0))),
            ("p<600", Some((Method::P(0.0), Operator::Less, 600.0))),
            ("rate===1", Some((Method::Rate, Operator::Equal, 1.0))),
            ("count != 1e3", Some((Method::Count, Operator::NotEqual, 1000.0))),
            ("avg<Inf", Some((Method::Avg, Operator::Less, f64::INFINITY))),
            (
                "max>=-0x1.8p3",
                Some((Method::Max, Operator::GreaterOrEqual, -12.0)),
            ),
            ("p90<5", None),
            ("p(101)<5", None),
            ("avg<", None),
            ("avg", None),
            ("avg<5ms", None),
            ("mean<5", None),
            ("avg<<5", None),
        ] {
            let found = threshold(text).ok();
            let found = found.map(|found| (found.method, found.operator, found.bound));
            assert_eq!(found, want, "{text}");
        }
    }
}
