//! Path walk: visits the fields of an object that a slash-separated path names, and makes missing ones.

use std::fmt;

use manifest::{Data, Node, Style, Tag, yaml};

/// A path such as `spec/template/spec/containers[]/image`. Sequences on the way are entered whether or not
/// the path says `[]`; the brackets only matter for nulls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    text: Box<str>,
    segments: Box<[Segment]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    name: Box<str>,
    is_sequence: bool,
}

impl Segment {
    fn parse(name: &str) -> Self {
        let shorter = name.strip_suffix("[]");
        Self {
            name: shorter.unwrap_or(name).into(),
            is_sequence: shorter.is_some(),
        }
    }
}

impl Path {
    pub(crate) fn parse(text: &str) -> Self {
        let segments = if text.contains('\\') {
            let names = split_escaped(text, '/');
            names.iter().map(|name| Segment::parse(name)).collect()
        } else {
            let text = text.strip_prefix('/').unwrap_or(text);
            text.split('/').map(Segment::parse).collect()
        };
        Self {
            text: text.into(),
            segments,
        }
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        &*self.text == text
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits at a delimiter that a backslash before it escapes. One delimiter at the start is ignored.
pub(crate) fn split_escaped(text: &str, delimiter: char) -> Vec<String> {
    let mut parts = text.split(delimiter).peekable();
    let mut split: Vec<String> = Vec::new();
    let first = parts.next().unwrap_or_default();
    if !first.is_empty() || parts.peek().is_none() {
        split.push(first.to_owned());
    } else if let Some(second) = parts.next() {
        split.push(second.to_owned());
    }
    for part in parts {
        match split.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => split.push(part.to_owned()),
        }
    }
    split
}

/// What a missing field becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    /// A mapping.
    Mapping,
    /// A scalar that is a string when it replaces a null.
    String,
    /// A scalar that is an integer when it replaces a null.
    Int,
    /// A scalar without a type.
    Scalar,
}

impl Create {
    fn node(self) -> Node {
        match self {
            Self::Mapping => Node {
                tag: Tag::None,
                ..Node::mapping(Vec::new())
            },
            _ => Node::scalar(""),
        }
    }

    /// Turns a null into this, as the reference does: the text of the null stays.
    fn replace_null(self, node: &mut Node) {
        match self {
            Self::Mapping => {
                node.data = Data::Mapping(Vec::new());
                node.tag = Tag::Map;
            }
            Self::String => node.tag = Tag::Str,
            Self::Int => node.tag = Tag::Int,
            Self::Scalar => node.tag = Tag::None,
        }
    }
}

/// Calls `set` for every node at the path; with `create`, missing fields are made.
///
/// # Errors
///
/// When the path leads through a scalar, or `set` fails.
pub(crate) fn visit(
    node: &mut Node,
    path: &Path,
    create: Option<Create>,
    set: &mut dyn FnMut(&mut Node) -> Result<(), String>,
) -> Result<(), String> {
    step(node, &path.segments, create, set)
        .map_err(|message| format!("considering field '{path}': {message}"))
}

fn step(
    node: &mut Node,
    path: &[Segment],
    create: Option<Create>,
    set: &mut dyn FnMut(&mut Node) -> Result<(), String>,
) -> Result<(), String> {
    let Some((segment, rest)) = path.split_first() else {
        return set(node);
    };
    if node.is_null() {
        return Ok(());
    }
    if let Some(items) = node.items_mut() {
        return items
            .iter_mut()
            .try_for_each(|item| step(item, path, create, set));
    }
    if !node.is_mapping() {
        return Err(format!(
            "expected a sequence or mapping, found {:?}",
            node.as_str().unwrap_or_default()
        ));
    }
    if segment.name.is_empty() {
        return Err("cannot set or create an empty field name".to_owned());
    }
    let makes = if segment.is_sequence { None } else { create };
    let made = makes.map(|create| if rest.is_empty() { create } else { Create::Mapping });
    let Some(field) = field(node, &segment.name, made) else {
        return Ok(());
    };
    if field.is_null() {
        if segment.is_sequence {
            field.data = Data::Sequence(Vec::new());
            field.tag = Tag::None;
        } else if let Some(made) = made {
            made.replace_null(field);
        }
    }
    step(field, rest, create, set)
}

/// The value of a field, made if it is missing and that is wanted.
fn field<'n>(node: &'n mut Node, name: &str, made: Option<Create>) -> Option<&'n mut Node> {
    let entries = node.entries_mut()?;
    let at = match entries.iter().position(|(key, _)| key.as_str() == Some(name)) {
        Some(at) => at,
        None => {
            entries.push((Node::scalar(name), made?.node()));
            entries.len() - 1
        }
    };
    entries.get_mut(at).map(|(_, value)| value)
}

/// Gives a scalar a new text and tag, but keeps how it is written: a quoted number stays quoted.
///
/// # Errors
///
/// When the node is no scalar.
pub(crate) fn set_scalar(node: &mut Node, text: impl Into<String>, tag: Tag) -> Result<(), String> {
    if !node.is_null() && node.as_str().is_none() {
        return Err(format!(
            "expected a scalar, found a {}",
            if node.is_mapping() { "mapping" } else { "sequence" }
        ));
    }
    node.data = Data::Scalar(text.into());
    node.tag = tag;
    if node.style == Style::Flow {
        node.style = Style::Plain;
    }
    Ok(())
}

/// Quotes a plain string that YAML 1.1 would read as something else, as the reference does whenever it puts
/// a value into a mapping. It shows when a later value takes over the quotes.
pub(crate) fn quote_odd(node: &mut Node) {
    let is_plain_text =
        matches!(node.tag, Tag::Str | Tag::None) && node.style == Style::Plain && !node.tagged;
    if is_plain_text && node.as_str().is_some_and(is_odd) {
        node.style = Style::DoubleQuoted;
    }
}

/// Whether a text by itself is a YAML 1.1 document that is not a string.
fn is_odd(text: &str) -> bool {
    if text.is_empty() || text.contains('\n') {
        return false;
    }
    let word = |byte: u8| byte.is_ascii_alphabetic() || b"-_./".contains(&byte);
    if text.bytes().all(word) && !text.starts_with(['-', '.', '_', '/']) {
        return !yaml::is_string_1_1(text);
    }
    match yaml::read_first(text, "", 0) {
        Ok(Some(node)) => node.to_json_1_1().is_ok_and(|value| !value.is_string()),
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Sets an entry of a mapping: an existing value keeps its style and its link, a null removes the entry.
///
/// # Errors
///
/// When the node is no mapping.
pub(crate) fn set_field(node: &mut Node, name: &str, mut value: Node) -> Result<(), String> {
    if value.is_null() {
        node.remove(name);
        return Ok(());
    }
    quote_odd(&mut value);
    if let Some(have) = node.get_mut(name) {
        let (style, tagged, link) = (have.style, have.tagged, have.link);
        *have = Node {
            style,
            tagged,
            link,
            ..value
        };
        return Ok(());
    }
    match node.entries_mut() {
        Some(entries) => {
            entries.push((Node::scalar(name), value));
            Ok(())
        }
        None => Err(format!("expected a mapping to set {name} in")),
    }
}

/// Refuses an object that a change has made too large. Whatever can copy a part of an object into the object itself
/// must ask: a few lines of that would otherwise fill the memory.
pub(crate) fn refuse_growth(node: &Node) -> Result<(), String> {
    const MOST_VALUES: usize = yaml::MAX_ALIASED;
    const MOST_BYTES: usize = 16 << 20;
    let (mut values, mut bytes) = (0_usize, 0_usize);
    let mut rest = vec![node];
    while let Some(node) = rest.pop() {
        values += 1;
        match &node.data {
            Data::Scalar(text) => bytes += text.len(),
            Data::Sequence(items) => rest.extend(items),
            Data::Mapping(entries) => rest.extend(entries.iter().map(|(_, value)| value)),
        }
        if values > MOST_VALUES || bytes > MOST_BYTES {
            return Err(format!(
                "the object grows over {MOST_VALUES} values or {MOST_BYTES} bytes"
            ));
        }
    }
    Ok(())
}

/// Gives all nodes with a link the content of the one that was written last.
pub(crate) fn propagate(node: &mut Node, source: &Node) {
    if node.link == source.link {
        node.data = source.data.clone();
        node.tag = source.tag.clone();
        node.style = source.style;
        node.tagged = source.tagged;
    }
    match &mut node.data {
        Data::Scalar(_) => {}
        Data::Sequence(items) => items.iter_mut().for_each(|item| propagate(item, source)),
        Data::Mapping(entries) => entries.iter_mut().for_each(|(_, value)| propagate(value, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_node(text: &str) -> Node {
        yaml::read(text, "t").unwrap().remove(0)
    }

    fn shown(node: &Node) -> String {
        yaml::emit(&node.to_json().unwrap())
    }

    #[test]
    fn paths_split_at_slashes_that_are_not_escaped() {
        let rows: [(&str, &[&str]); 4] = [
            ("a/b", &["a", "b"]),
            ("/a/b", &["a", "b"]),
            (r"a\/b/c", &["a/b", "c"]),
            ("", &[""]),
        ];
        for (text, parts) in rows {
            assert_eq!(split_escaped(text, '/'), parts, "{text}");
        }
    }

    #[test]
    fn fields_are_found_in_sequences_and_made() {
        let mut node = mk_node("spec:\n  list:\n  - a: 1\n  - a: 2\n    b: x\n");
        let mut set = |node: &mut Node| set_scalar(node, "new", Tag::Str);
        visit(&mut node, &Path::parse("spec/list/a"), None, &mut set).unwrap();
        visit(&mut node, &Path::parse("spec/list/b"), None, &mut set).unwrap();
        visit(
            &mut node,
            &Path::parse("spec/made/c"),
            Some(Create::String),
            &mut set,
        )
        .unwrap();
        assert_eq!(
            shown(&node),
            "spec:\n  list:\n  - a: new\n  - a: new\n    b: new\n  made:\n    c: new\n"
        );
    }

    #[test]
    fn nulls_become_what_the_path_says() {
        let mut node = mk_node("a: null\nb: null\n");
        let mut nothing = |_: &mut Node| Ok(());
        visit(
            &mut node,
            &Path::parse("a[]/x"),
            Some(Create::String),
            &mut nothing,
        )
        .unwrap();
        visit(&mut node, &Path::parse("b/x"), None, &mut nothing).unwrap();
        assert_eq!(shown(&node), "a: []\nb: null\n");
        assert!(visit(&mut mk_node("a: 1\n"), &Path::parse("a/b"), None, &mut nothing).is_err());
    }
}
