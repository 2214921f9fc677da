//! The cloud: what gives Services of type LoadBalancer their addresses, and has the application answer there.
//!
//! Each such Service gets a loopback address of its own, with a server on the ports that the Service declares. A port
//! below 1024 needs a privilege; without it the Service stays pending, and standard error says how to allow it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::reflector::{self, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::address::Address;
use super::app::{App, Counts};
use super::runtime::runtime;

/// How long to wait before the next attempt at anything that failed.
const PAUSE: Duration = Duration::from_millis(250);

/// The cloud provider of one cluster.
pub struct Cloud {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    cluster: String,
    client: Client,
    /// By `namespace/name` of the Service.
    balancers: Mutex<BTreeMap<String, Balancer>>,
    held: Mutex<BTreeSet<String>>,
    changed: Notify,
}

/// A load balancer: an address, and the servers on it.
struct Balancer {
    address: Address,
    ports: Vec<u16>,
    app: Arc<App>,
    _servers: JoinSet<()>,
}

/// What a cluster says about its Services and the pods behind them.
struct Watched {
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    pods: Store<Pod>,
}

// === impl Cloud ===

impl Cloud {
    /// Starts to serve a cluster.
    pub fn start(cluster: &str, client: Client) -> Self {
        let shared = Arc::new(Shared {
            cluster: cluster.to_owned(),
            client,
            balancers: Mutex::default(),
            held: Mutex::default(),
            changed: Notify::new(),
        });
        let task = runtime().spawn(shared.clone().run());
        Self { shared, task }
    }

    /// Gives a Service no address, as a cloud does that is out of them; one that it had is taken away.
    pub fn hold(&self, namespace: &str, service: &str) {
        lock(&self.shared.held).insert(key(namespace, service));
        self.shared.changed.notify_one();
    }

    /// Gives a held Service its address.
    pub fn release(&self, namespace: &str, service: &str) {
        lock(&self.shared.held).remove(&key(namespace, service));
        self.shared.changed.notify_one();
    }

    /// The address of a Service, once it has one.
    pub fn address(&self, namespace: &str, service: &str) -> Option<Ipv4Addr> {
        let balancers = lock(&self.shared.balancers);
        balancers
            .get(&key(namespace, service))
            .map(|balancer| balancer.address.ip())
    }

    /// The requests that a Service has had at its present address, by the tag of the image that answered.
    pub fn requests(&self, namespace: &str, service: &str) -> Counts {
        let balancers = lock(&self.shared.balancers);
        balancers
            .get(&key(namespace, service))
            .map(|balancer| balancer.app.counts())
            .unwrap_or_default()
    }

    /// Forgets what is held, and all addresses; a Service that is still there gets another one.
    pub fn reset(&self) {
        lock(&self.shared.held).clear();
        lock(&self.shared.balancers).clear();
        self.shared.changed.notify_one();
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Shared ===

impl Shared {
    /// Watches, and compares what is with what should be after every change.
    async fn run(self: Arc<Self>) {
        let (services, service_events) = watch::<Service>(&self.client);
        let (slices, slice_events) = watch::<EndpointSlice>(&self.client);
        let (pods, pod_events) = watch::<Pod>(&self.client);
        let watched = Watched {
            services,
            slices,
            pods,
        };
        let mut service_events = Box::pin(service_events);
        let others = futures::future::join(slice_events.for_each(ready), pod_events.for_each(ready));
        let mut others = Box::pin(others);
        let mut retry = false;
        loop {
            tokio::select! {
                Some(()) = service_events.next() => {}
                () = self.changed.notified() => {}
                () = tokio::time::sleep(PAUSE), if retry => {}
                _ = &mut others => return,
            }
            retry = !self.reconcile(&watched).await;
        }
    }

    /// Makes balancers and statuses what they should be; says whether that worked.
    async fn reconcile(&self, watched: &Watched) -> bool {
        let wanted: BTreeMap<String, Arc<Service>> = watched
            .services
            .state()
            .into_iter()
            .filter(|service| is_balanced(service))
            .map(|service| {
                (
                    key(&service.namespace().unwrap_or_default(), &service.name_any()),
                    service,
                )
            })
            .collect();
        let held = lock(&self.held).clone();
        lock(&self.balancers).retain(|key, balancer| {
            !held.contains(key)
                && wanted
                    .get(key)
                    .is_some_and(|service| ports(service) == balancer.ports)
        });
        let mut done = true;
        for (key, service) in &wanted {
            let ip = if held.contains(key) {
                None
            } else {
                match self.balance(key, service, watched).await {
                    Ok(ip) => Some(ip),
                    Err(error) => {
                        done = false;
                        self.complain(key, &error);
                        None
                    }
                }
            };
            done &= self.publish(service, ip).await;
        }
        done
    }

    /// The address of a Service's balancer, which is made if there is none.
    async fn balance(&self, key: &str, service: &Service, watched: &Watched) -> io::Result<Ipv4Addr> {
        if let Some(balancer) = lock(&self.balancers).get(key) {
            return Ok(balancer.address.ip());
        }
        let ports = ports(service);
        let address = Address::reserve(&ports)?;
        let namespace = service.namespace().unwrap_or_default();
        let app = Arc::new(App::new(
            &namespace,
            &service.name_any(),
            watched.slices.clone(),
            watched.pods.clone(),
        ));
        let mut servers = JoinSet::new();
        for port in &ports {
            let listener = TcpListener::bind(SocketAddr::from((address.ip(), *port))).await?;
            servers.spawn(app.clone().serve(listener));
        }
        let ip = address.ip();
        let balancer = Balancer {
            address,
            ports,
            app,
            _servers: servers,
        };
        lock(&self.balancers).insert(key.to_owned(), balancer);
        Ok(ip)
    }

    /// Writes the address into the Service's status, unless it says that already.
    async fn publish(&self, service: &Service, ip: Option<Ipv4Addr>) -> bool {
        let wanted: Vec<String> = ip.iter().map(Ipv4Addr::to_string).collect();
        if ingress(service) == wanted {
            return true;
        }
        let ingress: Vec<_> = wanted.iter().map(|ip| json!({"ip": ip})).collect();
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": ingress}}}));
        let services: Api<Service> =
            Api::namespaced(self.client.clone(), &service.namespace().unwrap_or_default());
        let parameters = PatchParams::apply("cloud-controller-manager");
        match services
            .patch_status(&service.name_any(), &parameters, &patch)
            .await
        {
            Ok(_) => true,
            // It was deleted in between, which the watch will tell.
            Err(kube::Error::Api(status)) if status.code == 404 => true,
            Err(_) => false,
        }
    }

    fn complain(&self, key: &str, error: &io::Error) {
        let hint = if error.kind() == io::ErrorKind::PermissionDenied {
            "; allow it with `sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80`"
        } else {
            ""
        };
        // There is nobody to tell when standard error is closed.
        drop(writeln!(
            io::stderr(),
            "cloud of {}: no address for {key}: {error}{hint}",
            self.cluster
        ));
    }
}

/// The same short pause after every failure: a cluster that comes back is to be noticed at once.
struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(PAUSE)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

/// A store of all objects of a kind, and a stream that keeps it up to date and yields at each change.
fn watch<K>(client: &Client) -> (Store<K>, impl Stream<Item = ()> + use<K>)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .backoff(Steady)
        .reflect(writer)
        .map(drop);
    (store, events)
}

fn ready((): ()) -> std::future::Ready<()> {
    std::future::ready(())
}

fn is_balanced(service: &Service) -> bool {
    service.metadata.deletion_timestamp.is_none()
        && service
            .spec
            .as_ref()
            .is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"))
}

fn ports(service: &Service) -> Vec<u16> {
    let declared = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    declared
        .filter_map(|port| u16::try_from(port.port).ok())
        .collect()
}

fn ingress(service: &Service) -> Vec<String> {
    let balancer = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    balancer
        .iter()
        .flat_map(|balancer| balancer.ingress.iter().flatten())
        .filter_map(|ingress| ingress.ip.clone())
        .collect()
}

fn key(namespace: &str, service: &str) -> String {
    format!("{namespace}/{service}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done inside of a lock here.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
