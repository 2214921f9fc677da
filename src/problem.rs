//! Problem: one thing that is wrong with what a person wrote, said so that they can mend it.

use std::error::Error;
use std::fmt;

use manifest::{ObjectId, Origin};
use serde::{Deserialize, Serialize};

/// What is wrong, where, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `file:line`, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The object, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The path of the field, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, and why.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Everything that is wrong, never empty when returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

// === impl Problem ===

impl Problem {
    /// A problem that is only a sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            at: None,
            object: None,
            field: None,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, origin: Option<&Origin>) -> Self {
        self.at = origin.map(ToString::to_string);
        self
    }

    /// Adds the place as a file and a line.
    #[must_use]
    pub fn at_line(mut self, file: &str, line: u32) -> Self {
        self.at = Some(if line == 0 {
            file.to_owned()
        } else {
            format!("{file}:{line}")
        });
        self
    }

    /// Adds the object.
    #[must_use]
    pub fn object(mut self, id: &ObjectId) -> Self {
        self.object = Some(id.to_string());
        self
    }

    /// Adds the field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.at, &self.object, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

// === impl Problems ===

impl Problems {
    /// `Ok` when nothing is wrong, otherwise all of it.
    ///
    /// # Errors
    ///
    /// When there is at least one problem.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Error for Problems {}

/// An error and its causes, joined by colons, each said once.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// `1 thing`, `2 things`.
#[must_use]
pub fn plural(count: usize, thing: &str) -> String {
    if count == 1 {
        format!("1 {thing}")
    } else {
        format!("{count} {thing}s")
    }
}

/// The first `most` of some texts, and how many more there are.
#[must_use]
pub fn first(texts: impl ExactSizeIterator<Item = String>, most: usize) -> Vec<String> {
    let more = texts.len().saturating_sub(most);
    let rest = (more > 0).then(|| format!("and {more} more"));
    texts.take(most).chain(rest).collect()
}

/// The word of `known` that somebody probably meant by `word`, if one is near enough.
#[must_use]
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let near = |candidate: &&str| distance(&lower, &candidate.to_lowercase());
    let best = known.into_iter().min_by_key(near)?;
    (near(&best) <= (word.chars().count() / 3).max(1)).then_some(best)
}

/// Edit distance with transpositions of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let known = ["interval", "timeout", "prune", "selfHeal"];
        for (word, meant) in [
            ("intervall", Some("interval")),
            ("selfheal", Some("selfHeal")),
            ("prnue", Some("prune")),
            ("colour", None),
        ] {
            assert_eq!(suggest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn a_problem_reads_from_the_place_to_the_remedy() {
        let problem = Problem::new("unknown field")
            .at_line("environments/prod/environment.yaml", 7)
            .field("spec.sync.intervall")
            .hint("did you mean `interval`?");
        assert_eq!(
            problem.to_string(),
            "environments/prod/environment.yaml:7: spec.sync.intervall: unknown field (did you mean `interval`?)"
        );
    }
}
