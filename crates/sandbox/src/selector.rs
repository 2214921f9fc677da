//! Selector: which labels or fields an object has to have, as text or as the `LabelSelector` of an object.

use serde_json::Value;

use crate::status::Status;

/// A conjunction of requirements. The empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

// === impl Selector ===

impl Selector {
    /// What matches every object.
    pub const fn everything() -> Self {
        Self {
            requirements: Vec::new(),
            nothing: false,
        }
    }

    /// What matches no object.
    pub const fn nothing() -> Self {
        Self {
            requirements: Vec::new(),
            nothing: true,
        }
    }

    /// Whether every object matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Reads `app=web,tier in (a, b),!old,x!=y,n>3`, the text of the query `labelSelector`.
    ///
    /// # Errors
    /// 400 with the place of what is wrong.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut requirements = Vec::new();
        for term in terms(text) {
            let term = term.trim();
            if !term.is_empty() {
                requirements.push(requirement(term).ok_or_else(|| {
                    let found = term.split_whitespace().nth(1).unwrap_or(term);
                    Status::bad_request(format!(
                        "unable to parse requirement: found '{found}', expected: in, notin, =, ==, !=, gt, lt"
                    ))
                })?);
            }
        }
        Ok(Self {
            requirements,
            nothing: false,
        })
    }

    /// Reads a `LabelSelector`: `{matchLabels: …, matchExpressions: …}`. None matches nothing, an empty one
    /// everything.
    pub fn of_object(selector: Option<&Value>) -> Self {
        let Some(Value::Object(selector)) = selector else {
            return Self::nothing();
        };
        let mut all = Self::of_map(selector.get("matchLabels").unwrap_or(&Value::Null));
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let list = expression["values"].as_array().into_iter().flatten();
            let values = list
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            let test = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                _ => return Self::nothing(),
            };
            all.requirements.push(Requirement {
                key: expression["key"].as_str().unwrap_or_default().to_owned(),
                test,
            });
        }
        all
    }

    /// Reads a plain map of labels, as the selector of a Service is.
    pub fn of_map(labels: &Value) -> Self {
        let labels = labels.as_object().into_iter().flatten();
        let requirements = labels.map(|(key, value)| Requirement {
            key: key.clone(),
            test: Test::In(vec![value.as_str().unwrap_or_default().to_owned()]),
        });
        Self {
            requirements: requirements.collect(),
            nothing: false,
        }
    }

    /// Whether the labels of an object match.
    pub fn matches_object(&self, object: &Value) -> bool {
        if self.is_everything() {
            return true;
        }
        self.matches(&object["metadata"]["labels"])
    }

    /// Whether a map of labels matches.
    pub fn matches(&self, labels: &Value) -> bool {
        self.matches_by(|key| labels.get(key).and_then(Value::as_str).map(str::to_owned))
    }

    /// Whether what `find` gives for the keys matches.
    pub fn matches_by(&self, find: impl Fn(&str) -> Option<String>) -> bool {
        !self.nothing
            && self
                .requirements
                .iter()
                .all(|one| one.test.holds(find(&one.key).as_deref()))
    }

    /// The keys that are asked for.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|one| one.key.as_str())
    }

    /// The values that are asked for by equality: `metadata.name=web` gives `web`.
    pub fn value_of(&self, key: &str) -> Option<&str> {
        self.requirements.iter().find_map(|one| match &one.test {
            Test::In(values) if one.key == key && values.len() == 1 => values.first().map(String::as_str),
            _ => None,
        })
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, one) in self.requirements.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let key = &one.key;
            match &one.test {
                Test::In(values) if values.len() == 1 => write!(f, "{comma}{key}={}", values.concat())?,
                Test::In(values) => write!(f, "{comma}{key} in ({})", sorted(values))?,
                Test::NotIn(values) if values.len() == 1 => write!(f, "{comma}{key}!={}", values.concat())?,
                Test::NotIn(values) => write!(f, "{comma}{key} notin ({})", sorted(values))?,
                Test::Exists => write!(f, "{comma}{key}")?,
                Test::Absent => write!(f, "{comma}!{key}")?,
                Test::Greater(number) => write!(f, "{comma}{key}>{number}")?,
                Test::Less(number) => write!(f, "{comma}{key}<{number}")?,
            }
        }
        Ok(())
    }
}

fn sorted(values: &[String]) -> String {
    let mut values = values.to_vec();
    values.sort();
    values.join(",")
}

// === impl Test ===

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Greater(than) => number().is_some_and(|value| value > *than),
            Self::Less(than) => number().is_some_and(|value| value < *than),
        }
    }
}

/// The terms between commas that are in no parentheses.
fn terms(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0_i32, 0, Vec::new());
    for (at, sign) in text.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[from..]);
    found
}

fn requirement(term: &str) -> Option<Requirement> {
    let make = |key: &str, test| {
        let key = key.trim();
        let plain = |sign: char| sign.is_ascii_alphanumeric() || "-_./".contains(sign);
        (!key.is_empty() && key.chars().all(plain)).then(|| Requirement {
            key: key.to_owned(),
            test,
        })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((head, list)) = term.split_once('(') {
        let list = list.strip_suffix(')')?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let (key, operator) = (words.next()?, words.next()?);
        return match operator {
            "in" => make(key, Test::In(values)),
            "notin" => make(key, Test::NotIn(values)),
            _ => None,
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return make(key, Test::NotIn(one(value)));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return make(key, Test::In(one(value)));
    }
    if let Some((key, value)) = term.split_once('>') {
        return make(key, Test::Greater(value.trim().parse().ok()?));
    }
    if let Some((key, value)) = term.split_once('<') {
        return make(key, Test::Less(value.trim().parse().ok()?));
    }
    match term.strip_prefix('!') {
        Some(key) => make(key, Test::Absent),
        None => make(term, Test::Exists),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_match_as_a_real_server_matches_them() {
        let labels = json!({"app": "web", "n": "4", "tier": "a"});
        let rows = [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=b", true),
            ("app=api", false),
            ("tier in (a, b),!old", true),
            ("tier notin (a,b)", false),
            ("missing notin (a)", true),
            ("missing!=a", true),
            ("app", true),
            ("missing", false),
            ("n>3", true),
            ("n<4", false),
        ];
        for (text, wanted) in rows {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), wanted, "{text}");
        }
        assert!(Selector::parse("app in web").is_err());
        assert!(!Selector::of_object(None).matches(&labels));
        assert!(Selector::of_object(Some(&json!({}))).matches(&labels));
    }
}
