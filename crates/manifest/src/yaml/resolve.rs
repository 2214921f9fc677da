//! Resolution: the type of a scalar by its text.
//!
//! The rules are those of `resolve.go` of go-yaml, version 3 for reading and version 2 for the question
//! whether a text may be printed without quotes.

use serde_json::Number;

use crate::node::Tag;

/// What a scalar text means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(Number),
    Float(f64),
    /// The time in RFC 3339, as JSON holds it.
    Time(String),
    Str,
}

/// Which go-yaml reads the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// go-yaml v2, YAML 1.1: `yes`, `on` and `y` are bools.
    V2,
    /// go-yaml v3: only `true` and `false` are bools.
    V3,
}

/// The tag that go-yaml v3 finds for an untagged, unquoted text.
pub fn resolve_tag(text: &str) -> Tag {
    match resolve(text, Version::V3) {
        Resolved::Null => Tag::Null,
        Resolved::Bool(_) => Tag::Bool,
        Resolved::Int(_) => Tag::Int,
        Resolved::Float(_) => Tag::Float,
        Resolved::Time(_) => Tag::Timestamp,
        Resolved::Str => Tag::Str,
    }
}

/// Whether a text stays a string for a YAML 1.1 reader when it has no quotes: not `yes`, `12`, `1:30` or
/// `2020-01-01`.
pub fn is_string_1_1(text: &str) -> bool {
    // Nearly all strings start with a letter that begins no keyword.
    match text.as_bytes().first() {
        Some(b) if b.is_ascii_digit() || b"+-.".contains(b) => {
            resolve(text, Version::V2) == Resolved::Str && !is_base_60(text)
        }
        Some(b) if b"yYnNtTfFoO~".contains(b) => resolve(text, Version::V2) == Resolved::Str,
        Some(_) => true,
        None => false,
    }
}

pub(super) fn resolve(text: &str, version: Version) -> Resolved {
    let Some(&first) = text.as_bytes().first() else {
        return Resolved::Null;
    };
    match first {
        b'0'..=b'9' | b'+' | b'-' => keyword(text, version).unwrap_or_else(|| number_or_time(text)),
        b'.' => keyword(text, version).unwrap_or_else(|| leading_dot(text)),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            keyword(text, version).unwrap_or(Resolved::Str)
        }
        _ => Resolved::Str,
    }
}

fn keyword(text: &str, version: Version) -> Option<Resolved> {
    let found = match text {
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "true" | "True" | "TRUE" => Resolved::Bool(true),
        "false" | "False" | "FALSE" => Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if version == Version::V2 => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if version == Version::V2 => {
            Resolved::Bool(false)
        }
        _ => return None,
    };
    Some(found)
}

fn leading_dot(text: &str) -> Resolved {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let separates = |(at, _): (usize, &u8)| digit(at.checked_sub(1)) && digit(Some(at + 1));
    let plain = if bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'_')
        .all(separates)
    {
        text.replace('_', "")
    } else {
        text.to_owned()
    };
    float(&plain).map_or(Resolved::Str, Resolved::Float)
}

fn number_or_time(text: &str) -> Resolved {
    if let Some(time) = timestamp(text) {
        return Resolved::Time(time);
    }
    let owned;
    let plain = if text.contains('_') {
        owned = text.replace('_', "");
        owned.as_str()
    } else {
        text
    };
    if let Some(number) = integer(plain) {
        return Resolved::Int(number);
    }
    float(plain).map_or(Resolved::Str, Resolved::Float)
}

/// Go's `ParseInt` and `ParseUint` with base 0, without underscores.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let signed = digits.len() != text.len();
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match i64::try_from(value) {
        Ok(value) if negative => Some(Number::from(-value)),
        Ok(value) => Some(Number::from(value)),
        Err(_) if negative => (value == 1 << 63).then(|| Number::from(i64::MIN)),
        Err(_) => (!signed).then(|| Number::from(value)),
    }
}

/// Whether the text has the form that go-yaml takes for a float:
/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn has_float_form(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if whole == 0 && length == 0 {
            return false;
        }
        rest = &fraction[length..];
    } else if whole == 0 {
        return false;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        return length > 0 && length == exponent.len();
    }
    rest.is_empty()
}

fn float(text: &str) -> Option<f64> {
    has_float_form(text)
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .filter(|value| value.is_finite())
}

/// Reads a number of one to `most` digits at the start of `rest`.
fn digits(rest: &mut &str, most: usize) -> Option<u32> {
    let length = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, after) = rest.split_at(length);
    *rest = after;
    number.parse().ok()
}

fn expect(rest: &mut &str, text: &str) -> Option<()> {
    *rest = rest.strip_prefix(text)?;
    Some(())
}

/// The forms of time that go-yaml accepts, as RFC 3339:
/// a date, a date and time after `T` or `t` with a zone, and after a space without one.
fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year: u32 = text[..4].parse().ok()?;
    let mut rest = &text[5..];
    let month = digits(&mut rest, 2)?;
    expect(&mut rest, "-")?;
    let day = digits(&mut rest, 2)?;
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => return None,
    };
    if day == 0 || day > days {
        return None;
    }
    if rest.is_empty() {
        return Some(format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
    }
    let separator = rest.chars().next()?;
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, zone) = time_of_day(rest)?;
    let zone = match (separator, zone) {
        (' ', "") => "Z",
        (' ', _) => return None,
        (_, "Z" | "+00:00" | "-00:00") => "Z",
        (_, zone) => {
            let form: Vec<u8> = zone
                .bytes()
                .map(|b| if b.is_ascii_digit() { b'0' } else { b })
                .collect();
            if form != b"+00:00" && form != b"-00:00" {
                return None;
            }
            zone
        }
    };
    Some(format!("{year:04}-{month:02}-{day:02}T{time}{zone}"))
}

/// `15:4:5.999` as `15:04:05.999`, and what follows it.
fn time_of_day(text: &str) -> Option<(String, &str)> {
    let mut rest = text;
    let hour = digits(&mut rest, 2)?;
    expect(&mut rest, ":")?;
    let minute = digits(&mut rest, 2)?;
    expect(&mut rest, ":")?;
    let second = digits(&mut rest, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut time = format!("{hour:02}:{minute:02}:{second:02}");
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        let shown = fraction[..length.min(9)].trim_end_matches('0');
        if !shown.is_empty() {
            time.push('.');
            time.push_str(shown);
        }
        rest = &fraction[length..];
    }
    Some((time, rest))
}

/// YAML 1.1 numbers such as `1:30` that go-yaml quotes but does not read:
/// `[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?`.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let Some((first, rest)) = whole.split_once(':') else {
        return false;
    };
    let sixtieth = |part: &str| match part.as_bytes() {
        [a] => a.is_ascii_digit(),
        [a, b] => (b'0'..=b'5').contains(a) && b.is_ascii_digit(),
        _ => false,
    };
    first.starts_with(|c: char| c.is_ascii_digit())
        && number(first)
        && rest.split(':').all(sixtieth)
        && number(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v3_reads_these_types() {
        let rows = [
            ("", Tag::Null),
            ("~", Tag::Null),
            ("yes", Tag::Str),
            ("True", Tag::Bool),
            ("0644", Tag::Int),
            ("0o17", Tag::Int),
            ("1_000", Tag::Int),
            ("089", Tag::Float),
            ("1e3", Tag::Float),
            (".5", Tag::Float),
            ("1e400", Tag::Str),
            ("1.2.3", Tag::Str),
            ("1:30", Tag::Str),
            ("2020-01-01", Tag::Timestamp),
            ("2020-02-30", Tag::Str),
            ("18446744073709551615", Tag::Int),
            ("18446744073709551616", Tag::Float),
            ("-", Tag::Str),
            ("0x", Tag::Str),
        ];
        for (text, tag) in rows {
            assert_eq!(resolve_tag(text), tag, "{text:?}");
        }
    }

    #[test]
    fn times_become_rfc_3339() {
        let rows = [
            ("2020-1-2", Some("2020-01-02T00:00:00Z")),
            (
                "2001-12-14t21:59:43.10-05:00",
                Some("2001-12-14T21:59:43.1-05:00"),
            ),
            ("2001-12-14 21:59:43", Some("2001-12-14T21:59:43Z")),
            ("2001-12-14 21:59:43Z", None),
            ("2001-12-14T21:59:43", None),
            ("2021-02-29", None),
        ];
        for (text, time) in rows {
            assert_eq!(timestamp(text).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn yaml_1_1_would_take_these_for_something_else() {
        for text in [
            "y",
            "No",
            "on",
            "12",
            "0o17",
            "190:20:30",
            "+1:59",
            "1_0:5.2",
            "2020-01-01",
            "",
        ] {
            assert!(!is_string_1_1(text), "{text:?}");
        }
        for text in ["1:60", "1e", "=", "<<", "yess", "1.2.3", "-"] {
            assert!(is_string_1_1(text), "{text:?}");
        }
    }
}
