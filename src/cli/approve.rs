//! `gitsync approve`: a person's yes to what was proved, as a commit.

use super::context::{Context, env_name, head_failure};
use super::edit::{self, EditArgs};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::orders::Approval;
use crate::model::{EnvName, ImageRef};
use crate::promote::orders;
use crate::reconcile::feed::fetch_head;
use crate::reconcile::orders::{now, proved};

/// Arguments of `gitsync approve`.
#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    /// Environment that receives
    #[arg(value_name = "ENV")]
    pub env: String,
    /// Image to approve, with its tag or digest; may be repeated; by default exactly what was proved last, for which the
    /// cluster that proved it is asked
    #[arg(long = "image", value_name = "IMAGE:TAG")]
    pub images: Vec<String>,
    #[command(flatten)]
    edit: EditArgs,
}

/// Commits an approval. It allows the promotion of what it names, and proves nothing: the gates stay.
///
/// # Errors
///
/// When nothing leads to the environment or nothing was proved; when the push is refused.
pub async fn approve(ui: &mut Ui, context: &Context, args: &ApproveArgs) -> Result<Answer, Failure> {
    let name = env_name(&args.env)?;
    let by = context.identity().name;
    let subjects = if args.images.is_empty() {
        vec![evidence(context, &name, &by).await?]
    } else {
        let images = args.images.iter().map(|image| of_image(image, &by));
        images.collect::<Result<Vec<_>, _>>()?
    };
    let (name, subjects) = (&name, subjects.as_slice());
    edit::push(ui, context, &args.edit, |tip| async move {
        Ok(orders::approve(&tip.snapshot, name, subjects)?)
    })
    .await
}

fn of_image(text: &str, by: &str) -> Result<Approval, Failure> {
    let image: ImageRef = text.parse().map_err(Failure::usage)?;
    if image.tag.is_none() && image.digest.is_none() {
        return Err(Failure::usage(format!("`{text}` has neither a tag nor a digest")));
    }
    Ok(Approval {
        image: Some(image.to_string()),
        evidence: None,
        by: Some(by.to_owned()),
        time: Some(now()),
    })
}

/// What the environment that promotes here has proved.
async fn evidence(context: &Context, name: &EnvName, by: &str) -> Result<Approval, Failure> {
    let head = fetch_head(&context.remote()?).await.map_err(head_failure)?;
    let evidence = proved(&head.config, context.args.kubeconfig.as_deref(), name).await?;
    Ok(Approval {
        image: None,
        evidence: Some(evidence),
        by: Some(by.to_owned()),
        time: Some(now()),
    })
}
