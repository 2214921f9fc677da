//! Orders: what people decided for one environment. Suspension, quarantine and approvals, each a file beside the overlay.
//!
//! They are in git, so that a decision has an author, a time and a review, and goes with the commit that reverts it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::document::Located;
use super::repository::Reader;
use super::verified::VerifiedImage;
use super::{API_VERSION, Document, Metadata};
use crate::model::{EnvName, ImageRef};
use crate::source::Tree;

/// The file that suspends an environment.
pub const SUSPENSION_FILE: &str = "suspension.yaml";
/// The file with what must not come back.
pub const QUARANTINE_FILE: &str = "quarantine.yaml";
/// The file with what may be promoted.
pub const APPROVALS_FILE: &str = "approvals.yaml";

const TIME: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$";

/// All orders for an environment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Orders {
    /// Whether it is left alone.
    pub suspension: Option<SuspensionSpec>,
    /// What is not promoted to it again.
    pub quarantine: Vec<Quarantined>,
    /// What may be promoted to it.
    pub approvals: Vec<Approval>,
}

/// The environment is left alone: nothing is applied, drift stays, nothing is promoted to it or from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuspensionSpec {
    /// Why, for whoever finds it suspended.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// Who suspended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it ends by itself (RFC 3339); without it, when the file goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = TIME))]
    pub until: Option<Timestamp>,
}

/// What must not be promoted to the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuarantineSpec {
    /// The entries; gitsync adds to the end.
    pub entries: Vec<Quarantined>,
}

/// One thing that must not be promoted; exactly one of `image` and `evidence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quarantined {
    /// An image with its tag, its digest or both; either is enough to recognise it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The evidence of one promotion, as its commit's trailer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who put it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Since when (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = TIME))]
    pub time: Option<Timestamp>,
}

/// What may be promoted where a gate asks for an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalsSpec {
    /// The approvals; gitsync adds to the end.
    pub entries: Vec<Approval>,
}

/// One approval; exactly one of `image` and `evidence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// An image with its tag, its digest or both; all that is named has to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What was proved, exactly: the name that `gitsync status` gives the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Who approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = TIME))]
    pub time: Option<Timestamp>,
}

// === impl Orders ===

impl Orders {
    /// These orders for one app, and those for all apps of its environment.
    #[must_use]
    pub fn or(mut self, all: &Self) -> Self {
        self.suspension = self.suspension.or_else(|| all.suspension.clone());
        self.quarantine.splice(0..0, all.quarantine.iter().cloned());
        self.approvals.splice(0..0, all.approvals.iter().cloned());
        self
    }

    /// Why the environment is left alone at `now`, if it is.
    #[must_use]
    pub fn suspended(&self, now: Timestamp) -> Option<String> {
        let suspension = self.suspension.as_ref()?;
        let ended = suspension.until.is_some_and(|until| until <= now);
        (!ended).then(|| suspension.to_string())
    }
}

impl std::fmt::Display for SuspensionSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("suspended")?;
        if let Some(by) = &self.by {
            write!(f, " by {by}")?;
        }
        if let Some(until) = &self.until {
            write!(f, " until {until}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

// === impl Quarantined ===

impl Quarantined {
    /// Whether it is about this evidence, or about one of these images.
    #[must_use]
    pub fn holds(&self, evidence: &str, images: &[VerifiedImage]) -> bool {
        let image = self
            .image
            .as_ref()
            .and_then(|image| image.parse::<ImageRef>().ok());
        let is_it = |found: &VerifiedImage| {
            image.as_ref().is_some_and(|image| {
                let tag = image.tag.is_some() && image.tag == found.tag;
                let digest = image.digest.is_some() && image.digest == found.digest;
                image.repository == found.name && (tag || digest)
            })
        };
        self.evidence.as_deref() == Some(evidence) || images.iter().any(is_it)
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.image
            .as_deref()
            .or(self.evidence.as_deref())
            .unwrap_or("nothing")
    }
}

// === impl Approval ===

impl Approval {
    /// Whether it allows this image.
    #[must_use]
    pub fn allows(&self, found: &VerifiedImage) -> bool {
        let Some(image) = self
            .image
            .as_ref()
            .and_then(|image| image.parse::<ImageRef>().ok())
        else {
            return false;
        };
        let named = image.tag.is_some() || image.digest.is_some();
        let tag = image.tag.is_none() || image.tag == found.tag;
        let digest = image.digest.is_none() || image.digest == found.digest;
        named && image.repository == found.name && tag && digest
    }
}

// === impl Reader ===

impl Reader {
    /// Reads the orders in an environment's directory; what is wrong with them is told with everything else.
    pub(super) fn orders(&mut self, tree: &dyn Tree, dir: &str) -> Orders {
        let suspensions: Vec<Located<SuspensionSpec>> = self.order(tree, dir, SUSPENSION_FILE, "Suspension");
        let quarantines: Vec<Located<QuarantineSpec>> = self.order(tree, dir, QUARANTINE_FILE, "Quarantine");
        let approvals: Vec<Located<ApprovalsSpec>> = self.order(tree, dir, APPROVALS_FILE, "Approvals");
        for found in &quarantines {
            let subjects = found
                .document
                .spec
                .entries
                .iter()
                .map(|entry| (&entry.image, &entry.evidence));
            self.subjects(found, subjects);
        }
        for found in &approvals {
            let subjects = found
                .document
                .spec
                .entries
                .iter()
                .map(|entry| (&entry.image, &entry.evidence));
            self.subjects(found, subjects);
        }
        Orders {
            suspension: suspensions.into_iter().next().map(|found| found.document.spec),
            quarantine: quarantines
                .into_iter()
                .flat_map(|found| found.document.spec.entries)
                .collect(),
            approvals: approvals
                .into_iter()
                .flat_map(|found| found.document.spec.entries)
                .collect(),
        }
    }

    fn order<Spec: DeserializeOwned>(
        &mut self,
        tree: &dyn Tree,
        dir: &str,
        file: &str,
        kind: &str,
    ) -> Vec<Located<Spec>> {
        let raw = self.raw(tree, &format!("{dir}/{file}"));
        raw.into_iter().filter_map(|raw| self.expect(raw, kind)).collect()
    }

    fn subjects<'a, Spec>(
        &mut self,
        found: &Located<Spec>,
        subjects: impl Iterator<Item = (&'a Option<String>, &'a Option<String>)>,
    ) {
        for (index, (image, evidence)) in subjects.enumerate() {
            let index = index.to_string();
            if image.is_some() == evidence.is_some() {
                let message = "needs exactly one of `image` and `evidence`";
                self.problems
                    .push(found.problem(&["spec", "entries", &index], message));
            }
            let exact = |image: &ImageRef| image.tag.is_some() || image.digest.is_some();
            let parsed = |image: &String| image.parse::<ImageRef>().is_ok_and(|image| exact(&image));
            if let Some(image) = image.as_ref().filter(|image| !parsed(image)) {
                let message = format!("`{image}` is not an image with a tag or a digest");
                self.problems
                    .push(found.problem(&["spec", "entries", &index, "image"], message));
            }
        }
    }
}

/// The text of a file that holds one document of ours, under a comment that says where it comes from.
///
/// # Errors
///
/// Never in practice: the types hold nothing that YAML cannot say.
pub fn to_text<Spec: Serialize>(
    kind: &str,
    environment: &EnvName,
    comment: &str,
    spec: Spec,
) -> Result<String, serde_yaml::Error> {
    let document = Document {
        api_version: API_VERSION.to_owned(),
        kind: kind.to_owned(),
        metadata: Metadata {
            name: environment.to_string(),
        },
        spec,
    };
    Ok(format!("# {comment}\n{}", serde_yaml::to_string(&document)?))
}

/// A file with a list of entries, as quarantine and approvals are.
#[derive(Debug, Serialize, Deserialize)]
struct Entries<Entry> {
    entries: Vec<Entry>,
}

/// The entries of a file's text; none when there is no file.
///
/// # Errors
///
/// When the text is no such document; the sentence says why.
pub fn entries<Entry: DeserializeOwned>(text: Option<&str>) -> Result<Vec<Entry>, String> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let document: Result<Document<Entries<Entry>>, _> = serde_yaml::from_str(text);
    document
        .map(|document| document.spec.entries)
        .map_err(|error| error.to_string())
}

/// The text of a file with `entries`: the present text with lines added below what people wrote there, where that
/// says it, and otherwise a new text.
///
/// # Errors
///
/// When the present text cannot be read.
pub fn with_entries<Entry: Serialize + DeserializeOwned + Clone + PartialEq>(
    kind: &str,
    environment: &EnvName,
    comment: &str,
    text: Option<&str>,
    wanted: &[Entry],
) -> Result<String, String> {
    let present: Vec<Entry> = entries(text)?;
    if let (Some(text), Some(added)) = (text, wanted.strip_prefix(present.as_slice())) {
        let longer = if added.is_empty() {
            Some(text.to_owned())
        } else {
            append(text, added)
        };
        let says = |text: &String| entries::<Entry>(Some(text)).is_ok_and(|found| found == wanted);
        if let Some(longer) = longer.filter(says) {
            return Ok(longer);
        }
    }
    let spec = Entries {
        entries: wanted.to_vec(),
    };
    to_text(kind, environment, comment, spec).map_err(|error| error.to_string())
}

/// Adds entries to the list at the end of a text; `None` when it has no entry yet that shows how they are written.
fn append<Entry: Serialize>(text: &str, added: &[Entry]) -> Option<String> {
    let body = text.trim_end();
    let eol = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let dash = body.lines().find(|line| line.trim_start().starts_with("- "))?;
    let indent = &dash[..dash.len() - dash.trim_start().len()];
    let added = serde_yaml::to_string(added).ok()?;
    let lines: Vec<String> = added.lines().map(|line| format!("{indent}{line}")).collect();
    Some(format!("{body}{eol}{}{eol}", lines.join(eol)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_image(tag: &str, digest: Option<&str>) -> VerifiedImage {
        VerifiedImage {
            name: "team/web".into(),
            tag: Some(tag.into()),
            digest: digest.map(str::to_owned),
        }
    }

    #[test]
    fn a_quarantined_image_is_known_by_its_tag_or_its_digest_and_an_approved_one_by_both() {
        for (case, named, tag, digest, held, allowed) in [
            ("the tag", "team/web:v1", "v1", None, true, true),
            ("another tag", "team/web:v1", "v2", None, false, false),
            ("another image", "team/api:v1", "v1", None, false, false),
            (
                "the digest",
                "team/web@sha256:a",
                "v9",
                Some("sha256:a"),
                true,
                true,
            ),
            (
                "the digest under another tag",
                "team/web:v1@sha256:a",
                "v2",
                Some("sha256:a"),
                true,
                false,
            ),
            (
                "the tag with another digest",
                "team/web:v1@sha256:a",
                "v1",
                Some("sha256:b"),
                true,
                false,
            ),
            ("no tag at all", "team/web", "v1", None, false, false),
        ] {
            let image = Some(named.to_owned());
            let quarantined = Quarantined {
                image: image.clone(),
                evidence: None,
                reason: None,
                by: None,
                time: None,
            };
            let approval = Approval {
                image,
                evidence: None,
                by: None,
                time: None,
            };
            let found = mk_image(tag, digest);
            assert_eq!(
                quarantined.holds("e", std::slice::from_ref(&found)),
                held,
                "{case}: quarantine"
            );
            assert_eq!(approval.allows(&found), allowed, "{case}: approval");
        }
    }

    #[test]
    fn a_suspension_ends_when_it_says() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let orders = Orders {
            suspension: Some(SuspensionSpec {
                reason: "audit".into(),
                by: Some("ann".into()),
                until: Some(at(10)),
            }),
            ..Orders::default()
        };
        assert_eq!(
            orders.suspended(at(9)).unwrap(),
            "suspended by ann until 1970-01-01T00:00:10Z: audit"
        );
        assert_eq!(orders.suspended(at(10)), None);
    }

    #[test]
    fn an_entry_is_added_below_what_people_wrote() {
        let entry = |image: &str| Approval {
            image: Some(image.into()),
            evidence: None,
            by: Some("ann".into()),
            time: None,
        };
        let prod = "prod".parse().unwrap();
        let first = with_entries("Approvals", &prod, "A list.", None, &[entry("team/web:v1")]).unwrap();
        assert!(
            first.starts_with("# A list.\napiVersion: gitsync.dev/v1alpha1\nkind: Approvals\n"),
            "{first}"
        );
        let theirs = first.replace("  - image", "  # Checked by hand.\n  - image");
        let both = [entry("team/web:v1"), entry("team/web:v2")];
        let second = with_entries("Approvals", &prod, "A list.", Some(&theirs), &both).unwrap();
        assert_eq!(second, format!("{theirs}  - image: team/web:v2\n    by: ann\n"));
        assert_eq!(
            with_entries("Approvals", &prod, "A list.", Some(&second), &both).unwrap(),
            second
        );

        // What cannot be said by adding lines is written anew.
        let flow = "apiVersion: a\nkind: Approvals\nmetadata: {name: prod}\nspec: {entries: []}\n";
        let anew = with_entries("Approvals", &prod, "A list.", Some(flow), &both).unwrap();
        assert_eq!(entries::<Approval>(Some(&anew)).unwrap(), both);
        assert!(with_entries("Approvals", &prod, "A list.", Some("spec: ["), &both).is_err());
    }
}
