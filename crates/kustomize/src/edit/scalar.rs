//! Scalars: writing a text so that every YAML reader reads it back as that text.

use granit_parser::ScalarStyle;
use manifest::{Tag, yaml};

/// Writes a string in the style of the one that it replaces, or without quotes where that is safe.
pub(super) fn write(text: &str, like: Option<ScalarStyle>, flow: bool) -> String {
    match like {
        Some(ScalarStyle::SingleQuoted) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        Some(ScalarStyle::DoubleQuoted | ScalarStyle::SingleQuoted) => double_quoted(text),
        _ if is_safe_plain(text, flow) => text.to_owned(),
        _ => double_quoted(text),
    }
}

/// JSON's strings are strings of YAML too.
fn double_quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether a text needs no quotes, for readers of YAML 1.1 and 1.2 alike.
fn is_safe_plain(text: &str, flow: bool) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/@+:".contains(&byte);
    let begins_well = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let key_like = text.ends_with(':') || (flow && text.contains(':'));
    begins_well
        && !key_like
        && text.bytes().all(word)
        && yaml::resolve_tag(text) == Tag::Str
        && yaml::is_string_1_1(text)
        && !looks_like_a_number(text)
}

/// Whether some reader may take it for a number although go-yaml does not, for example since it is too large.
fn looks_like_a_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let radix = |prefix: &str, set: fn(char) -> bool| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.chars().all(|c| set(c) || c == '_'))
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, ""));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let decimal = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits(whole)
        && digits(fraction)
        && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    decimal
        || radix("0x", |c| c.is_ascii_hexdigit())
        || radix("0o", |c| c.is_digit(8))
        || radix("0b", |c| c.is_digit(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_some_reader_takes_for_something_else_get_quotes() {
        for text in [
            "1",
            "1.20",
            "0644",
            "0o17",
            "0x1f",
            "0b11",
            "1_000",
            "1e3",
            "1E3",
            "123e4567",
            "12345678",
            "+1",
            "-1",
            ".5",
            "1.",
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "n",
            "true",
            "False",
            "null",
            "~",
            "",
            "2024-01-02",
            "12:30",
            "190:20:30",
            ".inf",
            ".NaN",
            "<<",
            "=",
            "-",
            "- a",
            "a b",
            "a:",
            "#a",
            "a #b",
            "é",
            "*a",
            "&a",
            "!a",
            "@a",
            "%a",
            "`a",
            "a\nb",
            "0001e5",
            "1_0.5",
            "1e",
        ] {
            let written = write(text, None, false);
            assert!(written.starts_with('"'), "{text:?} became {written}");
        }
        for text in [
            "v1",
            "abc123de",
            "1.2.3",
            "1.20-alpine",
            "latest",
            "sha256:0a1b",
            "2024-01-02-rc",
            "e12",
            "_x",
            "12ab34cd",
        ] {
            assert_eq!(write(text, None, false), text);
        }
        assert_eq!(
            write("sha256:0a", None, true),
            "\"sha256:0a\"",
            "a colon inside {{}} is a key's"
        );
    }

    #[test]
    fn quotes_stay_what_they_were() {
        assert_eq!(write("v2", Some(ScalarStyle::SingleQuoted), false), "'v2'");
        assert_eq!(write("it's", Some(ScalarStyle::SingleQuoted), false), "'it''s'");
        assert_eq!(
            write("a\"b\\", Some(ScalarStyle::DoubleQuoted), false),
            r#""a\"b\\""#
        );
    }
}
