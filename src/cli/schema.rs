//! `gitsync schema`: the JSON Schema of gitsync's own kinds.

use serde_json::{Map, Value};

use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::schema::{KINDS, of_kind};
use crate::problem::{Problem, Problems, suggest};

/// Arguments of `gitsync schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// Environment, LoadCheck, Promotion, Verified, Suspension, Quarantine or Approvals; without one, all of them by kind
    #[arg(value_name = "KIND")]
    pub kind: Option<String>,
}

/// Prints the schema.
///
/// # Errors
///
/// When there is no such kind.
pub fn schema(ui: &mut Ui, args: &SchemaArgs) -> Result<Answer, Failure> {
    let value = match &args.kind {
        Some(kind) => of_kind(kind).ok_or_else(|| unknown(kind))?,
        None => Value::Object(
            KINDS
                .iter()
                .filter_map(|kind| Some(((*kind).to_owned(), of_kind(kind)?)))
                .collect::<Map<_, _>>(),
        ),
    };
    let text = serde_json::to_string_pretty(&value)
        .map_err(|error| Failure::new(super::failure::Kind::Bug, error))?;
    ui.print(&format!("{text}\n"))
}

fn unknown(kind: &str) -> Failure {
    let problem = Problem::new(format!("there is no kind `{kind}`"));
    let problem = match suggest(kind, KINDS) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("the kinds are {}", KINDS.join(", "))),
    };
    Failure::usage(Problems::from(problem))
}
