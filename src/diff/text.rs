//! Diff as text: a unified diff per object, only the changed lines with their context and the field they are in.

use similar::{ChangeTag, TextDiff};

use super::{Change, Counts, Diff, ObjectDiff, columns, words};
use crate::report::paint::{Paint, Tone};

const CONTEXT_LINES: usize = 3;

/// An object that is created or pruned as a whole is shown up to this many lines.
const LONGEST_WHOLE: usize = 60;

/// How a difference is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Colours.
    pub paint: Paint,
    /// Whether long objects are shown to their end.
    pub full: bool,
    /// Two columns side by side, in this width in all; otherwise one below the other.
    pub columns: Option<usize>,
}

/// The whole difference for a terminal; empty when there is none. Secret values are masked.
#[must_use]
pub fn unified(diff: &Diff, style: Style) -> String {
    let objects: Vec<String> = diff.changed().map(|object| object_text(object, style)).collect();
    objects.join("\n")
}

/// One line: how many objects would be created, updated and pruned.
#[must_use]
pub fn summary(counts: Counts) -> String {
    let Counts {
        create,
        update,
        prune,
        same,
    } = counts;
    if create + update + prune == 0 {
        return format!("no changes, {same} in sync");
    }
    format!("{create} to create, {update} to update, {prune} to prune, {same} in sync")
}

fn object_text(object: &ObjectDiff, style: Style) -> String {
    let paint = style.paint;
    let (mark, tone) = match &object.change {
        Change::Create(_) => ("+", Tone::Good),
        Change::Update { .. } => ("~", Tone::Warn),
        Change::Prune(_) => ("-", Tone::Bad),
        Change::Same => return String::new(),
    };
    let origin = object
        .origin
        .as_ref()
        .map(|origin| format!("  {origin}"))
        .unwrap_or_default();
    let head = format!(
        "{} {}{}\n",
        paint.tone(tone, &format!("{mark} {}", object.change.verb())),
        paint.tone(Tone::Strong, &object.id.to_string()),
        paint.tone(Tone::Dim, &origin)
    );
    let (before, after) = object.change.texts();
    let lines = match style.columns {
        Some(width) => columns::lines(&before, &after, width, paint),
        None => lines(&before, &after, paint),
    };
    head + &fold(lines, object, style)
}

/// Leaves out what nobody reads: the rest of a long object that is created or pruned as a whole.
fn fold(lines: Vec<String>, object: &ObjectDiff, style: Style) -> String {
    let whole = !matches!(object.change, Change::Update { .. });
    if style.full || !whole || lines.len() <= LONGEST_WHOLE + 1 {
        return lines.concat();
    }
    let rest = lines.len() - LONGEST_WHOLE;
    let note = format!("   … {rest} more lines; --full shows them");
    lines[..LONGEST_WHOLE].concat() + &format!("{}\n", style.paint.tone(Tone::Dim, &note))
}

fn lines(before: &str, after: &str, paint: Paint) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let whole = before.is_empty() || after.is_empty();
    let path_source: Vec<&str> = if after.is_empty() { before } else { after }.lines().collect();
    let mut out = Vec::new();
    for group in diff.grouped_ops(CONTEXT_LINES) {
        if let (false, Some(first)) = (whole, group.first()) {
            let changed = first.new_range().start + CONTEXT_LINES.min(first.new_range().len());
            let path = path_at(&path_source, changed);
            out.push(format!(
                "  {}\n",
                paint.tone(Tone::Hunk, &format!("@@ {path} @@"))
            ));
        }
        for op in &group {
            let of = |tag: ChangeTag| {
                let changes = diff.iter_changes(op).filter(move |change| change.tag() == tag);
                changes
                    .map(|change| change.value().trim_end_matches('\n'))
                    .collect::<Vec<&str>>()
            };
            let same = of(ChangeTag::Equal);
            out.extend(same.into_iter().map(|text| format!("   {text}\n")));
            changed(&of(ChangeTag::Delete), &of(ChangeTag::Insert), paint, &mut out);
        }
    }
    out
}

/// Lines that go and lines that come. Where there are as many of both, each shows which words differ.
fn changed(gone: &[&str], new: &[&str], paint: Paint, out: &mut Vec<String>) {
    let pairs = gone.len() == new.len();
    let line = |mark: char, text: &str, other: Option<&&str>, tones: (Tone, Tone)| {
        let text = words::shorten(text);
        let other = other.map(|other| words::shorten(other));
        let marked = match other {
            Some(other) if pairs => words::highlight(mark, &text, &other, paint, tones),
            _ => paint.tone(tones.0, &format!("{mark}{text}")),
        };
        format!("  {marked}\n")
    };
    for (index, text) in gone.iter().enumerate() {
        out.push(line('-', text, new.get(index), (Tone::Bad, Tone::BadWord)));
    }
    for (index, text) in new.iter().enumerate() {
        out.push(line('+', text, gone.get(index), (Tone::Good, Tone::GoodWord)));
    }
}

/// The path of the mapping that holds line `at` of an emitted YAML text, by its indentation; an element of a list is
/// called by its name.
fn path_at(lines: &[&str], at: usize) -> String {
    let mut path = Vec::new();
    let mut child = at;
    while let Some(line) = lines.get(child) {
        let depth = indent(line);
        let item = item_start(lines, child);
        // The dash of a list stands as far left as the key that holds the list.
        let limit = item.map_or(depth, |item| outer_indent(lines[item]) + 1);
        let above = (0..item.unwrap_or(child)).rev();
        let parent = above
            .filter(|index| !lines[*index].trim().is_empty())
            .find(|index| indent(lines[*index]) < limit);
        let Some(parent) = parent else { break };
        let key = lines[parent].trim_start_matches([' ', '-']).split(':').next();
        let name = item.and_then(|item| item_name(lines, item));
        let name = name.map(|name| format!("[{name}]")).unwrap_or_default();
        path.push(format!("{}{name}", key.unwrap_or_default()));
        child = parent;
    }
    path.reverse();
    path.join(".")
}

/// The line with the dash of the list's element whose own key is on line `at`, if it is one's.
fn item_start(lines: &[&str], at: usize) -> Option<usize> {
    let depth = indent(lines[at]);
    let mut inside = (0..=at).rev().take_while(|index| indent(lines[*index]) >= depth);
    inside.find(|index| indent(lines[*index]) == depth && lines[*index].trim_start().starts_with('-'))
}

/// The `name` of the list's element that begins on line `start`.
fn item_name<'t>(lines: &[&'t str], start: usize) -> Option<&'t str> {
    let (depth, outer) = (indent(lines[start]), outer_indent(lines[start]));
    let rest = lines[start + 1..]
        .iter()
        .take_while(|line| outer_indent(line) > outer);
    let mut own = std::iter::once(&lines[start])
        .chain(rest)
        .filter(|line| indent(line) == depth);
    own.find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("name: "))
}

/// Columns before the first character of a line, be it a dash.
fn outer_indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Columns before the key of a line; a list item's dash counts as indentation.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

#[cfg(test)]
mod tests {
    use manifest::{Gvk, ObjectId, Origin};
    use serde_json::{Value, json};

    use super::*;

    fn mk_diff(change: Change) -> Diff {
        let id = ObjectId {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
        };
        let origin = Some(Origin::new("apps/web/deployment.yaml", 1));
        Diff {
            objects: vec![ObjectDiff {
                id,
                gvk: Gvk::new("apps/v1", "Deployment"),
                origin,
                change,
            }],
        }
    }

    fn mk_deployment(image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3,
            "template": {"spec": {"containers": [{"image": image, "name": "web", "ports": [{"containerPort": 80}]}]}}}})
    }

    #[test]
    fn an_update_shows_the_changed_line_with_context_and_path() {
        let text = unified(
            &mk_diff(Change::Update {
                before: mk_deployment("a:1"),
                after: mk_deployment("a:2"),
            }),
            Style::default(),
        );
        assert!(
            text.starts_with("~ update Deployment.apps shop/web  apps/web/deployment.yaml:1\n"),
            "{text}"
        );
        assert!(
            text.contains("  -      - image: a:1\n  +      - image: a:2\n"),
            "{text}"
        );
        assert!(
            text.contains("@@ spec.template.spec.containers[web] @@"),
            "{text}"
        );
        assert!(!text.contains("kind: Deployment"), "{text}");
    }

    #[test]
    fn colour_is_on_the_changed_lines_alone_and_strongest_on_the_words() {
        let text = unified(
            &mk_diff(Change::Update {
                before: mk_deployment("a:1"),
                after: mk_deployment("a:2"),
            }),
            Style {
                paint: Paint::new(true),
                ..Style::default()
            },
        );
        assert!(
            text.contains("\u{1b}[31m-      - image: a:\u{1b}[0m\u{1b}[7m\u{1b}[31m1\u{1b}[0m\n"),
            "{text:?}"
        );
        assert!(
            text.contains("\u{1b}[32m+      - image: a:\u{1b}[0m\u{1b}[7m\u{1b}[32m2\u{1b}[0m\n"),
            "{text:?}"
        );
    }

    #[test]
    fn a_secret_shows_that_it_changes_and_not_what_it_is() {
        let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": value}});
        let text = unified(
            &mk_diff(Change::Update {
                before: secret("Y2FuYXJ5MQ=="),
                after: secret("Y2FuYXJ5Mg=="),
            }),
            Style::default(),
        );
        assert!(
            text.contains("-  password: '*** (before)'") && text.contains("+  password: '*** (after)'"),
            "{text}"
        );
        assert!(!text.contains("Y2FuYXJ5"), "{text}");
    }

    #[test]
    fn what_is_long_is_folded_unless_asked_for() {
        let data: serde_json::Map<String, Value> =
            (0..200).map(|n| (format!("k{n:03}"), json!("v"))).collect();
        let create = mk_diff(Change::Create(json!({"kind": "ConfigMap", "data": data})));
        let folded = unified(&create, Style::default());
        assert!(
            folded.ends_with("   … 142 more lines; --full shows them\n"),
            "{folded}"
        );
        let full = unified(
            &create,
            Style {
                full: true,
                ..Style::default()
            },
        );
        assert!(full.contains("k199") && !full.contains("more lines"), "{full}");
    }

    #[test]
    fn a_path_names_the_elements_that_it_leads_through() {
        let text = "spec:\n  template:\n    spec:\n      containers:\n      - env:\n        - name: A\n          value: a\n        name: web\n      - args:\n        - one\n        name: log\n  x: 1\n";
        let lines: Vec<&str> = text.lines().collect();
        for (at, path) in [
            (1, "spec"),
            (6, "spec.template.spec.containers[web].env[A]"),
            (7, "spec.template.spec.containers[web]"),
            (9, "spec.template.spec.containers[log].args"),
            (11, "spec"),
            (0, ""),
            (99, ""),
        ] {
            assert_eq!(path_at(&lines, at), path, "line {at}");
        }
    }
}
