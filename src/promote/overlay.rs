//! Overlay: the kustomization of an environment, and where in it an image is set.

use kustomize::edit::{self, EditError, ImageEntry, NewImage};
use manifest::Manifest;
use serde_json::Value;

use crate::config::repository::KUSTOMIZATION_FILES;
use crate::model::ImageRef;
use crate::problem::{Problem, Problems, suggest};
use crate::source::Snapshot;

/// A wish: what is called `name` runs `image`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageChange {
    /// A container's name, or a name in `images:`.
    pub name: String,
    /// What it becomes.
    pub image: ImageRef,
}

/// A wish: the workload called `name` has `count` replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleChange {
    /// The workload's name.
    pub name: String,
    /// How many replicas.
    pub count: u32,
}

/// The path and text of the kustomization in a directory.
///
/// # Errors
///
/// When there is none, or it is not text.
pub fn kustomization(snapshot: &Snapshot, dir: &str) -> Result<(String, String), Problems> {
    for name in KUSTOMIZATION_FILES {
        let path = format!("{dir}/{name}");
        match snapshot.tree().text(&path) {
            Ok(Some(text)) => return Ok((path, text)),
            Ok(None) => {}
            Err(error) => return Err(Problem::new(error).at_line(&path, 0).into()),
        }
    }
    Err(Problem::new("there is no kustomization.yaml")
        .at_line(dir, 0)
        .into())
}

/// The names in a kustomization's `images:`; none where it cannot be read.
#[must_use]
pub fn image_names(text: &str) -> Vec<String> {
    let entries = edit::images(text).unwrap_or_default();
    entries.into_iter().map(|entry| entry.name).collect()
}

/// An edit that was refused, as a problem of the file.
#[must_use]
pub fn edit_problem(path: &str, error: &EditError) -> Problem {
    let (EditError::Invalid { line, reason } | EditError::Unsafe { line, reason }) = error;
    let problem = Problem::new(reason.clone()).at_line(path, u32::try_from(*line).unwrap_or(0));
    match error {
        EditError::Invalid { .. } => problem,
        EditError::Unsafe { .. } => problem.hint("edit the file by hand"),
    }
}

/// The text of a kustomization in which every wish for an image is fulfilled; every other byte is as it was.
///
/// # Errors
///
/// Every name that leads nowhere, and every place that cannot be edited safely.
pub fn set_images(
    path: &str,
    text: &str,
    changes: &[ImageChange],
    objects: &[Manifest],
) -> Result<String, Problems> {
    let set = |text: &str, change: &ImageChange| {
        let entries = edit::images(text).map_err(|error| edit_problem(path, &error))?;
        let (name, image) = resolve(change, &entries, objects, path)?;
        edit::set_image(text, &name, &image).map_err(|error| edit_problem(path, &error))
    };
    one_by_one(text, changes, set)
}

/// The text of a kustomization in which every wish for a number of replicas is fulfilled.
///
/// # Errors
///
/// Every name that no workload has, and every place that cannot be edited safely.
pub fn set_replicas(
    path: &str,
    text: &str,
    changes: &[ScaleChange],
    objects: &[Manifest],
) -> Result<String, Problems> {
    let scalable =
        |object: &&Manifest| object.value().pointer("/spec/replicas").is_some() || is_workload(object);
    let known: Vec<&str> = objects.iter().filter(scalable).map(Manifest::name).collect();
    let set = |text: &str, change: &ScaleChange| {
        if known.contains(&change.name.as_str()) {
            return edit::set_replicas(text, &change.name, change.count)
                .map_err(|error| edit_problem(path, &error));
        }
        let message = format!("no Deployment or StatefulSet is called `{}`", change.name);
        let hint = match suggest(&change.name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there is {}", known.join(", ")),
        };
        Err(Problem::new(message).at_line(path, 0).hint(hint))
    };
    one_by_one(text, changes, set)
}

fn is_workload(object: &Manifest) -> bool {
    matches!(
        object.gvk().kind.as_str(),
        "Deployment" | "StatefulSet" | "ReplicaSet"
    )
}

/// Fulfils wishes one after the other; the problems of all of them are told together.
fn one_by_one<C>(
    text: &str,
    changes: &[C],
    set: impl Fn(&str, &C) -> Result<String, Problem>,
) -> Result<String, Problems> {
    let mut text = text.to_owned();
    let mut problems = Vec::new();
    for change in changes {
        match set(&text, change) {
            Ok(next) => text = next,
            Err(problem) => problems.push(problem),
        }
    }
    Problems(problems).into_result().map(|()| text)
}

/// The entry of `images:` that a wish is about, and what is set there.
///
/// A name is looked up, in this order, among the entries' names, among the images they are renamed to, and among the
/// containers of the rendered objects, whose image leads to the entry.
///
/// # Errors
///
/// When nothing is called so; the problem names what there is.
pub fn resolve(
    change: &ImageChange,
    entries: &[ImageEntry],
    objects: &[Manifest],
    path: &str,
) -> Result<(String, NewImage), Problem> {
    let by_name = |name: &str| {
        entries
            .iter()
            .find(|entry| entry.name == name || entry.new_name.as_deref() == Some(name))
    };
    let of_container =
        || container_image(objects, &change.name).and_then(|image| image.parse::<ImageRef>().ok());
    let (name, present) = match by_name(&change.name) {
        Some(entry) => (entry.name.clone(), entry.new_name.clone()),
        None => match of_container() {
            Some(image) => match by_name(&image.repository) {
                Some(entry) => (entry.name.clone(), entry.new_name.clone()),
                None => (image.repository, None),
            },
            None if change.image.repository == change.name => (change.name.clone(), None),
            None => return Err(unknown(change, entries, objects).at_line(path, 0)),
        },
    };
    let shown = present.as_deref().unwrap_or(&name);
    let new_name = if change.image.repository == shown {
        present.clone()
    } else {
        Some(change.image.repository.clone())
    };
    Ok((
        name,
        NewImage {
            new_name,
            new_tag: change.image.tag.clone(),
            digest: change.image.digest.clone(),
        },
    ))
}

fn containers(objects: &[Manifest]) -> impl Iterator<Item = &Value> {
    let at = [
        "/spec/template/spec/containers",
        "/spec/template/spec/initContainers",
        "/spec/jobTemplate/spec/template/spec/containers",
    ];
    objects.iter().flat_map(move |object| {
        let lists = at
            .into_iter()
            .filter_map(|pointer| object.value().pointer(pointer)?.as_array());
        lists.flatten().collect::<Vec<_>>()
    })
}

fn container_image<'a>(objects: &'a [Manifest], name: &str) -> Option<&'a str> {
    containers(objects)
        .find(|container| container["name"] == name)?
        .get("image")?
        .as_str()
}

fn unknown(change: &ImageChange, entries: &[ImageEntry], objects: &[Manifest]) -> Problem {
    let of_containers = containers(objects).filter_map(|container| container["name"].as_str());
    let mut known: Vec<&str> = entries
        .iter()
        .map(|entry| entry.name.as_str())
        .chain(of_containers)
        .collect();
    known.sort_unstable();
    known.dedup();
    let problem = Problem::new(format!(
        "no container and no entry of `images:` is called `{}`",
        change.name
    ));
    match suggest(&change.name, known.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("there is {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n      - {name: web, image: 'team/web:v1'}\n      - {name: log, image: 'team/log:v7'}\n";

    fn mk_entry(name: &str, new_name: Option<&str>) -> ImageEntry {
        ImageEntry {
            name: name.into(),
            new_name: new_name.map(str::to_owned),
            new_tag: Some("v1".into()),
            digest: None,
            line: 1,
        }
    }

    fn resolved(wish: &str, entries: &[ImageEntry]) -> Result<(String, Option<String>), String> {
        let (name, image) = wish.split_once('=').unwrap();
        let change = ImageChange {
            name: name.into(),
            image: image.parse().unwrap(),
        };
        let objects = Manifest::parse(WEB, "web.yaml").unwrap();
        let found = resolve(&change, entries, &objects, "kustomization.yaml");
        found
            .map(|(name, image)| (name, image.new_name))
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_name_is_an_entrys_a_renamed_images_or_a_containers() {
        let plain = [mk_entry("team/web", None)];
        let renamed = [mk_entry("placeholder", Some("team/web"))];
        for (case, wish, entries, name, new_name) in [
            ("an entry", "team/web=team/web:v2", &plain[..], "team/web", None),
            ("a container", "web=team/web:v2", &plain, "team/web", None),
            (
                "a container without an entry",
                "log=team/log:v8",
                &plain,
                "team/log",
                None,
            ),
            (
                "another repository",
                "web=mirror/web:v2",
                &plain,
                "team/web",
                Some("mirror/web"),
            ),
            (
                "a placeholder",
                "placeholder=team/web:v2",
                &renamed,
                "placeholder",
                Some("team/web"),
            ),
            (
                "a container of a renamed image",
                "web=team/web:v2",
                &renamed,
                "placeholder",
                Some("team/web"),
            ),
        ] {
            assert_eq!(
                resolved(wish, entries).unwrap(),
                (name.to_owned(), new_name.map(str::to_owned)),
                "{case}"
            );
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_what_was_meant() {
        let why = resolved("wbe=team/web:v2", &[mk_entry("team/web", None)]).unwrap_err();
        assert!(why.contains("kustomization.yaml: no container and no entry of `images:` is called `wbe` (did you mean `web`?)"), "{why}");
    }
}
