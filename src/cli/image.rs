//! `gitsync image set`: the one-line edit that CI makes, committed and pushed.

use super::context::{Checkout, Context};
use super::edit::{self, EditArgs, Wish};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::model::{CommitMessage, Edit, ImageRef, trailer};
use crate::problem::Problems;
use crate::promote::overlay::{ImageChange, kustomization, set_images};

/// Arguments of `gitsync image`.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImageCommand {
    /// Set images in an environment's overlay, all of them in one commit
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
    #[command(flatten)]
    edit: EditArgs,
}

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
    if !args.push {
        let checkout = edit::working_copy(context).await?;
        let wish = wish(&checkout, args, &changes).await?;
        return edit::write(ui, &args.edit, &checkout, &wish);
    }
    let changes = &changes;
    edit::push(ui, context, &args.edit, |tip| async move {
        wish(&tip.checkout?, args, changes).await
    })
    .await
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

async fn wish(checkout: &Checkout, args: &SetArgs, changes: &[ImageChange]) -> Result<Wish, Failure> {
    let environment = checkout
        .config()
        .environment(&args.env)
        .map_err(|problem| Failure::usage(Problems::from(problem)))?;
    let (path, before) = kustomization(&checkout.head.snapshot, &environment.dir).map_err(Failure::usage)?;
    // A container's name is looked up in what is rendered; the overlay may be set without that, too.
    let desired = checkout.render(environment).await.ok();
    let objects = desired.map(|desired| desired.objects).unwrap_or_default();
    let text = set_images(&path, &before, changes, &objects).map_err(Failure::usage)?;
    let mut edit = Edit::default();
    if text != before {
        edit.files.insert(path, text.into_bytes());
    }
    Ok(Wish {
        environment: environment.name.to_string(),
        dir: environment.dir.clone(),
        edit,
        message: message(&args.env, changes),
        done: format!("{} set in {}", args.images.join(" "), args.env),
        idle: format!(
            "{} already has {}; nothing changed",
            args.env,
            args.images.join(" ")
        ),
    })
}

fn message(environment: &str, changes: &[ImageChange]) -> CommitMessage {
    let images: Vec<String> = changes.iter().map(|change| change.image.to_string()).collect();
    let short: Vec<&str> = images
        .iter()
        .map(|image| image.rsplit('/').next().unwrap_or(image))
        .collect();
    CommitMessage {
        subject: format!("Set {} in {environment}", short.join(", ")),
        body: String::new(),
        trailers: images
            .into_iter()
            .map(|image| (trailer::IMAGE.to_owned(), image))
            .collect(),
    }
}
