//! The tables of what makes pods.

use jiff::Timestamp;
use serde_json::Value;

use super::text::{
    AGE, CONTAINERS, IMAGES, NAME, NONE, SELECTOR, UNSET, count, duration, labels, of_containers, plain,
    selector, since,
};
use crate::kinds::fields::{items, number, text};
use crate::registry::Cell;

pub const DEPLOYMENT: [Cell; 8] = [
    NAME,
    Cell::new("Ready", "string", ready_of_wanted),
    Cell::new("Up-to-date", "string", |object, _| {
        count(object, "/status/updatedReplicas").into()
    }),
    Cell::new("Available", "string", |object, _| {
        count(object, "/status/availableReplicas").into()
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const DESIRED: Cell = Cell::new("Desired", "integer", |object, _| {
    count(object, "/spec/replicas").into()
});
const CURRENT: Cell = Cell::new("Current", "integer", |object, _| {
    count(object, "/status/replicas").into()
});
const READY: Cell = Cell::new("Ready", "integer", |object, _| {
    count(object, "/status/readyReplicas").into()
});

pub const REPLICA_SET: [Cell; 8] = [NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR];

pub const CONTROLLER: [Cell; 8] = [
    NAME,
    DESIRED,
    CURRENT,
    READY,
    AGE,
    CONTAINERS,
    IMAGES,
    Cell::wide("Selector", "string", |object, _| {
        labels(&object["spec"], "selector").into()
    }),
];

pub const STATEFUL_SET: [Cell; 5] = [
    NAME,
    Cell::new("Ready", "string", ready_of_wanted),
    AGE,
    CONTAINERS,
    IMAGES,
];

pub const DAEMON_SET: [Cell; 11] = [
    NAME,
    Cell::new("Desired", "integer", |object, _| {
        count(object, "/status/desiredNumberScheduled").into()
    }),
    Cell::new("Current", "integer", |object, _| {
        count(object, "/status/currentNumberScheduled").into()
    }),
    Cell::new("Ready", "integer", |object, _| {
        count(object, "/status/numberReady").into()
    }),
    Cell::new("Up-to-date", "integer", |object, _| {
        count(object, "/status/updatedNumberScheduled").into()
    }),
    Cell::new("Available", "integer", |object, _| {
        count(object, "/status/numberAvailable").into()
    }),
    Cell::new("Node Selector", "string", |object, _| {
        labels(&object["spec"]["template"]["spec"], "nodeSelector").into()
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

pub const REVISION: [Cell; 4] = [
    NAME,
    Cell::new("Controller", "string", |object, _| {
        let owners = items(&object["metadata"], "ownerReferences");
        let owner = owners.iter().find(|owner| owner["controller"] == true);
        owner.map_or_else(|| NONE.to_owned(), full_name).into()
    }),
    Cell::new("Revision", "string", |object, _| {
        number(object, "revision").into()
    }),
    AGE,
];

/// `daemonset.apps/agent`.
fn full_name(owner: &Value) -> String {
    let group = text(owner, "apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    format!(
        "{}{dot}{group}/{}",
        text(owner, "kind").to_lowercase(),
        text(owner, "name")
    )
}

pub const JOB: [Cell; 8] = [
    NAME,
    Cell::new("Status", "string", |job, _| job_status(job).into()),
    Cell::new("Completions", "string", |job, _| completions(job).into()),
    Cell::new("Duration", "string", job_duration),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

pub const CRON_JOB: [Cell; 10] = [
    NAME,
    Cell::new("Schedule", "string", |object, _| {
        object["spec"]["schedule"].clone()
    }),
    Cell::new("Timezone", "string", |object, _| {
        plain(&object["spec"]["timeZone"])
            .unwrap_or_else(|| NONE.to_owned())
            .into()
    }),
    Cell::new(
        "Suspend",
        "boolean",
        |object, _| match object["spec"]["suspend"].as_bool() {
            Some(true) => "True".into(),
            Some(false) => "False".into(),
            None => UNSET.into(),
        },
    ),
    Cell::new("Active", "integer", |object, _| {
        items(&object["status"], "active").len().into()
    }),
    Cell::new("Last Schedule", "string", |object, now| {
        match &object["status"]["lastScheduleTime"] {
            Value::Null => NONE.into(),
            time => since(time, now).into(),
        }
    }),
    AGE,
    Cell::wide("Containers", "string", |object, _| {
        of_containers(&object["spec"]["jobTemplate"]["spec"]["template"]["spec"], "name").into()
    }),
    Cell::wide("Images", "string", |object, _| {
        of_containers(
            &object["spec"]["jobTemplate"]["spec"]["template"]["spec"],
            "image",
        )
        .into()
    }),
    Cell::wide("Selector", "string", |object, _| {
        selector(&object["spec"]["jobTemplate"]["spec"]["selector"]).into()
    }),
];

pub const AUTOSCALER: [Cell; 7] = [
    NAME,
    Cell::new("Reference", "string", |object, _| {
        let target = &object["spec"]["scaleTargetRef"];
        format!("{}/{}", text(target, "kind"), text(target, "name")).into()
    }),
    Cell::new("Targets", "string", |object, _| metrics(object).into()),
    Cell::new("MinPods", "string", |object, _| {
        plain(&object["spec"]["minReplicas"])
            .unwrap_or_else(|| UNSET.to_owned())
            .into()
    }),
    Cell::new("MaxPods", "string", |object, _| {
        count(object, "/spec/maxReplicas").into()
    }),
    Cell::new("Replicas", "string", |object, _| {
        count(object, "/status/currentReplicas").into()
    }),
    AGE,
];

pub const BUDGET: [Cell; 5] = [
    NAME,
    Cell::new("Min Available", "string", |object, _| {
        or_not_applicable(&object["spec"]["minAvailable"])
    }),
    Cell::new("Max Unavailable", "string", |object, _| {
        or_not_applicable(&object["spec"]["maxUnavailable"])
    }),
    Cell::new("Allowed Disruptions", "integer", |object, _| {
        count(object, "/status/disruptionsAllowed").into()
    }),
    AGE,
];

fn or_not_applicable(value: &Value) -> Value {
    plain(value).unwrap_or_else(|| "N/A".to_owned()).into()
}

fn ready_of_wanted(object: &Value, _: Timestamp) -> Value {
    format!(
        "{}/{}",
        count(object, "/status/readyReplicas"),
        count(object, "/spec/replicas")
    )
    .into()
}

fn job_status(job: &Value) -> &'static str {
    let has = |kind: &str| {
        let mut conditions = items(&job["status"], "conditions").iter();
        conditions.any(|one| text(one, "type") == kind && text(one, "status") == "True")
    };
    let is_leaving = !job["metadata"]["deletionTimestamp"].is_null();
    [
        ("Complete", has("Complete")),
        ("Failed", has("Failed")),
        ("Terminating", is_leaving),
        ("Suspended", has("Suspended")),
        ("FailureTarget", has("FailureTarget")),
        ("SuccessCriteriaMet", has("SuccessCriteriaMet")),
    ]
    .iter()
    .find(|(_, holds)| *holds)
    .map_or("Running", |(word, _)| word)
}

fn completions(job: &Value) -> String {
    let done = count(job, "/status/succeeded");
    match (
        job["spec"]["completions"].as_i64(),
        count(job, "/spec/parallelism"),
    ) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{done}/1 of {parallelism}"),
        (None, _) => format!("{done}/1"),
    }
}

fn job_duration(job: &Value, now: Timestamp) -> Value {
    let time = |key: &str| {
        job["status"][key]
            .as_str()
            .and_then(|time| time.parse::<Timestamp>().ok())
    };
    let Some(start) = time("startTime") else {
        return "".into();
    };
    duration(
        time("completionTime")
            .unwrap_or(now)
            .duration_since(start)
            .as_secs(),
    )
    .into()
}

/// What is measured, which is unknown, and what is aimed at.
fn metrics(object: &Value) -> String {
    let texts: Vec<String> = items(&object["spec"], "metrics").iter().map(metric).collect();
    match texts.len() {
        0 => NONE.to_owned(),
        1 | 2 => texts.join(", "),
        all => format!("{} + {} more...", texts[..2].join(", "), all - 2),
    }
}

fn metric(metric: &Value) -> String {
    let (key, named) = match text(metric, "type") {
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        _ => ("external", false),
    };
    let target = &metric[key]["target"];
    let aim = match (
        target["averageUtilization"].as_i64(),
        plain(&target["averageValue"]),
        plain(&target["value"]),
    ) {
        (Some(percent), _, _) => format!("{percent}%"),
        (None, Some(average), _) if named || key == "pods" => average,
        (None, Some(average), _) => format!("{average} (avg)"),
        (None, None, Some(value)) => value,
        (None, None, None) => "<auto>".to_owned(),
    };
    if named {
        format!("{}: <unknown>/{aim}", text(&metric[key], "name"))
    } else {
        format!("<unknown>/{aim}")
    }
}
