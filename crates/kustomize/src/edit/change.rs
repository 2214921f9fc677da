//! Change: one value of one entry, what it means for the data, and the proof that nothing else changed.

use manifest::yaml;
use serde_json::{Map, Value as Json};

use super::EditError;
use super::patch;
use super::spans::Document;

/// "In the entry called `name` of `section`, `key` is `value`, and there is no `drop`."
pub(super) struct Change<'a> {
    pub(super) section: &'static str,
    /// The keys of an entry, in the order in which they are written.
    pub(super) keys: &'static [&'static str],
    pub(super) name: &'a str,
    pub(super) key: &'static str,
    pub(super) value: Value<'a>,
    pub(super) drop: Option<&'static str>,
}

/// The new value.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Count(u32),
}

// === impl Change ===

impl Change<'_> {
    /// Applies the change to a text.
    pub(super) fn apply(&self, text: &str) -> Result<String, EditError> {
        let (mark, body) = match text.strip_prefix('\u{feff}') {
            Some(body) => ("\u{feff}", body),
            None => ("", text),
        };
        let document = Document::parse(body)?;
        document.section(self.section)?;
        let before = read(body)?;
        let wanted = self
            .expect(before.clone())
            .map_err(|reason| EditError::Invalid { line: 1, reason })?;
        if wanted == before {
            return Ok(text.to_owned());
        }
        let items = before[self.section].as_array();
        let exists = items.is_some_and(|items| items.iter().any(|item| item["name"] == self.name));
        let patches = patch::plan(&document, self, exists)?;
        let first = patches
            .iter()
            .map(|patch| patch.at.start)
            .min()
            .unwrap_or_default();
        let edited = patch::splice(body, patches);
        match read(&edited) {
            Ok(after) if after == wanted => Ok(format!("{mark}{edited}")),
            Ok(_) => Err(document.unsafe_at(
                first,
                format!("setting `{}` here would change other values too", self.key),
            )),
            Err(_) => {
                Err(document.unsafe_at(first, format!("setting `{}` here would break the file", self.key)))
            }
        }
    }

    /// What the data must be afterwards.
    fn expect(&self, mut data: Json) -> Result<Json, String> {
        if data.is_null() {
            data = Json::Object(Map::new());
        }
        let root = data.as_object_mut().ok_or("a kustomization is a mapping")?;
        let section = root.entry(self.section).or_insert(Json::Null);
        if section.is_null() {
            *section = Json::Array(Vec::new());
        }
        let items = section
            .as_array_mut()
            .ok_or_else(|| format!("`{}` is not a list", self.section))?;
        let value = match self.value {
            Value::Text(text) => Json::from(text),
            Value::Count(count) => Json::from(count),
        };
        match items.iter_mut().find(|item| item["name"] == self.name) {
            Some(Json::Object(item)) => {
                item.insert(self.key.to_owned(), value);
                self.drop.map(|key| item.remove(key));
            }
            Some(_) => return Err(format!("an entry of `{}` is not a mapping", self.section)),
            None => items.push(serde_json::json!({ "name": self.name, self.key: value })),
        }
        Ok(data)
    }
}

/// Reads as the renderer does.
fn read(text: &str) -> Result<Json, EditError> {
    let invalid = |line: u32, reason: String| EditError::Invalid {
        line: line as usize,
        reason,
    };
    let mut nodes = yaml::read(text, "").map_err(|error| invalid(error.line, error.message))?;
    let Some(node) = nodes.pop() else {
        return Ok(Json::Null);
    };
    node.to_json()
        .map_err(|error| invalid(error.place.line, error.message))
}
