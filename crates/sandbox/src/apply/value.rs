//! Value: objects seen through their types: which paths they have, what differs, merged, with paths removed.
//!
//! The semantics are those of the package `typed` of sigs.k8s.io/structured-merge-diff. A missing value is `None`; a
//! null one is there and has nothing in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::set::{Element, Set};
use crate::schema::{Node, Shape, Type};

/// The difference of two objects, as paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub removed: Set,
    pub modified: Set,
    pub added: Set,
}

/// The step to an item of a list that is told apart by keys; an error names the keys if all are missing.
pub(super) fn key_of(item_type: Node<'_>, keys: &[Box<str>], item: &Value) -> Result<Element, String> {
    let mut values = BTreeMap::new();
    for key in keys {
        if let Some(value) = item
            .get(key.as_ref())
            .cloned()
            .or_else(|| item_type.default_of(key))
        {
            values.insert(key.to_string(), value);
        }
    }
    if values.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values \
             for any key fields)",
            keys.join(" ")
        ));
    }
    let values: Map<String, Value> = values.into_iter().collect();
    Ok(Element::Key(Value::Object(values).to_string().into()))
}

fn step(shape: &Shape<'_>, item: &Value) -> Option<Element> {
    match shape {
        Shape::Keyed(of, keys) => key_of(*of, keys, item).ok(),
        Shape::Set => Some(Element::Value(item.to_string().into())),
        Shape::Leaf | Shape::Object => None,
    }
}

/// The items of a list by their steps. An update may leave several of the same keys.
fn index<'v>(shape: &Shape<'_>, items: &'v [Value]) -> BTreeMap<Element, Vec<&'v Value>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for item in items {
        if let Some(element) = step(shape, item) {
            found.entry(element).or_default().push(item);
        }
    }
    found
}

/// The paths of an object.
pub(super) fn paths_of(node: Node<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    match (node.shape(value), value) {
        (Shape::Object, Value::Object(map)) => {
            for (name, inner) in map {
                let of = node.field(name).unwrap_or_else(Node::any);
                let mut below = paths_of(of, inner);
                let is_empty = inner.as_object().is_some_and(Map::is_empty);
                below.member |= inner.is_null() || is_empty || node.declared(name).is_none();
                if !below.is_empty() {
                    set.children.insert(Element::Field(name.as_str().into()), below);
                }
            }
        }
        (shape @ (Shape::Keyed(..) | Shape::Set), Value::Array(items)) => {
            for (element, items) in index(&shape, items) {
                let mut below = match (&shape, items.as_slice()) {
                    (Shape::Keyed(of, _), [item]) => paths_of(*of, item),
                    // Items of the same keys are owned as one.
                    _ => Set::default(),
                };
                below.member = true;
                set.children.insert(element, below);
            }
        }
        // A list that merges and has nothing in it is no value.
        (_, Value::Null) if is_mergeable(node) => {}
        _ => set.member = true,
    }
    set
}

/// Whether a value of this type is made of parts.
fn is_mergeable(node: Node<'_>) -> bool {
    let empty = match node.of() {
        Type::List(..) => Value::Array(Vec::new()),
        Type::Scalar(_) | Type::Any => return false,
        _ => Value::Object(Map::new()),
    };
    !matches!(node.shape(&empty), Shape::Leaf)
}

/// What differs between two objects.
pub(super) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(node, Some(old), Some(new), &mut Vec::new(), &mut comparison);
    comparison
}

fn compare_at(
    node: Node<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Element>,
    into: &mut Comparison,
) {
    let shape_of = |value: Option<&Value>| value.map_or(Shape::Leaf, |value| node.shape(value));
    let parts = |value: Option<&Value>| match (shape_of(value), value) {
        (Shape::Object, Some(Value::Object(map))) => !map.is_empty(),
        (Shape::Keyed(..) | Shape::Set, Some(Value::Array(items))) => !items.is_empty(),
        _ => false,
    };
    let is_leaf = |value: Option<&Value>| match value {
        None | Some(Value::Null) => false,
        Some(_) => matches!(shape_of(value), Shape::Leaf),
    };
    if is_leaf(old) || is_leaf(new) || !parts(old) && !parts(new) {
        match (old, new) {
            (None, Some(_)) => into.added.insert(path),
            (Some(_), None) => into.removed.insert(path),
            (Some(old), Some(new)) if !same(old, new) => into.modified.insert(path),
            _ => {}
        }
        return;
    }
    if matches!(old.or(new), Some(Value::Object(_))) || matches!(new, Some(Value::Object(_))) {
        compare_fields(node, old, new, path, into);
    } else {
        compare_items(node, old, new, path, into);
    }
    match (old, new) {
        (None, Some(_)) => into.added.insert(path),
        (Some(_), None) => into.removed.insert(path),
        _ => {}
    }
}

fn compare_fields(
    node: Node<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Element>,
    into: &mut Comparison,
) {
    let map = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (old, new) = (map(old), map(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let of = node.field(name).unwrap_or_else(Node::any);
        path.push(Element::Field(name.as_str().into()));
        compare_at(of, old.get(name), new.get(name), path, into);
        path.pop();
    }
}

fn compare_items<'v>(
    node: Node<'_>,
    old: Option<&'v Value>,
    new: Option<&'v Value>,
    path: &mut Vec<Element>,
    into: &mut Comparison,
) {
    let of = node.items();
    let (old, new) = (items_of(node, old), items_of(node, new));
    let elements: BTreeSet<&Element> = old.keys().chain(new.keys()).collect();
    let all = |items: &BTreeMap<Element, Vec<&'v Value>>, element| -> Vec<&'v Value> {
        items.get(element).cloned().unwrap_or_default()
    };
    for element in elements {
        path.push(element.clone());
        match (all(&old, element).as_slice(), all(&new, element).as_slice()) {
            (before @ ([] | [_]), after @ ([] | [_])) => {
                compare_at(of, before.first().copied(), after.first().copied(), path, into);
            }
            // Several items of the same keys are one value.
            (before @ [_, _, ..], after @ [_, _, ..]) => {
                let unchanged =
                    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| same(a, b));
                if !unchanged {
                    into.modified.insert(path);
                }
            }
            ([_, _, ..], after) => {
                if let Some(only) = after.first() {
                    compare_at(of, None, Some(only), path, into);
                }
                into.removed.insert(path);
            }
            (before, _) => {
                if let Some(only) = before.first() {
                    compare_at(of, Some(only), None, path, into);
                }
                into.added.insert(path);
            }
        }
        path.pop();
    }
}

fn items_of<'v>(node: Node<'_>, list: Option<&'v Value>) -> BTreeMap<Element, Vec<&'v Value>> {
    match list {
        Some(list @ Value::Array(items)) => index(&node.shape(list), items),
        _ => BTreeMap::new(),
    }
}

/// Whether two values are equal, numbers by their worth.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

/// The live object with the applied one merged into it; `None` if nothing is left.
pub(super) fn merge(node: Node<'_>, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let shape = |value: Option<&Value>| value.map_or(Shape::Leaf, |value| node.shape(value));
    match (shape(live), live, shape(applied), applied) {
        (_, Some(live), _, None) => Some(live.clone()),
        (Shape::Object, Some(Value::Object(old)), Shape::Object, Some(Value::Object(new)))
            if !(old.is_empty() && new.is_empty()) =>
        {
            merge_fields(node, old, new)
        }
        (
            Shape::Keyed(..) | Shape::Set,
            Some(Value::Array(old)),
            Shape::Keyed(..) | Shape::Set,
            Some(Value::Array(new)),
        ) if !(old.is_empty() && new.is_empty()) => merge_items(node, old, new),
        (_, _, Shape::Object, Some(Value::Object(new))) if !new.is_empty() => {
            merge_fields(node, &Map::new(), new)
        }
        (Shape::Object | Shape::Keyed(..) | Shape::Set, Some(live), _, Some(Value::Null))
            if !is_bare(live) =>
        {
            Some(live.clone())
        }
        (_, _, _, applied) => applied.cloned(),
    }
}

fn is_bare(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn merge_fields(node: Node<'_>, old: &Map<String, Value>, new: &Map<String, Value>) -> Option<Value> {
    let mut merged = Map::new();
    let added = new.iter().filter(|(name, _)| !old.contains_key(*name));
    for (name, _) in old.iter().chain(added) {
        let of = node.field(name).unwrap_or_else(Node::any);
        if let Some(value) = merge(of, old.get(name), new.get(name)) {
            merged.insert(name.clone(), value);
        }
    }
    (!merged.is_empty()).then_some(Value::Object(merged))
}

/// Merges two lists item by item. What only the live list has stays before the next common item, in the order of the
/// applied list.
fn merge_items(node: Node<'_>, old: &[Value], new: &[Value]) -> Option<Value> {
    let of = node.items();
    let elements = |items: &[Value]| -> Vec<Element> {
        let list = Value::Array(items.to_vec());
        let shape = node.shape(&list);
        let place = |(at, item)| step(&shape, item).unwrap_or(Element::Index(at));
        items.iter().enumerate().map(place).collect()
    };
    let (left, right) = (elements(old), elements(new));
    let find = |list: &[Element], element: &Element| list.iter().position(|one| one == element);
    let is_set = matches!(node.of(), Type::List(_, crate::schema::ListKind::Set));
    let is_repeated = |at: usize| left.iter().filter(|one| left.get(at) == Some(one)).count() > 1;
    let join = |l: Option<usize>, r: Option<usize>| {
        // What is applied takes the place of all items of the same keys.
        let l = l.filter(|at| r.is_none() || !is_repeated(*at));
        let (l, r) = (l.and_then(|at| old.get(at)), r.and_then(|at| new.get(at)));
        if is_set { r.or(l).cloned() } else { merge(of, l, r) }
    };
    let mut shared = right.iter().filter(|element| left.contains(element)).peekable();
    let (mut out, mut merged, mut l, mut r) = (Vec::new(), BTreeSet::new(), 0, 0);
    while l < left.len() || r < right.len() {
        if let (Some(here), Some(there)) = (left.get(l), right.get(r)) {
            if here == there {
                merged.insert(here.clone());
                out.extend(join(Some(l), Some(r)));
                (l, r) = (l + 1, r + 1);
                shared.next();
                continue;
            }
            if right.contains(here) && shared.peek().is_some_and(|next| *next != here) {
                l += 1;
                continue;
            }
        }
        if let Some(here) = left.get(l) {
            if !right.contains(here) {
                out.extend(join(Some(l), None));
                l += 1;
                continue;
            }
            if merged.contains(here) {
                l += 1;
            }
        }
        if let Some(there) = right.get(r) {
            merged.insert(there.clone());
            out.extend(join(find(&left, there), Some(r)));
            r += 1;
            if shared.peek() == Some(&there) {
                shared.next();
            }
        }
    }
    (!out.is_empty()).then_some(Value::Array(out))
}

/// The object without the paths of a set; what is emptied by it becomes null.
pub(super) fn remove(node: Node<'_>, value: &Value, paths: &Set) -> Value {
    match (node.shape(value), value) {
        (Shape::Object, Value::Object(map)) if !map.is_empty() => {
            let mut left = Map::new();
            for (name, inner) in map {
                let element = Element::Field(name.as_str().into());
                if paths.has(&element) {
                    continue;
                }
                let of = node.field(name).unwrap_or_else(Node::any);
                let below = paths.below(&element).map(|below| remove(of, inner, below));
                left.insert(name.clone(), below.unwrap_or_else(|| inner.clone()));
            }
            if left.is_empty() {
                Value::Null
            } else {
                Value::Object(left)
            }
        }
        (shape @ (Shape::Keyed(..) | Shape::Set), Value::Array(items)) if !items.is_empty() => {
            let mut left = Vec::new();
            for item in items {
                let Some(element) = step(&shape, item) else {
                    left.push(item.clone());
                    continue;
                };
                if !paths.has(&element) {
                    let below = paths
                        .below(&element)
                        .map(|below| remove(node.items(), item, below));
                    left.push(below.unwrap_or_else(|| item.clone()));
                }
            }
            if left.is_empty() {
                Value::Null
            } else {
                Value::Array(left)
            }
        }
        (_, Value::Object(_) | Value::Array(_)) => Value::Null,
        _ => value.clone(),
    }
}

/// What an applied object has that its type does not allow, as sentences with paths.
pub(super) fn problems(node: Node<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    problems_at(node, value, &mut Vec::new(), &mut found);
    found
}

fn problems_at(node: Node<'_>, value: &Value, path: &mut Vec<Element>, found: &mut Vec<String>) {
    let mut tell =
        |path: &[Element], what: String| found.push(format!("{}: {what}", super::set::path_text(path)));
    match (node.of(), value) {
        (Type::Any, _) | (_, Value::Null) => {}
        (Type::Scalar(_), Value::Object(_) | Value::Array(_)) => {
            let kind = if value.is_object() { "map" } else { "list" };
            tell(path, format!("expected scalar, got {kind}"));
        }
        (Type::Scalar(scalar), _) => {
            if let Some(what) = wrong_scalar(*scalar, value) {
                tell(path, what);
            }
        }
        (Type::List(..), Value::Array(items)) => {
            let shape = node.shape(value);
            let mut seen = BTreeSet::new();
            for (at, item) in items.iter().enumerate() {
                let element = match &shape {
                    Shape::Keyed(of, keys) => key_of(*of, keys, item),
                    Shape::Set => Ok(Element::Value(item.to_string().into())),
                    _ => Ok(Element::Index(at)),
                };
                match element {
                    Err(why) => found.push(format!("{}: element {at}: {why}", super::set::path_text(path))),
                    Ok(element) => {
                        if !seen.insert(element.clone()) {
                            let key = super::set::path_text(std::slice::from_ref(&element));
                            found.push(format!(
                                "{}: duplicate entries for key {key}",
                                super::set::path_text(path)
                            ));
                        }
                        path.push(element);
                        problems_at(node.items(), item, path, found);
                        path.pop();
                    }
                }
            }
        }
        (Type::List(..), _) => tell(path, format!("expected list, got {}", told(value))),
        (_, Value::Object(map)) => {
            for (name, inner) in map {
                path.push(Element::Field(name.as_str().into()));
                match node.field(name) {
                    Some(of) => problems_at(of, inner, path, found),
                    None => found.push(format!(
                        "{}: field not declared in schema",
                        super::set::path_text(path)
                    )),
                }
                path.pop();
            }
        }
        _ => tell(path, format!("expected map, got {}", told(value))),
    }
}

/// A value with its type, as Go prints it.
fn told(value: &Value) -> String {
    match value {
        Value::String(text) => format!("&{{{text}}}"),
        other => format!("&{{{other}}}"),
    }
}

fn wrong_scalar(scalar: crate::schema::Scalar, value: &Value) -> Option<String> {
    use crate::schema::Scalar;
    let fits = match scalar {
        Scalar::String | Scalar::Bytes | Scalar::Time | Scalar::MicroTime => value.is_string(),
        Scalar::Int32 | Scalar::Int64 | Scalar::Number => value.is_number(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Quantity | Scalar::IntOrString => value.is_string() || value.is_number(),
    };
    let wanted = match scalar {
        Scalar::Int32 | Scalar::Int64 | Scalar::Number => "numeric (int or float)",
        Scalar::Boolean => "boolean",
        _ => "string",
    };
    let found = match value {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        _ => "number",
    };
    (!fits).then(|| format!("expected {wanted}, got {found}"))
}
