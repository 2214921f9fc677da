//! Columns: a difference side by side, before on the left and after on the right.

use similar::{DiffOp, TextDiff};

use crate::report::paint::{Paint, Tone};

const CONTEXT_LINES: usize = 3;

/// How much of what two cut lines share is shown before they differ.
const BEFORE: usize = 8;

/// How much of what differs is in sight at least.
const SEEN: usize = 4;

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
        let cell = |side: &[&str], other: &[&str], tone: Tone| {
            let (text, other) = (side.get(index).copied().unwrap_or_default(), other.get(index));
            let text = fit(text, other.filter(|_| !same).copied(), half);
            let blank = " ".repeat(half - text.chars().count());
            let text = if same { text } else { paint.tone(tone, &text) };
            (text, blank)
        };
        let mark = match (same, left.get(index), right.get(index)) {
            (true, ..) => ' ',
            (_, Some(_), Some(_)) => '~',
            (_, Some(_), None) => '-',
            _ => '+',
        };
        let ((old, blank), (new, _)) = (cell(left, right, Tone::Bad), cell(right, left, Tone::Good));
        let line = format!("{old}{blank} {mark} │ {new}");
        out.push(format!("{}\n", line.trim_end()));
    }
}

/// A text in at most `width` columns; what does not fit is cut, and says so. Where it differs from `other` stays in sight.
fn fit(text: &str, other: Option<&str>, width: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= width {
        return text.to_owned();
    }
    let alike = chars.iter().zip(other.unwrap_or_default().chars());
    let alike = alike.take_while(|(mine, theirs)| **mine == *theirs).count();
    let indent = chars
        .iter()
        .take_while(|char| **char == ' ')
        .count()
        .min(width / 2);
    let room = width.saturating_sub(1);
    if alike + SEEN <= room {
        return chars[..room].iter().chain(&['…']).collect();
    }
    let room = room - indent;
    let from = alike.saturating_sub(BEFORE).min(chars.len() - room);
    let rest = &chars[from..];
    let begin = chars[..indent].iter().chain(&['…']);
    if rest.len() <= room {
        return begin.chain(rest).collect();
    }
    begin.chain(&rest[..room - 1]).chain(&['…']).collect()
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

    #[test]
    fn a_long_line_is_cut_where_it_does_not_differ() {
        for (text, other, expected) in [
            (
                "  image: team/application:one",
                "  image: team/application:two",
                "  …m/application:one",
            ),
            (
                "  image: team/application:one",
                "  image: acme/application:one",
                "  image: team/appli…",
            ),
            (
                "  args: aaaaaaaaaaaaaaaaaaaaaaaaxbbbbbbbbbbbbbbbbbbbbbbbbbb",
                "  args: aaaaaaaaaaaaaaaaaaaaaaaaybbbbbbbbbbbbbbbbbbbbbbbbbb",
                "  …aaaaaaaaxbbbbbbb…",
            ),
            ("short", "other", "short"),
        ] {
            let shown = fit(text, Some(other), 20);
            assert!(shown.chars().count() <= 20, "{shown}");
            assert_eq!(shown, expected, "{text}");
        }
        assert_eq!(fit("0123456789", None, 5), "0123…");
    }
}
