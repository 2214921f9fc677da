//! Bundle: a script with every file of the repository that it reads.
//!
//! It is gathered when the repository is read: the check then runs what the commit has and nothing else, and the hash
//! of a gate covers the script's text.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::scan;

/// A script with every file of the repository that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    /// The path of the script, from the root of the repository.
    pub main: String,
    /// Files by path.
    pub files: BTreeMap<String, String>,
}

/// More bytes than this are no script.
const LARGEST: usize = 32 << 20;

impl Bundle {
    /// Gathers the script that the file `from` names as `script`. `read` gives a file of the repository, if it is there.
    ///
    /// # Errors
    ///
    /// Every file that is missing, outside of the repository or not text, and everything in the scripts that is not
    /// supported, with its line.
    pub fn gather(
        from: &str,
        script: &str,
        mut read: impl FnMut(&str) -> Result<Option<String>, String>,
    ) -> Result<Self, Vec<String>> {
        let mut bundle = Self {
            main: resolve(from, script),
            files: BTreeMap::new(),
        };
        let (mut problems, mut size) = (Vec::new(), 0);
        let mut wanted = vec![(bundle.main.clone(), true, from.to_owned())];
        while let Some((path, is_code, by)) = wanted.pop() {
            if bundle.files.contains_key(&path) {
                continue;
            }
            if path.starts_with("..") || path.starts_with('/') {
                problems.push(format!("{by}: {path} is outside of the repository"));
                continue;
            }
            let text = match read(&path) {
                Ok(Some(text)) => text,
                Ok(None) => {
                    problems.push(format!("{by}: there is no file {path}"));
                    continue;
                }
                Err(problem) => {
                    problems.push(format!("{by}: {path}: {problem}"));
                    continue;
                }
            };
            size += text.len();
            if size > LARGEST {
                problems.push(format!(
                    "{by}: the script and its files have more than {} MB",
                    LARGEST >> 20
                ));
                break;
            }
            if is_code {
                let unsupported = scan::unsupported(&text).into_iter();
                problems.extend(unsupported.map(|found| format!("{path}:{}: {}", found.line, found.what)));
                let names = scan::local_files(&text).into_iter();
                wanted.extend(names.map(|(name, is_code)| (resolve(&path, &name), is_code, path.clone())));
            }
            bundle.files.insert(path, text);
        }
        if problems.is_empty() {
            Ok(bundle)
        } else {
            Err(problems)
        }
    }
}

/// Written as a hash of everything in it.
impl Serialize for Bundle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digest = Sha256::new();
        for part in std::iter::once(&self.main).chain(self.files.iter().flat_map(|(path, text)| [path, text]))
        {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let hex: String = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        serializer.serialize_str(&hex)
    }
}

/// The path that `name` means in the file `from`; both with forward slashes.
#[must_use]
pub fn resolve(from: &str, name: &str) -> String {
    let name = name.strip_prefix("file://").unwrap_or(name);
    let base = Path::new(from).parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    for part in base.join(name).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if path.file_name().is_some() => drop(path.pop()),
            other => path.push(other),
        }
    }
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(files: &[(&str, &str)]) -> Result<Bundle, Vec<String>> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        Bundle::gather("policies/check.yaml", "load/main.js", |path| {
            Ok(files.get(path).map(|text| (*text).to_owned()))
        })
    }

    #[test]
    fn everything_that_a_script_reads_is_gathered() {
        let bundle = gather(&[
            (
                "policies/load/main.js",
                "import a from '../lib/a.js';\nconst d = open('./d.json');",
            ),
            ("policies/lib/a.js", "const b = require('./b.js');"),
            ("policies/lib/b.js", ""),
            ("policies/load/d.json", "{}"),
            ("policies/other.js", ""),
        ])
        .unwrap();
        let paths: Vec<&String> = bundle.files.keys().collect();
        assert_eq!(
            paths,
            [
                "policies/lib/a.js",
                "policies/lib/b.js",
                "policies/load/d.json",
                "policies/load/main.js"
            ]
        );
    }

    #[test]
    fn another_text_of_a_module_is_another_hash() {
        let hash = |text| {
            let files = [
                ("policies/load/main.js", "import './a.js'"),
                ("policies/load/a.js", text),
            ];
            serde_json::to_string(&gather(&files).unwrap()).unwrap()
        };
        assert_eq!(hash("1"), hash("1"));
        assert_ne!(hash("1"), hash("2"));
    }

    #[test]
    fn what_is_not_in_the_repository_is_refused() {
        for (source, says) in [
            (
                "import a from './gone.js'",
                "there is no file policies/load/gone.js",
            ),
            (
                "open('../../../etc/passwd')",
                "../etc/passwd is outside of the repository",
            ),
            ("open('/etc/passwd')", "/etc/passwd is outside of the repository"),
            (
                "import ws from 'k6/ws'",
                "policies/load/main.js:1: the module `k6/ws`",
            ),
        ] {
            let problems = gather(&[("policies/load/main.js", source)]).unwrap_err();
            assert!(problems[0].contains(says), "{source}: {problems:?}");
        }
    }
}
