//! `gitsync init`: the files that make a repository gitsync's.

use std::path::Path;

use super::context::{Context, git_failure};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::scaffold::{App, plan};
use crate::diff::files::patch;
use crate::model::{Edit, ImageRef};
use crate::world::cluster::connect::context_names;
use crate::world::git::Git;

/// Arguments of `gitsync init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Name of the application of a new repository
    #[arg(long, value_name = "NAME", default_value = "web", value_parser = app_name)]
    pub app: String,
    /// Its first image
    #[arg(long, value_name = "IMAGE:TAG", default_value = "nginx:1.27")]
    pub image: ImageRef,
    /// The port that it listens on
    #[arg(long, default_value_t = 80)]
    pub port: u16,
    /// Show the files as a patch, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Adds what is missing to the working copy: to an empty one a whole example, to one with kustomize overlays the
/// environments, the load check and the promotions. What exists is left as it is.
///
/// # Errors
///
/// When the directory is in no working copy, or a file cannot be written.
pub fn init(ui: &mut Ui, context: &Context, args: &InitArgs) -> Result<Answer, Failure> {
    let copy = Git::discover(Path::new(".")).map_err(git_failure)?;
    let files = copy
        .files()
        .map_err(|error| Failure::usage(format!("{}: {error}", copy.root.display())))?;
    let app = App {
        name: args.app.clone(),
        image: args.image.clone(),
        port: args.port,
    };
    let contexts = context_names(context.args.kubeconfig.as_deref());
    let scaffold = plan(&files, &contexts, &app);
    scaffold.notes.iter().for_each(|note| ui.story(note));
    if scaffold.edit.is_empty() {
        return ui.print("everything is there; nothing was written\n");
    }
    if args.dry_run {
        // The schemas are long and the same everywhere; what is to be read comes first.
        let (schemas, own) = apart(scaffold.edit);
        let patches = [own, schemas].map(|edit| patch(&files, &edit, ui.paint()));
        ui.page(&patches.concat())?;
        return Ok(Answer::Yes);
    }
    for (path, content) in &scaffold.edit.files {
        let file = copy.root.join(path);
        let wrong =
            |error: std::io::Error| Failure::usage(format!("{} cannot be written: {error}", file.display()));
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).map_err(wrong)?;
        }
        std::fs::write(&file, content).map_err(wrong)?;
    }
    let wrote: String = scaffold
        .edit
        .files
        .keys()
        .map(|path| format!("wrote {path}\n"))
        .collect();
    ui.print(&wrote)?;
    ui.story("next: gitsync validate, gitsync doctor, then commit and gitsync run");
    Ok(Answer::Yes)
}

/// The JSON Schemas of an edit, and the rest of it.
fn apart(edit: Edit) -> (Edit, Edit) {
    let Edit { files, removed } = edit;
    let (schemas, own) = files
        .into_iter()
        .partition(|(path, _)| path.starts_with(".gitsync/"));
    let of = |files| Edit {
        files,
        removed: std::collections::BTreeSet::new(),
    };
    (of(schemas), Edit { removed, ..of(own) })
}

/// A name that Kubernetes takes for a Service.
fn app_name(text: &str) -> Result<String, String> {
    let name: Result<crate::model::EnvName, _> = text.parse();
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    match name {
        Ok(_) if begins => Ok(text.to_owned()),
        _ => Err("expected a-z, 0-9 and -, beginning with a letter".to_owned()),
    }
}
