//! Kustomization: what a kustomization file says, decoded.

use std::collections::BTreeMap;

use manifest::{Node, Place, yaml};
use serde_json::Value;

use crate::args::{
    FieldOptions, GeneratorArgs, GeneratorOptions, Image, Label, Located, PatchArgs, ReplacementArgs,
    Replica, SortOptions, SourceArgs, TargetArgs, Var,
};
use crate::decode::{Decoder, Field, Object, Rules, STRICT, dotted};
use crate::error::{BuildError, Result, Warning};
use crate::finish::through_yaml;
use crate::selector::Selector;

/// A decoded kustomization file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kustomization {
    pub is_component: bool,
    pub name_prefix: String,
    pub name_suffix: String,
    pub namespace: String,
    pub common_labels: BTreeMap<String, String>,
    pub labels: Vec<Located<Label>>,
    pub common_annotations: BTreeMap<String, String>,
    pub patches_strategic_merge: Vec<Located<String>>,
    pub patches_json6902: Vec<Located<PatchArgs>>,
    pub patches: Vec<Located<PatchArgs>>,
    pub images: Vec<Located<Image>>,
    pub replacements: Vec<Located<ReplacementArgs>>,
    pub replicas: Vec<Located<Replica>>,
    pub vars: Vec<Located<Var>>,
    pub sort_options: Option<SortOptions>,
    pub resources: Vec<Located<String>>,
    pub components: Vec<Located<String>>,
    pub crds: Vec<Located<String>>,
    pub config_maps: Vec<Located<GeneratorArgs>>,
    pub secrets: Vec<Located<GeneratorArgs>>,
    pub generator_options: Option<GeneratorOptions>,
    pub configurations: Vec<Located<String>>,
    pub generators: Vec<Located<String>>,
    pub transformers: Vec<Located<String>>,
    pub validators: Vec<Located<String>>,
    pub build_metadata: Vec<String>,
    pub openapi: BTreeMap<String, String>,
    /// The first Helm field, which is refused.
    pub helm: Option<Located<()>>,
}

const FIELDS: [&str; 34] = [
    "kind",
    "apiVersion",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

const VERSION: &str = "kustomize.config.k8s.io/v1beta1";
const COMPONENT_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";

/// Decodes a kustomization file, with the warnings for deprecated fields.
///
/// # Errors
///
/// For everything in the file that is no kustomization.
pub(crate) fn decode(text: &str, file: &str) -> Result<(Kustomization, Vec<Warning>)> {
    let node = yaml::read_first(text, file, 0)?.unwrap_or_else(Node::null);
    let value = node
        .to_json_1_1()
        .map_err(|error| BuildError::from(error.in_file(file)))?;
    // The reference prints and reads the arguments of its transformers once more before it uses them.
    let value = through_yaml(value).map_err(|why| BuildError::new(why).at(file, 0))?;
    let mut decoder = Decoder::new(file, &node, 0, STRICT);
    let object = decoder.object(&Field::root(&value), &FIELDS);
    if object.is_present() && is_empty(&object) || value.is_null() {
        return Err(BuildError::new("kustomization.yaml is empty")
            .hint("list at least one resource, or set a field")
            .at(file, 0)
            .into());
    }
    let warnings = warnings(&decoder, &object, file);
    let kustomization = kustomization(&mut decoder, &object);
    decoder.finish((kustomization, warnings))
}

/// Whether only the type is given. Empty texts and nulls count as missing, empty lists do not.
fn is_empty(object: &Object<'_>) -> bool {
    let blank = |key: &str, value: &Value| {
        let empty_list = value.as_array().is_some_and(Vec::is_empty);
        let renamed = ["bases", "imageTags", "helmChartInflationGenerator"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(key));
        value.is_null() || value.as_str() == Some("") || (renamed && empty_list)
    };
    let is_type = |key: &str| key.eq_ignore_ascii_case("kind") || key.eq_ignore_ascii_case("apiVersion");
    object
        .entries()
        .all(|(key, value)| is_type(key) || blank(key, value))
}

fn warnings(decoder: &Decoder<'_>, object: &Object<'_>, file: &str) -> Vec<Warning> {
    const DEPRECATED: [(&str, &str, &str); 6] = [
        ("bases", "resources", ""),
        ("commonLabels", "labels", ""),
        ("imageTags", "images", ""),
        ("patchesJson6902", "patches", ""),
        ("patchesStrategicMerge", "patches", ""),
        ("vars", "replacements", "[EXPERIMENTAL] "),
    ];
    let used = DEPRECATED.iter().filter(|(name, ..)| object.has(name));
    used.map(|(name, instead, mark)| Warning {
        file: file.to_owned(),
        line: Some(decoder.line(object.field(name).pointer())).filter(|line| *line != 0),
        message: format!(
            "'{name}' is deprecated. Please use '{instead}' instead. {mark}Run 'kustomize edit fix' to update \
             your Kustomization automatically."
        ),
    })
    .collect()
}

fn kustomization(d: &mut Decoder<'_>, object: &Object<'_>) -> Kustomization {
    let is_component = check_type(d, object);
    metadata(d, object);
    let mut kustomization = Kustomization {
        is_component,
        name_prefix: d.string(object, "namePrefix"),
        name_suffix: d.string(object, "nameSuffix"),
        namespace: d.string(object, "namespace"),
        common_labels: d.string_map(object, "commonLabels"),
        labels: located(d, object, "labels", label),
        common_annotations: d.string_map(object, "commonAnnotations"),
        patches_strategic_merge: texts(d, object, "patchesStrategicMerge"),
        patches_json6902: located(d, object, "patchesJson6902", patch),
        patches: located(d, object, "patches", patch),
        images: located(d, object, "images", image),
        replacements: located(d, object, "replacements", |d, item| {
            let read = replacement(d, item);
            // The reference writes these out for its transformer, which drops an empty list.
            let targets = read.targets.filter(|targets| !targets.is_empty());
            ReplacementArgs { targets, ..read }
        }),
        replicas: located(d, object, "replicas", replica),
        vars: located(d, object, "vars", var),
        sort_options: sort_options(d, object),
        resources: texts(d, object, "resources"),
        components: texts(d, object, "components"),
        crds: texts(d, object, "crds"),
        config_maps: located(d, object, "configMapGenerator", |d, item| {
            generator(d, item, false)
        }),
        secrets: located(d, object, "secretGenerator", |d, item| generator(d, item, true)),
        generator_options: generator_options(d, object, "generatorOptions"),
        configurations: texts(d, object, "configurations"),
        generators: texts(d, object, "generators"),
        transformers: texts(d, object, "transformers"),
        validators: texts(d, object, "validators"),
        build_metadata: d.strings(object, "buildMetadata"),
        openapi: d.string_map(object, "openapi"),
        helm: helm(d, object),
    };
    kustomization.resources.extend(texts(d, object, "bases"));
    kustomization
        .images
        .extend(located(d, object, "imageTags", image));
    kustomization
}

/// Checks `kind` and `apiVersion`; true for a component.
fn check_type(d: &mut Decoder<'_>, object: &Object<'_>) -> bool {
    let (kind, version) = (d.string(object, "kind"), d.string(object, "apiVersion"));
    let is_component = kind == "Component";
    if !matches!(kind.as_str(), "" | "Kustomization" | "Component") {
        let pointer = object.field("kind").pointer().to_owned();
        d.error(
            &pointer,
            format!("kind should be Kustomization or Component, not {kind}"),
        );
    }
    let wanted = if is_component { COMPONENT_VERSION } else { VERSION };
    if !version.is_empty() && version != wanted {
        let pointer = object.field("apiVersion").pointer().to_owned();
        d.error(
            &pointer,
            format!("apiVersion for {kind} should be {wanted}, not {version}"),
        );
    }
    is_component
}

/// Nothing reads `metadata`, but what is in it must be right.
fn metadata(d: &mut Decoder<'_>, object: &Object<'_>) {
    let metadata = d.object(
        &object.field("metadata"),
        &["name", "namespace", "labels", "annotations"],
    );
    d.string(&metadata, "name");
    d.string(&metadata, "namespace");
    d.string_map(&metadata, "labels");
    d.string_map(&metadata, "annotations");
}

fn helm(d: &mut Decoder<'_>, object: &Object<'_>) -> Option<Located<()>> {
    let name = ["helmCharts", "helmChartInflationGenerator"]
        .into_iter()
        .find(|name| {
            object
                .field(name)
                .value
                .as_array()
                .is_some_and(|charts| !charts.is_empty())
        })?;
    let field = object.field(name);
    Some(Located {
        value: (),
        line: d.line(field.pointer()),
        field: name.to_owned(),
    })
}

fn located<T>(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    name: &str,
    mut decode: impl FnMut(&mut Decoder<'_>, &Field<'_>) -> T,
) -> Vec<Located<T>> {
    let items = d.list(object, name);
    let mut decoded = Vec::with_capacity(items.len());
    for item in &items {
        let value = decode(d, item);
        decoded.push(Located {
            value,
            line: d.line(item.pointer()),
            field: dotted(item.pointer()),
        });
    }
    decoded
}

fn texts(d: &mut Decoder<'_>, object: &Object<'_>, name: &str) -> Vec<Located<String>> {
    located(d, object, name, |d, item| d.text(item).unwrap_or_default())
}

fn label(d: &mut Decoder<'_>, item: &Field<'_>) -> Label {
    let names = [
        "pairs",
        "includeSelectors",
        "includeTemplates",
        "includeVolumeClaimTemplates",
        "fields",
    ];
    let object = d.object(item, &names);
    Label {
        pairs: d.string_map(&object, "pairs"),
        include_selectors: d.bool(&object, "includeSelectors"),
        include_templates: d.bool(&object, "includeTemplates"),
        include_volume_claim_templates: d.bool(&object, "includeVolumeClaimTemplates"),
        fields: d.field_specs(&object, "fields"),
    }
}

pub(crate) fn selector(d: &mut Decoder<'_>, item: &Field<'_>) -> Option<Selector> {
    let names = [
        "group",
        "version",
        "kind",
        "name",
        "namespace",
        "annotationSelector",
        "labelSelector",
    ];
    let object = d.object(item, &names);
    object.is_present().then(|| Selector {
        gvk: d.gvk(&object),
        name: d.string(&object, "name"),
        namespace: d.string(&object, "namespace"),
        annotations: d.string(&object, "annotationSelector"),
        labels: d.string(&object, "labelSelector"),
    })
}

pub(crate) fn patch(d: &mut Decoder<'_>, item: &Field<'_>) -> PatchArgs {
    let object = d.object(item, &["path", "patch", "target", "options"]);
    let options = d.object(&object.field("options"), &["allowNameChange", "allowKindChange"]);
    PatchArgs {
        path: d.string(&object, "path"),
        patch: d.string(&object, "patch"),
        target: selector(d, &object.field("target")),
        allow_name_change: d.bool(&options, "allowNameChange"),
        allow_kind_change: d.bool(&options, "allowKindChange"),
    }
}

pub(crate) fn image(d: &mut Decoder<'_>, item: &Field<'_>) -> Image {
    let object = d.object(item, &["name", "newName", "tagSuffix", "newTag", "digest"]);
    Image {
        name: d.string(&object, "name"),
        new_name: d.string(&object, "newName"),
        tag_suffix: d.string(&object, "tagSuffix"),
        new_tag: d.string(&object, "newTag"),
        digest: d.string(&object, "digest"),
    }
}

pub(crate) fn replica(d: &mut Decoder<'_>, item: &Field<'_>) -> Replica {
    let object = d.object(item, &["name", "count"]);
    Replica {
        name: d.string(&object, "name"),
        count: d.integer(&object, "count"),
    }
}

pub(crate) fn replacement(d: &mut Decoder<'_>, item: &Field<'_>) -> ReplacementArgs {
    let object = d.object(item, &["path", "source", "targets", "sourceValue"]);
    let targets = d.list(&object, "targets");
    ReplacementArgs {
        path: d.string(&object, "path"),
        source: source(d, &object.field("source")),
        source_value: d.optional_string(&object, "sourceValue"),
        targets: object
            .has("targets")
            .then(|| targets.iter().map(|item| target(d, item)).collect()),
    }
}

fn source(d: &mut Decoder<'_>, item: &Field<'_>) -> Option<SourceArgs> {
    let names = [
        "group",
        "version",
        "kind",
        "name",
        "namespace",
        "fieldPath",
        "options",
    ];
    let object = d.object(item, &names);
    object.is_present().then(|| SourceArgs {
        gvk: d.gvk(&object),
        name: d.string(&object, "name"),
        namespace: d.string(&object, "namespace"),
        field_path: d.string(&object, "fieldPath"),
        options: field_options(d, &object),
    })
}

fn target(d: &mut Decoder<'_>, item: &Field<'_>) -> TargetArgs {
    let object = d.object(item, &["select", "reject", "fieldPaths", "options"]);
    let reject = d.list(&object, "reject");
    TargetArgs {
        select: selector(d, &object.field("select")),
        reject: reject.iter().filter_map(|item| selector(d, item)).collect(),
        field_paths: d.strings(&object, "fieldPaths"),
        options: field_options(d, &object),
    }
}

fn field_options(d: &mut Decoder<'_>, parent: &Object<'_>) -> Option<FieldOptions> {
    let object = d.object(
        &parent.field("options"),
        &["delimiter", "index", "encoding", "create"],
    );
    d.string(&object, "encoding");
    object.is_present().then(|| FieldOptions {
        delimiter: d.string(&object, "delimiter"),
        index: d.integer(&object, "index"),
        create: d.bool(&object, "create"),
    })
}

fn var(d: &mut Decoder<'_>, item: &Field<'_>) -> Var {
    let object = d.object(item, &["name", "objref", "fieldref"]);
    let names = ["apiVersion", "group", "version", "kind", "name", "namespace"];
    let reference = d.object(&object.field("objref"), &names);
    let field = d.object(&object.field("fieldref"), &["fieldPath"]);
    let mut gvk = d.gvk(&reference);
    let api_version = d.string(&reference, "apiVersion");
    match api_version.split('/').collect::<Vec<_>>().as_slice() {
        [""] => {}
        [version] => gvk.version = (*version).to_owned(),
        [group, version] => (gvk.group, gvk.version) = ((*group).to_owned(), (*version).to_owned()),
        _ => {}
    }
    let field_path = d.string(&field, "fieldPath");
    Var {
        name: d.string(&object, "name"),
        gvk,
        object: d.string(&reference, "name"),
        namespace: d.string(&reference, "namespace"),
        field_path: if field_path.is_empty() {
            "metadata.name".to_owned()
        } else {
            field_path
        },
        place: Place::default(),
    }
}

pub(crate) fn generator_options(
    d: &mut Decoder<'_>,
    parent: &Object<'_>,
    name: &str,
) -> Option<GeneratorOptions> {
    let names = ["labels", "annotations", "disableNameSuffixHash", "immutable"];
    let object = d.object(&parent.field(name), &names);
    object.is_present().then(|| GeneratorOptions {
        labels: d.string_map(&object, "labels"),
        annotations: d.string_map(&object, "annotations"),
        disable_hash: d.bool(&object, "disableNameSuffixHash"),
        immutable: d.bool(&object, "immutable"),
    })
}

pub(crate) fn generator(d: &mut Decoder<'_>, item: &Field<'_>, is_secret: bool) -> GeneratorArgs {
    const NAMES: [&str; 9] = [
        "namespace",
        "name",
        "behavior",
        "literals",
        "files",
        "envs",
        "env",
        "options",
        "type",
    ];
    let object = d.object(item, if is_secret { &NAMES } else { &NAMES[..8] });
    let mut envs = d.strings(&object, "envs");
    let env = d.string(&object, "env");
    // The reference forgets the old, singular field in the configuration of a plugin.
    if d.is_strict() && !env.is_empty() {
        envs.push(env);
    }
    GeneratorArgs {
        name: d.string(&object, "name"),
        namespace: d.string(&object, "namespace"),
        behavior: d.string(&object, "behavior"),
        literals: d.strings(&object, "literals"),
        files: d.strings(&object, "files"),
        envs,
        options: generator_options(d, &object, "options"),
        secret_type: if is_secret {
            d.string(&object, "type")
        } else {
            String::new()
        },
    }
}

fn sort_options(d: &mut Decoder<'_>, parent: &Object<'_>) -> Option<SortOptions> {
    let object = d.object(&parent.field("sortOptions"), &["order", "legacySortOptions"]);
    if !object.is_present() {
        return None;
    }
    let legacy = d.object(&object.field("legacySortOptions"), &["orderFirst", "orderLast"]);
    let orders = legacy
        .is_present()
        .then(|| (d.strings(&legacy, "orderFirst"), d.strings(&legacy, "orderLast")));
    Some(SortOptions {
        order: d.string(&object, "order"),
        legacy: orders,
    })
}

/// Decodes a text that is not a kustomization file, such as a list of replacements.
///
/// # Errors
///
/// For everything that does not fit, with its line.
pub(crate) fn decode_with<T>(
    text: &str,
    file: &str,
    rules: Rules,
    decode: impl FnOnce(&mut Decoder<'_>, &Field<'_>) -> T,
) -> Result<T> {
    let node = yaml::read_first(text, file, 0)?.unwrap_or_else(Node::null);
    let value = node
        .to_json_1_1()
        .map_err(|error| BuildError::from(error.in_file(file)))?;
    let mut decoder = Decoder::new(file, &node, 0, rules);
    let decoded = decode(&mut decoder, &Field::root(&value));
    decoder.finish(decoded)
}
