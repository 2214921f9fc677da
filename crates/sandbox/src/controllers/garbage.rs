//! Garbage: what its owners have left behind goes too.
//!
//! An object goes when all owners that it names are gone. An owner that waits for what it owns (foreground), or that
//! leaves it behind (orphan), carries a finalizer, which is taken off when that is done.

use serde_json::Value;

use super::Plain;
use super::decision::{Decision, Write};
use super::view::{Place, View, is_leaving};
use crate::Propagation;
use crate::kinds::fields::{flag, items, text};

/// The finalizer of an owner that waits for what it owns.
const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an owner that leaves what it owns behind.
const ORPHAN: &str = "orphan";

pub const CONTROLLER: Plain = Plain {
    manager: "garbage-collector",
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    let mut all = Vec::new();
    let owners = items(&object["metadata"], "ownerReferences");
    if view.at(place).is_none() {
        // What it owned may be garbage now, and its owner may have waited for it.
        all.extend(view.owned_by(text(&object["metadata"], "uid")));
        all.extend(
            owners
                .iter()
                .filter_map(|owner| view.place_of(text(owner, "uid")).cloned()),
        );
        return all;
    }
    if is_leaving(object) || !owners.is_empty() {
        all.push(place.clone());
    }
    all
}

fn decide(view: &View, place: &Place) -> Decision {
    let Some(object) = view.at(place) else {
        return Decision::nothing();
    };
    if is_leaving(object) {
        return let_go(view, place, object);
    }
    let owners = items(&object["metadata"], "ownerReferences");
    let mut decision = Decision::nothing();
    if owners.is_empty() {
        return decision;
    }
    let is_there = |owner: &&Value| view.has_uid(text(owner, "uid"));
    let there: Vec<&Value> = owners.iter().filter(is_there).collect();
    if there.is_empty() {
        decision.delete(&place.resource, object);
    } else if there.len() < owners.len() {
        decision.push(owners_of(place, object, there));
    }
    decision
}

/// Treats what an object owns that is being deleted, and lets the object go after that.
fn let_go(view: &View, place: &Place, owner: &Value) -> Decision {
    let mut decision = Decision::nothing();
    let finalizers = items(&owner["metadata"], "finalizers");
    let has = |finalizer: &str| finalizers.iter().any(|one| one == finalizer);
    let uid = text(&owner["metadata"], "uid");
    let owned: Vec<Place> = view.owned_by(uid);
    if has(ORPHAN) {
        for place in &owned {
            if let Some(object) = view.at(place) {
                let owners = items(&object["metadata"], "ownerReferences").iter();
                let others = owners.filter(|reference| text(reference, "uid") != uid);
                decision.push(owners_of(place, object, others.collect()));
            }
        }
        if owned.is_empty() {
            decision.free(place, owner, ORPHAN);
        }
    } else if has(FOREGROUND) {
        let blocks = |object: &Value| {
            let mut references = items(&object["metadata"], "ownerReferences").iter();
            references.any(|reference| text(reference, "uid") == uid && flag(reference, "blockOwnerDeletion"))
        };
        let mut is_blocked = false;
        for place in &owned {
            let Some(object) = view.at(place) else {
                continue;
            };
            is_blocked |= blocks(object);
            if !is_leaving(object) {
                let has_own = !view.owned_by(text(&object["metadata"], "uid")).is_empty();
                decision.push(Write::Delete {
                    place: place.clone(),
                    uid: text(&object["metadata"], "uid").to_owned(),
                    propagation: Some(if has_own {
                        Propagation::Foreground
                    } else {
                        Propagation::Background
                    }),
                    now: false,
                });
            }
        }
        if !is_blocked {
            decision.free(place, owner, FOREGROUND);
        }
    }
    decision
}

/// Leaves an object with these owners alone.
fn owners_of(place: &Place, object: &Value, owners: Vec<&Value>) -> Write {
    Write::List {
        place: place.clone(),
        version: object["metadata"]["resourceVersion"].clone(),
        field: "ownerReferences",
        items: owners.into_iter().cloned().collect(),
    }
}
