//! The requests of a load check, and the checks on their responses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration as Span;

use super::target::path_problem;
use super::{Problems, escape};
use crate::config::duration::Duration;
use crate::config::load_check::expression::Expression;
use crate::config::load_check::plan::Request;
use crate::config::load_check::{Invalid, LoadCheckSpec, RequestSpec, StatusSpec};

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
        path,
        headers: spec
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body: spec.body.clone(),
        timeout: timeout.get(),
        expected,
        max_redirects: spec.max_redirects.unwrap_or(DEFAULT_MAX_REDIRECTS),
        checks: Vec::new(),
        sleep: spec.sleep.unwrap_or_default().get(),
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
