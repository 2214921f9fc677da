//! Key order: the order in which go-yaml v2 prints the keys of a mapping.

use std::cmp::Ordering;

/// Compares two keys as `keyList.Less` of go-yaml v2 does: runs of digits as numbers, letters after
/// everything else.
///
/// The relation is not transitive (`a01 < a10 < a1b < a01`), so it must not be given to a sort of the
/// standard library; the emitter brings its own.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    // Back to the start of a character, when the difference is inside one.
    let same = (0..=same)
        .rev()
        .find(|at| a.is_char_boundary(*at) && b.is_char_boundary(*at))
        .unwrap_or(0);
    let (Some(x), Some(y)) = (a[same..].chars().next(), b[same..].chars().next()) else {
        return a.len().cmp(&b.len());
    };
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // After a digit other than zero a zero continues the number instead of leading it.
    let continues = (x == '0' || y == '0')
        && a[..same]
            .chars()
            .rev()
            .take_while(|c| c.is_numeric())
            .any(|c| c != '0');
    let start = i64::from(continues);
    let (number_a, length_a) = leading_number(&a[same..], start);
    let (number_b, length_b) = leading_number(&b[same..], start);
    number_a
        .cmp(&number_b)
        .then(length_a.cmp(&length_b))
        .then(x.cmp(&y))
}

fn leading_number(text: &str, start: i64) -> (i64, usize) {
    let digits = text.bytes().take_while(u8::is_ascii_digit);
    digits.fold((start, 0), |(number, length), digit| {
        (
            number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')),
            length + 1,
        )
    })
}

/// Sorts by an order that need not be consistent, in O(n log n): a merge sort that trusts each answer.
pub(super) fn sort<T: Copy>(items: &mut Vec<T>, mut less: impl FnMut(&T, &T) -> bool) {
    if items.windows(2).all(|pair| !less(&pair[1], &pair[0])) {
        return;
    }
    let mut other = Vec::with_capacity(items.len());
    let mut width = 1;
    while width < items.len() {
        other.clear();
        for pair in items.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some(l), Some(r)) = (left.first(), right.first()) {
                if less(r, l) {
                    other.push(*r);
                    right = &right[1..];
                } else {
                    other.push(*l);
                    left = &left[1..];
                }
            }
            other.extend_from_slice(left);
            other.extend_from_slice(right);
        }
        std::mem::swap(items, &mut other);
        width *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_numbers_and_letters_come_last() {
        let rows = [
            ["a2", "a10"],
            ["_u", "B"],
            ["B", "a"],
            ["a", "a1"],
            ["1", "a"],
            ["a1", "ab"],
            ["a-1", "a-b"],
            ["é1", "é2"],
            ["x100", "x1000"],
            ["a01", "a10"],
        ];
        for [first, second] in rows {
            assert_eq!(natural_order(first, second), Ordering::Less, "{first} {second}");
            assert_eq!(
                natural_order(second, first),
                Ordering::Greater,
                "{second} {first}"
            );
            assert_eq!(natural_order(first, first), Ordering::Equal, "{first}");
        }
    }

    #[test]
    fn an_inconsistent_order_does_not_panic() {
        let mut keys: Vec<String> = (0..200)
            .map(|i| format!("a{}{}", "0".repeat(i % 3), i * 7 % 50))
            .collect();
        keys.extend((0..200).map(|i| format!("a{}b", i % 20)));
        let mut sorted: Vec<&str> = keys.iter().map(String::as_str).collect();
        sort(&mut sorted, |a, b| natural_order(a, b) == Ordering::Less);
        assert_eq!(sorted.len(), keys.len());
        let mut numbers = vec![3, 1, 2, 9, 0, 5];
        sort(&mut numbers, |a, b| a < b);
        assert_eq!(numbers, [0, 1, 2, 3, 5, 9]);
    }
}
