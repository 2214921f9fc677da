//! Drift: what differs from git although git did not change. Never told without the fields and who wrote them.

use std::fmt;

use manifest::ObjectId;
use serde_json::Value;

use super::fields::{self, Writer};
use super::{Change, ObjectDiff};
use crate::problem::first;

/// One field that drifted, or a whole object that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The object.
    pub object: ObjectId,
    /// The field's path; empty when the whole object is gone.
    pub field: String,
    /// Who wrote the field last, as far as the API server knows.
    pub writer: Option<Writer>,
}

/// How many fields a sentence lists.
const TOLD: usize = 3;

/// What drifted of one object. `live` is the live object, as far as it was read.
#[must_use]
pub fn of_object(object: &ObjectDiff, live: Option<&Value>, own: &str) -> Vec<Drift> {
    let drift = |field: String, writer| Drift {
        object: object.id.clone(),
        field,
        writer,
    };
    match &object.change {
        Change::Create(_) => vec![drift(String::new(), None)],
        Change::Update { before, after } => {
            let writer = |field| {
                let writers = live.map(|live| fields::writers(live, field, own));
                writers.and_then(|writers| writers.into_iter().next())
            };
            let changed = fields::changed(before, after);
            changed
                .iter()
                .map(|field| drift(field.path.clone(), writer(field)))
                .collect()
        }
        Change::Prune(_) | Change::Same => Vec::new(),
    }
}

/// One sentence for all of it; what is beyond the first few is counted.
#[must_use]
pub fn sentence(drifts: &[Drift]) -> String {
    first(drifts.iter().map(ToString::to_string), TOLD).join(", ")
}

// === impl Drift ===

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            return write!(f, "{} is gone", self.object);
        }
        write!(f, "{} of {}", self.field, self.object)?;
        let Some(writer) = &self.writer else {
            return Ok(());
        };
        write!(f, " by {}", writer.manager)?;
        match &writer.time {
            Some(time) => write!(f, " at {time}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest::Gvk;
    use serde_json::json;

    use super::*;

    fn mk(change: Change) -> ObjectDiff {
        ObjectDiff {
            id: ObjectId {
                group: "apps".into(),
                kind: "Deployment".into(),
                namespace: "shop".into(),
                name: "web".into(),
            },
            gvk: Gvk::new("apps/v1", "Deployment"),
            origin: None,
            change,
        }
    }

    #[test]
    fn drift_is_told_with_its_fields_its_writer_and_the_time() {
        let live = json!({"metadata": {"managedFields": [
            {"manager": "kubectl-scale", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {"replicas": 5, "paused": true}});
        let update = Change::Update {
            before: json!({"spec": {"replicas": 5, "paused": true}}),
            after: json!({"spec": {"replicas": 3, "paused": false}}),
        };
        let drifts = of_object(&mk(update), Some(&live), "gitsync");
        assert_eq!(
            sentence(&drifts),
            ".spec.replicas of Deployment.apps shop/web by kubectl-scale at 2026-01-02T00:00:00Z, .spec.paused of Deployment.apps shop/web"
        );
        let gone = of_object(&mk(Change::Create(json!({}))), None, "gitsync");
        assert_eq!(sentence(&gone), "Deployment.apps shop/web is gone");
        assert!(of_object(&mk(Change::Same), Some(&live), "gitsync").is_empty());
        let many: Vec<Drift> = std::iter::repeat_n(gone, 5).flatten().collect();
        assert!(
            sentence(&many).ends_with("is gone, and 2 more"),
            "{}",
            sentence(&many)
        );
    }
}
