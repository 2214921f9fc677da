//! Replicas transformer: the replica count of workloads with a name.

use manifest::Tag;

use crate::args::Replica;
use crate::build::Context;
use crate::error::{BuildError, Result};
use crate::fieldspec::{FieldSpec, selects};
use crate::resource::ResMap;
use crate::walk::{Create, set_scalar, visit};

/// A count, and the fields that hold it.
pub(crate) struct Replicas {
    pub replica: Replica,
    pub fields: Vec<FieldSpec>,
}

impl Replicas {
    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        let Replica { name, count } = &self.replica;
        let mut found = false;
        for spec in &self.fields {
            let matching = resources.matching_any(&context.schema, name, |id| selects(&spec.gvk, &id.gvk));
            for at in matching {
                found = true;
                let resource = &mut resources.list_mut()[at];
                if !spec.matches(&resource.node) {
                    continue;
                }
                let create = spec.create.then_some(Create::Int);
                let place = resource.place;
                visit(&mut resource.node, &spec.path, create, &mut |node| {
                    set_scalar(node, count.to_string(), Tag::Int)
                })
                .map_err(|why| context.located(place, BuildError::new(why)))?;
            }
        }
        if found {
            return Ok(());
        }
        let kinds: Vec<_> = self.fields.iter().map(|spec| spec.gvk.kind.as_str()).collect();
        let error = BuildError::new(format!("no {} is named {name}", kinds.join(", ")));
        Err(error
            .hint("name the workload as its own file does, without prefixes of later layers")
            .into())
    }
}
