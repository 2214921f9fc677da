//! A stage: two sandbox clusters, the example repository, and a daemon that serves its dashboard.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use ::sandbox::{Behaviour, Cluster, Handle, Options, kubeconfig};
use serde_json::Value;

use crate::harness::git::Remote;
use crate::harness::gitsync::{Daemon, Gitsync};
use crate::harness::runtime::block_on;
use crate::harness::tags;
use crate::harness::wait::wait_for;

/// What actions need.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Machines are shared and slow; what comes true at all comes true within this.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The overlay that people and CI write.
pub const STAGING: &str = "environments/staging/kustomization.yaml";

/// The overlay that promotions write.
pub const PROD: &str = "environments/prod/kustomization.yaml";

/// A daemon, and all that it needs.
pub struct Stage {
    /// The remote repository.
    pub remote: Remote,
    /// The daemon.
    pub daemon: Daemon,
    /// Where its dashboard is: `127.0.0.1:40001`.
    pub address: String,
    /// The clusters: staging and prod.
    pub clusters: [Handle; 2],
    gitsync: Gitsync,
}

impl Stage {
    /// The example with a check of three seconds, and a good image in staging that prod does not have.
    pub fn new() -> Self {
        Self::with(&[], |_| {})
    }

    /// The same after a change of the repository, with further arguments for the daemon. What is slow is so by seconds,
    /// so that a busy machine makes no good image slow.
    pub fn with(args: &[&str], prepare: impl FnOnce(&Remote)) -> Self {
        let relaxed = |remote: &Remote| {
            remote.replace("policies/load-check.yaml", "p(90)<600", "p(90)<2000");
            prepare(remote);
        };
        Self::start(args, Duration::from_secs(3), relaxed)
    }

    /// The example with its own limit of 600 ms, and a slow image that takes 700 ms.
    pub fn as_it_is(prepare: impl FnOnce(&Remote)) -> Self {
        Self::start(&[], Duration::from_millis(700), prepare)
    }

    fn start(args: &[&str], slow: Duration, prepare: impl FnOnce(&Remote)) -> Self {
        let remote = Remote::example();
        remote.replace("policies/load-check.yaml", "duration: 10s", "duration: 3s");
        for environment in ["staging", "prod"] {
            let path = format!("environments/{environment}/environment.yaml");
            remote.replace(&path, "interval: 30s", "interval: 3s");
        }
        remote.replace(PROD, "9f31c0de", &tags::good(0));
        remote.replace(STAGING, "abc123de", &tags::good(1));
        prepare(&remote);
        let clusters = ["staging", "prod"].map(|name| cluster(name, slow));
        let gitsync = Gitsync::new();
        let file = gitsync.home().join("kubeconfig");
        let [staging, prod] = &clusters;
        std::fs::write(&file, kubeconfig(&[staging.access(), prod.access()])).unwrap();
        let gitsync = gitsync.env("KUBECONFIG", &file);
        let token = gitsync.home().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let (url, token) = (remote.url(), token.display().to_string());
        let own = [
            "run",
            "--repo",
            &url,
            "--listen",
            "127.0.0.1:0",
            "--action-token-file",
            &token,
        ];
        let daemon = gitsync.daemon(&[&own[..], args].concat());
        let address = daemon.address();
        Self {
            remote,
            daemon,
            address,
            clusters,
            gitsync,
        }
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Commits another tag into staging's overlay, as CI does.
    pub fn set_staging(&self, tag: &str) {
        let image = "sanjeev-thiyagarajan/jenkins-flask-app";
        let wanted = format!("{image}={image}:{tag}");
        let url = self.remote.url();
        let args = [
            "image", "set", &wanted, "--env", "staging", "--push", "--repo", &url,
        ];
        self.gitsync.run(&args).ok();
    }

    /// Asks by HTTP/1.1; the status and the body.
    pub fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.address,
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, body)
    }

    /// An action, with the token; the status and what was answered.
    pub fn act(&self, environment: &str, verb: &str, body: &str) -> (u16, Value) {
        let line = format!("POST /api/v1/environments/{environment}/{verb}");
        let bearer = format!("Bearer {TOKEN}");
        let (status, body) = self.ask(&line, &[("Authorization", &bearer)], body);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// An environment, as the API tells it.
    pub fn environment(&self, name: &str) -> Value {
        let (_, body) = self.ask(&format!("GET /api/v1/environments/{name}"), &[], "");
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// Waits until the API tells of an environment what `is` looks for.
    #[track_caller]
    pub fn wait_for(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(DEADLINE, &format!("{name}: {what}"), || {
            let seen = self.environment(name);
            if is(&seen) {
                Ok(seen)
            } else {
                Err(format!("{seen:#}\n{}", self.daemon.log()))
            }
        })
    }

    /// What gitsync tells of itself in a cluster, by its number.
    pub fn events(&self, cluster: usize) -> Vec<Value> {
        let client = self.clusters[cluster].cluster().client("test");
        let lists = ["events", "events.events.k8s.io"];
        lists
            .iter()
            .flat_map(|list| client.list(list, Some("gitsync-system")))
            .collect()
    }

    /// Waits until an Event with a reason is in a cluster.
    #[track_caller]
    pub fn wait_for_event(&self, cluster: usize, reason: &str) {
        wait_for(DEADLINE, &format!("an Event {reason}"), || {
            let events = self.events(cluster);
            if events.iter().any(|event| event["reason"] == reason) {
                Ok(())
            } else {
                Err(format!("{events:#?}"))
            }
        });
    }

    /// Waits until an environment is at rest with an image.
    #[track_caller]
    pub fn wait_until_synced(&self, name: &str, tag: &str) -> Value {
        self.wait_for(name, &format!("synced with {tag}"), |seen| {
            seen["state"] == "synced" && seen["images"].to_string().contains(tag)
        })
    }
}

fn cluster(name: &str, slow: Duration) -> Handle {
    let options = Options {
        name: name.to_owned(),
        runtime: Arc::new(move |image: &str| behaviour(image, slow)),
        ..Options::default()
    };
    block_on(Cluster::start(options)).unwrap()
}

/// The images of the harness, as the sandbox plays them.
fn behaviour(image: &str, slow: Duration) -> Behaviour {
    let of_tag = tags::Behaviour::of_image(image);
    match of_tag {
        tags::Behaviour::NoPull => Behaviour::unpullable("not found"),
        tags::Behaviour::Crash => Behaviour::crashing(1, vec!["no such table".to_owned()]),
        tags::Behaviour::Stuck => Behaviour::never_ready(),
        tags::Behaviour::Fails => Behaviour::failing(500),
        tags::Behaviour::Slow => Behaviour::serving(slow),
        _ => Behaviour::serving(of_tag.answer().after),
    }
}
