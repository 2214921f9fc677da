//! Kubelet: has the containers of each pod live, and tells in the pod's status how they do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Host;
use super::life::{Change, Life, Phase, Restart};
use super::node::{self, NODE};
use super::runtime::Behaviour;
use super::status;
use crate::clock::stamp;
use crate::controllers::Control;
use crate::controllers::decision::{Decision, Notice, Write};
use crate::controllers::template::is_finished;
use crate::controllers::view::{Place, View, is_leaving};
use crate::kinds::fields::{flag, items, number, text};

const COMPONENT: &str = "kubelet";

/// How long a pod takes to end that somebody has deleted, in milliseconds.
const END: i64 = 100;

/// The kubelet with what it knows of its pods.
pub struct Kubelet {
    host: Arc<Host>,
    pods: BTreeMap<String, Pod>,
    addresses: BTreeSet<u32>,
    last_address: u32,
}

/// A pod that runs here.
pub struct Pod {
    /// When the kubelet saw it first.
    pub started: Timestamp,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its init containers so far; the last one may still run.
    pub inits: Vec<Member>,
    /// Its containers; none before the last init container is done.
    pub mains: Vec<Member>,
    /// When it will have ended after its deletion.
    ends: Option<Timestamp>,
}

/// A container.
pub struct Member {
    /// Its name.
    pub name: String,
    /// The reference of its image.
    pub image: String,
    /// What the program in it does.
    pub behaviour: Behaviour,
    /// Whether it is started again.
    pub restart: Restart,
    /// How long its probes wait.
    pub delay: Duration,
    /// Its life so far.
    pub life: Life,
}

// === impl Kubelet ===

impl Kubelet {
    /// The kubelet of a node.
    pub const fn new(host: Arc<Host>) -> Self {
        Self {
            host,
            pods: BTreeMap::new(),
            addresses: BTreeSet::new(),
            last_address: 0,
        }
    }

    fn forget(&mut self, place: &Place) {
        if let Some(pod) = self.pods.remove(&place.key) {
            self.addresses.remove(&u32::from(pod.ip));
        }
    }

    fn address(&mut self, pod: &Value) -> Ipv4Addr {
        if flag(&pod["spec"], "hostNetwork") {
            return self.host.address;
        }
        let first = u32::from(Ipv4Addr::new(10, 244, 0, 0));
        loop {
            self.last_address = self.last_address % 0xfffe + 1;
            let address = first + self.last_address;
            if self.addresses.insert(address) {
                return Ipv4Addr::from(address);
            }
        }
    }

    fn end(&mut self, view: &View, place: &Place, pod: &Value) -> Decision {
        let mut decision = Decision::nothing();
        let wait = SignedDuration::from_millis(END);
        let known = self.pods.get_mut(&place.key);
        let is_first = known.as_ref().is_none_or(|known| known.ends.is_none());
        let due = view.now.checked_add(wait).unwrap_or(view.now);
        let ends = known.map_or(view.now, |known| *known.ends.get_or_insert(due));
        if ends > view.now {
            decision.look_at(ends);
            for container in items(&pod["spec"], "containers").iter().filter(|_| is_first) {
                let name = text(container, "name");
                tell(
                    &mut decision,
                    pod,
                    name,
                    "Normal",
                    "Killing",
                    format!("Stopping container {name}"),
                );
            }
            return decision;
        }
        decision.push(Write::Delete {
            place: place.clone(),
            uid: text(&pod["metadata"], "uid").to_owned(),
            propagation: None,
            now: true,
        });
        decision
    }

    fn live(&mut self, view: &View, place: &Place, object: &Value) -> Decision {
        let mut decision = Decision::nothing();
        if !self.pods.contains_key(&place.key) {
            let pod = Pod {
                started: view.now,
                ip: self.address(object),
                inits: Vec::new(),
                mains: Vec::new(),
                ends: None,
            };
            self.pods.insert(place.key.clone(), pod);
        }
        let Some(pod) = self.pods.get_mut(&place.key) else {
            return decision;
        };
        pod.advance(object, &self.host, view.now, &mut decision);
        if let Some(next) = pod.next(view.now) {
            decision.look_at(next);
        }
        let status = status::write(object, pod, &self.host, view.now);
        decision.status("pods", object, status);
        decision
    }
}

impl Control for Kubelet {
    fn manager(&self) -> &'static str {
        COMPONENT
    }

    fn concerns(&self, _: &View, place: &Place, object: &Value) -> Vec<Place> {
        let own = || Place {
            resource: "nodes".into(),
            key: NODE.to_owned(),
        };
        match &*place.resource {
            "pods" if node::has(object) => vec![place.clone()],
            // The node joins as soon as there is a cluster.
            "namespaces" if place.key == "default" => vec![own()],
            "nodes" if place.key == NODE => vec![own()],
            _ => Vec::new(),
        }
    }

    fn decide(&mut self, view: &View, place: &Place) -> Decision {
        if &*place.resource == "nodes" {
            return node::decide(view, &self.host);
        }
        let Some(object) = view.at(place).cloned() else {
            self.forget(place);
            return Decision::nothing();
        };
        if is_leaving(&object) {
            return self.end(view, place, &object);
        }
        if is_finished(&object) {
            return Decision::nothing();
        }
        self.live(view, place, &object)
    }
}

// === impl Pod ===

impl Pod {
    /// Starts what is due to be started, and takes every container as far as the time has come.
    fn advance(&mut self, object: &Value, host: &Host, now: Timestamp, decision: &mut Decision) {
        let spec = &object["spec"];
        let policy = Restart::of(text(spec, "restartPolicy"));
        let inits = items(spec, "initContainers");
        loop {
            for member in self.inits.iter_mut().chain(&mut self.mains) {
                member.advance(object, host, now, decision);
            }
            let is_done = self.inits.last().is_none_or(Member::lets_next);
            if !is_done {
                return;
            }
            if let Some(container) = inits.get(self.inits.len()) {
                let is_sidecar = text(container, "restartPolicy") == "Always";
                let restart = match (is_sidecar, policy) {
                    (true, _) => Restart::Always,
                    (false, Restart::Never) => Restart::Never,
                    (false, _) => Restart::OnFailure,
                };
                self.inits.push(Member::new(container, restart, host, now));
            } else if self.mains.is_empty() {
                let members = items(spec, "containers").iter();
                self.mains = members
                    .map(|container| Member::new(container, policy, host, now))
                    .collect();
                if self.mains.is_empty() {
                    return;
                }
            } else {
                return;
            }
        }
    }

    /// When something changes next.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let members = self.inits.iter().chain(&self.mains);
        let times = members.flat_map(|member| {
            let due = member.life.due(&member.behaviour, member.restart);
            let ready = member.life.ready_at(&member.behaviour, member.delay);
            [due, ready]
        });
        times.flatten().filter(|time| *time > now).min()
    }
}

// === impl Member ===

impl Member {
    fn new(container: &Value, restart: Restart, host: &Host, now: Timestamp) -> Self {
        let image = text(container, "image").to_owned();
        let delay = ["startupProbe", "readinessProbe"]
            .iter()
            .map(|probe| number(&container[probe], "initialDelaySeconds"))
            .max();
        Self {
            name: text(container, "name").to_owned(),
            behaviour: host.runtime.behaviour(&image),
            image,
            restart,
            delay: Duration::from_secs(
                delay
                    .and_then(|delay| u64::try_from(delay).ok())
                    .unwrap_or_default(),
            ),
            life: Life::new(now),
        }
    }

    /// Whether the next container may start after this init container.
    fn lets_next(&self) -> bool {
        match (&self.life.phase, self.restart) {
            (Phase::Ended(past), _) => past.code == 0,
            (Phase::Running, Restart::Always) => true,
            _ => false,
        }
    }

    fn advance(&mut self, pod: &Value, host: &Host, now: Timestamp, decision: &mut Decision) {
        let uid = text(&pod["metadata"], "uid");
        while let Some(change) = self.life.step(&self.behaviour, self.restart, now) {
            let at = self.life.since;
            let exit = self.behaviour.exit.iter().flat_map(|exit| &exit.log);
            match change {
                Change::Started => self.start(pod, host, at),
                Change::Restarted => {
                    exit.for_each(|line| host.logs.write(uid, &self.name, at, line));
                    self.start(pod, host, at);
                }
                Change::StartsLater | Change::Ended => {
                    exit.for_each(|line| host.logs.write(uid, &self.name, at, line));
                    if change == Change::StartsLater {
                        host.logs.restart(uid, &self.name);
                    }
                }
                Change::Refused | Change::PullsLater => {}
            }
            self.tell(pod, change, decision);
        }
    }

    fn start(&self, pod: &Value, host: &Host, at: Timestamp) {
        let uid = text(&pod["metadata"], "uid");
        if self.life.restarts == 1 {
            host.logs.restart(uid, &self.name);
        }
        for line in &self.behaviour.log {
            host.logs.write(uid, &self.name, at, line);
        }
    }

    fn tell(&self, pod: &Value, change: Change, decision: &mut Decision) {
        let (name, image) = (self.name.as_str(), self.image.as_str());
        let mut say = |kind, reason, message| tell(decision, pod, name, kind, reason, message);
        match change {
            Change::Started | Change::Restarted => {
                say(
                    "Normal",
                    "Pulled",
                    format!("Container image {image:?} already present on machine"),
                );
                say("Normal", "Created", "Container created".to_owned());
                say("Normal", "Started", "Container started".to_owned());
            }
            Change::Refused => {
                let why = self.behaviour.pull_error.as_deref().unwrap_or_default();
                say("Normal", "Pulling", format!("Pulling image {image:?}"));
                say(
                    "Warning",
                    "Failed",
                    format!("Failed to pull image {image:?}: {why}"),
                );
                say("Warning", "Failed", "Error: ErrImagePull".to_owned());
            }
            Change::PullsLater => {
                say("Normal", "BackOff", format!("Back-off pulling image {image:?}"));
                say("Warning", "Failed", "Error: ImagePullBackOff".to_owned());
            }
            Change::StartsLater => {
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}",
                    status::full_name(pod)
                );
                say("Warning", "BackOff", message);
            }
            Change::Ended => {}
        }
    }
}

fn tell(
    decision: &mut Decision,
    pod: &Value,
    container: &str,
    kind: &'static str,
    reason: &'static str,
    message: String,
) {
    let notice = Notice::new(COMPONENT, pod, kind, reason, message).of_container(container);
    decision.push(Write::Event(notice));
}

/// The time as statuses have it.
pub fn written(time: Timestamp) -> Value {
    stamp(time).into()
}
