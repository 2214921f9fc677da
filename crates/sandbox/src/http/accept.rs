//! Accept: in which form a client wants its answer.

use super::query::Query;
use crate::status::Status;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object itself.
    Object,
    /// A table for people.
    Table(Include),
    /// The metadata alone.
    Metadata,
    /// The aggregated form of a discovery document.
    Aggregated,
}

/// What a row of a table has of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

/// What a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    pub form: Form,
}

// === impl Accept ===

impl Accept {
    /// Reads the header `Accept`; the first form wins that is known.
    ///
    /// # Errors
    /// 406 if none is.
    pub(crate) fn parse(header: &str, query: &Query) -> Result<Self, Status> {
        if header.trim().is_empty() {
            return Ok(Self { form: Form::Object });
        }
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let known = [
                "application/json",
                "application/*",
                "*/*",
                "application/yaml",
                "text/plain",
            ];
            if !known.contains(&media) {
                continue;
            }
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let find = |name: &str| {
                parameters
                    .iter()
                    .find(|(one, _)| *one == name)
                    .map(|(_, value)| *value)
            };
            let form = match find("as") {
                None => Some(Form::Object),
                Some("Table") if find("v") == Some("v1") => Some(Form::Table(include(query))),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Form::Metadata),
                Some("APIGroupDiscoveryList") if find("v") == Some("v2") => Some(Form::Aggregated),
                Some(_) => None,
            };
            if let Some(form) = form {
                return Ok(Self { form });
            }
        }
        let message = "406: Not Acceptable\n\nAvailable representations: application/json";
        let mut status = Status::new(406, "NotAcceptable", message);
        status.details = Some(Box::new(serde_json::json!({})));
        Err(status)
    }
}

fn include(query: &Query) -> Include {
    match query.get("includeObject") {
        "None" => Include::Nothing,
        "Object" => Include::Object,
        _ => Include::Metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_form_wins() {
        let rows = [
            ("", Some(Form::Object)),
            ("*/*", Some(Form::Object)),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Some(Form::Object),
            ),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Some(Form::Table(Include::Metadata)),
            ),
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io, application/json",
                Some(Form::Object),
            ),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                Some(Form::Aggregated),
            ),
            ("application/vnd.kubernetes.protobuf", None),
        ];
        for (header, wanted) in rows {
            let found = Accept::parse(header, &Query::default())
                .ok()
                .map(|accept| accept.form);
            assert_eq!(found, wanted, "{header}");
        }
    }
}
