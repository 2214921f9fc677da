//! Transformers: the steps that change the resources of a layer.

pub(crate) mod annotations;
pub(crate) mod hash;
pub(crate) mod images;
mod json_patch;
pub(crate) mod labels;
pub(crate) mod names;
pub(crate) mod namespace;
pub(crate) mod patches;
mod references;
mod replace_path;
pub(crate) mod replacements;
pub(crate) mod replicas;
pub(crate) mod value_add;
pub(crate) mod vars;
mod yaml_text;

use std::sync::Arc;

use manifest::{Gvk, Place};

use crate::args::{Label, Located};
use crate::build::Context;
use crate::error::{BuildErrors, Result};
use crate::fieldspec::{Config, FieldSpec, merge_all, merge_one};
use crate::layer::Layer;
use crate::origin::Origin;
use crate::resource::ResMap;

/// One configured step.
pub(crate) enum Transformer {
    StrategicMerge(patches::StrategicMerge),
    Patch(Box<patches::Patch>),
    Namespace(namespace::Namespace),
    Rename(names::Rename),
    Labels(labels::Labels),
    Annotations(annotations::Annotations),
    Json6902(patches::Json6902),
    Replicas(replicas::Replicas),
    Images(images::Images),
    Replacements(replacements::Replacements),
    ValueAdd(value_add::ValueAdd),
    Hash,
    Both(Box<Self>, Box<Self>),
}

impl Transformer {
    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        let schema = &context.schema;
        match self {
            Self::StrategicMerge(patch) => patch.run(context, resources),
            Self::Patch(patch) => patch.run(context, resources),
            Self::Namespace(namespace) => namespace.run(context, resources),
            Self::Rename(rename) => rename.run(context, resources),
            Self::Labels(labels) => labels.run(context, resources),
            Self::Annotations(annotations) => annotations.run(context, resources),
            Self::Json6902(patch) => patch.run(context, resources),
            Self::Replicas(replicas) => replicas.run(context, resources),
            Self::Images(images) => images.run(context, resources),
            Self::Replacements(replacements) => replacements.run(context, resources),
            Self::ValueAdd(values) => values.run(context, resources),
            Self::Hash => hash::add_hashes(schema, resources),
            Self::Both(first, second) => {
                first.run(context, resources)?;
                second.run(context, resources)
            }
        }
    }
}

/// A step with the field that configures it.
pub(crate) struct Step {
    pub transformer: Transformer,
    /// The name of the builtin transformer; empty for one with a configuration of its own.
    pub kind: &'static str,
    pub line: u32,
    pub field: String,
    /// The place of a plugin's configuration.
    pub place: Place,
    /// Where a plugin is configured, for the origin annotations.
    pub from: Option<Origin>,
}

/// The steps of a kustomization's fields, in the order in which the reference runs them.
pub(crate) fn steps(context: &Context<'_>, layer: &Layer<'_, '_>, config: &Arc<Config>) -> Result<Vec<Step>> {
    let mut steps = Steps {
        list: Vec::new(),
        errors: BuildErrors::default(),
        layer,
    };
    let k = &layer.kustomization;
    steps.strategic_merges(context);
    steps.each(&k.patches, "PatchTransformer", |item| {
        let inline = patches::Inline::of(context, layer, item.line);
        patches::Patch::new(&layer.loader, &item.value, &inline)
            .map(|patch| Transformer::Patch(Box::new(patch)))
    });
    steps.names(config);
    steps.labels(config);
    if !k.common_annotations.is_empty() {
        let annotations = k.common_annotations.clone();
        let fields = config.common_annotations.clone();
        let transformer = Transformer::Annotations(annotations::Annotations { annotations, fields });
        steps.push("AnnotationsTransformer", transformer, 0, "");
    }
    steps.each(&k.patches_json6902, "PatchJson6902Transformer", |item| {
        let inline = patches::Inline::of(context, layer, item.line);
        let args = &item.value;
        patches::Json6902::new(
            &layer.loader,
            args.target.clone(),
            &args.path,
            &args.patch,
            &inline,
        )
        .map(Transformer::Json6902)
    });
    steps.each(&k.replicas, "ReplicaCountTransformer", |item| {
        let (replica, fields) = (item.value.clone(), config.replicas.clone());
        Ok(Transformer::Replicas(replicas::Replicas { replica, fields }))
    });
    steps.each(&k.images, "ImageTagTransformer", |item| {
        Ok(Transformer::Images(images::Images::new(
            &item.value,
            config.images.clone(),
        )))
    });
    if !k.replacements.is_empty() {
        let first = k.replacements.first().map_or(0, |item| item.line);
        let made = replacements::Replacements::new(&layer.loader, &k.replacements, &layer.path);
        if let Some(made) = steps.errors.take(made) {
            steps.push(
                "ReplacementTransformer",
                Transformer::Replacements(made),
                first,
                "replacements",
            );
        }
    }
    let Steps { list, errors, .. } = steps;
    errors.into_result().map(|()| list)
}

struct Steps<'l, 'c, 'f> {
    list: Vec<Step>,
    errors: BuildErrors,
    layer: &'l Layer<'c, 'f>,
}

impl Steps<'_, '_, '_> {
    fn push(&mut self, kind: &'static str, transformer: Transformer, line: u32, field: &str) {
        self.list.push(Step {
            transformer,
            kind,
            line,
            field: field.to_owned(),
            place: Place::default(),
            from: None,
        });
    }

    fn each<T>(
        &mut self,
        items: &[Located<T>],
        kind: &'static str,
        make: impl Fn(&Located<T>) -> Result<Transformer>,
    ) {
        for item in items {
            let made =
                make(item).map_err(|errors| errors.in_field(&item.field).at(&self.layer.path, item.line));
            if let Some(transformer) = self.errors.take(made) {
                self.push(kind, transformer, item.line, &item.field);
            }
        }
    }

    fn strategic_merges(&mut self, context: &Context<'_>) {
        let list = &self.layer.kustomization.patches_strategic_merge;
        let Some(first) = list.first() else { return };
        let mut all = patches::StrategicMerge::default();
        for item in list {
            let inline = patches::Inline::of(context, self.layer, item.line);
            let made = patches::StrategicMerge::new(
                &self.layer.loader,
                std::slice::from_ref(&item.value),
                "",
                &inline,
            );
            let made = made.map_err(|errors| errors.in_field(&item.field).at(&self.layer.path, item.line));
            if let Some(one) = self.errors.take(made) {
                all.extend(one);
            }
        }
        self.push(
            "PatchStrategicMergeTransformer",
            Transformer::StrategicMerge(all),
            first.line,
            "patchesStrategicMerge",
        );
    }

    fn names(&mut self, config: &Arc<Config>) {
        let k = &self.layer.kustomization;
        if !k.namespace.is_empty() {
            let namespace = namespace::Namespace {
                namespace: k.namespace.clone(),
                fields: config.namespace.clone(),
                unset_only: false,
                subjects: namespace::Subjects::Default,
            };
            self.push("NamespaceTransformer", Transformer::Namespace(namespace), 0, "");
        }
        let affixes = [
            (
                names::Affix::Prefix,
                &k.name_prefix,
                &config.name_prefix,
                "PrefixTransformer",
            ),
            (
                names::Affix::Suffix,
                &k.name_suffix,
                &config.name_suffix,
                "SuffixTransformer",
            ),
        ];
        for (affix, text, fields, kind) in affixes {
            if !text.is_empty() {
                let rename = names::Rename {
                    affix,
                    text: text.clone(),
                    fields: fields.clone(),
                };
                self.push(kind, Transformer::Rename(rename), 0, "");
            }
        }
    }

    fn labels(&mut self, config: &Arc<Config>) {
        let k = &self.layer.kustomization;
        if k.labels.is_empty() && k.common_labels.is_empty() {
            return;
        }
        for item in &k.labels {
            let fields = label_fields(&item.value, config);
            let fields = fields.map_err(|why| {
                BuildErrors::from(why)
                    .in_field(&item.field)
                    .at(&self.layer.path, item.line)
            });
            if let Some(fields) = self.errors.take(fields) {
                let labels = item.value.pairs.clone();
                self.push(
                    "LabelTransformer",
                    Transformer::Labels(labels::Labels { labels, fields }),
                    item.line,
                    &item.field,
                );
            }
        }
        let (labels, fields) = (k.common_labels.clone(), config.common_labels.clone());
        self.push(
            "LabelTransformer",
            Transformer::Labels(labels::Labels { labels, fields }),
            0,
            "",
        );
    }
}

/// The fields that one entry of `labels` writes to.
fn label_fields(label: &Label, config: &Config) -> std::result::Result<Vec<FieldSpec>, String> {
    let mut fields = label.fields.clone();
    merge_all(&mut fields, &config.labels)?;
    if label.include_selectors {
        merge_all(&mut fields, &config.common_labels)?;
        return Ok(fields);
    }
    if label.include_templates {
        merge_all(&mut fields, &config.template_labels)?;
    }
    if label.include_volume_claim_templates {
        merge_all(&mut fields, &config.volume_claim_template_labels)?;
    }
    merge_one(
        &mut fields,
        &FieldSpec::new(Gvk::default(), "metadata/labels", true),
    )?;
    Ok(fields)
}
