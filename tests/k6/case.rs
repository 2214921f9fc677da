//! Case: a small k6 script, with the way in which it is run.
//!
//! A file of `cases/` holds many. Each begins with `=== name`. A line `@ {…}` is the script's options. Lines that begin
//! with `//!` say how it is run:
//!
//! ```text
//! //! args -u 2 -i 6          options of the command line
//! //! env NAME=value          a variable of the environment
//! //! file data.json {…}      a file beside the script
//! //! raw                     without the usual imports and default function
//! //! stdout                  what it prints is compared too
//! //! only exit thresholds    how often things happen depends on the machine: only this is compared
//! ```

use std::fmt;
use std::fs;
use std::path::Path;

/// A small k6 script.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// The file and the name.
    pub name: String,
    /// Options of the command line.
    pub args: Vec<String>,
    /// Variables of the environment.
    pub env: Vec<(String, String)>,
    /// Files beside the script.
    pub files: Vec<(String, String)>,
    /// Whether standard output is compared.
    pub stdout: bool,
    /// Whether figures are left out of the comparison.
    pub only_marks: bool,
    raw: bool,
    lines: Vec<String>,
}

/// What most scripts need, on one line so that the lines of errors are easy to find.
const IMPORTS: &str = "import http from 'k6/http'; import { check, group, sleep, fail } from 'k6'; \
                       import { Counter, Gauge, Rate, Trend } from 'k6/metrics'; import exec from 'k6/execution'; \
                       import { SharedArray } from 'k6/data'; const BASE = __ENV.BASE;";

/// What a script does that says nothing else.
const DEFAULT: &str = "export default () => { http.get(BASE); };";

// === impl Case ===

impl Case {
    /// All cases, in the order of their files.
    pub fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/k6/cases");
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let of_file = |path: &Path| {
            let theme = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(path).unwrap();
            text.split("\n=== ")
                .skip(1)
                .map(|case| Self::read(&theme, case))
                .collect::<Vec<_>>()
        };
        files.iter().flat_map(|path| of_file(path)).collect()
    }

    fn read(theme: &str, text: &str) -> Self {
        let mut lines = text.lines();
        let mut case = Self {
            name: format!("{theme}: {}", lines.next().unwrap_or_default()),
            ..Self::default()
        };
        for line in lines {
            match (line.strip_prefix("//! "), line.strip_prefix("@ ")) {
                (Some(directive), _) => case.direct(directive),
                (None, Some(options)) => case.lines.push(format!("export const options = {options};")),
                (None, None) => case.lines.push(line.to_owned()),
            }
        }
        case
    }

    fn direct(&mut self, directive: &str) {
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        let pair = |separator: char| {
            let (left, right) = rest.split_once(separator).unwrap();
            (left.to_owned(), right.to_owned())
        };
        match word {
            "args" => self.args = rest.split(' ').map(str::to_owned).collect(),
            "env" => self.env.push(pair('=')),
            "file" => self.files.push(pair(' ')),
            "raw" => self.raw = true,
            "stdout" => self.stdout = true,
            "only" => self.only_marks = true,
            other => panic!("{}: `{other}` is no directive", self.name),
        }
    }

    /// Writes the script and its files.
    pub fn write(&self, directory: &Path) {
        fs::write(directory.join("script.js"), self.source()).unwrap();
        for (name, text) in &self.files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn source(&self) -> String {
        let body = self.lines.join("\n");
        match self.raw {
            true => body,
            false if body.contains("export default") => format!("{IMPORTS}\n{body}\n"),
            false => format!("{IMPORTS}\n{body}\n{DEFAULT}\n"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "=== {}\n{}", self.name, self.source())
    }
}
