//! Vars: `$(NAME)` in some fields becomes the value of a field of another resource.

use std::collections::BTreeMap;

use manifest::{Data, Node, Style, Tag};
use serde_json::Value;

use super::replace_path::{lookup, split_path};
use crate::args::Var;
use crate::build::Context;
use crate::error::{BuildError, BuildErrors, Result};
use crate::layer::Accumulated;
use crate::resource::Resource;
use crate::walk::{propagate, visit};

/// Replaces all vars.
///
/// # Errors
///
/// When the object or field of a var is missing.
pub(crate) fn resolve(context: &Context<'_>, accumulated: &mut Accumulated) -> Result<()> {
    if accumulated.vars.is_empty() {
        return Ok(());
    }
    let mut values = BTreeMap::new();
    let mut errors = BuildErrors::default();
    for (name, var) in &accumulated.vars {
        let value = value_of(name, var, accumulated.resources.list());
        let value = value.map_err(|why| context.located(var.place, BuildError::new(why)).into());
        values.extend(errors.take(value).map(|value| (name.clone(), value)));
    }
    errors.into_result()?;
    let fields = accumulated.config.var_reference.clone();
    for resource in accumulated.resources.list_mut() {
        let place = resource.place;
        for spec in &fields {
            if spec.matches(&resource.node) {
                let mut written = Vec::new();
                visit(&mut resource.node, &spec.path, None, &mut |node| {
                    replace(node, &values, &mut written)
                })
                .map_err(|why| context.located(place, BuildError::new(why)))?;
                for node in &written {
                    propagate(&mut resource.node, node);
                }
            }
        }
    }
    Ok(())
}

/// The value of a var with its type.
#[derive(Clone, Debug, PartialEq)]
enum Primitive {
    Text(String),
    /// A number or bool, with its tag.
    Typed(String, Tag),
    /// A mapping or list, which replaces nothing.
    Other,
}

fn value_of(name: &str, var: &Var, resources: &[Resource]) -> std::result::Result<Primitive, String> {
    let resource = resources
        .iter()
        .find(|resource| resource.vars.iter().any(|known| known == name));
    let resource = resource
        .ok_or_else(|| format!("var '{name}' cannot be mapped to a field in the set of known resources"))?;
    let parts = split_path(&var.field_path)
        .into_iter()
        .flat_map(|part| split_index(&part))
        .collect::<Vec<_>>();
    let missing = || {
        format!(
            "field {} specified in var '{name}' not found in corresponding resource",
            var.field_path
        )
    };
    let node = lookup(&resource.node, &parts)
        .ok()
        .flatten()
        .ok_or_else(missing)?;
    primitive(node).ok_or_else(missing)
}

/// `ports[0]` as `ports` and `0`.
fn split_index(part: &str) -> Vec<String> {
    let index = part.strip_suffix(']').and_then(|part| part.rsplit_once('['));
    match index.filter(|(_, index)| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit())) {
        Some(("", index)) => vec![index.to_owned()],
        Some((name, index)) => vec![name.to_owned(), index.to_owned()],
        None => vec![part.to_owned()],
    }
}

fn primitive(node: &Node) -> Option<Primitive> {
    let Some(text) = node.as_str() else {
        return Some(Primitive::Other);
    };
    Some(match node.tag {
        Tag::Int => Primitive::Typed(text.parse::<i64>().ok()?.to_string(), Tag::Int),
        Tag::Float => {
            let number = serde_json::Number::from_f64(text.parse().ok()?)?;
            Primitive::Typed(decimal(number.as_f64()?), Tag::Float)
        }
        Tag::Bool => match text {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Primitive::Typed("true".to_owned(), Tag::Bool),
            "false" | "False" | "FALSE" | "f" | "F" | "0" => Primitive::Typed("false".to_owned(), Tag::Bool),
            _ => return None,
        },
        _ => Primitive::Text(text.to_owned()),
    })
}

/// A float without exponent.
fn decimal(float: f64) -> String {
    Value::from(float)
        .as_f64()
        .map(|float| format!("{float}"))
        .unwrap_or_default()
}

/// Replaces the vars of a field; `written` gets the nodes that stand in other places too.
fn replace(
    node: &mut Node,
    values: &BTreeMap<String, Primitive>,
    written: &mut Vec<Node>,
) -> std::result::Result<(), String> {
    if node.is_null() {
        return Ok(());
    }
    let is_text = |node: &Node| node.as_str().is_some() && matches!(node.tag, Tag::Str | Tag::None);
    match &mut node.data {
        Data::Scalar(_) => {
            if is_text(node) {
                replace_text(node, values, written);
            }
            Ok(())
        }
        Data::Mapping(entries) => {
            for (key, value) in entries {
                if !is_text(key) {
                    return Err(format!("invalid map key: {:?}", key.as_str().unwrap_or_default()));
                }
                if is_text(value) {
                    replace_text(value, values, written);
                }
            }
            Ok(())
        }
        Data::Sequence(items) => items.iter_mut().try_for_each(|item| {
            if !is_text(item) {
                return Err("invalid value type, expected a string".to_owned());
            }
            replace_text(item, values, written);
            Ok(())
        }),
    }
}

/// Replaces the vars of one text. A text that is nothing but a var takes the var's type.
fn replace_text(node: &mut Node, values: &BTreeMap<String, Primitive>, written: &mut Vec<Node>) {
    let Some(text) = node.as_str() else { return };
    let whole = text
        .strip_prefix("$(")
        .and_then(|rest| rest.strip_suffix(')'))
        .filter(|name| !name.contains(')'));
    let (text, tag) = match whole.and_then(|name| values.get(name)) {
        Some(Primitive::Typed(text, tag)) => (text.clone(), tag.clone()),
        _ => (expand(text, values), Tag::Str),
    };
    node.data = Data::Scalar(text);
    node.tag = tag;
    node.style = Style::Plain;
    node.tagged = false;
    if node.link != 0 {
        written.push(node.clone());
    }
}

fn expand(text: &str, values: &BTreeMap<String, Primitive>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$').filter(|at| at + 1 < rest.len()) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('(') {
            match inner.split_once(')') {
                Some((name, after)) => {
                    match values.get(name) {
                        Some(Primitive::Text(value) | Primitive::Typed(value, _)) => expanded.push_str(value),
                        Some(Primitive::Other) | None => {
                            expanded.push_str("$(");
                            expanded.push_str(name);
                            expanded.push(')');
                        }
                    }
                    rest = after;
                }
                None => {
                    expanded.push_str("$(");
                    rest = inner;
                }
            }
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_expand() {
        let values: BTreeMap<String, Primitive> = [
            ("A".to_owned(), Primitive::Text("x".to_owned())),
            ("N".to_owned(), Primitive::Typed("80".to_owned(), Tag::Int)),
        ]
        .into();
        let rows = [
            ("$(A)-$(N)", "x-80"),
            ("$$(A)", "$(A)"),
            ("$(B) $(A", "$(B) $(A"),
            ("a$b$", "a$b$"),
            ("$", "$"),
            ("$é", "$é"),
        ];
        for (text, expected) in rows {
            assert_eq!(expand(text, &values), expected, "{text}");
        }
        let mut node = Node::string("$(N)");
        replace_text(&mut node, &values, &mut Vec::new());
        assert_eq!(node.to_json().unwrap(), Value::from(80));
    }
}
