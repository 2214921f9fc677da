//! Images transformer: new names, tags and digests of container images.

use manifest::{Node, Tag};
use regex::Regex;

use crate::args::Image;
use crate::build::Context;
use crate::error::Result;
use crate::fieldspec::FieldSpec;
use crate::resource::{ResMap, Resource};
use crate::selector::regex;
use crate::walk::{set_scalar, visit};

/// One image and the fields that hold images.
///
/// Two passes look for images, as in the reference: through `containers` and `initContainers` at any depth,
/// and through the field specs. An image that both find is changed twice, which shows in `tagSuffix`.
pub(crate) struct Images {
    image: Image,
    /// `None` when the name is no regular expression, and matches nothing.
    pattern: Option<Pattern>,
    fields: Vec<FieldSpec>,
}

enum Pattern {
    /// A name without special characters.
    Name(String),
    Regex(Regex),
}

const TAG_AND_DIGEST: &str = "(:[a-zA-Z0-9_.{}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{}-]*)?$";

impl Images {
    pub(crate) fn new(image: &Image, fields: Vec<FieldSpec>) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_/:@".contains(c);
        let pattern = if image.name.chars().all(plain) {
            Some(Pattern::Name(image.name.clone()))
        } else {
            regex(&format!("^{}{TAG_AND_DIGEST}", image.name))
                .ok()
                .map(Pattern::Regex)
        };
        Self {
            image: image.clone(),
            pattern,
            fields,
        }
    }

    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        resources.each(context, |resource| self.change(resource))
    }

    fn change(&self, resource: &mut Resource) -> std::result::Result<(), String> {
        if resource.kind() == "CustomResourceDefinition" {
            return Ok(());
        }
        self.walk(&mut resource.node)?;
        let matching = self.fields.iter().filter(|spec| spec.matches(&resource.node));
        for spec in matching.collect::<Vec<_>>() {
            visit(&mut resource.node, &spec.path, None, &mut |node| {
                self.update(node)
            })?;
        }
        Ok(())
    }

    /// Changes the images of all containers below a node.
    fn walk(&self, node: &mut Node) -> std::result::Result<(), String> {
        match &mut node.data {
            manifest::Data::Scalar(_) => Ok(()),
            manifest::Data::Sequence(items) => items.iter_mut().try_for_each(|item| self.walk(item)),
            manifest::Data::Mapping(entries) => entries.iter_mut().try_for_each(|(key, value)| {
                self.walk(value)?;
                if matches!(key.as_str(), Some("containers" | "initContainers")) {
                    return self.update_containers(value);
                }
                Ok(())
            }),
        }
    }

    fn update_containers(&self, containers: &mut Node) -> std::result::Result<(), String> {
        let Some(items) = containers.items_mut() else {
            return Ok(());
        };
        for item in items.iter_mut().filter(|item| !item.is_null()) {
            if !item.is_mapping() {
                return Err("a container must be a mapping".to_owned());
            }
            if let Some(image) = item.get_mut("image") {
                self.update(image)?;
            }
        }
        Ok(())
    }

    fn update(&self, node: &mut Node) -> std::result::Result<(), String> {
        if node.is_mapping() || node.is_sequence() {
            return Err("an image must be a string".to_owned());
        }
        let value = node.as_str().unwrap_or_default();
        if !self.matches(value) {
            return Ok(());
        }
        let new = self.renamed(value);
        set_scalar(node, new, Tag::None)
    }

    fn matches(&self, value: &str) -> bool {
        match &self.pattern {
            None => false,
            Some(Pattern::Regex(regex)) => regex.is_match(value),
            Some(Pattern::Name(name)) => value.strip_prefix(name.as_str()).is_some_and(is_tag_and_digest),
        }
    }

    fn renamed(&self, value: &str) -> String {
        let Image {
            new_name,
            tag_suffix,
            new_tag,
            digest: new_digest,
            ..
        } = &self.image;
        let (name, mut tag, mut digest) = split(value);
        let name = if new_name.is_empty() { name } else { new_name };
        let suffixed;
        match (new_tag.is_empty(), new_digest.is_empty()) {
            (false, false) => (tag, digest) = (new_tag, new_digest),
            (false, true) => (tag, digest) = (new_tag, ""),
            (true, false) => (tag, digest) = ("", new_digest),
            (true, true) if !tag_suffix.is_empty() => {
                suffixed = format!("{tag}{tag_suffix}");
                (tag, digest) = (&suffixed, "");
            }
            (true, true) => {}
        }
        let mut image = name.to_owned();
        for (mark, part) in [(':', tag), ('@', digest)] {
            if !part.is_empty() {
                image.push(mark);
                image.push_str(part);
            }
        }
        image
    }
}

/// Whether a text is what may follow the name: [`TAG_AND_DIGEST`] without a regular expression.
fn is_tag_and_digest(text: &str) -> bool {
    let word = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.{}-".contains(c))
    };
    let (tag, digest) = text
        .split_once('@')
        .map_or((text, None), |(tag, digest)| (tag, Some(digest)));
    let good_tag = tag.is_empty() || tag.strip_prefix(':').is_some_and(word);
    let good_digest = |digest: &str| {
        digest.split_once(':').is_some_and(|(algorithm, hash)| {
            let parts = algorithm.split(['.', '+', '_', '-']);
            word(hash)
                && parts
                    .into_iter()
                    .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()))
        })
    };
    good_tag && digest.is_none_or(good_digest)
}

/// Name, tag and digest of an image. A colon before the first slash belongs to the registry.
fn split(image: &str) -> (&str, &str, &str) {
    let start = image.find('/').unwrap_or(0);
    let rest = &image[start..];
    let at = rest.find('@').map(|at| at + start);
    let colon = rest.find(':').map(|at| at + start);
    match (colon, at) {
        (None, None) => (image, "", ""),
        (None, Some(at)) => (&image[..at], "", &image[at + 1..]),
        (Some(colon), Some(at)) if at < colon => (&image[..at], "", &image[at + 1..]),
        (Some(colon), Some(at)) => (&image[..colon], &image[colon + 1..at], &image[at + 1..]),
        (Some(colon), None) => (&image[..colon], &image[colon + 1..], ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_split() {
        let rows = [
            ("nginx", ("nginx", "", "")),
            ("nginx:1.2", ("nginx", "1.2", "")),
            ("a:80/b/c:1@sha256:x", ("a:80/b/c", "1", "sha256:x")),
            ("a/b@sha256:x", ("a/b", "", "sha256:x")),
        ];
        for (image, parts) in rows {
            assert_eq!(split(image), parts, "{image}");
        }
    }

    #[test]
    fn names_match_with_and_without_regular_expression() {
        let rows = [
            ("nginx", "nginx:1.2", true),
            ("nginx", "nginx2", false),
            ("nginx", "nginx@sha256:ab", true),
            ("nginx", "nginx:1@md.5:", true),
            ("nginx", "nginx@x", false),
            ("my.image", "my-image:1", true),
            (".*", "anything", true),
            ("[", "[", false),
        ];
        for (name, image, expected) in rows {
            let images = Images::new(
                &Image {
                    name: name.into(),
                    ..Image::default()
                },
                Vec::new(),
            );
            assert_eq!(images.matches(image), expected, "{name} {image}");
        }
    }
}
