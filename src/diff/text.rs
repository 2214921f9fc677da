//! Diff as text: a unified diff per object, only the changed lines with their context and the field they are in.

use manifest::{redact_pair, yaml};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{Change, Counts, Diff, ObjectDiff};
use crate::report::paint::{Paint, Tone};

const CONTEXT_LINES: usize = 3;

/// The whole difference for a terminal; empty when there is none. Secret values are masked.
#[must_use]
pub fn unified(diff: &Diff, paint: Paint) -> String {
    let objects: Vec<String> = diff.changed().map(|object| object_text(object, paint)).collect();
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

fn object_text(object: &ObjectDiff, paint: Paint) -> String {
    let (mark, tone, verb) = match &object.change {
        Change::Create(_) => ("+", Tone::Good, "create"),
        Change::Update { .. } => ("~", Tone::Warn, "update"),
        Change::Prune(_) => ("-", Tone::Bad, "prune"),
        Change::Same => return String::new(),
    };
    let origin = object
        .origin
        .as_ref()
        .map(|origin| format!("  {origin}"))
        .unwrap_or_default();
    let head = format!(
        "{} {}{}\n",
        paint.tone(tone, &format!("{mark} {verb}")),
        paint.tone(Tone::Strong, &object.id.to_string()),
        paint.tone(Tone::Dim, &origin)
    );
    let (before, after) = sides(&object.change);
    head + &lines(&before, &after, paint)
}

fn sides(change: &Change) -> (String, String) {
    let (before, after) = match change {
        Change::Create(after) => (Value::Null, after.clone()),
        Change::Update { before, after } => (before.clone(), after.clone()),
        Change::Prune(before) => (before.clone(), Value::Null),
        Change::Same => (Value::Null, Value::Null),
    };
    let (before, after) = redact_pair(&before, &after);
    let text = |value: &Value| {
        if value.is_null() {
            String::new()
        } else {
            yaml::emit(value)
        }
    };
    (text(before.value()), text(after.value()))
}

fn lines(before: &str, after: &str, paint: Paint) -> String {
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
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches('\n');
            out.push(match change.tag() {
                ChangeTag::Delete => format!("  {}\n", paint.tone(Tone::Bad, &format!("-{text}"))),
                ChangeTag::Insert => format!("  {}\n", paint.tone(Tone::Good, &format!("+{text}"))),
                ChangeTag::Equal => format!("   {text}\n"),
            });
        }
    }
    out.concat()
}

/// The path of the mapping that holds line `at` of an emitted YAML text, by its indentation.
fn path_at(lines: &[&str], at: usize) -> String {
    let Some(line) = lines.get(at) else {
        return String::new();
    };
    let mut depth = indent(line);
    let mut path = Vec::new();
    for above in lines[..at].iter().rev() {
        if indent(above) < depth
            && let Some((key, _)) = above.trim_start_matches([' ', '-']).split_once(':')
        {
            depth = above.len() - above.trim_start().len();
            path.push(key);
        }
        if depth == 0 {
            break;
        }
    }
    path.reverse();
    path.join(".")
}

/// Columns before the key of a line; a list item's dash counts as indentation.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

#[cfg(test)]
mod tests {
    use manifest::{Gvk, ObjectId, Origin};
    use serde_json::json;

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
            Paint::default(),
        );
        assert!(
            text.starts_with("~ update Deployment.apps shop/web  apps/web/deployment.yaml:1\n"),
            "{text}"
        );
        assert!(
            text.contains("  -      - image: a:1\n  +      - image: a:2\n"),
            "{text}"
        );
        assert!(text.contains("@@ spec.template.spec.containers @@"), "{text}");
        assert!(!text.contains("kind: Deployment"), "{text}");
    }

    #[test]
    fn colour_is_on_the_changed_lines_alone() {
        let text = unified(
            &mk_diff(Change::Update {
                before: mk_deployment("a:1"),
                after: mk_deployment("a:2"),
            }),
            Paint::new(true),
        );
        assert!(text.contains("\u{1b}[31m-      - image: a:1"), "{text:?}");
        assert!(text.contains("\u{1b}[32m+      - image: a:2"), "{text:?}");
    }

    #[test]
    fn a_secret_shows_that_it_changes_and_not_what_it_is() {
        let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": value}});
        let text = unified(
            &mk_diff(Change::Update {
                before: secret("Y2FuYXJ5MQ=="),
                after: secret("Y2FuYXJ5Mg=="),
            }),
            Paint::default(),
        );
        assert!(
            text.contains("-  password: '*** (before)'") && text.contains("+  password: '*** (after)'"),
            "{text}"
        );
        assert!(!text.contains("Y2FuYXJ5"), "{text}");
    }
}
