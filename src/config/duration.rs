//! Duration: a span of time as people write it, for example `10s`, `1h30m` or `1.5s`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time, not negative.
///
/// The text form is a sequence of numbers with units, as in Go and k6: `ns`, `us` (or `µs`), `ms`, `s`, `m`, `h`
/// and `d`. A number without a unit is refused, because seconds and milliseconds are both usual guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(pub std::time::Duration);

/// A text that is no [`Duration`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {problem}")]
pub struct DurationError {
    text: String,
    problem: &'static str,
}

/// Units with their length in nanoseconds. A longer name stands before the shorter one that it begins with.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The longest duration: a century. It keeps sums of durations far from overflow.
const LONGEST_NANOS: f64 = 100.0 * 366.0 * 86_400e9;

const PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+$";

// === impl Duration ===

impl Duration {
    /// A duration of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// A duration of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    /// The standard library's type for the same span.
    #[must_use]
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let wrong = |problem| DurationError {
            text: text.to_owned(),
            problem,
        };
        if text == "0" {
            return Ok(Self::default());
        }
        if text.is_empty() {
            return Err(wrong("it is empty; write for example 10s"));
        }
        let (mut rest, mut nanos) = (text, 0.0_f64);
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let whole = number.starts_with(|c: char| c.is_ascii_digit()) && !number.ends_with('.');
            let number: f64 = whole
                .then(|| number.parse().ok())
                .flatten()
                .ok_or_else(|| wrong("a number and a unit are expected, for example 10s"))?;
            let (unit, length) = UNITS
                .iter()
                .find(|(unit, _)| unit_ends(tail, unit))
                .ok_or_else(|| wrong("a unit is expected after the number: ms, s, m, h or d"))?;
            nanos += number * *length as f64;
            rest = &tail[unit.len()..];
        }
        if nanos > LONGEST_NANOS {
            return Err(wrong("it is longer than a century"));
        }
        Ok(Self(std::time::Duration::from_nanos(nanos.round() as u64)))
    }
}

/// Whether `text` begins with `unit` and the unit ends there: `ms` is not minutes.
fn unit_ends(text: &str, unit: &str) -> bool {
    text.strip_prefix(unit)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in [
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ] {
            if nanos >= length {
                write!(f, "{}{unit}", nanos / length)?;
                nanos %= length;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with a unit, for example 10s")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("2m", 120_000),
            ("1d", 86_400_000),
            ("1m30s500ms", 90_500),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, says) in [
            ("", "empty"),
            ("10", "unit"),
            ("10 s", "unit"),
            ("s", "number"),
            ("-5s", "number"),
            ("5sec", "unit"),
            ("5.s", "number"),
            ("1e9s", "unit"),
            ("99999999999999d", "century"),
        ] {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos in 0_u64..1_000_000_000_000_000) {
            let duration = Duration(std::time::Duration::from_nanos(nanos));
            let read: Duration = duration.to_string().parse().unwrap();
            prop_assert_eq!(read, duration);
        }
    }
}
