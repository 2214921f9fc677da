//! Controllers: what a cluster does by itself: rollouts, jobs, endpoints, the life of pods, garbage collection.
//!
//! ```text
//! changes ─▶ View ─▶ concerns: which objects to look at ─▶ decide: what to write, when to look again ─▶ Client
//!    ▲                                                                                                     │
//!    └─────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A decision is a pure function of the view. One loop carries out one decision at a time and brings the view up to date
//! before the next, so every controller sees what it has done.

mod autoscalers;
mod budgets;
mod claims;
pub mod conditions;
mod cron_jobs;
mod daemon_sets;
pub mod decision;
mod deployments;
mod endpoints;
mod garbage;
mod hash;
mod jobs;
mod namespaces;
mod queue;
mod replica_sets;
mod revisions;
mod rolling;
mod schedule;
mod scheduler;
mod stateful_sets;
pub mod template;
pub mod view;

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, EventKind, Subscription};
use crate::pods;

pub use self::schedule::Schedule;

use self::decision::{Decision, Write};
use self::queue::Queue;
use self::view::{Place, View};

/// How long a controller waits after the API has refused a write, in seconds.
const PAUSE: i64 = 1;

/// How many decisions are taken before other tasks have their turn.
const TURN: usize = 16;

/// A controller: it says which objects a change concerns, and what to do about each.
pub trait Control: Send {
    /// The name of its field manager.
    fn manager(&self) -> &'static str;

    /// The objects to look at after a change of this one, which may be gone.
    fn concerns(&self, view: &View, place: &Place, object: &Value) -> Vec<Place>;

    /// What to do about an object.
    fn decide(&mut self, view: &View, place: &Place) -> Decision;
}

/// A controller that remembers nothing.
pub struct Plain {
    /// The name of its field manager.
    pub manager: &'static str,
    /// [`Control::concerns`].
    pub concerns: fn(&View, &Place, &Value) -> Vec<Place>,
    /// [`Control::decide`].
    pub decide: fn(&View, &Place) -> Decision,
}

/// The loop's state.
struct Loop {
    client: Client,
    controls: Vec<(Client, Box<dyn Control>)>,
    view: View,
    queue: Queue,
    changes: Subscription,
}

/// Runs all controllers until they are told to stop.
pub(crate) async fn run(client: Client, stop: CancellationToken) {
    let mut controls = plain();
    controls.extend(pods::controls(&client));
    let mut work = Loop::new(client, controls);
    loop {
        let mut taken = 0;
        while let Some((index, place)) = work.queue.next(work.client.clock().now()) {
            work.look(index, &place);
            taken += 1;
            if taken % TURN == 0 {
                tokio::task::yield_now().await;
            }
            if stop.is_cancelled() {
                return;
            }
        }
        let clock = work.client.clock().clone();
        let host = work.client.host();
        let next = work.queue.wakes();
        let wake = async {
            match next {
                Some(time) => clock.sleep_until(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = work.changes.changed() => {}
            () = host.balancers.changed() => {}
            () = wake => {}
        }
        work.catch_up();
        for place in host.balancers.take_changed() {
            work.notice_again(&place);
        }
    }
}

fn plain() -> Vec<Box<dyn Control>> {
    let all = [
        namespaces::CONTROLLER,
        garbage::CONTROLLER,
        deployments::CONTROLLER,
        replica_sets::CONTROLLER,
        stateful_sets::CONTROLLER,
        daemon_sets::CONTROLLER,
        jobs::CONTROLLER,
        cron_jobs::CONTROLLER,
        endpoints::CONTROLLER,
        claims::CONTROLLER,
        budgets::CONTROLLER,
        autoscalers::CONTROLLER,
        scheduler::CONTROLLER,
    ];
    all.into_iter()
        .map(|control| Box::new(control) as Box<dyn Control>)
        .collect()
}

// === impl Plain ===

impl Control for Plain {
    fn manager(&self) -> &'static str {
        self.manager
    }

    fn concerns(&self, view: &View, place: &Place, object: &Value) -> Vec<Place> {
        (self.concerns)(view, place, object)
    }

    fn decide(&mut self, view: &View, place: &Place) -> Decision {
        (self.decide)(view, place)
    }
}

// === impl Loop ===

impl Loop {
    fn new(client: Client, controls: Vec<Box<dyn Control>>) -> Self {
        let changes = client.subscribe(&[]);
        let view = View::new(client.clock().now());
        let named = |control: Box<dyn Control>| (client.named(control.manager()), control);
        let mut made = Self {
            controls: controls.into_iter().map(named).collect(),
            client,
            view,
            queue: Queue::default(),
            changes,
        };
        made.begin_anew();
        made
    }

    /// Reads everything, and looks at everything.
    fn begin_anew(&mut self) {
        let resources = self.client.resources();
        let names: Vec<&str> = resources.iter().map(String::as_str).collect();
        self.changes = self.client.subscribe(&names);
        self.view = View::new(self.client.clock().now());
        for resource in &names {
            let resource = Arc::from(*resource);
            for object in self.client.list(&resource, None) {
                self.view.insert(&resource, object);
            }
        }
        let places: Vec<Place> = self.view.places().collect();
        for place in places {
            self.notice_again(&place);
        }
    }

    /// Brings the view up to date.
    fn catch_up(&mut self) {
        self.view.now = self.client.clock().now();
        let Ok(events) = self.changes.take() else {
            return self.begin_anew();
        };
        let mut kinds_changed = false;
        for event in events {
            let object = event.object();
            let place = Place {
                resource: Arc::clone(&event.resource),
                key: event.key().to_owned(),
            };
            // A kind begins or ends to be served, and with it the changes of its objects.
            kinds_changed |= event.resource.starts_with("customresourcedefinitions.");
            match event.kind {
                EventKind::Deleted => self.view.remove(&place),
                EventKind::Added | EventKind::Modified => self.view.insert(&event.resource, object.clone()),
            }
            self.notice(&place, &object);
        }
        if kinds_changed {
            self.begin_anew();
        }
    }

    /// Has all controllers look at what a change concerns.
    fn notice(&mut self, place: &Place, object: &Value) {
        for (index, (_, control)) in self.controls.iter().enumerate() {
            for concerned in control.concerns(&self.view, place, object) {
                self.queue.push(index, concerned);
            }
        }
    }

    /// The same for an object that may not have changed.
    fn notice_again(&mut self, place: &Place) {
        if let Some(object) = self.view.at(place).cloned() {
            self.notice(place, &object);
        }
    }

    /// Takes one decision and carries it out.
    fn look(&mut self, index: usize, place: &Place) {
        let (client, control) = &mut self.controls[index];
        let decision = control.decide(&self.view, place);
        if let Some(time) = decision.again {
            self.queue.wake(index, place.clone(), time);
        }
        for write in decision.writes {
            let pod = match &write {
                Write::Create("pods", pod) => Some(pod["metadata"].clone()),
                _ => None,
            };
            let Err(refusal) = write.execute(client) else {
                continue;
            };
            if refusal.is_conflict() {
                self.queue.push(index, place.clone());
            } else if !refusal.is_not_found() {
                let later = jiff::SignedDuration::from_secs(PAUSE);
                let time = self.view.now.checked_add(later).unwrap_or(self.view.now);
                self.queue.wake(index, place.clone(), time);
                if let Some(pod) = pod {
                    // The name changes with each attempt, which would make each refusal another one.
                    let text = |key: &str| pod[key].as_str().unwrap_or_default();
                    let message = refusal.message.replace(text("name"), text("generateName"));
                    tell(client, replica_sets::refused(&self.view, place, &message));
                }
            }
            break;
        }
        self.catch_up();
    }
}

/// Writes what is only told, about which nobody can do anything if it is refused.
fn tell(client: &Client, decision: Decision) {
    for write in decision.writes {
        drop(write.execute(client));
    }
}

#[cfg(test)]
mod tests;
