//! Layer: one kustomization, and the resources that it and its bases make.

use std::sync::Arc;

use manifest::{Data, Node, Place};

use crate::absorb::absorb;
use crate::ahead::{self, Base, Entry};
use crate::args::{GeneratorArgs, Located, Var};
use crate::build::Context;
use crate::configuration;
use crate::error::{BuildError, BuildErrors, Result, Warning};
use crate::fieldspec::Config;
use crate::files::{Kind, join};
use crate::generate::{self, Target, merged_options};
use crate::id::Id;
use crate::kustomization::{self, Kustomization};
use crate::loader::Loader;
use crate::origin::{self, Origin};
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
pub(crate) struct Layer<'t, 'f> {
    pub loader: Loader<'t, 'f>,
    /// The name of the kustomization file.
    pub file: &'static str,
    /// The path of the kustomization file.
    pub path: String,
    pub kustomization: Kustomization,
    /// What is deprecated in it.
    warnings: Vec<Warning>,
    /// Bytes of the kustomization file.
    pub size: usize,
}

/// A plugin with the origin annotation of what it makes, and the place of its configuration.
struct Configured {
    plugin: Plugin,
    from: Option<Origin>,
    place: Place,
}

const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

impl<'t, 'f> Layer<'t, 'f> {
    /// Finds and decodes the kustomization file of a directory.
    ///
    /// # Errors
    ///
    /// When there is none or more than one, and for everything in it that is wrong.
    pub(crate) fn load(loader: Loader<'t, 'f>) -> Result<Self> {
        let is_file = |name: &&str| {
            let path = join(&loader.dir, name).unwrap_or_default();
            loader.tree.files.kind(&path) == Some(Kind::File) && loader.locate(name).is_ok()
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
        loader.tree.count()?;
        let (text, path) = loader.load_text(file)?;
        let (kustomization, warnings) = kustomization::decode(&text, &path)?;
        Ok(Self {
            loader,
            file,
            path,
            kustomization,
            warnings,
            size: text.len(),
        })
    }

    /// Begins to build the layer: says its warnings, and uses the schema that it names.
    pub(crate) fn enter(&self, context: &Context<'_>) -> Result<()> {
        context.warnings.borrow_mut().extend_from_slice(&self.warnings);
        self.set_schema(context)
    }

    /// Uses the schema that the kustomization names.
    fn set_schema(&self, context: &Context<'_>) -> Result<()> {
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

    /// Runs the layer: bases, generators, components, transformers, validators, vars. Of its resources some may have
    /// been read already.
    pub(crate) fn accumulate(
        &self,
        context: &Context<'f>,
        ahead: Vec<Entry<'_, 'f>>,
        origin: Option<&Origin>,
    ) -> Result<Accumulated> {
        self.accumulate_into(context, Accumulated::default(), ahead, origin)
    }

    fn accumulate_into(
        &self,
        context: &Context<'f>,
        mut accumulated: Accumulated,
        ahead: Vec<Entry<'_, 'f>>,
        origin: Option<&Origin>,
    ) -> Result<Accumulated> {
        if let Some(helm) = &self.kustomization.helm {
            let error = self.error(helm.line, &helm.field, "helm charts are not inflated");
            return Err(error
                .hint("run `helm template`, commit its output and list it under resources")
                .into());
        }
        self.accumulate_resources(
            context,
            &mut accumulated,
            &self.kustomization.resources,
            ahead,
            origin,
        )?;
        self.merge_config(&mut accumulated)?;
        self.run_generators(context, &mut accumulated, origin)?;
        for component in &self.kustomization.components {
            let below = origin.map(|origin| origin.append(&component.value));
            let result = self.loader.enter(&component.value).and_then(|loader| {
                let layer = self.open(context, Layer::load(loader)?, true)?;
                layer.accumulate_into(
                    context,
                    std::mem::take(&mut accumulated),
                    Vec::new(),
                    below.as_ref(),
                )
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
        ahead: Vec<Entry<'_, 'f>>,
        origin: Option<&Origin>,
    ) -> Result<()> {
        let mut errors = BuildErrors::default();
        let mut ahead = ahead.into_iter();
        for (at, item) in paths.iter().enumerate() {
            if ahead.len() == 0 {
                ahead = ahead::entries(&self.loader, &paths[at..]).into_iter();
            }
            let entry = ahead.next().unwrap_or(Entry::Later);
            let below = origin.map(|origin| origin.append(&item.value));
            let result = self.accumulate_path(context, accumulated, &item.value, entry, below.as_ref());
            errors.take(self.place(item, result));
            // Asked after each file, so that many of them cannot fill the memory first.
            let most = context.tree.options.max_objects;
            if accumulated.resources.list().len() > most {
                let why = format!("more than {most} objects in one build");
                return Err(self.error(item.line, &item.field, why).into());
            }
        }
        errors.into_result()
    }

    /// Adds the resources of a file or of a base.
    fn accumulate_path(
        &self,
        context: &Context<'f>,
        accumulated: &mut Accumulated,
        path: &str,
        entry: Entry<'_, 'f>,
        origin: Option<&Origin>,
    ) -> Result<()> {
        let Base { layer, ahead } = match entry {
            Entry::File(resources) => return add_file(context, accumulated, resources?, origin),
            Entry::Base(base) => *base?,
            Entry::Later => Base {
                layer: Layer::load(self.loader.enter(path)?)?,
                ahead: Vec::new(),
            },
        };
        let layer = self.open(context, layer, false)?;
        let below = layer.accumulate(context, ahead, origin)?;
        for resource in below.resources.into_list() {
            accumulated.resources.append(&context.schema, resource)?;
        }
        accumulated.config = accumulated.config.merge(&below.config)?;
        for (name, var) in below.vars {
            add_var(&mut accumulated.vars, name, var)?;
        }
        Ok(())
    }

    /// Begins the layer of a base or component.
    fn open<'b>(
        &self,
        context: &Context<'f>,
        mut layer: Layer<'b, 'f>,
        as_component: bool,
    ) -> Result<Layer<'b, 'f>> {
        layer
            .kustomization
            .build_metadata
            .clone_from(&self.kustomization.build_metadata);
        layer.enter(context)?;
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
            source: context.tree.source(&self.path),
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
                number: context.tree.source(&self.path),
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
        self.accumulate_resources(context, &mut configured, &paths, Vec::new(), origin)?;
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

/// Adds the resources of a file.
fn add_file(
    context: &Context<'_>,
    accumulated: &mut Accumulated,
    resources: Vec<Resource>,
    origin: Option<&Origin>,
) -> Result<()> {
    for mut resource in resources {
        if let Some(origin) = origin {
            origin::annotate(&mut resource, origin)
                .map_err(|why| context.located(resource.place, BuildError::new(why)))?;
        }
        accumulated.resources.append(&context.schema, resource)?;
    }
    Ok(())
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
