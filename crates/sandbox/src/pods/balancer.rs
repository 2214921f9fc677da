//! Balancer: gives Services of type LoadBalancer and NodePort real addresses on this machine.
//!
//! A load balancer gets a loopback address of its own on Linux, and 127.0.0.1 elsewhere, with a server on the Service's
//! ports. A port that cannot be had, because it needs a privilege or another process has it, is replaced by a free one:
//! `status.loadBalancer.ingress[0].ports` then lists where the Service's ports are, in the order of `spec.ports`. Without
//! that list, every port is where the Service says. Node ports are open on the node's own address.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::{Value, json};

use super::backends;
use super::cloud::Counts;
use super::serve::Server;
use super::{Host, loopback};
use crate::controllers::Control;
use crate::controllers::decision::Decision;
use crate::controllers::view::{Place, View, is_leaving};
use crate::kinds::fields::{items, number, text};

const COMPONENT: &str = "service-controller";
const SLICES: &str = "endpointslices.discovery.k8s.io";

/// The label by which a slice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// All servers in front of the node.
pub struct Balancer {
    host: Arc<Host>,
    clock: crate::clock::Clock,
    services: BTreeMap<String, Front>,
}

/// The servers of one Service.
struct Front {
    wanted: Wanted,
    /// Where each port of the load balancer really is.
    ports: Vec<u16>,
    address: Option<Ipv4Addr>,
    /// The index of the Service's port, and a server on it.
    servers: Vec<(usize, Server)>,
}

/// What a Service wants to be reachable at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    is_balanced: bool,
    /// The Service's ports and their node ports.
    ports: Vec<(u16, Option<u16>)>,
}

// === impl Balancer ===

impl Balancer {
    /// A balancer without any Service.
    pub fn new(host: Arc<Host>, clock: crate::clock::Clock) -> Self {
        Self {
            host,
            clock,
            services: BTreeMap::new(),
        }
    }

    /// Makes the servers that a Service wants; tells which node ports could not be had.
    fn open(&self, key: &str, wanted: Wanted, decision: &mut Decision, service: &Value) -> io::Result<Front> {
        let counts = self.host.balancers.open(key);
        let mut front = Front {
            ports: Vec::new(),
            address: None,
            servers: Vec::new(),
            wanted: wanted.clone(),
        };
        if wanted.is_balanced {
            let (address, listeners) = listen(&wanted.ports)?;
            front.address = Some(address);
            for (index, listener) in listeners.into_iter().enumerate() {
                front.ports.push(listener.local_addr()?.port());
                front.servers.push((index, self.server(listener, &counts)?));
            }
        }
        for (index, (_, node_port)) in wanted.ports.iter().enumerate() {
            let Some(port) = node_port else {
                continue;
            };
            match TcpListener::bind(SocketAddr::from((self.host.address, *port))) {
                Ok(listener) => front.servers.push((index, self.server(listener, &counts)?)),
                Err(error) => {
                    let message = format!("node port {port} of {}: {error}", self.host.address);
                    decision.warn(COMPONENT, service, "NodePortUnavailable", message);
                }
            }
        }
        Ok(front)
    }

    fn server(&self, listener: TcpListener, counts: &Arc<Counts>) -> io::Result<Server> {
        Server::start(
            listener,
            Arc::clone(&self.host),
            self.clock.clone(),
            Arc::clone(counts),
        )
    }

    fn close(&mut self, key: &str) {
        self.services.remove(key);
        self.host.balancers.close(key);
    }
}

impl Control for Balancer {
    fn manager(&self) -> &'static str {
        COMPONENT
    }

    fn concerns(&self, _: &View, place: &Place, object: &Value) -> Vec<Place> {
        match &*place.resource {
            "services" => vec![place.clone()],
            SLICES => vec![Place {
                resource: "services".into(),
                key: format!(
                    "{}/{}",
                    place.namespace(),
                    text(&object["metadata"]["labels"], SERVICE_NAME)
                ),
            }],
            _ => Vec::new(),
        }
    }

    fn decide(&mut self, view: &View, place: &Place) -> Decision {
        let mut decision = Decision::nothing();
        let service = view.at(place).filter(|service| !is_leaving(service));
        let Some((service, wanted)) = service.and_then(|service| Some((service, Wanted::of(service)?)))
        else {
            self.close(&place.key);
            return decision;
        };
        if wanted.is_balanced && self.host.balancers.is_held(&place.key) {
            self.close(&place.key);
            decision.status("services", service, pending(service));
            return decision;
        }
        if self
            .services
            .get(&place.key)
            .is_none_or(|front| front.wanted != wanted)
        {
            self.close(&place.key);
            match self.open(&place.key, wanted, &mut decision, service) {
                Ok(front) => drop(self.services.insert(place.key.clone(), front)),
                Err(error) => {
                    let message = format!("Error syncing load balancer: {error}");
                    decision.warn(COMPONENT, service, "SyncLoadBalancerFailed", message);
                    return decision;
                }
            }
        }
        if let Some(front) = self.services.get(&place.key) {
            let ports = items(&service["spec"], "ports");
            for (index, server) in &front.servers {
                server.set_backends(backends::of_port(view, service, &ports[*index], &self.host));
            }
            if let Some(status) = front.status(service) {
                decision.status("services", service, status);
            }
        }
        decision
    }
}

// === impl Front ===

impl Front {
    /// The status of the Service; none if it has no load balancer.
    fn status(&self, service: &Value) -> Option<Value> {
        let mut ingress = json!({"ip": self.address?.to_string(), "ipMode": "VIP"});
        let is_elsewhere = self
            .ports
            .iter()
            .zip(&self.wanted.ports)
            .any(|(real, (wanted, _))| real != wanted);
        if is_elsewhere {
            let ports = self
                .ports
                .iter()
                .map(|port| json!({"port": port, "protocol": "TCP"}));
            ingress["ports"] = ports.collect::<Vec<_>>().into();
        }
        let mut status = service["status"].clone();
        status["loadBalancer"] = json!({"ingress": [ingress]});
        Some(status)
    }
}

// === impl Wanted ===

impl Wanted {
    fn of(service: &Value) -> Option<Self> {
        let spec = &service["spec"];
        let is_balanced = match text(spec, "type") {
            "LoadBalancer" => text(spec, "loadBalancerClass").is_empty(),
            "NodePort" => false,
            _ => return None,
        };
        let port = |port: &Value, key: &str| u16::try_from(number(port, key)).ok().filter(|port| *port > 0);
        let ports = items(spec, "ports").iter();
        Some(Self {
            is_balanced,
            ports: ports
                .filter_map(|one| Some((port(one, "port")?, port(one, "nodePort"))))
                .collect(),
        })
    }
}

/// The status of a Service without an address.
fn pending(service: &Value) -> Value {
    let mut status = service["status"].clone();
    status["loadBalancer"] = json!({});
    status
}

/// Sockets for these ports on one address, free ones where a port cannot be had.
fn listen(ports: &[(u16, Option<u16>)]) -> io::Result<(Ipv4Addr, Vec<TcpListener>)> {
    let own = loopback();
    // A machine may have but one loopback address.
    let address = match TcpListener::bind(SocketAddr::from((own, 0))) {
        Ok(_) => own,
        Err(_) => Ipv4Addr::LOCALHOST,
    };
    let listener = |(port, _): &(u16, Option<u16>)| {
        TcpListener::bind(SocketAddr::from((address, *port)))
            .or_else(|_| TcpListener::bind(SocketAddr::from((address, 0))))
    };
    let listeners = ports.iter().map(listener).collect::<io::Result<Vec<_>>>()?;
    Ok((address, listeners))
}
