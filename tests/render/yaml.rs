//! Yaml: a tree whose scalars are source text, printed in one of the styles that people write.

use super::random::Random;

/// A node of a document.
#[derive(Clone, Debug)]
pub enum Yaml {
    /// A scalar on one line as it stands in the source: quoted, plain, with a tag.
    Scalar(String),
    /// The lines of a literal block.
    Block(String),
    /// Entries in order; keys are source text too.
    Map(Vec<(String, Self)>),
    /// A sequence.
    List(Vec<Self>),
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Scalar(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Scalar(text)
    }
}

/// A mapping with these entries.
pub fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
    Yaml::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

// === impl Yaml ===

impl Yaml {
    /// Adds an entry to a mapping.
    pub fn with(mut self, key: &str, value: impl Into<Self>) -> Self {
        if let Self::Map(entries) = &mut self {
            entries.push((key.to_owned(), value.into()));
        }
        self
    }

    /// The text of a document; some of its collections in flow style.
    pub fn print(&self, random: &mut Random) -> String {
        let mut out = String::new();
        self.block(0, random, &mut out);
        out
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Map(entries) => entries.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Scalar(_) | Self::Block(_) => false,
        }
    }

    fn has_block(&self) -> bool {
        match self {
            Self::Block(_) => true,
            Self::Scalar(_) => false,
            Self::Map(entries) => entries.iter().any(|(_, value)| value.has_block()),
            Self::List(items) => items.iter().any(Self::has_block),
        }
    }

    /// Prints from the beginning of a line.
    fn block(&self, indent: usize, random: &mut Random, out: &mut String) {
        let pad = " ".repeat(indent);
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    out.push_str(&format!("{pad}{key}:"));
                    let list_indent = if random.percent(70) { indent } else { indent + 2 };
                    let is_list = matches!(value, Self::List(_));
                    value.after_mark(if is_list { list_indent } else { indent + 2 }, random, out);
                }
            }
            Self::List(items) if !items.is_empty() => {
                for item in items {
                    out.push_str(&format!("{pad}-"));
                    let is_nested = matches!(item, Self::Map(_) | Self::List(_)) && !item.is_empty();
                    if is_nested && (item.has_block() || random.percent(85)) {
                        // The first line of the nested collection goes on after the mark.
                        let mut nested = String::new();
                        item.block(indent + 2, random, &mut nested);
                        out.push_str(&nested[indent + 1..]);
                    } else {
                        item.after_mark(indent + 2, random, out);
                    }
                }
            }
            _ => {
                out.push_str(&pad);
                out.push_str(&self.flow());
                out.push('\n');
            }
        }
    }

    /// Prints after `key:` or `-`.
    fn after_mark(&self, indent: usize, random: &mut Random, out: &mut String) {
        match self {
            Self::Block(text) => {
                let pad = " ".repeat(indent);
                out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
                for line in text.lines() {
                    match line {
                        "" => out.push('\n'),
                        line => out.push_str(&format!("{pad}{line}\n")),
                    }
                }
            }
            Self::Map(_) | Self::List(_) if !self.is_empty() && (self.has_block() || random.percent(92)) => {
                out.push('\n');
                self.block(indent, random, out);
            }
            _ => out.push_str(&format!(" {}\n", self.flow())),
        }
    }

    fn flow(&self) -> String {
        match self {
            Self::Scalar(text) | Self::Block(text) => text.clone(),
            Self::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {}", value.flow()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}
