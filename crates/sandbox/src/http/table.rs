//! Table: objects as `kubectl get` prints them, and as their metadata alone.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::accept::Include;
use crate::registry::{Column, Kind};

/// How the objects of a kind are shown at a time.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub kind: &'a Kind,
    pub now: Timestamp,
}

// === impl View ===

impl View<'_> {
    /// A table of objects. The metadata is that of a list.
    pub(super) fn table(
        self,
        objects: &[Value],
        include: Include,
        headers: bool,
        metadata: Option<Value>,
    ) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object, include)).collect();
        let columns: Vec<Value> = if headers {
            self.kind.columns().iter().map(column).collect()
        } else {
            Vec::new()
        };
        let metadata = metadata.unwrap_or_else(|| match objects {
            [one] => json!({ "resourceVersion": one["metadata"]["resourceVersion"] }),
            _ => json!({}),
        });
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": columns,
            "rows": rows,
        })
    }

    fn row(self, object: &Value, include: Include) -> Value {
        let mut row = Map::new();
        row.insert("cells".into(), self.kind.row(object, self.now).into());
        match include {
            Include::Nothing => {}
            Include::Metadata => drop(row.insert("object".into(), metadata_of(object))),
            Include::Object => drop(row.insert("object".into(), object.clone())),
        }
        Value::Object(row)
    }
}

fn column(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

/// The metadata of an object, as an object.
pub(super) fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
