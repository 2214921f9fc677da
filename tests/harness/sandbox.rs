//! The pair of sandboxes: what [`super::pair`] and [`super::control_plane`] offer, by two clusters in this process.
//!
//! They start in milliseconds, so that each scenario has a pair of its own.

use std::sync::Arc;
use std::time::Duration;

use ::sandbox::{Behaviour, LoadBalancers, Options};
use serde_json::Value;

use super::address::Address;
use super::app::Counts;
use super::control_plane::audit::Request;
use super::control_plane::door::{Door, State as DoorState};
use super::control_plane::kubeconfig::Access;
use super::control_plane::ports::{APISERVER, DOOR};
use super::kubectl;
use super::output::Output;
use super::pair::{Context, Pair};
use super::runtime::block_on;
use super::state::StateDirectory;
use super::tags::{self, tag_of};

/// Two sandboxes and the way to both.
pub type ClusterPair = Pair<Cluster>;
/// A pair for one scenario alone.
pub type Lease = Box<ClusterPair>;

/// A sandbox behind a door. Fields are dropped in their order: callers before those whom they call.
pub struct Cluster {
    name: String,
    cloud: Cloud,
    door: Door,
    handle: ::sandbox::Handle,
    client: kube::Client,
    address: Address,
    state: StateDirectory,
}

/// The load balancers of a sandbox.
pub struct Cloud(LoadBalancers);

// === impl ClusterPair ===

impl ClusterPair {
    /// A new pair.
    pub fn lease() -> Lease {
        Box::new(Self::of(Cluster::start("staging"), Cluster::start("prod")))
    }
}

// === impl Cluster ===

impl Cluster {
    fn start(name: &str) -> Self {
        let state = StateDirectory::create(name);
        let address = Address::reserve(&[APISERVER, DOOR])
            .unwrap_or_else(|error| panic!("no address for a sandbox: {error}"));
        let handle = block_on(::sandbox::Cluster::start(Options {
            name: name.to_owned(),
            address: (address.ip(), APISERVER).into(),
            runtime: Arc::new(behaviour),
            ..Options::default()
        }))
        .unwrap_or_else(|error| panic!("the sandbox {name} does not start: {error}"));
        // The client keeps a task of its own on the runtime.
        let client = block_on(async { kube::Client::new(handle.cluster().service(), "default") });
        Self {
            name: name.to_owned(),
            cloud: Cloud(handle.cluster().load_balancers()),
            door: Door::open(address.ip()),
            handle,
            client,
            address,
            state,
        }
    }

    /// What its load balancers do.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// Opens, shuts or stalls the way to the API for everybody but the cluster itself.
    pub fn set_door(&self, state: DoorState) {
        self.door.set(state);
    }

    /// How an administrator reaches the cluster, through the door.
    pub fn access(&self) -> Access {
        let access = self.handle.access();
        Access {
            server: format!("https://{}:{DOOR}", self.address.ip()),
            authority: access.authority.unwrap_or_default(),
            token: access.token,
        }
    }

    /// Runs kubectl as an administrator, through the door.
    pub fn kubectl(&self, args: &[&str]) -> Output {
        kubectl::run(&self.state, &self.name, self.access(), args)
    }

    /// The object at a path of the API; a list works too.
    ///
    /// # Panics
    ///
    /// When the answer is neither the object nor 404.
    pub fn get(&self, path: &str) -> Option<Value> {
        super::control_plane::get(&self.client, &self.name, path)
    }

    /// The requests so far of clients whose user agent begins with `agent`, after the first `since` of all clients;
    /// with the number that is the next `since`.
    pub fn requests_of(&self, agent: &str, since: usize) -> (Vec<Request>, usize) {
        let (requests, next) = self.handle.cluster().requests(since);
        let requests = requests
            .into_iter()
            .filter(|request| request.user_agent.starts_with(agent))
            .map(|request| Request {
                uri: request.uri,
                verb: request.verb,
                user_agent: request.user_agent,
            });
        (requests.collect(), next)
    }
}

impl Context for Cluster {
    fn name(&self) -> &str {
        &self.name
    }

    fn access(&self) -> Access {
        Self::access(self)
    }
}

// === impl Cloud ===

impl Cloud {
    /// Gives a Service no address; one that it had is taken away.
    pub fn hold(&self, namespace: &str, service: &str) {
        self.0.hold(namespace, service);
    }

    /// Gives a held Service its address.
    pub fn release(&self, namespace: &str, service: &str) {
        self.0.release(namespace, service);
    }

    /// The requests that a Service has had at its present address, by the tag of the image that answered.
    pub fn requests(&self, namespace: &str, service: &str) -> Counts {
        let mut counts = Counts::new();
        for (image, count) in self.0.requests(namespace, service) {
            *counts.entry(tag_of(&image).to_owned()).or_default() += count;
        }
        counts
    }
}

/// What an image does, by the table of [`tags`].
pub fn behaviour(image: &str) -> Behaviour {
    let kind = tags::Behaviour::of_image(image);
    let answer = kind.answer();
    match kind {
        tags::Behaviour::Good | tags::Behaviour::Slow => Behaviour::serving(answer.after),
        tags::Behaviour::Fails => Behaviour::failing(answer.status),
        tags::Behaviour::Late => Behaviour::slow_start(Duration::from_secs(3), answer.after),
        tags::Behaviour::Stuck => Behaviour::never_ready(),
        tags::Behaviour::Crash => Behaviour::crashing(1, vec!["fatal: the program ends".to_owned()]),
        tags::Behaviour::NoPull => {
            Behaviour::unpullable(format!("failed to resolve reference {image:?}: not found"))
        }
    }
}
