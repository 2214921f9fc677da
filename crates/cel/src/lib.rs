//! The Common Expression Language (CEL), as far as policies of Kubernetes use it.
//!
//! ```
//! use cel::{Error, Program, Scope, Value};
//!
//! let program = Program::parse("object.spec.replicas <= 5 && object.metadata.name.startsWith('web')")?;
//! let mut scope = Scope::default();
//! scope.set("object", Value::from(&serde_json::json!({"spec": {"replicas": 3}, "metadata": {"name": "web-1"}})));
//! assert_eq!(program.evaluate(&scope), Ok(Value::Bool(true)));
//!
//! // What nobody can know here is no answer, unless it makes no difference.
//! scope.set_unknown("request");
//! let either = |text: &str| Program::parse(text).unwrap().evaluate(&scope);
//! assert!(matches!(either("request.userInfo.username == 'ann'"), Err(Error::Unknown(_))));
//! assert_eq!(either("request.dryRun || true"), Ok(Value::Bool(true)));
//! # Ok::<(), cel::ParseError>(())
//! ```
//!
//! Values are dynamic, as those of objects are in policies. Logic follows the language's definition: `&&`, `||`, `all` and
//! `exists` have an answer whenever one side decides it, errors and unknowns on the other notwithstanding. What is not
//! implemented (times, bytes, optionals, quantities, addresses, the authorizer) is unknown, never wrong.
//!
//! Expressions come from anybody, so parsing is bounded in depth, and evaluation in steps and in the size of what it makes.

mod eval;
mod functions;
mod parse;
mod value;

pub use eval::Scope;
pub use value::Value;

/// A text that is no expression, or one that this crate does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {message}")]
pub struct ParseError {
    /// Where, counted in characters from 1.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has none: a field that is not there, a division by zero, an operator between types that it does not take.
    #[error("{0}")]
    Failed(String),
    /// It depends on something that is not known here.
    #[error("{0}")]
    Unknown(String),
}

/// An expression, ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    expression: parse::Expression,
}

// === impl Program ===

impl Program {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text).map(|expression| Self { expression })
    }

    /// Its value where these variables are in scope.
    ///
    /// # Errors
    ///
    /// When it has none, or when that is not known.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Error> {
        eval::evaluate(&self.expression, scope)
    }
}
