//! Parts: which parts of a benchmark run.

use crate::options::option;

/// Those of `all` that `--only` names, or all.
///
/// # Panics
///
/// When it names another.
pub fn asked(all: &[&str]) -> Vec<String> {
    let only = option("--only").unwrap_or_else(|| all.join(","));
    let parts: Vec<String> = only.split(',').map(str::to_owned).collect();
    for part in &parts {
        assert!(
            all.contains(&part.as_str()),
            "--only takes some of {all:?}, not {part}"
        );
    }
    parts
}
