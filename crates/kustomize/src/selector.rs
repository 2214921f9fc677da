//! Selector: which resources a patch or replacement works on.

use std::collections::BTreeMap;

use manifest::Gvk;
use regex::Regex;

use crate::id::Id;
use crate::resource::Resource;
use crate::schema::Schema;

/// The fields of a selector as the kustomization spells them; all but the last two are regular expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
    pub annotations: String,
    pub labels: String,
}

impl Selector {
    /// Whether group, version, kind, name and namespace are all open.
    pub(crate) fn has_no_id(&self) -> bool {
        self.gvk == Gvk::default() && self.name.is_empty() && self.namespace.is_empty()
    }
}

/// One compiled pattern. Most patterns are plain names, and need no regular expression.
#[derive(Clone, Debug)]
enum Pattern {
    Any,
    Literal(String),
    Regex(Regex),
}

impl Pattern {
    /// Compiles a pattern that must match the whole text; empty matches anything.
    fn anchored(text: &str) -> Result<Self, String> {
        const META: &[char] = &[
            '.', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$', '\\',
        ];
        if text.is_empty() {
            return Ok(Self::Any);
        }
        if !text.contains(META) {
            return Ok(Self::Literal(text.to_owned()));
        }
        regex(&format!("^(?:{text})$")).map(Self::Regex)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Compiles a regular expression, with the size bounded.
pub(crate) fn regex(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| {
            format!(
                "bad regular expression {text:?}: {}",
                error.to_string().replace('\n', " ")
            )
        })
}

/// A selector that is ready to use.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    annotations: LabelSelector,
    labels: LabelSelector,
    /// Whether an annotation or label selector is given.
    pub has_labels: bool,
    /// Whether no id pattern is given.
    pub has_no_id: bool,
}

impl Matcher {
    pub(crate) fn new(selector: &Selector) -> Result<Self, String> {
        Ok(Self {
            group: Pattern::anchored(&selector.gvk.group)?,
            version: Pattern::anchored(&selector.gvk.version)?,
            kind: Pattern::anchored(&selector.gvk.kind)?,
            name: Pattern::anchored(&selector.name)?,
            namespace: Pattern::anchored(&selector.namespace)?,
            annotations: LabelSelector::parse(&selector.annotations)?,
            labels: LabelSelector::parse(&selector.labels)?,
            has_labels: !(selector.annotations.is_empty() && selector.labels.is_empty()),
            has_no_id: selector.has_no_id(),
        })
    }

    fn matches_gvk(&self, gvk: &Gvk) -> bool {
        self.group.matches(&gvk.group) && self.version.matches(&gvk.version) && self.kind.matches(&gvk.kind)
    }

    /// Whether an id matches; the namespace as it is written.
    pub(crate) fn matches_id(&self, id: &Id) -> bool {
        self.matches_gvk(&id.gvk) && self.name.matches(&id.name) && self.namespace.matches(&id.namespace)
    }

    /// Whether the labels and annotations match.
    pub(crate) fn matches_labels(&self, resource: &Resource) -> bool {
        self.annotations.matches(|| resource.annotations()) && self.labels.matches(|| resource.labels())
    }

    /// Whether a patch with this target works on a resource: name and namespace may be the original or
    /// the current ones.
    pub(crate) fn selects(&self, schema: &Schema, resource: &Resource) -> bool {
        let (current, original) = (resource.id(schema), resource.original_id(schema));
        let namespace = |id: &Id| self.namespace.matches(id.effective_namespace());
        (namespace(&original) || namespace(&current))
            && (self.name.matches(&original.name) || self.name.matches(&current.name))
            && self.matches_gvk(&current.gvk)
            && self.matches_labels(resource)
    }
}

/// A label selector such as `app=web,tier in (a, b),!legacy`.
///
/// Grammar and validation are those of Kubernetes' `labels.Parse`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl LabelSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens };
        let mut requirements = Vec::new();
        while !parser.tokens.is_empty() {
            requirements.push(
                parser
                    .requirement()
                    .map_err(|why| format!("selector {text:?}: {why}"))?,
            );
            match parser.tokens {
                [] => {}
                [Token::Comma] => return Err(format!("selector {text:?}: ends with a comma")),
                [Token::Comma, rest @ ..] => parser.tokens = rest,
                [other, ..] => return Err(format!("selector {text:?}: unexpected {other:?}")),
            }
        }
        Ok(Self(requirements))
    }

    fn matches(&self, values: impl FnOnce() -> BTreeMap<String, String>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let values = values();
        self.0.iter().all(|requirement| {
            let value = values.get(&requirement.key);
            match &requirement.test {
                Test::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
                Test::NotIn(unwanted) => value.is_none_or(|value| !unwanted.contains(value)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::Above(bound) => value
                    .and_then(|v| v.parse::<i64>().ok())
                    .is_some_and(|v| v > *bound),
                Test::Below(bound) => value
                    .and_then(|v| v.parse::<i64>().ok())
                    .is_some_and(|v| v < *bound),
            }
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Operator(&'static str),
    Open,
    Close,
    Comma,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const OPERATORS: [&str; 6] = ["==", "!=", "=", "!", ">", "<"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', '\r', '\n']);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | ',' => {
                tokens.push(match first {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
                1
            }
            '=' | '!' | '>' | '<' => {
                let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
                let operator = operator.ok_or_else(|| format!("selector {text:?}: bad operator"))?;
                tokens.push(Token::Operator(operator));
                operator.len()
            }
            _ => {
                let end = rest
                    .find(|c: char| " \t\r\n()=!><,".contains(c))
                    .unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[length..].trim_start_matches([' ', '\t', '\r', '\n']);
    }
    Ok(tokens)
}

struct Parser<'t> {
    tokens: &'t [Token],
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.tokens.first() == Some(&Token::Operator("!"));
        if negated {
            self.next();
        }
        let key = match self.next() {
            Some(Token::Word(key)) => key,
            other => return Err(format!("expected a key, found {other:?}")),
        };
        check_key(&key)?;
        if negated {
            return Ok(Requirement {
                key,
                test: Test::Absent,
            });
        }
        let operator = match self.tokens.first() {
            None | Some(Token::Comma) => {
                return Ok(Requirement {
                    key,
                    test: Test::Exists,
                });
            }
            Some(Token::Operator(operator)) => (*operator).to_owned(),
            Some(Token::Word(word)) if word == "in" || word == "notin" => word.clone(),
            Some(other) => return Err(format!("expected an operator, found {other:?}")),
        };
        self.next();
        let test = match operator.as_str() {
            "in" => Test::In(self.values()?),
            "notin" => Test::NotIn(self.values()?),
            "=" | "==" => Test::In(vec![self.value()?]),
            "!=" => Test::NotIn(vec![self.value()?]),
            ">" => Test::Above(self.number()?),
            "<" => Test::Below(self.number()?),
            other => return Err(format!("unexpected operator {other}")),
        };
        let values = match &test {
            Test::In(values) | Test::NotIn(values) => values.as_slice(),
            _ => &[],
        };
        values.iter().try_for_each(|value| check_value(value))?;
        Ok(Requirement { key, test })
    }

    /// A single value; nothing before a comma or the end is the empty value.
    fn value(&mut self) -> Result<String, String> {
        match self.tokens.first() {
            None | Some(Token::Comma) => Ok(String::new()),
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.next();
                Ok(word)
            }
            Some(other) => Err(format!("expected a value, found {other:?}")),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        value.parse().map_err(|_| format!("{value:?} is no integer"))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.next() != Some(Token::Open) {
            return Err("expected (".to_owned());
        }
        let mut values = Vec::new();
        let mut wants_value = true;
        loop {
            match self.next() {
                Some(Token::Word(word)) if wants_value => {
                    values.push(word);
                    wants_value = false;
                }
                Some(Token::Comma) => {
                    if wants_value {
                        values.push(String::new());
                    }
                    wants_value = true;
                }
                Some(Token::Close) => {
                    if wants_value {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                other => return Err(format!("expected , or ), found {other:?}")),
            }
        }
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= longest
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(label.chars().next())
            && edge(label.chars().next_back())
            && label
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let good_prefix = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(label));
    if good_prefix && is_name(name, 63) {
        Ok(())
    } else {
        Err(format!("{key:?} is no label key"))
    }
}

fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_name(value, 63) {
        Ok(())
    } else {
        Err(format!("{value:?} is no label value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_select() {
        let labels: BTreeMap<String, String> = [("app", "web"), ("tier", "a"), ("n", "5"), ("e", "")]
            .map(|(k, v)| (k.into(), v.into()))
            .into();
        let rows = [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=web", true),
            ("app == web, tier!=b", true),
            ("tier in (a, b)", true),
            ("tier notin (a,b)", false),
            ("none notin (a)", true),
            ("none in ()", false),
            ("e=", true),
            ("n>4", true),
            ("n<4", false),
            ("none!=x", true),
        ];
        for (text, expected) in rows {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(|| labels.clone()), expected, "{text}");
        }
    }

    #[test]
    fn broken_label_selectors_are_refused() {
        for text in [
            "app=web,",
            "=x",
            "app in a",
            "app web",
            "a/b/c=d",
            "app=bad value",
            "n>x",
            "-a=b",
            "app=(",
            "UP.per/x",
        ] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_are_anchored() {
        let rows = [
            ("web", "web", true),
            ("web", "web-1", false),
            ("web.*", "web-1", true),
            ("a|b", "ab", false),
            ("", "x", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(
                Pattern::anchored(pattern).unwrap().matches(text),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(Pattern::anchored("(").is_err());
    }
}
