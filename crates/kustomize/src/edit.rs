//! Edit: a change of one entry of a kustomization file that leaves every other byte as it is.
//!
//! A file that people keep in git is theirs: its comments, quotes, order, line ends and final newline stay. So
//! nothing is read and printed again here. The place of the value is found by the parser's byte spans, its bytes
//! are replaced, and the result is read once more by the same reader that renders: it must differ from the
//! original by exactly the wanted value. A shape that this module does not know ends as an error, never as a
//! wrong file.
//!
//! ```
//! use kustomize::edit::{NewImage, set_image};
//!
//! let text = "images:\n- name: web # the shop\n  newTag: v1\n";
//! let to = NewImage { new_tag: Some("1.20".into()), ..NewImage::default() };
//! // Unquoted, 1.20 would be a number and lose its zero.
//! assert_eq!(set_image(text, "web", &to)?, "images:\n- name: web # the shop\n  newTag: \"1.20\"\n");
//! # Ok::<(), kustomize::edit::EditError>(())
//! ```

mod change;
mod patch;
mod scalar;
mod spans;
#[cfg(test)]
mod tests;

use change::{Change, Value};
use spans::{Data, Document, Node};

/// What an image becomes. A field that is `None` is left alone, except that a tag given without a digest drops
/// the digest, and the reverse.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewImage {
    /// The repository that is used instead of the name.
    pub new_name: Option<String>,
    /// The tag.
    pub new_tag: Option<String>,
    /// The digest, `sha256:…`.
    pub digest: Option<String>,
}

/// An entry of `images:`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageEntry {
    /// The image name that manifests use.
    pub name: String,
    /// The repository that is used instead.
    pub new_name: Option<String>,
    /// The tag.
    pub new_tag: Option<String>,
    /// The digest.
    pub digest: Option<String>,
    /// The line of the entry, from 1.
    pub line: usize,
}

/// A kustomization that cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no kustomization.
    #[error("line {line}: {reason}")]
    Invalid {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The text is fine, but cannot be edited without touching something else.
    #[error("line {line}: {reason}; edit the file by hand")]
    Unsafe {
        /// The line, from 1.
        line: usize,
        /// What stands in the way.
        reason: String,
    },
}

impl EditError {
    /// The line that it is about, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::Invalid { line, .. } | Self::Unsafe { line, .. } => *line,
        }
    }
}

/// The keys of an entry of `images:`, in kustomize's order.
const IMAGE_KEYS: &[&str] = &["name", "newName", "newTag", "digest"];

/// The keys of an entry of `replicas:`.
const REPLICA_KEYS: &[&str] = &["name", "count"];

/// Sets the repository, tag or digest of an image; adds the entry and the section where they are missing.
///
/// # Errors
///
/// When the text is no kustomization, or cannot be edited without touching something else.
pub fn set_image(text: &str, name: &str, to: &NewImage) -> Result<String, EditError> {
    let NewImage {
        new_name,
        new_tag,
        digest,
    } = to;
    let only = |drop, other: &Option<String>| if other.is_none() { Some(drop) } else { None };
    let steps = [
        (new_name.as_deref(), "newName", None),
        (new_tag.as_deref(), "newTag", only("digest", digest)),
        (digest.as_deref(), "digest", only("newTag", new_tag)),
    ];
    let wanted = steps
        .into_iter()
        .filter_map(|(value, key, drop)| Some((value?, key, drop)));
    wanted
        .into_iter()
        .try_fold(text.to_owned(), |text, (value, key, drop)| {
            let value = Value::Text(value);
            Change {
                section: "images",
                keys: IMAGE_KEYS,
                name,
                key,
                value,
                drop,
            }
            .apply(&text)
        })
}

/// Sets the number of replicas of a workload; adds the entry and the section where they are missing.
///
/// # Errors
///
/// When the text is no kustomization, or cannot be edited without touching something else.
pub fn set_replicas(text: &str, name: &str, count: u32) -> Result<String, EditError> {
    let value = Value::Count(count);
    Change {
        section: "replicas",
        keys: REPLICA_KEYS,
        name,
        key: "count",
        value,
        drop: None,
    }
    .apply(text)
}

/// Lists the entries of `images:`.
///
/// # Errors
///
/// When the text is no kustomization, or an entry has no name.
pub fn images(text: &str) -> Result<Vec<ImageEntry>, EditError> {
    let document = Document::parse(text)?;
    let Some(section) = document.section("images")? else {
        return Ok(Vec::new());
    };
    section.items().iter().map(|item| document.image(item)).collect()
}

impl Document<'_> {
    fn image(&self, item: &Node) -> Result<ImageEntry, EditError> {
        let item = self.target(item);
        let line = self.line(item.span.start);
        if !matches!(item.data, Data::Mapping { .. }) {
            return Err(EditError::Invalid {
                line,
                reason: "an entry of `images` is not a mapping".to_owned(),
            });
        }
        let value = |key: &str| {
            let found = self.target(item.get(key)?).text().filter(|text| !text.is_empty());
            found.map(str::to_owned)
        };
        let name = value("name").ok_or_else(|| EditError::Invalid {
            line,
            reason: "an entry of `images` has no name".to_owned(),
        })?;
        let (new_name, new_tag, digest) = (value("newName"), value("newTag"), value("digest"));
        Ok(ImageEntry {
            name,
            new_name,
            new_tag,
            digest,
            line,
        })
    }
}
