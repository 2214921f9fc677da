//! Columns: a difference side by side, before on the left and after on the right.

use similar::{DiffOp, TextDiff};

use crate::report::paint::{Paint, Tone};

const CONTEXT_LINES: usize = 3;

/// The lines of both sides next to each other, in `width` columns in all.
pub(super) fn lines(before: &str, after: &str, width: usize, paint: Paint) -> Vec<String> {
    let half = width.saturating_sub(5) / 2;
    let diff = TextDiff::from_lines(before, after);
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut out = Vec::new();
    for (index, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if index > 0 {
            out.push(format!("{}\n", paint.tone(Tone::Dim, &"┈".repeat(half * 2 + 5))));
        }
        for op in group {
            rows(op, &old, &new, half, paint, &mut out);
        }
    }
    out
}

fn rows(op: &DiffOp, old: &[&str], new: &[&str], half: usize, paint: Paint, out: &mut Vec<String>) {
    let same = matches!(op, DiffOp::Equal { .. });
    let (left, right) = (&old[op.old_range()], &new[op.new_range()]);
    for index in 0..left.len().max(right.len()) {
        let cell = |side: &[&str], tone: Tone| {
            let text = fit(side.get(index).copied().unwrap_or_default(), half);
            if same { text } else { paint.tone(tone, &text) }
        };
        let mark = match (same, left.get(index), right.get(index)) {
            (true, ..) => ' ',
            (_, Some(_), Some(_)) => '~',
            (_, Some(_), None) => '-',
            _ => '+',
        };
        let line = format!("{} {mark} │ {}", cell(left, Tone::Bad), cell(right, Tone::Good));
        out.push(format!("{}\n", line.trim_end()));
    }
}

/// A text in exactly `width` columns; what does not fit is cut, and says so.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_stand_next_to_each_other() {
        let (before, after) = ("a: 1\nb: 2\nc: 3\n", "a: 1\nb: twenty-two\nd: 4\ne: 5\n");
        let text = lines(before, after, 25, Paint::default()).concat();
        let expected = "\
a: 1         │ a: 1
b: 2       ~ │ b: twenty…
c: 3       ~ │ d: 4
           + │ e: 5
";
        assert_eq!(text, expected);
    }
}
