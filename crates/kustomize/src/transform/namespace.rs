//! Namespace transformer: moves namespaced resources to a namespace.

use std::collections::HashMap;

use manifest::{Node, Tag};

use crate::build::Context;
use crate::error::{BuildError, Result};
use crate::fieldspec::FieldSpec;
use crate::id::{Id, Key};
use crate::resource::{ResMap, Resource};
use crate::walk::{Create, Path, set_scalar, visit};

/// Which subjects of role bindings get the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subjects {
    /// Those named `default`.
    Default,
    /// Every service account.
    AllServiceAccounts,
    /// None.
    None,
}

/// The namespace, and further fields that hold it.
pub(crate) struct Namespace {
    pub namespace: String,
    pub fields: Vec<FieldSpec>,
    pub unset_only: bool,
    pub subjects: Subjects,
}

impl Namespace {
    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        let schema = &context.schema;
        let mut counts: HashMap<Key, usize> = HashMap::new();
        let ids: Vec<Id> = resources
            .list()
            .iter()
            .map(|resource| resource.id(schema))
            .collect();
        for id in &ids {
            *counts.entry(id.key()).or_default() += 1;
        }
        for (resource, before) in resources.list_mut().iter_mut().zip(ids) {
            if resource.is_gone() {
                continue;
            }
            let place = resource.place;
            resource.store(before.clone());
            self.set(resource, &before)
                .map_err(|why| context.located(place, BuildError::new(why)))?;
            let after = resource.id(schema);
            counts.entry(before.key()).and_modify(|count| *count -= 1);
            let count = counts.entry(after.key()).or_default();
            *count += 1;
            if *count != 1 {
                let why = format!("namespace transformation produces ID conflict: {after}");
                let error = BuildError::new(why)
                    .hint("two objects of one kind and name end up in the same namespace");
                return Err(context.located(place, error).into());
            }
        }
        Ok(())
    }

    /// Sets the namespace of one resource, without a look at the others.
    pub(crate) fn set(&self, resource: &mut Resource, id: &Id) -> std::result::Result<(), String> {
        let mut set = |node: &mut Node| self.set_namespace(node);
        if !id.cluster_scoped {
            let path = Path::parse("metadata/namespace");
            visit(&mut resource.node, &path, Some(Create::Scalar), &mut set)?;
        }
        let is_binding = matches!(id.gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if is_binding {
            self.set_subjects(&mut resource.node)?;
        }
        let is_core = resource.api_version() == "v1";
        for spec in self
            .fields
            .iter()
            .filter(|spec| spec.matches(&resource.node))
            .collect::<Vec<_>>()
        {
            let binding_spec = matches!(spec.gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
            let skipped = spec.path.is("metadata/namespace")
                || (!is_core && spec.path.is("metadata/name"))
                || (is_binding && binding_spec && spec.path.is("subjects/namespace"));
            if !skipped {
                let create = spec.create.then_some(Create::String);
                visit(&mut resource.node, &spec.path, create, &mut |node| {
                    self.set_namespace(node)
                })?;
            }
        }
        Ok(())
    }

    fn set_namespace(&self, node: &mut Node) -> std::result::Result<(), String> {
        let has_value = !node.is_null() && node.as_str().is_some_and(|text| !text.is_empty());
        if self.unset_only && has_value {
            return Ok(());
        }
        set_scalar(node, self.namespace.as_str(), Tag::Str)
            .map_err(|why| format!("namespace field specs must target scalar nodes: {why}"))
    }

    fn set_subjects(&self, binding: &mut Node) -> std::result::Result<(), String> {
        let (field, wanted) = match self.subjects {
            Subjects::Default => ("name", "default"),
            Subjects::AllServiceAccounts => ("kind", "ServiceAccount"),
            Subjects::None => return Ok(()),
        };
        let Some(subjects) = binding.get_mut("subjects").filter(|subjects| !subjects.is_null()) else {
            return Ok(());
        };
        let Some(items) = subjects.items_mut() else {
            return Err("subjects must be a list".to_owned());
        };
        for subject in items.iter_mut().filter(|subject| !subject.is_null()) {
            if !subject.is_mapping() {
                return Err("a subject must be a mapping".to_owned());
            }
            let matches = subject
                .get(field)
                .is_some_and(|node| !node.is_null() && node.as_str() == Some(wanted));
            if matches {
                visit(
                    subject,
                    &Path::parse("namespace"),
                    Some(Create::Scalar),
                    &mut |node| self.set_namespace(node),
                )?;
            }
        }
        Ok(())
    }
}
