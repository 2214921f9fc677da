//! `gitsync demo`: the whole loop on two sandbox clusters, told on the terminal.

mod acts;
mod example;
mod follow;
mod log;
mod screen;
mod stage;

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;
use crate::reconcile::rehearse::images::DEMO_TAGS;
use crate::report::paint::Tone;
use acts::Story;
use screen::Screen;
use stage::Stage;

/// Arguments of `gitsync demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Leave everything running after the story, to be played with, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// No colours and no lines that move, as without a terminal
    #[arg(long)]
    pub plain: bool,
}

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Why a story ends early.
pub(super) enum Stop {
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Nobody reads it any more.
    Unread,
    /// Something went wrong.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Plays the demo. Whatever happens, nothing of it is left.
///
/// # Errors
///
/// When the stage cannot be made, or the story does not go as it should.
pub async fn demo(ui: &mut Ui, context: &Context, args: &DemoArgs) -> Result<Answer, Failure> {
    cancel_on_hangup(context.cancel.clone())?;
    let mut screen = Screen::new(ui, args.plain);
    let stage = Stage::open(context).await?;
    let played = play(&mut screen, &stage, args).await;
    let _ = screen.clear();
    stage.close().await;
    match played {
        Ok(()) if args.keep => {
            let _ = screen
                .gap()
                .and_then(|()| screen.prose("Everything was removed."));
            Ok(Answer::Yes)
        }
        Ok(()) => {
            let total = screen.elapsed().as_secs();
            let text = format!(
                "That was gitsync, in {total} s. Everything of it is gone again; to play with it: gitsync demo --keep"
            );
            let _ = screen.gap().and_then(|()| screen.prose(&text));
            Ok(Answer::Yes)
        }
        Err(Stop::Unread) => Ok(Answer::Yes),
        // What is interrupted fails in ways of its own.
        Err(_) if context.cancel.is_cancelled() => {
            ui.story("\ninterrupted; everything was removed");
            Ok(Answer::Code(INTERRUPTED))
        }
        Err(Stop::Interrupted) => Ok(Answer::Code(INTERRUPTED)),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

async fn play(screen: &mut Screen<'_>, stage: &Stage, args: &DemoArgs) -> Result<(), Stop> {
    let mut story = Story::new(screen, stage);
    story.opening()?;
    story.first_deployment().await?;
    story.good_commit().await?;
    story.slow_image().await?;
    story.hand_edit().await?;
    story.rollback().await?;
    story.what_remains().await?;
    if args.keep {
        keep(screen, stage)?;
        stage.log.show();
        stage.cancel.cancelled().await;
    }
    Ok(())
}

/// Says what there is to play with.
fn keep(screen: &mut Screen<'_>, stage: &Stage) -> Result<(), Stop> {
    let repository = stage.repository();
    let (kubeconfig, cache) = (stage.kubeconfig(), stage.cache());
    let mut lines = vec![
        format!("export KUBECONFIG={}", kubeconfig.display()),
        format!(
            "export GITSYNC_REPO={repository} GITSYNC_CACHE_DIR={}",
            cache.display()
        ),
    ];
    lines.extend(path_of_gitsync().map(|dir| format!("export PATH={dir}:$PATH")));
    let tags: Vec<String> = DEMO_TAGS
        .iter()
        .map(|(prefix, what)| format!("{prefix}… {what}"))
        .collect();
    let image = "flask-app=sanjeev-thiyagarajan/jenkins-flask-app";
    let blocks = [
        ("In another terminal:", lines),
        (
            "Watch, and change what runs:",
            vec![
                "gitsync status".to_owned(),
                "gitsync history".to_owned(),
                format!("gitsync image set {image}:dead0006 --env staging --push"),
                "gitsync why staging".to_owned(),
                format!("gitsync image set {image}:900d0007 --env staging --push"),
                "gitsync wait --env prod --image sanjeev-thiyagarajan/jenkins-flask-app:900d0007".to_owned(),
            ],
        ),
        (
            "Break prod by hand, and see it healed:",
            vec![
                "kubectl --context prod -n flask-app scale deployment flask-app --replicas 1".to_owned(),
                "kubectl --context prod -n flask-app delete service flask-app-service".to_owned(),
                "kubectl --context prod -n flask-app get deployments,pods,services".to_owned(),
            ],
        ),
        (
            "Or commit as anybody does:",
            vec![format!("git clone {repository} fleet")],
        ),
    ];
    screen.gap()?;
    for (title, lines) in blocks {
        screen.prose(title)?;
        let paint = screen.paint();
        let lines: String = lines
            .iter()
            .map(|line| format!("     {}\n", paint.tone(Tone::Hunk, line)))
            .collect();
        screen.put(&lines)?;
    }
    screen.gap()?;
    screen.prose(&format!("Any tag is a good image, but {}.", tags.join(", ")))?;
    screen.prose(&format!(
        "The dashboard's actions need the token {}. The daemon's log is {}, and goes on below.",
        stage.token,
        stage.log_file().display()
    ))?;
    let text = format!(
        "It runs until Ctrl-C, which removes everything: http://{}/",
        stage.dashboard
    );
    screen.gap()?;
    screen.prose(&text)?;
    screen.gap()
}

/// The directory of this program, unless the shell finds it by itself.
fn path_of_gitsync() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let dir = program.parent().map(Path::to_owned)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|known| known == dir);
    (!is_there).then(|| dir.display().to_string())
}

/// A terminal that is closed ends the demo as Ctrl-C does, so that nothing is left then either.
fn cancel_on_hangup(cancel: CancellationToken) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| Failure::new(Kind::Bug, error))?;
    tokio::spawn(async move {
        hangup.recv().await;
        cancel.cancel();
    });
    Ok(())
}
