//! Types: the shapes of the builtin kinds, as `k8s.io/api` declares them.
//!
//! The table `types.txt` is printed by `tests/cluster/types`, which also explains its notation.

use std::collections::HashMap;
use std::sync::OnceLock;

/// What may stand at a place of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// True or false.
    Bool,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A number.
    Float,
    /// Bytes, in base64.
    Bytes,
    /// A quantity.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// A time, in seconds.
    Time,
    /// A time, in microseconds.
    MicroTime,
    /// A duration such as `1h5m`.
    Duration,
    /// Anything.
    Any,
    /// Something that may be absent, in which case nothing stands for it.
    Pointer(Box<Shape>),
    /// A list.
    List(Box<Shape>),
    /// A map with string keys.
    Map(Box<Shape>),
    /// A structure, by its name in the table.
    Struct(&'static str),
}

/// A field of a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name in JSON.
    pub name: &'static str,
    /// Whether a zero value is left out.
    pub optional: bool,
    /// What it holds.
    pub shape: Shape,
}

/// The whole table.
#[derive(Debug)]
pub struct Types {
    kinds: HashMap<(&'static str, &'static str), &'static str>,
    structs: HashMap<&'static str, Vec<Field>>,
}

/// The table, read at the first use.
pub fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(|| Types::read(include_str!("types.txt")))
}

// === impl Types ===

impl Types {
    /// The structure of a kind: `("apps/v1", "Deployment")` is `apps.v1.Deployment`.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&'static str> {
        self.kinds
            .iter()
            .find(|((version, name), _)| *version == api_version && *name == kind)
            .map(|(_, structure)| *structure)
    }

    /// The fields of a structure, in the order of their declaration.
    pub fn fields(&self, structure: &str) -> &[Field] {
        self.structs.get(structure).map_or(&[], Vec::as_slice)
    }

    /// All kinds with their versions.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.kinds.keys().copied()
    }

    fn read(text: &'static str) -> Self {
        let (kinds, structs) = text.split_once("\n\n").expect("because the table has two parts");
        let kind = |line: &'static str| {
            let mut words = line.split(' ');
            let mut next = || words.next().expect("because a kind has three words");
            ((next(), next()), next())
        };
        let structure = |line: &'static str| {
            let mut words = line.split(' ');
            let name = words.next().expect("because splitting gives at least one word");
            (name, words.map(Field::read).collect())
        };
        Self {
            kinds: kinds.lines().map(kind).collect(),
            structs: structs.lines().map(structure).collect(),
        }
    }
}

// === impl Field ===

impl Field {
    fn read(word: &'static str) -> Self {
        let (name, shape) = word.split_once('=').expect("because a field has a shape");
        Self {
            name: name.trim_end_matches('?'),
            optional: name.ends_with('?'),
            shape: Shape::read(shape),
        }
    }
}

// === impl Shape ===

impl Shape {
    fn read(text: &'static str) -> Self {
        match text.split_at(1) {
            ("*", rest) => return Self::Pointer(Box::new(Self::read(rest))),
            ("[", rest) => return Self::List(Box::new(Self::read(rest))),
            ("{", rest) => return Self::Map(Box::new(Self::read(rest))),
            _ => {}
        }
        match text {
            "s" => Self::Text,
            "b" => Self::Bool,
            "i32" => Self::Int32,
            "i64" => Self::Int64,
            "f64" => Self::Float,
            "y" => Self::Bytes,
            "q" => Self::Quantity,
            "x" => Self::IntOrString,
            "t" => Self::Time,
            "m" => Self::MicroTime,
            "d" => Self::Duration,
            "r" => Self::Any,
            name => Self::Struct(name),
        }
    }

    /// The name of the Go type, as a decoder's message writes it.
    pub fn go_name(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int32 | Self::IntOrString => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Float => "float64".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Quantity => "resource.Quantity".to_owned(),
            Self::Time => "v1.Time".to_owned(),
            Self::MicroTime => "v1.MicroTime".to_owned(),
            Self::Duration => "v1.Duration".to_owned(),
            Self::Any => "runtime.RawExtension".to_owned(),
            Self::Pointer(inner) => format!("*{}", inner.go_name()),
            Self::List(inner) => format!("[]{}", inner.go_name()),
            Self::Map(inner) => format!("map[string]{}", inner.go_name()),
            Self::Struct(name) => name.split_once('.').map_or(*name, |(_, rest)| rest).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_structure_is_in_the_table() {
        let mut missing = Vec::new();
        for fields in types().structs.values() {
            for field in fields {
                let mut shape = &field.shape;
                while let Shape::Pointer(inner) | Shape::List(inner) | Shape::Map(inner) = shape {
                    shape = inner;
                }
                if let Shape::Struct(name) = shape
                    && !types().structs.contains_key(name)
                {
                    missing.push(*name);
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(types().kind("apps/v1", "Deployment"), Some("apps.v1.Deployment"));
    }
}
