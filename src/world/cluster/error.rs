//! Cluster error: what an API server refused or could not do, said so that a person can act.

use std::time::Duration;

use base64::Engine as _;
use kube::core::Status;
use manifest::{Manifest, ObjectId, Origin};

use crate::problem::Problem;
use crate::world::lease::Deposed;

/// Why a request to a cluster did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server cannot be reached, or does not answer.
    #[error("cluster {cluster} cannot be reached: {why}")]
    Unreachable {
        /// The context.
        cluster: String,
        /// The innermost cause.
        why: String,
    },
    /// The credentials are not accepted.
    #[error("cluster {cluster} does not accept the credentials: {message}")]
    Unauthorized {
        /// The context.
        cluster: String,
        /// What the server says.
        message: String,
    },
    /// The server answered, and refused.
    #[error("{}", .0.message)]
    Api(Box<Status>),
    /// Another writer was faster.
    #[error("the record of {0} was changed by another process; starting again from what it says now")]
    Lost(String),
    /// This process does not lead any more.
    #[error(transparent)]
    Deposed(#[from] Deposed),
    /// A record is damaged.
    #[error("the record of {environment} in {cluster} cannot be read")]
    Record {
        /// The environment.
        environment: String,
        /// The context.
        cluster: String,
        /// What is wrong.
        #[source]
        source: crate::record::RecordError,
    },
    /// A list of problems with objects.
    #[error("{0}")]
    Objects(#[source] crate::problem::Problems),
}

// === impl ClusterError ===

impl ClusterError {
    /// Classifies what the client says about a request to `cluster`.
    #[must_use]
    pub fn from_kube(cluster: &str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 401 => Self::Unauthorized {
                cluster: cluster.to_owned(),
                message: status.message.clone(),
            },
            kube::Error::Api(status) => Self::Api(status),
            kube::Error::Auth(error) => Self::Unauthorized {
                cluster: cluster.to_owned(),
                message: error.to_string(),
            },
            kube::Error::Service(error) if error.is::<Deposed>() => Self::Deposed(Deposed),
            other => Self::Unreachable {
                cluster: cluster.to_owned(),
                why: innermost(&other),
            },
        }
    }

    /// A request that did not answer in time.
    #[must_use]
    pub fn timeout(cluster: &str, limit: Duration) -> Self {
        Self::Unreachable {
            cluster: cluster.to_owned(),
            why: format!("no answer within {} s", limit.as_secs()),
        }
    }

    /// Whether the same request may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost(_) | Self::Deposed(_) => true,
            Self::Api(status) => matches!(status.code, 429 | 500..=599) && !is_field_error(status),
            Self::Unauthorized { .. } | Self::Record { .. } | Self::Objects(_) => false,
        }
    }

    /// Whether the account may not do this.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api(status) if status.code == 403)
    }

    /// What to do next, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { cluster, .. } => Some(format!(
                "is the address right and reachable from here? kubectl --context {cluster} cluster-info"
            )),
            Self::Unauthorized { cluster, .. } => Some(format!(
                "renew the credentials of the context, then try: kubectl --context {cluster} auth whoami"
            )),
            Self::Api(status) if status.code == 403 => {
                Some("grant the missing permission to the account that gitsync uses".to_owned())
            }
            Self::Record { environment, .. } => {
                let name = format!("gitsync-{environment}");
                Some(format!(
                    "look at it: kubectl -n {} get configmap {name} -o yaml",
                    crate::record::NAMESPACE
                ))
            }
            _ => None,
        }
    }
}

/// The problems that the API server has with one object, each with its line in git.
#[must_use]
pub fn object_problems(manifest: &Manifest, id: &ObjectId, status: &Status) -> Vec<Problem> {
    let mut problems = find_problems(manifest, id, status);
    let immutable = is_immutable(status);
    for problem in &mut problems {
        if immutable {
            let hint = "an existing object cannot get this; delete it, or let gitsync delete it and create it again, by the \
                        annotation gitsync.dev/force: recreate";
            problem.hint.get_or_insert_with(|| hint.to_owned());
        }
        problem.message = without_secrets(manifest, &problem.message);
    }
    problems
}

/// Whether all that the server has against an object is that fields of it cannot be changed any more.
#[must_use]
pub fn is_immutable(status: &Status) -> bool {
    const WORDS: [&str; 3] = [
        "field is immutable",
        "updates to statefulset spec for fields other than",
        "is immutable after creation",
    ];
    let says = |message: &str| WORDS.iter().any(|words| message.contains(words));
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    status.code == 422
        && match causes {
            [] => says(&status.message),
            causes => causes.iter().all(|cause| says(&cause.message)),
        }
}

/// A server's message about a Secret, without what it quotes of it.
fn without_secrets(manifest: &Manifest, message: &str) -> String {
    if manifest.value()["kind"] != "Secret" {
        return message.to_owned();
    }
    // What follows is an excerpt of the request.
    let mut text = message
        .split(", error found in #")
        .next()
        .unwrap_or(message)
        .to_owned();
    let fields = ["data", "stringData"]
        .into_iter()
        .filter_map(|field| manifest.value()[field].as_object());
    for value in fields
        .flat_map(|field| field.values())
        .filter_map(serde_json::Value::as_str)
    {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(value)
            .unwrap_or_default();
        let decoded = String::from_utf8(decoded).unwrap_or_default();
        for secret in [value, decoded.as_str()]
            .into_iter()
            .filter(|secret| !secret.is_empty())
        {
            text = text.replace(secret, "***");
        }
    }
    text
}

fn find_problems(manifest: &Manifest, id: &ObjectId, status: &Status) -> Vec<Problem> {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    let fields: Vec<Problem> = causes
        .iter()
        .filter(|cause| !cause.field.is_empty() && !cause.message.is_empty())
        .map(|cause| field_problem(manifest, id, &cause.field, &cause.message))
        .collect();
    if !fields.is_empty() && status.code != 409 {
        return fields;
    }
    if let Some(field) = undeclared_field(&status.message) {
        let message = "the API server knows no such field for this kind";
        return vec![
            field_problem(manifest, id, &field, message).hint("check its spelling and the API version"),
        ];
    }
    let problem = Problem::new(trim_prefix(&status.message))
        .at(Some(manifest.origin()))
        .object(id);
    vec![match hint_for(status) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }]
}

fn hint_for(status: &Status) -> Option<String> {
    match status.code {
        403 if status.message.contains("ValidatingAdmissionPolicy") => {
            Some("mend what the policy asks for".to_owned())
        }
        403 => Some("grant the missing permission to the account that gitsync uses".to_owned()),
        404 => Some("is its namespace part of this environment or already in the cluster?".to_owned()),
        _ => None,
    }
}

fn field_problem(manifest: &Manifest, id: &ObjectId, field: &str, message: &str) -> Problem {
    let origin = nearest_line(manifest, &to_pointer(field));
    Problem::new(message)
        .at(origin.as_ref().or(Some(manifest.origin())))
        .object(id)
        .field(field)
}

/// The line of a field; of a field that is missing, the line of the nearest one around it.
fn nearest_line(manifest: &Manifest, pointer: &str) -> Option<Origin> {
    let mut at = pointer;
    loop {
        if let Some(found) = manifest.line_of(at) {
            return Some(found);
        }
        at = at.rsplit_once('/')?.0;
    }
}

/// A field path of the API server (`spec.containers[0].image`) as a JSON pointer.
fn to_pointer(field: &str) -> String {
    let dotted = field.trim_start_matches('.').replace('[', ".").replace(']', "");
    dotted
        .split('.')
        .filter(|part| !part.is_empty())
        .map(|part| format!("/{part}"))
        .collect()
}

/// The field that the server did not know. It answers server-side apply of an unknown field with code 500 and a
/// sentence, and other requests with a strict decoding error, so the text is all there is.
fn undeclared_field(message: &str) -> Option<String> {
    if let Some((before, _)) = message.split_once(": field not declared in schema") {
        return before
            .rsplit([' ', ':'])
            .next()
            .map(|field| field.trim_start_matches('.').to_owned());
    }
    let (_, after) = message.split_once("unknown field \"")?;
    after.split_once('"').map(|(field, _)| field.to_owned())
}

fn is_field_error(status: &Status) -> bool {
    undeclared_field(&status.message).is_some()
}

/// The message without the object's name in front, which the problem already says.
fn trim_prefix(message: &str) -> String {
    match message
        .split_once(" is forbidden: ")
        .or_else(|| message.split_once(" is invalid: "))
    {
        Some((_, rest)) => rest.to_owned(),
        None => message.to_owned(),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn mk_manifest() -> Manifest {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: -1\n";
        Manifest::parse(text, "web.yaml").unwrap().remove(0)
    }

    fn mk_status(code: u16, message: &str) -> Status {
        Status {
            code,
            ..Status::failure(message, "Reason")
        }
    }

    #[test]
    fn every_field_is_told_with_its_line() {
        let mut status = mk_status(
            422,
            "Deployment.apps \"web\" is invalid: spec.replicas: must be positive",
        );
        let cause = |field: &str| StatusCause {
            reason: "Invalid".into(),
            message: "must be positive".into(),
            field: field.into(),
        };
        status.details = Some(StatusDetails {
            name: "web".into(),
            group: "apps".into(),
            kind: "Deployment".into(),
            uid: String::new(),
            causes: vec![
                cause("spec.replicas"),
                cause("spec.template.spec.containers[0].image"),
            ],
            retry_after_seconds: 0,
        });
        let manifest = mk_manifest();
        let told: Vec<String> = object_problems(&manifest, &manifest.id(), &status)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told[0],
            "web.yaml:6: Deployment.apps web: spec.replicas: must be positive"
        );
        assert!(
            told[1].starts_with("web.yaml:5: Deployment.apps web: spec.template"),
            "{}",
            told[1]
        );
    }

    #[test]
    fn only_what_is_nothing_but_immutable_is_taken_for_it() {
        let cause = |message: &str| StatusCause {
            reason: "FieldValueInvalid".into(),
            message: message.into(),
            field: "spec.selector".into(),
        };
        let mk = |code, messages: &[&str]| {
            let mut status = mk_status(code, "Deployment.apps \"web\" is invalid");
            status.details = Some(StatusDetails {
                name: "web".into(),
                group: "apps".into(),
                kind: "Deployment".into(),
                uid: String::new(),
                causes: messages.iter().map(|message| cause(message)).collect(),
                retry_after_seconds: 0,
            });
            status
        };
        let immutable = "Invalid value: {}: field is immutable";
        assert!(is_immutable(&mk(422, &[immutable])));
        assert!(!is_immutable(&mk(422, &[immutable, "must be positive"])));
        assert!(!is_immutable(&mk(403, &[immutable])));
        assert!(!is_immutable(&mk_status(422, "must be positive")));
        let manifest = mk_manifest();
        let told = object_problems(&manifest, &manifest.id(), &mk(422, &[immutable]));
        assert!(
            told[0].to_string().contains("gitsync.dev/force: recreate"),
            "{}",
            told[0]
        );
    }

    #[test]
    fn an_unknown_field_is_named_though_the_server_hides_it_in_a_sentence() {
        let manifest = mk_manifest();
        for message in [
            "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.replics: field not declared in schema",
            "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replics\"",
        ] {
            let status = mk_status(500, message);
            let told = object_problems(&manifest, &manifest.id(), &status);
            assert_eq!(told[0].field.as_deref(), Some("spec.replics"), "{message}");
            assert!(!ClusterError::Api(Box::new(status)).is_transient());
        }
    }

    #[test]
    fn what_a_server_quotes_of_a_secret_is_not_repeated() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: Y2FuYXJ5LTE=, other: '%%%'}\n";
        let secret = Manifest::parse(text, "s.yaml").unwrap().remove(0);
        for message in [
            "Secret \"s\" is invalid: data[password]: Invalid value: \"Y2FuYXJ5LTE=\": no",
            "Secret \"s\" is invalid: stringData: Invalid value: \"canary-1\": no",
            "illegal base64 data at input byte 0, error found in #10 byte of ...|\":\"canary-1\"|...",
        ] {
            let told = object_problems(&secret, &secret.id(), &mk_status(422, message));
            let told = told[0].to_string();
            assert!(
                !told.contains("canary-1") && !told.contains("Y2FuYXJ5LTE="),
                "{told}"
            );
        }
    }

    #[test]
    fn what_may_pass_by_itself_is_told_apart() {
        for (code, transient) in [
            (429, true),
            (500, true),
            (503, true),
            (403, false),
            (422, false),
            (404, false),
        ] {
            assert_eq!(
                ClusterError::Api(Box::new(mk_status(code, "x"))).is_transient(),
                transient,
                "{code}"
            );
        }
    }
}
