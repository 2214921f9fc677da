//! Value-add transformer: puts a value into fields, also as one part of a file path.

use manifest::{Node, Tag};

use super::namespace::{Namespace, Subjects};
use super::replace_path::at_mut;
use super::replacements::steps_to;
use crate::build::Context;
use crate::decode::{Decoder, Field, LENIENT, Object};
use crate::error::{BuildError, Result};
use crate::kustomization::{decode_with, selector};
use crate::loader::Loader;
use crate::resource::{ResMap, Resource};
use crate::selector::{Matcher, Selector};
use crate::walk::{Create, Path, set_scalar, split_escaped, visit};

/// A value and the fields that get it.
pub(crate) struct ValueAdd {
    value: String,
    targets: Vec<(Option<Matcher>, String, i64)>,
}

type TargetArgs = (Option<Selector>, String, i64);

fn targets(d: &mut Decoder<'_>, object: &Object<'_>) -> Vec<TargetArgs> {
    let items = d.list(object, "targets");
    items.iter().map(|item| target(d, item)).collect()
}

fn target(d: &mut Decoder<'_>, item: &Field<'_>) -> TargetArgs {
    let object = d.object(item, &[]);
    let selector = selector(d, &object.field("selector"));
    (
        selector,
        d.string(&object, "fieldPath"),
        d.integer(&object, "filePathPosition"),
    )
}

impl ValueAdd {
    pub(crate) fn new(d: &mut Decoder<'_>, object: &Object<'_>, loader: &Loader<'_, '_>) -> Result<Self> {
        let mut value = d.string(object, "value").trim().to_owned();
        if value.is_empty() {
            loader
                .dir
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .clone_into(&mut value);
        }
        let mut all = targets(d, object);
        let path = d.string(object, "targetFilePath");
        if !path.is_empty() {
            let (text, file) = loader.load_text(&path)?;
            all.extend(decode_with(&text, &file, LENIENT, |d, root| {
                let object = d.object(root, &[]);
                targets(d, &object)
            })?);
        }
        if all.is_empty() {
            return Err("must specify at least one target".into());
        }
        let mut checked = Vec::new();
        for (selector, path, position) in all {
            if path.is_empty() {
                return Err("fieldPath cannot be empty".into());
            }
            if position < 0 {
                return Err(format!("value of filePathPosition ({position}) cannot be negative").into());
            }
            checked.push((selector.as_ref().map(Matcher::new).transpose()?, path, position));
        }
        Ok(Self {
            value,
            targets: checked,
        })
    }

    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        for (selector, path, position) in &self.targets {
            for resource in resources.list_mut() {
                if selector
                    .as_ref()
                    .is_some_and(|selector| !selector.selects(&context.schema, resource))
                {
                    continue;
                }
                let place = resource.place;
                let added = if path == "metadata/namespace" {
                    let id = resource.id(&context.schema);
                    self.namespace().set(resource, &id)
                } else {
                    self.add(resource, path, *position)
                };
                added.map_err(|why| context.located(place, BuildError::new(why)))?;
            }
        }
        Ok(())
    }

    fn namespace(&self) -> Namespace {
        Namespace {
            namespace: self.value.clone(),
            fields: Vec::new(),
            unset_only: false,
            subjects: Subjects::Default,
        }
    }

    fn add(&self, resource: &mut Resource, path: &str, position: i64) -> std::result::Result<(), String> {
        let mut set = |node: &mut Node| {
            let old = node.as_str().unwrap_or_default();
            let new = match usize::try_from(position) {
                Ok(position) if position > 0 => insert_part(old, position - 1, &self.value),
                _ => self.value.clone(),
            };
            set_scalar(node, new, Tag::None)
        };
        // A path to an item of a list, such as `spec/containers/[name=web]/image`, is not made.
        match steps_to(&resource.node, &split_escaped(path, '/')) {
            Some(steps) => at_mut(&mut resource.node, &steps).map_or(Ok(()), set),
            None => visit(
                &mut resource.node,
                &Path::parse(path),
                Some(Create::Scalar),
                &mut set,
            ),
        }
    }
}

/// Puts a part into a file path. An absolute path stays one.
fn insert_part(path: &str, position: usize, part: &str) -> String {
    let (root, rest) = path.strip_prefix('/').map_or(("", path), |rest| ("/", rest));
    let mut parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_inserted() {
        let rows = [
            (("", 5), "P"),
            (("/", 0), "/P"),
            (("pie", 0), "P/pie"),
            (("/pie", 0), "/P/pie"),
            (("raw", 1), "raw/P"),
            (("/raw", 9), "/raw/P"),
            (("a/nice/warm/pie", 3), "a/nice/warm/P/pie"),
        ];
        for ((path, position), expected) in rows {
            assert_eq!(insert_part(path, position, "P"), expected, "{path}");
        }
    }
}
