//! Waves as git states them: an annotation with a whole number.

use manifest::Manifest;
use serde_json::Value;

use crate::problem::Problem;

/// The annotations that say an object's wave: ours and Argo CD's.
const ANNOTATIONS: [&str; 2] = ["gitsync.dev/sync-wave", "argocd.argoproj.io/sync-wave"];

/// The sync wave of an object; 0 where nothing else is said, or where what is said is no number.
#[must_use]
pub fn number(object: &Value) -> i32 {
    stated(object)
        .and_then(|(_, text)| text.parse().ok())
        .unwrap_or(0)
}

/// What is wrong with an object's wave, if anything is.
#[must_use]
pub fn check(manifest: &Manifest) -> Option<Problem> {
    let (key, text) = stated(manifest.value())?;
    text.parse::<i32>().is_err().then(|| {
        let pointer = format!("/metadata/annotations/{}", key.replace('/', "~1"));
        let origin = manifest.line_of(&pointer);
        Problem::new(format!("`{text}` is no sync wave"))
            .at(origin.as_ref().or(Some(manifest.origin())))
            .object(&manifest.id())
            .field(format!("metadata.annotations[{key}]"))
            .hint("write a whole number in quotes, for example \"-1\"")
    })
}

fn stated(object: &Value) -> Option<(&'static str, &str)> {
    let annotations = &object["metadata"]["annotations"];
    ANNOTATIONS
        .into_iter()
        .find_map(|key| Some((key, annotations[key].as_str()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wave_is_read_from_our_annotation_and_from_argo_cds() {
        let object = |annotations: Value| json!({"metadata": {"annotations": annotations}});
        for (annotations, wave) in [
            (json!({"gitsync.dev/sync-wave": "3"}), 3),
            (json!({"argocd.argoproj.io/sync-wave": "-2"}), -2),
            (
                json!({"gitsync.dev/sync-wave": "1", "argocd.argoproj.io/sync-wave": "2"}),
                1,
            ),
            (json!({}), 0),
            (Value::Null, 0),
        ] {
            assert_eq!(number(&object(annotations.clone())), wave, "{annotations}");
        }
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    gitsync.dev/sync-wave: first\n";
        let manifest = Manifest::parse(text, "a.yaml").unwrap().remove(0);
        let told = check(&manifest).map(|problem| problem.to_string()).unwrap();
        assert!(
            told.starts_with("a.yaml:6: ConfigMap a: ") && told.contains("`first` is no sync wave"),
            "{told}"
        );
    }
}
