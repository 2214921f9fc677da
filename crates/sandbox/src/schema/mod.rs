//! Schema: the types of the kinds: which fields there are, how their lists merge, what a missing one counts as.
//!
//! The builtin types come from `data/schema.txt`, which `tools/schema.py` writes from the OpenAPI documents of a
//! running API server; a custom kind's come from its CustomResourceDefinition. Everything that depends on types reads
//! them here: the check of what a client sends, apply, strategic merge, and the OpenAPI documents that are served.

mod check;
pub(crate) mod protobuf;
mod quantity;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::Value;

pub(crate) use check::{Problem, check, settle};

/// The types of the builtin kinds.
static BUILTIN: LazyLock<Schema> = LazyLock::new(|| table::parse(include_str!("../../data/schema.txt")));

/// Definitions that refer to each other by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    /// The definitions.
    pub definitions: Vec<Definition>,
    /// (group, version, kind) to its definition.
    pub kinds: HashMap<(String, String, String), usize>,
    /// The version of Kubernetes that the types are of, as `1.33.0`.
    pub version: String,
    /// Whether a null is a value. To Go's structs, and so to the builtin types, it is none.
    pub keeps_nulls: bool,
}

/// An object with known fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Definition {
    /// As OpenAPI has it: `io.k8s.api.core.v1.Pod`.
    pub name: String,
    /// Its fields.
    pub fields: BTreeMap<Box<str>, Field>,
    /// Whether an apply replaces it as a whole.
    pub atomic: bool,
    /// The type of every other field, if there may be others.
    pub others: Option<Type>,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// One value.
    Scalar(Scalar),
    /// Anything: objects in it merge field by field, lists are replaced.
    Any,
    /// A definition of the same schema.
    Defined(usize),
    /// A definition of the builtin schema.
    Builtin(usize),
    /// A list.
    List(Box<Self>, ListKind),
    /// A map of any keys, and whether an apply replaces it as a whole.
    Map(Box<Self>, bool),
}

/// What a scalar may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Int32,
    Int64,
    Number,
    Boolean,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    Bytes,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ListKind {
    /// They are not: the list is one value.
    Atomic,
    /// By their values.
    Set,
    /// By the values of these keys.
    Map(Vec<Box<str>>),
}

/// A field of a definition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    /// The type of its value.
    pub of: Type,
    /// How a strategic merge treats a list; none replaces it.
    pub merge: Option<Strategy>,
    /// Whether a strategic merge knows `$retainKeys` here.
    pub retain_keys: bool,
    /// Whether an apply replaces its object as a whole.
    pub atomic: bool,
    /// What a missing key counts as.
    pub default: Option<Value>,
    /// Whether it has to be there.
    pub required: bool,
    /// What becomes of a zero value.
    pub zero: Zero,
    /// The numbers in protobuf on the way to the field: its own, or that of a message around it first.
    pub numbers: Vec<u32>,
}

/// How a strategic merge tells the items of a list apart: by a key, or by their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strategy {
    /// The merge key; none for plain values.
    pub key: Option<Box<str>>,
}

/// What becomes of a field with a zero value when the object is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zero {
    /// It stays as it is written.
    Kept,
    /// It vanishes.
    Dropped,
    /// It is there even if nobody has written it.
    Always,
}

/// A type together with the schema that its numbers refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    schema: &'a Schema,
    of: &'a Type,
    atomic: bool,
}

// === impl Schema ===

impl Schema {
    /// The builtin types.
    pub(crate) fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The number of a definition by its name's end, as `ObjectMeta`.
    pub(crate) fn number_of(&self, ending: &str) -> Option<usize> {
        self.definitions
            .iter()
            .position(|one| one.name.rsplit('.').next() == Some(ending))
    }

    /// The type of a kind.
    pub(crate) fn type_of(&self, group: &str, version: &str, kind: &str) -> Option<Type> {
        let number = self
            .kinds
            .get(&(group.to_owned(), version.to_owned(), kind.to_owned()))?;
        Some(Type::Defined(*number))
    }

    /// A type of this schema.
    pub(crate) const fn node<'a>(&'a self, of: &'a Type) -> Node<'a> {
        Node {
            schema: self,
            of,
            atomic: false,
        }
    }
}

// === impl Node ===

/// A node as a merge sees it: named fields, keyed items, or a leaf.
pub(crate) enum Shape<'a> {
    /// A value that is replaced as a whole.
    Leaf,
    /// An object whose fields merge.
    Object,
    /// A list whose items are told apart by keys.
    Keyed(Node<'a>, &'a [Box<str>]),
    /// A list whose items are told apart by their values.
    Set,
}

impl<'a> Node<'a> {
    /// What a type that nothing is known about is.
    pub(crate) fn any() -> Self {
        Schema::builtin().node(&Type::Any)
    }

    /// The definition, if the type is one.
    pub(crate) fn definition(self) -> Option<(&'a Schema, &'a Definition)> {
        match self.of {
            Type::Defined(number) => Some((self.schema, self.schema.definitions.get(*number)?)),
            Type::Builtin(number) => Some((Schema::builtin(), Schema::builtin().definitions.get(*number)?)),
            _ => None,
        }
    }

    /// The type itself.
    pub(crate) const fn of(self) -> &'a Type {
        self.of
    }

    /// How apply sees a value of this type.
    pub(crate) fn shape(self, value: &Value) -> Shape<'a> {
        if self.atomic {
            return Shape::Leaf;
        }
        match (self.of, value) {
            (Type::Any, Value::Object(_)) | (Type::Map(_, false), Value::Object(_)) => Shape::Object,
            (Type::Defined(_) | Type::Builtin(_), Value::Object(_)) => match self.definition() {
                Some((_, definition)) if definition.atomic => Shape::Leaf,
                _ => Shape::Object,
            },
            (Type::List(items, ListKind::Map(keys)), Value::Array(_)) => {
                Shape::Keyed(self.schema.node(items), keys)
            }
            (Type::List(_, ListKind::Set), Value::Array(_)) => Shape::Set,
            _ => Shape::Leaf,
        }
    }

    /// The field of a definition.
    pub(crate) fn declared(self, name: &str) -> Option<&'a Field> {
        self.definition()?.1.fields.get(name)
    }

    /// The type of a field; none if there may be no such field.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        match self.of {
            Type::Any => Some(self),
            Type::Map(value, _) => Some(self.schema.node(value)),
            _ => {
                let (schema, definition) = self.definition()?;
                if let Some(field) = definition.fields.get(name) {
                    let mut node = schema.node(&field.of);
                    node.atomic = field.atomic;
                    return Some(node);
                }
                definition.others.as_ref().map(|others| schema.node(others))
            }
        }
    }

    /// The type of the items of a list.
    pub(crate) fn items(self) -> Self {
        match self.of {
            Type::List(items, _) => self.schema.node(items),
            _ => Node::any(),
        }
    }

    /// The default of a field, where a missing one counts as that.
    pub(crate) fn default_of(self, field: &str) -> Option<Value> {
        let field = self.declared(field)?;
        match (&field.default, field.zero, &field.of) {
            (Some(default), ..) => Some(default.clone()),
            (None, Zero::Always, Type::Scalar(Scalar::String)) => Some("".into()),
            (None, Zero::Always, Type::Scalar(Scalar::Int32 | Scalar::Int64)) => Some(0.into()),
            _ => None,
        }
    }

    /// Whether a null is a value.
    pub(crate) const fn keeps_nulls(self) -> bool {
        self.schema.keeps_nulls
    }
}
