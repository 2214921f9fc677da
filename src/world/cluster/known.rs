//! Known: what the watches of an environment know of its live objects, so that nothing is asked twice.
//!
//! An object that a watch brings is kept until a pass has judged it. When it was found to be as git asks, only its
//! version, its progress and the hash of what was asked remain: at rest an object costs a few hundred bytes, and a pass
//! costs no request. What a lost watch knew is forgotten, and asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use manifest::ObjectId;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::verify::rollout::{Progress, progress};

/// The hash of an object as git asks for it.
pub type BodyHash = [u8; 32];

/// What the watches know. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    objects: Arc<Mutex<Objects>>,
}

#[derive(Debug, Default)]
struct Objects {
    /// The watches that brought all that there is, by their number.
    complete: BTreeMap<usize, bool>,
    entries: HashMap<ObjectId, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The watch that it came from.
    watch: usize,
    version: String,
    progress: Progress,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not judged yet.
    New(Arc<Value>),
    /// Judged: applying what has this hash changes nothing.
    Applied(BodyHash),
    /// Judged, and not as git asked then.
    Other,
}

/// What is known of one object.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// It is as git asks; this is how far it is.
    Applied(Progress),
    /// This is the live object.
    Live(Arc<Value>),
    /// Nothing that could be relied on.
    Unknown,
}

/// The hash of an object as git asks for it, apart from the fields at `ignored`; with the rule of its health, if git has one.
#[must_use]
pub fn body_hash(body: &Value, ignored: &[String], health: &str) -> BodyHash {
    let mut digest = Sha256::new();
    digest.update(body.to_string());
    digest.update(health);
    for pointer in ignored {
        digest.update("\n");
        digest.update(pointer);
    }
    digest.finalize().into()
}

// === impl Known ===

impl Known {
    /// What is known of an object, when `body` is what git asks for.
    #[must_use]
    pub fn answer(&self, id: &ObjectId, body: &BodyHash) -> Answer {
        let objects = self.lock();
        let Some(entry) = objects
            .entries
            .get(id)
            .filter(|entry| objects.is_complete(entry.watch))
        else {
            return Answer::Unknown;
        };
        match &entry.state {
            State::New(live) => Answer::Live(Arc::clone(live)),
            State::Applied(applied) if applied == body => Answer::Applied(entry.progress.clone()),
            State::Applied(_) | State::Other => Answer::Unknown,
        }
    }

    /// The live object, if a watch brought it and it was not judged since.
    #[must_use]
    pub fn live(&self, id: &ObjectId) -> Option<Value> {
        let objects = self.lock();
        let entry = objects
            .entries
            .get(id)
            .filter(|entry| objects.is_complete(entry.watch))?;
        match &entry.state {
            State::New(live) => Some((**live).clone()),
            State::Applied(_) | State::Other => None,
        }
    }

    /// Remembers that `live` was judged: how far it is, and whether applying `body` to it changes nothing. A newer object is
    /// left alone.
    pub fn judged(&self, id: &ObjectId, live: &Value, progress: &Progress, body: BodyHash, applied: bool) {
        let mut objects = self.lock();
        if let Some(entry) = objects
            .entries
            .get_mut(id)
            .filter(|entry| entry.version == version_of(live))
        {
            entry.progress = progress.clone();
            entry.state = if applied {
                State::Applied(body)
            } else {
                State::Other
            };
        }
    }

    /// Takes what the server answered to an apply, before the watch brings it.
    pub fn applied(&self, id: &ObjectId, live: Value) {
        let mut objects = self.lock();
        if let Some(watch) = objects.entries.get(id).map(|entry| entry.watch) {
            objects.put(watch, id.clone(), live);
        }
    }

    /// A watch begins to list; until it is complete, nothing of it is relied on.
    pub(super) fn begin(&self, watch: usize) {
        let mut objects = self.lock();
        objects.complete.insert(watch, false);
        objects.entries.retain(|_, entry| entry.watch != watch);
    }

    /// A watch has listed all that there is.
    pub(super) fn complete(&self, watch: usize) {
        self.lock().complete.insert(watch, true);
    }

    /// A watch was lost; what it knew may be old.
    pub(super) fn lost(&self, watch: usize) {
        self.lock().complete.insert(watch, false);
    }

    /// A watch saw an object, new or changed.
    pub(super) fn put(&self, watch: usize, id: ObjectId, live: Value) {
        self.lock().put(watch, id, live);
    }

    /// A watch saw an object go, or lose the label.
    pub(super) fn remove(&self, id: &ObjectId) {
        self.lock().entries.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        // Nothing panics while it holds the lock; what is there is whole.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Objects ===

impl Objects {
    fn is_complete(&self, watch: usize) -> bool {
        self.complete.get(&watch).copied().unwrap_or(false)
    }

    fn put(&mut self, watch: usize, id: ObjectId, live: Value) {
        let version = version_of(&live).to_owned();
        if self
            .entries
            .get(&id)
            .is_some_and(|entry| is_old(&version, &entry.version))
        {
            return;
        }
        let entry = Entry {
            watch,
            version,
            progress: progress(&live),
            state: State::New(Arc::new(live)),
        };
        self.entries.insert(id, entry);
    }
}

fn version_of(live: &Value) -> &str {
    live["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

/// Whether `version` is the one that is known, or comes before it. Kubernetes 1.35 made the versions of one kind
/// comparable; older servers number them the same way. Anything else is taken as new.
fn is_old(version: &str, known: &str) -> bool {
    match (version.parse::<u128>(), known.parse::<u128>()) {
        (Ok(version), Ok(known)) => version <= known,
        _ => version == known,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BODY: BodyHash = [1; 32];

    fn mk_id() -> ObjectId {
        ObjectId {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: "shop".into(),
            name: "web".into(),
        }
    }

    fn mk(version: &str) -> Value {
        json!({"kind": "ConfigMap", "metadata": {"resourceVersion": version}})
    }

    fn mk_known() -> Known {
        let known = Known::default();
        known.begin(0);
        known.put(0, mk_id(), mk("5"));
        known
    }

    #[test]
    fn nothing_is_relied_on_before_the_list_is_complete_or_after_the_watch_was_lost() {
        let known = mk_known();
        assert_eq!(known.answer(&mk_id(), &BODY), Answer::Unknown);
        known.complete(0);
        assert_eq!(known.answer(&mk_id(), &BODY), Answer::Live(Arc::new(mk("5"))));
        known.lost(0);
        assert_eq!(known.answer(&mk_id(), &BODY), Answer::Unknown);
        known.begin(0);
        known.complete(0);
        assert_eq!(
            known.answer(&mk_id(), &BODY),
            Answer::Unknown,
            "the new list did not bring it"
        );
    }

    #[test]
    fn what_was_judged_is_known_for_that_body_and_that_version() {
        let known = mk_known();
        known.complete(0);
        known.judged(&mk_id(), &mk("4"), &Progress::Current, BODY, true);
        assert_eq!(
            known.answer(&mk_id(), &BODY),
            Answer::Live(Arc::new(mk("5"))),
            "another version was judged"
        );
        known.judged(&mk_id(), &mk("5"), &Progress::Current, BODY, true);
        assert_eq!(known.answer(&mk_id(), &BODY), Answer::Applied(Progress::Current));
        assert_eq!(
            known.answer(&mk_id(), &[2; 32]),
            Answer::Unknown,
            "git asks for something else"
        );
        known.put(0, mk_id(), mk("6"));
        assert_eq!(
            known.answer(&mk_id(), &BODY),
            Answer::Live(Arc::new(mk("6"))),
            "somebody changed it"
        );
        known.judged(&mk_id(), &mk("6"), &Progress::Current, BODY, false);
        assert_eq!(known.answer(&mk_id(), &BODY), Answer::Unknown);
    }

    #[test]
    fn the_answer_to_an_apply_is_known_at_once_and_an_older_event_does_not_hide_it() {
        let known = mk_known();
        known.complete(0);
        known.applied(&mk_id(), mk("9"));
        known.put(0, mk_id(), mk("7"));
        assert_eq!(known.answer(&mk_id(), &BODY), Answer::Live(Arc::new(mk("9"))));
        known.remove(&mk_id());
        known.applied(&mk_id(), mk("9"));
        assert_eq!(
            known.answer(&mk_id(), &BODY),
            Answer::Unknown,
            "no watch keeps it"
        );
    }
}
