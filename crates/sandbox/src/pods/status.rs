//! Status: what a kubelet writes about a pod, from the lives of its containers.

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::Host;
use super::image::Image;
use super::kubelet::{Member, Pod, written};
use super::life::{Past, Phase, Restart};
use crate::controllers::conditions;
use crate::kinds::fields::{items, text};

/// The whole status of a pod.
pub fn write(object: &Value, pod: &Pod, host: &Host, now: Timestamp) -> Value {
    let mut status = object["status"].clone();
    let generation = object["metadata"]["generation"].clone();
    let phase = phase(pod);
    let ip = pod.ip.to_string();
    status["observedGeneration"] = generation.clone();
    status["phase"] = phase.into();
    status["hostIP"] = host.address.to_string().into();
    status["hostIPs"] = json!([{"ip": host.address.to_string()}]);
    status["podIP"] = ip.clone().into();
    status["podIPs"] = json!([{"ip": ip}]);
    status["startTime"] = written(pod.started);
    let inits = items(&object["spec"], "initContainers");
    if !inits.is_empty() {
        status["initContainerStatuses"] = statuses(object, inits, &pod.inits, "PodInitializing", now).into();
    }
    let reason = if pod.inits.len() == inits.len() && is_initialized(object, pod) {
        "ContainerCreating"
    } else {
        "PodInitializing"
    };
    let mains = items(&object["spec"], "containers");
    status["containerStatuses"] = statuses(object, mains, &pod.mains, reason, now).into();
    write_conditions(&mut status, object, pod, phase, now);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["observedGeneration"] = generation.clone();
        condition["lastProbeTime"] = Value::Null;
    }
    status
}

/// `web-1_default(5d3c…)`, as a kubelet's messages name a pod.
pub fn full_name(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    format!(
        "{}_{}({})",
        text(metadata, "name"),
        text(metadata, "namespace"),
        text(metadata, "uid")
    )
}

fn phase(pod: &Pod) -> &'static str {
    let failed = |member: &Member| matches!(member.life.phase, Phase::Ended(past) if past.code != 0);
    if pod.inits.iter().any(failed) {
        return "Failed";
    }
    let has_ended = |member: &Member| matches!(member.life.phase, Phase::Ended(_));
    if !pod.mains.is_empty() && pod.mains.iter().all(has_ended) {
        return if pod.mains.iter().any(failed) {
            "Failed"
        } else {
            "Succeeded"
        };
    }
    let has_begun = |member: &Member| {
        !matches!(
            member.life.phase,
            Phase::Creating | Phase::Refused | Phase::PullBackingOff
        )
    };
    if !pod.mains.is_empty() && pod.mains.iter().all(has_begun) {
        "Running"
    } else {
        "Pending"
    }
}

fn is_initialized(object: &Value, pod: &Pod) -> bool {
    let done = |member: &Member| match member.life.phase {
        Phase::Ended(past) => past.code == 0,
        Phase::Running => member.restart == Restart::Always,
        _ => false,
    };
    pod.inits.len() == items(&object["spec"], "initContainers").len() && pod.inits.iter().all(done)
}

fn is_ready(member: &Member, now: Timestamp) -> bool {
    member
        .life
        .ready_at(&member.behaviour, member.delay)
        .is_some_and(|ready| ready <= now)
}

fn write_conditions(status: &mut Value, object: &Value, pod: &Pod, phase: &str, now: Timestamp) {
    let names = |members: &mut dyn Iterator<Item = &str>| members.collect::<Vec<_>>().join(" ");
    let inits = items(&object["spec"], "initContainers").iter();
    let open = inits.enumerate().filter(|(index, _)| {
        let member = pod.inits.get(*index);
        !member.is_some_and(|one| {
            matches!(one.life.phase, Phase::Ended(past) if past.code == 0)
                || one.life.is_running() && one.restart == Restart::Always
        })
    });
    let open = names(&mut open.map(|(_, container)| text(container, "name")));
    let mains = items(&object["spec"], "containers").iter();
    let unready = mains
        .enumerate()
        .filter(|(index, _)| !pod.mains.get(*index).is_some_and(|one| is_ready(one, now)));
    let unready = names(&mut unready.map(|(_, container)| text(container, "name")));
    let (ready, reason, message) = match phase {
        "Succeeded" => (false, "PodCompleted", String::new()),
        "Failed" => (false, "PodFailed", String::new()),
        _ if unready.is_empty() => (true, "", String::new()),
        _ => (
            false,
            "ContainersNotReady",
            format!("containers with unready status: [{unready}]"),
        ),
    };
    let is_over = matches!(phase, "Succeeded" | "Failed");
    let mut set = |kind: &str, holds: bool, reason: &str, message: &str| {
        let condition = conditions::Condition {
            kind,
            status: if holds { "True" } else { "False" },
            reason,
            message,
        };
        conditions::set(status, condition, now);
    };
    set("PodReadyToStartContainers", !is_over, "", "");
    if is_initialized(object, pod) {
        set(
            "Initialized",
            true,
            if phase == "Succeeded" { "PodCompleted" } else { "" },
            "",
        );
    } else {
        let message = format!("containers with incomplete status: [{open}]");
        set("Initialized", false, "ContainersNotInitialized", &message);
    }
    set("Ready", ready, reason, &message);
    set("ContainersReady", ready, reason, &message);
    set("PodScheduled", true, "", "");
}

fn statuses(
    pod: &Value,
    containers: &[Value],
    members: &[Member],
    reason: &str,
    now: Timestamp,
) -> Vec<Value> {
    let one = |(index, container): (usize, &Value)| match members.get(index) {
        Some(member) => container_status(pod, member, now),
        None => json!({
            "name": container["name"], "image": container["image"], "imageID": "", "ready": false, "started": false,
            "restartCount": 0, "state": {"waiting": {"reason": reason}}, "lastState": {},
        }),
    };
    containers.iter().enumerate().map(one).collect()
}

fn container_status(pod: &Value, member: &Member, now: Timestamp) -> Value {
    let life = &member.life;
    let has_image = !matches!(
        life.phase,
        Phase::Creating | Phase::Refused | Phase::PullBackingOff
    );
    let image = Image::of(&member.image);
    // An init container is ready when it is done.
    let is_done = matches!(life.phase, Phase::Ended(past) if past.code == 0);
    let ready =
        is_ready(member, now) || is_done && member.restart != Restart::Always && is_init(pod, &member.name);
    let mut status = json!({
        "name": member.name,
        "state": state(pod, member),
        "lastState": life.last.filter(|_| has_image).map_or(json!({}), |past| terminated(pod, member, past, life.restarts)),
        "ready": ready,
        "restartCount": life.restarts,
        "image": if has_image { &image.name } else { &member.image },
        "imageID": if has_image { &image.id } else { "" },
        "started": life.is_running() && (member.behaviour.exit.is_none() || member.behaviour.ready_after.is_some()),
    });
    if has_image {
        status["containerID"] = container_id(pod, member, life.restarts).into();
    }
    status
}

fn is_init(pod: &Value, name: &str) -> bool {
    items(&pod["spec"], "initContainers")
        .iter()
        .any(|container| text(container, "name") == name)
}

fn state(pod: &Value, member: &Member) -> Value {
    let (life, image) = (&member.life, &member.image);
    let why = member.behaviour.pull_error.as_deref().unwrap_or_default();
    match &life.phase {
        Phase::Creating => json!({"waiting": {"reason": "ContainerCreating"}}),
        Phase::Refused => json!({"waiting": {"reason": "ErrImagePull", "message": why}}),
        Phase::PullBackingOff => {
            let message = format!("Back-off pulling image {image:?}: ErrImagePull: {why}");
            json!({"waiting": {"reason": "ImagePullBackOff", "message": message}})
        }
        Phase::Running => json!({"running": {"startedAt": written(life.since)}}),
        Phase::BackingOff => {
            let wait = duration(life.restart_wait().as_secs());
            let pod = full_name(pod);
            let message = format!(
                "back-off {wait} restarting failed container={} pod={pod}",
                member.name
            );
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        }
        Phase::Ended(past) => terminated(pod, member, *past, life.restarts + 1),
    }
}

fn terminated(pod: &Value, member: &Member, past: Past, instance: u32) -> Value {
    json!({"terminated": {
        "exitCode": past.code,
        "reason": if past.code == 0 { "Completed" } else { "Error" },
        "startedAt": written(past.started),
        "finishedAt": written(past.ended),
        "containerID": container_id(pod, member, instance.saturating_sub(1)),
    }})
}

/// The id of one instance of a container: the same text for the same instance.
fn container_id(pod: &Value, member: &Member, instance: u32) -> String {
    let text = format!("{}/{}/{instance}", full_name(pod), member.name);
    let hex: String = digest(&SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sandbox://{hex}")
}

/// `10s`, `1m20s`, `5m0s`: as Go writes durations.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        _ => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}
