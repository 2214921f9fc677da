//! `gitsync diff`: what would change, without changing anything.

use serde_json::{Value, json};

use super::compare::{self, Comparison};
use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::desired::policy::Violation;
use crate::diff::text::Style;
use crate::diff::{Counts, markdown, patch, text};
use crate::report::findings::{Finding, Level, github, once, sarif};
use crate::report::paint::Tone;

/// Arguments of `gitsync diff`.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// Environment to compare; may be repeated; by default all of them. A..B shows how B differs from A as git has them
    #[arg(short, long = "env", value_name = "NAME|A..B")]
    pub env: Vec<String>,
    /// Ask no cluster: compare what two commits render to. Without a value, the working copy with its last commit; with
    /// an empty HEAD, the working copy with BASE. BASE...HEAD is what a branch brings since it left BASE
    #[arg(long, value_name = "BASE..HEAD", num_args = 0..=1, default_missing_value = "HEAD..", conflicts_with = "promote")]
    pub offline: Option<String>,
    /// Show the coming promotion: the commit that the receiving environment would get, and what that changes there
    #[arg(long)]
    pub promote: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: DiffOutput,
    /// Show long objects to their end
    #[arg(long)]
    pub full: bool,
    /// Show before and after next to each other
    #[arg(short = 'y', long)]
    pub side_by_side: bool,
    /// Print to the terminal at once, instead of through $GITSYNC_PAGER, $PAGER or less
    #[arg(long)]
    pub no_pager: bool,
}

/// Output formats of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum DiffOutput {
    /// For people.
    #[default]
    Text,
    /// For programs: an RFC 6902 patch per object.
    Json,
    /// For a comment below a pull request, of less than 65,536 characters.
    Markdown,
    /// What the policies say of the new state, as a SARIF 2.1.0 log for code scanning.
    Sarif,
    /// What the policies say of the new state, as workflow commands of GitHub Actions.
    Github,
}

/// Compares, and answers with exit code 1 when something differs.
///
/// # Errors
///
/// When the configuration, an overlay or a cluster cannot be used. The other environments are compared all the same.
pub async fn diff(ui: &mut Ui, context: &Context, args: &DiffArgs) -> Result<Answer, Failure> {
    let between = args.env.iter().find_map(|name| name.split_once(".."));
    let compared = match (&args.offline, between) {
        (_, Some(_)) if args.env.len() > 1 || args.promote => {
            return Err(Failure::usage(
                "--env A..B compares two environments, and stands alone",
            ));
        }
        (offline, Some((before, after))) => {
            compare::environments(context, offline.as_deref(), before, after).await?
        }
        (Some(range), None) => compare::commits(context, range, &args.env).await?,
        (None, None) if args.promote => compare::promotions(context, &args.env).await?,
        (None, None) => compare::live(context, &args.env).await?,
    };
    let mut failed = None;
    let mut found = Vec::new();
    for (title, result) in compared {
        match result {
            Ok(comparison) => found.push(comparison),
            Err(failure) => {
                ui.fail(&title, &failure);
                failed = Some(failure.kind);
            }
        }
    }
    for (level, line) in found.iter().flat_map(policy_lines) {
        match level {
            Level::Note => ui.story(&line),
            Level::Warning | Level::Error => ui.warn(&line),
        }
    }
    let text = match args.output {
        DiffOutput::Json => json_text(&found),
        DiffOutput::Markdown => {
            let parts: Vec<_> = found
                .iter()
                .map(|part| (part.title.clone(), &part.diff))
                .collect();
            let notes: String = found
                .iter()
                .flat_map(policy_lines)
                .filter(|(level, _)| *level > Level::Note)
                .map(|(_, line)| format!("\n> **{}**\n", line.replace('\n', " ")))
                .collect();
            markdown::comment(&parts, &notes)
        }
        DiffOutput::Sarif => format!("{:#}\n", sarif(&findings(&found), env!("CARGO_PKG_VERSION"))),
        DiffOutput::Github => github(&findings(&found)),
        DiffOutput::Text => text_of(ui, args, &found),
    };
    if args.output == DiffOutput::Text && !args.no_pager {
        ui.page(&text)?;
    } else {
        ui.print(&text)?;
    }
    if let Some(kind) = failed {
        return Ok(Answer::Code(kind.code()));
    }
    let clean = found
        .iter()
        .all(|part| part.diff.is_empty() && part.files.is_empty());
    Ok(if clean { Answer::Yes } else { Answer::No })
}

/// What the policies say, for programs.
fn findings(found: &[Comparison]) -> Vec<Finding> {
    let violations = found.iter().flat_map(|part| &part.violations);
    once(violations.cloned().map(Finding::policy))
}

/// What the policies say of a comparison, for people.
fn policy_lines(part: &Comparison) -> Vec<(Level, String)> {
    let line = |violation: &Violation| {
        let finding = Finding::policy(violation.clone());
        let what = match finding.level {
            Level::Note => "not known here",
            Level::Warning => "a policy warns",
            Level::Error => "the cluster would refuse this",
        };
        (
            finding.level,
            format!("{}: {what}: {}", part.title, finding.problem),
        )
    };
    part.violations.iter().map(line).collect()
}

fn text_of(ui: &Ui, args: &DiffArgs, found: &[Comparison]) -> String {
    let style = Style {
        paint: ui.paint(),
        full: args.full,
        columns: args.side_by_side.then(|| ui.width()),
    };
    let mut out: Vec<String> = found.iter().map(|part| part_text(part, style)).collect();
    if found.len() > 1 {
        let total = found
            .iter()
            .map(|part| part.diff.counts())
            .fold(Counts::default(), Counts::plus);
        let line = format!("{} environments: {}\n", found.len(), text::summary(total));
        out.push(style.paint.tone(Tone::Strong, &line));
    }
    out.concat()
}

fn part_text(part: &Comparison, style: Style) -> String {
    let head = style.paint.tone(Tone::Strong, &part.title);
    let summary = match &part.note {
        Some(note) => note.clone(),
        None => text::summary(part.diff.counts()),
    };
    let files = part.patch(style.paint);
    let body = text::unified(&part.diff, style);
    let pieces = [files, body].into_iter().filter(|piece| !piece.is_empty());
    let pieces: String = pieces.map(|piece| format!("\n{piece}")).collect();
    let gap = if pieces.is_empty() { "" } else { "\n" };
    format!("{head}: {summary}\n{pieces}{gap}")
}

fn json_text(found: &[Comparison]) -> String {
    let document = |part: &Comparison| {
        let mut document = patch::document(&part.environment, &part.diff);
        document["title"] = Value::from(part.title.clone());
        let violation = |violation: &Violation| {
            let finding = Finding::policy(violation.clone());
            json!({"policy": violation.policy, "level": finding.level.word(), "problem": violation.problem})
        };
        document["violations"] = part.violations.iter().map(violation).collect();
        if !part.files.is_empty() {
            document["commit"] = Value::from(part.patch(crate::report::paint::Paint::default()));
        }
        if let Some(note) = &part.note {
            document["note"] = Value::from(note.clone());
        }
        document
    };
    format!("{:#}\n", Value::Array(found.iter().map(document).collect()))
}
