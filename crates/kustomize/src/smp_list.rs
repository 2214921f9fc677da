//! Keyed list merge: two lists whose items are known by the values of some fields.
//!
//! Items are shared between lists while they are merged, so they live in an arena and lists hold numbers.

use manifest::{Data, Node, Tag};

use crate::id::is_nil_or_empty;
use crate::schema::TypeId;
use crate::smp::{DIRECTIVE, Directive, Merged, Merger, Patch, key_node, take_style};

/// The items of both lists and of the result.
#[derive(Default)]
struct Arena(Vec<Node>);

impl Arena {
    fn add(&mut self, node: Node) -> usize {
        self.0.push(node);
        self.0.len() - 1
    }

    fn add_all(&mut self, items: Vec<Node>) -> Vec<usize> {
        items.into_iter().map(|item| self.add(item)).collect()
    }

    fn text(&self, at: usize) -> &str {
        self.0[at].as_str().unwrap_or_default()
    }
}

/// Merges two lists of a type that merges by `keys`; no keys means a list of plain values.
pub(crate) fn merge_list(
    merger: &mut Merger<'_>,
    of_type: Option<TypeId>,
    keys: &[String],
    object: Option<Node>,
    patch: Patch,
) -> Result<Option<Merged>, String> {
    let Some((mut list, patch, foreign)) = visit_list(object, patch)? else {
        return Ok(None);
    };
    let plain = [String::new()];
    let keys = if keys.is_empty() { &plain } else { keys };
    let mut arena = Arena::default();
    let own = arena.add_all(list.items_mut().map(std::mem::take).unwrap_or_default());
    let theirs = match patch {
        Patch::None => None,
        Patch::Same => Some(own.clone()),
        Patch::Node(mut node) => {
            Some(arena.add_all(node.items_mut().map(std::mem::take).unwrap_or_default()))
        }
    };
    let item_type = of_type.and_then(|id| merger.schema.items(id));
    let mut merge = ListMerge {
        merger,
        arena,
        keys,
        item_type,
        own,
        theirs,
    };
    let result = merge.run()?;
    let new = result.is_some();
    let order = result.unwrap_or(merge.own);
    let mut nodes: Vec<Option<Node>> = merge.arena.0.into_iter().map(Some).collect();
    let items = order
        .into_iter()
        .filter_map(|at| nodes.get_mut(at).and_then(Option::take))
        .collect();
    if new {
        // The reference builds a new list, which has no tag or style of its own.
        list = Node {
            tag: Tag::None,
            ..Node::sequence(items)
        }
        .with_place(list.place);
    } else {
        list.data = Data::Sequence(items);
    }
    Ok(Some(Merged {
        node: list,
        keep_null: false,
        foreign: foreign || new,
    }))
}

/// Decides what the list becomes before its items are merged, and what they merge with.
fn visit_list(object: Option<Node>, patch: Patch) -> Result<Option<(Node, Patch, bool)>, String> {
    let (object, patch) = take_style(object, patch);
    let Some(mut object) = object.filter(|object| !object.is_null()) else {
        return Ok(match patch {
            Patch::Node(node) if !node.is_null() => Some((node, Patch::Same, true)),
            _ => None,
        });
    };
    match patch {
        Patch::None => Ok(Some((object, Patch::None, false))),
        Patch::Same => Ok(match take_list_directive(&mut object)? {
            Directive::Delete => None,
            Directive::Merge | Directive::Replace => Some((object, Patch::Same, false)),
        }),
        Patch::Node(node) if node.is_null() => Ok(None),
        Patch::Node(mut node) => Ok(match take_list_directive(&mut node)? {
            Directive::Delete => None,
            Directive::Replace => Some((node, Patch::Same, true)),
            Directive::Merge => Some((object, Patch::Node(node), false)),
        }),
    }
}

/// Reads an item that is nothing but `$patch`, and removes it.
fn take_list_directive(list: &mut Node) -> Result<Directive, String> {
    let first = list
        .items()
        .iter()
        .find(|item| item.is_mapping() && item.get(DIRECTIVE).is_some());
    let Some(item) = first.filter(|item| item.entries().len() == 1) else {
        return Ok(Directive::Merge);
    };
    let text = item
        .get(DIRECTIVE)
        .and_then(Node::as_str)
        .unwrap_or_default()
        .to_owned();
    let directive = match text.as_str() {
        "delete" => Directive::Delete,
        "replace" => Directive::Replace,
        "merge" => Directive::Merge,
        other => {
            return Err(format!(
                "unknown patch strategy '{other}': $patch is merge, replace or delete"
            ));
        }
    };
    let mut arena = Arena::default();
    let items = arena.add_all(list.items_mut().map(std::mem::take).unwrap_or_default());
    let kept = set_item(&arena, items, None, &[DIRECTIVE], &[&text])?;
    let mut nodes: Vec<Option<Node>> = arena.0.into_iter().map(Some).collect();
    list.data = Data::Sequence(kept.into_iter().filter_map(|at| nodes[at].take()).collect());
    Ok(directive)
}

struct ListMerge<'m, 's> {
    merger: &'m mut Merger<'s>,
    arena: Arena,
    keys: &'m [String],
    item_type: Option<TypeId>,
    own: Vec<usize>,
    theirs: Option<Vec<usize>>,
}

impl ListMerge<'_, '_> {
    /// The merged list, or `None` when there is nothing to merge.
    fn run(&mut self) -> Result<Option<Vec<usize>>, String> {
        let mut all_values = self.all_values();
        if self.keys.len() > 1 {
            complete(&mut all_values);
        }
        let mut added: Vec<usize> = Vec::new();
        let mut last_keys: Vec<String> = Vec::new();
        for at in 0..all_values.len() {
            let values = all_values[at].clone();
            let (keys, values) = valid_keys(&all_values, &values, self.keys);
            last_keys.clone_from(&keys);
            let (key_refs, value_refs) = (refs(&keys), refs(&values));
            match self.merge_item(&keys, &values)? {
                None => {
                    self.own = set_item(
                        &self.arena,
                        std::mem::take(&mut self.own),
                        None,
                        &key_refs,
                        &value_refs,
                    )?
                }
                Some(item) => added = set_item(&self.arena, added, Some(item), &key_refs, &value_refs)?,
            }
        }
        if all_values.is_empty() {
            return Ok(None);
        }
        self.append_own(added, &refs(&last_keys)).map(Some)
    }

    /// The key values of all items, each once: those of the patch first.
    fn all_values(&self) -> Vec<Vec<String>> {
        let mut all: Vec<Vec<String>> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for at in self.theirs.iter().flatten().chain(&self.own) {
            let item = &self.arena.0[*at];
            let value = |key: &String| {
                if key.is_empty() {
                    return item.as_str().unwrap_or_default().to_owned();
                }
                let field = item.get(key).filter(|field| !is_nil_or_empty(field));
                field.and_then(Node::as_str).unwrap_or_default().to_owned()
            };
            let values: Vec<String> = self.keys.iter().map(value).collect();
            if seen.insert(values.clone()) {
                all.push(values);
            }
        }
        all
    }

    /// Merges the items that have these key values. `None` when the item goes.
    fn merge_item(&mut self, keys: &[String], values: &[String]) -> Result<Option<usize>, String> {
        let (some_keys, some_values) = valid_keys(&[values.to_vec()], values, keys);
        let find = |list: &[usize], arena: &Arena| {
            list.iter()
                .copied()
                .find(|at| has_values(&arena.0[*at], &some_keys, &some_values))
        };
        let own = find(&self.own, &self.arena);
        let theirs = self.theirs.as_ref().and_then(|list| find(list, &self.arena));
        let patch = match (own, theirs) {
            (_, None) => Patch::None,
            (Some(own), Some(theirs)) if own == theirs => Patch::Same,
            (_, Some(theirs)) => Patch::Node(self.arena.0[theirs].clone()),
        };
        // A merged item stays where it is; one that the patch replaces leaves the old one in the list.
        let before = own.map(|at| self.arena.0[at].clone());
        let merged = self.merger.walk(self.item_type, before, patch)?;
        let Some(Merged {
            mut node, foreign, ..
        }) = merged.filter(|m| !m.node.is_null())
        else {
            return Ok(None);
        };
        if node.is_mapping() && node.entries().is_empty() {
            return Ok(None);
        }
        for (key, value) in keys
            .iter()
            .zip(values)
            .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        {
            if node.is_mapping() && node.get(key).is_none() {
                let entry = key_node(key, value);
                if let Some(entries) = node.entries_mut() {
                    entries.push(entry);
                }
            }
        }
        match own.filter(|_| !foreign) {
            Some(at) => {
                self.arena.0[at] = node;
                Ok(Some(at))
            }
            None => Ok(Some(self.arena.add(node))),
        }
    }

    /// Puts the object's items behind the merged ones, each in the place of the one with its key values.
    fn append_own(&mut self, mut list: Vec<usize>, keys: &[&str]) -> Result<Vec<usize>, String> {
        for item in std::mem::take(&mut self.own) {
            if keys.first().is_none_or(|key| key.is_empty()) {
                let text = self.arena.text(item).to_owned();
                list = set_item(&self.arena, list, Some(item), &[""], &[&text])?;
                continue;
            }
            let mut values: Vec<String> = Vec::new();
            for key in keys {
                let node = &self.arena.0[item];
                if !node.is_null() && !node.is_mapping() {
                    return Err(format!("expected a mapping with {key} in a list"));
                }
                match node.get(key) {
                    Some(value) => values.push(value.as_str().unwrap_or_default().to_owned()),
                    None => list.push(item),
                }
            }
            let values = refs(&values);
            if keys.len() > 1 {
                list = set_item(&self.arena, list, None, keys, &values)?;
            }
            list = set_item(&self.arena, list, Some(item), keys, &values)?;
        }
        Ok(list)
    }
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Whether an item has these values under these keys; the key `""` is the item itself.
fn has_values(item: &Node, keys: &[String], values: &[String]) -> bool {
    if keys.first().is_some_and(String::is_empty) {
        return item.as_str() == values.first().map(String::as_str);
    }
    item.is_mapping()
        && keys.iter().zip(values).all(|(key, value)| {
            item.get(key)
                .is_some_and(|field| field.as_str().unwrap_or_default() == value)
        })
}

/// Puts an item in the place of those with these values, or at the end; without an item it removes them.
///
/// Empty items are dropped on the way, and without any value all that do not match.
fn set_item(
    arena: &Arena,
    list: Vec<usize>,
    item: Option<usize>,
    keys: &[&str],
    values: &[&str],
) -> Result<Vec<usize>, String> {
    let of_mappings =
        keys.first().is_some_and(|k| !k.is_empty()) && values.first().is_some_and(|v| !v.is_empty());
    let mut kept = Vec::with_capacity(list.len() + 1);
    let mut found = false;
    for at in list {
        let node = &arena.0[at];
        if node.is_null() || (node.is_mapping() && node.entries().is_empty()) {
            continue;
        }
        if !node.is_mapping() && of_mappings {
            kept.push(at);
            continue;
        }
        if !item_matches(node, keys, values)? {
            if !values.is_empty() {
                kept.push(at);
            }
            continue;
        }
        found = true;
        kept.extend(item);
    }
    if !found {
        kept.extend(item);
    }
    Ok(kept)
}

fn item_matches(node: &Node, keys: &[&str], values: &[&str]) -> Result<bool, String> {
    let mut matches = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            matches = if key.is_empty() {
                if node.as_str().is_none() {
                    return Err("expected a plain value in a list".to_owned());
                }
                node.as_str() == Some(value)
            } else {
                if !node.is_mapping() {
                    return Err(format!("expected a mapping with {key} in a list"));
                }
                node.get(key)
                    .is_some_and(|field| value.is_empty() || field.as_str() == Some(value))
            };
        }
        if !matches {
            return Ok(false);
        }
    }
    Ok(matches)
}

/// The keys that any item has a value for, and this item's values for them.
fn valid_keys(all: &[Vec<String>], values: &[String], keys: &[String]) -> (Vec<String>, Vec<String>) {
    let used = |at: usize| {
        all.iter()
            .any(|values| values.get(at).is_some_and(|value| !value.is_empty()))
    };
    if !(0..keys.len()).any(used) {
        return (keys.to_vec(), values.to_vec());
    }
    let valid = keys
        .iter()
        .enumerate()
        .filter(|(at, _)| used(*at))
        .map(|(_, key)| key.clone());
    let chosen = values
        .iter()
        .enumerate()
        .filter(|(at, value)| !value.is_empty() || used(*at));
    (valid.collect(), chosen.map(|(_, value)| value.clone()).collect())
}

/// Fills missing key values from items that agree in the others: a port without a protocol is the one port
/// with this number.
fn complete(all: &mut [Vec<String>]) {
    for left in 0..all.len() {
        let first = all[left].clone();
        for right in 0..all.len() {
            if let Some(union) = agree(&first, &all[right]) {
                all[left].clone_from(&union);
                all[right] = union;
            }
        }
    }
}

fn agree(left: &[String], right: &[String]) -> Option<Vec<String>> {
    if left.len() != right.len() {
        return None;
    }
    let mut common = false;
    let mut union = Vec::with_capacity(left.len());
    for (l, r) in left.iter().zip(right) {
        if l == r {
            common = true;
        } else if !l.is_empty() && !r.is_empty() {
            return None;
        }
        union.push(if l.is_empty() { r.clone() } else { l.clone() });
    }
    common.then_some(union)
}
