//! Transformer configuration: field specs of the user's own, from `configurations` and `crds`.

use manifest::{Gvk, Node, yaml};
use serde_json::Value;

use crate::decode::{CONFIGURATION, Decoder, Field};
use crate::error::{BuildError, Result};
use crate::fieldspec::{BackReferences, Config, FieldSpec, LISTS, merge_one};
use crate::kustomization::decode_with;
use crate::loader::Loader;

/// Loads a file of `configurations`.
///
/// # Errors
///
/// When it cannot be read, or is no configuration.
pub(crate) fn load(loader: &Loader<'_, '_>, path: &str) -> Result<Config> {
    let (text, file) = loader.load_text(path)?;
    refuse_duplicates(&text, &file)?;
    decode_with(&text, &file, CONFIGURATION, decode)
}

/// Configurations are decoded strictly: a key may not be given twice.
fn refuse_duplicates(text: &str, file: &str) -> Result<()> {
    let node = yaml::read_first(text, file, 0)?.unwrap_or_else(Node::null);
    match duplicate(&node) {
        Some(key) => {
            let name = key.as_str().unwrap_or_default();
            Err(BuildError::new(format!("key {name:?} already set"))
                .at(file, key.line())
                .into())
        }
        None => Ok(()),
    }
}

fn duplicate(node: &Node) -> Option<&Node> {
    let mut seen = std::collections::HashSet::new();
    let entries = node.entries();
    let own = entries
        .iter()
        .map(|(key, _)| key)
        .find(|key| !seen.insert(key.as_str()));
    own.or_else(|| entries.iter().find_map(|(_, value)| duplicate(value)))
        .or_else(|| node.items().iter().find_map(duplicate))
}

fn decode(d: &mut Decoder<'_>, root: &Field<'_>) -> Config {
    let mut names = LISTS.to_vec();
    names.push("nameReference");
    let object = d.object(root, &names);
    let mut config = Config::default();
    for name in LISTS {
        let specs = d.field_specs(&object, name);
        if let Some(list) = config.list_mut(name) {
            *list = specs;
        }
    }
    for item in d.list(&object, "nameReference") {
        let references = d.object(&item, &["group", "version", "kind", "fieldSpecs"]);
        config.name_reference.push(BackReferences {
            target: d.gvk(&references),
            referrers: d.field_specs(&references, "fieldSpecs"),
        });
    }
    config
}

/// Loads a file of `crds`: an OpenAPI definition of types whose fields say what they refer to.
///
/// # Errors
///
/// When it cannot be read, or is no mapping of definitions.
pub(crate) fn load_crd(loader: &Loader<'_, '_>, path: &str) -> Result<Config> {
    let (text, file) = loader.load_text(path)?;
    let value: Value = if text.starts_with('{') {
        serde_json::from_str(&text).map_err(|error| {
            let line = u32::try_from(error.line()).unwrap_or_default();
            BuildError::new(format!("unable to parse open API definition: {error}")).at(&file, line)
        })?
    } else {
        let node = yaml::read_first(&text, &file, 0)?.unwrap_or_else(Node::null);
        node.to_json_1_1()
            .map_err(|error| BuildError::from(error.in_file(&file)))?
    };
    if value.is_null() {
        return Ok(Config::default());
    }
    let Some(types) = value.as_object() else {
        return Err(
            BuildError::new("unable to parse open API definition: not a mapping")
                .at(&file, 1)
                .into(),
        );
    };
    if let Some(name) = types
        .iter()
        .find(|(_, definition)| !definition.is_object())
        .map(|(name, _)| name)
    {
        let why = format!("unable to parse open API definition: {name} is not a mapping");
        return Err(BuildError::new(why).at(&file, 0).into());
    }
    let mut config = Config::default();
    for (name, definition) in types {
        let properties = field(definition, "Schema").and_then(|schema| field(schema, "properties"));
        let has = |name| properties.is_some_and(|properties| properties.get(name).is_some());
        if has("kind") && has("apiVersion") && has("metadata") {
            let kind = name.rsplit('.').next().unwrap_or(name);
            let gvk = Gvk {
                kind: kind.to_owned(),
                ..Gvk::default()
            };
            Crd {
                types: &value,
                gvk,
                config: &mut config,
                path: Vec::new(),
            }
            .add(name)?;
        }
    }
    Ok(config)
}

/// Go finds struct fields whatever their case.
fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value
        .as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

struct Crd<'v> {
    types: &'v Value,
    gvk: Gvk,
    config: &'v mut Config,
    path: Vec<String>,
}

impl Crd<'_> {
    fn add(&mut self, type_name: &str) -> Result<()> {
        const DEEPEST: usize = 100;
        let types = self.types;
        let properties = types
            .get(type_name)
            .and_then(|t| field(t, "Schema"))
            .and_then(|s| field(s, "properties"));
        if self.path.len() > DEEPEST {
            return Err(format!("definition {type_name} refers to itself").into());
        }
        for (name, property) in properties.and_then(Value::as_object).into_iter().flatten() {
            self.path.push(name.clone());
            self.add_property(property)?;
            self.path.pop();
        }
        Ok(())
    }

    fn add_property(&mut self, property: &Value) -> Result<()> {
        let text = |key: &str| property.get(key).and_then(Value::as_str);
        let spec = FieldSpec::new(self.gvk.clone(), &self.path.join("/"), false);
        if text("x-kubernetes-annotation").is_some() {
            merge_one(&mut self.config.common_annotations, &spec)?;
        }
        if text("x-kubernetes-label-selector").is_some() {
            merge_one(&mut self.config.common_labels, &spec)?;
        }
        if text("x-kubernetes-identity").is_some() {
            merge_one(&mut self.config.name_prefix, &spec)?;
        }
        let object = text("x-kubernetes-object-ref-api-version").zip(text("x-kubernetes-object-ref-kind"));
        if let Some((version, kind)) = object {
            let key = text("x-kubernetes-object-ref-name-key").unwrap_or("name");
            let path = format!("{}/{key}", self.path.join("/"));
            let target = Gvk {
                group: String::new(),
                version: version.to_owned(),
                kind: kind.to_owned(),
            };
            let referrers = vec![FieldSpec::new(self.gvk.clone(), &path, false)];
            self.config
                .add_references(&BackReferences { target, referrers })?;
        }
        match text("$ref") {
            Some(reference) => self.add(reference),
            None => Ok(()),
        }
    }
}
