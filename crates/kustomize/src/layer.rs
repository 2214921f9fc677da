//! Layer: one kustomization, and the resources that it and its bases make.

use std::sync::Arc;

use manifest::{Data, Node, Place};

use crate::absorb::absorb;
use crate::args::{GeneratorArgs, Located, Var};
use crate::build::{Context, Loader};
use crate::configuration;
use crate::error::{BuildError, BuildErrors, Result};
use crate::fieldspec::Config;
use crate::files::{Kind, join};
use crate::generate::{self, Target, merged_options};
use crate::id::Id;
use crate::kustomization::{self, Kustomization};
use crate::origin::{self, Origin};
use crate::parallel;
use crate::plugin::{self, Plugin};
use crate::read::{self, Source};
use crate::resource::{ResMap, Resource};
use crate::transform::{Step, Transformer, steps};

/// What a layer and those below it have made so far.
#[derive(Default)]
pub(crate) struct Accumulated {
    pub resources: ResMap,
    pub config: Arc<Config>,
    /// The vars by name.
    pub vars: std::collections::BTreeMap<String, Var>,
}

/// A loaded kustomization.
pub(crate) struct Layer<'c, 'f> {
    pub loader: Loader<'c, 'f>,
    /// The name of the kustomization file.
    pub file: &'static str,
    /// The path of the kustomization file.
    pub path: String,
    pub kustomization: Kustomization,
}

/// A plugin with the origin annotation of what it makes, and the place of its configuration.
struct Configured {
    plugin: Plugin,
    from: Option<Origin>,
    place: Place,
}

/// The text of a file, what to call it, and its number in the places of nodes.
struct Text {
    text: String,
    file: String,
    number: u32,
}

/// What a path of `resources` names.
enum Entry {
    /// A file, with its resources.
    File(Result<Vec<Resource>>),
    /// What can only be a base.
    Other,
}

impl Entry {
    fn parse(text: Option<Result<Text>>) -> Self {
        let Some(text) = text else {
            return Self::Other;
        };
        Self::File(text.and_then(|Text { text, file, number }| {
            read::resources(Source {
                text: &text,
                file: &file,
                number,
                line_offset: 0,
            })
        }))
    }
}

/// Bytes of text that may be in memory before their objects are counted.
const READ_AHEAD: usize = 16 << 20;
/// Bytes of text for which another thread is worth while.
const PARSED_TOGETHER: usize = 64 << 10;

const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

impl<'c, 'f> Layer<'c, 'f> {
    /// Finds and decodes the kustomization file of a directory.
    ///
    /// # Errors
    ///
    /// When there is none or more than one, and for everything in it that is wrong.
    pub(crate) fn load(context: &'c Context<'f>, loader: Loader<'c, 'f>) -> Result<Self> {
        let is_file = |name: &&str| {
            let path = join(&loader.dir, name).unwrap_or_default();
            context.files.kind(&path) == Some(Kind::File) && loader.locate(name).is_ok()
        };
        let found: Vec<&'static str> = FILE_NAMES.into_iter().filter(is_file).collect();
        let dir = if loader.dir.is_empty() { "." } else { &loader.dir };
        let file = match found.as_slice() {
            [file] => *file,
            [] => {
                let message = format!(
                    "unable to find one of {} in directory {dir}",
                    FILE_NAMES.join(", ")
                );
                return Err(BuildError::new(message).into());
            }
            several => {
                let message = format!(
                    "found multiple kustomization files under {dir}: {}",
                    several.join(", ")
                );
                return Err(BuildError::new(message).hint("keep one of them").into());
            }
        };
        let (loaded, most) = (context.loaded.get() + 1, context.options.max_kustomizations);
        context.loaded.set(loaded);
        if loaded > most {
            let error = BuildError::new(format!("more than {most} kustomizations in one build"));
            return Err(error.hint("layers that build upon the same ones multiply").into());
        }
        let (text, path) = loader.load_text(file)?;
        let (kustomization, warnings) = kustomization::decode(&text, &path)?;
        context.warnings.borrow_mut().extend(warnings);
        Ok(Self {
            loader,
            file,
            path,
            kustomization,
        })
    }

    /// Uses the schema that the kustomization names.
    pub(crate) fn set_schema(&self, context: &Context<'_>) -> Result<()> {
        let openapi = &self.kustomization.openapi;
        let version = openapi.get("version").map(String::as_str).unwrap_or_default();
        let Some(path) = openapi.get("path") else {
            return context
                .schema
                .set_version(version)
                .map_err(|why| self.error(0, "openapi", why).into());
        };
        let (text, file) = self
            .loader
            .load_text(path)
            .map_err(|errors| errors.at(&self.path, 0))?;
        if openapi.contains_key("version") {
            let why = "builtin version and custom schema provided, cannot use both";
            return Err(self.error(0, "openapi", why).into());
        }
        let node = manifest::yaml::read_first(&text, &file, 0)?.unwrap_or_else(manifest::Node::null);
        let document = node
            .to_json_1_1()
            .map_err(|error| BuildError::from(error.in_file(&file)))?;
        let is_mapping =
            |value: Option<&serde_json::Value>| value.is_none_or(|v| v.is_object() || v.is_null());
        if !is_mapping(Some(&document)) {
            let error = BuildError::new("an OpenAPI schema must be a mapping");
            return Err(error.at(&file, 1).into());
        }
        if !is_mapping(document.get("definitions")) {
            let error = BuildError::new("the definitions of an OpenAPI schema must be a mapping");
            return Err(error.at(&file, 0).into());
        }
        context.schema.set_custom(document);
        Ok(())
    }

    fn error(&self, line: u32, field: &str, why: impl Into<String>) -> BuildError {
        BuildError {
            field: Some(field.to_owned()),
            ..BuildError::new(why)
        }
        .at(&self.path, line)
    }

    /// Adds the place of an item of the kustomization to the errors that have none.
    fn place<T, V>(&self, item: &Located<T>, result: Result<V>) -> Result<V> {
        result.map_err(|errors| {
            let has_file = errors.iter().all(|error| error.file.is_some());
            if has_file {
                errors
            } else {
                errors.in_field(&item.field).at(&self.path, item.line)
            }
        })
    }

    /// Runs the layer: bases, generators, components, transformers, validators, vars.
    pub(crate) fn accumulate(&self, context: &Context<'f>, origin: Option<&Origin>) -> Result<Accumulated> {
        self.accumulate_into(context, Accumulated::default(), origin)
    }

    fn accumulate_into(
        &self,
        context: &Context<'f>,
        mut accumulated: Accumulated,
        origin: Option<&Origin>,
    ) -> Result<Accumulated> {
        if let Some(helm) = &self.kustomization.helm {
            let error = self.error(helm.line, &helm.field, "helm charts are not inflated");
            return Err(error
                .hint("run `helm template`, commit its output and list it under resources")
                .into());
        }
        self.accumulate_resources(context, &mut accumulated, &self.kustomization.resources, origin)?;
        self.merge_config(&mut accumulated)?;
        self.run_generators(context, &mut accumulated, origin)?;
        for component in &self.kustomization.components {
            let below = origin.map(|origin| origin.append(&component.value));
            let result = self.loader.enter(&component.value).and_then(|loader| {
                let layer = self.open(context, loader, true)?;
                layer.accumulate_into(context, std::mem::take(&mut accumulated), below.as_ref())
            });
            accumulated = self.place(component, result)?;
            // The reference adds the component's resources to a new, empty accumulator.
            self.place(
                component,
                accumulated
                    .resources
                    .check_ids(&context.schema)
                    .map_err(Into::into),
            )?;
        }
        self.run_transformers(context, &mut accumulated, origin)?;
        self.run_validators(context, &mut accumulated, origin)?;
        self.merge_vars(context, &mut accumulated)?;
        Ok(accumulated)
    }

    /// Adds the resources of files and bases. Problems of one do not hide those of the next.
    fn accumulate_resources(
        &self,
        context: &Context<'f>,
        accumulated: &mut Accumulated,
        paths: &[Located<String>],
        origin: Option<&Origin>,
    ) -> Result<()> {
        let mut errors = BuildErrors::default();
        let mut ahead = self.read_ahead(context, paths).into_iter();
        for item in paths {
            let below = origin.map(|origin| origin.append(&item.value));
            let entry = ahead
                .next()
                .unwrap_or_else(|| Entry::parse(self.text_at(context, &item.value)));
            let result = self.accumulate_path(context, accumulated, &item.value, entry, below.as_ref());
            errors.take(self.place(item, result));
            // Asked after each file, so that many of them cannot fill the memory first.
            let most = context.options.max_objects;
            if accumulated.resources.list().len() > most {
                let why = format!("more than {most} objects in one build");
                return Err(self.error(item.line, &item.field, why).into());
            }
        }
        errors.into_result()
    }

    /// What is at the first paths, for as many of them as may be in memory at once. Files are read one after the other and
    /// parsed side by side.
    fn read_ahead(&self, context: &Context<'f>, paths: &[Located<String>]) -> Vec<Entry> {
        let mut bytes = 0;
        let mut texts = Vec::with_capacity(paths.len());
        for item in paths {
            if bytes > READ_AHEAD {
                break;
            }
            let text = self.text_at(context, &item.value);
            bytes += text
                .as_ref()
                .and_then(|text| text.as_ref().ok())
                .map_or(0, |text| text.text.len());
            texts.push(text);
        }
        let least = PARSED_TOGETHER * texts.len() / bytes.max(1) + 1;
        parallel::map(texts, least, Entry::parse)
    }

    /// The text of a file of resources, or why it cannot be read; nothing when there is no file.
    fn text_at(&self, context: &Context<'f>, path: &str) -> Option<Result<Text>> {
        let full = join(&self.loader.dir, path).filter(|_| !path.is_empty())?;
        (context.files.kind(&full) == Some(Kind::File)).then(|| {
            let (text, file) = self.loader.load_text(path)?;
            let number = context.source(&file);
            Ok(Text { text, file, number })
        })
    }

    /// Adds the resources of a file or of a base.
    fn accumulate_path(
        &self,
        context: &Context<'f>,
        accumulated: &mut Accumulated,
        path: &str,
        entry: Entry,
        origin: Option<&Origin>,
    ) -> Result<()> {
        if let Entry::File(resources) = entry {
            for mut resource in resources? {
                if let Some(origin) = origin {
                    origin::annotate(&mut resource, origin)
                        .map_err(|why| context.located(resource.place, BuildError::new(why)))?;
                }
                accumulated.resources.append(&context.schema, resource)?;
            }
            return Ok(());
        }
        let layer = self.open(context, self.loader.enter(path)?, false)?;
        let below = layer.accumulate(context, origin)?;
        for resource in below.resources.into_list() {
            accumulated.resources.append(&context.schema, resource)?;
        }
        accumulated.config = accumulated.config.merge(&below.config)?;
        for (name, var) in below.vars {
            add_var(&mut accumulated.vars, name, var)?;
        }
        Ok(())
    }

    /// Loads the layer of a base or component.
    fn open(&self, context: &'c Context<'f>, loader: Loader<'c, 'f>, as_component: bool) -> Result<Self>
    where
        'f: 'c,
    {
        let mut layer = Layer::load(context, loader)?;
        layer
            .kustomization
            .build_metadata
            .clone_from(&self.kustomization.build_metadata);
        layer.set_schema(context)?;
        match (as_component, layer.kustomization.is_component) {
            (true, false) => Err(layer
                .error(0, "kind", "expected kind Component for a path under components")
                .into()),
            (false, true) => {
                let error = layer.error(0, "kind", "a Component cannot be a resource");
                Err(error.hint("list it under components").into())
            }
            _ => Ok(layer),
        }
    }

    fn merge_config(&self, accumulated: &mut Accumulated) -> Result<()> {
        let mut config = Config::builtin();
        for item in &self.kustomization.configurations {
            let loaded = self.place(item, configuration::load(&self.loader, &item.value))?;
            config = self.place(item, config.merge(&Arc::new(loaded)).map_err(Into::into))?;
        }
        accumulated.config = accumulated.config.merge(&config)?;
        for item in &self.kustomization.crds {
            let loaded = self.place(item, configuration::load_crd(&self.loader, &item.value))?;
            let merged = accumulated.config.merge(&Arc::new(loaded)).map_err(Into::into);
            accumulated.config = self.place(item, merged)?;
        }
        Ok(())
    }

    fn run_generators(
        &self,
        context: &Context<'f>,
        accumulated: &mut Accumulated,
        origin: Option<&Origin>,
    ) -> Result<()> {
        let mut generated: Vec<(Resource, Option<Origin>)> = Vec::new();
        let mut errors = BuildErrors::default();
        let kustomization = &self.kustomization;
        let sets = [
            (
                Target::ConfigMap,
                &kustomization.config_maps,
                "ConfigMapGenerator",
            ),
            (Target::Secret, &kustomization.secrets, "SecretGenerator"),
        ];
        for (target, list, kind) in sets {
            for item in list {
                let options = merged_options(
                    item.value.options.as_ref(),
                    kustomization.generator_options.as_ref(),
                );
                let args = GeneratorArgs {
                    options,
                    ..item.value.clone()
                };
                let place = self.kustomization_place(context, item.line);
                let made = self.place(item, generate::generate(&self.loader, target, &args, place));
                let from = origin.map(|origin| origin.builtin(self.file, kind));
                generated.extend(errors.take(made).map(|resource| (resource, from)));
            }
        }
        for Configured { plugin, from, place } in self.plugins(context, &kustomization.generators, origin)? {
            let made = plugin
                .generate(&self.loader)
                .map_err(|errors| placed(context, place, errors));
            let made = errors.take(made).into_iter().flatten();
            generated.extend(made.map(|resource| (resource, from.clone())));
        }
        errors.into_result()?;
        for (mut resource, from) in generated {
            if let Some(from) = from.filter(|_| origin::of(&resource).is_none()) {
                origin::set(&mut resource, &from);
            }
            let place = resource.place;
            absorb(context, &mut accumulated.resources, resource)
                .map_err(|why| context.located(place, BuildError::new(why)))?;
        }
        Ok(())
    }

    fn kustomization_place(&self, context: &Context<'_>, line: u32) -> Place {
        Place {
            source: context.source(&self.path),
            line,
            column: 1,
        }
    }

    /// The plugins that a list of files, directories and inline texts configures.
    fn plugins(
        &self,
        context: &Context<'f>,
        list: &[Located<String>],
        origin: Option<&Origin>,
    ) -> Result<Vec<Configured>> {
        let mut configured = Accumulated::default();
        let mut paths = Vec::new();
        for item in list {
            let source = Source {
                text: &item.value,
                file: &self.path,
                number: context.source(&self.path),
                line_offset: item.line,
            };
            match read::resources(source) {
                Ok(resources) => {
                    for mut resource in resources {
                        if let Some(origin) = origin {
                            let origin = origin.append(self.file);
                            origin::annotate(&mut resource, &origin)
                                .map_err(|why| context.located(resource.place, BuildError::new(why)))?;
                        }
                        let added = configured.resources.append(&context.schema, resource);
                        self.place(item, added.map_err(Into::into))?;
                    }
                }
                // What is no object is a path.
                Err(errors) if item.value.contains('\n') => return self.place(item, Err(errors)),
                Err(_) => paths.push(item.clone()),
            }
        }
        self.accumulate_resources(context, &mut configured, &paths, origin)?;
        let mut plugins = Vec::new();
        let mut errors = BuildErrors::default();
        for resource in configured.resources.list() {
            let place = resource.place;
            let plugin = plugin::load(context, &self.loader, resource);
            let Some(plugin) = errors.take(plugin.map_err(|errors| placed(context, place, errors))) else {
                continue;
            };
            let from = origin::of(resource).map(|from| Origin {
                path: String::new(),
                configured_in: from.path,
                configured_by: Some([
                    resource.api_version().to_owned(),
                    resource.kind().to_owned(),
                    resource.name().to_owned(),
                    resource.namespace().to_owned(),
                ]),
            });
            plugins.push(Configured { plugin, from, place });
        }
        errors.into_result().map(|()| plugins)
    }

    fn run_transformers(
        &self,
        context: &Context<'f>,
        accumulated: &mut Accumulated,
        origin: Option<&Origin>,
    ) -> Result<()> {
        let mut steps = steps(context, self, &accumulated.config)?;
        for Configured { plugin, from, place } in
            self.plugins(context, &self.kustomization.transformers, origin)?
        {
            let transformer = plugin
                .into_transformer()
                .map_err(|errors| placed(context, place, errors))?;
            steps.push(Step {
                transformer,
                kind: "",
                line: 0,
                field: String::new(),
                place,
                from,
            });
        }
        for step in steps {
            let from = match (&step.from, origin) {
                (Some(from), _) => Some(from.clone()),
                (None, Some(origin)) if !step.kind.is_empty() => Some(origin.builtin(self.file, step.kind)),
                _ => None,
            };
            let run = step.transformer.run(context, &mut accumulated.resources);
            run.map_err(|errors| match step.line {
                0 => placed(context, step.place, errors),
                line => {
                    let has_file = errors.iter().all(|error| error.file.is_some());
                    if has_file {
                        errors
                    } else {
                        errors.in_field(&step.field).at(&self.path, line)
                    }
                }
            })?;
            accumulated.resources.drop_gone();
            if let Some(from) = from {
                accumulated
                    .resources
                    .list_mut()
                    .iter_mut()
                    .for_each(|resource| origin::record(resource, &from));
            }
        }
        Ok(())
    }

    fn run_validators(
        &self,
        context: &Context<'f>,
        accumulated: &mut Accumulated,
        origin: Option<&Origin>,
    ) -> Result<()> {
        for Configured { plugin, place, .. } in
            self.plugins(context, &self.kustomization.validators, origin)?
        {
            let transformer: Transformer = plugin
                .into_transformer()
                .map_err(|errors| placed(context, place, errors))?;
            let before = accumulated.resources.clone();
            let run = transformer.run(context, &mut accumulated.resources);
            run.map_err(|errors| placed(context, place, errors))?;
            // The label may stay in the output, but is left out of the comparison.
            let mut after = accumulated.resources.clone();
            let mut moves_labels = false;
            for resource in after.list_mut() {
                let mut labels = resource.labels();
                if labels.remove("validated-by").is_some() {
                    moves_labels |= resource.labels_first && resource.remembers() && !labels.is_empty();
                    resource.set_labels(&labels);
                }
            }
            let nodes = |map: &ResMap| map.list().iter().map(compared).collect::<Vec<_>>();
            if moves_labels || nodes(&before) != nodes(&after) {
                let error = BuildError::new("a validator shouldn't modify the resources");
                return Err(context.located(place, error).into());
            }
        }
        Ok(())
    }

    fn merge_vars(&self, context: &Context<'f>, accumulated: &mut Accumulated) -> Result<()> {
        let schema = &context.schema;
        for item in &self.kustomization.vars {
            let var = &item.value;
            let target = Id::new(
                schema,
                &var.gvk.api_version(),
                &var.gvk.kind,
                &var.object,
                &var.namespace,
            );
            let any_namespace = target.namespace.is_empty() && !target.cluster_scoped;
            let found = accumulated.resources.matching_any(schema, &target.name, |id| {
                if any_namespace {
                    id.gvk == target.gvk
                } else {
                    target.same(id)
                }
            });
            if found.len() > 1 {
                let why = format!(
                    "found {} objects for var {} (unable to disambiguate)",
                    found.len(),
                    var.name
                );
                return Err(self.error(item.line, &item.field, why).into());
            }
            for at in found {
                accumulated.resources.list_mut()[at].vars.push(var.name.clone());
            }
            let place = self.kustomization_place(context, item.line);
            let added = add_var(
                &mut accumulated.vars,
                var.name.clone(),
                Var { place, ..var.clone() },
            );
            self.place(item, added.map_err(Into::into))?;
        }
        Ok(())
    }
}

/// The errors with a place where they have none.
fn placed(context: &Context<'_>, place: Place, errors: BuildErrors) -> BuildErrors {
    errors
        .into_iter()
        .map(|error| context.located(place, error))
        .collect()
}

/// The tree of a resource as a validator's comparison sees it. An object that remembers has had annotations ever
/// since in the reference, so that their place here says nothing: see [`Resource::labels_first`].
fn compared(resource: &Resource) -> Node {
    let mut node = unplaced(&resource.node);
    if resource.remembers()
        && let Some(entries) = node.get_mut("metadata").and_then(Node::entries_mut)
    {
        // The sort is stable: the others keep their order.
        entries.sort_by_key(|(key, _)| key.as_str() != Some("annotations"));
    }
    node
}

/// A tree without what the reference does not keep in its own: places, and links between nodes.
fn unplaced(node: &Node) -> Node {
    let data = match &node.data {
        Data::Scalar(text) => Data::Scalar(text.clone()),
        Data::Sequence(items) => Data::Sequence(items.iter().map(unplaced).collect()),
        Data::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (unplaced(key), unplaced(value)));
            Data::Mapping(entries.collect())
        }
    };
    Node {
        data,
        tag: node.tag.clone(),
        style: node.style,
        tagged: node.tagged,
        place: Place::default(),
        link: 0,
    }
}

fn add_var(
    vars: &mut std::collections::BTreeMap<String, Var>,
    name: String,
    var: Var,
) -> std::result::Result<(), String> {
    if vars.contains_key(&name) {
        return Err(format!("var '{name}' already encountered"));
    }
    vars.insert(name, var);
    Ok(())
}
