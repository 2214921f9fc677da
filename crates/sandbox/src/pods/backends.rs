//! Backends: the pods behind each port of a Service that answer now.

use std::sync::Arc;

use serde_json::Value;

use super::Host;
use super::runtime::Answer;
use crate::controllers::view::View;
use crate::kinds::fields::{flag, items, number, text};

const SLICES: &str = "endpointslices.discovery.k8s.io";

/// A container that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The uid of its pod.
    pub uid: String,
    /// The name of its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// The reference of its image.
    pub image: String,
    /// How it answers.
    pub answer: Answer,
}

/// The backends of one port of a Service, in a stable order.
pub fn of_port(view: &View, service: &Value, port: &Value, host: &Host) -> Vec<Arc<Backend>> {
    let namespace = text(&service["metadata"], "namespace");
    let slices = view.controlled(SLICES, service);
    let ready = slices.into_iter().flat_map(|slice| {
        let target = items(slice, "ports")
            .iter()
            .find(|one| text(one, "name") == text(port, "name"));
        let target = target.map_or(0, |one| number(one, "port"));
        let endpoints = items(slice, "endpoints").iter();
        let ready = endpoints.filter(|endpoint| flag(&endpoint["conditions"], "ready"));
        ready.map(move |endpoint| (text(&endpoint["targetRef"], "name"), target))
    });
    let backends =
        ready.filter_map(|(name, target)| backend(view.get("pods", namespace, name)?, target, host));
    backends.map(Arc::new).collect()
}

/// The container that listens on a port: the one that declares it, else the first.
fn backend(pod: &Value, target: i64, host: &Host) -> Option<Backend> {
    let containers = items(&pod["spec"], "containers");
    let declares = |container: &&Value| {
        items(container, "ports")
            .iter()
            .any(|port| number(port, "containerPort") == target)
    };
    let container = containers.iter().find(declares).or_else(|| containers.first())?;
    let image = text(container, "image");
    Some(Backend {
        uid: text(&pod["metadata"], "uid").to_owned(),
        pod: text(&pod["metadata"], "name").to_owned(),
        container: text(container, "name").to_owned(),
        image: image.to_owned(),
        answer: host.runtime.behaviour(image).answer,
    })
}
