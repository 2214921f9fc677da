//! Status: how the API says no, as the `Status` object of apimachinery's `meta/v1`.

use std::fmt;

use serde_json::{Map, Value, json};

/// A refusal: the HTTP code, the machine's word for it and the sentence for a person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// `NotFound`, `Conflict`, `Invalid` and so on; may be empty.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
    /// The `details` of the object: name, group, kind, causes, `retryAfterSeconds`.
    pub details: Option<Box<Value>>,
    /// The `metadata.continue` with which an interrupted list goes on.
    pub continues: Option<String>,
    /// What the answer warns of beside the refusal.
    pub warnings: Vec<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// In which way it is wrong.
    pub kind: FieldErrorKind,
    /// The path, as `spec.template.spec.containers[0].name`.
    pub field: String,
    /// The value found there; null where none is told.
    pub value: Value,
    /// The rest of the sentence; may be empty.
    pub detail: String,
}

/// The ways in which a field can be wrong, as apimachinery's `field.ErrorType` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// Nothing is there.
    Required,
    /// The value is of the right type and not allowed.
    Invalid,
    /// The value is none of a few.
    NotSupported,
    /// The value is not allowed under these circumstances.
    Forbidden,
    /// The value has to be unique and is not.
    Duplicate,
    /// The value names something that does not exist.
    NotFound,
    /// The text is too long.
    TooLong,
    /// The list or map has too many elements.
    TooMany,
    /// The value is of a wrong type.
    TypeInvalid,
}

// === impl Status ===

impl Status {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            continues: None,
            warnings: Vec::new(),
        }
    }

    /// 404: `pods "web" not found`. The resource is written `deployments.apps`.
    pub fn not_found(resource: &str, name: &str) -> Self {
        Self::of_object(
            404,
            "NotFound",
            resource,
            name,
            format!("{resource} {name:?} not found"),
        )
    }

    /// 404 for a path or a resource that nobody serves.
    pub fn no_such_resource() -> Self {
        let mut status = Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        status.details = Some(Box::new(json!({})));
        status
    }

    /// 409: the name is taken.
    pub fn already_exists(resource: &str, name: &str) -> Self {
        Self::of_object(
            409,
            "AlreadyExists",
            resource,
            name,
            format!("{resource} {name:?} already exists"),
        )
    }

    /// 409: the object has changed, or something about it stands in the way.
    pub fn conflict(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::of_object(409, "Conflict", resource, name, message)
    }

    /// 409: somebody else has written the object since it was read.
    pub fn modified(resource: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403: `pods "web" is forbidden: why`.
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} {name:?} is forbidden: {why}")
        };
        Self::of_object(403, "Forbidden", resource, name, subject)
    }

    /// 405: the resource exists and cannot do this.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut status = Self::new(405, "MethodNotAllowed", message);
        status.details = Some(Box::new(json!({})));
        status
    }

    /// 410: the revision asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 422: the object is wrong. The kind is written `Deployment.apps`, with its group if it has one.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let subject = qualified(kind, group);
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let why = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> = errors.iter().map(FieldError::cause).collect();
        let mut details = Map::new();
        if !name.is_empty() {
            details.insert("name".into(), name.into());
        }
        if !group.is_empty() {
            details.insert("group".into(), group.into());
        }
        if !kind.is_empty() {
            details.insert("kind".into(), kind.into());
        }
        details.insert("causes".into(), causes.into());
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{subject} {name:?} is invalid: {why}"),
            details: Some(Box::new(Value::Object(details))),
            continues: None,
            warnings: Vec::new(),
        }
    }

    /// 500.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// The same with warnings.
    #[must_use = "the refusal is given back"]
    pub(crate) fn warning(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// Whether the object or path does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Whether the object was written by somebody else meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// The object that goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        });
        if let Some(token) = &self.continues {
            object["metadata"]["continue"] = token.clone().into();
        }
        if !self.reason.is_empty() {
            object["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            object["details"] = Value::clone(details);
        }
        object["code"] = self.code.into();
        object
    }

    /// A refusal about one object of a resource that is written `deployments.apps`.
    pub fn of_object(code: u16, reason: &'static str, resource: &str, name: &str, message: String) -> Self {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let mut details = Map::new();
        if !name.is_empty() {
            details.insert("name".into(), name.into());
        }
        if !group.is_empty() {
            details.insert("group".into(), group.into());
        }
        details.insert("kind".into(), plural.into());
        Self {
            code,
            reason,
            message,
            details: Some(Box::new(Value::Object(details))),
            continues: None,
            warnings: Vec::new(),
        }
    }
}

/// `deployments.apps`, or the name alone for the core group.
pub(crate) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

// === impl FieldError ===

impl FieldError {
    /// Nothing is there: `spec.selector: Required value`.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, field, Value::Null, detail)
    }

    /// The value is not allowed: `spec.replicas: Invalid value: -1: must be greater than or equal to 0`.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Invalid, field, value.into(), detail)
    }

    /// The value is none of the few: `type: Unsupported value: "x": supported values: "A", "B"`.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self::new(FieldErrorKind::NotSupported, field, value.into(), detail)
    }

    /// The field may not be used like this: `spec: Forbidden: is immutable`.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, field, Value::Null, detail)
    }

    /// The value appears twice: `spec.containers[1].name: Duplicate value: "web"`.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, field, value.into(), "")
    }

    /// The value names nothing: `spec.containers[0].volumeMounts[0].name: Not found: "data"`.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::NotFound, field, value.into(), "")
    }

    /// Any kind of error.
    pub fn new(
        kind: FieldErrorKind,
        field: impl Into<String>,
        value: Value,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            field: field.into(),
            value,
            detail: detail.into(),
        }
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self.kind {
            FieldErrorKind::Required => ("FieldValueRequired", "Required value"),
            FieldErrorKind::Invalid => ("FieldValueInvalid", "Invalid value"),
            FieldErrorKind::NotSupported => ("FieldValueNotSupported", "Unsupported value"),
            FieldErrorKind::Forbidden => ("FieldValueForbidden", "Forbidden"),
            FieldErrorKind::Duplicate => ("FieldValueDuplicate", "Duplicate value"),
            FieldErrorKind::NotFound => ("FieldValueNotFound", "Not found"),
            FieldErrorKind::TooLong => ("FieldValueTooLong", "Too long"),
            FieldErrorKind::TooMany => ("FieldValueTooMany", "Too many"),
            FieldErrorKind::TypeInvalid => ("FieldValueTypeInvalid", "Invalid value"),
        }
    }

    /// The sentence without the field, as `field.Error.ErrorBody` writes it.
    fn body(&self) -> String {
        let (_, words) = self.words();
        let mut text = words.to_owned();
        let tells_value = !matches!(
            self.kind,
            FieldErrorKind::Required | FieldErrorKind::Forbidden | FieldErrorKind::TooLong
        );
        if tells_value {
            text.push_str(": ");
            text.push_str(&self.value.to_string());
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    fn cause(&self) -> Value {
        json!({ "reason": self.words().0, "message": self.body(), "field": self.field })
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_are_those_of_a_real_server() {
        let replicas = FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0");
        let selector = FieldError::required("spec.selector", "");
        let status = Status::invalid("apps", "Deployment", "web", std::slice::from_ref(&replicas));
        let wanted = "Deployment.apps \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than \
                      or equal to 0";
        assert_eq!(status.message, wanted);
        let status = Status::invalid("apps", "Deployment", "web", &[replicas, selector]);
        assert!(
            status
                .message
                .ends_with("equal to 0, spec.selector: Required value]"),
            "{status}"
        );
        let cause = &status.to_value()["details"]["causes"][1];
        let wanted =
            json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.selector"});
        assert_eq!(*cause, wanted);
        assert_eq!(Status::not_found("pods", "a").message, "pods \"a\" not found");
    }
}
