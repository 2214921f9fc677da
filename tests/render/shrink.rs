//! Shrink: the smallest case that still shows a difference, by leaving out pieces and then lines.

use super::case::Case;

/// Attempts after which a case is small enough.
const ATTEMPTS: usize = 600;

/// Leaves out what the difference does not need. `fails` says whether a case still shows it.
pub fn shrink(case: Case, fails: &mut dyn FnMut(&Case) -> bool) -> Case {
    let mut attempts = ATTEMPTS;
    let mut best = case;
    let mut with_pieces = |best: &Case, kept: &[usize]| {
        let pieces = kept.iter().map(|&at| best.pieces[at].clone()).collect();
        let smaller = Case {
            pieces,
            ..best.clone()
        };
        (attempts > 0
            && {
                attempts -= 1;
                true
            }
            && fails(&smaller))
        .then_some(smaller)
    };
    while let Some(smaller) = without_chunk(best.pieces.len(), &mut |kept| with_pieces(&best, kept)) {
        best = smaller;
    }
    let mut at = 0;
    while at < best.pieces.len() {
        let lines: Vec<String> = best.pieces[at]
            .text
            .split_inclusive('\n')
            .map(str::to_owned)
            .collect();
        let smaller = without_chunk(lines.len(), &mut |kept| {
            let mut smaller = best.clone();
            smaller.pieces[at].text = kept.iter().map(|&line| lines[line].as_str()).collect();
            (attempts > 0
                && {
                    attempts -= 1;
                    true
                }
                && fails(&smaller))
            .then_some(smaller)
        });
        match smaller {
            Some(smaller) => best = smaller,
            None => at += 1,
        }
    }
    best
}

/// The first success of leaving out a chunk of so many things: first halves, at last single ones.
fn without_chunk(count: usize, test: &mut dyn FnMut(&[usize]) -> Option<Case>) -> Option<Case> {
    let mut size = count.div_ceil(2);
    while size > 0 && count > 1 {
        for start in (0..count).step_by(size) {
            let kept: Vec<usize> = (0..count)
                .filter(|at| *at < start || *at >= start + size)
                .collect();
            if let Some(smaller) = test(&kept) {
                return Some(smaller);
            }
        }
        size /= 2;
    }
    None
}
