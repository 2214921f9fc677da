//! Checking a response: whether a check expression holds of it.

use super::exchange::{Timings, millis};
use crate::config::load_check::expression::{Expression, NumberField, TextField, TextOperator};

/// What a check can see of a response.
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The bytes of the body that were received.
    pub size: u64,
    /// The parts of its time.
    pub timings: Timings,
    /// The body; empty where no check reads it.
    pub body: &'a [u8],
    /// The value of a header by its lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

/// Whether `expression` holds of `response`.
///
/// Without a response no check holds, also not one that is negated; the caller does not ask then.
#[must_use]
pub fn holds(expression: &Expression, response: &Response<'_>) -> bool {
    match expression {
        Expression::All(a, b) => holds(a, response) && holds(b, response),
        Expression::Any(a, b) => holds(a, response) || holds(b, response),
        Expression::Not(inner) => !holds(inner, response),
        Expression::Number(field, operator, value) => operator.holds(number(*field, response), *value),
        Expression::Text(field, operator, value) => {
            let text = match field {
                TextField::Body => response.body,
                TextField::Header(name) => (response.header)(name).unwrap_or_default(),
            };
            relates(text, *operator, value.as_bytes())
        }
    }
}

fn number(field: NumberField, response: &Response<'_>) -> f64 {
    let timings = &response.timings;
    match field {
        NumberField::Status => f64::from(response.status),
        NumberField::Size => response.size as f64,
        NumberField::Duration => millis(timings.duration()),
        NumberField::Blocked => millis(timings.blocked),
        NumberField::Connecting => millis(timings.connecting),
        NumberField::TlsHandshaking => millis(timings.tls_handshaking),
        NumberField::Sending => millis(timings.sending),
        NumberField::Waiting => millis(timings.waiting),
        NumberField::Receiving => millis(timings.receiving),
    }
}

fn relates(text: &[u8], operator: TextOperator, value: &[u8]) -> bool {
    match operator {
        TextOperator::Equal => text == value,
        TextOperator::NotEqual => text != value,
        TextOperator::Contains => value.is_empty() || text.windows(value.len()).any(|window| window == value),
        TextOperator::StartsWith => text.starts_with(value),
        TextOperator::EndsWith => text.ends_with(value),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn expressions_are_judged_on_the_response() {
        let header = |name: &str| (name == "content-type").then_some(&b"text/html"[..]);
        let timings = Timings {
            sending: Duration::from_millis(1),
            waiting: Duration::from_millis(598),
            receiving: Duration::from_millis(1),
            connecting: Duration::from_millis(50),
            ..Timings::default()
        };
        let response = Response {
            status: 200,
            size: 12,
            timings,
            body: b"Hello, world",
            header: &header,
        };
        for (text, want) in [
            ("status == 200", true),
            ("status != 200", false),
            ("duration < 600", false),
            ("duration <= 600", true),
            ("timings.waiting < 600", true),
            ("timings.connecting > 49", true),
            ("size == 12", true),
            ("body contains 'world'", true),
            ("body contains 'World'", false),
            ("body contains ''", true),
            ("body == 'Hello'", false),
            ("body startsWith 'Hello'", true),
            ("body endsWith 'world'", true),
            ("headers['Content-Type'] contains 'html'", true),
            ("headers['X-Other'] == ''", true),
            ("status == 500 || status == 200 && duration < 1", false),
            ("(status == 500 || status == 200) && !(duration > 601)", true),
        ] {
            let expression: Expression = text.parse().unwrap();
            assert_eq!(holds(&expression, &response), want, "{text}");
        }
    }
}
