//! Write: requests that change something.

use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::read::{Choice, view};
use super::{Call, review};
use crate::api::{Api, DeleteOptions, Deleted, Operation, Patch, Propagation, Target, WriteOptions, Written};
use crate::registry::Verbs;
use crate::schema::protobuf;
use crate::status::{FieldError, Status};

/// Kinds whose deletion answers with the object and not with a Status.
const ANSWERS_OBJECT: [&str; 7] = [
    "pods",
    "services",
    "serviceaccounts",
    "persistentvolumeclaims",
    "persistentvolumes",
    "resourcequotas",
    "podtemplates",
];

/// Creates an object.
pub(super) fn create(api: &Arc<Api>, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    let object = body(target, call)?;
    if target.kind.verbs == Verbs::Create {
        return review::answer(api, target, object, &call.caller);
    }
    let options = call.query.write_options("CreateOptions")?;
    let mut target = target.clone();
    if target.kind.namespaced && target.namespace.is_empty() {
        return Err(Status::method_not_allowed());
    }
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .clone_into(&mut target.name);
    let written = api.write(&target, Operation::Create(object), &options, &call.caller)?;
    Ok(written_answer(api, &target, written, call))
}

/// Replaces an object.
pub(super) fn update(api: &Arc<Api>, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    let object = body(target, call)?;
    let options = call.query.write_options("UpdateOptions")?;
    if target.subresource == "finalize" {
        return finalize(api, target, object, &options, call);
    }
    let written = api.write(target, Operation::Update(object), &options, &call.caller)?;
    Ok(written_answer(api, target, written, call))
}

/// Changes an object.
pub(super) fn patch(api: &Arc<Api>, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    let patch_body = body(target, call)?;
    let options = call.query.write_options("PatchOptions")?;
    let force = call.query.flag("force");
    let patch = match call.content_type.as_str() {
        "application/json-patch+json" => Patch::Json(patch_body),
        "application/merge-patch+json" => Patch::Merge(patch_body),
        "application/strategic-merge-patch+json" if target.kind.structural.is_none() => {
            Patch::Strategic(patch_body)
        }
        "application/apply-patch+yaml" => Patch::Apply {
            object: patch_body,
            manager: call.query.get("fieldManager").to_owned(),
            force,
        },
        "application/strategic-merge-patch+json" => return Err(crate::patch::unsupported()),
        _ => return Err(crate::patch::unknown_media()),
    };
    if force && !matches!(patch, Patch::Apply { .. }) {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    let written = api.write(target, Operation::Patch(patch), &options, &call.caller)?;
    Ok(written_answer(api, target, written, call))
}

/// Creates something below an object: an eviction, a binding.
pub(super) fn post_below(api: &Arc<Api>, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    let object = body(target, call)?;
    match target.subresource.as_str() {
        "eviction" => {
            let mut options = delete_options(&object["deleteOptions"])?;
            options.dry_run |= call.query.dry_run("CreateOptions")?;
            let target = object_itself(target);
            api.evict(&target, &options)?;
            Ok(answer::json(201, &success(json!({}), 201)))
        }
        "binding" => {
            let options = call.query.write_options("CreateOptions")?;
            let node = object["target"]["name"].as_str().unwrap_or_default();
            let patch = Patch::Merge(json!({ "spec": { "nodeName": node } }));
            api.write(
                &object_itself(target),
                Operation::Patch(patch),
                &options,
                &call.caller,
            )?;
            Ok(answer::json(201, &success(json!({}), 201)))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

fn object_itself(target: &Target) -> Target {
    Target {
        subresource: String::new(),
        ..target.clone()
    }
}

/// Lets go what holds a namespace.
fn finalize(
    api: &Arc<Api>,
    target: &Target,
    object: Value,
    options: &WriteOptions,
    call: &Call,
) -> Result<Response<Body>, Status> {
    let finalizers = object["spec"]["finalizers"].clone();
    let written = api.finalize(target, finalizers, options, &call.caller)?;
    Ok(written_answer(api, target, written, call))
}

/// Deletes an object.
pub(super) fn delete(api: &Arc<Api>, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    if !target.subresource.is_empty() {
        return Err(Status::method_not_allowed());
    }
    let options = all_delete_options(target, call)?;
    let deleted = api.delete(target, &options)?;
    let kind = &target.kind;
    if !deleted.gone || ANSWERS_OBJECT.contains(&kind.resource().as_str()) {
        return Ok(answer::object(200, deleted.object, view(api, kind), call.accept));
    }
    let mut details = json!({ "name": target.name });
    if !kind.group.is_empty() {
        details["group"] = kind.group.clone().into();
    }
    details["kind"] = kind.plural.clone().into();
    details["uid"] = deleted.object["metadata"]["uid"].clone();
    Ok(answer::json(200, &success(details, 0)))
}

/// Deletes the objects of a collection.
pub(super) fn delete_collection(
    api: &Arc<Api>,
    target: &Target,
    call: &Call,
) -> Result<Response<Body>, Status> {
    if target.kind.verbs != Verbs::All {
        return Err(Status::method_not_allowed());
    }
    let options = all_delete_options(target, call)?;
    let choice = Choice::of(target, &call.query)?;
    let snapshot = api.store.list(&target.kind.resource(), &choice.prefix);
    let mut items = Vec::new();
    for object in snapshot.objects.iter().filter(|object| choice.takes(object)) {
        let (namespace, name) = object.key.split_once('/').unwrap_or(("", &object.key));
        let one = Target {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..target.clone()
        };
        match api.delete(&one, &options) {
            Ok(Deleted { mut object, .. }) => {
                if let Some(object) = object
                    .as_object_mut()
                    .filter(|_| target.kind.structural.is_none())
                {
                    object.retain(|field, _| field != "apiVersion" && field != "kind");
                }
                items.push(object);
            }
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
    }
    let kind = &target.kind;
    Ok(answer::json(
        200,
        &json!({
            "kind": format!("{}List", kind.kind),
            "apiVersion": kind.api_version(),
            "metadata": { "resourceVersion": api.store.revision().to_string() },
            "items": items,
        }),
    ))
}

fn success(details: Value, code: u16) -> Value {
    let mut status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    if details.as_object().is_some_and(|details| !details.is_empty()) {
        status["details"] = details;
    }
    if code > 0 {
        status["code"] = code.into();
    }
    status
}

fn written_answer(api: &Api, target: &Target, written: Written, call: &Call) -> Response<Body> {
    let code = if written.created { 201 } else { 200 };
    let response = if target.subresource == "scale" {
        answer::json(code, &written.object)
    } else {
        answer::object(code, written.object, view(api, &target.kind), call.accept)
    };
    answer::warn(response, &written.warnings)
}

/// The body of a request, of JSON or YAML.
fn body(target: &Target, call: &Call) -> Result<Value, Status> {
    if call.content_type == protobuf::MEDIA_TYPE {
        return protobuf::read(&call.body).ok_or_else(|| {
            let kind = &target.kind.kind;
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind})"
            ))
        });
    }
    let text = std::str::from_utf8(&call.body).map_err(|_| Status::bad_request("the body is no UTF-8"))?;
    if call.content_type.ends_with("yaml") && !text.trim_start().starts_with('{') {
        let mut objects = manifest::Manifest::parse(text, "the request")
            .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
        return match objects.len() {
            1 => Ok(objects.remove(0).value().clone()),
            count => Err(Status::bad_request(format!(
                "error decoding YAML: {count} objects where one is wanted"
            ))),
        };
    }
    serde_json::from_str(text)
        .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
}

/// The options of a deletion, from the body and from the query.
fn all_delete_options(target: &Target, call: &Call) -> Result<DeleteOptions, Status> {
    let mut options = if call.body.is_empty() {
        DeleteOptions::default()
    } else {
        delete_options(&body(target, call)?)?
    };
    let query = &call.query;
    options.dry_run |= query.dry_run("DeleteOptions")?;
    if let Some(seconds) = query.number("gracePeriodSeconds")? {
        options.grace_seconds = i64::try_from(seconds).ok();
    }
    if let Some(policy) = Some(query.get("propagationPolicy")).filter(|policy| !policy.is_empty()) {
        options.propagation = Some(propagation(policy)?);
    }
    Ok(options)
}

fn delete_options(body: &Value) -> Result<DeleteOptions, Status> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let preconditions = &body["preconditions"];
    let policy = body["propagationPolicy"]
        .as_str()
        .filter(|policy| !policy.is_empty());
    let orphan = body["orphanDependents"].as_bool();
    let dry_run = body["dryRun"]
        .as_array()
        .is_some_and(|list| list.iter().any(|one| one == "All"));
    Ok(DeleteOptions {
        grace_seconds: body["gracePeriodSeconds"].as_i64(),
        propagation: match (policy, orphan) {
            (Some(policy), _) => Some(propagation(policy)?),
            (None, Some(true)) => Some(Propagation::Orphan),
            (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
        },
        uid: text(&preconditions["uid"]),
        resource_version: text(&preconditions["resourceVersion"]),
        dry_run,
    })
}

fn propagation(policy: &str) -> Result<Propagation, Status> {
    match policy {
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        other => {
            let known = ["Background", "Foreground", "Orphan", "nil"];
            let error = FieldError::not_supported("propagationPolicy", other, &known);
            Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &[error]))
        }
    }
}
