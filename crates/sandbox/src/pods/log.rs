//! Log: the last lines that each container has written, and those of its former instance.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::registry::LogQuery;

/// How many lines of one instance are kept.
const KEPT: usize = 1_000;

/// A container, by the uid of its pod and its name.
type Container = (String, String);

/// The logs of all containers.
#[derive(Debug, Default)]
pub struct Logs {
    containers: Mutex<HashMap<Container, Log>>,
}

#[derive(Debug, Default)]
struct Log {
    lines: VecDeque<(Timestamp, String)>,
    previous: Option<VecDeque<(Timestamp, String)>>,
}

// === impl Logs ===

impl Logs {
    fn lock(&self) -> MutexGuard<'_, HashMap<Container, Log>> {
        // Nothing is left half done inside of a lock here.
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line.
    pub fn write(&self, pod: &str, container: &str, now: Timestamp, line: &str) {
        let mut containers = self.lock();
        let log = containers
            .entry((pod.to_owned(), container.to_owned()))
            .or_default();
        log.lines.push_back((now, line.to_owned()));
        if log.lines.len() > KEPT {
            log.lines.pop_front();
        }
    }

    /// Begins the log of a new instance; the former one stays readable.
    pub fn restart(&self, pod: &str, container: &str) {
        let mut containers = self.lock();
        let log = containers
            .entry((pod.to_owned(), container.to_owned()))
            .or_default();
        log.previous = Some(std::mem::take(&mut log.lines));
    }

    /// Forgets the logs of a pod.
    pub fn forget(&self, pod: &str) {
        self.lock().retain(|(of, _), _| of != pod);
    }

    /// The lines that somebody asks for; none if there was no such instance.
    pub fn read(&self, pod: &str, container: &str, query: &LogQuery, now: Timestamp) -> Option<String> {
        let containers = self.lock();
        let found = containers.get(&(pod.to_owned(), container.to_owned()));
        let lines = match (found, query.previous) {
            (Some(log), false) => &log.lines,
            (Some(log), true) => log.previous.as_ref()?,
            (None, false) => return Some(String::new()),
            (None, true) => return None,
        };
        let since = query.since_seconds.map(SignedDuration::from_secs);
        let since = since
            .and_then(|since| now.checked_sub(since).ok())
            .unwrap_or(Timestamp::MIN);
        let wanted: Vec<&(Timestamp, String)> = lines.iter().filter(|(time, _)| *time >= since).collect();
        let skipped = query
            .tail_lines
            .map_or(0, |tail| wanted.len().saturating_sub(tail));
        let line = |(time, line): &&(Timestamp, String)| match query.timestamps {
            true => format!("{} {line}\n", time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ")),
            false => format!("{line}\n"),
        };
        Some(wanted[skipped..].iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_and_cut_as_asked() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let logs = Logs::default();
        for (second, line) in [(1, "one"), (2, "two"), (3, "three")] {
            logs.write("uid", "app", at(second), line);
        }
        let read = |query: LogQuery| logs.read("uid", "app", &query, at(4));
        assert_eq!(read(LogQuery::default()).unwrap(), "one\ntwo\nthree\n");
        let tail = LogQuery {
            tail_lines: Some(1),
            timestamps: true,
            ..LogQuery::default()
        };
        assert_eq!(read(tail).unwrap(), "1970-01-01T00:00:03.000000000Z three\n");
        let since = LogQuery {
            since_seconds: Some(2),
            ..LogQuery::default()
        };
        assert_eq!(read(since).unwrap(), "two\nthree\n");
        let previous = LogQuery {
            previous: true,
            ..LogQuery::default()
        };
        assert_eq!(read(previous.clone()), None);
        logs.restart("uid", "app");
        assert_eq!(read(previous).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(read(LogQuery::default()).unwrap(), "");
    }
}
