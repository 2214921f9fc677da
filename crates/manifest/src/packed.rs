//! Packed: an object that is kept for later.

use crate::object::Manifest;
use crate::origin::{FieldLines, Origin};

/// An object as JSON text with its origin and the lines of its fields.
///
/// A [`serde_json::Value`] takes ten times the memory of its text, so what is seldom looked at is kept in this form.
#[derive(Clone, Debug)]
pub struct Packed {
    text: Box<str>,
    origin: Origin,
    fields: FieldLines,
}

impl Packed {
    /// The text, the origin and the lines of an object.
    pub(crate) fn new(text: Box<str>, origin: Origin, fields: FieldLines) -> Self {
        Self { text, origin, fields }
    }

    /// The object, equal to the one that was packed.
    ///
    /// # Panics
    ///
    /// Never: the text is one that this crate wrote.
    pub fn unpack(&self) -> Manifest {
        let value = serde_json::from_str(&self.text).expect("because a value printed it");
        Manifest::with_fields(value, self.origin.clone(), self.fields.clone())
    }
}
