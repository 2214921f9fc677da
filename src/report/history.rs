//! History: the audit trail of promotions, read back from the commits that made them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::board::{CommitView, HistoryView, TrailerView};
use super::paint::{Paint, Tone};
use crate::model::trailer;

/// A promotion, as its commit tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted {
    /// The commit that promoted.
    pub commit: CommitView,
    /// Where it was proved.
    pub from: String,
    /// Where it went.
    pub to: String,
    /// The images, with their tags.
    pub images: Vec<String>,
    /// Everything that the commit says of it, in order.
    pub trailers: Vec<TrailerView>,
    /// The commit that first asked for the images, where they were proved.
    pub introduced: Option<CommitView>,
}

/// Which promotions are asked about; what is not given is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The environment that was promoted to.
    pub env: Option<String>,
    /// A part of an image's name.
    pub image: Option<String>,
    /// A part of the name or address of who asked for the image.
    pub author: Option<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Not after this moment.
    pub until: Option<Timestamp>,
}

/// The columns of the CSV form.
const COLUMNS: [&str; 13] = [
    "time",
    "from",
    "to",
    "images",
    "revision",
    "subject",
    "verified_revision",
    "verified_at",
    "checks",
    "evidence",
    "introduced_by",
    "introduced_revision",
    "introduced_at",
];

// === impl Promoted ===

impl Promoted {
    /// Reads a promotion's commit.
    #[must_use]
    pub fn of(view: &HistoryView) -> Self {
        let mut promoted = Self {
            commit: view.commit.clone(),
            trailers: view.trailers.clone(),
            ..Self::default()
        };
        // The subject is gitsync's own: `Promote <what> to <environment>`.
        let to = view
            .commit
            .subject
            .rsplit_once(" to ")
            .map(|(_, to)| to.to_owned());
        promoted.to = to.unwrap_or_default();
        promoted.from = promoted.first(trailer::VERIFIED_IN).to_owned();
        promoted.images = promoted.all(trailer::IMAGE);
        promoted
    }

    /// When it was promoted.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.commit.time.parse().ok()
    }

    /// When the proof was complete.
    #[must_use]
    pub fn verified_at(&self) -> Option<Timestamp> {
        self.first(trailer::VERIFIED_AT).parse().ok()
    }

    /// The first value of a trailer; empty when there is none.
    #[must_use]
    pub fn first(&self, key: &str) -> &str {
        let mut trailers = self.trailers.iter();
        trailers
            .find(|trailer| trailer.key == key)
            .map_or("", |trailer| &trailer.value)
    }

    fn all(&self, key: &str) -> Vec<String> {
        let found = self.trailers.iter().filter(|trailer| trailer.key == key);
        found.map(|trailer| trailer.value.clone()).collect()
    }

    /// All of it for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "commit": self.commit,
            "from": self.from,
            "to": self.to,
            "images": self.images,
            "introduced": self.introduced,
            "trailers": self.trailers,
        })
    }
}

// === impl Filter ===

impl Filter {
    /// Whether a promotion is asked about.
    #[must_use]
    pub fn takes(&self, promoted: &Promoted) -> bool {
        let has = |part: &Option<String>, text: &str| part.as_ref().is_none_or(|part| text.contains(part));
        let time = promoted.time();
        let images = promoted.images.join(" ");
        let authors = promoted.introduced.iter().chain([&promoted.commit]);
        let authors: Vec<&str> = authors.map(|commit| commit.author.as_str()).collect();
        self.env.as_ref().is_none_or(|env| *env == promoted.to)
            && has(&self.image, &images)
            && has(&self.author, &authors.join(" "))
            && self
                .since
                .is_none_or(|since| time.is_some_and(|time| time >= since))
            && self
                .until
                .is_none_or(|until| time.is_some_and(|time| time <= until))
    }
}

/// One promotion for a terminal.
#[must_use]
pub fn entry(promoted: &Promoted, paint: Paint) -> String {
    let commit = &promoted.commit;
    let head = format!(
        "{} {}  {}\n",
        paint.tone(Tone::Strong, short(&commit.revision)),
        commit.subject,
        paint.tone(Tone::Dim, &commit.time)
    );
    let line = |key: &str, value: &str| format!("  {}: {value}\n", paint.tone(Tone::Dim, key));
    let introduced = promoted.introduced.iter().map(|by| {
        let text = format!(
            "{} {} ({}, {})",
            short(&by.revision),
            by.subject,
            by.author,
            by.time
        );
        line("Introduced-By", &text)
    });
    let evidence = promoted.trailers.iter().map(|trailer| {
        let key = trailer.key.trim_start_matches(trailer::PREFIX);
        line(key, &trailer.value)
    });
    head + &introduced.chain(evidence).collect::<String>()
}

/// All of them as a table for spreadsheets (RFC 4180), with a first line of headings.
#[must_use]
pub fn csv(promotions: &[Promoted]) -> String {
    let mut lines = vec![COLUMNS.join(",")];
    for promoted in promotions {
        let introduced = promoted.introduced.clone().unwrap_or_default();
        let cells = [
            promoted.commit.time.clone(),
            promoted.from.clone(),
            promoted.to.clone(),
            promoted.images.join(" "),
            promoted.commit.revision.clone(),
            promoted.commit.subject.clone(),
            promoted.first(trailer::VERIFIED_REVISION).to_owned(),
            promoted.first(trailer::VERIFIED_AT).to_owned(),
            promoted.all(trailer::CHECK).join("; "),
            promoted.first(trailer::EVIDENCE).to_owned(),
            introduced.author,
            introduced.revision,
            introduced.time,
        ];
        lines.push(cells.map(|cell| quoted(&cell)).join(","));
    }
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// A cell. What a spreadsheet would take for a formula begins with an apostrophe: authors and subjects are anybody's.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

fn short(revision: &str) -> &str {
    revision.get(..8).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_promoted() -> Promoted {
        let trailer = |key: &str, value: &str| TrailerView {
            key: key.into(),
            value: value.into(),
        };
        let mut promoted = Promoted::of(&HistoryView {
            commit: CommitView {
                revision: "0123456789".into(),
                subject: "Promote web:v1, \"log\":v2 to prod".into(),
                author: "gitsync <g@x>".into(),
                time: "2026-01-02T00:00:00Z".into(),
            },
            trailers: vec![
                trailer("Gitsync-Image", "team/web:v1"),
                trailer("Gitsync-Verified-In", "staging"),
                trailer("Gitsync-Check", "p(90)<600 = 5"),
            ],
        });
        promoted.introduced = Some(CommitView {
            revision: "abcdefabcdef".into(),
            subject: "Set web:v1 in staging".into(),
            author: "=cmd() <ann@x>".into(),
            time: "2026-01-01T00:00:00Z".into(),
        });
        promoted
    }

    #[test]
    fn an_entry_has_the_commit_its_cause_and_its_evidence() {
        let expected = "01234567 Promote web:v1, \"log\":v2 to prod  2026-01-02T00:00:00Z
  Introduced-By: abcdefab Set web:v1 in staging (=cmd() <ann@x>, 2026-01-01T00:00:00Z)
  Image: team/web:v1
  Verified-In: staging
  Check: p(90)<600 = 5
";
        assert_eq!(entry(&mk_promoted(), Paint::default()), expected);
    }

    #[test]
    fn every_part_of_a_filter_can_leave_a_promotion_out() {
        let promoted = mk_promoted();
        let text = |text: &str| Some(text.to_owned());
        let time = |text: &str| text.parse().ok();
        let yes = Filter {
            env: text("prod"),
            image: text("web"),
            author: text("ann@x"),
            since: time("2026-01-02T00:00:00Z"),
            until: time("2026-01-02T00:00:00Z"),
        };
        assert!(yes.takes(&promoted));
        let no = [
            Filter {
                env: text("staging"),
                ..yes.clone()
            },
            Filter {
                image: text("v3"),
                ..yes.clone()
            },
            Filter {
                author: text("bob"),
                ..yes.clone()
            },
            Filter {
                since: time("2026-01-03T00:00:00Z"),
                ..yes.clone()
            },
            Filter {
                until: time("2026-01-01T00:00:00Z"),
                ..yes.clone()
            },
        ];
        for filter in no {
            assert!(!filter.takes(&promoted), "{filter:?}");
        }
    }

    #[test]
    fn a_table_keeps_commas_and_quotes_and_starts_no_formula() {
        let table = csv(&[mk_promoted()]);
        assert!(table.starts_with("time,from,to,images,"), "{table}");
        assert!(
            table.contains(",\"Promote web:v1, \"\"log\"\":v2 to prod\","),
            "{table}"
        );
        assert!(table.contains(",'=cmd() <ann@x>,abcdefabcdef,"), "{table}");
        assert!(table.ends_with("\r\n"));
    }
}
