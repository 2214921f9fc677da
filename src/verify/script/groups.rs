//! Groups: the tree of a script's groups, and the checks in them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::verify::samples::CheckCount;

/// The groups of a script with their checks, in the order in which they were first met.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// The path of each group, for example `::front::login`; the root, whose path is empty, is not listed.
    pub paths: Vec<Arc<str>>,
    /// The checks.
    pub checks: Vec<Check>,
    known: HashMap<Arc<str>, Vec<usize>>,
}

/// A check in a group.
#[derive(Debug, Clone)]
pub struct Check {
    /// The path of its group.
    pub group: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// How often it held.
    pub count: CheckCount,
}

/// Checks and groups beyond this number are counted as one: a name that is made anew each time would fill memory.
const MOST: usize = 10_000;

// === impl Groups ===

impl Groups {
    /// Notes that a group was entered, and with it those that it is inside of.
    pub fn enter(&mut self, path: &str) {
        let inner = path.match_indices("::").skip(1).map(|(end, _)| &path[..end]);
        for path in inner.chain([path]) {
            if !path.is_empty() && self.paths.len() < MOST && !self.paths.iter().any(|known| **known == *path)
            {
                self.paths.push(path.into());
            }
        }
    }

    /// Notes whether a check held.
    pub fn check(&mut self, group: &Arc<str>, name: &str, held: bool) {
        let count = self.count(group, name);
        if held {
            count.passes += 1;
        } else {
            count.fails += 1;
        }
    }

    fn count(&mut self, group: &Arc<str>, name: &str) -> &mut CheckCount {
        let known = self.known.get(name);
        let found = known.and_then(|found| found.iter().find(|index| self.checks[**index].group == *group));
        let index = match found {
            Some(index) => *index,
            None if self.checks.len() >= MOST => MOST - 1,
            None => {
                self.enter(group);
                let name: Arc<str> = name.into();
                self.known
                    .entry(Arc::clone(&name))
                    .or_default()
                    .push(self.checks.len());
                self.checks.push(Check {
                    group: Arc::clone(group),
                    name,
                    count: CheckCount::default(),
                });
                self.checks.len() - 1
            }
        };
        &mut self.checks[index].count
    }

    /// Adds what another thread saw.
    pub fn merge(&mut self, other: Self) {
        other.paths.iter().for_each(|path| self.enter(path));
        for check in other.checks {
            let count = self.count(&check.group, &check.name);
            count.passes += check.count.passes;
            count.fails += check.count.fails;
        }
    }

    /// The checks of one group.
    pub fn checks_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Check> {
        self.checks.iter().filter(move |check| &*check.group == group)
    }

    /// The paths of the groups inside of one group, with their names.
    pub fn children<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.paths.iter().filter_map(move |path| {
            let name = path.strip_prefix(group)?.strip_prefix("::")?;
            (!name.contains("::")).then_some((&**path, name))
        })
    }
}
