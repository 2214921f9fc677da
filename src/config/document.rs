//! Document reading: the text of a file in, typed documents or every problem with its line out.

use manifest::{Node, yaml};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;

use super::{API_VERSION, Document, schema};
use crate::problem::{Problem, suggest};

/// A document that is well-formed, with the place where it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<Spec> {
    /// The file, from the root of the repository.
    pub file: String,
    /// The document's first line.
    pub line: u32,
    /// What it says.
    pub document: Document<Spec>,
    /// The document as a tree, for problems that are found later.
    pub node: Node,
}

/// One of gitsync's own documents, still untyped.
#[derive(Debug)]
pub struct Raw {
    /// The file, from the root of the repository.
    pub file: String,
    /// The kind.
    pub kind: String,
    node: Node,
    index: usize,
    text: std::sync::Arc<str>,
}

/// Reads gitsync's own documents of a file; documents of other API groups are skipped.
///
/// # Errors
///
/// When the text is not YAML, or a document of our group has a version or a kind that does not exist.
pub fn read(file: &str, text: &str) -> Result<Vec<Raw>, Vec<Problem>> {
    let nodes = yaml::read(text, file)
        .map_err(|error| vec![Problem::new(error.message.clone()).at_line(file, error.line)])?;
    let shared: std::sync::Arc<str> = text.into();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (index, node) in nodes.into_iter().enumerate() {
        let Some(api_version) = node.get("apiVersion").and_then(Node::as_str) else {
            continue;
        };
        if !api_version.starts_with("gitsync.dev/") {
            continue;
        }
        match kind_of(file, &node, api_version) {
            Ok(kind) => found.push(Raw {
                file: file.to_owned(),
                kind,
                node,
                index,
                text: shared.clone(),
            }),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

fn kind_of(file: &str, node: &Node, api_version: &str) -> Result<String, Problem> {
    let line = |key: &str| node.get(key).map_or(node.line(), Node::line);
    if api_version != API_VERSION {
        let problem = Problem::new(format!(
            "`{api_version}` is not served; there is only {API_VERSION}"
        ));
        return Err(problem.at_line(file, line("apiVersion")).field("apiVersion"));
    }
    let kind = node.get("kind").and_then(Node::as_str).unwrap_or_default();
    if schema::KINDS.contains(&kind) {
        return Ok(kind.to_owned());
    }
    let hint = suggest(kind, schema::KINDS).map_or_else(
        || format!("the kinds are {}", schema::KINDS.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Problem::new(format!("unknown kind `{kind}`"))
        .at_line(file, line("kind"))
        .field("kind")
        .hint(hint))
}

// === impl Raw ===

impl Raw {
    /// Checks the document and reads it as its type.
    ///
    /// # Errors
    ///
    /// Every problem of the document, with its line and field.
    pub fn typed<Spec: DeserializeOwned>(self) -> Result<Located<Spec>, Vec<Problem>> {
        let Some(schema) = schema::of_kind(&self.kind) else {
            return Err(vec![
                Problem::new(format!("unknown kind `{}`", self.kind)).at_line(&self.file, self.node.line()),
            ]);
        };
        let problems = schema::check(&self.file, &self.node, &schema);
        if !problems.is_empty() {
            return Err(problems);
        }
        let document = serde_yaml::Deserializer::from_str(&self.text)
            .nth(self.index)
            .map(Document::<Spec>::deserialize)
            .ok_or_else(|| {
                vec![Problem::new("the document cannot be found again").at_line(&self.file, self.node.line())]
            })?
            .map_err(|error| vec![Problem::new(error.to_string()).at_line(&self.file, self.node.line())])?;
        Ok(Located {
            file: self.file,
            line: self.node.line(),
            document,
            node: self.node,
        })
    }
}

// === impl Located ===

impl<Spec> Located<Spec> {
    /// The document's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.document.metadata.name
    }

    /// A problem of the field at `path` (keys and indices, from the document's root), with its line.
    pub fn problem(&self, path: &[&str], message: impl Into<String>) -> Problem {
        let mut node = &self.node;
        for key in path {
            let below = node.get(key).or_else(|| {
                key.parse::<usize>()
                    .ok()
                    .and_then(|index| node.items().get(index))
            });
            match below {
                Some(below) => node = below,
                None => break,
            }
        }
        let line = if node.line() == 0 { self.line } else { node.line() };
        Problem::new(message)
            .at_line(&self.file, line)
            .field(field_path(path))
    }
}

fn field_path(path: &[&str]) -> String {
    let part = |(index, key): (usize, &&str)| match (key.parse::<usize>(), index) {
        (Ok(_), _) => format!("[{key}]"),
        (Err(_), 0) => (*key).to_owned(),
        (Err(_), _) => format!(".{key}"),
    };
    path.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::EnvironmentSpec;

    fn problems(text: &str) -> Vec<String> {
        let read = match read("environment.yaml", text) {
            Ok(mut raw) => raw.remove(0).typed::<EnvironmentSpec>().map(|_| ()),
            Err(problems) => Err(problems),
        };
        read.err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const GOOD: &str = "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: prod\nspec:\n  cluster:\n    context: prod\n  sync:\n    interval: 10s\n";

    #[test]
    fn a_good_document_is_read() {
        assert_eq!(problems(GOOD), [""; 0]);
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let text = GOOD.replace(
            "interval: 10s",
            "intervall: 10s\n    prune: \"yes\"\n    timeout: 5",
        ) + "  colour: red\n";
        let told = problems(&text);
        for part in [
            "environment.yaml:9: spec.sync.intervall: unknown field (did you mean `interval`?)",
            "environment.yaml:10: spec.sync.prune: must be true or false",
            "environment.yaml:11: spec.sync.timeout: must be text",
            "environment.yaml:12: spec.colour: unknown field",
        ] {
            assert!(
                told.iter().any(|line| line.starts_with(part)),
                "{part}\n{told:#?}"
            );
        }
        assert_eq!(told.len(), 4, "{told:#?}");
    }

    #[test]
    fn what_is_missing_and_what_has_the_wrong_form_is_told() {
        for (change, with, part) in [
            (
                "    context: prod\n",
                "    context: [a]\n",
                "spec.cluster.context: must be text, not a list",
            ),
            ("  cluster:\n    context: prod\n", "", "spec.cluster: is required"),
            (
                "name: prod",
                "name: Prod",
                "metadata.name: `Prod` does not have the right form",
            ),
            (
                "interval: 10s",
                "interval: 10",
                "spec.sync.interval: must be text",
            ),
            (
                "interval: 10s",
                "interval: soon",
                "spec.sync.interval: `soon` does not have the right form",
            ),
            (
                "kind: Environment",
                "kind: Enviroment",
                "did you mean `Environment`?",
            ),
            ("v1alpha1", "v1", "there is only gitsync.dev/v1alpha1"),
            ("spec:", "spec: {", "environment.yaml:"),
        ] {
            let told = problems(&GOOD.replace(change, with));
            assert!(told.iter().any(|line| line.contains(part)), "{part}\n{told:#?}");
        }
    }
}
