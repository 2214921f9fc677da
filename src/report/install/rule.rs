//! Rule: one right, with its reason.

use std::fmt::Write as _;

/// A rule of a Role or ClusterRole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Why it is needed, in one line.
    pub why: String,
    /// The API group; empty for the core.
    pub group: String,
    /// The resource, as `deployments` or `pods/log`.
    pub resource: String,
    /// The only objects that it holds for; empty for all.
    pub names: Vec<String>,
    /// What may be done.
    pub verbs: Vec<&'static str>,
}

// === impl Rule ===

impl Rule {
    /// A right to all objects of a resource.
    pub fn new(why: &str, group: &str, resource: &str, verbs: &[&'static str]) -> Self {
        Self {
            why: why.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            names: Vec::new(),
            verbs: verbs.to_vec(),
        }
    }

    /// The same right to some objects only.
    #[must_use]
    pub fn only(mut self, names: Vec<String>) -> Self {
        self.names = names;
        self
    }

    /// The rule as an entry of `rules`.
    pub fn text(&self) -> String {
        let list = |values: &[&str]| {
            let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
            quoted.join(", ")
        };
        let mut text = format!(
            "# {}\n- apiGroups: [{}]\n  resources: [{}]\n",
            self.why,
            list(&[&self.group]),
            list(&[&self.resource])
        );
        // Writing to a string cannot fail.
        if !self.names.is_empty() {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            let _ = writeln!(text, "  resourceNames: [{}]", list(&names));
        }
        let _ = writeln!(text, "  verbs: [{}]", list(&self.verbs));
        text
    }
}
