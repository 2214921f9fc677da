//! Build: the layers of a kustomization, from the files to the final objects.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use manifest::{FieldLines, Manifest, Place, yaml};

use crate::error::{BuildError, BuildErrors, Result, Warning};
use crate::files::{Files, FilesError, Kind, is_inside, join};
use crate::layer::Layer;
use crate::resource::{ResMap, Resource};
use crate::schema::Schema;
use crate::transform;
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
        let parts: Vec<&[Manifest]> = self.manifests.chunks(parallel::OBJECTS).collect();
        let printed = parallel::map(parts, 1, |part| {
            let mut text = String::with_capacity(part.len() * 512);
            for manifest in part {
                text.push_str("---\n");
                yaml::emit_into(manifest.value(), &mut text);
            }
            text
        });
        let mut text = printed.concat();
        // The separator stands between objects, not before the first.
        text.drain(..text.len().min(4));
        text
    }
}

/// Builds the kustomization in a directory of a tree.
///
/// # Errors
///
/// Every independent problem, see [`BuildErrors`].
pub fn build(files: &dyn Files, dir: &str, options: &Options) -> std::result::Result<Build, BuildErrors> {
    let context = Context::new(files, options);
    let dir = join("", dir).ok_or("the directory leads out of the tree")?;
    let loader = Loader::open(&context, &dir)?;
    let layer = Layer::load(&context, loader)?;
    layer.set_schema(&context)?;
    let has_metadata = !layer.kustomization.build_metadata.is_empty();
    let mut accumulated = layer.accumulate(&context, has_metadata.then(origin::Origin::default).as_ref())?;
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
    pub files: &'f dyn Files,
    pub options: &'f Options,
    pub schema: Schema,
    /// The files by the numbers in the places of nodes.
    sources: RefCell<Sources>,
    pub warnings: RefCell<Vec<Warning>>,
    /// How many kustomizations were loaded.
    pub loaded: Cell<usize>,
}

#[derive(Default)]
struct Sources {
    names: Vec<Arc<str>>,
    numbers: std::collections::HashMap<Arc<str>, u32>,
}

impl<'f> Context<'f> {
    fn new(files: &'f dyn Files, options: &'f Options) -> Self {
        Self {
            files,
            options,
            schema: Schema::default(),
            sources: RefCell::default(),
            warnings: RefCell::default(),
            loaded: Cell::default(),
        }
    }

    /// The number of a file; the same for the same file.
    pub(crate) fn source(&self, file: &str) -> u32 {
        let mut sources = self.sources.borrow_mut();
        if let Some(number) = sources.numbers.get(file) {
            return *number;
        }
        let name: Arc<str> = file.into();
        let number = u32::try_from(sources.names.len()).unwrap_or(u32::MAX);
        sources.names.push(Arc::clone(&name));
        sources.numbers.insert(name, number);
        number
    }

    /// The file and line of a place.
    pub(crate) fn located(&self, place: Place, error: BuildError) -> BuildError {
        match self.sources.borrow().names.get(place.source as usize) {
            Some(file) if place.line != 0 => error.at(file, place.line),
            _ => error,
        }
    }

    /// The name of the file of a place.
    pub(crate) fn file_name(&self, place: Place) -> String {
        self.sources
            .borrow()
            .names
            .get(place.source as usize)
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Turns the resources into manifests. What JSON cannot hold is found here, for all of them.
    fn finish(self, resources: ResMap) -> Result<Build> {
        let sources = self.sources.into_inner();
        let files: Arc<[Arc<str>]> = sources.names.into();
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

/// Reads the files of one kustomization.
#[derive(Clone)]
pub(crate) struct Loader<'c, 'f> {
    pub context: &'c Context<'f>,
    /// The directory of the kustomization, without symlinks.
    pub dir: String,
    /// The directories of the kustomizations that led here, outermost first.
    parents: Vec<String>,
}

impl<'c, 'f> Loader<'c, 'f> {
    fn open(context: &'c Context<'f>, dir: &str) -> Result<Self> {
        match context.files.kind(dir) {
            Some(Kind::Dir) => {}
            Some(Kind::File) => return Err(format!("{dir} is a file, a kustomization is a directory").into()),
            None => return Err(format!("no directory {dir:?}").into()),
        }
        let dir = context
            .files
            .resolve(dir)
            .map_err(|error| format!("{dir}: {error}"))?;
        Ok(Self {
            context,
            dir,
            parents: Vec::new(),
        })
    }

    /// The loader of a base or component.
    ///
    /// # Errors
    ///
    /// When the path is remote, no directory, or leads to a directory that holds one on the way here.
    pub(crate) fn enter(&self, path: &str) -> Result<Self> {
        if path.is_empty() {
            return Err("a path cannot be empty".into());
        }
        if is_remote(path) {
            return Err(remote(path).into());
        }
        if path.starts_with('/') {
            return Err(format!("base {path:?} cannot be an absolute path").into());
        }
        if path.split('/').any(|part| part.contains("..") && part != "..") {
            let message = format!("path {path:?} is ambiguous: a segment holds '..' beside other characters");
            return Err(BuildError::new(message)
                .hint("check the indentation of the list")
                .into());
        }
        let outside = || BuildError::new(format!("{path} leads out of the tree"));
        let dir = join(&self.dir, path).ok_or_else(outside)?;
        match self.context.files.kind(&dir) {
            Some(Kind::Dir) => {}
            Some(Kind::File) => return Err(format!("{path} is a file, but must be a directory").into()),
            None => return Err(missing(path).into()),
        }
        let dir = self
            .context
            .files
            .resolve(&dir)
            .map_err(|error| format!("{path}: {error}"))?;
        let mut parents = self.parents.clone();
        parents.push(self.dir.clone());
        if let Some(visited) = parents.iter().rev().find(|visited| is_inside(visited, &dir)) {
            return Err(format!("cycle detected: {dir:?} contains {visited:?}, which leads to it").into());
        }
        if parents.len() > self.context.options.max_layers {
            return Err(format!("more than {} layers", self.context.options.max_layers).into());
        }
        Ok(Self {
            context: self.context,
            dir,
            parents,
        })
    }

    /// The path of a file of this kustomization, if it may read it.
    pub(crate) fn locate(&self, path: &str) -> Result<String> {
        if is_remote_file(path) {
            return Err(remote(path).into());
        }
        let outside = || BuildError::new(format!("{path} leads out of the tree"));
        let full = join(&self.dir, path).ok_or_else(outside)?;
        if self.context.options.load_restrictor == LoadRestrictor::None {
            return Ok(full);
        }
        let real = self
            .context
            .files
            .resolve(&full)
            .map_err(|error| read_error(path, &error))?;
        if is_inside(&real, &self.dir) && real != self.dir {
            return Ok(full);
        }
        let message =
            format!("security; file {path:?} is not in or below the directory of the kustomization");
        let hint = "move the file below the kustomization, make its directory a base, or lift the restriction \
                    with --load-restrictor LoadRestrictionsNone";
        Err(BuildError::new(message).hint(hint).into())
    }

    /// The bytes of a file.
    pub(crate) fn load(&self, path: &str) -> Result<Cow<'f, [u8]>> {
        let full = self.locate(path)?;
        self.read(path, &full)
    }

    /// The text of a file, and its full path.
    pub(crate) fn load_text(&self, path: &str) -> Result<(String, String)> {
        let full = self.locate(path)?;
        match String::from_utf8(self.read(path, &full)?.into_owned()) {
            Ok(text) => Ok((text, full)),
            Err(_) => Err(BuildError::new("file is not UTF-8").at(&full, 0).into()),
        }
    }

    fn read(&self, path: &str, full: &str) -> Result<Cow<'f, [u8]>> {
        let content = self
            .context
            .files
            .read(full)
            .map_err(|error| read_error(path, &error))?;
        self.context.source(full);
        Ok(content)
    }
}

fn read_error(path: &str, error: &FilesError) -> BuildError {
    match error {
        FilesError::NotFound => missing(path),
        other => BuildError::new(format!("{path}: {other}")),
    }
}

fn missing(path: &str) -> BuildError {
    BuildError::new(format!("no such file or directory: {path}"))
        .hint("paths are relative to the directory of the kustomization file")
}

fn is_remote_file(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// Whether the reference would clone a path with git.
fn is_remote(path: &str) -> bool {
    let host_like = |path: &str| path.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    is_remote_file(path)
        || path.contains("://")
        || path.starts_with("git::")
        || path.starts_with("github.com/")
        || path.starts_with("gh:")
        || host_like(path)
}

fn remote(path: &str) -> BuildError {
    BuildError::new(format!("remote resource {path:?} is not fetched while building")).hint(
        "copy it into the repository, or add the other repository as a submodule, and refer to the copy",
    )
}
