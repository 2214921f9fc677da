//! Several replicas: each environment is kept by exactly one of them, and whatever happens to that one, another goes on.
//!
//! The times of the Leases are as short as the API stores them, so that a takeover is soon.

use super::stage::{DEADLINE, Stage};
use crate::harness::control_plane::DoorState;
use crate::harness::control_plane::kubeconfig::Kubeconfig;
use crate::harness::gitsync::Daemon;
use crate::harness::tags;
use crate::harness::wait::{wait_for, wait_until};

const ELECT: [&str; 7] = [
    "--leader-elect",
    "--leader-elect-lease-duration",
    "4s",
    "--leader-elect-renew-deadline",
    "3s",
    "--leader-elect-retry-period",
    "500ms",
];

fn replica(stage: &Stage) -> Daemon {
    stage.daemon_with_args(&ELECT)
}

/// A replica whose way to staging does not lead through the door.
fn replica_past_the_door(stage: &Stage) -> Daemon {
    let pair = stage.pair();
    let contexts = Kubeconfig::default()
        .with("staging", pair.staging.direct_access())
        .with("prod", pair.prod.access());
    let kubeconfig = pair.write_kubeconfig("past-the-door", &contexts, 0o400);
    let kubeconfig = kubeconfig.to_str().unwrap();
    stage.daemon_with_args(&[&ELECT[..], &["--kubeconfig", kubeconfig]].concat())
}

/// The name by which a replica holds Leases.
fn name_of(daemon: &Daemon) -> String {
    wait_for(DEADLINE, "a replica says its name", || {
        let log = daemon.log();
        let name = log.lines().find_map(|line| line.split("this replica is ").nth(1));
        name.map(|name| name.trim().to_owned()).ok_or(log)
    })
}

/// Who holds an environment's Lease; empty when nobody does.
fn holder(stage: &Stage, environment: &str) -> String {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/gitsync-system/leases/gitsync-{environment}");
    let lease = stage.pair().cluster(environment).get(&path);
    let holder = lease.and_then(|lease| Some(lease["spec"]["holderIdentity"].as_str()?.to_owned()));
    holder.unwrap_or_default()
}

/// The index of the replica that holds an environment's Lease.
#[track_caller]
fn leader(stage: &Stage, environment: &str, replicas: &[Daemon]) -> usize {
    let names: Vec<String> = replicas.iter().map(name_of).collect();
    wait_for(DEADLINE, &format!("a replica leads {environment}"), || {
        let holder = holder(stage, environment);
        names.iter().position(|name| *name == holder).ok_or(holder)
    })
}

#[test]
fn replicas_share_the_environments_and_the_others_take_over_from_one_that_is_killed() {
    let stage = Stage::new();
    let mut replicas = vec![replica(&stage), replica(&stage), replica(&stage)];
    stage.wait_until_running("prod", &tags::good(1));
    assert_eq!(stage.promotions().len(), 1);
    wait_until(DEADLINE, "no replica keeps both while others keep none", || {
        let holders = ["staging", "prod"].map(|environment| holder(&stage, environment));
        holders[0] != holders[1] && holders.iter().all(|holder| !holder.is_empty())
    });
    for (number, environment) in [(2, "staging"), (3, "prod")] {
        let killed = replicas.remove(leader(&stage, environment, &replicas));
        let name = name_of(&killed);
        killed.kill();
        stage.set_staging(&tags::good(number));
        stage.wait_until_running("prod", &tags::good(number));
        assert_ne!(holder(&stage, environment), name);
    }
    assert_eq!(stage.promotions().len(), 3, "one image, one promotion");
}

#[test]
fn a_replica_that_was_paused_finds_itself_deposed_and_writes_nothing_more() {
    let stage = Stage::new();
    let mut replicas = [replica(&stage), replica(&stage)];
    stage.wait_until_running("prod", &tags::good(1));
    let at = leader(&stage, "staging", &replicas);
    let name = name_of(&replicas[at]);
    replicas[at].pause();
    wait_for(DEADLINE, "the other replica takes over", || {
        let holder = holder(&stage, "staging");
        if holder == name || holder.is_empty() {
            Err(holder)
        } else {
            Ok(())
        }
    });
    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
    let promotions = stage.promotions().len();
    replicas[at].resume();
    stage.wait_for_log(&replicas[at], &["its lease ran out"]);
    stage.set_staging(&tags::good(3));
    stage.wait_until_running("prod", &tags::good(3));
    assert_eq!(
        stage.promotions().len(),
        promotions + 1,
        "one image, one promotion"
    );
}

#[test]
fn a_replica_that_ends_in_good_order_releases_its_leases_at_once() {
    let stage = Stage::new();
    // As long as in production: nobody could wait for their end here.
    let one = stage.daemon_with_args(&["--leader-elect", "--leader-elect-lease-duration", "3600s"]);
    stage.wait_until_running("prod", &tags::good(1));
    assert_eq!(one.terminate(), 0);
    for environment in ["staging", "prod"] {
        assert_eq!(holder(&stage, environment), "", "{environment}");
    }
    let _other = replica(&stage);
    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
}

#[test]
fn replicas_that_lose_the_way_to_a_cluster_go_on_when_it_is_back() {
    let stage = Stage::new();
    let replicas = [replica(&stage), replica(&stage)];
    stage.wait_until_running("prod", &tags::good(1));
    for state in [DoorState::Shut, DoorState::Stalled] {
        let before = replicas
            .iter()
            .map(|daemon| daemon.log().matches("its lease ran out").count());
        let before: usize = before.sum();
        stage.pair().staging.set_door(state);
        // Nobody can renew: whoever led gives up by itself, before the Lease ends for the others.
        wait_for(DEADLINE, "the leader steps down", || {
            let logs: Vec<String> = replicas.iter().map(Daemon::log).collect();
            let now: usize = logs
                .iter()
                .map(|log| log.matches("its lease ran out").count())
                .sum();
            if now > before {
                Ok(())
            } else {
                Err(logs.join("\n---\n"))
            }
        });
        stage.pair().staging.set_door(DoorState::Open);
        let tag = tags::good(if state == DoorState::Shut { 2 } else { 3 });
        stage.set_staging(&tag);
        stage.wait_until_running("prod", &tag);
    }
    assert_eq!(stage.promotions().len(), 3, "one image, one promotion");
}

/// Only one replica loses its way to a cluster: it finds itself deposed, and another that still has one takes over.
#[test]
fn a_replica_that_is_cut_off_alone_is_replaced_by_one_that_is_not() {
    let stage = Stage::new();
    let cut_off = replica(&stage);
    stage.wait_until_running("prod", &tags::good(1));
    wait_until(DEADLINE, "it leads staging", || {
        holder(&stage, "staging") == name_of(&cut_off)
    });
    let other = replica_past_the_door(&stage);
    let name = name_of(&other);
    for (state, number) in [(DoorState::Stalled, 2), (DoorState::Shut, 3)] {
        stage.pair().staging.set_door(state);
        wait_until(DEADLINE, "the other one leads staging", || {
            holder(&stage, "staging") == name
        });
        stage.set_staging(&tags::good(number));
        // What runs in staging is looked at through prod, which gets it when staging has proved it.
        stage.wait_until_running("prod", &tags::good(number));
    }
    assert!(cut_off.log().contains("its lease ran out"), "{}", cut_off.log());
    stage.pair().staging.set_door(DoorState::Open);
    assert_eq!(stage.promotions().len(), 3, "one image, one promotion");
}
