//! Service address: where a Service can be reached from here.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ListParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::forward::{Forward, ForwardError};
use crate::config::load_check::{PortRef, Scheme, ServiceRef};

/// An address of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The scheme, host and port, for example `http://203.0.113.7`.
    pub base_url: String,
    /// How it was found.
    pub via: Via,
    /// Every host that the Service has that way; the first is in the URL.
    pub hosts: Vec<String>,
    /// The way through the API server, where there is no other; it is open as long as this is kept.
    pub forward: Option<Arc<Forward>>,
}

/// From where a Service is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// From a pod of its cluster.
    Inside,
    /// From elsewhere.
    Outside,
}

/// How a Service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Through the load balancer that the cloud gave it.
    LoadBalancer,
    /// Through a port of a node.
    NodePort,
    /// Directly, from inside the cluster.
    ClusterIp,
    /// By the name that an ExternalName Service stands for.
    ExternalName,
    /// To its pods, through the API server.
    PortForward,
}

impl Resolved {
    /// Where it is, as people read it.
    #[must_use]
    pub fn place(&self) -> String {
        match self.via {
            Via::PortForward => "reached by port-forward, as it has no route from here".to_owned(),
            _ => format!("at {}", self.base_url),
        }
    }
}

/// Why a Service has no usable address. [`ServiceError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such Service.
    #[error("Service {namespace}/{name} does not exist")]
    Missing {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// No port was named and there are several, or none.
    #[error("Service {service} has {} ports ({})", .ports.len(), .ports.join(", "))]
    WhichPort {
        /// The Service.
        service: String,
        /// Its ports.
        ports: Vec<String>,
    },
    /// No port has that number or name.
    #[error("Service {service} has no port {port}, only {}", .ports.join(", "))]
    NoPort {
        /// The Service.
        service: String,
        /// What was asked for.
        port: PortRef,
        /// Its ports.
        ports: Vec<String>,
    },
    /// The port is the container's, not the Service's.
    #[error("port {port} is the container's port; Service {service} forwards to it from its own port {own}")]
    ContainerPort {
        /// The Service.
        service: String,
        /// What was asked for.
        port: PortRef,
        /// The Service's port that leads there.
        own: i32,
    },
    /// The load balancer did not come in time.
    #[error("Service {service} has no load balancer address after {limit:?}")]
    Pending {
        /// The Service.
        service: String,
        /// How long was waited.
        limit: Duration,
    },
    /// A Service without a route from here has no pod that could be reached through the API server either.
    #[error("Service {service} has no route from here, and none through the API server")]
    Forward {
        /// The Service.
        service: String,
        /// Why.
        source: ForwardError,
    },
    /// No node has a usable address.
    #[error("no ready node has an address for the node port {port} of Service {service}")]
    NoNode {
        /// The Service.
        service: String,
        /// The node port.
        port: i32,
    },
    /// The API server could not be asked.
    #[error("Service {service} cannot be read")]
    Api {
        /// The Service.
        service: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody cancelled the wait.
    #[error("interrupted while waiting for Service {service}")]
    Interrupted {
        /// The Service.
        service: String,
    },
}

/// Where a Service is, as far as the Service itself tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// There.
    Known(Resolved),
    /// At this port of any node.
    OnNodes { scheme: Scheme, port: i32, name: String },
    /// Inside only; its pods are reached through the API server.
    Behind { scheme: Scheme, port: String },
    /// Not yet anywhere.
    Pending,
}

/// Finds the address of a Service, waiting up to `limit` while its load balancer is pending.
///
/// # Errors
///
/// When there is no such Service or port, no address in time, or the API server cannot be asked.
pub async fn resolve(
    client: &kube::Client,
    default_namespace: &str,
    service: &ServiceRef,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Resolved, ServiceError> {
    resolve_from(seat(), client, default_namespace, service, limit, cancel).await
}

/// The same, as seen from `seat`.
///
/// # Errors
///
/// As [`resolve`].
pub async fn resolve_from(
    seat: Seat,
    client: &kube::Client,
    default_namespace: &str,
    service: &ServiceRef,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Resolved, ServiceError> {
    let namespace = service.namespace.as_deref().unwrap_or(default_namespace);
    let full_name = format!("{namespace}/{}", service.name);
    let deadline = Instant::now() + limit;
    let api = Api::<Service>::namespaced(client.clone(), namespace);
    let mut states = Box::pin(watch_object(api, &service.name).default_backoff());
    let mut trouble = None;
    loop {
        let state = tokio::select! {
            state = states.next() => state,
            () = tokio::time::sleep_until(deadline) => {
                return Err(match trouble {
                    Some(source) => ServiceError::Api { service: full_name, source: Box::new(source) },
                    None => ServiceError::Pending { service: full_name, limit },
                });
            }
            () = cancel.cancelled() => return Err(ServiceError::Interrupted { service: full_name }),
        };
        match state {
            Some(Ok(Some(found))) => {
                trouble = None;
                let looking = look(client, &full_name, locate(&found, service, seat == Seat::Inside)?);
                let found = tokio::time::timeout_at(deadline, looking).await;
                match found.unwrap_or(Err(ServiceError::Pending {
                    service: full_name.clone(),
                    limit,
                }))? {
                    Some(resolved) => return Ok(resolved),
                    None => continue,
                }
            }
            Some(Ok(None)) => {
                return Err(ServiceError::Missing {
                    namespace: namespace.to_owned(),
                    name: service.name.clone(),
                });
            }
            Some(Err(error)) if is_final(&error) => {
                return Err(ServiceError::Api {
                    service: full_name,
                    source: Box::new(error),
                });
            }
            Some(Err(error)) => trouble = Some(error),
            None => {
                return Err(ServiceError::Pending {
                    service: full_name,
                    limit,
                });
            }
        }
    }
}

/// Whether asking again cannot help: the API server answered, and refused.
fn is_final(error: &watcher::Error) -> bool {
    let refused =
        |error: &kube::Error| matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403));
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => refused(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => false,
    }
}

/// Where this process runs: the kubelet tells every pod where the API server is.
fn seat() -> Seat {
    match std::env::var_os("KUBERNETES_SERVICE_HOST") {
        Some(_) => Seat::Inside,
        None => Seat::Outside,
    }
}

/// The address of what is at `place`; `None` where it is to be waited for.
async fn look(client: &kube::Client, service: &str, place: Place) -> Result<Option<Resolved>, ServiceError> {
    match place {
        Place::Known(resolved) => Ok(Some(resolved)),
        Place::Pending => Ok(None),
        Place::Behind { scheme, port } => through_api(client, service, scheme, &port).await.map(Some),
        Place::OnNodes { scheme, port, name } => {
            let found = on_nodes(client, service, scheme, port).await?;
            // A node's address is often one that only the cluster has a route to.
            if is_reachable(&found.hosts, port).await {
                return Ok(Some(found));
            }
            through_api(client, service, scheme, &name).await.map(Some)
        }
    }
}

/// How long a node may take to accept a connection.
const NODE: Duration = Duration::from_secs(2);

/// How many nodes are tried.
const NODES: usize = 3;

/// Whether one of the hosts accepts connections; a node that refuses them is there as well.
async fn is_reachable(hosts: &[String], port: i32) -> bool {
    let port = u16::try_from(port).unwrap_or_default();
    let tried = hosts.iter().take(NODES).map(|host| async move {
        let connected =
            tokio::time::timeout(NODE, tokio::net::TcpStream::connect((host.as_str(), port))).await;
        match connected {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
            Err(_) => false,
        }
    });
    futures::future::join_all(tried).await.contains(&true)
}

async fn through_api(
    client: &kube::Client,
    service: &str,
    scheme: Scheme,
    port: &str,
) -> Result<Resolved, ServiceError> {
    let (namespace, name) = service.split_once('/').unwrap_or(("default", service));
    let forward = Forward::open(client, namespace, name, port).await;
    let forward = forward.map_err(|source| ServiceError::Forward {
        service: service.to_owned(),
        source,
    })?;
    let address = forward.address();
    Ok(Resolved {
        base_url: url(scheme, &address.ip().to_string(), i32::from(address.port())),
        via: Via::PortForward,
        hosts: vec![address.ip().to_string()],
        forward: Some(Arc::new(forward)),
    })
}

/// What the Service itself tells about where it is, seen from inside the cluster or not.
fn locate(service: &Service, wanted: &ServiceRef, inside: bool) -> Result<Place, ServiceError> {
    let name = full_name(service);
    let spec = service.spec.clone().unwrap_or_default();
    let port = choose_port(
        &name,
        spec.ports.as_deref().unwrap_or_default(),
        wanted.port.as_ref(),
    )?;
    let scheme = wanted.scheme.unwrap_or_else(|| scheme_of(port));
    let known = |via, hosts: Vec<String>| {
        Place::Known(Resolved {
            base_url: url(scheme, &hosts[0], port.port),
            via,
            hosts,
            forward: None,
        })
    };
    let port_name = || port.name.clone().unwrap_or_default();
    Ok(match spec.type_.as_deref() {
        Some("LoadBalancer") => match balancer_hosts(service) {
            hosts if hosts.is_empty() => Place::Pending,
            hosts => Place::Known(Resolved {
                base_url: url(scheme, &hosts[0], balancer_port(service, port)),
                via: Via::LoadBalancer,
                hosts,
                forward: None,
            }),
        },
        Some("NodePort") if !inside => match port.node_port {
            Some(node_port) => Place::OnNodes {
                scheme,
                port: node_port,
                name: port_name(),
            },
            None => Place::Pending,
        },
        Some("ExternalName") => known(Via::ExternalName, vec![spec.external_name.unwrap_or_default()]),
        _ if inside => {
            // A headless Service has no address of its own; its name stands for its pods.
            let address = spec.cluster_ip.filter(|ip| !matches!(ip.as_str(), "" | "None"));
            let (namespace, name) = name.split_once('/').unwrap_or(("default", &name));
            known(
                Via::ClusterIp,
                vec![address.unwrap_or_else(|| format!("{name}.{namespace}.svc"))],
            )
        }
        _ => Place::Behind {
            scheme,
            port: port_name(),
        },
    })
}

fn full_name(service: &Service) -> String {
    let metadata = &service.metadata;
    format!(
        "{}/{}",
        metadata.namespace.as_deref().unwrap_or("default"),
        metadata.name.as_deref().unwrap_or_default()
    )
}

/// The hostnames and addresses of a load balancer; clouds give the one or the other.
fn balancer_hosts(service: &Service) -> Vec<String> {
    let status = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    let entries = status
        .and_then(|balancer| balancer.ingress.as_ref())
        .into_iter()
        .flatten();
    let hosts = entries.filter_map(|entry| entry.hostname.clone().or_else(|| entry.ip.clone()));
    hosts.filter(|host| !host.is_empty()).collect()
}

/// The port of a load balancer that leads to a port of its Service. It is the same one, unless the balancer lists as many
/// ports as the Service has and this one is not among them: then it stands in the same place of the list.
fn balancer_port(service: &Service, port: &ServicePort) -> i32 {
    let own = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let own: Vec<&ServicePort> = own.collect();
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let first = balancer.and_then(|balancer| balancer.ingress.as_ref()?.first());
    let listed: Vec<i32> = first
        .iter()
        .flat_map(|ingress| ingress.ports.iter().flatten())
        .map(|port| port.port)
        .collect();
    if listed.len() != own.len() || listed.contains(&port.port) {
        return port.port;
    }
    let place = own.iter().position(|own| *own == port);
    place.map_or(port.port, |place| listed[place])
}

fn choose_port<'a>(
    service: &str,
    ports: &'a [ServicePort],
    wanted: Option<&PortRef>,
) -> Result<&'a ServicePort, ServiceError> {
    let tcp: Vec<&ServicePort> = ports
        .iter()
        .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
        .collect();
    let names = || tcp.iter().map(|port| port_text(port)).collect();
    let Some(wanted) = wanted else {
        return match tcp.as_slice() {
            [only] => Ok(only),
            _ => Err(ServiceError::WhichPort {
                service: service.to_owned(),
                ports: names(),
            }),
        };
    };
    let is_wanted = |port: &&&ServicePort| match wanted {
        PortRef::Number(number) => port.port == i32::from(*number),
        PortRef::Name(name) => port.name.as_deref() == Some(name),
    };
    if let Some(port) = tcp.iter().find(is_wanted) {
        return Ok(port);
    }
    let leads_there = |port: &&&ServicePort| match (&port.target_port, wanted) {
        (Some(IntOrString::Int(target)), PortRef::Number(number)) => *target == i32::from(*number),
        (Some(IntOrString::String(target)), PortRef::Name(name)) => target == name,
        _ => false,
    };
    Err(match tcp.iter().find(leads_there) {
        Some(port) => ServiceError::ContainerPort {
            service: service.to_owned(),
            port: wanted.clone(),
            own: port.port,
        },
        None => ServiceError::NoPort {
            service: service.to_owned(),
            port: wanted.clone(),
            ports: names(),
        },
    })
}

fn port_text(port: &ServicePort) -> String {
    match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    }
}

fn scheme_of(port: &ServicePort) -> Scheme {
    let says = |text: &Option<String>| text.as_deref() == Some("https");
    if port.port == 443 || says(&port.name) || says(&port.app_protocol) {
        Scheme::Https
    } else {
        Scheme::Http
    }
}

fn url(scheme: Scheme, host: &str, port: i32) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match (scheme, port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => format!("{}://{host}", scheme.name()),
        _ => format!("{}://{host}:{port}", scheme.name()),
    }
}

async fn on_nodes(
    client: &kube::Client,
    service: &str,
    scheme: Scheme,
    port: i32,
) -> Result<Resolved, ServiceError> {
    let nodes = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await;
    let nodes = nodes.map_err(|error| ServiceError::Api {
        service: service.to_owned(),
        source: Box::new(error),
    })?;
    let hosts = node_hosts(&nodes.items);
    match hosts.first() {
        Some(host) => Ok(Resolved {
            base_url: url(scheme, host, port),
            via: Via::NodePort,
            hosts,
            forward: None,
        }),
        None => Err(ServiceError::NoNode {
            service: service.to_owned(),
            port,
        }),
    }
}

/// The addresses of nodes that are ready: the external ones when there are any.
fn node_hosts(nodes: &[Node]) -> Vec<String> {
    let addresses = |kind: &str| -> Vec<String> {
        let ready = nodes.iter().filter(|node| is_ready(node));
        let all = ready
            .filter_map(|node| node.status.as_ref()?.addresses.as_ref())
            .flatten();
        all.filter(|address| address.type_ == kind)
            .map(|address| address.address.clone())
            .collect()
    };
    match addresses("ExternalIP") {
        external if external.is_empty() => addresses("InternalIP"),
        external => external,
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

// === impl ServiceError ===

impl ServiceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { namespace, .. } => format!("kubectl get services --namespace {namespace}"),
            Self::WhichPort { .. } => "name one: target: {service: {name: …, port: …}}".to_owned(),
            Self::NoPort { .. } => "write one of the Service's own ports, by number or name".to_owned(),
            Self::ContainerPort { own, .. } => format!("write port: {own}, or leave port out when it is the only one"),
            Self::Pending { service, .. } => {
                let (namespace, name) = service.split_once('/').unwrap_or(("default", service));
                format!(
                    "kubectl describe service {name} --namespace {namespace} says why; a cluster without a load \
                     balancer needs type: NodePort, or target.url"
                )
            }
            Self::Forward { service, source } => match source {
                ForwardError::Api(_) => {
                    let (namespace, _) = service.split_once('/').unwrap_or(("default", service));
                    format!("kubectl auth can-i list endpointslices --namespace {namespace}")
                }
                ForwardError::Refused { .. } => {
                    let (namespace, _) = service.split_once('/').unwrap_or(("default", service));
                    format!(
                        "kubectl auth can-i create pods/portforward --namespace {namespace}; or give the Service type: \
                         LoadBalancer or NodePort, write target.url, or run gitsync in the cluster"
                    )
                }
                _ => "give the Service type: LoadBalancer or NodePort, write target.url, or run gitsync in the cluster"
                    .to_owned(),
            },
            Self::NoNode { .. } => "kubectl get nodes --output wide".to_owned(),
            Self::Api { service, .. } => {
                let (namespace, _) = service.split_once('/').unwrap_or(("default", service));
                format!("kubectl auth can-i watch services --namespace {namespace}")
            }
            Self::Interrupted { .. } => "run the check again".to_owned(),
        }
    }

    /// Whether the same call may succeed later without a change of the configuration.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Pending { .. }
                | Self::NoNode { .. }
                | Self::Forward { .. }
                | Self::Api { .. }
                | Self::Interrupted { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn mk_service(kind: &str, ports: &Value, status: &Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1", "uid": "u"},
            "spec": {"type": kind, "ports": ports, "clusterIP": "10.0.0.9"},
            "status": {"loadBalancer": status},
        }))
        .unwrap()
    }

    fn mk_wanted(port: Option<PortRef>) -> ServiceRef {
        ServiceRef {
            name: "web".to_owned(),
            namespace: None,
            port,
            scheme: None,
        }
    }

    #[test]
    fn a_load_balancer_may_list_other_ports_than_the_service() {
        let ports = json!([{"port": 80, "name": "http"}, {"port": 443, "name": "https"}]);
        let listed = |first: i32, second: i32| json!({"ingress": [{"ip": "127.0.0.1", "ports": [{"port": first, "protocol": "TCP"}, {"port": second, "protocol": "TCP"}]}]});
        for (name, status, want) in [
            (
                "free ones instead",
                listed(40080, 40443),
                "https://127.0.0.1:40443",
            ),
            ("the Service's own", listed(443, 80), "https://127.0.0.1"),
            ("one of them instead", listed(40080, 443), "https://127.0.0.1"),
            (
                "none",
                json!({"ingress": [{"ip": "127.0.0.1"}]}),
                "https://127.0.0.1",
            ),
        ] {
            let service = mk_service("LoadBalancer", &ports, &status);
            let wanted = mk_wanted(Some(PortRef::Name("https".to_owned())));
            let found = locate(&service, &wanted, false).unwrap();
            assert!(
                matches!(&found, Place::Known(found) if found.base_url == want),
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn a_service_is_found_by_its_type() {
        let web = json!([{"port": 80, "targetPort": 5000, "nodePort": 30080}]);
        let tls = json!([{"port": 8443, "name": "https"}]);
        let hostname = json!({"ingress": [{"hostname": "lb.example"}]});
        let addresses = json!({"ingress": [{"ip": "203.0.113.7"}, {"ip": "203.0.113.8"}]});
        let six = json!({"ingress": [{"ip": "2001:db8::1"}]});
        let none = json!({});
        for (name, kind, ports, status, inside, want) in [
            (
                "a hostname",
                "LoadBalancer",
                &web,
                &hostname,
                false,
                Some(("http://lb.example", Via::LoadBalancer)),
            ),
            (
                "addresses",
                "LoadBalancer",
                &web,
                &addresses,
                false,
                Some(("http://203.0.113.7", Via::LoadBalancer)),
            ),
            (
                "IPv6",
                "LoadBalancer",
                &tls,
                &six,
                false,
                Some(("https://[2001:db8::1]:8443", Via::LoadBalancer)),
            ),
            ("pending", "LoadBalancer", &web, &none, false, None),
            ("pending, from inside", "LoadBalancer", &web, &none, true, None),
            (
                "inside",
                "ClusterIP",
                &web,
                &none,
                true,
                Some(("http://10.0.0.9", Via::ClusterIp)),
            ),
            (
                "a node port from inside",
                "NodePort",
                &web,
                &none,
                true,
                Some(("http://10.0.0.9", Via::ClusterIp)),
            ),
        ] {
            let found = locate(&mk_service(kind, ports, status), &mk_wanted(None), inside).unwrap();
            let found = match &found {
                Place::Known(resolved) => Some((resolved.base_url.as_str(), resolved.via)),
                Place::Pending => None,
                Place::OnNodes { .. } | Place::Behind { .. } => panic!("{name}: {found:?}"),
            };
            assert_eq!(found, want, "{name}");
        }
        let on_nodes = locate(&mk_service("NodePort", &web, &none), &mk_wanted(None), false).unwrap();
        assert_eq!(
            on_nodes,
            Place::OnNodes {
                scheme: Scheme::Http,
                port: 30080,
                name: String::new(),
            }
        );
        let outside = locate(&mk_service("ClusterIP", &tls, &none), &mk_wanted(None), false).unwrap();
        assert_eq!(
            outside,
            Place::Behind {
                scheme: Scheme::Https,
                port: "https".to_owned()
            }
        );
    }

    #[test]
    fn the_port_is_the_services_own() {
        let one = json!([{"port": 80, "targetPort": 5000}]);
        let two =
            json!([{"port": 80, "name": "http", "targetPort": "web"}, {"port": 9090, "name": "metrics"}]);
        let number = |number| Some(PortRef::Number(number));
        let name = |name: &str| Some(PortRef::Name(name.to_owned()));
        for (case, ports, wanted, want) in [
            ("the only one", &one, None, Ok(80)),
            ("by number", &two, number(9090), Ok(9090)),
            ("by name", &two, name("http"), Ok(80)),
            (
                "the container's number",
                &one,
                number(5000),
                Err("write port: 80"),
            ),
            ("the container's name", &two, name("web"), Err("write port: 80")),
            ("none named of two", &two, None, Err("name one")),
            ("unknown", &two, number(1), Err("by number or name")),
        ] {
            let ports: Vec<ServicePort> = serde_json::from_value(ports.clone()).unwrap();
            let found = choose_port("shop/web", &ports, wanted.as_ref()).map(|port| port.port);
            match (found, want) {
                (Ok(found), Ok(want)) => assert_eq!(found, want, "{case}"),
                (Err(error), Err(says)) => {
                    assert!(error.hint().contains(says), "{case}: {error}: {}", error.hint())
                }
                (found, _) => panic!("{case}: {found:?}"),
            }
        }
        let ports: Vec<ServicePort> = serde_json::from_value(one).unwrap();
        let error = choose_port("shop/web", &ports, number(5000).as_ref());
        let said = error.unwrap_err().to_string();
        assert_eq!(
            said,
            "port 5000 is the container's port; Service shop/web forwards to it from its own port 80"
        );
    }

    #[test]
    fn nodes_that_are_ready_give_their_external_address() {
        let mk_node = |ready: &str, addresses: Value| -> Node {
            serde_json::from_value(json!({
                "metadata": {"name": "n"},
                "status": {"conditions": [{"type": "Ready", "status": ready}], "addresses": addresses},
            }))
            .unwrap()
        };
        let internal = |ip: &str| json!([{"type": "InternalIP", "address": ip}]);
        let both = json!([{"type": "InternalIP", "address": "10.0.0.3"}, {"type": "ExternalIP", "address": "198.51.100.3"}]);
        let nodes = [
            mk_node("False", internal("10.0.0.1")),
            mk_node("True", internal("10.0.0.2")),
            mk_node("True", both),
        ];
        assert_eq!(node_hosts(&nodes), ["198.51.100.3"]);
        assert_eq!(node_hosts(&nodes[..2]), ["10.0.0.2"]);
        assert_eq!(node_hosts(&nodes[..1]), [""; 0]);
    }

    /// An API server that lists one Service and then, to a watch, sends `events`.
    async fn api_server(list: Value, events: Vec<Value>) -> kube::Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (list, events) = (list.clone(), events.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let watching = String::from_utf8_lossy(&head).contains("watch=true");
                    let status = if list["kind"] == "Status" {
                        list["code"].clone()
                    } else {
                        json!(200)
                    };
                    let mut answer = format!(
                        "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n"
                    );
                    if watching {
                        answer.extend(events.iter().map(|event| format!("{event}\n")));
                    } else {
                        answer += &list.to_string();
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if watching {
                        // The watch stays open, as a real one does.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        kube::Client::try_from(config).unwrap()
    }

    fn mk_list(items: &[Service]) -> Value {
        json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
    }

    async fn resolve_at(client: &kube::Client, limit: Duration) -> Result<Resolved, ServiceError> {
        resolve(client, "shop", &mk_wanted(None), limit, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn a_pending_load_balancer_is_waited_for() {
        let ports = json!([{"port": 80}]);
        let pending = mk_service("LoadBalancer", &ports, &json!({}));
        let there = mk_service(
            "LoadBalancer",
            &ports,
            &json!({"ingress": [{"ip": "203.0.113.7"}]}),
        );
        let event = json!({"type": "MODIFIED", "object": {
            "kind": "Service", "apiVersion": "v1",
            "metadata": there.metadata, "spec": there.spec, "status": there.status,
        }});
        let client = api_server(mk_list(&[pending]), vec![event]).await;
        let resolved = resolve_at(&client, Duration::from_secs(60)).await.unwrap();
        assert_eq!(
            (resolved.base_url.as_str(), resolved.via),
            ("http://203.0.113.7", Via::LoadBalancer)
        );
    }

    #[tokio::test]
    async fn what_never_comes_ends_with_what_to_do() {
        let pending = mk_service("LoadBalancer", &json!([{"port": 80}]), &json!({}));
        let client = api_server(mk_list(&[pending]), Vec::new()).await;
        let error = resolve_at(&client, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, ServiceError::Pending { .. }), "{error:?}");
        assert!(
            error
                .hint()
                .starts_with("kubectl describe service web --namespace shop"),
            "{}",
            error.hint()
        );

        let client = api_server(mk_list(&[]), Vec::new()).await;
        let error = resolve_at(&client, Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(error.to_string(), "Service shop/web does not exist");

        let refusal = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "services is forbidden", "reason": "Forbidden", "code": 403});
        let client = api_server(refusal, Vec::new()).await;
        let error = resolve_at(&client, Duration::from_secs(60)).await.unwrap_err();
        assert!(error.hint().contains("auth can-i"), "{error:?}");
    }
}
