//! The tree that an environment is rendered from.
//!
//! Both overlays read the same base, so a commit to the base would reach prod at once. An environment that receives
//! promotions is therefore rendered from its own overlay at HEAD over the shared files at the revision that was
//! proved for it. Before the first promotion nothing is proved, and HEAD is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use manifest::{Manifest, Packed};

use super::{Desired, build};
use crate::config::repository::Environment;
use crate::problem::{Problem, Problems};
use crate::source::{Layered, Snapshot, is_below};

/// A rendering that can be used again for another commit, as long as everything that it read is the same there.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The rendering without its objects.
    desired: Desired,
    objects: Objects,
    /// The ids of the files that were read, and of their directories: a file more or less may change the rendering too.
    ids: BTreeMap<String, String>,
}

/// The objects of a rendering.
#[derive(Debug, Clone)]
enum Objects {
    /// As values, while something is done with them.
    Awake(Arc<Vec<Manifest>>),
    /// As text, which takes a tenth of the memory.
    AtRest(Box<[Packed]>),
}

/// Renders the environment in a directory as it should be now: `proved` is the snapshot of its `verified`'s revision.
///
/// # Errors
///
/// As [`build`]. When HEAD alone would render and the mixture does not, the problem says which revision is waited
/// for: an environment is never rendered from files that were not proved together.
pub fn render(dir: &str, head: &Snapshot, proved: Option<&Snapshot>) -> Result<Desired, Problems> {
    let Some(proved) = proved else {
        return build(head.files(), dir, head.revision());
    };
    let layered = Layered::new(dir, head.files(), proved.files());
    let built = build(&layered, dir, head.revision());
    let pinned = built.map(|desired| Desired {
        shared: proved.revision().clone(),
        ..desired
    });
    pinned.map_err(|mut problems| {
        if build(head.files(), dir, head.revision()).is_ok() {
            let message = format!(
                "the overlay needs shared files that revision {} does not have; it waits until a later revision is proved",
                proved.revision().short()
            );
            problems.0.insert(0, Problem::new(message).at_line(dir, 0));
        }
        problems
    })
}

// === impl Rendered ===

impl Rendered {
    /// Keeps a rendering of these trees; `None` when they have no ids, as files on a disk have none.
    #[must_use]
    pub fn keep(
        desired: &Desired,
        environment: &Environment,
        head: &Snapshot,
        proved: Option<&Snapshot>,
    ) -> Option<Self> {
        let mut ids = BTreeMap::new();
        for file in desired.files.iter() {
            let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
            for path in [file.as_str(), directory] {
                ids.insert(path.to_owned(), id(path, environment, head, proved)?);
            }
        }
        Some(Self {
            objects: Objects::Awake(Arc::clone(&desired.objects)),
            desired: Desired {
                objects: Arc::default(),
                ..desired.clone()
            },
            ids,
        })
    }

    /// The same rendering for other trees, if they hold the same files.
    pub fn reuse(
        &mut self,
        environment: &Environment,
        head: &Snapshot,
        proved: Option<&Snapshot>,
    ) -> Option<Desired> {
        let same =
            |(path, known): (&String, &String)| id(path, environment, head, proved).as_ref() == Some(known);
        let shared = proved.unwrap_or(head).revision().clone();
        let revision = head.revision().clone();
        self.ids.iter().all(same).then(|| Desired {
            revision,
            shared,
            objects: self.objects.wake(),
            ..self.desired.clone()
        })
    }

    /// Nothing is done with the objects for a while.
    pub fn rest(&mut self) {
        if let Objects::Awake(objects) = &self.objects {
            self.objects = Objects::AtRest(objects.iter().map(Manifest::pack).collect());
        }
    }
}

// === impl Objects ===

impl Objects {
    fn wake(&mut self) -> Arc<Vec<Manifest>> {
        let objects = match self {
            Self::Awake(objects) => Arc::clone(objects),
            Self::AtRest(packed) => Arc::new(packed.iter().map(Packed::unpack).collect()),
        };
        *self = Self::Awake(Arc::clone(&objects));
        objects
    }
}

/// The id of a path in the tree that [`render`] would read it from.
fn id(path: &str, environment: &Environment, head: &Snapshot, proved: Option<&Snapshot>) -> Option<String> {
    match proved.filter(|_| !is_below(&environment.dir, path)) {
        Some(proved) => proved.tree_id(path),
        None => head.tree_id(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::repository;
    use crate::source::testing::MemoryTree;

    fn mk_tree() -> MemoryTree {
        let mut tree = MemoryTree::default();
        tree.insert("apps/web/kustomization.yaml", "resources: [web.yaml]\n");
        tree.insert(
            "apps/web/web.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: base}\n",
        );
        tree.insert(
            "environments/prod/kustomization.yaml",
            "resources: [../../apps/web]\n",
        );
        let environment = "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {name: prod}\nspec: {cluster: {context: prod}}\n";
        tree.insert("environments/prod/environment.yaml", environment);
        tree
    }

    fn mk_snapshot(digit: char, tree: &MemoryTree) -> Snapshot {
        Snapshot::new(
            digit.to_string().repeat(40).parse().unwrap(),
            Arc::new(tree.clone()),
        )
    }

    fn prod(tree: &MemoryTree) -> Environment {
        repository::read(tree)
            .unwrap()
            .environment("prod")
            .unwrap()
            .clone()
    }

    #[test]
    fn the_overlay_is_read_from_head_and_the_rest_from_what_was_proved() {
        let (proved, mut head) = (mk_tree(), mk_tree());
        head.insert(
            "apps/web/web.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: newer}\n",
        );
        head.insert(
            "environments/prod/kustomization.yaml",
            "namePrefix: my-\nresources: [../../apps/web]\n",
        );
        let desired = render(
            &prod(&head).dir,
            &mk_snapshot('b', &head),
            Some(&mk_snapshot('a', &proved)),
        )
        .unwrap();
        assert_eq!(desired.objects[0].name(), "my-web");
        assert_eq!(desired.objects[0].value()["data"]["a"], "base");
    }

    #[test]
    fn what_was_not_proved_together_is_not_rendered() {
        let (proved, mut head) = (mk_tree(), mk_tree());
        head.insert("apps/new/kustomization.yaml", "resources: [new.yaml]\n");
        head.insert(
            "apps/new/new.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n",
        );
        head.insert(
            "environments/prod/kustomization.yaml",
            "resources: [../../apps/web, ../../apps/new]\n",
        );
        let problems = render(
            &prod(&head).dir,
            &mk_snapshot('b', &head),
            Some(&mk_snapshot('a', &proved)),
        )
        .unwrap_err();
        assert!(
            problems
                .to_string()
                .contains("needs shared files that revision aaaaaaaa does not have"),
            "{problems}"
        );
    }

    #[test]
    fn an_unchanged_tree_is_not_rendered_again_and_a_changed_one_is() {
        let tree = mk_tree();
        let (environment, before) = (prod(&tree), mk_snapshot('a', &tree));
        let desired = render(&environment.dir, &before, None).unwrap();
        let mut kept = Rendered::keep(&desired, &environment, &before, None).unwrap();
        kept.rest();
        let mut elsewhere = tree.clone();
        elsewhere.insert("README.md", "other");
        let reused = kept
            .reuse(&environment, &mk_snapshot('b', &elsewhere), None)
            .unwrap();
        assert_eq!(reused.objects, desired.objects);
        assert_eq!(reused.revision.short(), "bbbbbbbb");
        for (path, text) in [
            (
                "apps/web/web.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
            ),
            ("apps/web/kustomization.yml", "a second one is an error"),
        ] {
            let mut changed = tree.clone();
            changed.insert(path, text);
            assert!(
                kept.reuse(&environment, &mk_snapshot('c', &changed), None)
                    .is_none(),
                "{path}"
            );
        }
    }
}
