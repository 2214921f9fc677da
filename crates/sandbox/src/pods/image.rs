//! Image: the parts of an image reference, and what a container runtime makes of it.

use ring::digest::{SHA256, digest};

/// A reference such as `registry:5000/team/app:1.0@sha256:…`, as a runtime reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// With the registry, and the tag `latest` if there is none: the `image` of a container's status.
    pub name: String,
    /// With the digest: the `imageID` of a container's status.
    pub id: String,
}

// === impl Image ===

impl Image {
    /// The reference as a runtime reports it. The digest is that of the reference, else the SHA-256 of its text: the same
    /// for the same reference everywhere.
    pub fn of(reference: &str) -> Self {
        let (tagged, pinned) = match reference.split_once('@') {
            Some((tagged, digest)) => (tagged, Some(digest.to_owned())),
            None => (reference, None),
        };
        let at = tagged.rfind('/').map_or(0, |slash| slash + 1);
        let end = tagged[at..].find(':').map_or(tagged.len(), |colon| at + colon);
        let repository = qualify(&tagged[..end]);
        let tag = match (&tagged[end..], &pinned) {
            ("", None) => ":latest",
            (tag, _) => tag,
        };
        let name = match (&pinned, tag) {
            (Some(digest), "") => format!("{repository}@{digest}"),
            _ => format!("{repository}{tag}"),
        };
        let hash = || {
            let bytes = digest(&SHA256, reference.as_bytes());
            let hex: String = bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("sha256:{hex}")
        };
        let id = format!("{repository}@{}", pinned.unwrap_or_else(hash));
        Self { name, id }
    }
}

/// Adds the registry that is meant where none is named.
fn qualify(repository: &str) -> String {
    match repository.split_once('/') {
        None => format!("docker.io/library/{repository}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => repository.to_owned(),
        Some(_) => format!("docker.io/{repository}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed() {
        for (reference, name, repository) in [
            (
                "nginx",
                "docker.io/library/nginx:latest",
                "docker.io/library/nginx",
            ),
            ("team/app:1.0", "docker.io/team/app:1.0", "docker.io/team/app"),
            (
                "registry:5000/app",
                "registry:5000/app:latest",
                "registry:5000/app",
            ),
            ("ghcr.io/team/app:2", "ghcr.io/team/app:2", "ghcr.io/team/app"),
        ] {
            let image = Image::of(reference);
            assert_eq!(image.name, name);
            assert!(
                image.id.starts_with(&format!("{repository}@sha256:")),
                "{}",
                image.id
            );
            assert_eq!(image, Image::of(reference));
        }
        let pinned = Image::of("app@sha256:aa");
        assert_eq!(
            (pinned.name.as_str(), pinned.id.as_str()),
            (
                "docker.io/library/app@sha256:aa",
                "docker.io/library/app@sha256:aa",
            )
        );
    }
}
