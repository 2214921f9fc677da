//! Evaluator: from an expression and its variables to a value.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::parse::{Each, Expression, Operator};
use crate::{Error, Value, functions};

/// How many steps an evaluation may take.
const STEPS: u32 = 1_000_000;

/// How large a text or list may become.
const SIZE: usize = 1 << 20;

/// A variable: its value, or why it has none.
type Variable = Result<Value, Error>;

/// What an expression sees.
#[derive(Debug, Clone)]
pub struct Scope {
    variables: BTreeMap<String, Variable>,
    open: fn(&str) -> bool,
}

// === impl Scope ===

impl Default for Scope {
    fn default() -> Self {
        Self {
            variables: BTreeMap::new(),
            open: |_| false,
        }
    }
}

impl Scope {
    /// Gives a variable a value.
    pub fn set(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_owned(), Ok(value));
    }

    /// Gives a variable the value of an expression, or the reason why it has none.
    pub fn set_result(&mut self, name: &str, value: Result<Value, Error>) {
        self.variables.insert(name.to_owned(), value);
    }

    /// Says that a variable exists, and that nobody knows its value.
    pub fn set_unknown(&mut self, name: &str) {
        let unknown = Error::Unknown(format!("`{name}` is not known here"));
        self.variables.insert(name.to_owned(), Err(unknown));
    }

    /// Says which fields somebody else may set: where such a field is missing, the answer is not known.
    pub fn set_open_fields(&mut self, open: fn(&str) -> bool) {
        self.open = open;
    }
}

/// An evaluation under way.
struct Run<'a> {
    scope: &'a Scope,
    steps: Cell<u32>,
}

/// Names that macros bind, the innermost last.
type Bound<'a> = Option<&'a Binding<'a>>;

struct Binding<'a> {
    name: &'a str,
    value: Value,
    outer: Bound<'a>,
}

pub(crate) fn evaluate(expression: &Expression, scope: &Scope) -> Result<Value, Error> {
    let run = Run {
        scope,
        steps: Cell::new(STEPS),
    };
    run.value(expression, None)
}

// === impl Run ===

impl Run<'_> {
    fn value(&self, expression: &Expression, bound: Bound<'_>) -> Result<Value, Error> {
        let left = self.steps.get();
        if left == 0 {
            return Err(Error::Failed("the expression takes too long".to_owned()));
        }
        self.steps.set(left - 1);
        match expression {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Name(name) => self.name(name, bound),
            Expression::List(items) => {
                let items: Result<Vec<Value>, Error> =
                    items.iter().map(|item| self.value(item, bound)).collect();
                Ok(Value::List(Arc::new(items?)))
            }
            Expression::Map(pairs) => self.map(pairs, bound),
            Expression::Field { of, field, test } => {
                self.field(&self.operand(of, field, bound)?, field, *test)
            }
            Expression::Index(of, index) => {
                let (of, index) = (self.value(of, bound)?, self.value(index, bound)?);
                self.index(&of, &index)
            }
            Expression::Not(inner) => self.truth(inner, bound).map(|value| Value::Bool(!value)),
            Expression::Negative(inner) => negative(&self.value(inner, bound)?),
            Expression::Binary(Operator::And, a, b) => {
                decided(false, || self.truth(a, bound), || self.truth(b, bound))
            }
            Expression::Binary(Operator::Or, a, b) => {
                decided(true, || self.truth(a, bound), || self.truth(b, bound))
            }
            Expression::Binary(operator, a, b) => {
                self.binary(*operator, &self.value(a, bound)?, &self.value(b, bound)?)
            }
            Expression::If(parts) => {
                let chosen = if self.truth(&parts[0], bound)? { 1 } else { 2 };
                self.value(&parts[chosen], bound)
            }
            Expression::Call {
                target,
                name,
                arguments,
            } => {
                let target = target
                    .as_ref()
                    .map(|target| self.value(target, bound))
                    .transpose()?;
                let arguments: Result<Vec<Value>, Error> = arguments
                    .iter()
                    .map(|argument| self.value(argument, bound))
                    .collect();
                let value = functions::call(name, target.as_ref(), &arguments?)?;
                self.spend(&value)?;
                Ok(value)
            }
            Expression::Each {
                how,
                over,
                name,
                bodies,
            } => {
                let items = match self.value(over, bound)? {
                    Value::List(items) => items,
                    Value::Map(map) => Arc::new(map.keys().map(Value::text).collect()),
                    other => return Err(Error::Failed(format!("{} has no elements", other.kind()))),
                };
                let within = |body: &Expression, item: &Value| {
                    let binding = Binding {
                        name,
                        value: item.clone(),
                        outer: bound,
                    };
                    self.value(body, Some(&binding))
                };
                each(*how, &items, bodies, &within)
            }
        }
    }

    fn name(&self, name: &str, bound: Bound<'_>) -> Result<Value, Error> {
        let mut binding = bound;
        while let Some(inner) = binding {
            if inner.name == name {
                return Ok(inner.value.clone());
            }
            binding = inner.outer;
        }
        match self.scope.variables.get(name) {
            Some(variable) => variable.clone(),
            None => Err(Error::Unknown(format!("`{name}` is not known here"))),
        }
    }

    /// What a field is taken of. The variables of a policy are each known or not by themselves.
    fn operand(&self, of: &Expression, field: &str, bound: Bound<'_>) -> Result<Value, Error> {
        if let Expression::Name(name) = of
            && let Some(variable) = self.scope.variables.get(&format!("{name}.{field}"))
        {
            let map = BTreeMap::from([(field.to_owned(), variable.clone()?)]);
            return Ok(Value::Map(Arc::new(map)));
        }
        self.value(of, bound)
    }

    fn field(&self, of: &Value, field: &str, test: bool) -> Result<Value, Error> {
        let Value::Map(map) = of else {
            return Err(Error::Failed(format!("{} has no field `{field}`", of.kind())));
        };
        match map.get(field) {
            Some(_) if test => Ok(Value::Bool(true)),
            Some(value) => Ok(value.clone()),
            None if (self.scope.open)(field) => Err(Error::Unknown(format!(
                "whether `{field}` is set is decided by the cluster"
            ))),
            None if test => Ok(Value::Bool(false)),
            None => Err(Error::Failed(format!("no such key: {field}"))),
        }
    }

    fn index(&self, of: &Value, index: &Value) -> Result<Value, Error> {
        match (of, index) {
            (Value::Map(_), Value::String(key)) => self.field(of, key, false),
            (Value::List(list), index) => {
                let at = match index {
                    Value::Int(at) => usize::try_from(*at).ok(),
                    Value::Uint(at) => usize::try_from(*at).ok(),
                    _ => None,
                };
                let found = at.and_then(|at| list.get(at)).cloned();
                found.ok_or_else(|| Error::Failed(format!("index out of bounds: {index}")))
            }
            _ => Err(Error::Failed(format!(
                "no {} is at a {}",
                of.kind(),
                index.kind()
            ))),
        }
    }

    fn map(&self, pairs: &[(Expression, Expression)], bound: Bound<'_>) -> Result<Value, Error> {
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            let Value::String(key) = self.value(key, bound)? else {
                return Err(Error::Unknown("maps have texts as keys here".to_owned()));
            };
            map.insert(key.to_string(), self.value(value, bound)?);
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn truth(&self, expression: &Expression, bound: Bound<'_>) -> Result<bool, Error> {
        match self.value(expression, bound)? {
            Value::Bool(value) => Ok(value),
            other => Err(Error::Failed(format!(
                "{} is neither true nor false",
                other.kind()
            ))),
        }
    }

    fn binary(&self, operator: Operator, a: &Value, b: &Value) -> Result<Value, Error> {
        let no_such = || Error::Failed(format!("no such operation between {} and {}", a.kind(), b.kind()));
        let order = |wanted: fn(Ordering) -> bool| {
            let comparable = a.compare(b).map(wanted);
            // NaN is neither smaller nor larger than anything.
            let unordered = matches!((a, b), (Value::Double(_), _) | (_, Value::Double(_)));
            comparable
                .or(unordered.then_some(false))
                .map(Value::Bool)
                .ok_or_else(no_such)
        };
        match operator {
            Operator::Equal => Ok(Value::Bool(a == b)),
            Operator::NotEqual => Ok(Value::Bool(a != b)),
            Operator::Less => order(Ordering::is_lt),
            Operator::LessEqual => order(Ordering::is_le),
            Operator::Greater => order(Ordering::is_gt),
            Operator::GreaterEqual => order(Ordering::is_ge),
            Operator::In => match (a, b) {
                (item, Value::List(list)) => Ok(Value::Bool(list.contains(item))),
                (Value::String(key), Value::Map(map))
                    if !map.contains_key(&**key) && (self.scope.open)(key) =>
                {
                    Err(Error::Unknown(format!(
                        "whether `{key}` is set is decided by the cluster"
                    )))
                }
                (Value::String(key), Value::Map(map)) => Ok(Value::Bool(map.contains_key(&**key))),
                (_, Value::Map(_)) => Ok(Value::Bool(false)),
                _ => Err(no_such()),
            },
            _ => {
                let value = arithmetic(operator, a, b).ok_or_else(no_such)??;
                self.spend(&value)?;
                Ok(value)
            }
        }
    }

    /// What is large takes as many steps, so that no expression fills the memory.
    fn spend(&self, value: &Value) -> Result<(), Error> {
        let size = match value {
            Value::String(text) => text.len() / 16,
            Value::List(list) => list.len(),
            _ => 0,
        };
        let left = u32::try_from(size)
            .ok()
            .and_then(|size| self.steps.get().checked_sub(size));
        match left.filter(|_| size <= SIZE) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(Error::Failed(
                "the expression makes something too large".to_owned(),
            )),
        }
    }
}

/// `&&` and `||`: the side that decides does so whatever the other is; an unknown hides an error.
fn decided(
    deciding: bool,
    a: impl FnOnce() -> Result<bool, Error>,
    b: impl FnOnce() -> Result<bool, Error>,
) -> Result<Value, Error> {
    let a = a();
    if a == Ok(deciding) {
        return Ok(Value::Bool(deciding));
    }
    match (a, b()) {
        (_, Ok(b)) if b == deciding => Ok(Value::Bool(deciding)),
        (Ok(_), Ok(b)) => Ok(Value::Bool(b)),
        (Err(Error::Unknown(why)), _) | (_, Err(Error::Unknown(why))) => Err(Error::Unknown(why)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn each(
    how: Each,
    items: &[Value],
    bodies: &[Expression],
    within: &dyn Fn(&Expression, &Value) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let Some(first) = bodies.first() else {
        return Err(Error::Failed("a macro needs an expression".to_owned()));
    };
    let truth = |item: &Value| match within(first, item)? {
        Value::Bool(value) => Ok(value),
        other => Err(Error::Failed(format!(
            "{} is neither true nor false",
            other.kind()
        ))),
    };
    match how {
        Each::All | Each::Exists => {
            let deciding = how == Each::Exists;
            items
                .iter()
                .try_fold(Ok(!deciding), |so_far, item| {
                    // The first one that decides ends it.
                    match decided(deciding, || so_far.clone(), || truth(item)) {
                        Ok(Value::Bool(value)) if value == deciding => Err(value),
                        Ok(_) => Ok(Ok(!deciding)),
                        Err(error) => Ok(Err(error)),
                    }
                })
                .map_or_else(|decided| Ok(Value::Bool(decided)), |rest| rest.map(Value::Bool))
        }
        Each::ExistsOne => {
            let mut count = 0;
            for item in items {
                count += usize::from(truth(item)?);
            }
            Ok(Value::Bool(count == 1))
        }
        Each::Filter => {
            let mut kept = Vec::new();
            for item in items {
                if truth(item)? {
                    kept.push(item.clone());
                }
            }
            Ok(Value::List(Arc::new(kept)))
        }
        Each::Map => {
            let mut made = Vec::new();
            for item in items {
                match bodies {
                    [body] => made.push(within(body, item)?),
                    [_, body, ..] if truth(item)? => made.push(within(body, item)?),
                    _ => {}
                }
            }
            Ok(Value::List(Arc::new(made)))
        }
    }
}

fn negative(value: &Value) -> Result<Value, Error> {
    match value {
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(overflow),
        Value::Double(number) => Ok(Value::Double(-number)),
        other => Err(Error::Failed(format!("{} has no negative", other.kind()))),
    }
}

fn overflow() -> Error {
    Error::Failed("the number is too large for 64 bits".to_owned())
}

/// `None` where the operator does not take these types.
fn arithmetic(operator: Operator, a: &Value, b: &Value) -> Option<Result<Value, Error>> {
    let zero = || Error::Failed("division by zero".to_owned());
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => {
            let made = match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide | Operator::Remainder if *b == 0 => return Some(Err(zero())),
                Operator::Divide => a.checked_div(*b),
                Operator::Remainder => a.checked_rem(*b),
                _ => return None,
            };
            made.map(Value::Int).ok_or_else(overflow)
        }
        (Value::Uint(a), Value::Uint(b)) => {
            let made = match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide | Operator::Remainder if *b == 0 => return Some(Err(zero())),
                Operator::Divide => a.checked_div(*b),
                Operator::Remainder => a.checked_rem(*b),
                _ => return None,
            };
            made.map(Value::Uint).ok_or_else(overflow)
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            _ => return None,
        })),
        (Value::String(a), Value::String(b)) if operator == Operator::Add => {
            Ok(Value::text(format!("{a}{b}")))
        }
        (Value::List(a), Value::List(b)) if operator == Operator::Add => {
            Ok(Value::List(Arc::new(a.iter().chain(b.iter()).cloned().collect())))
        }
        _ => return None,
    })
}
