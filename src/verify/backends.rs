//! Backends: do the pods behind a Service run exactly the images that git asks for?
//!
//! A check proves something only of what answered it. So before its first and after its last request every ready
//! endpoint of the Service is looked at; if one runs anything else, the verification is void.

use std::collections::{BTreeMap, BTreeSet};

use manifest::Manifest;
use serde_json::Value;

use crate::config::verified::VerifiedImage;
use crate::model::ImageRef;

/// A pod that is a ready endpoint of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The pod's name.
    pub pod: String,
    /// Its containers' images, as its spec names them.
    pub images: BTreeSet<String>,
    /// The digests that the kubelet reports, by image; empty where it reports none.
    pub digests: BTreeMap<String, String>,
}

/// The images that the workloads behind a Service should run, by the Service's selector.
///
/// # Errors
///
/// When the rendered objects hold no such Service, it has no selector, or no workload matches it.
pub fn expected_images(objects: &[Manifest], service: &str) -> Result<BTreeSet<String>, String> {
    let found = objects.iter().find(|object| {
        object.gvk().kind == "Service" && object.gvk().group.is_empty() && object.name() == service
    });
    let Some(found) = found else {
        return Err(format!("git has no Service `{service}` in this environment"));
    };
    let selector = found
        .value()
        .pointer("/spec/selector")
        .and_then(Value::as_object)
        .filter(|selector| !selector.is_empty());
    let Some(selector) = selector else {
        return Err(format!(
            "Service `{service}` has no selector, so it is not known which pods answer"
        ));
    };
    let mut images = BTreeSet::new();
    for object in objects
        .iter()
        .filter(|object| object.namespace() == found.namespace())
    {
        let Some(template) = object.value().pointer("/spec/template") else {
            continue;
        };
        let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
        let matches =
            labels.is_some_and(|labels| selector.iter().all(|(key, value)| labels.get(key) == Some(value)));
        if matches {
            images.extend(container_images(&template["spec"]));
        }
    }
    if images.is_empty() {
        return Err(format!(
            "no workload in git matches the selector of Service `{service}`"
        ));
    }
    Ok(images)
}

/// The images of the containers of a pod spec; init containers included.
pub fn container_images(pod_spec: &Value) -> impl Iterator<Item = String> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pod_spec[list].as_array().into_iter().flatten())
        .filter_map(|container| container["image"].as_str())
        .map(str::to_owned)
}

/// A backend, read from a live pod.
#[must_use]
pub fn backend(pod: &Value) -> Backend {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let mut digests = BTreeMap::new();
    for status in statuses.into_iter().flatten() {
        let name = status["name"].as_str().unwrap_or_default();
        let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
        let image = containers
            .into_iter()
            .flatten()
            .find(|c| c["name"] == name)
            .and_then(|c| c["image"].as_str());
        let digest = status["imageID"]
            .as_str()
            .and_then(|id| id.rsplit_once('@'))
            .map(|(_, digest)| digest);
        if let (Some(image), Some(digest)) = (image, digest) {
            digests.insert(image.to_owned(), digest.to_owned());
        }
    }
    Backend {
        pod: pod
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        images: container_images(&pod["spec"]).collect(),
        digests,
    }
}

/// The images that ran, if every backend runs exactly what is expected.
///
/// # Errors
///
/// Says what is wrong: nobody answers, a pod runs something else, one tag stands for two digests.
pub fn judge(backends: &[Backend], expected: &BTreeSet<String>) -> Result<Vec<VerifiedImage>, String> {
    if backends.is_empty() {
        return Err("no pod is ready behind the Service".to_owned());
    }
    let mut digests: BTreeMap<&str, &str> = BTreeMap::new();
    for backend in backends {
        if let Some(other) = backend.images.iter().find(|image| !expected.contains(*image)) {
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            return Err(format!(
                "pod {} answers with {other}, not with {}",
                backend.pod,
                expected.join(", ")
            ));
        }
        for (image, digest) in &backend.digests {
            if let Some(before) = digests.insert(image, digest).filter(|before| before != digest) {
                return Err(format!(
                    "{image} is {before} in one pod and {digest} in pod {}",
                    backend.pod
                ));
            }
        }
    }
    Ok(expected
        .iter()
        .map(|image| proved(image, digests.get(image.as_str()).copied()))
        .collect())
}

fn proved(image: &str, digest: Option<&str>) -> VerifiedImage {
    match image.parse::<ImageRef>() {
        Ok(image) => VerifiedImage {
            name: image.repository,
            tag: image.tag,
            digest: image.digest.or(digest.map(str::to_owned)),
        },
        Err(_) => VerifiedImage {
            name: image.to_owned(),
            tag: None,
            digest: digest.map(str::to_owned),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OBJECTS: &str = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web, tier: front}}
    spec: {containers: [{name: web, image: 'a/web:v2'}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: shop}
spec:
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: other, image: 'a/other:v1'}]}
";

    fn mk_backend(pod: &str, image: &str, digest: Option<&str>) -> Backend {
        let id = digest
            .map(|digest| format!("docker.io/{image}@{digest}"))
            .unwrap_or_default();
        backend(
            &json!({"metadata": {"name": pod}, "spec": {"containers": [{"name": "web", "image": image}]},
            "status": {"containerStatuses": [{"name": "web", "imageID": id}]}}),
        )
    }

    #[test]
    fn the_expected_images_are_those_behind_the_service() {
        let objects = Manifest::parse(OBJECTS, "all.yaml").unwrap();
        assert_eq!(
            expected_images(&objects, "web").unwrap(),
            BTreeSet::from(["a/web:v2".to_owned()])
        );
        assert!(
            expected_images(&objects, "nowhere")
                .unwrap_err()
                .contains("no Service")
        );
    }

    #[test]
    fn anything_but_the_expected_image_is_refused() {
        let expected = BTreeSet::from(["a/web:v2".to_owned()]);
        let good = [
            mk_backend("p1", "a/web:v2", Some("sha256:1")),
            mk_backend("p2", "a/web:v2", Some("sha256:1")),
        ];
        let images = judge(&good, &expected).unwrap();
        assert_eq!(
            images,
            [VerifiedImage {
                name: "a/web".into(),
                tag: Some("v2".into()),
                digest: Some("sha256:1".into())
            }]
        );
        assert_eq!(
            judge(&[mk_backend("p1", "a/web:v2", None)], &expected).unwrap()[0].digest,
            None
        );
        for (name, backends, part) in [
            ("nobody", vec![], "no pod is ready"),
            (
                "an old pod",
                vec![good[0].clone(), mk_backend("p3", "a/web:v1", None)],
                "pod p3 answers with a/web:v1",
            ),
            (
                "a moved tag",
                vec![good[0].clone(), mk_backend("p4", "a/web:v2", Some("sha256:2"))],
                "sha256:2 in pod p4",
            ),
        ] {
            let why = judge(&backends, &expected).unwrap_err();
            assert!(why.contains(part), "{name}: {why}");
        }
    }
}
