//! Build error: one thing that keeps a kustomization from being built, with its place and a way out.

use std::fmt;

use manifest::ReadError;
use thiserror::Error;

/// One problem of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct BuildError {
    /// The file that holds the problem.
    pub file: Option<String>,
    /// Its line, from 1.
    pub line: Option<u32>,
    /// The field, such as `patches[2].target`.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// `file:line: field: message`, without the parts that are not known.
impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            field,
            message,
            hint: _,
        } = self;
        if let Some(file) = file {
            f.write_str(file)?;
            if let Some(line) = line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(field) = field.as_deref().filter(|field| !field.is_empty()) {
            write!(f, "{field}: ")?;
        }
        f.write_str(message)
    }
}

impl BuildError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a file and line where none is known.
    pub(crate) fn at(mut self, file: &str, line: u32) -> Self {
        if self.file.is_none() {
            self.file = Some(file.to_owned());
            self.line = (line != 0).then_some(line);
        }
        self
    }
}

impl From<ReadError> for BuildError {
    fn from(error: ReadError) -> Self {
        let ReadError {
            file,
            line,
            column: _,
            message,
        } = error;
        Self::new(message).at(&file, line)
    }
}

/// A warning of a build that succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file that the warning is about.
    pub file: String,
    /// Its line, from 1.
    pub line: Option<u32>,
    /// The text.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Every independent problem of a build, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct BuildErrors(Vec<BuildError>);

impl BuildErrors {
    /// The problems, in the order in which they were met.
    pub fn iter(&self) -> impl Iterator<Item = &BuildError> {
        self.0.iter()
    }

    /// How many problems there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, which only an error still being collected can be.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, error: BuildError) {
        // A base that two layers share would report its problems twice.
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    pub(crate) fn extend(&mut self, errors: Self) {
        errors.0.into_iter().for_each(|error| self.push(error));
    }

    /// Keeps the value of a result, or its problems.
    pub(crate) fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|errors| self.extend(errors)).ok()
    }

    pub(crate) fn into_result(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Adds a place to the problems that have none.
    pub(crate) fn at(self, file: &str, line: u32) -> Self {
        Self(self.0.into_iter().map(|error| error.at(file, line)).collect())
    }

    /// Names a field for the problems that name none.
    pub(crate) fn in_field(mut self, field: &str) -> Self {
        for error in self.0.iter_mut().filter(|error| error.field.is_none()) {
            error.field = Some(field.to_owned());
        }
        self
    }
}

impl fmt::Display for BuildErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl From<BuildError> for BuildErrors {
    fn from(error: BuildError) -> Self {
        Self(vec![error])
    }
}

impl From<ReadError> for BuildErrors {
    fn from(error: ReadError) -> Self {
        BuildError::from(error).into()
    }
}

impl From<String> for BuildErrors {
    fn from(message: String) -> Self {
        BuildError::new(message).into()
    }
}

impl From<&str> for BuildErrors {
    fn from(message: &str) -> Self {
        BuildError::new(message).into()
    }
}

impl FromIterator<BuildError> for BuildErrors {
    fn from_iter<I: IntoIterator<Item = BuildError>>(errors: I) -> Self {
        let mut all = Self::default();
        errors.into_iter().for_each(|error| all.push(error));
        all
    }
}

impl IntoIterator for BuildErrors {
    type Item = BuildError;
    type IntoIter = std::vec::IntoIter<BuildError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

pub(crate) type Result<T> = std::result::Result<T, BuildErrors>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_what_is_known() {
        let error = BuildError::new("no such file").at("a/kustomization.yaml", 3);
        assert_eq!(error.to_string(), "a/kustomization.yaml:3: no such file");
        let errors = BuildErrors::from(error).in_field("resources[0]").at("other", 9);
        assert_eq!(
            errors.to_string(),
            "a/kustomization.yaml:3: resources[0]: no such file"
        );
        assert_eq!(BuildError::new("broken").to_string(), "broken");
    }
}
