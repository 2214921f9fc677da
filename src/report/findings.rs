//! Findings: problems in the forms that code hosts and CI systems show beside the lines that they are about.

use serde_json::{Value, json};

use crate::desired::policy::{Verdict, Violation};
use crate::problem::Problem;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is known to be wrong; somebody may want to look.
    Note,
    /// It works, and should be mended.
    Warning,
    /// It will not work.
    Error,
}

/// A problem, which rule found it, and how bad it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule: `configuration`, or `policy/<name>`.
    pub rule: String,
    /// How bad it is.
    pub level: Level,
    /// What is wrong, and where.
    pub problem: Problem,
}

// === impl Level ===

impl Level {
    /// The word that SARIF has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

// === impl Finding ===

impl Finding {
    /// A problem of the configuration or of an overlay.
    #[must_use]
    pub fn configuration(problem: Problem) -> Self {
        Self {
            rule: "configuration".to_owned(),
            level: Level::Error,
            problem,
        }
    }

    /// What a policy does not let through, or may not.
    #[must_use]
    pub fn policy(violation: Violation) -> Self {
        Self {
            rule: format!("policy/{}", violation.policy),
            level: match violation.verdict {
                Verdict::Denied => Level::Error,
                Verdict::Warned => Level::Warning,
                Verdict::Unknown => Level::Note,
            },
            problem: violation.problem,
        }
    }

    /// The file and, where known, the line.
    fn place(&self) -> Option<(&str, Option<u32>)> {
        let at = self.problem.at.as_deref()?;
        let split = at.rsplit_once(':');
        let line = split.and_then(|(file, line)| Some((file, line.parse().ok()?)));
        Some(line.map_or((at, None), |(file, line)| (file, Some(line))))
    }

    /// What is wrong, without the place.
    fn message(&self) -> String {
        let problem = Problem {
            at: None,
            ..self.problem.clone()
        };
        problem.to_string()
    }
}

/// The findings in their order, each once: what two environments share is found in both.
#[must_use]
pub fn once(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        if !told.contains(&finding) {
            told.push(finding);
        }
    }
    told
}

/// The findings as a SARIF 2.1.0 log, which GitHub's code scanning and others take.
#[must_use]
pub fn sarif(findings: &[Finding], version: &str) -> Value {
    let mut rules: Vec<&str> = findings.iter().map(|finding| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let rules: Vec<Value> = rules.into_iter().map(|rule| json!({"id": rule})).collect();
    let result = |finding: &Finding| {
        let mut result = json!({
            "ruleId": finding.rule,
            "level": finding.level.word(),
            "message": {"text": finding.message()},
        });
        if let Some((file, line)) = finding.place() {
            let mut physical = json!({"artifactLocation": {"uri": uri(file)}});
            if let Some(line) = line {
                physical["region"] = json!({"startLine": line});
            }
            result["locations"] = json!([{"physicalLocation": physical}]);
        }
        result
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "gitsync", "version": version, "rules": rules}},
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

/// A path as a relative URI reference.
fn uri(path: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let piece = |byte: u8| match safe(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.bytes().map(piece).collect()
}

/// The findings as workflow commands of GitHub Actions, one a line.
#[must_use]
pub fn github(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let command = match finding.level {
            Level::Note => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let mut properties = Vec::new();
        if let Some((file, line)) = finding.place() {
            properties.push(format!("file={}", property(file)));
            properties.extend(line.map(|line| format!("line={line}")));
        }
        properties.push(format!(
            "title={}",
            property(&format!("gitsync {}", finding.rule))
        ));
        format!(
            "::{command} {}::{}\n",
            properties.join(","),
            data(&finding.message())
        )
    };
    findings.iter().map(line).collect()
}

/// A text behind a workflow command, which would end at a line's end.
#[must_use]
pub fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A text in a property of a workflow command, which would end at a comma or a colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_findings() -> Vec<Finding> {
        vec![
            Finding::configuration(Problem::new("100% wrong\nreally").at_line("environments/a b/x.yaml", 3)),
            Finding {
                rule: "policy/limits".into(),
                level: Level::Warning,
                problem: Problem::new("no limits").field("spec"),
            },
        ]
    }

    #[test]
    fn annotations_are_one_line_each_and_name_file_and_line() {
        let expected = "\
::error file=environments/a b/x.yaml,line=3,title=gitsync configuration::100%25 wrong%0Areally
::warning title=gitsync policy/limits::spec: no limits
";
        assert_eq!(github(&mk_findings()), expected);
    }

    #[test]
    fn a_log_has_rules_levels_and_places() {
        let log = sarif(&mk_findings(), "1");
        let run = &log["runs"][0];
        assert_eq!(
            run["tool"]["driver"]["rules"],
            json!([{"id": "configuration"}, {"id": "policy/limits"}])
        );
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "environments/a%20b/x.yaml");
        assert_eq!(place["region"]["startLine"], 3);
        assert_eq!(run["results"][1]["level"], "warning");
        assert!(run["results"][1].get("locations").is_none());
    }
}
