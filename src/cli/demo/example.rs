//! The example: this project's own `apps`, `environments` and `policies`, as they were when the program was built.

use crate::model::Edit;

/// How long the demo's load check takes; the example's own takes longer.
pub const CHECK_SECONDS: u32 = 4;

/// The file that the demo changes in its copy, and what it changes there.
const LOAD_CHECK: &str = "policies/load-check.yaml";
const OWN_DURATION: &str = "duration: 10s";

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = embedded![
    "apps/flask-app/deployment.yaml",
    "apps/flask-app/kustomization.yaml",
    "apps/flask-app/service.yaml",
    "environments/prod/environment.yaml",
    "environments/prod/kustomization.yaml",
    "environments/prod/namespace.yaml",
    "environments/staging/environment.yaml",
    "environments/staging/kustomization.yaml",
    "environments/staging/namespace.yaml",
    "policies/deployments-are-bounded.yaml",
    "policies/kustomization.yaml",
    "policies/load-check.yaml",
    "policies/promotion.yaml",
];

/// The files of the demo's repository: the example, with a shorter load check.
pub fn files() -> Edit {
    let content = |path: &str, text: &str| match path {
        LOAD_CHECK => text.replace(OWN_DURATION, &format!("duration: {CHECK_SECONDS}s")),
        _ => text.to_owned(),
    };
    let files = FILES
        .iter()
        .map(|(path, text)| ((*path).to_owned(), content(path, text).into_bytes()));
    Edit {
        files: files.collect(),
        ..Edit::default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every file below a directory of the repository, in order.
    fn below(dir: &str, found: &mut Vec<String>) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                below(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_example_is_in_it() {
        let mut wanted = Vec::new();
        for dir in ["apps", "environments", "policies"] {
            below(dir, &mut wanted);
        }
        wanted.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(embedded, wanted);
    }

    #[test]
    fn the_check_is_shorter_and_nothing_else_is_changed() {
        let files = files().files;
        for (path, text) in FILES {
            let changed = files[*path] != text.as_bytes();
            assert_eq!(changed, *path == LOAD_CHECK, "{path}");
        }
        let check = String::from_utf8(files[LOAD_CHECK].clone()).unwrap();
        assert_eq!(
            check.lines().filter(|line| line.contains("duration: 4s")).count(),
            1,
            "{check}"
        );
    }
}
