//! Model: the words that all stages share. Names, revisions, images, edits; no behaviour beyond their own text form.

pub mod trailer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of an environment, for example `staging`: a DNS label, as Kubernetes names are. Where each app of an environment
/// has a directory, the name of the app follows after a dot: `staging.web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvName(String);

/// A commit of the repository: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision(String);

/// An image as a container names it: a repository, and a tag, a digest or both.
///
/// `registry.example/team/app:1.2@sha256:…` has the repository `registry.example/team/app`, the tag `1.2`
/// and the digest `sha256:…`. Follows the reference grammar of the OCI distribution specification as far as
/// splitting needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    /// Everything before the tag and the digest, registry and port included.
    pub repository: String,
    /// The tag, when there is one.
    pub tag: Option<String>,
    /// The digest (`sha256:…`), when there is one.
    pub digest: Option<String>,
}

/// A change to files of a repository: path (slash-separated, from the root) to new content.
///
/// An edit is applied to one commit's tree; a path that is not named keeps its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// New contents by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The files that go; one that is not there is none that has to.
    pub removed: BTreeSet<String>,
}

/// What a commit says: a subject, an optional body and trailers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitMessage {
    /// The first line, imperative, without a full stop.
    pub subject: String,
    /// Free text below the subject; may be empty.
    pub body: String,
    /// `Key: value` lines at the end, in this order (`git interpret-trailers` reads them).
    pub trailers: Vec<(String, String)>,
}

/// A text that is not a value of the type it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseError {
    /// What was read.
    pub text: String,
    /// What would have been right.
    pub expected: &'static str,
}

// === impl EnvName ===

impl EnvName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the app.
    #[must_use]
    pub fn stage(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The app, if it is the name of one app of an environment.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, app)| app)
    }

    /// The name of an app of this environment.
    ///
    /// # Errors
    ///
    /// When the app's name is none, or the whole is too long for a label.
    pub fn with_app(&self, app: &str) -> Result<Self, ParseError> {
        format!("{}.{app}", self.stage()).parse()
    }
}

impl FromStr for EnvName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let is_label = |part: &str| {
            let bytes = part.as_bytes();
            bytes.iter().all(|b| inner(*b)) && edge(bytes.first()) && edge(bytes.last())
        };
        let parts: Vec<&str> = text.split('.').collect();
        // The whole is the value of a label.
        if text.len() <= 63 && parts.len() <= 2 && parts.iter().all(|part| is_label(part)) {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseError {
            text: text.to_owned(),
            expected: "an environment name (at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit; of an app, `environment.app`)",
        })
    }
}

// === impl Revision ===

impl Revision {
    /// The whole hexadecimal text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, as people and CI systems write it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl FromStr for Revision {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let hex = text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex && matches!(text.len(), 40 | 64) {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseError {
            text: text.to_owned(),
            expected: "a full commit id (40 or 64 hexadecimal digits)",
        })
    }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

text_newtype!(EnvName);
text_newtype!(Revision);

// === impl ImageRef ===

impl FromStr for ImageRef {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError {
            text: text.to_owned(),
            expected: "an image (repository[:tag][@digest])",
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) if digest.contains(':') => (name, Some(digest.to_owned())),
            Some(_) => return Err(wrong()),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (name, None),
        };
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if repository.is_empty() || text.contains(blank) || tag.as_deref() == Some("") {
            return Err(wrong());
        }
        Ok(Self {
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

// === impl Edit ===

impl Edit {
    /// Whether it names no file at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.removed.is_empty()
    }

    /// The paths that it names, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        let paths: BTreeSet<&String> = self.files.keys().chain(&self.removed).collect();
        paths.into_iter().map(String::as_str).collect()
    }
}

// === impl CommitMessage ===

impl fmt::Display for CommitMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", on_one_line(&self.subject))?;
        if !self.body.is_empty() {
            write!(f, "\n{}\n", self.body.trim_end())?;
        }
        if !self.trailers.is_empty() {
            writeln!(f)?;
        }
        self.trailers
            .iter()
            .try_for_each(|(key, value)| writeln!(f, "{}: {}", on_one_line(key), on_one_line(value)))
    }
}

/// A line break inside a trailer would begin another trailer, with whatever follows as its text.
fn on_one_line(text: &str) -> String {
    text.split(char::is_control)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_split_where_the_registry_would() {
        for (text, repository, tag, digest) in [
            ("nginx", "nginx", None, None),
            ("nginx:1.27", "nginx", Some("1.27"), None),
            ("localhost:5000/app", "localhost:5000/app", None, None),
            ("localhost:5000/app:v1", "localhost:5000/app", Some("v1"), None),
            ("a/b@sha256:ab", "a/b", None, Some("sha256:ab")),
            ("a/b:v1@sha256:ab", "a/b", Some("v1"), Some("sha256:ab")),
        ] {
            let image: ImageRef = text.parse().unwrap();
            assert_eq!(
                (
                    image.repository.as_str(),
                    image.tag.as_deref(),
                    image.digest.as_deref()
                ),
                (repository, tag, digest),
                "{text}"
            );
            assert_eq!(image.to_string(), text);
        }
        for text in ["", ":v1", "a b", "a@nodigest", "a:"] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_revisions_refuse_what_git_and_kubernetes_refuse() {
        for text in ["", "-a", "a-", "A", "a/b", "a.b.c", ".a", "a.", "a.-b", "a..b"] {
            assert!(text.parse::<EnvName>().is_err(), "{text}");
        }
        assert!(
            "0123456789012345678901234567890123456789"
                .parse::<Revision>()
                .is_ok()
        );
        assert!("HEAD".parse::<Revision>().is_err());
    }

    #[test]
    fn an_app_of_an_environment_has_a_name_of_two_parts() {
        let staging: EnvName = "staging".parse().unwrap();
        let web = staging.with_app("web").unwrap();
        assert_eq!(
            (web.as_str(), web.stage(), web.app()),
            ("staging.web", "staging", Some("web"))
        );
        assert_eq!((staging.stage(), staging.app()), ("staging", None));
        assert_eq!(web.with_app("api").unwrap().as_str(), "staging.api");
        for app in ["a.b", "", "Web", &"a".repeat(60)] {
            assert!(staging.with_app(app).is_err(), "{app}");
        }
    }

    #[test]
    fn a_commit_message_ends_with_its_trailers() {
        let message = CommitMessage {
            subject: "Promote flask-app".into(),
            body: "Why.".into(),
            trailers: vec![("Gitsync-Image".into(), "a:b".into())],
        };
        assert_eq!(
            message.to_string(),
            "Promote flask-app\n\nWhy.\n\nGitsync-Image: a:b\n"
        );
    }

    #[test]
    fn a_value_cannot_smuggle_a_trailer_in() {
        let message = CommitMessage {
            subject: "Promote\n\nGitsync-Image: evil".into(),
            body: String::new(),
            trailers: vec![("Gitsync-Image".into(), "a:b\nGitsync-Verified: yes".into())],
        };
        assert_eq!(
            message.to_string(),
            "Promote Gitsync-Image: evil\n\nGitsync-Image: a:b Gitsync-Verified: yes\n"
        );
    }
}
