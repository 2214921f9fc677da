//! Check: the errors found so far, and the rules that many fields share.

use serde_json::Value;

use super::text;
use crate::kinds::fields::{self, entries, is_empty, items};
use crate::kinds::quantity::Quantity;
use crate::status::FieldError;

/// The message for a number below zero.
pub const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
/// The message for a field that never changes.
pub const IMMUTABLE: &str = "field is immutable";

/// What is wrong so far.
#[derive(Debug, Default)]
pub struct Check {
    /// In the order in which a server tells it.
    pub errors: Vec<FieldError>,
}

// === impl Check ===

impl Check {
    /// Something is missing.
    pub fn required(&mut self, path: impl Into<String>, why: &str) {
        self.errors.push(FieldError::required(path, why));
    }

    /// A value is not allowed.
    pub fn invalid(&mut self, path: impl Into<String>, value: impl Into<Value>, why: impl Into<String>) {
        self.errors.push(FieldError::invalid(path, value, why));
    }

    /// A field may not be used.
    pub fn forbidden(&mut self, path: impl Into<String>, why: &str) {
        self.errors.push(FieldError::forbidden(path, why));
    }

    /// A value appears twice.
    pub fn duplicate(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        self.errors.push(FieldError::duplicate(path, value));
    }

    /// A value names nothing.
    pub fn not_found(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        self.errors.push(FieldError::not_found(path, value));
    }

    /// A value is none of a few.
    pub fn unsupported(&mut self, path: impl Into<String>, value: impl Into<Value>, supported: &[&str]) {
        self.errors
            .push(FieldError::not_supported(path, value, supported));
    }

    /// The text at a key has to be there and one of a few.
    pub fn one_of(&mut self, value: &Value, path: &str, key: &str, supported: &[&str]) {
        match fields::text(value, key) {
            "" => self.required(format!("{path}.{key}"), ""),
            text if supported.contains(&text) => {}
            text => self.unsupported(format!("{path}.{key}"), text, supported),
        }
    }

    /// The number at a key is not negative, if there is one.
    pub fn not_negative(&mut self, value: &Value, path: &str, key: &str) {
        if let Some(number) = value[key].as_i64().filter(|number| *number < 0) {
            self.invalid(format!("{path}.{key}"), number, NOT_NEGATIVE);
        }
    }

    /// A field that never changes is as it was.
    pub fn immutable(&mut self, new: &Value, old: &Value, path: &str, key: &str) {
        if new[key] != old[key] {
            self.invalid(format!("{path}.{key}"), new[key].clone(), IMMUTABLE);
        }
    }

    /// A port's number, and a message for each way in which it is wrong.
    pub fn port(&mut self, path: impl Into<String>, port: i64) {
        if !(1..=65_535).contains(&port) {
            self.invalid(path, port, "must be between 1 and 65535, inclusive");
        }
    }

    /// A port by its number or name.
    pub fn port_or_name(&mut self, path: impl Into<String>, port: &Value) {
        let path = path.into();
        match port.as_str() {
            None => self.port(path, port.as_i64().unwrap_or_default()),
            Some(name) => {
                for why in text::port_name(name) {
                    self.invalid(path.clone(), name, why);
                }
            }
        }
    }

    /// A text that fits a rule, given by what is wrong with it.
    pub fn text(&mut self, path: impl Into<String>, text: &str, wrong: Option<String>) {
        if let Some(why) = wrong {
            self.invalid(path, text, why);
        }
    }

    /// Labels in another place than the object's own metadata.
    pub fn labels(&mut self, value: &Value, key: &str, path: &str) {
        for (name, label) in entries(value, key) {
            self.text(path, name, text::qualified_name(name));
            let label = label.as_str().unwrap_or_default();
            self.text(path, label, text::label_value(label));
        }
    }

    /// A label selector.
    pub fn selector(&mut self, selector: &Value, path: &str) {
        for (name, label) in entries(selector, "matchLabels") {
            let path = format!("{path}.matchLabels");
            self.text(path.clone(), name, text::qualified_name(name));
            let label = label.as_str().unwrap_or_default();
            self.text(path, label, text::label_value(label));
        }
        for (index, one) in items(selector, "matchExpressions").iter().enumerate() {
            let path = format!("{path}.matchExpressions[{index}]");
            match fields::text(one, "operator") {
                "In" | "NotIn" if is_empty(one, "values") => {
                    self.required(
                        format!("{path}.values"),
                        "must be specified when `operator` is 'In' or 'NotIn'",
                    );
                }
                "In" | "NotIn" => {}
                "Exists" | "DoesNotExist" if !is_empty(one, "values") => {
                    let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    self.forbidden(format!("{path}.values"), why);
                }
                "Exists" | "DoesNotExist" => {}
                other => self.invalid(format!("{path}.operator"), other, "not a valid selector operator"),
            }
            let key = fields::text(one, "key");
            self.text(format!("{path}.key"), key, text::qualified_name(key));
        }
    }

    /// A quantity that is not negative.
    pub fn amount(&mut self, path: &str, value: &Value) {
        let amount = value.as_str().and_then(Quantity::parse);
        if amount.is_some_and(|amount| amount.is_negative()) {
            self.invalid(path, value.clone(), NOT_NEGATIVE);
        }
    }

    /// An integer, or a percentage.
    pub fn count_or_percent(&mut self, path: &str, value: &Value) {
        match value {
            Value::String(text) => {
                let digits = text.strip_suffix('%').unwrap_or_default();
                if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
                    let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                               '93%', regex used for validation is '[0-9]+%')";
                    self.invalid(path, text.as_str(), why);
                } else if digits.parse::<i64>().is_ok_and(|percent| percent > 100)
                    && path.ends_with("maxUnavailable")
                {
                    self.invalid(path, text.as_str(), "must not be greater than 100%");
                }
            }
            other => {
                if let Some(number) = other.as_i64().filter(|number| *number < 0) {
                    self.invalid(path, number, NOT_NEGATIVE);
                }
            }
        }
    }
}
