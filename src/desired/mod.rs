//! Desired state: what git says an environment should be.

pub mod allow;
pub mod hooks;
pub mod policy;
pub mod tree;
pub mod waves;

use std::collections::BTreeSet;
use std::sync::Arc;

use kustomize::{Files, Options};
use manifest::{Manifest, yaml};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use self::hooks::Hook;
use crate::model::Revision;
use crate::problem::{Problem, Problems};
use crate::verify::backends::container_images;

/// The objects that an environment should hold. Cloning it costs nothing.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The commit whose overlay was rendered.
    pub revision: Revision,
    /// The commit that the shared files were read from.
    pub shared: Revision,
    /// The objects, in the order of the renderer.
    pub objects: Arc<Vec<Manifest>>,
    /// The Jobs that run before and after a sync, in the order of their waves; they are not among the objects.
    pub hooks: Arc<Vec<Hook>>,
    /// The hash of all objects and hooks: equal exactly when they are.
    pub hash: String,
    /// The files that they came from.
    pub files: Arc<Vec<String>>,
}

/// Renders the overlay in a directory.
///
/// # Errors
///
/// Every problem of the overlay and what it stands on, with file and line. No objects at all is a problem too:
/// taken as a wish, it would delete everything.
pub fn build(files: &dyn Files, dir: &str, revision: &Revision) -> Result<Desired, Problems> {
    let built = kustomize::build(files, dir, &Options::default()).map_err(to_problems)?;
    let mut objects = built.manifests;
    for object in &mut objects {
        fold_string_data(object.value_mut());
    }
    let hash = hash(&objects);
    let mut problems: Vec<Problem> = objects.iter().filter_map(waves::check).collect();
    let (objects, mut hooks) = hooks::split(objects).unwrap_or_else(|wrong| {
        problems.extend(wrong);
        Default::default()
    });
    Problems(problems).into_result()?;
    if objects.is_empty() {
        let message =
            "the kustomization renders no objects; nothing is changed, because that would delete everything";
        return Err(Problem::new(message)
            .at_line(dir, 0)
            .hint("add resources, or remove the environment")
            .into());
    }
    hooks.sort_by_key(|hook| waves::number(hook.manifest.value()));
    Ok(Desired {
        revision: revision.clone(),
        shared: revision.clone(),
        hash,
        objects: objects.into(),
        hooks: hooks.into(),
        files: built.files_read.into(),
    })
}

// === impl Desired ===

impl Desired {
    /// The images of all workloads and hooks, sorted.
    #[must_use]
    pub fn images(&self) -> BTreeSet<String> {
        let hooks = self.hooks.iter().map(|hook| &hook.manifest);
        self.objects
            .iter()
            .chain(hooks)
            .flat_map(|object| workload_images(object.value()))
            .collect()
    }

    /// The hooks of one phase.
    pub fn hooks_of(&self, phase: hooks::Phase) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(move |hook| hook.phase == phase)
    }
}

/// The images that an object's pods would run; none for what has no pods.
fn workload_images(object: &Value) -> Vec<String> {
    let specs = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    let own = (object["kind"] == "Pod").then_some("/spec");
    own.into_iter()
        .chain(specs)
        .filter_map(|at| object.pointer(at))
        .flat_map(container_images)
        .collect()
}

fn hash(objects: &[Manifest]) -> String {
    let mut texts: Vec<String> = objects.iter().map(|object| yaml::emit(object.value())).collect();
    // The order of documents says nothing about what should be.
    texts.sort_unstable();
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.as_bytes());
        digest.update(b"---\n");
    }
    hex(&digest.finalize())
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Moves `stringData` of a Secret into `data`, as the API server does when it stores it.
///
/// The server never gives `stringData` back, so a key that git removes from it would stay in the cluster for ever.
fn fold_string_data(object: &mut Value) {
    if object["kind"] != "Secret" || object["apiVersion"] != "v1" {
        return;
    }
    let Some(map) = object.as_object_mut() else { return };
    let Some(Value::Object(plain)) = map.remove("stringData") else {
        return;
    };
    let data = map.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    for (key, value) in plain {
        if let Value::String(text) = value {
            data[key] = Value::String(base64(text.as_bytes()));
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The renderer's errors as problems.
#[must_use]
pub fn to_problems(errors: kustomize::BuildErrors) -> Problems {
    let to_problem = |error: kustomize::BuildError| {
        let place = |file: String| {
            error
                .line
                .map_or_else(|| file.clone(), |line| format!("{file}:{line}"))
        };
        Problem {
            at: error.file.map(place),
            object: None,
            field: error.field,
            message: error.message,
            hint: error.hint,
        }
    };
    Problems(errors.into_iter().map(to_problem).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::MemoryTree;

    fn built(more: &str) -> Result<Desired, Problems> {
        let mut tree = MemoryTree::default();
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: {gitsync.dev/hook: pre-sync}\n";
        tree.insert("environments/prod/hook.yaml", &format!("{job}---\n{more}"));
        tree.insert("environments/prod/kustomization.yaml", "resources: [hook.yaml]\n");
        build(&tree, "environments/prod", &"a".repeat(40).parse().unwrap())
    }

    #[test]
    fn hooks_are_no_objects_and_change_what_is_asked_for() {
        let desired = built("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n").unwrap();
        assert_eq!((desired.objects.len(), desired.hooks.len()), (1, 1));
        let other = built("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n").unwrap();
        assert_ne!(desired.hash, other.hash);
    }

    #[test]
    fn nothing_to_apply_is_an_error_and_never_a_wish_to_delete_everything() {
        let skipped = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {gitsync.dev/hook: Skip}\n";
        for more in ["", skipped] {
            let told = built(more).unwrap_err().to_string();
            assert!(told.contains("renders no objects"), "{told}");
        }
    }
}
