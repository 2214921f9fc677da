//! `gitsync scale`: the number of replicas, as an edit of the overlay.

use super::context::{Checkout, Context};
use super::edit::{self, EditArgs, Wish};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::model::{CommitMessage, Edit, trailer};
use crate::problem::Problems;
use crate::promote::overlay::{ScaleChange, kustomization, set_replicas};

/// Arguments of `gitsync scale`.
#[derive(Debug, clap::Args)]
pub struct ScaleArgs {
    /// NAME is a Deployment's or StatefulSet's, N the number of its replicas
    #[arg(required = true, value_name = "NAME=N")]
    pub workloads: Vec<String>,
    /// Environment to change
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: String,
    /// Commit on top of the remote branch and push, with retries when it moves; otherwise only the file is changed
    #[arg(long)]
    pub push: bool,
    #[command(flatten)]
    edit: EditArgs,
}

/// Sets the `replicas:` of an environment's overlay.
///
/// # Errors
///
/// When the environment or the workload is not there, the overlay cannot be edited safely, or the push is refused.
pub async fn scale(ui: &mut Ui, context: &Context, args: &ScaleArgs) -> Result<Answer, Failure> {
    let changes = args
        .workloads
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

/// Reads `NAME=N`.
fn parse(text: &str) -> Result<ScaleChange, Failure> {
    let wrong = || {
        Failure::usage(format!("`{text}` is not NAME=N"))
            .hint("write the workload and a whole number, for example web=5")
    };
    let (name, count) = text.split_once('=').ok_or_else(wrong)?;
    let count = count.parse().map_err(|_| wrong())?;
    if name.is_empty() {
        return Err(wrong());
    }
    Ok(ScaleChange {
        name: name.to_owned(),
        count,
    })
}

async fn wish(checkout: &Checkout, args: &ScaleArgs, changes: &[ScaleChange]) -> Result<Wish, Failure> {
    let environment = checkout
        .config()
        .environment(&args.env)
        .map_err(|problem| Failure::usage(Problems::from(problem)))?;
    let (path, before) = kustomization(&checkout.head.snapshot, &environment.dir).map_err(Failure::usage)?;
    let desired = checkout.render(environment).await?;
    let text = set_replicas(&path, &before, changes, &desired.objects).map_err(Failure::usage)?;
    let mut edit = Edit::default();
    if text != before {
        edit.files.insert(path, text.into_bytes());
    }
    let said = args.workloads.join(" ");
    Ok(Wish {
        environment: environment.name.to_string(),
        dir: environment.dir.clone(),
        edit,
        message: CommitMessage {
            subject: format!("Scale {said} in {}", args.env),
            body: String::new(),
            trailers: args
                .workloads
                .iter()
                .map(|workload| (trailer::SCALE.to_owned(), workload.clone()))
                .collect(),
        },
        done: format!("{said} set in {}", args.env),
        idle: format!("{} already has {said}; nothing changed", args.env),
    })
}
