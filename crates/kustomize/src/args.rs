//! Arguments: the typed entries of a kustomization's lists.

use std::collections::BTreeMap;

use manifest::{Gvk, Place};

use crate::fieldspec::FieldSpec;
use crate::selector::Selector;

/// A value with the line and the name of its field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Located<T> {
    pub value: T,
    pub line: u32,
    pub field: String,
}

/// `labels[]`
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub pairs: BTreeMap<String, String>,
    pub include_selectors: bool,
    pub include_templates: bool,
    pub include_volume_claim_templates: bool,
    pub fields: Vec<FieldSpec>,
}

/// `patches[]` and `patchesJson6902[]`
#[derive(Clone, Debug, Default)]
pub(crate) struct PatchArgs {
    pub path: String,
    pub patch: String,
    pub target: Option<Selector>,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

/// `images[]`
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub name: String,
    pub new_name: String,
    pub tag_suffix: String,
    pub new_tag: String,
    pub digest: String,
}

/// `replicas[]`
#[derive(Clone, Debug, Default)]
pub(crate) struct Replica {
    pub name: String,
    pub count: i64,
}

/// Options of a replacement's source or target field.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldOptions {
    pub delimiter: String,
    pub index: i64,
    pub create: bool,
}

/// Where a replacement reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceArgs {
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
    pub field_path: String,
    pub options: Option<FieldOptions>,
}

/// Where a replacement writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetArgs {
    pub select: Option<Selector>,
    pub reject: Vec<Selector>,
    pub field_paths: Vec<String>,
    pub options: Option<FieldOptions>,
}

/// `replacements[]`
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplacementArgs {
    pub path: String,
    pub source: Option<SourceArgs>,
    pub source_value: Option<String>,
    /// `None` when the field is missing, which an empty list is not.
    pub targets: Option<Vec<TargetArgs>>,
}

/// `vars[]`
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Var {
    pub name: String,
    pub gvk: Gvk,
    pub object: String,
    pub namespace: String,
    pub field_path: String,
    /// Where it is declared.
    pub place: Place,
}

/// `generatorOptions`, and the options of one generator.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeneratorOptions {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub disable_hash: bool,
    pub immutable: bool,
}

/// `configMapGenerator[]` and `secretGenerator[]`
#[derive(Clone, Debug, Default)]
pub(crate) struct GeneratorArgs {
    pub name: String,
    pub namespace: String,
    pub behavior: String,
    pub literals: Vec<String>,
    pub files: Vec<String>,
    pub envs: Vec<String>,
    pub options: Option<GeneratorOptions>,
    /// The type of a Secret.
    pub secret_type: String,
}

/// `sortOptions`
#[derive(Clone, Debug, Default)]
pub(crate) struct SortOptions {
    pub order: String,
    /// `legacySortOptions`: the kinds that come first and last.
    pub legacy: Option<(Vec<String>, Vec<String>)>,
}
