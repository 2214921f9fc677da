//! Diff as markdown: a comment below a pull request. A summary first, the riskiest change first, and never too long.

use super::text::{self, Style};
use super::{Change, Diff, ObjectDiff, fields, risk};
use crate::problem::first;

/// What code hosts accept in one comment is 65,536 characters; the rest is for the title and the note at the end.
pub const BUDGET: usize = 60_000;

/// At most this many fields of an object are named in the summary.
const FIELDS: usize = 3;

/// At most this many rows are in the summary of one comparison.
const ROWS: usize = 200;

/// The differences, each under its title, in one comment of less than 65,536 characters; `notes` stand above them.
#[must_use]
pub fn comment(parts: &[(String, &Diff)], notes: &str) -> String {
    let mut out = cut(format!("## gitsync diff\n{notes}"), BUDGET / 4);
    for (title, diff) in parts {
        let mut objects: Vec<&ObjectDiff> = diff.changed().collect();
        objects.sort_by_key(|object| std::cmp::Reverse(risk::of(object)));
        let head = format!("\n### {title}: {}\n", text::summary(diff.counts()));
        out += &(head + &table(&objects));
    }
    with_details(cut(out, BUDGET / 2), parts, "gitsync diff")
}

/// A comment with the difference of every object behind it, the riskiest first, as far as they fit; `command` shows the rest.
#[must_use]
pub fn with_details(mut out: String, parts: &[(String, &Diff)], command: &str) -> String {
    let mut details: Vec<_> = parts
        .iter()
        .flat_map(|(title, diff)| {
            diff.changed()
                .map(move |object| (risk::of(object), title, object))
        })
        .collect();
    details.sort_by_key(|(risk, ..)| std::cmp::Reverse(*risk));
    let mut left_out = 0;
    for (_, title, object) in details {
        let block = block(title, object, parts.len() > 1);
        if out.chars().count() + block.chars().count() > BUDGET {
            left_out += 1;
        } else {
            out += &block;
        }
    }
    if left_out > 0 {
        let note = format!("\n{left_out} more changes do not fit here; `{command}` shows them.\n");
        out += &note;
    }
    out
}

fn table(objects: &[&ObjectDiff]) -> String {
    if objects.is_empty() {
        return String::new();
    }
    let rows = objects.iter().take(ROWS).map(|object| {
        format!(
            "| {} | {} | `{}` | {} |\n",
            risk::of(object).word(),
            object.change.verb(),
            object.id,
            what(&object.change)
        )
    });
    let rest = objects.len().saturating_sub(ROWS);
    let rest = if rest > 0 {
        format!("\n… and {rest} more\n")
    } else {
        String::new()
    };
    let rows: String = rows.collect();
    format!("\n| risk | action | object | fields |\n|---|---|---|---|\n{rows}{rest}")
}

/// The fields that change, without their values.
fn what(change: &Change) -> String {
    let Change::Update { before, after } = change else {
        return String::new();
    };
    let changed = fields::changed(before, after);
    let names = changed
        .iter()
        .map(|field| format!("`{}`", field.path.replace('|', "\\|").replace('`', "'")));
    first(names, FIELDS).join(", ")
}

fn block(title: &str, object: &ObjectDiff, titled: bool) -> String {
    let one = Diff {
        objects: vec![object.clone()],
    };
    let body = text::unified(&one, Style::default());
    let lines: String = body
        .lines()
        .skip(1)
        .map(|line| format!("{}\n", line.get(2..).unwrap_or("")))
        .collect();
    let place = if titled {
        format!("{title}: ")
    } else {
        String::new()
    };
    let title = format!("{place}{} <code>{}</code>", object.change.verb(), object.id);
    folded(&title, &lines)
}

/// A diff that opens at a click on its title, which is HTML.
#[must_use]
pub fn folded(title: &str, lines: &str) -> String {
    // A fence that the text itself has would end the block.
    let fence = "`".repeat(3.max(longest_fence(lines) + 1));
    format!("\n<details><summary>{title}</summary>\n\n{fence}diff\n{lines}{fence}\n\n</details>\n")
}

fn longest_fence(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// A text of at most `most` characters, cut at the end of a line.
#[must_use]
pub fn cut(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most).collect();
    let whole = kept.rfind('\n').map_or("", |end| &kept[..=end]);
    format!("{whole}\n… the summary is cut\n")
}

#[cfg(test)]
mod tests {
    use manifest::{Gvk, ObjectId};
    use serde_json::json;

    use super::*;

    fn mk_object(kind: &str, name: &str, change: Change) -> ObjectDiff {
        let id = ObjectId {
            group: String::new(),
            kind: kind.into(),
            namespace: "shop".into(),
            name: name.into(),
        };
        ObjectDiff {
            id,
            gvk: Gvk::new("v1", kind),
            origin: None,
            change,
        }
    }

    #[test]
    fn the_riskiest_comes_first_and_every_object_can_be_opened() {
        let update = |value: u32| json!({"data": {"a": value, "f": "```"}});
        let diff = Diff {
            objects: vec![
                mk_object("ConfigMap", "new", Change::Create(json!({"a": 1}))),
                mk_object(
                    "ConfigMap",
                    "old",
                    Change::Update {
                        before: update(1),
                        after: update(2),
                    },
                ),
                mk_object("Namespace", "shop", Change::Prune(json!({"a": 1}))),
            ],
        };
        let text = comment(&[("prod".to_owned(), &diff)], "");
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
        assert!(place("| critical | prune | `Namespace") < place("| medium | update | `ConfigMap"));
        assert!(place("| medium | update | `ConfigMap shop/old` | `.data.a` |") < place("| low | create"));
        assert!(place("<details><summary>prune") < place("<details><summary>update"));
        assert!(
            text.contains("````diff\n") && text.contains("-  a: 1\n+  a: 2\n"),
            "{text}"
        );
    }

    #[test]
    fn a_comment_is_never_too_long() {
        let large = |n: usize| {
            mk_object(
                "ConfigMap",
                &format!("c{n}"),
                Change::Create(json!({"data": {"a": "x".repeat(300)}})),
            )
        };
        let diff = Diff {
            objects: (0..2000).map(large).collect(),
        };
        let text = comment(&[("prod".to_owned(), &diff), ("staging".to_owned(), &diff)], "");
        assert!(text.chars().count() < 65_536, "{}", text.chars().count());
        assert!(
            text.contains("more changes do not fit here"),
            "{}",
            &text[text.len() - 200..]
        );
    }
}
