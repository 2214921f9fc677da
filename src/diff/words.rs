//! Words: which part of a changed line differs, and lines that are too long to be shown whole.

use crate::report::paint::{Paint, Tone};

/// A longer line is shown up to here, with its length.
const LONGEST_LINE: usize = 400;

/// A line with the words that `other` has not got in the stronger of two tones.
pub(super) fn highlight(
    mark: char,
    text: &str,
    other: &str,
    paint: Paint,
    (line, word): (Tone, Tone),
) -> String {
    let (start, end) = differing(text, other);
    // A line of which nothing is left is no line with a changed word.
    if !paint.enabled() || (text[..start].trim().is_empty() && text[end..].trim().is_empty()) {
        return paint.tone(line, &format!("{mark}{text}"));
    }
    format!(
        "{}{}{}",
        paint.tone(line, &format!("{mark}{}", &text[..start])),
        paint.tone(word, &text[start..end]),
        paint.tone(line, &text[end..])
    )
}

/// The bytes of `text` between what it begins and ends with as `other` does, in whole words.
fn differing(text: &str, other: &str) -> (usize, usize) {
    let (ours, theirs) = (words(text), words(other));
    let head = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let most = ours.len().min(theirs.len()) - head;
    let tails = ours.iter().rev().zip(theirs.iter().rev());
    let tail = tails.take(most).take_while(|(a, b)| a == b).count();
    let length = |words: &[&str]| words.iter().map(|word| word.len()).sum::<usize>();
    (
        length(&ours[..head]),
        text.len() - length(&ours[ours.len() - tail..]),
    )
}

/// A text in words and single other characters.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if !c.is_alphanumeric() {
            words.extend((start < at).then(|| &text[start..at]));
            start = at + c.len_utf8();
            words.push(&text[at..start]);
        }
    }
    words.extend((start < text.len()).then(|| &text[start..]));
    words
}

/// The line, or its beginning when it is too long to be read.
pub(super) fn shorten(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONGEST_LINE {
        return text.to_owned();
    }
    let start: String = text.chars().take(LONGEST_LINE).collect();
    format!("{start}… ({count} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_that_differ_are_marked() {
        for (text, other, differs) in [
            ("image: a/web:v1", "image: a/web:v2", "v1"),
            ("replicas: 3", "replicas: 12", "3"),
            ("a b c", "a x y c", "b"),
            ("a c", "a b c", ""),
            ("ü: ä", "ü: ö", "ä"),
        ] {
            let (start, end) = differing(text, other);
            assert_eq!(&text[start..end], differs, "{text} against {other}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_says_how_long_it_is() {
        let shown = shorten(&"é".repeat(1000));
        assert!(
            shown.ends_with("… (1000 characters)") && shown.chars().count() < 450,
            "{shown}"
        );
    }
}
