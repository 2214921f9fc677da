//! Node: one value of a YAML document, with what the text said about it (style, tag, place).

/// What a node is, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A single value: string, number, bool, null.
    Scalar,
    /// An ordered list.
    Sequence,
    /// An ordered list of key and value pairs. Duplicate keys are kept.
    Mapping,
}

/// The content of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// The text of a scalar, after unescaping and folding.
    Scalar(String),
    /// The items of a sequence.
    Sequence(Vec<Node>),
    /// The entries of a mapping, in the order of the file.
    Mapping(Vec<(Node, Node)>),
}

/// The type of a node, either written in the text or found by the rules of go-yaml v3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tag {
    /// Nothing said: a scalar resolves by its text when it is read as JSON.
    #[default]
    None,
    /// `!!null`
    Null,
    /// `!!bool`
    Bool,
    /// `!!int`
    Int,
    /// `!!float`
    Float,
    /// `!!str`
    Str,
    /// `!!timestamp`
    Timestamp,
    /// `!!binary`
    Binary,
    /// `!!merge`, the tag of an unquoted `<<` key.
    Merge,
    /// `!!map`
    Map,
    /// `!!seq`
    Seq,
    /// Any other tag, as written.
    Other(Box<str>),
}

impl Tag {
    /// The short spelling, such as `!!str`; empty for [`Tag::None`].
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "",
            Self::Null => "!!null",
            Self::Bool => "!!bool",
            Self::Int => "!!int",
            Self::Float => "!!float",
            Self::Str => "!!str",
            Self::Timestamp => "!!timestamp",
            Self::Binary => "!!binary",
            Self::Merge => "!!merge",
            Self::Map => "!!map",
            Self::Seq => "!!seq",
            Self::Other(text) => text,
        }
    }

    /// The tag with this spelling, short (`!!int`) or long (`tag:yaml.org,2002:int`).
    pub fn parse(text: &str) -> Self {
        let short = text
            .strip_prefix("tag:yaml.org,2002:")
            .or_else(|| text.strip_prefix("!!"));
        match short {
            _ if text.is_empty() => Self::None,
            Some("null") => Self::Null,
            Some("bool") => Self::Bool,
            Some("int") => Self::Int,
            Some("float") => Self::Float,
            Some("str") => Self::Str,
            Some("timestamp") => Self::Timestamp,
            Some("binary") => Self::Binary,
            Some("merge") => Self::Merge,
            Some("map") => Self::Map,
            Some("seq") => Self::Seq,
            Some(other) => Self::Other(format!("!!{other}").into()),
            None => Self::Other(text.into()),
        }
    }
}

/// How a node was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// An unquoted scalar, or a collection in block form.
    #[default]
    Plain,
    /// `'text'`
    SingleQuoted,
    /// `"text"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// `[a, b]` or `{a: b}`
    Flow,
}

impl Style {
    /// Whether the style makes a scalar a string whatever its text looks like.
    pub fn is_quoted(self) -> bool {
        matches!(
            self,
            Self::SingleQuoted | Self::DoubleQuoted | Self::Literal | Self::Folded
        )
    }
}

/// Where a node was read. `source` is a number that the caller of the reader chose for the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The caller's number for the file.
    pub source: u32,
    /// Line, from 1; 0 for a node that no file holds.
    pub line: u32,
    /// Column, from 1; 0 for a node that no file holds.
    pub column: u32,
}

/// One value of a YAML document.
///
/// Equality compares everything, also style and place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The content.
    pub data: Data,
    /// The type.
    pub tag: Tag,
    /// How it was written.
    pub style: Style,
    /// Whether the tag was written in the text, so that printing keeps it.
    pub tagged: bool,
    /// Where it was read.
    pub place: Place,
    /// Nodes of one tree with the same non-zero link are one value in several places: a transformer that
    /// changes one of them changes all. The reader gives every node the link 0.
    pub link: u32,
}

// === impl Node ===

impl Node {
    fn new(data: Data, tag: Tag) -> Self {
        Self {
            data,
            tag,
            style: Style::Plain,
            tagged: false,
            place: Place::default(),
            link: 0,
        }
    }

    /// A scalar without a tag: `12` is a number when it is read as JSON.
    pub fn scalar(text: impl Into<String>) -> Self {
        Self::new(Data::Scalar(text.into()), Tag::None)
    }

    /// A scalar that is a string whatever its text looks like.
    pub fn string(text: impl Into<String>) -> Self {
        Self::new(Data::Scalar(text.into()), Tag::Str)
    }

    /// A null.
    pub fn null() -> Self {
        Self::new(Data::Scalar("null".to_owned()), Tag::Null)
    }

    /// A mapping with these entries.
    pub fn mapping(entries: Vec<(Self, Self)>) -> Self {
        Self::new(Data::Mapping(entries), Tag::Map)
    }

    /// A sequence of these items.
    pub fn sequence(items: Vec<Self>) -> Self {
        Self::new(Data::Sequence(items), Tag::Seq)
    }

    /// The same node with another style.
    #[must_use]
    pub fn with_style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// The same node, said to come from `place`.
    #[must_use]
    pub fn with_place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// What the node is.
    pub fn kind(&self) -> Kind {
        match self.data {
            Data::Scalar(_) => Kind::Scalar,
            Data::Sequence(_) => Kind::Sequence,
            Data::Mapping(_) => Kind::Mapping,
        }
    }

    /// Whether the node is tagged null: written so, or empty.
    pub fn is_null(&self) -> bool {
        self.tag == Tag::Null
    }

    /// Whether the node is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(self.data, Data::Mapping(_))
    }

    /// Whether the node is a sequence.
    pub fn is_sequence(&self) -> bool {
        matches!(self.data, Data::Sequence(_))
    }

    /// The text of a scalar, whatever its type.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping; empty for anything else.
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.data {
            Data::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a mapping, to change.
    pub fn entries_mut(&mut self) -> Option<&mut Vec<(Self, Self)>> {
        match &mut self.data {
            Data::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a sequence; empty for anything else.
    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The items of a sequence, to change.
    pub fn items_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.data {
            Data::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The value of the first entry whose key has this text.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, v)| v)
    }

    /// The value of the first entry whose key has this text, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.entries_mut()?
            .iter_mut()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, v)| v)
    }

    /// The value at a path of mapping keys.
    pub fn path(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Gives the first entry with this key a new value, or appends an entry.
    ///
    /// Does nothing when the node is not a mapping.
    pub fn set(&mut self, key: &str, value: Self) {
        if let Some(slot) = self.get_mut(key) {
            *slot = value;
        } else if let Some(entries) = self.entries_mut() {
            entries.push((Self::string(key), value));
        }
    }

    /// Removes the first entry with this key and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Self> {
        let entries = self.entries_mut()?;
        let at = entries.iter().position(|(k, _)| k.as_str() == Some(key))?;
        Some(entries.remove(at).1)
    }

    /// Line, from 1; 0 for a node that no file holds.
    pub fn line(&self) -> u32 {
        self.place.line
    }

    /// Column, from 1; 0 for a node that no file holds.
    pub fn column(&self) -> u32 {
        self.place.column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_a_long_and_a_short_spelling() {
        for short in ["!!null", "!!int", "!!merge", "!!omap"] {
            let long = format!("tag:yaml.org,2002:{}", &short[2..]);
            assert_eq!(Tag::parse(short), Tag::parse(&long));
            assert_eq!(Tag::parse(short).as_str(), short);
        }
        assert_eq!(Tag::parse("!own").as_str(), "!own");
        assert_eq!(Tag::parse(""), Tag::None);
    }

    #[test]
    fn set_replaces_then_appends() {
        let mut node = Node::mapping(vec![(Node::string("a"), Node::scalar("1"))]);
        node.set("a", Node::scalar("2"));
        node.set("b", Node::scalar("3"));
        assert_eq!(node.path(&["a"]).and_then(Node::as_str), Some("2"));
        assert_eq!(node.entries().len(), 2);
        assert!(node.remove("a").is_some());
        assert!(node.get("a").is_none());
    }
}
