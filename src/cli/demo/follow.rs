//! Following: rows that move until what they are about has come to its end.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Stop;
use super::acts::{APP, Story};
use super::screen::Row;
use crate::cli::failure::Failure;
use crate::model::trailer;
use crate::report::board::{Board, CheckView, EnvironmentView, HistoryView, VerificationView};

/// How often a row is drawn.
const FRAME: Duration = Duration::from_millis(80);

/// How long anything may take; many times what it does.
const LIMIT: Duration = Duration::from_secs(60);

/// What a look came to.
pub enum Look<T> {
    /// It has come to its end.
    Done(T),
    /// It goes on.
    Going(Row),
}

/// How many pods of a Deployment run what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// That many run the image and are ready.
    pub done: u64,
    /// That many were asked for.
    pub wanted: u64,
    /// Whether nothing else runs any more.
    pub complete: bool,
}

impl Story<'_, '_> {
    /// Looks until it is done, drawing a row meanwhile.
    pub async fn follow<T>(
        &mut self,
        mut look: impl FnMut(&Board) -> Look<T>,
    ) -> Result<(T, Duration), Stop> {
        let began = Instant::now();
        let mut changes = self.stage.hub.changes();
        loop {
            let board = self.stage.hub.board();
            let row = match look(&board) {
                Look::Done(value) => return Ok((value, began.elapsed())),
                Look::Going(row) => row,
            };
            self.screen.moving(&row)?;
            if began.elapsed() > LIMIT {
                return Err(late(&board, &row).into());
            }
            tokio::select! {
                () = self.stage.cancel.cancelled() => return Err(Stop::Interrupted),
                _ = changes.changed() => {}
                () = tokio::time::sleep(FRAME) => {}
            }
        }
    }

    /// Until an environment's cluster has what a commit asks for.
    pub async fn applied(&mut self, environment: &str, revision: &str) -> Result<(), Stop> {
        let short = &revision[..revision.len().min(8)];
        let (objects, took) = self
            .follow(|board| {
                let view = board.environment(environment);
                match view.filter(|view| view.synced.as_deref() == Some(revision)) {
                    Some(view) => Look::Done(view.resources.len()),
                    None => Look::Going(Row::new(environment, "applies", format!("commit {short}"))),
                }
            })
            .await?;
        let row = Row::new(
            environment,
            "applied",
            format!("commit {short}, {objects} objects"),
        );
        self.screen.ended(true, &row, took)
    }

    /// Until all pods of the application run an image.
    pub async fn rolled_out(&mut self, environment: &str, tag: &str) -> Result<(), Stop> {
        let client = self.stage.cluster(environment).client("demo");
        let row = |rollout: Rollout| Row {
            share: Some(rollout.done as f64 / rollout.wanted.max(1) as f64),
            ..Row::new(
                environment,
                "rollout",
                format!("{} of {} pods run {tag}", rollout.done, rollout.wanted),
            )
        };
        let (rollout, took) = self
            .follow(|_| {
                let live = client.get("deployments.apps", APP, APP).unwrap_or_default();
                match rollout(&live, tag) {
                    rollout if rollout.complete => Look::Done(rollout),
                    rollout => Look::Going(row(rollout)),
                }
            })
            .await?;
        self.screen.ended(true, &row(rollout), took)
    }

    /// Until the gates of a commit in staging have a verdict.
    pub async fn verified(&mut self, revision: &str) -> Result<VerificationView, Stop> {
        let (verification, took) = self
            .follow(|board| {
                let staging = board.environment("staging");
                match staging.and_then(|view| verdict(view, revision)) {
                    Some(verification) => Look::Done(verification),
                    None => Look::Going(check_row(staging.and_then(|view| view.check.as_ref()))),
                }
            })
            .await?;
        let board = self.stage.hub.board();
        let check = board.environment("staging").and_then(|view| view.check.clone());
        let requests = check.map_or(0, |check| check.requests);
        let passed = verification.verdict == "passed";
        let figure = verification.figures.first().map(|figure| short_figure(figure));
        let text = format!("{requests} requests, {}", figure.unwrap_or_default());
        self.screen
            .ended(passed, &Row::new("staging", "load check", text), took)?;
        Ok(verification)
    }

    /// Until git has a promotion that it had not before.
    pub async fn promoted(&mut self) -> Result<HistoryView, Stop> {
        let before = self.promotions;
        let (promotion, took) = self
            .follow(|board| {
                let mut promotions = board.history.iter().filter(|past| past.has(trailer::EVIDENCE));
                let count = promotions.clone().count();
                let newest = promotions.next().filter(|_| count > before);
                newest.map_or_else(
                    || Look::Going(Row::new("git", "promotes", "the next environment's overlay")),
                    |newest| Look::Done(HistoryView::clone(newest)),
                )
            })
            .await?;
        self.promotions += 1;
        let commit = &promotion.commit;
        let subject = commit.subject.strip_prefix("Promote ").unwrap_or(&commit.subject);
        let text = format!("{} {subject}", &commit.revision[..8]);
        self.screen
            .ended(true, &Row::new("git", "promoted", text), took)?;
        Ok(promotion)
    }
}

/// Why the story does not go on.
fn late(board: &Board, row: &Row) -> Failure {
    let environments = board.environments.iter();
    let says: Vec<String> = environments
        .map(|view| format!("\n  {}: {}: {}", view.name, view.state.word(), view.message))
        .collect();
    Failure::unreachable(format!(
        "nothing came of `{} {}: {}` in {} s; the environments say{}",
        row.place,
        row.what,
        row.text,
        LIMIT.as_secs(),
        says.concat()
    ))
}

/// The verdict on a commit; a void one is none, the gates run again.
fn verdict(view: &EnvironmentView, revision: &str) -> Option<VerificationView> {
    let mut found = view.verifications.iter();
    let is_it = |one: &&VerificationView| one.revision == revision && one.verdict != "void";
    found.find(is_it).cloned()
}

fn check_row(check: Option<&CheckView>) -> Row {
    let Some(check) = check.filter(|check| check.running) else {
        return Row::new("staging", "load check", "begins");
    };
    let p90 = check
        .latency
        .last()
        .map(|last| format!(", p(90) {:.0} ms", last.p90_millis));
    Row {
        share: Some(check.elapsed_seconds / check.duration_seconds.max(0.1)),
        ..Row::new(
            "staging",
            "load check",
            format!(
                "{} users, {} requests{}",
                check.vus,
                check.requests,
                p90.unwrap_or_default()
            ),
        )
    }
}

/// A figure without the name of the check and of the metric that everybody means.
fn short_figure(figure: &str) -> String {
    let figure = figure.split_once(": ").map_or(figure, |(_, figure)| figure);
    figure
        .strip_prefix("http_req_duration ")
        .unwrap_or(figure)
        .to_owned()
}

/// How far a Deployment is with an image.
pub fn rollout(live: &Value, tag: &str) -> Rollout {
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let image = live
        .pointer("/spec/template/spec/containers/0/image")
        .and_then(Value::as_str);
    let wanted = number("/spec/replicas");
    let is_asked = image.is_some_and(|image| image.ends_with(&format!(":{tag}")));
    let is_seen = number("/status/observedGeneration") >= number("/metadata/generation");
    if !is_asked || !is_seen {
        return Rollout {
            done: 0,
            wanted,
            complete: false,
        };
    }
    let (all, updated) = (number("/status/replicas"), number("/status/updatedReplicas"));
    let available = number("/status/availableReplicas");
    // Old pods are available too until they are gone.
    let done = updated.min(available.saturating_sub(all.saturating_sub(updated)));
    Rollout {
        done,
        wanted,
        complete: wanted > 0 && done == wanted && all == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_pods_of_the_image_count() {
        let mk = |image: &str, seen: u64, all: u64, updated: u64, available: u64| {
            json!({"metadata": {"generation": 2},
                "spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": image}]}}},
                "status": {"observedGeneration": seen, "replicas": all, "updatedReplicas": updated, "availableReplicas": available}})
        };
        for (name, live, done, complete) in [
            ("another image", mk("app:old", 2, 3, 3, 3), 0, false),
            ("not seen yet", mk("app:new", 1, 3, 3, 3), 0, false),
            ("old ones are available", mk("app:new", 2, 4, 1, 3), 0, false),
            ("half way", mk("app:new", 2, 4, 2, 4), 2, false),
            ("an old one is left", mk("app:new", 2, 4, 3, 4), 3, false),
            ("complete", mk("app:new", 2, 3, 3, 3), 3, true),
            ("nothing is there", json!(null), 0, false),
        ] {
            let rollout = rollout(&live, "new");
            assert_eq!((rollout.done, rollout.complete), (done, complete), "{name}");
        }
    }

    #[test]
    fn a_figure_says_what_it_is_about_once() {
        assert_eq!(
            short_figure("acceptance: http_req_duration p(90)<600 = 6.13"),
            "p(90)<600 = 6.13"
        );
        assert_eq!(
            short_figure("acceptance: checks rate==1 = 1.00"),
            "checks rate==1 = 1.00"
        );
    }
}
