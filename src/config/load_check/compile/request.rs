//! The requests of a load check, and the checks on their responses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration as Span;

use super::target::path_problem;
use super::{Problems, escape};
use crate::config::duration::Duration;
use crate::config::load_check::expression::Expression;
use crate::config::load_check::plan::{Request, Scenario};
use crate::config::load_check::{BodySpec, Invalid, LoadCheckSpec, RequestSpec, StatusSpec};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_MAX_REDIRECTS: u32 = 10;

impl LoadCheckSpec {
    pub(super) fn requests(
        &self,
        path: &str,
        checks: &mut CheckNames,
        problems: &mut Problems,
    ) -> Vec<Request> {
        let common = checks.read("/checks", &self.checks, problems);
        let implied = [RequestSpec::default()];
        let specs = if self.http.is_empty() {
            &implied[..]
        } else {
            &self.http[..]
        };
        let mut names = BTreeSet::new();
        let mut requests = Vec::with_capacity(specs.len());
        for (i, spec) in specs.iter().enumerate() {
            let at = format!("/http/{i}");
            let mut request = request(spec, &at, path, problems);
            request.checks = common.clone();
            request
                .checks
                .extend(checks.read(&format!("{at}/checks"), &spec.checks, problems));
            if !names.insert(request.name.clone()) {
                let hint = "give each request a name of its own";
                problems.add(
                    &at,
                    format!("a request named `{}` stands above", request.name),
                    hint,
                );
            }
            requests.push(request);
        }
        requests
    }
}

fn request(spec: &RequestSpec, at: &str, path: &str, problems: &mut Problems) -> Request {
    let method = spec.method.clone().unwrap_or_else(|| "GET".to_owned());
    if !matches!(
        method.as_str(),
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS"
    ) {
        let hint = "the methods are GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS";
        problems.add(
            &format!("{at}/method"),
            format!("`{method}` is not a method"),
            hint,
        );
    }
    let path = spec.path.clone().unwrap_or_else(|| path.to_owned());
    if let Some(problem) = spec.path.as_deref().and_then(path_problem) {
        problems.add(&format!("{at}/path"), problem, "write it as /health?full=1");
    }
    for (name, value) in &spec.headers {
        let pointer = format!("{at}/headers/{}", escape(name));
        if let Some(problem) = header_problem(name, value) {
            problems.add(&pointer, problem, "a header is a name and one line of text");
        }
    }
    if spec.weight == Some(0) {
        let message = "a weight of 0 is never chosen".to_owned();
        problems.add(&format!("{at}/weight"), message, "leave the request out");
    }
    let timeout = spec.timeout.unwrap_or(DEFAULT_TIMEOUT);
    if timeout.get() < Span::from_millis(1) {
        problems.add(
            &format!("{at}/timeout"),
            "no answer can come in that time".into(),
            "write for example 10s",
        );
    }
    let expected = match spec.expected_status.as_slice() {
        [] => vec![StatusSpec { min: 200, max: 399 }],
        some => some.to_vec(),
    };
    Request {
        name: spec.name.clone().unwrap_or_else(|| format!("{method} {path}")),
        method,
        path: with_query(path, &spec.query),
        headers: headers(spec),
        body: spec.body.as_ref().map(|body| match body {
            BodySpec::Text(text) => text.clone(),
            BodySpec::Json { json } => json.to_string(),
        }),
        timeout: timeout.get(),
        expected,
        max_redirects: spec.max_redirects.unwrap_or(DEFAULT_MAX_REDIRECTS),
        checks: Vec::new(),
        sleep: spec.sleep.unwrap_or_default().get(),
        weight: spec.weight,
    }
}

/// The headers as they were written, with the content type of a JSON body unless one was written.
fn headers(spec: &RequestSpec) -> Vec<(String, String)> {
    let written = spec.headers.iter();
    let mut headers: Vec<(String, String)> = written
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let has_type = || {
        let mut names = spec.headers.keys();
        names.any(|name| name.eq_ignore_ascii_case("content-type"))
    };
    if matches!(spec.body, Some(BodySpec::Json { .. })) && !has_type() {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    headers
}

/// The path with parameters added to the query that it may have.
fn with_query(mut path: String, query: &BTreeMap<String, String>) -> String {
    for (name, value) in query {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(&encoded(name));
        path.push('=');
        path.push_str(&encoded(value));
    }
    path
}

/// A text in which everything but the unreserved characters is percent-encoded (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            let digits =
                [byte >> 4, byte & 0xf].map(|half| char::from(b"0123456789ABCDEF"[usize::from(half)]));
            encoded.extend(digits);
        }
    }
    encoded
}

/// An iteration is either every request or one of them: a scenario with weights has them on all its requests.
pub(super) fn check_weights(scenarios: &[Scenario], requests: &[Request], problems: &mut Problems) {
    for scenario in scenarios {
        let weighted = |index: &&usize| requests[**index].weight.is_some();
        if !scenario.requests.iter().any(|index| weighted(&index)) {
            continue;
        }
        for index in scenario.requests.iter().filter(|index| !weighted(index)) {
            let request = &requests[*index].name;
            let message = format!(
                "scenario `{}` chooses by weight, and `{request}` has none",
                scenario.name
            );
            problems.add(
                &format!("/http/{index}"),
                message,
                "write a weight, or list the scenario's requests",
            );
        }
    }
}

fn header_problem(name: &str, value: &str) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Some(format!("`{name}` is not a header name"));
    }
    // The engine frames the message; a second opinion about its length would desynchronise the connection.
    let framing = ["content-length", "transfer-encoding", "connection", "upgrade"];
    if framing.contains(&name.to_ascii_lowercase().as_str()) {
        return Some(format!("{name} is set by the connection itself"));
    }
    // The value is not quoted: it may be a credential.
    value
        .contains(|c: char| c.is_control() && c != '\t')
        .then(|| format!("the value of {name} has a line break or control character"))
}

/// The names of checks, each once, in the order of their first use.
#[derive(Default)]
pub(super) struct CheckNames {
    pub(super) names: Vec<String>,
}

impl CheckNames {
    fn read(
        &mut self,
        at: &str,
        checks: &BTreeMap<String, String>,
        problems: &mut Problems,
    ) -> Vec<(usize, Expression)> {
        let mut read = Vec::with_capacity(checks.len());
        for (name, text) in checks {
            let index = self
                .names
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    self.names.push(name.clone());
                    self.names.len() - 1
                });
            match text.parse::<Expression>() {
                Ok(expression) => read.push((index, expression)),
                Err(error) => problems.0.push(Invalid {
                    pointer: format!("{at}/{}", escape(name)),
                    message: error.to_string(),
                    hint: error.hint,
                }),
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_spec(http: &str) -> LoadCheckSpec {
        serde_yaml::from_str(&format!("target: {{url: 'http://a'}}\nhttp: {http}\n")).unwrap()
    }

    #[test]
    fn a_query_is_encoded_and_added_to_the_path() {
        for (http, path) in [
            (
                "[{path: /a, query: {q: 'x y&z', é: '1'}}]",
                "/a?q=x%20y%26z&%C3%A9=1",
            ),
            ("[{path: '/a?b=1', query: {c: ''}}]", "/a?b=1&c="),
            ("[{query: {c: d}}]", "/?c=d"),
        ] {
            assert_eq!(mk_spec(http).compile().unwrap().requests[0].path, path, "{http}");
        }
    }

    #[test]
    fn a_body_is_a_text_or_json_with_its_content_type() {
        let json = "application/json";
        for (http, body, content_type) in [
            ("[{method: POST, body: a=1}]", "a=1", None),
            (
                "[{method: POST, body: {json: {a: [1, x]}}}]",
                r#"{"a":[1,"x"]}"#,
                Some(json),
            ),
            (
                "[{body: {json: null}, headers: {content-type: text/x}}]",
                "null",
                Some("text/x"),
            ),
        ] {
            let plan = mk_spec(http).compile().unwrap();
            let request = &plan.requests[0];
            let found: Vec<&str> = request.headers.iter().map(|(_, value)| value.as_str()).collect();
            assert_eq!(request.body.as_deref(), Some(body), "{http}");
            assert_eq!(found, content_type.into_iter().collect::<Vec<_>>(), "{http}");
        }
        let wrong = "target: {url: 'http://a'}\nhttp: [{body: {xml: a}}]\n";
        let error = serde_yaml::from_str::<LoadCheckSpec>(wrong)
            .unwrap_err()
            .to_string();
        assert!(error.contains("unknown field `xml`"), "{error}");
    }

    #[test]
    fn weights_stand_on_all_requests_of_a_scenario_or_on_none() {
        for (http, pointers) in [
            ("[{path: /a, weight: 3}, {path: /b, weight: 1}]", &[][..]),
            ("[{path: /a, weight: 3}, {path: /b}]", &["/http/1"]),
            ("[{path: /a, weight: 0}]", &["/http/0/weight"]),
        ] {
            let problems = mk_spec(http).validate();
            let found: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
            assert_eq!(found, pointers, "{http}");
        }
    }
}
