//! `gitsync suspend` and `gitsync resume`: an environment left alone, by a file in git.

use jiff::Timestamp;

use super::context::{Context, env_name};
use super::edit::{self, EditArgs, Wish};
use super::failure::{Answer, Failure, Kind};
use super::rollback::now;
use super::ui::Ui;
use crate::config::duration::Duration as Span;
use crate::config::orders::{SUSPENSION_FILE, SuspensionSpec, to_text};
use crate::model::{CommitMessage, Edit};

/// Arguments of `gitsync suspend`.
#[derive(Debug, clap::Args)]
pub struct SuspendArgs {
    /// Environment to leave alone
    #[arg(value_name = "ENV")]
    pub env: String,
    /// Why, for whoever finds it suspended
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// When it ends by itself: a time (2026-01-31T18:00:00Z) or a duration from now (2h)
    #[arg(long, value_name = "TIME|DURATION", value_parser = until)]
    pub until: Option<Timestamp>,
    #[command(flatten)]
    edit: EditArgs,
}

/// Arguments of `gitsync resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Environment to take care of again
    #[arg(value_name = "ENV")]
    pub env: String,
    #[command(flatten)]
    edit: EditArgs,
}

/// Commits a suspension: nothing is applied, drift stays, nothing is promoted to the environment or from it.
///
/// # Errors
///
/// When there is no such environment, or the push is refused.
pub async fn suspend(ui: &mut Ui, context: &Context, args: &SuspendArgs) -> Result<Answer, Failure> {
    let name = env_name(&args.env)?;
    if args.until.is_some_and(|until| until <= Timestamp::now()) {
        return Err(Failure::usage("--until is in the past"));
    }
    let spec = SuspensionSpec {
        reason: args.reason.clone(),
        by: Some(context.identity().name),
        until: args.until,
    };
    let comment =
        "gitsync leaves this environment alone as long as this file is here; gitsync resume removes it.";
    let text =
        to_text("Suspension", &name, comment, &spec).map_err(|error| Failure::new(Kind::Bug, error))?;
    let (spec, text) = (&spec, text.as_bytes());
    edit::push(ui, context, &args.edit, |tip| async move {
        let dir = tip.environment_dir(&args.env)?;
        let mut edit = Edit::default();
        edit.files
            .insert(format!("{dir}/{SUSPENSION_FILE}"), text.to_vec());
        let until = spec
            .until
            .map(|until| format!(" until {until}"))
            .unwrap_or_default();
        Ok(wish(
            &args.env,
            dir,
            edit,
            (
                "Gitsync-Suspend",
                format!("Suspend {}{until}", args.env),
                &args.reason,
            ),
            format!("{} is {spec}", args.env),
        ))
    })
    .await
}

/// Commits the end of a suspension.
///
/// # Errors
///
/// When there is no such environment, or the push is refused.
pub async fn resume(ui: &mut Ui, context: &Context, args: &ResumeArgs) -> Result<Answer, Failure> {
    edit::push(ui, context, &args.edit, |tip| async move {
        let dir = tip.environment_dir(&args.env)?;
        let mut edit = Edit::default();
        edit.removed.insert(format!("{dir}/{SUSPENSION_FILE}"));
        let message = ("Gitsync-Resume", format!("Resume {}", args.env), "");
        let done = format!("{} is taken care of again", args.env);
        Ok(Wish {
            idle: format!("{} is not suspended; nothing changed", args.env),
            ..wish(&args.env, dir, edit, message, done)
        })
    })
    .await
}

fn wish(environment: &str, dir: String, edit: Edit, message: (&str, String, &str), done: String) -> Wish {
    let (trailer, subject, body) = message;
    Wish {
        environment: environment.to_owned(),
        dir,
        edit,
        message: CommitMessage {
            subject,
            body: body.to_owned(),
            trailers: vec![(trailer.to_owned(), environment.to_owned())],
        },
        idle: format!("{done}, already; nothing changed"),
        done,
    }
}

fn until(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || "expected a time like 2026-01-31T18:00:00Z or a duration like 2h".to_owned();
    let span: Span = text.parse().map_err(|_| wrong())?;
    now().checked_add(span.get()).map_err(|_| wrong())
}
