//! `gitsync image set`: the one-line edit that CI makes, committed and pushed.

use std::time::Duration;

use kustomize::edit::{self, NewImage};

use super::Output;
use super::context::{Checkout, Context, head_failure};
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;
use crate::config::repository::Environment;
use crate::model::{CommitMessage, Edit, ImageRef};
use crate::problem::Problems;
use crate::promote::overlay::{ImageChange, edit_problem, kustomization, resolve};
use crate::reconcile::feed::fetch_head;
use crate::world::git::PushError;

/// Arguments of `gitsync image`.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImageCommand {
    /// Set the image of an environment's overlay
    Set(SetArgs),
}

/// Arguments of `gitsync image set`.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// NAME is a container's, or a name in the overlay's `images:`; IMAGE:TAG (or IMAGE@DIGEST) what it becomes
    #[arg(required = true, value_name = "NAME=IMAGE:TAG")]
    pub images: Vec<String>,
    /// Environment to change
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: String,
    /// Commit on top of the remote branch and push, with retries when it moves; otherwise only the file is changed
    #[arg(long)]
    pub push: bool,
    /// Commit subject; by default it names the images
    #[arg(short, long, value_name = "TEXT", requires = "push")]
    pub message: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// How often a moved branch is tried again.
const TRIES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Runs `gitsync image …`.
///
/// # Errors
///
/// When the environment or the image is not there, the overlay cannot be edited safely, or the push is refused.
pub async fn image(ui: &mut Ui, context: &Context, args: &ImageArgs) -> Result<Answer, Failure> {
    let ImageCommand::Set(args) = &args.command;
    let changes = args
        .images
        .iter()
        .map(|text| parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    if args.push {
        push(ui, context, args, &changes).await
    } else {
        write(ui, context, args, &changes).await
    }
}

/// Reads `NAME=IMAGE:TAG`.
fn parse(text: &str) -> Result<ImageChange, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("`{text}`: {why}"))
            .hint("write NAME=IMAGE:TAG, for example web=team/web:0a1b2c3d")
    };
    let (name, image) = text
        .split_once('=')
        .ok_or_else(|| wrong("there is no `=`".to_owned()))?;
    let image: ImageRef = image.parse().map_err(|error| wrong(format!("{error}")))?;
    if name.is_empty() || (image.tag.is_none() && image.digest.is_none()) {
        return Err(wrong("a name and a tag or digest are needed".to_owned()));
    }
    Ok(ImageChange {
        name: name.to_owned(),
        image,
    })
}

async fn write(
    ui: &mut Ui,
    context: &Context,
    args: &SetArgs,
    changes: &[ImageChange],
) -> Result<Answer, Failure> {
    if context.args.repo.is_some() {
        return Err(Failure::usage(
            "without --push, the file of the working copy is changed; --repo names another repository",
        ));
    }
    let checkout = context.checkout().await?;
    let environment = environment(&checkout, &args.env)?;
    let edit = edit_of(&checkout, environment, changes).await?;
    for (path, content) in &edit.files {
        checkout.write(path, content)?;
        ui.story(&format!("changed {path}"));
    }
    answer(ui, args, environment, &edit, None)
}

async fn push(
    ui: &mut Ui,
    context: &Context,
    args: &SetArgs,
    changes: &[ImageChange],
) -> Result<Answer, Failure> {
    let remote = context.remote()?;
    let identity = context.identity();
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let head = fetch_head(&remote).await.map_err(head_failure)?;
        let checkout = Checkout::of_remote(head, remote.clone());
        let environment = environment(&checkout, &args.env)?;
        let edit = edit_of(&checkout, environment, changes).await?;
        let message = message(args, environment, changes);
        let base = checkout.head.snapshot.revision();
        match remote
            .commit_and_push(base, &edit, &message, &identity, &environment.dir)
            .await
        {
            Ok(Some(pushed)) => {
                ui.story(&format!(
                    "pushed {} to {}",
                    pushed.revision.short(),
                    remote.git().branch()
                ));
                return answer(ui, args, environment, &edit, Some(pushed.revision.as_str()));
            }
            Ok(None) => return answer(ui, args, environment, &Edit::default(), None),
            Err(error) if error.retryable() && attempt < TRIES => {
                ui.story(&format!("{error}; trying again"));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(push_failure(error)),
        }
    }
    Ok(Answer::Yes)
}

/// A push that did not go through, at the edge.
pub fn push_failure(error: PushError) -> Failure {
    let kind = match &error {
        PushError::Rejected { .. } | PushError::Outside { .. } => Kind::Refused,
        PushError::Denied(_) => Kind::Usage,
        other if other.retryable() => Kind::Unreachable,
        _ => Kind::Usage,
    };
    Failure::new(kind, error)
}

fn environment<'a>(checkout: &'a Checkout, name: &str) -> Result<&'a Environment, Failure> {
    checkout
        .config()
        .environment(name)
        .map_err(|problem| Failure::usage(Problems::from(problem)))
}

async fn edit_of(
    checkout: &Checkout,
    environment: &Environment,
    changes: &[ImageChange],
) -> Result<Edit, Failure> {
    let (path, before) = kustomization(&checkout.head.snapshot, &environment.dir).map_err(Failure::usage)?;
    // A container's name is looked up in what is rendered; the overlay may be set without that, too.
    let desired = checkout.render(environment).await.ok();
    let objects = desired.map(|desired| desired.objects).unwrap_or_default();
    let mut text = before.clone();
    for change in changes {
        let in_file = |error: edit::EditError| edit_problem(&path, &error);
        let entries = edit::images(&text)
            .map_err(in_file)
            .map_err(|problem| Failure::usage(Problems::from(problem)))?;
        let (name, image): (String, NewImage) = resolve(change, &entries, &objects, &path)
            .map_err(|problem| Failure::usage(Problems::from(problem)))?;
        text = edit::set_image(&text, &name, &image)
            .map_err(in_file)
            .map_err(|problem| Failure::usage(Problems::from(problem)))?;
    }
    let mut edit = Edit::default();
    if text != before {
        edit.files.insert(path, text.into_bytes());
    }
    Ok(edit)
}

fn message(args: &SetArgs, environment: &Environment, changes: &[ImageChange]) -> CommitMessage {
    let images: Vec<String> = changes.iter().map(|change| change.image.to_string()).collect();
    let short: Vec<&str> = images
        .iter()
        .map(|image| image.rsplit('/').next().unwrap_or(image))
        .collect();
    CommitMessage {
        subject: args
            .message
            .clone()
            .unwrap_or_else(|| format!("Set {} in {}", short.join(", "), environment.name)),
        body: String::new(),
        trailers: images
            .into_iter()
            .map(|image| ("Gitsync-Image".to_owned(), image))
            .collect(),
    }
}

fn answer(
    ui: &mut Ui,
    args: &SetArgs,
    environment: &Environment,
    edit: &Edit,
    revision: Option<&str>,
) -> Result<Answer, Failure> {
    let changed = !edit.files.is_empty();
    let text = match args.output {
        Output::Json => format!(
            "{:#}\n",
            serde_json::json!({"environment": environment.name, "changed": changed, "files": edit.files.keys().collect::<Vec<_>>(), "revision": revision})
        ),
        Output::Text if changed => format!("{} set in {}\n", args.images.join(" "), environment.name),
        Output::Text => format!(
            "{} already has {}; nothing changed\n",
            environment.name,
            args.images.join(" ")
        ),
    };
    ui.print(&text)
}
