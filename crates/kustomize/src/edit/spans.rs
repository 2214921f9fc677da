//! Spans: a YAML document as a tree of byte ranges.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::EditError;

/// Deeper nesting is no kustomization.
const DEEPEST: usize = 64;

/// A text with the tree of its only document.
pub(super) struct Document<'t> {
    pub(super) text: &'t str,
    /// `None` when there is nothing but comments.
    pub(super) root: Option<Node>,
    anchors: HashMap<usize, Range<usize>>,
}

/// A value and the bytes that it is written in, without its anchor and tag.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    /// The number of its anchor; 0 when it has none.
    pub(super) anchor: usize,
    pub(super) data: Data,
}

#[derive(Debug, Clone)]
pub(super) enum Data {
    Scalar { text: String, style: ScalarStyle },
    Alias(usize),
    Sequence { items: Vec<Node>, flow: bool },
    Mapping { entries: Vec<(Node, Node)>, flow: bool },
}

// === impl Node ===

impl Node {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text),
            Data::Alias(_) | Data::Sequence { .. } | Data::Mapping { .. } => None,
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.data {
            Data::Sequence { items, .. } => items,
            Data::Scalar { .. } | Data::Alias(_) | Data::Mapping { .. } => &[],
        }
    }

    pub(super) fn entries(&self) -> &[(Self, Self)] {
        match &self.data {
            Data::Mapping { entries, .. } => entries,
            Data::Scalar { .. } | Data::Alias(_) | Data::Sequence { .. } => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&(Self, Self)> {
        self.entries().iter().find(|(found, _)| found.text() == Some(key))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Whether this is a null that nobody wrote, as after a lone `key:`.
    pub(super) fn is_unwritten(&self) -> bool {
        self.span.is_empty()
            && matches!(
                self.data,
                Data::Scalar {
                    style: ScalarStyle::Plain,
                    ..
                }
            )
    }

    /// The node with this anchor, here or below.
    fn find_anchor(&self, anchor: usize) -> Option<&Self> {
        if self.anchor == anchor {
            return Some(self);
        }
        let entries = self.entries().iter().flat_map(|(key, value)| [key, value]);
        self.items()
            .iter()
            .chain(entries)
            .find_map(|node| node.find_anchor(anchor))
    }
}

// === impl Document ===

impl<'t> Document<'t> {
    /// Reads a text that holds one document, or none.
    pub(super) fn parse(text: &'t str) -> Result<Self, EditError> {
        let options = granit_parser::options! { emit_comments: false };
        let mut tree = Builder::default();
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| {
                let reason = error.info();
                EditError::Invalid {
                    line: error.marker().line(),
                    reason,
                }
            })?;
            let range = span.byte_range().unwrap_or_default();
            tree.take(event, range).map_err(|reason| {
                let reason = reason.to_owned();
                EditError::Invalid {
                    line: span.start.line(),
                    reason,
                }
            })?;
        }
        let Builder {
            mut documents,
            anchors,
            ..
        } = tree;
        let root = documents.pop();
        let document = Self { text, root, anchors };
        match (&document.root, documents.first()) {
            (Some(second), Some(_)) => Err(document.invalid(
                second,
                "a kustomization is one YAML document, but here begins another",
            )),
            _ => Ok(document),
        }
    }

    /// The list below a key of the top level; `None` when it is missing or empty of content.
    pub(super) fn section(&self, key: &str) -> Result<Option<&Node>, EditError> {
        let Some(root) = &self.root else { return Ok(None) };
        if root.is_unwritten() {
            return Ok(None);
        }
        if !matches!(root.data, Data::Mapping { .. }) {
            return Err(self.invalid(root, "a kustomization is a mapping"));
        }
        let Some(section) = root.get(key) else {
            return Ok(None);
        };
        let section = self.target(section);
        match &section.data {
            Data::Sequence { .. } => Ok(Some(section)),
            Data::Scalar {
                text,
                style: ScalarStyle::Plain,
            } if is_null(text) => Ok(None),
            Data::Scalar { .. } | Data::Alias(_) | Data::Mapping { .. } => {
                Err(self.invalid(section, &format!("`{key}` is not a list")))
            }
        }
    }

    /// The node that an alias stands for, or the node itself.
    pub(super) fn target<'n>(&'n self, node: &'n Node) -> &'n Node {
        match node.data {
            Data::Alias(anchor) if self.anchors.contains_key(&anchor) => self
                .root
                .as_ref()
                .and_then(|root| root.find_anchor(anchor))
                .unwrap_or(node),
            _ => node,
        }
    }

    /// The line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    pub(super) fn invalid(&self, node: &Node, reason: &str) -> EditError {
        EditError::Invalid {
            line: self.line(node.span.start),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn unsafe_at(&self, at: usize, reason: impl Into<String>) -> EditError {
        EditError::Unsafe {
            line: self.line(at),
            reason: reason.into(),
        }
    }
}

pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Puts nodes together from events.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<(Node, Option<Node>)>,
    anchors: HashMap<usize, Range<usize>>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let data = Data::Scalar {
                    text: text.into_owned(),
                    style,
                };
                self.close(Node { span, anchor, data })
            }
            Event::Alias(anchor) => self.close(Node {
                span,
                anchor: 0,
                data: Data::Alias(anchor),
            }),
            Event::SequenceStart(style, anchor, _) => {
                let data = Data::Sequence {
                    items: Vec::new(),
                    flow: style == StructureStyle::Flow,
                };
                self.open(Node { span, anchor, data })
            }
            Event::MappingStart(style, anchor, _) => {
                let data = Data::Mapping {
                    entries: Vec::new(),
                    flow: style == StructureStyle::Flow,
                };
                self.open(Node { span, anchor, data })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (mut node, _) = self.open.pop().ok_or("a collection ends that never began")?;
                // The end of a block collection is where the next thing begins, which is none of its bytes.
                if let Data::Sequence { flow: true, .. } | Data::Mapping { flow: true, .. } = node.data {
                    node.span.end = span.end;
                }
                self.close(node)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, node: Node) -> Result<(), &'static str> {
        if self.open.len() >= DEEPEST {
            return Err("it is nested too deeply for a kustomization");
        }
        self.open.push((node, None));
        Ok(())
    }

    fn close(&mut self, node: Node) -> Result<(), &'static str> {
        if node.anchor != 0 {
            self.anchors.insert(node.anchor, node.span.clone());
        }
        let Some((parent, key)) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        if !node.span.is_empty() {
            parent.span.end = parent.span.end.max(node.span.end);
        }
        match &mut parent.data {
            Data::Sequence { items, .. } => items.push(node),
            Data::Mapping { entries, .. } => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Data::Scalar { .. } | Data::Alias(_) => return Err("a scalar has children"),
        }
        Ok(())
    }
}
