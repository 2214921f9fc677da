//! Watch: a stream of what happens to the objects of a collection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::accept::Form;
use super::answer::{self, Body};
use super::read::Choice;
use super::{Call, Shared, table};
use crate::api::Target;
use crate::registry::{Kind, Verbs};
use crate::status::{FieldError, Status};
use crate::store::{Change, Stored};

/// How often a watch without news says up to where it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts at most, if the client does not say.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// A watch on its way.
struct Watch {
    shared: Arc<Shared>,
    kind: Arc<Kind>,
    choice: Choice,
    form: Form,
    bookmarks: bool,
    /// Everything up to this revision has been told.
    seen: u64,
    waiting: VecDeque<Bytes>,
    revision: watch::Receiver<u64>,
    until: Timestamp,
    next_bookmark: Timestamp,
    /// Whether the columns of a table have been told.
    told_columns: bool,
    done: bool,
}

/// What a watch waits for.
enum News {
    Revision,
    Bookmark,
    End,
}

/// Answers with a stream.
pub(super) fn watch(shared: &Arc<Shared>, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
    if target.kind.verbs == Verbs::Create {
        return Err(Status::method_not_allowed());
    }
    let query = &call.query;
    let mut choice = Choice::of(target, query)?;
    if !target.name.is_empty() {
        choice.prefix = crate::api::key(&target.kind, &target.namespace, &target.name);
    }
    let initial = initial_events(query)?;
    let bookmarks = query.flag("allowWatchBookmarks");
    let from = query.number("resourceVersion")?;
    let clock = &shared.api.clock;
    let longest = query
        .number("timeoutSeconds")?
        .map_or(LONGEST, Duration::from_secs);
    let later = |by: Duration| clock.now().checked_add(by).unwrap_or(Timestamp::MAX);
    let mut watch = Watch {
        shared: Arc::clone(shared),
        kind: Arc::clone(&target.kind),
        choice,
        form: call.accept.form,
        bookmarks,
        seen: 0,
        waiting: VecDeque::new(),
        revision: shared.api.store.watch_revision(),
        until: later(longest),
        next_bookmark: later(BOOKMARK_EVERY),
        told_columns: false,
        done: false,
    };
    watch.begin(from, initial);
    let stream = stream::unfold(
        watch,
        |mut watch| async move { Some((watch.next().await?, watch)) },
    );
    Ok(answer::stream(stream.boxed()))
}

/// Whether the stream begins with all objects and a bookmark after them; none if the client does not say.
fn initial_events(query: &super::query::Query) -> Result<Option<bool>, Status> {
    let wanted = match query.get("sendInitialEvents") {
        "" => return Ok(None),
        text => text == "true" || text == "1",
    };
    let how = query.get("resourceVersionMatch");
    let why = if how != "NotOlderThan" {
        let what = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        FieldError::forbidden("resourceVersionMatch", what)
    } else if wanted && !query.flag("allowWatchBookmarks") {
        FieldError::forbidden(
            "sendInitialEvents",
            "sendInitialEvents requires setting allowWatchBookmarks",
        )
    } else {
        return Ok(Some(wanted));
    };
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[why]))
}

// === impl Watch ===

impl Watch {
    /// Prepares what is told at once.
    fn begin(&mut self, from: Option<u64>, initial: Option<bool>) {
        let store = &self.shared.api.store;
        let everything = initial.unwrap_or(from.unwrap_or(0) == 0);
        if !everything {
            self.seen = from.filter(|from| *from > 0).unwrap_or_else(|| store.revision());
            return;
        }
        let snapshot = store.list(&self.kind.resource(), &self.choice.prefix);
        self.seen = snapshot.revision;
        for object in &snapshot.objects {
            if self.choice.takes(object) {
                self.tell("ADDED", object);
            }
        }
        if initial == Some(true) {
            self.bookmark(true);
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.waiting.pop_front() {
                return Some(bytes);
            }
            if self.done {
                return None;
            }
            self.collect();
            if self.waiting.is_empty() && !self.done {
                match self.wait().await {
                    News::Revision => {}
                    News::Bookmark => {
                        self.next_bookmark = self.later(BOOKMARK_EVERY);
                        if self.bookmarks {
                            self.bookmark(false);
                        }
                    }
                    News::End => return None,
                }
            }
        }
    }

    fn later(&self, by: Duration) -> Timestamp {
        self.shared
            .api
            .clock
            .now()
            .checked_add(by)
            .unwrap_or(Timestamp::MAX)
    }

    async fn wait(&mut self) -> News {
        let seen = self.seen;
        let shared = Arc::clone(&self.shared);
        let clock = &shared.api.clock;
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => News::End,
            () = shared.faults.watches_dropped() => News::End,
            changed = self.revision.wait_for(|revision| *revision > seen) => {
                if changed.is_ok() { News::Revision } else { News::End }
            }
            () = clock.sleep_until(self.until) => News::End,
            () = clock.sleep_until(self.next_bookmark) => News::Bookmark,
        }
    }

    /// Takes the changes since the last time.
    fn collect(&mut self) {
        match self.shared.api.store.changes(&self.kind.resource(), self.seen) {
            Ok((changes, revision)) => {
                for change in &changes {
                    self.tell_change(change);
                }
                self.seen = self.seen.max(revision);
            }
            Err(status) => {
                self.line(&json!({ "type": "ERROR", "object": status.to_value() }));
                self.done = true;
            }
        }
    }

    fn tell_change(&mut self, change: &Change) {
        let takes =
            |object: &Option<Arc<Stored>>| object.as_ref().is_some_and(|object| self.choice.takes(object));
        match (takes(&change.old), takes(&change.new)) {
            (false, true) => self.tell_one("ADDED", change.new.as_ref()),
            (true, true) => self.tell_one("MODIFIED", change.new.as_ref()),
            (true, false) if change.last.is_some() => self.tell_one("DELETED", change.last.as_ref()),
            (true, false) => {
                // It is still there and no longer meant: its last meant state, at the revision of the change.
                if let Some(old) = &change.old {
                    let mut value = old.value();
                    value["metadata"]["resourceVersion"] = change.revision.to_string().into();
                    let line = self.event("DELETED", value);
                    self.line(&line);
                }
            }
            (false, false) => {}
        }
    }

    fn tell_one(&mut self, kind: &str, object: Option<&Arc<Stored>>) {
        if let Some(object) = object {
            self.tell(kind, object);
        }
    }

    fn tell(&mut self, kind: &str, object: &Stored) {
        if self.form == Form::Object {
            let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
            line.extend_from_slice(&super::read::in_version(&self.kind, object));
            line.extend_from_slice(b"}\n");
            self.waiting.push_back(Bytes::from(line));
            return;
        }
        let event = self.event(kind, object.value());
        self.line(&event);
    }

    fn event(&mut self, kind: &str, object: Value) -> Value {
        let object = match self.form {
            Form::Object | Form::Aggregated => object,
            Form::Metadata => table::metadata_of(&object),
            Form::Table(include) => {
                let headers = !std::mem::replace(&mut self.told_columns, true);
                let now = self.shared.api.clock.now();
                let view = table::View {
                    kind: &self.kind,
                    now,
                };
                view.table(&[object], include, headers, None)
            }
        };
        json!({ "type": kind, "object": object })
    }

    fn bookmark(&mut self, ends_initial: bool) {
        let mut metadata = json!({ "resourceVersion": self.seen.to_string() });
        if ends_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = match self.form {
            Form::Object | Form::Aggregated => {
                json!({ "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata })
            }
            Form::Metadata => {
                json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
            }
            Form::Table(_) => json!({
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "columnDefinitions": [],
                "rows": [],
            }),
        };
        self.line(&json!({ "type": "BOOKMARK", "object": object }));
    }

    fn line(&mut self, event: &Value) {
        self.waiting.push_back(Bytes::from(format!("{event}\n")));
    }
}
