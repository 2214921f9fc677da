//! Strategic merge: an object and a patch of its shape become one object.
//!
//! The rules are those of the reference's own merge (`merge2` of kyaml), which differs from the API server's
//! in ways that users see: lists of known types merge by key with the patch's new items first, a null in
//! the patch removes a field, `$patch: delete` and `replace` are obeyed, other directives are not, and the
//! walk over the object itself drops fields with an empty value and items without their key.

use manifest::{Data, Node, Style, Tag};

use crate::schema::{Schema, TypeId};
use crate::smp_list::merge_list;

/// The second side of a merge.
pub(crate) enum Patch {
    /// The patch says nothing here.
    None,
    /// The patch is the object itself: what a patch adds is walked once more as its own patch.
    Same,
    /// The patch's value.
    Node(Node),
}

impl Patch {
    fn node<'n>(&'n self, object: Option<&'n Node>) -> Option<&'n Node> {
        match self {
            Self::None => None,
            Self::Same => object,
            Self::Node(node) => Some(node),
        }
    }
}

/// What a walk ends with.
pub(crate) struct Merged {
    pub node: Node,
    /// A null that stays in the object.
    pub keep_null: bool,
    /// Whether the node is the patch's.
    pub foreign: bool,
}

impl Merged {
    fn own(node: Node) -> Self {
        Self {
            node,
            keep_null: false,
            foreign: false,
        }
    }
}

/// What a `$patch` entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    Merge,
    Replace,
    Delete,
}

impl Directive {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "merge" => Ok(Self::Merge),
            "replace" => Ok(Self::Replace),
            "delete" => Ok(Self::Delete),
            other => Err(format!(
                "unknown patch strategy '{other}': $patch is merge, replace or delete"
            )),
        }
    }
}

pub(crate) const DIRECTIVE: &str = "$patch";

/// A merge in progress.
pub(crate) struct Merger<'s> {
    pub schema: &'s Schema,
    /// Linked nodes that were written, in order.
    pub written: Vec<Node>,
    depth: usize,
}

/// Merges a patch into an object. `None` when the patch deletes it.
///
/// # Errors
///
/// When the two do not fit: a scalar against a mapping, an unknown `$patch`.
pub(crate) fn merge(schema: &Schema, object: Node, patch: Node) -> Result<Option<Node>, String> {
    if patch.get(DIRECTIVE).and_then(Node::as_str) == Some("replace") {
        // The reference drops what comes out when the whole object is replaced, and keeps the object.
        return Ok(Some(object));
    }
    let mut merger = Merger {
        schema,
        written: Vec::new(),
        depth: 0,
    };
    let merged = merger.walk(None, Some(object), Patch::Node(patch))?;
    Ok(merged.map(|merged| {
        let mut node = merged.node;
        for written in &merger.written {
            crate::walk::propagate(&mut node, written);
        }
        node
    }))
}

fn present(node: Option<&Node>) -> Option<&Node> {
    node.filter(|node| !node.is_null())
}

impl Merger<'_> {
    /// Merges one value; `None` removes it.
    pub(crate) fn walk(
        &mut self,
        of_type: Option<TypeId>,
        object: Option<Node>,
        patch: Patch,
    ) -> Result<Option<Merged>, String> {
        const DEEPEST: usize = 300;
        if self.depth > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST} levels"));
        }
        let (left, right) = (present(object.as_ref()), present(patch.node(object.as_ref())));
        let Some(first) = left.or(right) else {
            return self.walk_map(of_type, object, patch);
        };
        if let Some(other) = right.filter(|other| other.kind() != first.kind()) {
            let text = |node: &Node| format!("{:?}", node.kind()).to_lowercase();
            return Err(format!(
                "wrong node kind: expected a {} but got a {}",
                text(first),
                text(other)
            ));
        }
        let of_type = of_type.or_else(|| self.type_of(left).or_else(|| self.type_of(right)));
        self.depth += 1;
        let merged = match first.data {
            Data::Mapping(_) => self.walk_map(of_type, object, patch),
            Data::Sequence(_) => match of_type.and_then(|id| self.schema.merge_keys(id)) {
                Some(keys) => merge_list(self, of_type, &keys, object, patch),
                None => Ok(overridden(object, patch)),
            },
            Data::Scalar(_) => Ok(overridden(object, patch)),
        };
        self.depth -= 1;
        merged
    }

    /// The type of an object that says its kind.
    fn type_of(&self, node: Option<&Node>) -> Option<TypeId> {
        let text = |key| {
            node?
                .get(key)
                .filter(|node| !node.is_null())
                .and_then(Node::as_str)
        };
        let (api_version, kind) = (text("apiVersion")?, text("kind")?);
        if api_version.is_empty() || kind.is_empty() {
            return None;
        }
        self.schema.kind(api_version, kind)
    }

    fn walk_map(
        &mut self,
        of_type: Option<TypeId>,
        object: Option<Node>,
        patch: Patch,
    ) -> Result<Option<Merged>, String> {
        let Some((mut merged, mut patch)) = visit_map(object, patch)? else {
            return Ok(None);
        };
        if merged.keep_null || !merged.node.is_mapping() {
            return Ok(Some(merged));
        }
        for key in field_names(&merged.node, &patch) {
            let field_type = of_type.and_then(|id| self.schema.field(id, &key));
            self.merge_field(&mut merged.node, &key, field_type, &mut patch)?;
        }
        Ok(Some(merged))
    }

    fn merge_field(
        &mut self,
        object: &mut Node,
        key: &str,
        of_type: Option<TypeId>,
        patch: &mut Patch,
    ) -> Result<(), String> {
        let (key_style, patch_field) = take_field(patch, key);
        let slot = object.get_mut(key);
        let field = slot.map(|slot| std::mem::replace(slot, Node::null()));
        let before = field
            .as_ref()
            .map(|field| (field.style, field.tagged, field.link, field.kind()));
        let patch_field = match patch_field {
            // The field of the object itself does not exist, so neither does the patch's.
            Patch::Same if field.is_none() => Patch::None,
            other => other,
        };
        let merged = self
            .walk(of_type, field, patch_field)
            .map_err(|why| in_field(key, &why))?;
        match merged.filter(|merged| merged.keep_null || !merged.node.is_null()) {
            None => {
                object.remove(key);
            }
            Some(Merged {
                mut node, foreign, ..
            }) => match before {
                Some((style, tagged, link, _)) => {
                    if !foreign {
                        crate::walk::quote_odd(&mut node);
                    } else {
                        node.style = style;
                        node.tagged = tagged;
                        node.link = link;
                        if link != 0 {
                            self.written.push(node.clone());
                        }
                    }
                    if let Some(slot) = object.get_mut(key) {
                        *slot = node;
                    }
                }
                None => {
                    crate::walk::quote_odd(&mut node);
                    let place = node.place;
                    if let Some(entries) = object.entries_mut() {
                        entries.push((Node::scalar(key).with_style(key_style).with_place(place), node));
                    }
                }
            },
        }
        Ok(())
    }
}

/// Takes a field out of a patch, with the style of its key.
fn take_field(patch: &mut Patch, key: &str) -> (Style, Patch) {
    match patch {
        Patch::None => (Style::Plain, Patch::None),
        Patch::Same => (Style::Plain, Patch::Same),
        Patch::Node(node) => {
            let entry = node.entries().iter().find(|(name, _)| name.as_str() == Some(key));
            match entry.map(|(name, _)| name.style) {
                Some(style) => (style, node.remove(key).map_or(Patch::None, Patch::Node)),
                None => (Style::Plain, Patch::None),
            }
        }
    }
}

fn in_field(key: &str, why: &str) -> String {
    match why.strip_prefix("at ") {
        Some(rest) => format!("at {key}.{rest}"),
        None => format!("at {key}: {why}"),
    }
}

/// Decides what a mapping becomes before its fields are merged, and what they merge with.
fn visit_map(object: Option<Node>, patch: Patch) -> Result<Option<(Merged, Patch)>, String> {
    let (object, patch) = take_style(object, patch);
    let Some(mut object) = object.filter(|object| !object.is_null() || !matches!(patch, Patch::Node(_)))
    else {
        // The object lacks what the patch has: it is added, and walked as its own patch.
        let Patch::Node(mut node) = patch else {
            return Ok(None);
        };
        if take_map_directive(&mut node) == Ok(Directive::Delete) {
            return Ok(None);
        }
        return Ok(Some((
            Merged {
                node,
                keep_null: false,
                foreign: true,
            },
            Patch::Same,
        )));
    };
    if object.is_null() {
        return Ok(match patch {
            // A null that was written stays; an empty value goes.
            Patch::None if object.as_str().is_some_and(|text| !text.is_empty()) => {
                object.style = Style::Plain;
                Some((
                    Merged {
                        node: object,
                        keep_null: true,
                        foreign: false,
                    },
                    Patch::None,
                ))
            }
            Patch::None => None,
            _ => Some((Merged::own(object), Patch::Same)),
        });
    }
    match patch {
        Patch::None => Ok(Some((Merged::own(object), Patch::None))),
        Patch::Same => Ok(match take_map_directive(&mut object)? {
            Directive::Delete => None,
            Directive::Merge | Directive::Replace => Some((Merged::own(object), Patch::Same)),
        }),
        Patch::Node(node) if node.is_null() => Ok(None),
        Patch::Node(mut node) => Ok(match take_map_directive(&mut node)? {
            Directive::Delete => None,
            Directive::Replace => Some((
                Merged {
                    node,
                    keep_null: false,
                    foreign: true,
                },
                Patch::Same,
            )),
            Directive::Merge => Some((Merged::own(object), Patch::Node(node))),
        }),
    }
}

/// An empty collection takes the style of the patch.
pub(crate) fn take_style(mut object: Option<Node>, patch: Patch) -> (Option<Node>, Patch) {
    if let (Some(object), Patch::Node(node)) = (&mut object, &patch) {
        let empty = match &object.data {
            Data::Scalar(_) => false,
            Data::Sequence(items) => items.is_empty(),
            Data::Mapping(entries) => entries.is_empty(),
        };
        if empty {
            object.style = node.style;
            object.tagged = node.tagged;
        }
    }
    (object, patch)
}

/// Scalars and atomic lists: the patch's value, if it has one.
fn overridden(object: Option<Node>, patch: Patch) -> Option<Merged> {
    let (object, patch) = take_style(object, patch);
    match patch {
        Patch::Node(node) => Some(Merged {
            node,
            keep_null: false,
            foreign: true,
        }),
        Patch::None | Patch::Same => object.map(Merged::own),
    }
}

fn field_names(object: &Node, patch: &Patch) -> Vec<String> {
    let names = |node: &Node| {
        node.entries()
            .iter()
            .map(|(key, _)| key.as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let mut keys = names(object);
    if let Patch::Node(node) = patch {
        keys.extend(names(node));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Reads the `$patch` of a mapping and removes it.
fn take_map_directive(node: &mut Node) -> Result<Directive, String> {
    if !node.is_mapping() {
        return Err("no strategic merge for a scalar".to_owned());
    }
    let Some(value) = node.get(DIRECTIVE) else {
        return Ok(Directive::Merge);
    };
    let directive = Directive::parse(value.as_str().unwrap_or_default())?;
    node.remove(DIRECTIVE);
    Ok(directive)
}

/// A field of a patch that a list needs as a key.
pub(crate) fn key_node(key: &str, value: &str) -> (Node, Node) {
    (
        Node::scalar(key),
        Node {
            tag: Tag::None,
            ..Node::scalar(value)
        },
    )
}
