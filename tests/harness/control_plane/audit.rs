//! The audit log: what the API server was asked, and by whom; the exact count of what an action costs.

use std::fs;
use std::path::Path;

use serde::Deserialize;

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The path and the query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// The verb of Kubernetes: get, list, watch, create, patch, …
    pub verb: String,
    /// What the client calls itself.
    #[serde(default)]
    pub user_agent: String,
}

/// The requests of clients whose user agent begins with `agent`, from the line `since` on, and the number of all lines.
pub fn read(log: &Path, agent: &str, since: usize) -> (Vec<Request>, usize) {
    let text = fs::read_to_string(log).unwrap_or_default();
    // A line without its end is still being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let requests = whole
        .lines()
        .skip(since)
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("an audit line: {error}: {line}"))
        })
        .filter(|request: &Request| request.user_agent.starts_with(agent))
        .collect();
    (requests, whole.lines().count())
}
