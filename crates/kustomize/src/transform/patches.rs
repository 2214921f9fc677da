//! Patch transformers: strategic merge and JSON6902 patches on the resources that they select.

use manifest::Node;

use super::json_patch::Operations;
use crate::args::PatchArgs;
use crate::build::Context;
use crate::decode::nearest;
use crate::error::{BuildError, Result};
use crate::id::Id;
use crate::layer::Layer;
use crate::loader::Loader;
use crate::read::{self, Source};
use crate::resource::{ResMap, Resource};
use crate::schema::Schema;
use crate::selector::{Matcher, Selector};
use crate::smp;

/// Where a patch text inside another file is.
pub(crate) struct Inline {
    pub file: String,
    pub number: u32,
    pub line: u32,
}

impl Inline {
    pub(crate) fn of(context: &Context<'_>, layer: &Layer<'_, '_>, line: u32) -> Self {
        Self {
            file: layer.path.clone(),
            number: context.tree.source(&layer.path),
            line,
        }
    }

    fn source<'t>(&'t self, text: &'t str) -> Source<'t> {
        Source {
            text,
            file: &self.file,
            number: self.number,
            line_offset: self.line,
        }
    }
}

/// One entry of `patches`: strategic merge patches, or a JSON6902 patch.
pub(crate) struct Patch {
    merges: Vec<Resource>,
    operations: Option<Operations>,
    target: Option<Matcher>,
}

impl Patch {
    pub(crate) fn new(loader: &Loader<'_, '_>, args: &PatchArgs, inline: &Inline) -> Result<Self> {
        let inline_text = args.patch.trim();
        let (text, file) = match (inline_text.is_empty(), args.path.is_empty()) {
            (true, true) => return Err("must specify one of patch and path".into()),
            (false, false) => return Err("patch and path can't be set at the same time".into()),
            (false, true) => (inline_text.to_owned(), None),
            (true, false) => loader
                .load_text(&args.path)
                .map(|(text, file)| (text, Some(file)))?,
        };
        let own = file.map(|file| Inline {
            number: loader.tree.source(&file),
            file,
            line: 0,
        });
        let inline = own.as_ref().unwrap_or(inline);
        let target = args.target.as_ref().map(Matcher::new).transpose()?;
        let merges = read::resources(inline.source(&text));
        let operations = Operations::parse(&text, inline.source(&text));
        match (merges, operations) {
            (Ok(merges), Ok(operations)) if !merges.is_empty() && !operations.is_empty() => {
                Err("illegally qualifies as both a strategic merge and a JSON6902 patch".into())
            }
            (Ok(mut merges), _) => {
                for patch in &mut merges {
                    patch.memory.allow_name_change |= args.allow_name_change;
                    patch.memory.allow_kind_change |= args.allow_kind_change;
                    if args.allow_name_change || args.allow_kind_change {
                        patch.mark();
                    }
                }
                Ok(Self {
                    merges,
                    operations: None,
                    target,
                })
            }
            (Err(_), Ok(operations)) => Ok(Self {
                merges: Vec::new(),
                operations: Some(operations),
                target,
            }),
            (Err(why), Err(other)) => {
                // A list can only be meant as a JSON6902 patch.
                let looks_like_list = text.trim_start().starts_with(['-', '[']);
                let errors = if looks_like_list { other } else { why };
                Err(errors
                    .into_iter()
                    .map(|error| BuildError {
                        message: format!(
                            "unable to parse strategic merge or JSON6902 patch: {}",
                            error.message
                        ),
                        ..error
                    })
                    .collect())
            }
        }
    }

    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        match &self.operations {
            Some(operations) => self.run_operations(context, resources, operations),
            None => self.run_merges(context, resources),
        }
    }

    fn run_merges(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        let schema = &context.schema;
        let Some(target) = &self.target else {
            for patch in &self.merges {
                let at = find_target(schema, resources, patch)?;
                let resource = &mut resources.list_mut()[at];
                merge_into(schema, resource, patch.clone())?;
            }
            return Ok(());
        };
        match self.merges.as_slice() {
            [] => Ok(()),
            [patch] => {
                let selected: Vec<Id> = resources
                    .list()
                    .iter()
                    .filter(|resource| target.selects(schema, resource))
                    .map(|resource| resource.id(schema))
                    .collect();
                merge_into_all(context, resources, &selected, patch)
            }
            _ => Err(
                BuildError::new("multiple strategic merge patches in one entry cannot have a target")
                    .hint("write one entry of patches for each")
                    .into(),
            ),
        }
    }

    fn run_operations(
        &self,
        context: &Context<'_>,
        resources: &mut ResMap,
        operations: &Operations,
    ) -> Result<()> {
        let schema = &context.schema;
        let Some(target) = &self.target else {
            return Err("must specify a target for a JSON6902 patch".into());
        };
        for resource in resources
            .list_mut()
            .iter_mut()
            .filter(|resource| target.selects(schema, resource))
        {
            resource.store_id(schema);
            operations
                .apply(resource)
                .map_err(|why| named(&resource.id(schema), why))?;
        }
        Ok(())
    }
}

fn named(id: &Id, why: String) -> BuildError {
    BuildError::new(format!("{why} (in {id})"))
}

/// The resource that a strategic merge patch without target names.
fn find_target(
    schema: &Schema,
    resources: &ResMap,
    patch: &Resource,
) -> std::result::Result<usize, BuildError> {
    let id = patch.original_id(schema);
    match resources
        .matching_any(schema, &id.name, |other| id.same(other))
        .as_slice()
    {
        [at] => Ok(*at),
        [] => {
            let near = nearest_id(schema, resources, &id)
                .map(|near| format!(", did you mean {near}?"))
                .unwrap_or_default();
            let error = BuildError::new(format!("no resource matches strategic merge patch {id}{near}"));
            Err(error.hint("apiVersion, kind, name and namespace of a patch must be those of the resource, or give it a target"))
        }
        several => Err(BuildError::new(format!(
            "{} resources match strategic merge patch {id}",
            several.len()
        ))),
    }
}

/// The id that differs from one that is not there in the name alone, or in anything but the name.
fn nearest_id(schema: &Schema, resources: &ResMap, id: &Id) -> Option<Id> {
    let ids = || resources.list().iter().map(|resource| resource.id(schema));
    let same_name = ids().find(|have| have.name == id.name && !have.name.is_empty());
    same_name.or_else(|| {
        let names: Vec<Id> = ids().filter(|have| have.gvk == id.gvk).collect();
        let texts: Vec<&str> = names.iter().map(|have| have.name.as_str()).collect();
        let near = nearest(&id.name, &texts)?;
        names.iter().find(|have| have.name == near).cloned()
    })
}

/// Merges a patch into one resource. Name, kind and namespace stay unless the patch may change them.
fn merge_into(schema: &Schema, resource: &mut Resource, patch: Resource) -> std::result::Result<(), String> {
    let (name, namespace, kind) = (
        resource.name().to_owned(),
        resource.namespace().to_owned(),
        resource.kind().to_owned(),
    );
    let Resource { node, memory, .. } = patch;
    if memory.allow_name_change || memory.allow_kind_change {
        resource.store_id(schema);
    }
    resource.marked(|resource| {
        let object = std::mem::replace(&mut resource.node, Node::null());
        match smp::merge(schema, object, node)? {
            Some(merged) => resource.node = merged,
            None => resource.node = Node::null(),
        }
        Ok::<(), String>(())
    })?;
    if resource.is_gone() {
        return Ok(());
    }
    if !memory.allow_kind_change {
        let _ = crate::walk::set_field(&mut resource.node, "kind", Node::scalar(kind));
    }
    if !memory.allow_name_change {
        resource.set_name(&name);
    }
    resource.set_namespace(&namespace);
    Ok(())
}

/// Merges a patch into the resources with these ids.
fn merge_into_all(
    context: &Context<'_>,
    resources: &mut ResMap,
    selected: &[Id],
    patch: &Resource,
) -> Result<()> {
    let schema = &context.schema;
    if selected.is_empty() {
        return Ok(());
    }
    for resource in resources.list_mut() {
        let id = resource.id(schema);
        if !selected.contains(&id) {
            continue;
        }
        let mut copy = patch.clone();
        // The reference copies the metadata of the patch onto its copy, which makes texts of all values.
        copy.set_labels(&patch.labels());
        copy.set_annotations(&patch.annotations());
        copy.set_name(patch.name());
        copy.set_namespace(patch.namespace());
        let fields = [("kind", patch.kind()), ("apiVersion", resource.api_version())];
        for (field, text) in fields {
            let _ = crate::walk::set_field(&mut copy.node, field, Node::scalar(text));
        }
        merge_into(schema, resource, copy).map_err(|why| named(&id, why))?;
    }
    resources.drop_gone();
    resources.check_ids(schema)?;
    Ok(())
}

/// `patchesStrategicMerge`: patches that find their resource by its id.
#[derive(Default)]
pub(crate) struct StrategicMerge {
    patches: Vec<Resource>,
}

impl StrategicMerge {
    /// Loads patches from paths, each of which may also be the text of patches.
    pub(crate) fn new(
        loader: &Loader<'_, '_>,
        paths: &[String],
        text: &str,
        inline: &Inline,
    ) -> Result<Self> {
        if paths.is_empty() && text.is_empty() {
            return Err("empty file path and empty patch content".into());
        }
        let mut patches = Vec::new();
        for path in paths {
            match read::resources(inline.source(path)) {
                Ok(read) => patches.extend(read),
                Err(errors) if path.contains('\n') => return Err(errors),
                Err(_) => {
                    let (text, file) = loader.load_text(path)?;
                    let number = loader.tree.source(&file);
                    let source = Source {
                        text: &text,
                        file: &file,
                        number,
                        line_offset: 0,
                    };
                    patches.extend(read::resources(source)?);
                }
            }
        }
        if !text.is_empty() {
            patches.extend(read::resources(inline.source(text))?);
        }
        if patches.is_empty() {
            return Err("patch appears to be empty".into());
        }
        Ok(Self { patches })
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.patches.extend(other.patches);
    }

    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        let schema = &context.schema;
        for patch in &self.patches {
            let at = find_target(schema, resources, patch)?;
            let id = resources.list()[at].id(schema);
            merge_into_all(context, resources, &[id], patch)?;
        }
        Ok(())
    }
}

/// One entry of `patchesJson6902`.
pub(crate) struct Json6902 {
    target: Matcher,
    operations: Operations,
}

impl Json6902 {
    pub(crate) fn new(
        loader: &Loader<'_, '_>,
        target: Option<Selector>,
        path: &str,
        operations: &str,
        inline: &Inline,
    ) -> Result<Self> {
        let Some(target) = target.filter(|target| !target.name.is_empty()) else {
            return Err("must specify the target name".into());
        };
        let operations = match (path.is_empty(), operations.is_empty()) {
            (true, true) => return Err("empty file path and empty patch".into()),
            (false, false) => return Err("must specify a file path or a patch, not both".into()),
            (true, false) => Operations::parse(operations, inline.source(operations))?,
            (false, true) => {
                let (text, file) = loader.load_text(path)?;
                let number = loader.tree.source(&file);
                Operations::parse(
                    &text,
                    Source {
                        text: &text,
                        file: &file,
                        number,
                        line_offset: 0,
                    },
                )?
            }
        };
        if operations.is_empty() {
            return Err("patch appears to be empty".into());
        }
        Ok(Self {
            target: Matcher::new(&target)?,
            operations,
        })
    }

    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        let schema = &context.schema;
        for resource in resources
            .list_mut()
            .iter_mut()
            .filter(|resource| self.target.selects(schema, resource))
        {
            self.operations
                .apply(resource)
                .map_err(|why| named(&resource.id(schema), why))?;
        }
        Ok(())
    }
}
