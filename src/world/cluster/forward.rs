//! Forward: a Service's pods on a port of this machine, through the API server, where there is no other way to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A port of this machine's loopback whose connections lead to the ready pods of a Service, each to the next one.
/// Closed when dropped.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Why there is no way to a Service's pods.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No pod is ready.
    #[error("no pod of the Service is ready")]
    NoPod,
    /// The API server does not say which pods there are.
    #[error("its endpoints cannot be listed")]
    Api(#[from] kube::Error),
    /// The API server, or the pod's node, carries no connection to a pod.
    #[error("pod {pod} cannot be reached through the API server: {why}")]
    Refused {
        /// The pod.
        pod: String,
        /// What it says.
        why: String,
    },
    /// This machine gives no port.
    #[error("no port of this machine can be had")]
    Listen(#[from] std::io::Error),
}

/// A ready pod and the port that it listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Backend {
    pod: String,
    port: u16,
}

/// What the connections share.
struct Way {
    client: kube::Client,
    namespace: String,
    backends: Vec<Backend>,
    next: AtomicUsize,
}

// === impl Forward ===

impl Forward {
    /// Opens a way to the pods behind the port named `port` (empty without a name) of a Service.
    ///
    /// # Errors
    ///
    /// When no pod is ready, or the API server or this machine refuses.
    pub async fn open(
        client: &kube::Client,
        namespace: &str,
        service: &str,
        port: &str,
    ) -> Result<Self, ForwardError> {
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let backends = backends(&slices.list(&of_service).await?.items, port);
        if backends.is_empty() {
            return Err(ForwardError::NoPod);
        }
        // Said here, it is a reason; later it would only be a connection that somebody closed.
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let Backend { pod, port } = &backends[0];
        let tried = pods.portforward(pod, &[*port]).await;
        tried.map_err(|error| ForwardError::Refused {
            pod: pod.clone(),
            why: words(error),
        })?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let way = Arc::new(Way {
            client: client.clone(),
            namespace: namespace.to_owned(),
            backends,
            next: AtomicUsize::new(0),
        });
        Ok(Self {
            address,
            task: tokio::spawn(accept(listener, way)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PartialEq for Forward {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for Forward {}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(Arc::clone(&way).carry(stream));
    }
}

impl Way {
    /// Carries one connection to the next pod. One that cannot be reached closes it, which its user sees as a failure.
    async fn carry(self: Arc<Self>, mut stream: TcpStream) {
        let backend = &self.backends[self.next.fetch_add(1, Relaxed) % self.backends.len()];
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        let mut forwarder = match pods.portforward(&backend.pod, &[backend.port]).await {
            Ok(forwarder) => forwarder,
            Err(error) => {
                let why = words(error);
                tracing::warn!("no way to pod {}/{}: {why}", self.namespace, backend.pod);
                return;
            }
        };
        let Some(mut far) = forwarder.take_stream(backend.port) else {
            return;
        };
        // Either side ends a connection when it likes.
        let _ = stream.set_nodelay(true);
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut far).await;
    }
}

/// What the API server says, without the client's names for it.
fn words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => error.to_string(),
    }
}

/// The ready pods of a Service's slices, with the number of the port that has this name.
fn backends(slices: &[EndpointSlice], name: &str) -> Vec<Backend> {
    let of_slice = |slice: &EndpointSlice| {
        let ports = slice.ports.iter().flatten();
        let port = ports
            .filter(|port| port.name.as_deref().unwrap_or_default() == name)
            .find_map(|port| port.port.and_then(|port| u16::try_from(port).ok()));
        let ready = slice.endpoints.iter().filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready).unwrap_or(true)
        });
        let pods = ready.filter_map(|endpoint| endpoint.target_ref.clone());
        let pods = pods.filter(|reference| reference.kind.as_deref() == Some("Pod"));
        let pods = pods.filter_map(|reference| reference.name);
        pods.filter_map(move |pod| port.map(|port| Backend { pod, port }))
            .collect::<Vec<_>>()
    };
    slices.iter().flat_map(of_slice).collect()
}

#[cfg(test)]
mod tests {
    use futures::SinkExt as _;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::world::cluster::fake_socket;

    #[test]
    fn ready_pods_are_reached_at_the_port_of_that_name() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "ports": [{"name": "metrics", "port": 9090}, {"name": "", "port": 5000}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "a"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "b"}},
                {"addresses": ["10.0.0.3"], "conditions": {}, "targetRef": {"kind": "Pod", "name": "c"}},
                {"addresses": ["10.0.0.4"], "conditions": {"ready": true}},
            ],
        }))
        .unwrap();
        let found = |name: &str| -> Vec<(String, u16)> {
            let found = backends(std::slice::from_ref(&slice), name);
            found
                .into_iter()
                .map(|backend| (backend.pod, backend.port))
                .collect()
        };
        assert_eq!(found(""), [("a".to_owned(), 5000), ("c".to_owned(), 5000)]);
        assert_eq!(found("metrics")[0], ("a".to_owned(), 9090));
        assert_eq!(found("other"), []);
    }

    #[tokio::test]
    async fn connections_lead_to_the_pods_in_turn() {
        let pod = |name: &str| json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": name}});
        let slices = move |_: &str, _: &str| {
            let endpoints = [pod("a"), pod("b")];
            json!({"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {}, "items": [{
                "addressType": "IPv4", "metadata": {"name": "web-1"}, "ports": [{"name": "", "port": 5000}],
                "endpoints": endpoints,
            }]})
        };
        // Each pod says its name, and what it was asked.
        let client = fake_socket::api(slices, |path, mut socket| async move {
            let port = 5000_u16.to_le_bytes();
            for channel in [0, 1] {
                let first = [&[channel][..], &port].concat();
                socket.send(Message::Binary(first.into())).await.unwrap();
            }
            let (near, mut pod) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let mut asked = [0; 5];
                pod.read_exact(&mut asked).await.unwrap();
                let name = path.split('/').nth(6).unwrap();
                let answer = format!("{name}: {}", String::from_utf8_lossy(&asked));
                pod.write_all(answer.as_bytes()).await.unwrap();
            });
            fake_socket::carry(socket, near, (0, 0)).await;
        })
        .await;
        let forward = Forward::open(&client, "shop", "web", "").await.unwrap();
        assert!(forward.address().ip().is_loopback());
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(forward.address()).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answers.push(answer);
        }
        answers.sort();
        assert_eq!(answers, ["a: hello", "b: hello"]);
        let none = Forward::open(&client, "shop", "web", "other").await.unwrap_err();
        assert!(matches!(none, ForwardError::NoPod), "{none:?}");
    }
}
