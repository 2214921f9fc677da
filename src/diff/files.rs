//! Diff of files: an edit of the repository as a patch that `git apply` reads.

use similar::TextDiff;

use crate::model::Edit;
use crate::report::paint::{Paint, Tone};
use crate::source::Tree;

const CONTEXT_LINES: usize = 3;

/// The patch that an edit of `before` is; empty when it changes nothing.
#[must_use]
pub fn patch(before: &dyn Tree, edit: &Edit, paint: Paint) -> String {
    edit.paths()
        .into_iter()
        .map(|path| {
            let old = before.read(path).ok();
            let old = old
                .as_deref()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let new = edit
                .files
                .get(path)
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            file(path, old.as_deref(), new.as_deref(), paint)
        })
        .collect()
}

fn file(path: &str, old: Option<&str>, new: Option<&str>, paint: Paint) -> String {
    if old == new {
        return String::new();
    }
    let side = |text: Option<&str>, letter: char| match text {
        Some(_) => format!("{letter}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let kind = match (old, new) {
        (None, _) => "new file mode 100644\n",
        (_, None) => "deleted file mode 100644\n",
        _ => "",
    };
    let diff = TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default());
    let hunks = diff
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&side(old, 'a'), &side(new, 'b'))
        .to_string();
    let body: String = hunks
        .split_inclusive('\n')
        .map(|line| colour(line, paint))
        .collect();
    let head = paint.tone(Tone::Strong, &format!("diff --git a/{path} b/{path}"));
    format!("{head}\n{kind}{body}")
}

fn colour(line: &str, paint: Paint) -> String {
    let text = line.strip_suffix('\n').unwrap_or(line);
    let tone = match text.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Tone::Strong,
        [b'@', ..] => Tone::Hunk,
        [b'+', ..] => Tone::Good,
        [b'-', ..] => Tone::Bad,
        _ => return line.to_owned(),
    };
    format!("{}\n", paint.tone(tone, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::MemoryTree;

    #[test]
    fn a_patch_says_what_is_new_what_changes_and_what_goes() {
        let mut tree = MemoryTree::default();
        tree.insert("a.yaml", "one\ntwo\nthree");
        tree.insert("b.yaml", "gone\n");
        tree.insert("c.yaml", "same\n");
        let content = |text: &str| text.as_bytes().to_vec();
        let edit = Edit {
            files: [
                ("a.yaml".to_owned(), content("one\n2\nthree")),
                ("c.yaml".to_owned(), content("same\n")),
                ("d.yaml".to_owned(), content("new\n")),
            ]
            .into(),
            removed: ["b.yaml".to_owned(), "never.yaml".to_owned()].into(),
        };
        let expected = "\
diff --git a/a.yaml b/a.yaml
--- a/a.yaml
+++ b/a.yaml
@@ -1,3 +1,3 @@
 one
-two
+2
 three
\\ No newline at end of file
diff --git a/b.yaml b/b.yaml
deleted file mode 100644
--- a/b.yaml
+++ /dev/null
@@ -1 +0,0 @@
-gone
diff --git a/d.yaml b/d.yaml
new file mode 100644
--- /dev/null
+++ b/d.yaml
@@ -0,0 +1 @@
+new
";
        assert_eq!(patch(&tree, &edit, Paint::default()), expected);
        let coloured = patch(&tree, &edit, Paint::new(true));
        assert!(coloured.contains("\u{1b}[31m-two\u{1b}[0m\n"), "{coloured:?}");
    }
}
