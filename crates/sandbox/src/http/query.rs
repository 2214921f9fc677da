//! Query: the parameters of a request.

use crate::api::{Validation, WriteOptions};
use crate::status::{FieldError, Status};

/// The parameters in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

// === impl Query ===

impl Query {
    /// Reads `a=b&c=d`.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        });
        Self(pairs.collect())
    }

    /// The value of a parameter; empty if it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(one, _)| one == name)
            .map_or("", |(_, value)| value)
    }

    /// Whether a parameter is set to something true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let found = self.0.iter().find(|(one, _)| one == name);
        found.is_some_and(|(_, value)| !matches!(value.as_str(), "false" | "0" | "False" | "FALSE" | "f"))
    }

    /// A parameter that is a number.
    ///
    /// # Errors
    /// 400 if it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Status> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
            }),
        }
    }

    /// How to write.
    ///
    /// # Errors
    /// 422 if a value is unknown.
    pub(crate) fn write_options(&self, kind: &str) -> Result<WriteOptions, Status> {
        let validation = match self.get("fieldValidation") {
            "Ignore" => Validation::Ignore,
            "Strict" => Validation::Strict,
            "Warn" | "" => Validation::Warn,
            other => {
                let error =
                    FieldError::not_supported("fieldValidation", other, &["Ignore", "Strict", "Warn"]);
                return Err(Status::invalid("meta.k8s.io", kind, "", &[error]));
            }
        };
        Ok(WriteOptions {
            dry_run: self.dry_run(kind)?,
            manager: Some(self.get("fieldManager").to_owned()).filter(|name| !name.is_empty()),
            validation,
        })
    }

    /// Whether nothing is to be stored.
    ///
    /// # Errors
    /// 422 if the value is unknown.
    pub(crate) fn dry_run(&self, kind: &str) -> Result<bool, Status> {
        match self.get("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => {
                let error = FieldError::not_supported("dryRun", vec![other], &["All"]);
                Err(Status::invalid("meta.k8s.io", kind, "", &[error]))
            }
        }
    }
}

/// Decodes `%2F` and `+`.
fn unescape(text: &str) -> String {
    decode(&text.replace('+', " ")).unwrap_or_else(|| text.to_owned())
}

/// Decodes `%2F`; none if the outcome is no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("labelSelector=app%3Dweb%2Ctier+in+%28a%29&watch=true&limit=5&x");
        assert_eq!(query.get("labelSelector"), "app=web,tier in (a)");
        assert!(query.flag("watch") && query.flag("x") && !query.flag("y"));
        assert_eq!(query.number("limit").unwrap(), Some(5));
        assert!(Query::parse("limit=a").number("limit").is_err());
    }
}
