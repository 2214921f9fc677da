//! Review: questions about who may do what.

use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use super::answer::{self, Body};
use crate::api::{Api, Caller, Target};
use crate::kinds::fields::{items, text};
use crate::rbac::{self, Access};
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
        "SelfSubjectRulesReview" => rules(api, text(&review["spec"], "namespace"), caller),
        _ => json!({ "allowed": is_allowed(api, &review["spec"], caller) }),
    };
    Ok(answer::json(201, &review))
}

/// All that a caller may do in a namespace.
fn rules(api: &Api, namespace: &str, caller: &Caller) -> Value {
    let (paths, resources): (Vec<Value>, Vec<Value>) = rbac::rules(api, namespace, caller)
        .into_iter()
        .partition(|rule| rule["nonResourceURLs"].is_array());
    json!({ "resourceRules": resources, "nonResourceRules": paths, "incomplete": false })
}

/// Whether whom a review is about may do what it asks; without a user it is about the caller.
fn is_allowed(api: &Api, spec: &Value, caller: &Caller) -> bool {
    let mut caller = caller.clone();
    if let Some(user) = spec["user"].as_str() {
        user.clone_into(&mut caller.user);
        let groups = items(spec, "groups").iter().filter_map(Value::as_str);
        caller.groups = groups.map(str::to_owned).collect();
    }
    let (wanted, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let (resource, below) = (text(wanted, "resource"), text(wanted, "subresource"));
    let access = if wanted.is_object() {
        Access {
            verb: text(wanted, "verb").to_owned(),
            path: String::new(),
            group: text(wanted, "group").to_owned(),
            resource: if below.is_empty() {
                resource.to_owned()
            } else {
                format!("{resource}/{below}")
            },
            namespace: text(wanted, "namespace").to_owned(),
            name: text(wanted, "name").to_owned(),
        }
    } else {
        Access {
            verb: text(path, "verb").to_owned(),
            path: text(path, "path").to_owned(),
            ..Access::default()
        }
    };
    access.is_allowed(api, &caller)
}
