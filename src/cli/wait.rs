//! `gitsync wait`: CI follows what it committed until it is healthy in an environment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::{Checkout, Context, cluster_failure, env_name, head_failure};
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;
use crate::config::duration::Duration as Span;
use crate::config::repository::{Config, Environment};
use crate::model::{EnvName, ImageRef, Revision};
use crate::problem::Problems;
use crate::promote::follow::{Reached, Stage, judge};
use crate::reconcile::feed::fetch_head;
use crate::record::{Phase, Record};
use crate::report::findings::data;
use crate::report::paint::{Paint, Tone};
use crate::source::Snapshot;
use crate::world::remote::Remote;

/// Arguments of `gitsync wait`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["image", "commit"])))]
pub struct WaitArgs {
    /// Environment that it has to arrive in
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: String,
    /// Image to follow, with its tag or digest
    #[arg(long, value_name = "IMAGE:TAG")]
    pub image: Option<ImageRef>,
    /// Commit of the repository to follow, by the beginning of its id
    #[arg(long, value_name = "REV")]
    pub commit: Option<String>,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    pub timeout: Span,
    /// Say a failure also in the form that a CI system shows beside the build
    #[arg(long, value_enum, value_name = "SYSTEM")]
    pub annotate: Option<Annotate>,
}

/// CI systems that read annotations from a job's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Annotate {
    /// A workflow command of GitHub Actions.
    Github,
    /// A line that Jenkins' console and its warnings plugin recognise.
    Jenkins,
}

/// What is followed.
enum Goal {
    Image(ImageRef),
    Commit(Revision),
}

const INTERVAL: Duration = Duration::from_secs(2);
const LOG_LINES: i64 = 20;
const HISTORY_LIMIT: usize = 10_000;

/// Waits until it is there, has failed on the way, or something newer took its place.
///
/// # Errors
///
/// When git or the configuration cannot be used, and at the timeout (exit code 3). Failed is the answer no, superseded
/// exit code 5.
pub async fn wait(ui: &mut Ui, context: &Context, args: &WaitArgs) -> Result<Answer, Failure> {
    let name = env_name(&args.env)?;
    let remote = context.remote()?;
    let goal = goal(&remote, args).await?;
    let begin = tokio::time::Instant::now();
    let deadline = begin + args.timeout.get();
    let mut told = String::new();
    loop {
        let head = fetch_head(&remote).await.map_err(head_failure)?;
        let checkout = Checkout::of_remote(head, remote.clone());
        let way = way(checkout.config(), &name)?;
        let stages = look(context, &checkout, &remote, &way, &goal).await?;
        let text = match judge(&stages) {
            Reached::There => {
                ui.clear();
                return ui.print(&format!("{} runs in {name}, healthy\n", goal.told()));
            }
            Reached::Failed { stage, reason } => {
                ui.clear();
                let environment = way.iter().find(|environment| environment.name.as_str() == stage);
                tell_failure(ui, context, &checkout, args, environment.copied(), &reason).await?;
                return Ok(Answer::No);
            }
            Reached::Superseded(why) => {
                ui.clear();
                let text = format!("{} was superseded: {why}", goal.told());
                annotate(ui, args.annotate, "warning", &text)?;
                let failure = Failure::new(Kind::Superseded, text);
                return Err(match &goal {
                    Goal::Image(_) => failure.hint("an image that no commit asks for yet counts as superseded too: `gitsync image set` first"),
                    Goal::Commit(_) => failure,
                });
            }
            Reached::Waiting(text) => text,
        };
        ui.live(&progress(&stages, begin.elapsed(), ui.width(), ui.story_paint()));
        if text != told && !ui.is_live() {
            ui.story(&text);
        }
        told = text;
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => {
                ui.clear();
                let text = format!("{} is not in {name} after {}: {told}", goal.told(), args.timeout);
                annotate(ui, args.annotate, "error", &text)?;
                return Err(Failure::unreachable(text).hint(format!("gitsync why {name}")));
            }
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// One line for a terminal: how long it took, and how far each stage is; what the last of them waits for has the room
/// that is left.
fn progress(stages: &[Stage], elapsed: Duration, width: usize, paint: Paint) -> String {
    let seconds = elapsed.as_secs();
    let mut line = format!("{}:{:02}", seconds / 60, seconds % 60);
    let mut length = line.chars().count();
    for stage in stages {
        let (mark, tone) = match (stage.there, stage.phase) {
            (None, _) => ("?", Tone::Bad),
            (Some(false), _) => ("·", Tone::Dim),
            (Some(true), Some(Phase::Synced)) => ("✓", Tone::Good),
            (Some(true), Some(Phase::Failed)) => ("✗", Tone::Bad),
            (Some(true), _) => ("…", Tone::Warn),
        };
        let waits = mark != "✓" && mark != "·";
        let text = if waits && !stage.message.is_empty() {
            format!("{}: {}", stage.name, stage.message)
        } else {
            stage.name.clone()
        };
        // A line that wraps could not be rewritten.
        let room = width.saturating_sub(length + 5);
        let text: String = text
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(room)
            .collect();
        if text.is_empty() {
            break;
        }
        length += 4 + text.chars().count();
        line = format!("{line}  {} {text}", paint.tone(tone, mark));
    }
    line
}

async fn goal(remote: &Remote, args: &WaitArgs) -> Result<Goal, Failure> {
    if let Some(image) = &args.image {
        if image.tag.is_none() && image.digest.is_none() {
            return Err(Failure::usage(format!(
                "`{image}` has neither a tag nor a digest"
            )));
        }
        return Ok(Goal::Image(image.clone()));
    }
    let text = args.commit.as_deref().unwrap_or_default();
    let tip = remote.fetch().await?.revision;
    let history = remote.history(&tip, None, HISTORY_LIMIT).await?;
    let mut found = history
        .iter()
        .filter(|commit| commit.revision.as_str().starts_with(text));
    match (found.next(), found.next()) {
        (Some(commit), None) if text.len() >= 4 => Ok(Goal::Commit(commit.revision.clone())),
        (Some(_), _) => Err(Failure::usage(format!(
            "`{text}` is the beginning of several commits"
        ))),
        (None, _) => Err(Failure::usage(format!(
            "no commit of the branch begins with `{text}`"
        ))),
    }
}

/// The environments from where everything begins to the one that is waited for.
fn way<'a>(config: &'a Config, name: &EnvName) -> Result<Vec<&'a Environment>, Failure> {
    let environment = |name: &EnvName| {
        config
            .environment(name.as_str())
            .map_err(|problem| Failure::usage(Problems::from(problem)))
    };
    let mut way = vec![environment(name)?];
    while let Some(promotion) = config.promotion_to(&way[0].name) {
        way.insert(0, environment(&promotion.from)?);
    }
    Ok(way)
}

async fn look(
    context: &Context,
    checkout: &Checkout,
    remote: &Remote,
    way: &[&Environment],
    goal: &Goal,
) -> Result<Vec<Stage>, Failure> {
    let mut stages = Vec::new();
    for environment in way {
        let record = match context.cluster(environment).await {
            Ok(cluster) => cluster
                .read_record(&environment.name)
                .await
                .map_err(cluster_failure),
            Err(failure) => Err(failure),
        };
        let wanted = goal.is_wanted(checkout, remote, environment).await?;
        let name = environment.name.to_string();
        stages.push(match record {
            Ok(stored) => {
                let receives = checkout
                    .config()
                    .promotion_to(&environment.name)
                    .map(|_| environment.dir.as_str());
                let status = stored.record.status.as_ref();
                Stage {
                    name,
                    wanted,
                    there: Some(goal.is_there(remote, &stored.record, receives).await),
                    phase: status.map(|status| status.phase),
                    message: status.map(|status| status.message.clone()).unwrap_or_default(),
                }
            }
            Err(failure) => Stage {
                name,
                wanted,
                there: None,
                phase: None,
                message: failure.to_string(),
            },
        });
    }
    Ok(stages)
}

async fn tell_failure(
    ui: &mut Ui,
    context: &Context,
    checkout: &Checkout,
    args: &WaitArgs,
    environment: Option<&Environment>,
    reason: &str,
) -> Result<(), Failure> {
    let Some(environment) = environment else {
        return Ok(());
    };
    let text = format!("{}: {reason}", environment.name);
    ui.error(&text, &[format!("gitsync why {}", environment.name)]);
    let namespaces: BTreeMap<String, ()> = match checkout.render(environment).await {
        Ok(desired) => desired
            .objects
            .iter()
            .map(|object| (object.namespace().to_owned(), ()))
            .collect(),
        Err(_) => BTreeMap::new(),
    };
    if let Ok(cluster) = context.cluster(environment).await {
        for namespace in namespaces.keys().filter(|namespace| !namespace.is_empty()) {
            for last in cluster.last_lines(namespace, LOG_LINES).await.unwrap_or_default() {
                ui.story(&format!("last lines of {}:", last.source));
                last.lines.iter().for_each(|line| ui.story(&format!("  {line}")));
            }
        }
    }
    annotate(ui, args.annotate, "error", &text)
}

fn annotate(ui: &mut Ui, system: Option<Annotate>, level: &str, text: &str) -> Result<(), Failure> {
    let line = match system {
        None => return Ok(()),
        Some(Annotate::Github) => format!("::{level} title=gitsync::{}\n", data(text)),
        Some(Annotate::Jenkins) => format!(
            "[{}] gitsync: {}\n",
            level.to_uppercase(),
            text.replace('\n', " ")
        ),
    };
    ui.print(&line).map(|_| ())
}

// === impl Goal ===

impl Goal {
    fn told(&self) -> String {
        match self {
            Self::Image(image) => image.to_string(),
            Self::Commit(revision) => format!("commit {}", revision.short()),
        }
    }

    /// Whether git asks for it at the tip.
    async fn is_wanted(
        &self,
        checkout: &Checkout,
        remote: &Remote,
        environment: &Environment,
    ) -> Result<bool, Failure> {
        match self {
            Self::Image(image) => Ok(match checkout.render(environment).await {
                Ok(desired) => desired.images().iter().any(|found| is_image(image, found)),
                // What cannot be rendered asks for nothing; the environment's own status says why.
                Err(_) => false,
            }),
            Self::Commit(commit) => {
                let tip = checkout.head.snapshot.revision();
                Ok(remote.is_ancestor(commit, tip).await?)
            }
        }
    }

    /// Whether the record of an environment is about it; `receives` is the directory of one that promotions lead to.
    async fn is_there(&self, remote: &Remote, record: &Record, receives: Option<&str>) -> bool {
        match self {
            Self::Image(image) => record
                .status
                .as_ref()
                .is_some_and(|status| status.images.iter().any(|found| is_image(image, found))),
            Self::Commit(commit) => {
                let contains =
                    async |revision: &Revision| remote.is_ancestor(commit, revision).await.unwrap_or(false);
                let synced = record.synced.as_ref();
                let Some(way) = receives else {
                    let seen = record.status.as_ref().and_then(|status| status.revision.as_ref());
                    return match seen {
                        Some(revision) => contains(revision).await,
                        None => false,
                    };
                };
                let Some(synced) = synced else { return false };
                // Its own overlay is read at the tip; all else has to be proved first, unless the commit has it already.
                contains(&synced.revision).await
                    && (contains(&synced.shared).await
                        || same_outside(remote, commit, &synced.shared, way).await)
            }
        }
    }
}

/// Whether two commits have the same files outside a directory.
async fn same_outside(remote: &Remote, one: &Revision, two: &Revision, dir: &str) -> bool {
    let (Ok(one), Ok(two)) = (remote.snapshot(one).await, remote.snapshot(two).await) else {
        return false;
    };
    // What lies beside the way down to the directory.
    let beside = |snapshot: &Snapshot| {
        let (mut above, mut found) = (String::new(), Vec::new());
        for name in dir.split('/') {
            let others = snapshot
                .tree()
                .list(&above)
                .into_iter()
                .filter(|other| other != name);
            let paths = others.map(|other| join(&above, &other));
            found.extend(paths.map(|path| (snapshot.tree_id(&path), path)));
            above = join(&above, name);
        }
        found
    };
    beside(&one) == beside(&two)
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() {
        name.to_owned()
    } else {
        format!("{above}/{name}")
    }
}

/// Whether a text names the image; a tag or digest that is not asked about may be anything.
fn is_image(wanted: &ImageRef, text: &str) -> bool {
    text.parse::<ImageRef>().is_ok_and(|found| {
        found.repository == wanted.repository
            && (wanted.tag.is_none() || found.tag == wanted.tag)
            && (wanted.digest.is_none() || found.digest == wanted.digest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_stage(name: &str, there: Option<bool>, phase: Phase) -> Stage {
        Stage {
            name: name.into(),
            wanted: true,
            there,
            phase: Some(phase),
            message: "Deployment.apps shop/web: 2 of 3 replicas updated".into(),
        }
    }

    #[test]
    fn the_line_shows_every_stage_and_never_wraps() {
        let stages = [
            mk_stage("staging", Some(true), Phase::Synced),
            mk_stage("prod", Some(true), Phase::Progressing),
            mk_stage("dr", Some(false), Phase::Synced),
        ];
        let line = |width| progress(&stages, Duration::from_secs(83), width, Paint::default());
        assert_eq!(
            line(100),
            "1:23  ✓ staging  … prod: Deployment.apps shop/web: 2 of 3 replicas updated  · dr"
        );
        for width in 10..100 {
            assert!(line(width).chars().count() < width, "{width}: {}", line(width));
        }
    }
}
