//! Plugin: a builtin generator or transformer that is configured by an object of its own.

use manifest::{Gvk, Node, Place, Tag};
use serde_json::Value;

use crate::args::{GeneratorArgs, Located};
use crate::build::Context;
use crate::decode::{Decoder, Field, LENIENT, Object, dotted};
use crate::error::{BuildError, Result};
use crate::generate::{self, Target};
use crate::kustomization::{self};
use crate::loader::Loader;
use crate::read::set_metadata;
use crate::resource::Resource;
use crate::transform::{
    Transformer,
    annotations::Annotations,
    images::Images,
    labels::Labels,
    names::{Affix, Rename},
    namespace::{Namespace, Subjects},
    patches, replacements,
    replicas::Replicas,
    value_add,
};

/// A configured plugin.
pub(crate) enum Plugin {
    /// Makes a ConfigMap or Secret.
    Generate(Target, Box<GeneratorArgs>, Place),
    /// Makes a service account that is bound to one of Google's cloud.
    CloudAccount(Box<CloudAccount>),
    /// Changes resources.
    Transform(Box<Transformer>),
}

/// The arguments of `IAMPolicyGenerator`.
pub(crate) struct CloudAccount {
    cloud: String,
    name: String,
    namespace: String,
    account: String,
    project: String,
}

impl Plugin {
    pub(crate) fn generate(&self, loader: &Loader<'_, '_>) -> Result<Vec<Resource>> {
        match self {
            Self::Generate(target, args, place) => {
                Ok(vec![generate::generate(loader, *target, args, *place)?])
            }
            Self::CloudAccount(account) => Ok(vec![account.generate()?]),
            Self::Transform(_) => Err("a transformer cannot be listed under generators".into()),
        }
    }

    pub(crate) fn into_transformer(self) -> Result<Transformer> {
        match self {
            Self::Transform(transformer) => Ok(*transformer),
            _ => Err("a generator cannot be listed under transformers or validators".into()),
        }
    }
}

impl CloudAccount {
    fn generate(&self) -> Result<Resource> {
        if self.cloud != "gke" {
            return Err(format!("cloud provider {} not supported", self.cloud).into());
        }
        let mut node = Node::mapping(Vec::new());
        node.set("apiVersion", Node::scalar("v1"));
        node.set("kind", Node::scalar("ServiceAccount"));
        let email = format!("{}@{}.iam.gserviceaccount.com", self.account, self.project);
        let entry = (
            Node::string("iam.gke.io/gcp-service-account"),
            Node::scalar(email),
        );
        set_metadata(&mut node, "annotations", Node::mapping(vec![entry]));
        set_metadata(&mut node, "name", Node::scalar(self.name.as_str()));
        if !self.namespace.is_empty() {
            set_metadata(
                &mut node,
                "namespace",
                Node {
                    tag: Tag::None,
                    ..Node::scalar(self.namespace.as_str())
                },
            );
        }
        Ok(Resource::new(node))
    }
}

/// Configures the plugin that an object describes.
///
/// # Errors
///
/// When it is no builtin plugin, or its configuration is wrong.
pub(crate) fn load(context: &Context<'_>, loader: &Loader<'_, '_>, resource: &Resource) -> Result<Plugin> {
    let gvk = Gvk::new(resource.api_version(), resource.kind());
    if !gvk.group.is_empty() || gvk.version != "builtin" {
        let message = format!("external plugin {} is not run", resource.id(&context.schema));
        let hint = "only the builtin plugins (apiVersion: builtin) are supported: exec, container and Go plugins \
                    would run code while rendering; run them beforehand and commit their output";
        return Err(BuildError::new(message).hint(hint).into());
    }
    let value = resource
        .node
        .to_json()
        .map_err(|bad| BuildError::new(bad.message))?;
    let mut decoder = Decoder::new("", &resource.node, 0, LENIENT);
    let root = Field::root(&value);
    let plugin = configure(&mut decoder, &root, &gvk.kind, loader, resource);
    let errors = std::mem::take(&mut decoder.errors);
    let plugin = plugin?;
    // The decoder does not know the file; the caller adds it.
    let errors = crate::error::BuildErrors::from_iter(errors.into_iter().map(|error| BuildError {
        file: None,
        line: None,
        ..error
    }));
    errors.into_result()?;
    Ok(plugin)
}

fn configure(
    d: &mut Decoder<'_>,
    root: &Field<'_>,
    kind: &str,
    loader: &Loader<'_, '_>,
    resource: &Resource,
) -> Result<Plugin> {
    let object = d.object(root, &[]);
    let transformer = match kind {
        "ConfigMapGenerator" | "SecretGenerator" => return Ok(generator(d, root, kind, resource)),
        "IAMPolicyGenerator" => return Ok(cloud_account(d, &object)),
        "HelmChartInflationGenerator" => {
            let error = BuildError::new("helm charts are not inflated");
            return Err(error.hint("run `helm template` and commit its output").into());
        }
        "PatchTransformer" | "PatchStrategicMergeTransformer" | "PatchJson6902Transformer" => {
            patching(d, root, kind, loader, &inline(loader, resource))?
        }
        "PrefixTransformer" => Transformer::Rename(rename(d, &object, Affix::Prefix)?),
        "SuffixTransformer" => Transformer::Rename(rename(d, &object, Affix::Suffix)?),
        "PrefixSuffixTransformer" => Transformer::Both(
            Box::new(Transformer::Rename(rename(d, &object, Affix::Prefix)?)),
            Box::new(Transformer::Rename(rename(d, &object, Affix::Suffix)?)),
        ),
        "NamespaceTransformer" => Transformer::Namespace(namespace(d, &object)?),
        "ReplacementTransformer" => {
            let items = d.list(&object, "replacements");
            let list: Vec<_> = items
                .iter()
                .map(|item| Located {
                    value: kustomization::replacement(d, item),
                    line: d.line(item.pointer()),
                    field: dotted(item.pointer()),
                })
                .collect();
            let file = loader.tree.file_name(resource.place);
            Transformer::Replacements(replacements::Replacements::new(loader, &list, &file)?)
        }
        "ValueAddTransformer" => Transformer::ValueAdd(value_add::ValueAdd::new(d, &object, loader)?),
        "HashTransformer" => Transformer::Hash,
        _ => return setting(d, &object, kind).map(|transformer| Plugin::Transform(Box::new(transformer))),
    };
    Ok(Plugin::Transform(Box::new(transformer)))
}

/// The transformers that write one value into the fields of `fieldSpecs`.
fn setting(d: &mut Decoder<'_>, object: &Object<'_>, kind: &str) -> Result<Transformer> {
    let fields = d.field_specs(object, "fieldSpecs");
    Ok(match kind {
        "AnnotationsTransformer" => Transformer::Annotations(Annotations {
            annotations: d.string_map(object, "annotations"),
            fields,
        }),
        "LabelTransformer" => Transformer::Labels(Labels {
            labels: d.string_map(object, "labels"),
            fields,
        }),
        "ImageTagTransformer" => {
            let image = kustomization::image(d, &object.field("imageTag"));
            Transformer::Images(Images::new(&image, fields))
        }
        "ReplicaCountTransformer" => {
            let replica = kustomization::replica(d, &object.field("replica"));
            Transformer::Replicas(Replicas { replica, fields })
        }
        other => return Err(format!("unable to load builtin {other}: there is no such plugin").into()),
    })
}

fn patching(
    d: &mut Decoder<'_>,
    root: &Field<'_>,
    kind: &str,
    loader: &Loader<'_, '_>,
    inline: &patches::Inline,
) -> Result<Transformer> {
    let object = d.object(root, &[]);
    Ok(match kind {
        "PatchTransformer" => {
            let args = kustomization::patch(d, root);
            Transformer::Patch(Box::new(patches::Patch::new(loader, &args, inline)?))
        }
        "PatchStrategicMergeTransformer" => {
            let (paths, text) = (d.strings(&object, "paths"), d.string(&object, "patches"));
            Transformer::StrategicMerge(patches::StrategicMerge::new(loader, &paths, &text, inline)?)
        }
        _ => {
            let target = kustomization::selector(d, &object.field("target"));
            let (path, operations) = (d.string(&object, "path"), d.string(&object, "jsonOp"));
            Transformer::Json6902(patches::Json6902::new(
                loader,
                target,
                &path,
                &operations,
                inline,
            )?)
        }
    })
}

/// Where texts inside the configuration are.
fn inline(loader: &Loader<'_, '_>, resource: &Resource) -> patches::Inline {
    patches::Inline {
        file: loader.tree.file_name(resource.place),
        number: resource.place.source,
        line: 0,
    }
}

fn metadata_text(object: &Object<'_>, name: &str) -> String {
    let metadata = object.field("metadata").value;
    metadata
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn generator(d: &mut Decoder<'_>, root: &Field<'_>, kind: &str, resource: &Resource) -> Plugin {
    let is_secret = kind == "SecretGenerator";
    let mut args = kustomization::generator(d, root, is_secret);
    let object = d.object(root, &[]);
    if args.name.is_empty() {
        args.name = metadata_text(&object, "name");
    }
    if args.namespace.is_empty() {
        args.namespace = metadata_text(&object, "namespace");
    }
    let target = if is_secret {
        Target::Secret
    } else {
        Target::ConfigMap
    };
    Plugin::Generate(target, Box::new(args), resource.place)
}

fn cloud_account(d: &mut Decoder<'_>, object: &Object<'_>) -> Plugin {
    let kubernetes = d.object(&object.field("kubernetesService"), &[]);
    let account = d.object(&object.field("serviceAccount"), &[]);
    Plugin::CloudAccount(Box::new(CloudAccount {
        cloud: d.string(object, "cloud"),
        name: d.string(&kubernetes, "name"),
        namespace: d.string(&kubernetes, "namespace"),
        account: d.string(&account, "name"),
        project: d.string(&account, "projectId"),
    }))
}

fn rename(d: &mut Decoder<'_>, object: &Object<'_>, affix: Affix) -> Result<Rename> {
    if !object.has("fieldSpecs") {
        return Err("fieldSpecs must be given".into());
    }
    let name = match affix {
        Affix::Prefix => "prefix",
        Affix::Suffix => "suffix",
    };
    Ok(Rename {
        affix,
        text: d.string(object, name),
        fields: d.field_specs(object, "fieldSpecs"),
    })
}

fn namespace(d: &mut Decoder<'_>, object: &Object<'_>) -> Result<Namespace> {
    let subjects = match d.string(object, "setRoleBindingSubjects").as_str() {
        "" | "defaultOnly" => Subjects::Default,
        "allServiceAccounts" => Subjects::AllServiceAccounts,
        "none" => Subjects::None,
        other => {
            return Err(format!(
                "invalid value {other:?} for setRoleBindingSubjects: must be one of \"defaultOnly\", \"none\" or \
                 \"allServiceAccounts\""
            )
            .into());
        }
    };
    let metadata = d.object(&object.field("metadata"), &[]);
    Ok(Namespace {
        namespace: d.string(&metadata, "namespace"),
        fields: d.field_specs(object, "fieldSpecs"),
        unset_only: d.bool(object, "unsetOnly"),
        subjects,
    })
}
