//! Review: questions about who may do what. Everybody who is let in may do anything.

use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use super::answer::{self, Body};
use crate::api::{Api, Caller, Target};
use crate::status::Status;

/// Answers a review.
pub(super) fn answer(
    api: &Arc<Api>,
    target: &Target,
    mut review: Value,
    caller: &Caller,
) -> Result<Response<Body>, Status> {
    if !review.is_object() {
        return Err(Status::bad_request("the body of the request is no JSON object"));
    }
    review["apiVersion"] = target.kind.api_version().into();
    review["kind"] = target.kind.kind.clone().into();
    if !review["metadata"].is_object() {
        review["metadata"] = json!({});
    }
    review["status"] = match target.kind.kind.as_str() {
        "SelfSubjectReview" => {
            review["metadata"]["creationTimestamp"] = api.clock.stamp().into();
            json!({ "userInfo": { "username": caller.user, "uid": caller.user, "groups": caller.groups } })
        }
        "TokenReview" => {
            json!({ "authenticated": true, "user": { "username": caller.user, "groups": caller.groups } })
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            "incomplete": false,
        }),
        _ => json!({ "allowed": true }),
    };
    Ok(answer::json(201, &review))
}
