//! Build: the layers of a kustomization, from the files to the final objects.

use std::cell::RefCell;
use std::sync::Arc;

use manifest::{FieldLines, Manifest, Node, Place, yaml};
use serde_json::Value;

use crate::error::{BuildError, BuildErrors, Result, Warning};
use crate::files::{Files, join};
use crate::layer::Layer;
use crate::loader::Loader;
use crate::resource::{ResMap, Resource};
use crate::schema::Schema;
use crate::transform;
use crate::tree::Tree;
use crate::{finish, origin, parallel};

/// Which files a kustomization may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadRestrictor {
    /// Only files in or below its own directory; bases may be anywhere in the tree.
    #[default]
    RootOnly,
    /// Any file of the tree.
    None,
}

/// How to build.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Which files a kustomization may read.
    pub load_restrictor: LoadRestrictor,
    /// Text of the `managedByLabel` after `kustomize-`.
    pub version: String,
    /// Builds with more objects than this are refused.
    pub max_objects: usize,
    /// Layers nested deeper than this are refused.
    pub max_layers: usize,
    /// Builds that go through more kustomizations than this are refused. One counts as often as it is built upon.
    pub max_kustomizations: usize,
}

impl Default for Options {
    /// The behaviour of `kustomize build` without flags.
    fn default() -> Self {
        Self {
            load_restrictor: LoadRestrictor::default(),
            version: crate::REFERENCE_VERSION.to_owned(),
            max_objects: 1_000_000,
            max_layers: 64,
            max_kustomizations: 100_000,
        }
    }
}

impl Options {
    /// The same options with another load restrictor.
    #[must_use]
    pub fn with_load_restrictor(mut self, restrictor: LoadRestrictor) -> Self {
        self.load_restrictor = restrictor;
        self
    }
}

/// What a build gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Build {
    /// The objects, in the order in which they are printed.
    pub manifests: Vec<Manifest>,
    /// Warnings, mostly about deprecated fields.
    pub warnings: Vec<Warning>,
    /// The files that were read, sorted.
    pub files_read: Vec<String>,
}

/// What [`print()`] gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Printed {
    /// The objects as `kustomize build` prints them, in parts that follow each other.
    pub parts: Vec<String>,
    /// Warnings, mostly about deprecated fields.
    pub warnings: Vec<Warning>,
}

impl Build {
    /// The objects as `kustomize build` prints them.
    pub fn to_yaml(&self) -> String {
        let mut text = String::with_capacity(self.manifests.len() * PRINTED_SIZE);
        for manifest in &self.manifests {
            print_one(manifest.value(), &mut text);
        }
        without_first_separator(text)
    }
}

const SEPARATOR: &str = "---\n";
/// Bytes of an object's text, more or less.
const PRINTED_SIZE: usize = 512;

fn print_one(value: &Value, text: &mut String) {
    text.push_str(SEPARATOR);
    yaml::emit_into(value, text);
}

/// The separator stands between objects, not before the first.
fn without_first_separator(mut text: String) -> String {
    text.drain(..SEPARATOR.len().min(text.len()));
    text
}

/// Builds the kustomization in a directory of a tree.
///
/// # Errors
///
/// Every independent problem, see [`BuildErrors`].
pub fn build(files: &dyn Files, dir: &str, options: &Options) -> std::result::Result<Build, BuildErrors> {
    let context = Context::new(files, options);
    let resources = context.resources(dir)?;
    context.finish(resources)
}

/// Builds the kustomization in a directory of a tree, and prints it: what [`Build::to_yaml`] of [`build`] gives, in less memory,
/// since each object is let go of as soon as its text is there.
///
/// # Errors
///
/// Every independent problem, see [`BuildErrors`]; nothing is printed then.
pub fn print(files: &dyn Files, dir: &str, options: &Options) -> std::result::Result<Printed, BuildErrors> {
    let context = Context::new(files, options);
    let resources = context.resources(dir)?;
    context.print(resources)
}

/// What all layers of one build share.
pub(crate) struct Context<'f> {
    pub tree: Tree<'f>,
    pub schema: Schema,
    pub warnings: RefCell<Vec<Warning>>,
}

impl<'f> Context<'f> {
    fn new(files: &'f dyn Files, options: &'f Options) -> Self {
        Self {
            tree: Tree::new(files, options),
            schema: Schema::default(),
            warnings: RefCell::default(),
        }
    }

    /// The resources of a directory, as its kustomization makes them.
    fn resources(&self, dir: &str) -> Result<ResMap> {
        let dir = join("", dir).ok_or("the directory leads out of the tree")?;
        let layer = Layer::load(Loader::open(&self.tree, &dir)?)?;
        layer.enter(self)?;
        let has_metadata = !layer.kustomization.build_metadata.is_empty();
        let mut accumulated = layer.accumulate(
            self,
            Vec::new(),
            has_metadata.then(origin::Origin::default).as_ref(),
        )?;
        let schema = &self.schema;
        transform::hash::add_hashes(schema, &mut accumulated.resources)?;
        transform::names::fix_references(self, &mut accumulated)?;
        transform::vars::resolve(self, &mut accumulated)?;
        finish::drop_local(schema, &mut accumulated.resources)?;
        finish::sort(schema, &layer, &mut accumulated.resources)?;
        finish::annotate(self, &layer, &mut accumulated.resources)?;
        Ok(accumulated.resources)
    }

    /// The file and line of a place.
    pub(crate) fn located(&self, place: Place, error: BuildError) -> BuildError {
        self.tree.located(place, error)
    }

    /// Prints the resources. What JSON cannot hold is found here, for all of them.
    fn print(self, resources: ResMap) -> Result<Printed> {
        let files = self.tree.into_files();
        let mut resources = resources.into_list().into_iter();
        let parts = std::iter::from_fn(|| {
            let part: Vec<Resource> = resources.by_ref().take(parallel::OBJECTS).collect();
            Some(part).filter(|part| !part.is_empty())
        });
        let printed = parallel::map(parts.collect(), 1, |part| print_part(part, &files));
        let mut errors = BuildErrors::default();
        let mut parts: Vec<String> = printed
            .into_iter()
            .filter_map(|result| errors.take(result))
            .collect();
        errors.into_result()?;
        if let Some(first) = parts.first_mut() {
            *first = without_first_separator(std::mem::take(first));
        }
        Ok(Printed {
            parts,
            warnings: self.warnings.into_inner(),
        })
    }

    /// Turns the resources into manifests. What JSON cannot hold is found here, for all of them.
    fn finish(self, resources: ResMap) -> Result<Build> {
        let files = self.tree.into_files();
        let finished = parallel::map(resources.into_list(), parallel::OBJECTS, |resource| {
            finish_one(resource, &files)
        });
        let mut errors = BuildErrors::default();
        let manifests = finished
            .into_iter()
            .filter_map(|result| errors.take(result.map_err(Into::into)));
        let manifests = manifests.collect();
        errors.into_result()?;
        let mut files_read: Vec<String> = files.iter().map(ToString::to_string).collect();
        files_read.sort_unstable();
        Ok(Build {
            manifests,
            warnings: self.warnings.into_inner(),
            files_read,
        })
    }
}

/// Turns a resource into a manifest.
fn finish_one(resource: Resource, files: &Arc<[Arc<str>]>) -> std::result::Result<Manifest, BuildError> {
    let Resource { node, place, .. } = resource;
    let lines = FieldLines::of(&node, Arc::clone(files));
    let value = to_json(node, place, files)?;
    let origin = manifest::Origin {
        file: file_of(place, files).unwrap_or_default(),
        line: place.line,
    };
    Ok(Manifest::with_fields(value, origin, lines))
}

/// The text of resources, each with a separator before it.
fn print_part(resources: Vec<Resource>, files: &[Arc<str>]) -> Result<String> {
    let (mut text, mut errors) = (String::new(), BuildErrors::default());
    text.reserve(resources.len() * PRINTED_SIZE);
    for resource in resources {
        let Resource { node, place, .. } = resource;
        if let Some(value) = errors.take(to_json(node, place, files).map_err(Into::into)) {
            print_one(&value, &mut text);
        }
    }
    errors.into_result()?;
    Ok(text)
}

/// The JSON of a resource that begins at a place.
fn to_json(node: Node, place: Place, files: &[Arc<str>]) -> std::result::Result<Value, BuildError> {
    let located = |error: BuildError, place: Place| match file_of(place, files) {
        Some(file) => error.at(&file, place.line),
        None => error,
    };
    let value = node.into_json().map_err(|bad| {
        let place = if bad.place.line == 0 { place } else { bad.place };
        located(BuildError::new(bad.message), place)
    })?;
    finish::through_yaml(value).map_err(|why| located(BuildError::new(why), place))
}

fn file_of(place: Place, files: &[Arc<str>]) -> Option<Arc<str>> {
    files.get(place.source as usize).cloned()
}
