//! CRD: a kind that its users define, with the structural schema that its objects have to follow.

use serde_json::Value;

use jiff::Timestamp;

use crate::registry::{Column, Kind};
use crate::schema::{Node, Schema, Type};
use crate::status::FieldError;

/// The schema of one version of a custom kind.
#[derive(Clone, Debug)]
pub struct Structural {
    schema: Schema,
    of: Type,
}

// === impl Structural ===

impl Structural {
    /// The type of the objects.
    pub(crate) fn node(&self) -> Node<'_> {
        self.schema.node(&self.of)
    }

    /// Fills what the user has left out.
    pub(crate) fn default(&self, _object: &mut Value) {}

    /// The columns of the table.
    pub(crate) fn columns(&self) -> Vec<Column> {
        Vec::new()
    }

    /// The cells of an object's row.
    pub(crate) fn row(&self, _object: &Value, _now: Timestamp) -> Vec<Value> {
        Vec::new()
    }

    /// The schema as OpenAPI has it.
    pub(crate) fn openapi(&self, _kind: &Kind) -> Value {
        Value::Null
    }

    /// What is wrong with an object.
    pub(crate) fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }
}

/// Resets what a user may not set.
pub(crate) fn prepare_for_create(_kind: &Kind, _object: &mut Value) {}

/// The same for an update.
pub(crate) fn prepare_for_update(_kind: &Kind, _object: &mut Value, _old: &Value) {}
