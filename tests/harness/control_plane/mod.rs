//! A control plane: one real Kubernetes cluster, without containers, that lives as long as its value.
//!
//! ```text
//!              ┌ etcd ◀─ kube-apiserver ◀─ kube-controller-manager, kube-scheduler
//! Address ─────┤              ▲  ▲  ▲
//! 127.x.y.z    │              │  │  └─ kwok: the node's and the pods' status, by stages.yaml
//!              │            door └─ Cloud: addresses of LoadBalancers, and the application behind them
//!              └              ▲
//!                  gitsync, kubectl, the test
//! ```
//!
//! Only pods are played: what an image would do is told by its tag, see [`crate::harness::tags`].

mod apiserver;
pub mod audit;
mod controllers;
pub mod door;
mod etcd;
mod keys;
pub mod kubeconfig;
mod kwok;
pub mod ports;
mod snapshot;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderValue, USER_AGENT};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig as ClientConfig};
use serde_json::Value;

use self::apiserver::Apiserver;
pub use self::audit::Request;
use self::door::Door;
pub use self::door::State as DoorState;
use self::kubeconfig::{Access, Kubeconfig};
use self::snapshot::Snapshot;

use super::address::Address;
use super::cloud::Cloud;
use super::kubectl;
use super::output::Output;
use super::pair::Context;
use super::process::{Process, errors, tail};
use super::runtime::block_on;
use super::state::StateDirectory;
use super::wait::wait_for;

/// How long one step of a start may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// The programs of a cluster, each with a log of its name.
const PROGRAMS: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
];

/// A running cluster. Fields are dropped in their order: callers before those whom they call.
pub struct ControlPlane {
    name: String,
    cloud: Cloud,
    door: Door,
    _controllers: Vec<Process>,
    apiserver: Mutex<Apiserver>,
    _etcd: Process,
    client: Client,
    initial: Snapshot,
    address: Address,
    state: StateDirectory,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts a cluster; returns when its node is ready and its controllers are at work.
    ///
    /// # Panics
    ///
    /// With the ends of the logs, when a part of it does not start.
    pub fn start(name: &str) -> Self {
        let state = StateDirectory::create(name);
        let address =
            Address::reserve(&ports::ALL).unwrap_or_else(|error| panic!("no address for a cluster: {error}"));
        let etcd = etcd::start(&state, address.ip());
        let mut apiserver = Apiserver::start(&state, address.ip());
        apiserver.wait_for_certificate();
        let own = state.path().join("kubeconfig.yaml");
        Kubeconfig::default()
            .with(name, apiserver.access())
            .write(&own, 0o600);
        let client = client(&own);
        wait_until_ready(&client, &mut apiserver, &state);
        let mut controllers = Vec::from(controllers::start(&state, address.ip(), &own));
        create_node(&client);
        controllers.push(kwok::start(&state, address.ip(), &own));
        wait_until_settled(&client, &mut controllers);
        let initial = block_on(Snapshot::take(&client)).expect("a list of what a new cluster holds");
        Self {
            name: name.to_owned(),
            cloud: Cloud::start(name, client.clone()),
            door: Door::open(address.ip()),
            _controllers: controllers,
            apiserver: Mutex::new(apiserver),
            _etcd: etcd,
            client,
            initial,
            address,
            state,
        }
    }

    /// The played cloud provider.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// A client with all rights, that does not go through the door; it is for [`block_on`].
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// How an administrator reaches the cluster, through the door.
    pub fn access(&self) -> Access {
        self.through_the_door(self.apiserver().access())
    }

    /// How an administrator reaches the cluster past the door, whatever state that is in.
    pub fn direct_access(&self) -> Access {
        self.apiserver().access()
    }

    /// How somebody reaches the cluster who is known to it and may do nothing.
    pub fn access_of_stranger(&self) -> Access {
        self.through_the_door(self.apiserver().access_of_stranger())
    }

    /// Opens, shuts or stalls the way to the API server for everybody but the cluster's own programs.
    pub fn set_door(&self, state: DoorState) {
        self.door.set(state);
    }

    /// Kills the API server. The cluster's own programs notice too and take seconds to recover: prefer [`Self::set_door`].
    pub fn stop_apiserver(&self) {
        // Or callers would find an open door with nobody behind it, where there should be nothing at all.
        self.set_door(DoorState::Shut);
        self.apiserver().stop();
    }

    /// Starts the API server again, at the same address and with the same certificate, waits until it is ready, and
    /// opens the door.
    pub fn start_apiserver(&self) {
        let mut apiserver = self.apiserver();
        apiserver.resume();
        wait_until_ready(&self.client, &mut apiserver, &self.state);
        self.set_door(DoorState::Open);
    }

    /// Runs kubectl as an administrator, through the door.
    pub fn kubectl(&self, args: &[&str]) -> Output {
        kubectl::run(&self.state, &self.name, self.access(), args)
    }

    /// The object at a path of the API, such as `/apis/apps/v1/namespaces/default/deployments/web`; a list works too.
    ///
    /// # Panics
    ///
    /// When the API server gives another answer than the object or 404.
    pub fn get(&self, path: &str) -> Option<Value> {
        get(&self.client, &self.name, path)
    }

    /// The requests so far of clients whose user agent begins with `agent`, after the first `since` of all clients;
    /// with the number that is the next `since`.
    pub fn requests_of(&self, agent: &str, since: usize) -> (Vec<Request>, usize) {
        audit::read(&self.state.path().join("audit.log"), agent, since)
    }

    /// Brings the cluster back to what it was after its start: everything runs and answers, and nothing is in it.
    ///
    /// # Errors
    ///
    /// What could not be brought back.
    pub fn reset(&self) -> Result<(), String> {
        self.start_apiserver();
        self.cloud.reset();
        block_on(self.initial.restore(&self.client)).map_err(|error| format!("{}: {error}", self.name))
    }

    /// The last errors of all logs, for a failed test; the directory with all of them stays.
    pub fn report(&self) -> String {
        self.state.keep();
        let mut report = format!(
            "=== {}: logs are kept in {}\n",
            self.name,
            self.state.path().display()
        );
        for program in PROGRAMS {
            report.push_str(&errors(program, &self.state.log(program), 3));
        }
        report
    }

    fn apiserver(&self) -> MutexGuard<'_, Apiserver> {
        // A test that panicked in between has not left half of an API server.
        self.apiserver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn through_the_door(&self, access: Access) -> Access {
        Access {
            server: format!("https://{}:{}", self.address.ip(), ports::DOOR),
            ..access
        }
    }
}

impl Context for ControlPlane {
    fn name(&self) -> &str {
        &self.name
    }

    fn access(&self) -> Access {
        Self::access(self)
    }
}

/// The object at a path of a cluster's API, or nothing for 404.
pub fn get(client: &Client, cluster: &str, path: &str) -> Option<Value> {
    let request = hyper::http::Request::get(path)
        .body(Vec::new())
        .unwrap_or_else(|error| panic!("{path} is no path: {error}"));
    match block_on(client.request::<Value>(request)) {
        Ok(object) => Some(object),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => panic!("cannot get {path} of {cluster}: {error}"),
    }
}

/// A client of the current context of a kubeconfig.
fn client(kubeconfig: &Path) -> Client {
    let config = ClientConfig::read_from(kubeconfig).expect("because the harness wrote it");
    block_on(async {
        let mut config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
            .await
            .expect("because its only context is the current one");
        // The audit log is to tell the harness from whom it watches.
        config
            .headers
            .push((USER_AGENT, HeaderValue::from_static("harness")));
        Client::try_from(config).expect("because its certificates are in PEM")
    })
}

fn wait_until_ready(client: &Client, apiserver: &mut Apiserver, state: &StateDirectory) {
    wait_for(
        PATIENCE,
        &format!("the API server of {} is ready", state.path().display()),
        || {
            apiserver.check_alive();
            let request = hyper::http::Request::get("/readyz")
                .body(Vec::new())
                .expect("because the path is legal");
            block_on(client.request_text(request)).map(drop).map_err(|error| {
                format!(
                    "{error}\n{}",
                    tail("kube-apiserver", &state.log("kube-apiserver"), 10)
                )
            })
        },
    );
}

fn create_node(client: &Client) {
    let node = serde_json::from_value(kwok::node()).expect("because it is a Node");
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(client.clone());
    block_on(nodes.create(&kube::api::PostParams::default(), &node)).expect("a node");
}

/// Waits for a sign of life of each controller: kwok makes the node ready, the controller manager makes accounts, and
/// takes away the taint of a node that was not ready.
fn wait_until_settled(client: &Client, controllers: &mut [Process]) {
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(client.clone());
    let accounts: kube::Api<k8s_openapi::api::core::v1::ServiceAccount> =
        kube::Api::namespaced(client.clone(), "default");
    wait_for(
        PATIENCE,
        "the node is ready and the default account exists",
        || {
            for controller in controllers.iter_mut() {
                if let Some(code) = controller.exit_code() {
                    panic!(
                        "a controller ended with exit code {code}\n{}",
                        controller.tail(30)
                    );
                }
            }
            let node = block_on(nodes.get(kwok::NODE)).map_err(|error| error.to_string())?;
            let ready = node
                .status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten());
            let is_ready = ready
                .clone()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let is_tainted = node.spec.is_some_and(|spec| spec.taints.is_some());
            let account = block_on(accounts.get("default")).map_err(|error| error.to_string());
            if is_ready && !is_tainted && account.is_ok() {
                return Ok(());
            }
            let tails: String = controllers.iter().map(|controller| controller.tail(5)).collect();
            Err(format!(
                "node ready: {is_ready}, tainted: {is_tainted}, account: {account:?}\n{tails}"
            ))
        },
    );
}
