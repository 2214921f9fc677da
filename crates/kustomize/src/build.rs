//! Build: the layers of a kustomization, from the files to the final objects.

use std::cell::RefCell;
use std::sync::Arc;

use manifest::{FieldLines, Manifest, Place, yaml};

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

impl Build {
    /// The objects as `kustomize build` prints them.
    pub fn to_yaml(&self) -> String {
        self.yaml_parts().collect()
    }

    /// What [`Build::to_yaml`] gives, in parts that follow each other, so that not all of a long text is in memory.
    pub fn yaml_parts(&self) -> impl Iterator<Item = String> + '_ {
        let texts = self.manifests.chunks(PRINTED_AT_ONCE).flat_map(|manifests| {
            let parts: Vec<&[Manifest]> = manifests.chunks(parallel::OBJECTS).collect();
            parallel::map(parts, 1, print)
        });
        // The separator stands between objects, not before the first.
        texts.enumerate().map(|(at, mut text)| {
            if at == 0 {
                text.drain(..SEPARATOR.len());
            }
            text
        })
    }
}

/// Objects that are printed side by side.
const PRINTED_AT_ONCE: usize = 16 * parallel::OBJECTS;
const SEPARATOR: &str = "---\n";

fn print(manifests: &[Manifest]) -> String {
    let mut text = String::with_capacity(manifests.len() * 512);
    for manifest in manifests {
        text.push_str(SEPARATOR);
        yaml::emit_into(manifest.value(), &mut text);
    }
    text
}

/// Builds the kustomization in a directory of a tree.
///
/// # Errors
///
/// Every independent problem, see [`BuildErrors`].
pub fn build(files: &dyn Files, dir: &str, options: &Options) -> std::result::Result<Build, BuildErrors> {
    let context = Context::new(files, options);
    let dir = join("", dir).ok_or("the directory leads out of the tree")?;
    let layer = Layer::load(Loader::open(&context.tree, &dir)?)?;
    layer.enter(&context)?;
    let has_metadata = !layer.kustomization.build_metadata.is_empty();
    let mut accumulated = layer.accumulate(
        &context,
        Vec::new(),
        has_metadata.then(origin::Origin::default).as_ref(),
    )?;
    let schema = &context.schema;
    transform::hash::add_hashes(schema, &mut accumulated.resources)?;
    transform::names::fix_references(&context, &mut accumulated)?;
    transform::vars::resolve(&context, &mut accumulated)?;
    finish::drop_local(schema, &mut accumulated.resources)?;
    finish::sort(schema, &layer, &mut accumulated.resources)?;
    finish::annotate(&context, &layer, &mut accumulated.resources)?;
    let resources = std::mem::take(&mut accumulated.resources);
    context.finish(resources)
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

    /// The file and line of a place.
    pub(crate) fn located(&self, place: Place, error: BuildError) -> BuildError {
        self.tree.located(place, error)
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
    let file_of = |place: Place| files.get(place.source as usize).cloned();
    let located = |error: BuildError, place: Place| match file_of(place) {
        Some(file) => error.at(&file, place.line),
        None => error,
    };
    let lines = FieldLines::of(&node, Arc::clone(files));
    let value = node.into_json().map_err(|bad| {
        let place = if bad.place.line == 0 { place } else { bad.place };
        located(BuildError::new(bad.message), place)
    })?;
    let value = finish::through_yaml(value).map_err(|why| located(BuildError::new(why), place))?;
    let origin = manifest::Origin {
        file: file_of(place).unwrap_or_default(),
        line: place.line,
    };
    Ok(Manifest::with_fields(value, origin, lines))
}
