//! `gitsync why` and `gitsync tree`: what an environment, or one object of it, waits for.

use jiff::Timestamp;
use manifest::ObjectId;
use serde_json::{Value, json};

use super::Output;
use super::context::{Checkout, Context, cluster_failure};
use super::failure::{Answer, Failure};
use super::status::json_commit;
use super::ui::Ui;
use crate::config::repository::Environment;
use crate::desired::Desired;
use crate::diff::Change;
use crate::diff::fields;
use crate::problem::{Problems, suggest};
use crate::report::paint::Tone;
use crate::report::why::{Link, chain};
use crate::verify::pods::Trouble;
use crate::verify::rollout::Progress;
use crate::world::cluster::observe::{Observation, Observed};
use crate::world::cluster::{Cluster, FIELD_MANAGER};

/// Arguments of `gitsync why`.
#[derive(Debug, clap::Args)]
pub struct WhyArgs {
    /// Environment, and after a slash one object of it: a name, or a kind and a name, as deployment/web
    #[arg(value_name = "ENV[/OBJECT]")]
    pub target: String,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Arguments of `gitsync tree`.
#[derive(Debug, clap::Args)]
pub struct TreeArgs {
    /// Environment to show; by default all of them
    #[arg(value_name = "ENV")]
    pub env: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// An environment as git and its cluster have it.
pub(super) struct Seen {
    /// What git asks for.
    pub(super) desired: Desired,
    observation: Observation,
    troubles: std::collections::BTreeMap<ObjectId, Trouble>,
}

/// Tells the chain from an environment back to what it waits for, or what is known of one object.
///
/// # Errors
///
/// When the configuration cannot be read, or there is no such environment or object.
pub async fn why(ui: &mut Ui, context: &Context, args: &WhyArgs) -> Result<Answer, Failure> {
    let checkout = context.checkout().await?;
    let (name, object) = match args.target.split_once('/') {
        Some((name, object)) => (name, Some(object)),
        None => (args.target.as_str(), None),
    };
    let environment = checkout
        .config()
        .environment(name)
        .map_err(|problem| Failure::usage(Problems::from(problem)))?;
    if let Some(object) = object {
        let seen = see(context, &checkout, environment).await?;
        let id = choose(&seen, object)?;
        let text = match args.output {
            Output::Text => ui.folded(&object_text(ui, &seen, &id)),
            Output::Json => format!("{:#}\n", json_object(&seen, &id)),
        };
        return ui.print(&text);
    }
    let mut way = vec![environment];
    while let Some(promotion) = checkout.config().promotion_to(&way[0].name) {
        way.insert(0, &checkout.config().environments[&promotion.from]);
    }
    let mut links = Vec::new();
    for environment in way {
        links.push(link(context, &checkout, environment).await);
    }
    let text = match args.output {
        Output::Text => ui.folded(&chain(&links, Timestamp::now(), ui.paint())),
        Output::Json => format!("{:#}\n", Value::Array(links.iter().map(json_link).collect())),
    };
    ui.print(&text)
}

/// Shows every object of an environment and how it is.
///
/// # Errors
///
/// When the configuration, an overlay or a cluster cannot be used.
pub async fn tree(ui: &mut Ui, context: &Context, args: &TreeArgs) -> Result<Answer, Failure> {
    let checkout = context.checkout().await?;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for environment in checkout.environments(&args.env)? {
        let seen = see(context, &checkout, environment).await?;
        let objects = seen.observation.objects.iter();
        let objects: Vec<Value> = objects.map(|observed| json_object(&seen, &observed.id)).collect();
        let leftovers = seen.observation.leftovers.iter();
        let leftovers: Vec<String> = leftovers.map(|leftover| leftover.id.to_string()).collect();
        rows.push(json!({"environment": environment.name, "objects": objects, "leftovers": leftovers}));
        lines.push(ui.paint().tone(Tone::Strong, environment.name.as_str()));
        lines.extend(branches(ui, &seen));
    }
    let text = match args.output {
        Output::Text => lines.iter().map(|line| format!("{line}\n")).collect(),
        Output::Json => format!("{:#}\n", Value::Array(rows)),
    };
    ui.print(&text)
}

fn json_link(link: &Link) -> Value {
    json!({
        "environment": link.name,
        "status": link.status,
        "error": link.error,
        "suspended": link.suspended,
        "commit": link.commit.as_ref().map(json_commit),
    })
}

/// An object with its state, what troubles it, and the fields that differ with who wrote them.
fn json_object(seen: &Seen, id: &ObjectId) -> Value {
    let observed = seen
        .observation
        .objects
        .iter()
        .find(|observed| observed.id == *id);
    let field = |(path, writer): (String, Option<fields::Writer>)| {
        let (manager, time) = writer.map(|writer| (writer.manager, writer.time)).unzip();
        json!({"path": path, "manager": manager, "time": time.flatten()})
    };
    json!({
        "object": id.to_string(),
        "origin": origin(seen, id),
        "state": observed.map(|observed| state(observed).0),
        "trouble": seen.troubles.get(id).map(trouble_text),
        "differs": differing(seen, id).into_iter().map(field).collect::<Vec<_>>(),
    })
}

/// Where an environment that was synced differs from what was applied: objects, fields, and who wrote them.
pub(super) fn drift(seen: &Seen) -> Vec<String> {
    let mut lines = Vec::new();
    for object in seen.observation.diff.changed() {
        match &object.change {
            Change::Create(_) => lines.push(format!("{} was deleted", object.id)),
            Change::Update { .. } => {
                for (path, writer) in differing(seen, &object.id) {
                    lines.push(format!("{} {path}{}", object.id, written_by(writer)));
                }
            }
            Change::Prune(_) | Change::Same => {}
        }
    }
    lines
}

fn written_by(writer: Option<fields::Writer>) -> String {
    writer.map_or_else(String::new, |writer| {
        let time = writer.time.map(|time| format!(" at {time}")).unwrap_or_default();
        format!(", written by {}{time}", writer.manager)
    })
}

/// Where git describes an object.
fn origin(seen: &Seen, id: &ObjectId) -> Option<String> {
    let mut objects = seen.desired.objects.iter();
    objects
        .find(|object| object.gvk().kind == id.kind && object.name() == id.name)
        .map(|object| object.origin().to_string())
}

/// The fields in which a live object differs from git, with who wrote them last.
fn differing(seen: &Seen, id: &ObjectId) -> Vec<(String, Option<fields::Writer>)> {
    let change = seen
        .observation
        .diff
        .objects
        .iter()
        .find(|object| object.id == *id);
    let Some(Change::Update { before, after }) = change.map(|object| &object.change) else {
        return Vec::new();
    };
    let observed = seen
        .observation
        .objects
        .iter()
        .find(|observed| observed.id == *id);
    let live = observed.and_then(|observed| observed.live.as_deref());
    let writer = |field: &fields::FieldChange| {
        let writers = live.map(|live| fields::writers(live, field, FIELD_MANAGER));
        writers.and_then(|writers| writers.into_iter().next())
    };
    let changed = fields::changed(before, after);
    changed
        .iter()
        .map(|field| (field.path.clone(), writer(field)))
        .collect()
}

/// One line per object, and one more for what troubles it.
fn branches(ui: &Ui, seen: &Seen) -> Vec<String> {
    let mut rows: Vec<(String, Option<String>)> = Vec::new();
    for observed in &seen.observation.objects {
        let (word, tone) = state(observed);
        let trouble = seen.troubles.get(&observed.id).map(trouble_text);
        rows.push((
            format!("{}  {}", observed.id, ui.paint().tone(tone, &word)),
            trouble,
        ));
    }
    for leftover in &seen.observation.leftovers {
        let note = ui.paint().tone(Tone::Warn, "git no longer has it");
        rows.push((format!("{}  {note}", leftover.id), None));
    }
    let count = rows.len();
    let mut lines = Vec::new();
    for (index, (row, trouble)) in rows.into_iter().enumerate() {
        let (branch, bar) = if index + 1 == count {
            ("└─", " ")
        } else {
            ("├─", "│")
        };
        lines.push(format!("{branch} {row}"));
        lines.extend(trouble.map(|trouble| format!("{bar}     {trouble}")));
    }
    lines
}

async fn link(context: &Context, checkout: &Checkout, environment: &Environment) -> Link {
    let record = match context.cluster(environment).await {
        Ok(cluster) => cluster
            .read_record(&environment.name)
            .await
            .map_err(cluster_failure),
        Err(failure) => Err(failure),
    };
    let (status, error) = match record {
        Ok(stored) => (stored.record.status, None),
        Err(failure) => (None, Some(failure.to_string())),
    };
    let seen = status.as_ref().and_then(|status| status.revision.clone());
    let commit = checkout.last_change(&environment.dir, seen.as_ref()).await;
    Link {
        name: environment.name.to_string(),
        status,
        error,
        suspended: environment.orders.suspended(Timestamp::now()),
        commit,
    }
}

pub(super) async fn see(
    context: &Context,
    checkout: &Checkout,
    environment: &Environment,
) -> Result<Seen, Failure> {
    let desired = checkout.render(environment).await?;
    let cluster: Cluster = context.cluster(environment).await?;
    let record = cluster
        .read_record(&environment.name)
        .await
        .map_err(cluster_failure)?
        .record;
    let observation = cluster
        .observe(environment, &desired, &record.inventory, None)
        .await
        .map_err(cluster_failure)?;
    let troubles = cluster
        .troubles(&observation.objects)
        .await
        .map_err(cluster_failure)?;
    Ok(Seen {
        desired,
        observation,
        troubles,
    })
}

/// The object that a person means.
fn choose(seen: &Seen, text: &str) -> Result<ObjectId, Failure> {
    let (kind, name) = text
        .split_once('/')
        .map_or((None, text), |(kind, name)| (Some(kind), name));
    let is_kind = |id: &ObjectId| {
        kind.is_none_or(|kind| {
            let (kind, known) = (kind.to_lowercase(), id.kind.to_lowercase());
            kind == known || kind == format!("{known}s")
        })
    };
    let ids: Vec<&ObjectId> = seen
        .observation
        .objects
        .iter()
        .map(|observed| &observed.id)
        .collect();
    let found: Vec<&ObjectId> = ids
        .iter()
        .copied()
        .filter(|id| id.name == name && is_kind(id))
        .collect();
    match found[..] {
        [id] => Ok(id.clone()),
        [] => {
            let failure = Failure::usage(format!("git asks for no object `{text}` there"));
            Err(match suggest(name, ids.iter().map(|id| id.name.as_str())) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("gitsync tree shows the objects"),
            })
        }
        [..] => {
            let kinds: Vec<String> = found
                .iter()
                .map(|id| format!("{}/{name}", id.kind.to_lowercase()))
                .collect();
            Err(Failure::usage(format!("`{text}` may be {}", kinds.join(" or "))))
        }
    }
}

fn object_text(ui: &Ui, seen: &Seen, id: &ObjectId) -> String {
    let paint = ui.paint();
    let mut lines = vec![paint.tone(Tone::Strong, &id.to_string())];
    lines.extend(origin(seen, id).map(|origin| format!("  git: {origin}")));
    let Some(observed) = seen
        .observation
        .objects
        .iter()
        .find(|observed| observed.id == *id)
    else {
        return lines.join("\n") + "\n";
    };
    let (word, tone) = state(observed);
    lines.push(format!("  live: {}", paint.tone(tone, &word)));
    let trouble = seen.troubles.get(id);
    lines.extend(trouble.map(|trouble| format!("  {}", trouble_text(trouble))));
    let change = seen
        .observation
        .diff
        .objects
        .iter()
        .find(|object| object.id == *id);
    match change.map(|object| &object.change) {
        Some(Change::Update { .. }) => {
            lines.push("  differs from git in:".to_owned());
            for (path, writer) in differing(seen, id) {
                lines.push(format!("    {path}{}", written_by(writer)));
            }
        }
        Some(Change::Same) => lines.push("  as git asks".to_owned()),
        Some(Change::Create(_) | Change::Prune(_)) | None => {}
    }
    lines.join("\n") + "\n"
}

fn state(observed: &Observed) -> (String, Tone) {
    match &observed.progress {
        None => ("does not exist".to_owned(), Tone::Bad),
        Some(Progress::Current) => ("current".to_owned(), Tone::Good),
        Some(Progress::InProgress(why)) => (why.clone(), Tone::Warn),
        Some(Progress::Failed(why)) => (why.clone(), Tone::Bad),
        Some(Progress::Terminating) => ("is being deleted".to_owned(), Tone::Warn),
    }
}

pub(super) fn trouble_text(trouble: &Trouble) -> String {
    let message = if trouble.message.is_empty() {
        String::new()
    } else {
        format!(": {}", trouble.message)
    };
    format!("pod {}: {}{message}", trouble.pod, trouble.reason)
}
