//! Read: single objects and lists.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::accept::Form;
use super::answer::{self, Body};
use super::query::Query;
use super::{Call, table};
use crate::api::{Api, Target, scale_of};
use crate::registry::{Kind, LogQuery, Verbs};
use crate::selector::Selector;
use crate::status::Status;
use crate::store::{Snapshot, Stored};

/// Which objects of a collection are meant.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// What the key begins with.
    pub prefix: String,
    /// What the labels have to be.
    pub labels: Selector,
    /// What fields have to be.
    pub fields: Selector,
}

/// Answers with one object.
pub(super) fn get(api: &Arc<Api>, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    if target.kind.verbs == Verbs::Create {
        return Err(Status::method_not_allowed());
    }
    let stored = api.read(&target.kind, &target.namespace, &target.name)?;
    match target.subresource.as_str() {
        "scale" => return Ok(answer::json(200, &scale_of(&target.kind, &stored.value())?)),
        "log" => return log(api, target, &stored, call),
        "eviction" | "binding" | "finalize" => return Err(Status::method_not_allowed()),
        _ => {}
    }
    if call.accept.form == Form::Object {
        return Ok(answer::bytes(200, "application/json", stored.json.clone()));
    }
    Ok(answer::object(
        200,
        stored.value(),
        view(api, &target.kind),
        call.accept,
    ))
}

/// How the objects of a kind are shown now.
pub(super) fn view<'a>(api: &Api, kind: &'a Kind) -> table::View<'a> {
    table::View {
        kind,
        now: api.clock.now(),
    }
}

fn log(api: &Arc<Api>, target: &Target, stored: &Stored, call: &Call) -> Result<Response<Body>, Status> {
    let query = &call.query;
    let asked = LogQuery {
        container: Some(query.get("container").to_owned()).filter(|name| !name.is_empty()),
        previous: query.flag("previous"),
        tail_lines: query
            .number("tailLines")?
            .and_then(|lines| usize::try_from(lines).ok()),
        since_seconds: query
            .number("sinceSeconds")?
            .and_then(|seconds| i64::try_from(seconds).ok()),
        timestamps: query.flag("timestamps"),
    };
    let context = crate::api::context(api, &call.caller);
    let text = (target.kind.hooks.log)(&stored.value(), &asked, &context)?;
    Ok(answer::bytes(200, "text/plain", Bytes::from(text)))
}

// === impl Choice ===

impl Choice {
    /// Reads the selectors of a request.
    ///
    /// # Errors
    /// 400 if one cannot be read, or names a field by which the kind cannot be selected.
    pub(super) fn of(target: &Target, query: &Query) -> Result<Self, Status> {
        let labels = Selector::parse(query.get("labelSelector"))?;
        let fields = Selector::parse(query.get("fieldSelector"))?;
        for field in fields.keys() {
            let always = ["metadata.name", "metadata.namespace"].contains(&field);
            if !always && !target.kind.selectable.iter().any(|one| one == field) {
                let message = if target.kind.selectable.is_empty() {
                    format!(
                        "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )
                } else {
                    format!("field label not supported: {field}")
                };
                return Err(Status::bad_request(message));
            }
        }
        let namespace = if target.namespace.is_empty() {
            String::new()
        } else {
            format!("{}/", target.namespace)
        };
        let prefix = if target.kind.namespaced {
            namespace
        } else {
            String::new()
        };
        Ok(Self {
            prefix,
            labels,
            fields,
        })
    }

    /// Whether no object is left out but by its place.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether an object is meant.
    pub(super) fn takes(&self, object: &Stored) -> bool {
        if !object.key.starts_with(&self.prefix) {
            return false;
        }
        if self.is_everything() {
            return true;
        }
        let value = object.value();
        self.labels.matches_object(&value) && self.fields.matches_by(|path| field(&value, path))
    }
}

/// The text of a field by its path; empty if it is not there.
fn field(object: &Value, path: &str) -> Option<String> {
    let found = match path {
        "spec.unschedulable" => object["spec"]["unschedulable"].as_bool().unwrap_or(false).into(),
        "status.successful" => object["status"]["succeeded"].as_i64().unwrap_or(0).into(),
        "source" => object["source"]["component"].clone(),
        _ => path.split('.').fold(object.clone(), |at, part| at[part].clone()),
    };
    Some(match found {
        Value::String(text) => text,
        Value::Null if path.ends_with("replicas") => "0".to_owned(),
        Value::Null if path == "spec.hostNetwork" => "false".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// A part of a list and what is said about the rest.
struct Page {
    revision: u64,
    objects: Vec<Arc<Stored>>,
    token: Option<String>,
    remaining: Option<usize>,
}

/// Answers with a list.
pub(super) fn list(api: &Api, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    if target.kind.verbs == Verbs::Create {
        return Err(Status::method_not_allowed());
    }
    let choice = Choice::of(target, &call.query)?;
    let page = page(api, target, &call.query, &choice)?;
    let kind = &target.kind;
    let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
    if kind.structural.is_some() {
        metadata["continue"] = "".into();
    }
    if let Some(token) = &page.token {
        metadata["continue"] = token.clone().into();
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    match call.accept.form {
        Form::Object | Form::Aggregated => Ok(answer::bytes(
            200,
            "application/json",
            list_bytes(kind, &metadata, &page.objects),
        )),
        Form::Table(include) => {
            let objects: Vec<Value> = page.objects.iter().map(|object| object.value()).collect();
            Ok(answer::json(
                200,
                &view(api, kind).table(&objects, include, true, Some(metadata)),
            ))
        }
        Form::Metadata => {
            let items: Vec<Value> = page
                .objects
                .iter()
                .map(|object| table::metadata_of(&object.value()))
                .collect();
            Ok(answer::json(
                200,
                &json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata,
                    "items": items,
                }),
            ))
        }
    }
}

/// The bytes of a list, made of the bytes of its objects.
fn list_bytes(kind: &Kind, metadata: &Value, objects: &[Arc<Stored>]) -> Bytes {
    let head = json!({ "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata });
    let mut text = head.to_string().into_bytes();
    text.pop();
    text.extend_from_slice(b",\"items\":[");
    // The items of a builtin list do not repeat their kind.
    let type_prefix = kind.structural.is_none().then(|| type_prefix(kind));
    for (at, object) in objects.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        match type_prefix
            .as_ref()
            .and_then(|prefix| object.json.strip_prefix(prefix.as_bytes()))
        {
            Some(rest) => {
                text.push(b'{');
                text.extend_from_slice(rest);
            }
            None => text.extend_from_slice(&in_version(kind, object)),
        }
    }
    text.extend_from_slice(b"]}");
    Bytes::from(text)
}

/// What the bytes of every object of a kind begin with.
pub(super) fn type_prefix(kind: &Kind) -> String {
    format!(
        "{{\"apiVersion\":\"{}\",\"kind\":\"{}\",",
        kind.api_version(),
        kind.kind
    )
}

/// The bytes of an object in a version of its kind. Versions differ in nothing else.
pub(super) fn in_version(kind: &Kind, object: &Stored) -> Bytes {
    if kind.structural.is_none() || object.json.starts_with(type_prefix(kind).as_bytes()) {
        return object.json.clone();
    }
    let mut value = object.value();
    value["apiVersion"] = kind.api_version().into();
    Bytes::from(value.to_string())
}

fn page(api: &Api, target: &Target, query: &Query, choice: &Choice) -> Result<Page, Status> {
    let resource = target.kind.resource();
    let limit = query
        .number("limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let (snapshot, start) = match query.get("continue") {
        "" => (snapshot(api, &resource, query, choice)?, None),
        token => {
            let (revision, start) = read_token(token)?;
            let snapshot = match revision {
                Some(revision) => {
                    api.store
                        .list_at(&resource, &choice.prefix, revision)
                        .map_err(|status| {
                            if status.code == 410 {
                                too_old(&start)
                            } else {
                                status
                            }
                        })?
                }
                None => api.store.list(&resource, &choice.prefix),
            };
            (snapshot, Some(start))
        }
    };
    let Snapshot { revision, objects } = snapshot;
    let from = start.map_or(0, |start| objects.partition_point(|object| *object.key < *start));
    let mut left = objects
        .into_iter()
        .skip(from)
        .filter(|object| choice.takes(object));
    let Some(limit) = limit else {
        return Ok(Page {
            revision,
            objects: left.collect(),
            token: None,
            remaining: None,
        });
    };
    let page: Vec<Arc<Stored>> = left.by_ref().take(limit).collect();
    let rest = left.count();
    let last = page.last().filter(|_| rest > 0);
    let token = last.map(|last| write_token(Some(revision), &format!("{}\0", last.key)));
    Ok(Page {
        revision,
        token,
        remaining: choice.is_everything().then_some(rest),
        objects: page,
    })
}

/// The state that a list is about: now, or an exact revision.
fn snapshot(api: &Api, resource: &str, query: &Query, choice: &Choice) -> Result<Snapshot, Status> {
    let version = query.get("resourceVersion");
    let how = query.get("resourceVersionMatch");
    if !how.is_empty() && version.is_empty() {
        return Err(wrong_match(
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ));
    }
    let number = query.number("resourceVersion")?.unwrap_or(0);
    match how {
        "Exact" if version == "0" => Err(wrong_match(
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        )),
        "Exact" => api.store.list_at(resource, &choice.prefix, number),
        "" | "NotOlderThan" => {
            let now = api.store.list(resource, &choice.prefix);
            if number > now.revision {
                // Tells that the revision is still to come.
                return api.store.list_at(resource, &choice.prefix, number);
            }
            Ok(now)
        }
        _ => Err(wrong_match("supported values: \"Exact\", \"NotOlderThan\"")),
    }
}

fn wrong_match(why: &str) -> Status {
    let error = crate::status::FieldError::forbidden("resourceVersionMatch", why);
    Status::invalid("meta.k8s.io", "ListOptions", "", &[error])
}

fn write_token(revision: Option<u64>, start: &str) -> String {
    let revision = revision.map_or(json!(-1), Value::from);
    URL_SAFE_NO_PAD.encode(json!({ "v": "meta.k8s.io/v1", "rv": revision, "start": start }).to_string())
}

fn read_token(token: &str) -> Result<(Option<u64>, String), Status> {
    let wrong = || {
        Status::bad_request("invalid continue token: continue key is not valid: this server has not made it")
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    let read: Value = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    let start = read["start"].as_str().ok_or_else(wrong)?;
    Ok((read["rv"].as_u64(), start.to_owned()))
}

/// 410: the state that the first page was of is gone. The answer has a token that goes on with the present one.
fn too_old(start: &str) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.continues = Some(write_token(None, start));
    status
}
