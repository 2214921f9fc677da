//! Survey: everything that is wrong with a commit, and the overlays that can be looked at all the same.

use super::environments::stages;
use super::{Config, ENVIRONMENTS, Reader};
use crate::config::environment::Allow;
use crate::config::verified::VerifiedSpec;
use crate::problem::Problem;
use crate::source::Tree;

/// What a commit says, mistakes included.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    /// The overlay of every directory that has an `environment.yaml`, sound or not; of each app where these have one each.
    pub overlays: Vec<Overlay>,
    /// Everything that is wrong with gitsync's own documents.
    pub problems: Vec<Problem>,
}

/// An environment as far as its overlay is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlay {
    /// Its directory from the root of the repository.
    pub dir: String,
    /// What was proved for it, once something was.
    pub verified: Option<VerifiedSpec>,
    /// What may be applied to it, as far as that can be read.
    pub allow: Option<Allow>,
}

/// Reads a commit to find all of its mistakes: one in a document hides none in an overlay.
#[must_use]
pub fn survey(tree: &dyn Tree) -> Survey {
    let mut reader = Reader::default();
    reader.environments(tree);
    reader.policies(tree);
    let config = reader.resolve();
    let mut overlays = Vec::new();
    for (name, apps) in stages(tree) {
        let dir = format!("{ENVIRONMENTS}/{name}");
        let dirs = if apps.is_empty() {
            vec![dir]
        } else {
            apps.iter().map(|app| format!("{dir}/{app}")).collect()
        };
        overlays.extend(dirs.into_iter().map(|dir| reader.overlay(&config, dir)));
    }
    Survey {
        overlays,
        problems: reader.problems,
    }
}

impl Reader {
    fn overlay(&mut self, config: &Config, dir: String) -> Overlay {
        let sound = config.environments.values().find(|known| known.dir == dir);
        // What belongs to no sound environment is still the reader's.
        let left = self.verified.remove(&dir).map(|found| found.document.spec);
        Overlay {
            dir,
            verified: sound.and_then(|known| known.verified.clone()).or(left),
            allow: sound.and_then(|known| known.spec.allow.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::MemoryTree;

    const PROD: &str = "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {name: prod}\nspec:\n  cluster: {context: prod}\n";

    #[test]
    fn an_environment_that_cannot_be_read_still_has_an_overlay() {
        let mut tree = MemoryTree::default();
        tree.insert("environments/prod/environment.yaml", PROD);
        let broken = PROD.replace("prod", "staging").replace("cluster", "clutser");
        tree.insert("environments/staging/environment.yaml", &broken);
        let verified = format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Verified\nmetadata: {{name: staging}}\nspec:\n  from: dev\n  revision: {}\n  images: []\n  time: 2026-01-01T00:00:00Z\n",
            "a".repeat(40)
        );
        tree.insert("environments/staging/verified.yaml", &verified);
        tree.insert("environments/README.md", "no environment");
        let survey = survey(&tree);
        let dirs: Vec<(&str, bool)> = survey
            .overlays
            .iter()
            .map(|overlay| (overlay.dir.as_str(), overlay.verified.is_some()))
            .collect();
        assert_eq!(
            dirs,
            [("environments/prod", false), ("environments/staging", true)]
        );
        let told: Vec<String> = survey.problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains("clutser")), "{told:#?}");
    }
}
