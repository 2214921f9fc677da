//! Field path of a replacement: `spec.containers.[name=web].env.*.value`, looked up or made.

use manifest::{Data, Node, Tag, yaml};

use crate::selector::regex;
use crate::walk::split_escaped;

/// Where a node is below another one.
pub(crate) type Steps = Vec<usize>;

/// The kind of node that is made for a missing field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Scalar,
    Mapping,
    Sequence,
}

impl Make {
    pub(crate) fn like(node: &Node) -> Self {
        match node.data {
            Data::Scalar(_) => Self::Scalar,
            Data::Mapping(_) => Self::Mapping,
            Data::Sequence(_) => Self::Sequence,
        }
    }

    fn node(self) -> Node {
        match self {
            Self::Scalar => Node::scalar(""),
            Self::Mapping => Node {
                tag: Tag::None,
                ..Node::mapping(Vec::new())
            },
            Self::Sequence => Node {
                tag: Tag::None,
                ..Node::sequence(Vec::new())
            },
        }
    }
}

/// Splits a path at dots. Brackets keep what is in them together; `[a.b]` without `=` is the key `a.b`.
pub(crate) fn split_path(path: &str) -> Vec<String> {
    let mut parts = split_escaped(path, '.').into_iter();
    let mut split = Vec::new();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            split.push(part);
            continue;
        }
        let mut bracketed = part;
        for next in parts.by_ref() {
            bracketed.push('.');
            bracketed.push_str(&next);
            if next.ends_with(']') {
                break;
            }
        }
        if !bracketed.contains('=') {
            bracketed = bracketed.trim_matches(['[', ']']).to_owned();
        }
        split.push(bracketed);
    }
    split
}

fn is_list_item(part: &str) -> bool {
    part.starts_with('[') && part.ends_with(']')
}

fn item_condition(part: &str) -> Result<(&str, &str), String> {
    let inner = part.strip_suffix(']').unwrap_or(part);
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    inner
        .split_once('=')
        .ok_or_else(|| format!("list path element {part} must be [field=value]"))
}

/// The node at a child number: an item, or the value of an entry.
pub(crate) fn child_mut(node: &mut Node, at: usize) -> Option<&mut Node> {
    match &mut node.data {
        Data::Scalar(_) => None,
        Data::Sequence(items) => items.get_mut(at),
        Data::Mapping(entries) => entries.get_mut(at).map(|(_, value)| value),
    }
}

/// The node at the end of some steps.
pub(crate) fn at_mut<'n>(node: &'n mut Node, steps: &[usize]) -> Option<&'n mut Node> {
    steps.iter().try_fold(node, |node, step| child_mut(node, *step))
}

/// Looks a field up; a part is a key, `[key=value]`, a number or `-` for the last item.
///
/// # Errors
///
/// When the path asks for something that the kind of a node does not have.
pub(crate) fn lookup<'n>(node: &'n Node, path: &[String]) -> Result<Option<&'n Node>, String> {
    let mut node = node;
    for part in path
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
    {
        if node.is_null() {
            return Ok(None);
        }
        let next = match part.parse::<i64>() {
            Ok(number) if number < 0 => return Err(format!("array index {number} cannot be negative")),
            Ok(number) => list(node, part)?.get(usize::try_from(number).unwrap_or(usize::MAX)),
            Err(_) if part == "-" => list(node, part)?.last(),
            Err(_) if part == "*" => return Err("wildcard is not supported here".to_owned()),
            Err(_) if is_list_item(part) => {
                let (key, value) = item_condition(part)?;
                list(node, part)?.iter().find(|item| match key {
                    "" => item.as_str() == Some(value),
                    key => {
                        item.is_mapping() && item.get(key).is_some_and(|field| field.as_str() == Some(value))
                    }
                })
            }
            Err(_) => {
                if !node.is_mapping() {
                    return Err(format!("expected a mapping with {part}"));
                }
                node.get(part)
            }
        };
        match next {
            Some(next) => node = next,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

fn list<'n>(node: &'n Node, part: &str) -> Result<&'n [Node], String> {
    if node.is_sequence() {
        Ok(node.items())
    } else {
        Err(format!("expected a list for {part}"))
    }
}

/// What a path finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The nodes.
    pub nodes: Vec<Steps>,
    /// How many were found inside of texts, where nothing can be written.
    pub inside_text: usize,
}

/// Finds all nodes at a path, whose `[key=value]` parts are regular expressions, and `*` all items.
///
/// # Errors
///
/// When an index is out of range or the kind of a node does not fit the path.
pub(crate) fn find(node: &mut Node, path: &[String], make: Option<Make>) -> Result<Found, String> {
    let mut found = Found::default();
    Finder {
        make,
        found: &mut found,
    }
    .step(node, path, &mut Vec::new())?;
    Ok(found)
}

struct Finder<'f> {
    make: Option<Make>,
    found: &'f mut Found,
}

impl Finder<'_> {
    fn step(&mut self, node: &mut Node, path: &[String], steps: &mut Steps) -> Result<(), String> {
        let Some((part, rest)) = path.split_first() else {
            self.found.nodes.push(steps.clone());
            return Ok(());
        };
        if part.parse::<i64>().is_ok_and(|number| number >= 0) {
            return self.index(node, part, rest, steps);
        }
        if is_list_item(part) {
            return self.items(node, part, rest, steps);
        }
        if part == "*" {
            let count = items_or_null(node, part)?;
            return (0..count).try_for_each(|at| self.child(node, at, rest, steps));
        }
        self.field(node, part, rest, steps)
    }

    fn child(
        &mut self,
        node: &mut Node,
        at: usize,
        rest: &[String],
        steps: &mut Steps,
    ) -> Result<(), String> {
        let Some(child) = child_mut(node, at) else {
            return Ok(());
        };
        steps.push(at);
        let result = self.step(child, rest, steps);
        steps.pop();
        result
    }

    /// The kind of what is made for a field that another part follows.
    fn kind_before(&self, rest: &[String], make: Make) -> Make {
        match rest.first() {
            None => make,
            Some(next) if is_list_item(next) || next.parse::<i64>().is_ok_and(|n| n >= 0) => Make::Sequence,
            Some(_) => Make::Mapping,
        }
    }

    fn field(
        &mut self,
        node: &mut Node,
        part: &str,
        rest: &[String],
        steps: &mut Steps,
    ) -> Result<(), String> {
        if !node.is_null() && !node.is_mapping() {
            return Err(format!("expected a mapping with {part}"));
        }
        let position = node
            .entries()
            .iter()
            .position(|(key, _)| key.as_str() == Some(part));
        let at = match (position, self.make) {
            (Some(at), _) => at,
            (None, None) => return Ok(()),
            (None, Some(make)) => {
                let made = self.kind_before(rest, make).node();
                let Some(entries) = node.entries_mut() else {
                    return self.lost(made, rest);
                };
                entries.push((Node::scalar(part), made));
                entries.len() - 1
            }
        };
        let Some(value) = child_mut(node, at) else {
            return Ok(());
        };
        if let (Data::Scalar(text), false) = (&value.data, rest.is_empty()) {
            // The reference goes on inside of the text, in a copy that it throws away.
            let mut inner = parse(text)?;
            let found = find(&mut inner, rest, self.make)?;
            self.found.inside_text += found.nodes.len() + found.inside_text;
            return Ok(());
        }
        self.child(node, at, rest, steps)
    }

    /// Goes on in what was made below a null. The reference finds it there, and loses it when it prints the null.
    fn lost(&mut self, mut made: Node, rest: &[String]) -> Result<(), String> {
        let found = find(&mut made, rest, self.make)?;
        self.found.inside_text += found.nodes.len() + found.inside_text;
        Ok(())
    }

    fn index(
        &mut self,
        node: &mut Node,
        part: &str,
        rest: &[String],
        steps: &mut Steps,
    ) -> Result<(), String> {
        let wanted: usize = part.parse().map_err(|_| format!("bad index {part}"))?;
        let count = items_or_null(node, part)?;
        if let (true, Some(make)) = (count == wanted, self.make) {
            let made = self.kind_before(rest, make).node();
            match node.items_mut() {
                Some(items) => items.push(made),
                None => return self.lost(made, rest),
            }
        }
        if items_or_null(node, part)? <= wanted {
            return Err(format!(
                "index {wanted} specified but only {count} elements found"
            ));
        }
        self.child(node, wanted, rest, steps)
    }

    fn items(
        &mut self,
        node: &mut Node,
        part: &str,
        rest: &[String],
        steps: &mut Steps,
    ) -> Result<(), String> {
        let (key, pattern) = item_condition(part)?;
        let compiled = regex(pattern)?;
        let count = items_or_null(node, part)?;
        let before = self.found.nodes.len() + self.found.inside_text;
        for at in 0..count {
            let Some(item) = node.items().get(at) else { break };
            if key.is_empty() {
                if compiled.is_match(printed(item).trim()) {
                    // A plain item ends the path, whatever follows.
                    let mut to = steps.clone();
                    to.push(at);
                    self.found.nodes.push(to);
                }
            } else if item
                .get(key)
                .is_some_and(|field| compiled.is_match(printed(field).trim()))
            {
                self.child(node, at, rest, steps)?;
            }
        }
        if self.make.is_none() || self.found.nodes.len() + self.found.inside_text > before {
            return Ok(());
        }
        let made = if key.is_empty() {
            Node::scalar(pattern)
        } else {
            let entry = (Node::scalar(key), Node::scalar(pattern));
            Node {
                tag: Tag::None,
                ..Node::mapping(vec![entry])
            }
        };
        let text = printed(if key.is_empty() {
            &made
        } else {
            made.get(key).unwrap_or(&made)
        });
        if !compiled.is_match(text.trim()) {
            return Err(format!("cannot make an item for {part}"));
        }
        let Some(items) = node.items_mut() else {
            return self.lost(made, if key.is_empty() { &[] } else { rest });
        };
        items.push(made);
        let at = items.len() - 1;
        if key.is_empty() {
            let mut to = steps.clone();
            to.push(at);
            self.found.nodes.push(to);
            return Ok(());
        }
        self.child(node, at, rest, steps)
    }
}

fn items_or_null(node: &Node, part: &str) -> Result<usize, String> {
    if node.is_null() || node.is_sequence() {
        Ok(node.items().len())
    } else {
        Err(format!("expected a list for {part}"))
    }
}

/// Reads a text as YAML by itself.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    match yaml::read_first(text, "", 0) {
        Ok(node) => Ok(node.unwrap_or_else(Node::null)),
        Err(error) => Err(error.message),
    }
}

/// A scalar as it is printed, with its quotes.
fn printed(node: &Node) -> String {
    let text = node.as_str().unwrap_or_default();
    match node.style {
        manifest::Style::SingleQuoted => format!("'{}'", text.replace('\'', "''")),
        manifest::Style::DoubleQuoted => format!("{text:?}"),
        _ if node.as_str().is_none() => node.to_json().map(|value| yaml::emit(&value)).unwrap_or_default(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split() {
        let rows: [(&str, &[&str]); 5] = [
            ("a.b", &["a", "b"]),
            ("a.[name=x.y].b", &["a", "[name=x.y]", "b"]),
            ("a.[b.c/d].e", &["a", "b.c/d", "e"]),
            (r"a.b\.c", &["a", "b.c"]),
            ("a.*.0", &["a", "*", "0"]),
        ];
        for (path, parts) in rows {
            assert_eq!(split_path(path), parts, "{path}");
        }
    }

    #[test]
    fn fields_are_found_and_made() {
        let mut node = parse("l:\n- {n: a, v: 1}\n- {n: ab, v: 2}\nt: '{\"x\": 1}'\n").unwrap();
        let count =
            |node: &mut Node, path: &str, make| find(node, &split_path(path), make).map(|f| f.nodes.len());
        assert_eq!(count(&mut node, "l.[n=a].v", None), Ok(2));
        assert_eq!(count(&mut node, "l.[n=^a$].v", None), Ok(1));
        assert_eq!(count(&mut node, "l.*.v", None), Ok(2));
        assert_eq!(count(&mut node, "l.1.v", None), Ok(1));
        assert!(count(&mut node, "l.2.v", None).is_err());
        assert_eq!(count(&mut node, "l.2.v", Some(Make::Scalar)), Ok(1));
        assert_eq!(count(&mut node, "l.[n=z].w", Some(Make::Scalar)), Ok(1));
        assert_eq!(count(&mut node, "none", None), Ok(0));
        assert_eq!(find(&mut node, &split_path("t.x"), None).unwrap().inside_text, 1);
    }
}
