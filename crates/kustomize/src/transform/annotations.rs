//! Annotations transformer: sets annotations in metadata and templates.

use std::collections::BTreeMap;

use super::labels::set_everywhere;
use crate::build::Context;
use crate::error::Result;
use crate::fieldspec::FieldSpec;
use crate::resource::ResMap;

/// Annotations and the fields that get them.
pub(crate) struct Annotations {
    pub annotations: BTreeMap<String, String>,
    pub fields: Vec<FieldSpec>,
}

impl Annotations {
    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        set_everywhere(context, resources, &self.annotations, &self.fields)
    }
}
