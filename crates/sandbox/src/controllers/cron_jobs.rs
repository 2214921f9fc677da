//! CronJobs: a Job at each time of a schedule.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Plain;
use super::conditions;
use super::decision::{Decision, Write};
use super::deployments::owner_of;
use super::jobs::has_ended;
use super::schedule::Schedule;
use super::template::owner_reference;
use super::view::{Place, View, is_leaving, time};
use crate::clock::stamp;
use crate::kinds::fields::{flag, items, text};

const CRON_JOBS: &str = "cronjobs.batch";
const JOBS: &str = "jobs.batch";
const COMPONENT: &str = "cronjob-controller";

/// How many missed times are gone through before they are given up.
const MISSED: usize = 100;

pub const CONTROLLER: Plain = Plain {
    manager: COMPONENT,
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        CRON_JOBS => vec![place.clone()],
        JOBS => owner_of(view, object, CRON_JOBS, "CronJob"),
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let mut decision = Decision::nothing();
    let Some(cron) = view.at(place) else {
        return decision;
    };
    if is_leaving(cron) {
        return decision;
    }
    let jobs = view.controlled(JOBS, cron);
    let mut status = status(cron, &jobs, &mut decision);
    forget(cron, &jobs, &mut decision);
    if !flag(&cron["spec"], "suspend") {
        run(cron, &jobs, view, &mut status, &mut decision);
    }
    decision.status(CRON_JOBS, cron, status);
    decision
}

/// The active Jobs, and when the last one succeeded.
fn status(cron: &Value, jobs: &[&Value], decision: &mut Decision) -> Value {
    let mut status = cron["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let active: Vec<Value> = jobs
        .iter()
        .filter(|job| !has_ended(job))
        .map(|job| reference(job))
        .collect();
    for old in items(&cron["status"], "active") {
        let job = jobs
            .iter()
            .find(|job| job["metadata"]["uid"] == old["uid"])
            .filter(|job| has_ended(job));
        if let Some(job) = job {
            let outcome = if conditions::is(&job["status"], "Complete", "True") {
                "Complete"
            } else {
                "Failed"
            };
            let message = format!(
                "Saw completed job: {}, condition: {outcome}",
                text(&job["metadata"], "name")
            );
            decision.tell(COMPONENT, cron, "SawCompletedJob", message);
        }
    }
    match active.is_empty() {
        true => crate::kinds::fields::remove(&mut status, "active"),
        false => status["active"] = active.into(),
    }
    let successes = jobs
        .iter()
        .filter_map(|job| time(&job["status"], "completionTime"));
    if let Some(last) = successes.max() {
        status["lastSuccessfulTime"] = stamp(last).into();
    }
    status
}

/// Deletes the oldest Jobs that have ended, beyond the limits.
fn forget(cron: &Value, jobs: &[&Value], decision: &mut Decision) {
    for (kind, limit) in [
        ("Complete", "successfulJobsHistoryLimit"),
        ("Failed", "failedJobsHistoryLimit"),
    ] {
        let Some(limit) = cron["spec"][limit]
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok())
        else {
            continue;
        };
        let mut ended: Vec<&&Value> = jobs
            .iter()
            .filter(|job| conditions::is(&job["status"], kind, "True") && !is_leaving(job))
            .collect();
        ended.sort_by_key(|job| time(&job["status"], "startTime"));
        let surplus = ended.len().saturating_sub(limit);
        for job in ended.into_iter().take(surplus) {
            decision.delete(JOBS, job);
            let message = format!("Deleted job {}", text(&job["metadata"], "name"));
            decision.tell(COMPONENT, cron, "SuccessfulDelete", message);
        }
    }
}

fn run(cron: &Value, jobs: &[&Value], view: &View, status: &mut Value, decision: &mut Decision) {
    let spec = &cron["spec"];
    let zone = match text(spec, "timeZone") {
        "" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    let Ok(schedule) = Schedule::parse(text(spec, "schedule")) else {
        let message = format!("unparseable schedule: {}", text(spec, "schedule"));
        return decision.warn(COMPONENT, cron, "UnparseableSchedule", message);
    };
    if let Some(next) = schedule.after(view.now, &zone) {
        decision.look_at(next);
    }
    let Some(due) = last_due(cron, &schedule, &zone, view.now) else {
        return;
    };
    let late = spec["startingDeadlineSeconds"]
        .as_i64()
        .map(SignedDuration::from_secs);
    if late.is_some_and(|limit| due.checked_add(limit).is_ok_and(|limit| limit < view.now)) {
        return;
    }
    let active: Vec<&&Value> = jobs.iter().filter(|job| !has_ended(job)).collect();
    match text(spec, "concurrencyPolicy") {
        "Forbid" if !active.is_empty() => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            return decision.tell(COMPONENT, cron, "JobAlreadyActive", message.to_owned());
        }
        "Replace" => active.iter().for_each(|job| decision.delete(JOBS, job)),
        _ => {}
    }
    let job = job(cron, due);
    let name = text(&job["metadata"], "name").to_owned();
    status["lastScheduleTime"] = stamp(due).into();
    if jobs.iter().any(|job| text(&job["metadata"], "name") == name) {
        return;
    }
    decision.push(Write::Create(JOBS, job));
    decision.tell(COMPONENT, cron, "SuccessfulCreate", format!("Created job {name}"));
}

/// The last time of the schedule that has come, and for which nothing has run yet.
fn last_due(cron: &Value, schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let last =
        time(&cron["status"], "lastScheduleTime").or_else(|| time(&cron["metadata"], "creationTimestamp"))?;
    let mut due = None;
    let mut after = last;
    for _ in 0..MISSED {
        match schedule.after(after, zone).filter(|next| *next <= now) {
            Some(next) => (due, after) = (Some(next), next),
            None => return due,
        }
    }
    // Too many were missed: only the one that comes now is worth anything.
    let minute = SignedDuration::from_mins(1);
    schedule
        .after(now.checked_sub(minute).ok()?, zone)
        .filter(|next| *next <= now)
}

fn job(cron: &Value, due: Timestamp) -> Value {
    let template = &cron["spec"]["jobTemplate"];
    let metadata = &cron["metadata"];
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            // The minute makes the name: whoever tries twice makes the same Job.
            "name": format!("{}-{}", text(metadata, "name"), due.as_second() / 60),
            "namespace": metadata["namespace"],
            "ownerReferences": [owner_reference(cron)],
            "annotations": template["metadata"]["annotations"],
            "labels": template["metadata"]["labels"],
        },
        "spec": template["spec"],
    });
    job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] = stamp(due).into();
    job
}

fn reference(job: &Value) -> Value {
    let metadata = &job["metadata"];
    json!({
        "kind": "Job", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"],
        "apiVersion": "batch/v1", "resourceVersion": metadata["resourceVersion"],
    })
}
