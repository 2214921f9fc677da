//! Audit: what the API was asked over HTTP, by whom, and how it answered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::Method;

use crate::http::Route;

/// How many requests are kept; older ones are forgotten.
const KEPT: usize = 100_000;

/// One answered request. A watch is told when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The verb of Kubernetes: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// The path and the query.
    pub uri: String,
    /// Who asked; empty if nobody knows.
    pub user: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// The HTTP status code of the answer.
    pub code: u16,
}

/// The requests so far.
#[derive(Debug, Default)]
pub(crate) struct Audit(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    forgotten: usize,
    requests: VecDeque<Request>,
}

// === impl Audit ===

impl Audit {
    pub(crate) fn record(&self, request: Request) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.requests.push_back(request);
        if log.requests.len() > KEPT {
            log.requests.pop_front();
            log.forgotten += 1;
        }
    }

    /// The requests after the first `since`, and how many there have been in all.
    pub(crate) fn since(&self, since: usize) -> (Vec<Request>, usize) {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = since.saturating_sub(log.forgotten);
        let requests = log.requests.iter().skip(skipped).cloned().collect();
        (requests, log.forgotten + log.requests.len())
    }
}

/// The verb of a request.
pub(crate) fn verb(method: &Method, route: Option<&Route>, watches: bool) -> &'static str {
    let is_collection = matches!(route, Some(Route::Collection(_)));
    match method.as_str() {
        "GET" if watches && (is_collection || matches!(route, Some(Route::Object(_)))) => "watch",
        "GET" if is_collection => "list",
        "GET" | "HEAD" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if is_collection => "deletecollection",
        "DELETE" => "delete",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_requests_are_forgotten_and_keep_their_numbers() {
        let audit = Audit::default();
        let request = |uri: usize| Request {
            verb: "get".to_owned(),
            uri: uri.to_string(),
            user: String::new(),
            user_agent: String::new(),
            code: 200,
        };
        for number in 0..KEPT + 5 {
            audit.record(request(number));
        }
        let (all, next) = audit.since(0);
        assert_eq!((all.len(), next), (KEPT, KEPT + 5));
        assert_eq!(all[0], request(5));
        let (last, _) = audit.since(KEPT + 4);
        assert_eq!(last, [request(KEPT + 4)]);
        assert_eq!(audit.since(next).0, []);
    }
}
