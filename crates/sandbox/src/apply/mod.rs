//! Apply: server-side apply, and who owns which field.
//!
//! Every write goes through here. [`update`] gives the fields that it changed to its manager; [`apply`] merges what a
//! manager wants, removes what it wanted before and nobody else owns, and refuses to change what belongs to others.
//! The semantics are those of sigs.k8s.io/structured-merge-diff and of apimachinery's package `managedfields`.

mod manager;
mod set;
mod value;

use serde_json::{Value, json};

pub(crate) use manager::{Manager, Managers, Operation};
pub(crate) use set::Set;
use set::{Element, path_text};
use value::{compare, merge, paths_of, problems, remove};

use crate::schema::Node;
use crate::status::Status;

/// The annotation in which a client keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Who owns the fields of an object that was written before anything was applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// So many managers of updates are kept; the oldest ones become one.
const MOST_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// What a write is about, for the bookkeeping of its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The type of the object.
    pub node: Node<'a>,
    /// `apps/v1`.
    pub version: &'a str,
    /// `status`; empty for the object itself.
    pub subresource: &'a str,
    /// What this way of writing cannot change, and so cannot own.
    pub reset: &'a Set,
    /// The time of the write.
    pub now: &'a str,
}

/// Fields that nobody owns.
fn nobodys() -> Set {
    let mut set = Set::of(&[&["apiVersion"], &["kind"], &["metadata"]]);
    for field in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&[Element::Field("metadata".into()), Element::Field(field.into())]);
    }
    set
}

/// Gives what an update changed to its manager, and takes it from everybody else.
pub(crate) fn update(
    scope: &Scope<'_>,
    live: &Value,
    new: &Value,
    mut managers: Managers,
    name: &str,
) -> Managers {
    let manager = scope.manager(name, Operation::Update);
    let compared = compare(scope.node, &bare(live), &bare(new));
    let filter = |set: &Set| set.without_below(scope.reset);
    let (removed, modified, added) = (
        filter(&compared.removed),
        filter(&compared.modified),
        filter(&compared.added),
    );
    let changed = modified.union(&added);
    for (_, entry) in managers.iter_mut() {
        entry.set = entry.set.difference(&changed).difference(&removed);
    }
    let own = filter(&compared.modified.union(&compared.added)).difference(&nobodys());
    if !own.is_empty() {
        // A Scale has no times of its own to keep.
        let now = Some(scope.now).filter(|_| scope.subresource != "scale");
        managers.give(manager, &own, now);
    }
    managers.drop_empty();
    managers.cap(MOST_UPDATERS, ANCIENT);
    managers
}

/// Merges what a manager wants into an object. Gives the object, not yet in its stored form, and its managers.
///
/// # Errors
/// 409 with every field that belongs to somebody else, 400 if the types do not allow the fields.
pub(crate) fn apply(
    scope: &Scope<'_>,
    live: Option<&Value>,
    mut managers: Managers,
    applied: &Value,
    name: &str,
    force: bool,
) -> Result<(Value, Managers), Status> {
    let empty = json!({});
    if managers.is_empty()
        && let Some(live) = live
    {
        // Nobody tracks the object: all that is there belongs to a manager of its own.
        managers = update(scope, &scope.empty_object(), live, managers, BEFORE_FIRST_APPLY);
    }
    let live = live.map_or_else(|| scope.empty_object(), bare);
    let attempt = |force| merge_applied(scope, &live, managers.clone(), applied, name, force);
    match attempt(force) {
        Ok(done) => Ok(done),
        Err(conflicts) if name == "kubectl" => {
            let allowed = own_last_applied(scope, &live);
            let left: Vec<Conflict> = conflicts
                .into_iter()
                .filter(|conflict| !contains(&allowed, &conflict.path))
                .collect();
            if left.is_empty() {
                attempt(true).map_err(|conflicts| refuse(&conflicts))
            } else {
                Err(refuse(&left))
            }
        }
        Err(conflicts) => Err(refuse(&conflicts)),
    }
    .map(|(object, managers)| (if object.is_null() { empty } else { object }, managers))
}

/// A field that belongs to somebody else.
struct Conflict {
    manager: Manager,
    path: Vec<Element>,
}

fn merge_applied(
    scope: &Scope<'_>,
    live: &Value,
    mut managers: Managers,
    applied: &Value,
    name: &str,
    force: bool,
) -> Result<(Value, Managers), Vec<Conflict>> {
    let manager = scope.manager(name, Operation::Apply);
    let merged = merge(scope.node, Some(live), Some(applied)).unwrap_or(Value::Null);
    let last = managers.take(&manager);
    let own = paths_of(scope.node, applied).without_below(scope.reset);
    let last_time = last.as_ref().and_then(|entry| entry.time.clone());
    let object = match &last {
        Some(last) => prune(scope, &merged, &last.set, &managers.all().union(&own)),
        None => merged,
    };
    let compared = compare(scope.node, live, &object);
    let changed = compared
        .modified
        .union(&compared.added)
        .without_below(scope.reset);
    let removed = compared.removed.without_below(scope.reset);
    let mut conflicts = Vec::new();
    for (other, entry) in managers.iter_mut() {
        let lost = entry.set.intersection(&changed);
        conflicts.extend(lost.paths().into_iter().map(|path| Conflict {
            manager: other.clone(),
            path,
        }));
        entry.set = entry.set.difference(&lost).difference(&removed);
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    let stripped = own.difference(&nobodys());
    // An apply that changes nothing leaves the times alone, and a new manager has none then.
    let time = if value::same(live, &object) {
        last_time
    } else {
        Some(scope.now.to_owned())
    };
    if !stripped.is_empty() {
        managers.put(manager, stripped, time);
    }
    managers.drop_empty();
    Ok((object, managers))
}

/// Removes what the manager owned by its last apply, unless somebody owns it still.
fn prune(scope: &Scope<'_>, merged: &Value, last: &Set, owned: &Set) -> Value {
    let node = scope.node;
    let named = |set: &Set| set.with_named_fields(node);
    let last = named(last);
    let pruned = remove(node, merged, &last);
    let (all, left) = (named(&paths_of(node, merged)), named(&paths_of(node, &pruned)));
    // Owned items come back, with all that leads to them.
    let pruned = remove(node, merged, &all.difference(&left.union(&named(owned))));
    let left = named(&paths_of(node, &pruned));
    // What was removed together with an item and did not belong to the manager comes back.
    remove(node, merged, &all.difference(&left).intersection(&last))
}

/// Whether the types allow what a manager wants.
///
/// # Errors
/// 400 if it tells managers itself, 500, as a real server has it, if a field is not there or of a wrong type.
pub(crate) fn check(scope: &Scope<'_>, applied: &Value) -> Result<(), Status> {
    let has_managers = applied["metadata"]
        .get("managedFields")
        .is_some_and(|fields| !fields.is_null());
    if has_managers {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let found = problems(scope.node, applied);
    let what = match found.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!(
            "errors:\n{}",
            many.iter()
                .map(|one| format!("  {one}"))
                .collect::<Vec<_>>()
                .join("\n")
        ),
    };
    let text = |field: &str| applied["metadata"][field].as_str().unwrap_or_default();
    let kind = applied["kind"].as_str().unwrap_or_default();
    let slash = if scope.version.contains('/') { "" } else { "/" };
    let message = format!(
        "failed to create typed patch object ({}/{}; {slash}{}, Kind={kind}): {what}",
        text("namespace"),
        text("name"),
        scope.version
    );
    Err(Status::new(500, "", message))
}

/// What a client-side apply by the same tool has written and nobody has changed since.
fn own_last_applied(scope: &Scope<'_>, live: &Value) -> Set {
    let text = live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .unwrap_or_default();
    let Ok(last) = serde_json::from_str::<Value>(text) else {
        return Set::default();
    };
    if last["apiVersion"] != scope.version {
        return Set::default();
    }
    let compared = compare(scope.node, &last, live);
    paths_of(scope.node, &last)
        .difference(&compared.modified)
        .difference(&compared.added)
        .difference(&compared.removed)
}

fn contains(set: &Set, path: &[Element]) -> bool {
    match path {
        [] => set.member,
        [first, rest @ ..] => set.children.get(first).is_some_and(|inner| contains(inner, rest)),
    }
}

fn refuse(conflicts: &[Conflict]) -> Status {
    let mut conflicts: Vec<(String, String)> = conflicts
        .iter()
        .map(|conflict| (conflict.manager.told(), path_text(&conflict.path)))
        .collect();
    // The paths of one manager stay in the order of its set.
    conflicts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(manager, path)| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path})
        })
        .collect();
    let message = match conflicts.as_slice() {
        [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
        many => {
            let mut lines = Vec::new();
            let mut last = None;
            for (manager, path) in many {
                if last != Some(manager) {
                    lines.push(format!("conflicts with {manager}:"));
                    last = Some(manager);
                }
                lines.push(format!("- {path}"));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    let mut status = Status::new(409, "Conflict", message);
    status.details = Some(Box::new(json!({ "causes": causes })));
    status
}

/// An object without the bookkeeping itself.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    object
}

// === impl Scope ===

impl Scope<'_> {
    fn manager(&self, name: &str, operation: Operation) -> Manager {
        Manager {
            name: if name.is_empty() {
                "unknown".to_owned()
            } else {
                name.to_owned()
            },
            operation,
            version: self.version.to_owned(),
            subresource: self.subresource.to_owned(),
        }
    }

    /// The object that an object is compared with that was not there before.
    pub(crate) fn empty_object(&self) -> Value {
        let mut object = json!({});
        crate::schema::check(self.node, &mut object);
        object
    }
}

#[cfg(test)]
mod tests;
