//! `gitsync approve`: a person's yes to what was proved, as a commit.

use super::context::{Checkout, Context, cluster_failure, env_name};
use super::edit::{self, EditArgs, Wish};
use super::failure::{Answer, Failure, Kind};
use super::rollback::now;
use super::ui::Ui;
use crate::config::orders::{APPROVALS_FILE, Approval, entries, with_entries};
use crate::config::repository::Promotion;
use crate::model::{CommitMessage, Edit, EnvName, ImageRef};
use crate::problem::{Problem, Problems};
use crate::promote::proof::Proof;
use crate::reconcile::promotion::gates_hash;

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
        let remote = context.remote()?;
        let head = crate::reconcile::feed::fetch_head(&remote)
            .await
            .map_err(super::context::head_failure)?;
        vec![proved(context, &Checkout::of_remote(head, remote), &name, &by).await?]
    } else {
        let images = args.images.iter().map(|image| of_image(image, &by));
        images.collect::<Result<Vec<_>, _>>()?
    };
    let (name, subjects) = (&name, subjects.as_slice());
    edit::push(ui, context, &args.edit, |tip| async move {
        let dir = tip.environment_dir(&args.env)?;
        let path = format!("{dir}/{APPROVALS_FILE}");
        let wrong = |error: String| Failure::usage(Problems::from(Problem::new(error).at_line(&path, 0)));
        let present = tip.snapshot.tree().text(&path).map_err(wrong)?;
        let mut wanted: Vec<Approval> = entries(present.as_deref()).map_err(wrong)?;
        let is_there = |new: &Approval, wanted: &[Approval]| {
            wanted
                .iter()
                .any(|old| old.image == new.image && old.evidence == new.evidence)
        };
        for subject in subjects {
            if !is_there(subject, &wanted) {
                wanted.push(subject.clone());
            }
        }
        let comment = "What people allowed to be promoted here; it has to be proved all the same.";
        let text = with_entries("Approvals", name, comment, present.as_deref(), &wanted).map_err(wrong)?;
        let mut edit = Edit::default();
        if present.as_ref() != Some(&text) {
            edit.files.insert(path.clone(), text.into_bytes());
        }
        Ok(wish(args, dir, edit, subjects))
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

/// What the environment that promotes here has proved, by its own record.
async fn proved(
    context: &Context,
    checkout: &Checkout,
    name: &EnvName,
    by: &str,
) -> Result<Approval, Failure> {
    let config = checkout.config();
    let to = config
        .environment(name.as_str())
        .map_err(|problem| Failure::usage(Problems::from(problem)))?;
    let promotion: &Promotion = config
        .promotion_to(&to.name)
        .ok_or_else(|| Failure::usage(format!("no promotion leads to {name}")))?;
    let from = config
        .environment(promotion.from.as_str())
        .map_err(|problem| Failure::usage(Problems::from(problem)))?;
    let cluster = context.cluster(from).await?;
    let record = cluster
        .read_record(&from.name)
        .await
        .map_err(cluster_failure)?
        .record;
    let gates = gates_hash(promotion, config);
    let key = record.synced.as_ref().map(|synced| synced.evidence_key(&gates));
    let last = record.verifications.get(&promotion.name);
    let proof = last.zip(key).and_then(|(last, key)| Proof::of(last, &key));
    let proof = proof.ok_or_else(|| {
        Failure::new(
            Kind::Refused,
            format!(
                "{} has not proved what it runs now; there is nothing to approve",
                from.name
            ),
        )
        .hint(format!("gitsync status --env {}", from.name))
    })?;
    Ok(Approval {
        image: None,
        evidence: Some(proof.evidence()),
        by: Some(by.to_owned()),
        time: Some(now()),
    })
}

fn wish(args: &ApproveArgs, dir: String, edit: Edit, subjects: &[Approval]) -> Wish {
    let named = |approval: &Approval| approval.image.clone().or(approval.evidence.clone());
    let names: Vec<String> = subjects.iter().filter_map(named).collect();
    let said = names.join(", ");
    Wish {
        environment: args.env.clone(),
        dir,
        edit,
        message: CommitMessage {
            subject: format!("Approve {said} for {}", args.env),
            body: String::new(),
            trailers: names
                .into_iter()
                .map(|name| ("Gitsync-Approve".to_owned(), name))
                .collect(),
        },
        done: format!("{said} is approved for {}", args.env),
        idle: format!("{said} is approved for {} already; nothing changed", args.env),
    }
}
