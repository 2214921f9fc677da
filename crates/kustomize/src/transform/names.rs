//! Name transformers: prefix and suffix, and the references that follow.

use manifest::{Gvk, Tag};

pub(crate) use super::references::fix_references;
use crate::build::Context;
use crate::error::{BuildError, Result};
use crate::fieldspec::{FieldSpec, selects};
use crate::resource::{ResMap, Resource};
use crate::schema::Schema;
use crate::walk::{Create, set_scalar, visit};

/// On which side a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affix {
    Prefix,
    Suffix,
}

/// A prefix or suffix, and the fields that get it.
pub(crate) struct Rename {
    pub affix: Affix,
    pub text: String,
    pub fields: Vec<FieldSpec>,
}

/// Objects whose names mean something outside of the build.
fn keeps_name(gvk: &Gvk) -> bool {
    gvk.kind == "CustomResourceDefinition"
        || gvk.kind == "Namespace"
        || (gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io")
}

impl Rename {
    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        for resource in resources.list_mut() {
            let place = resource.place;
            self.rename(&context.schema, resource)
                .map_err(|why| context.located(place, BuildError::new(why)))?;
        }
        Ok(())
    }

    fn rename(&self, schema: &Schema, resource: &mut Resource) -> std::result::Result<(), String> {
        let original = resource.original_id(schema).gvk;
        if keeps_name(&original) {
            return Ok(());
        }
        for spec in self.fields.iter().filter(|spec| selects(&spec.gvk, &original)) {
            if spec.path.is("metadata/name") && !self.text.is_empty() {
                match self.affix {
                    Affix::Prefix => resource.memory.prefixes.push(self.text.clone()),
                    Affix::Suffix => resource.memory.suffixes.push(self.text.clone()),
                }
                resource.store_id(schema);
            }
            if !spec.matches(&resource.node) {
                continue;
            }
            let create = spec.create.then_some(Create::String);
            visit(&mut resource.node, &spec.path, create, &mut |node| {
                let old = node.as_str().unwrap_or_default();
                let new = match self.affix {
                    Affix::Prefix => format!("{}{old}", self.text),
                    Affix::Suffix => format!("{old}{}", self.text),
                };
                set_scalar(node, new, Tag::None)
            })?;
        }
        Ok(())
    }
}
