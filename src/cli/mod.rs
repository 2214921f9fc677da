//! Command line: what a person types, and what it answers.

pub mod approve;
pub mod check;
pub mod compare;
pub mod complete;
pub mod context;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod edit;
pub mod failure;
pub mod history;
pub mod image;
pub mod init;
pub mod install;
pub mod lazy;
pub mod litter;
pub mod manual;
pub mod promote;
pub mod rehearse;
pub mod render;
pub mod rollback;
pub mod run;
pub mod scale;
pub mod schema;
pub mod script;
pub mod stats;
pub mod status;
pub mod suspend;
pub mod sync;
pub mod ui;
pub mod validate;
pub mod wait;
pub mod why;

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use context::{Context, GlobalArgs};
use failure::{Answer, Failure, Kind};
use lazy::Lazy;
use litter::Litter;
use ui::{ColorChoice, Ui};

/// Keep Kubernetes clusters in step with git, and let nothing reach prod that staging did not prove
///
/// gitsync renders the kustomize overlay of each environment from git, applies staging, waits for the rollout, runs a
/// load check, and only then writes the proved image into the prod overlay, pushes that commit and reconciles prod.
#[derive(Debug, Parser)]
#[command(name = "gitsync", version, max_term_width = TERMINAL, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
    /// Colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    color: ColorChoice,
    /// Tell nothing but answers, warnings and errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Format of the log
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "GITSYNC_LOG_FORMAT",
        help_heading = "Global options"
    )]
    log_format: LogFormat,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    verbose: u8,
}

/// Formats of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object a line, with the environment and the pass that it belongs to.
    Json,
}

/// Help is at most this wide.
const TERMINAL: usize = 100;

const EXIT_CODES: &str = "\
Exit codes:
  0   yes, or done
  1   the answer is no: differences found, a validation, a rollout or a gate failed
  2   wrong usage or configuration
  3   git or a cluster is unreachable; try again
  4   refused by a guard
  5   superseded by a newer commit
  70  a mistake of gitsync itself
  130 interrupted
  `gitsync check` has k6's: 99 a threshold failed, 104, 105; and 111 inconclusive, 112 target not ready";

/// Output formats of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs; has every field of the text.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole loop on two sandbox clusters: a good image goes to prod, a slow one is stopped
    Demo(Lazy<demo::DemoArgs>),
    /// Keep every environment of the repository as git says: the daemon
    Run(Lazy<run::RunArgs>),
    /// Play the repository's whole path on sandbox clusters; exit 1 when something would fail
    Rehearse(Lazy<rehearse::RehearseArgs>),
    /// Show what syncing would change; exit 1 when something would
    Diff(Lazy<diff::DiffArgs>),
    /// Sync one environment now and wait until it is healthy
    Sync(Lazy<sync::SyncArgs>),
    /// Show what each environment runs, how it is, and what it waits for
    Status(Lazy<status::StatusArgs>),
    /// Wait until an image or a commit is healthy in an environment, or has failed on the way
    Wait(Lazy<wait::WaitArgs>),
    /// List the promotions that git remembers, with their evidence
    History(Lazy<history::HistoryArgs>),
    /// Sum up promotions, lead times and rollbacks from git
    Stats(Lazy<stats::StatsArgs>),
    /// Run a load check by itself
    Check(Lazy<check::CheckArgs>),
    /// Verify an environment now, and promote what passed
    Promote(Lazy<promote::PromoteArgs>),
    /// Go back to what an environment had before its last promotion, by a commit
    Rollback(Lazy<rollback::RollbackArgs>),
    /// Allow the promotion of what was proved, by a commit
    Approve(Lazy<approve::ApproveArgs>),
    /// Leave an environment alone, by a commit
    Suspend(Lazy<suspend::SuspendArgs>),
    /// Take care of a suspended environment again, by a commit
    Resume(Lazy<suspend::ResumeArgs>),
    /// Change images in an overlay
    // At once, not lazily: whoever lists the commands has to find those below it.
    Image(image::ImageArgs),
    /// Change the number of replicas in an overlay
    Scale(Lazy<scale::ScaleArgs>),
    /// Print what a kustomization renders to, as `kustomize build` does
    Render(Lazy<render::RenderArgs>),
    /// Find everything that is wrong without asking a cluster
    Validate(Lazy<validate::ValidateArgs>),
    /// Tell what an environment, or one object of it, waits for
    Why(Lazy<why::WhyArgs>),
    /// Show every object of an environment and how it is
    Tree(Lazy<why::TreeArgs>),
    /// Add what is missing to a repository, new or with kustomize overlays
    Init(Lazy<init::InitArgs>),
    /// Print, or apply, what runs gitsync in a cluster, with the rights that the repository needs
    Install(Lazy<install::InstallArgs>),
    /// Remove gitsync from a cluster, and leave everything that it applied
    Uninstall(Lazy<install::UninstallArgs>),
    /// Find what does not work in git, kubeconfig, clusters and permissions, and what mends it
    Doctor(Lazy<doctor::DoctorArgs>),
    /// Print the JSON Schema of gitsync's own kinds
    Schema(Lazy<schema::SchemaArgs>),
    /// Print the completion script of a shell
    Completions(Lazy<manual::CompletionsArgs>),
    /// Names for completion scripts
    #[command(hide = true)]
    Complete(Lazy<complete::CompleteArgs>),
    /// Print the manual
    Man(Lazy<manual::ManArgs>),
    /// What the exit codes mean: gitsync help exit-codes
    #[command(name = "exit-codes", hide = true, override_help = EXIT_CODES)]
    ExitCodes,
}

/// Reads the arguments, runs the command and answers with its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own exit code for wrong usage is ours too; asking for help is none.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Kind::Usage.code() } else { 0 });
        }
    };
    let mut ui = Ui::new(cli.color, cli.quiet);
    let result = run_command(&mut ui, cli);
    match result {
        Ok(answer) => ExitCode::from(answer.code()),
        Err(failure) => {
            if failure.kind == Kind::Interrupted {
                // Neither a line that was being rewritten nor the terminal's own `^C` stays before the message.
                ui.clear();
            }
            ui.error(&failure.to_string(), &failure.hints);
            ExitCode::from(failure.kind.code())
        }
    }
}

/// Reads the command line.
fn parse() -> Result<Cli, clap::Error> {
    // Never freed: it would be a good part of what a short command takes.
    let mut command = ManuallyDrop::new(parser(std::env::args_os().nth(1)));
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// What reads the command line: of all commands only the called one, when the first argument names it. Each has a copy of every
/// global option, and thirty such copies would be most of what a short command takes.
fn parser(first: Option<OsString>) -> clap::Command {
    let all = Cli::command();
    let Some(called) = first.and_then(|name| all.find_subcommand(name)).cloned() else {
        return all;
    };
    clap::Command::new("gitsync")
        .max_term_width(TERMINAL)
        .args(all.get_arguments().cloned())
        .subcommand(called)
}

/// Runs the command; what waits for nothing outside needs no log and no runtime, which would be most of its time.
fn run_command(ui: &mut Ui, cli: Cli) -> Result<Answer, Failure> {
    match &cli.command {
        Command::Render(args) => return render::render(ui, args),
        Command::Schema(args) => return schema::schema(ui, args),
        Command::Completions(args) => return manual::completions(ui, args),
        Command::Man(args) => return manual::man(ui, args),
        Command::ExitCodes => return ui.print(&format!("{EXIT_CODES}\n")),
        _ => {}
    }
    // TLS is ring's everywhere: git over https, the clusters, load checks. A second installation is refused, which
    // can only mean that it is already there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The demo tells its own story, and its daemon's goes to a file.
    if !matches!(cli.command, Command::Demo(_)) {
        start_log(ui, cli.verbose, cli.quiet, cli.log_format);
    }
    let runtime = runtime(&cli.command).map_err(|error| Failure::new(Kind::Bug, error))?;
    let result = runtime.block_on(dispatch(ui, cli));
    // A blocked git call must not hold back the end.
    runtime.shutdown_background();
    result
}

/// How many cores a daemon has for each thread that waits for clusters.
const CORES_PER_WORKER: usize = 4;

/// The threads of a command. Each has memory of its own that it reuses, so that a daemon, which rests nearly always, keeps few
/// of them; rendering, git and load checks have others, for as long as they need them.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = match command {
        Command::Run(_) => Some(cores().div_ceil(CORES_PER_WORKER)),
        // Nothing but the collector of what the generator's threads measure.
        Command::Check(_) => Some(1),
        _ => None,
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

async fn dispatch(ui: &mut Ui, cli: Cli) -> Result<Answer, Failure> {
    let litter = Litter::default();
    let context = Context {
        args: cli.global,
        author: None,
        cancel: cancel_on_signal(litter.clone(), ui.paging())?,
        litter: litter.clone(),
    };
    if cli.command.ends_itself() {
        return run_with(ui, &context, &cli.command).await;
    }
    let result = tokio::select! {
        biased;
        result = run_with(ui, &context, &cli.command) => result,
        () = context.cancel.cancelled() => Err(Failure::interrupted()),
    };
    if result.is_err() && context.cancel.is_cancelled() {
        // Whatever it failed with, that is why.
        litter.sweep();
        return Err(Failure::interrupted());
    }
    result
}

async fn run_with(ui: &mut Ui, context: &Context, command: &Command) -> Result<Answer, Failure> {
    match command {
        Command::Demo(args) => demo::demo(ui, context, args).await,
        Command::Run(args) => run::run(ui, context, args).await,
        Command::Rehearse(args) => rehearse::rehearse(ui, context, args).await,
        Command::Diff(args) => diff::diff(ui, context, args).await,
        Command::Sync(args) => sync::sync(ui, context, args).await,
        Command::Status(args) => status::status(ui, context, args).await,
        Command::History(args) => history::history(ui, context, args).await,
        Command::Stats(args) => stats::stats(ui, context, args).await,
        Command::Check(args) => check::check(ui, context, args).await,
        Command::Promote(args) => promote::promote(ui, context, args).await,
        Command::Image(args) => image::image(ui, context, args).await,
        Command::Rollback(args) => rollback::rollback(ui, context, args).await,
        Command::Approve(args) => approve::approve(ui, context, args).await,
        Command::Suspend(args) => suspend::suspend(ui, context, args).await,
        Command::Resume(args) => suspend::resume(ui, context, args).await,
        Command::Wait(args) => wait::wait(ui, context, args).await,
        Command::Scale(args) => scale::scale(ui, context, args).await,
        Command::Render(args) => render::render(ui, args),
        Command::Validate(args) => validate::validate(ui, context, args).await,
        Command::Schema(args) => schema::schema(ui, args),
        Command::Why(args) => why::why(ui, context, args).await,
        Command::Tree(args) => why::tree(ui, context, args).await,
        Command::Init(args) => init::init(ui, context, args),
        Command::Install(args) => install::install(ui, context, args).await,
        Command::Uninstall(args) => install::uninstall(ui, context, args).await,
        Command::Doctor(args) => doctor::doctor(ui, context, args).await,
        Command::Completions(args) => manual::completions(ui, args),
        Command::Complete(args) => complete::complete(ui, context, args).await,
        Command::Man(args) => manual::man(ui, args),
        Command::ExitCodes => ui.print(&format!("{EXIT_CODES}\n")),
    }
}

impl Command {
    /// Whether it sees to its own end: to remove what it started, or to learn whether its commit arrived. The others are
    /// ended at any moment, since that loses nothing.
    fn ends_itself(&self) -> bool {
        matches!(
            self,
            Self::Demo(_)
                | Self::Run(_)
                | Self::Rehearse(_)
                | Self::Check(_)
                | Self::Image(_)
                | Self::Scale(_)
                | Self::Rollback(_)
                | Self::Approve(_)
                | Self::Suspend(_)
                | Self::Resume(_)
        )
    }
}

/// A token that the first SIGINT or SIGTERM cancels; the second ends the process at once. While a pager has the keyboard,
/// Ctrl-C is the pager's.
fn cancel_on_signal(litter: Litter, paging: Arc<AtomicBool>) -> Result<CancellationToken, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let cancel = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::new(Kind::Bug, error))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::new(Kind::Bug, error))?;
    let token = cancel.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if code == 130 && paging.load(Ordering::Relaxed) {
                continue;
            }
            if token.is_cancelled() {
                litter.sweep();
                std::process::exit(code);
            }
            token.cancel();
        }
    });
    Ok(cancel)
}

/// The daemon's story: one line per event on stderr.
fn start_log(ui: &Ui, verbose: u8, quiet: bool, format: LogFormat) {
    let level = match (quiet, verbose) {
        (true, _) => "gitsync=warn",
        (false, 0) => "gitsync=info",
        (false, 1) => "gitsync=debug",
        (false, _) => "gitsync=trace,kube=debug",
    };
    log_to(std::io::stderr, ui.story_paint().enabled(), level, format);
}

/// Writes one line per event. `RUST_LOG` has the last word on which, as levels by target: `gitsync=debug,kube=info`.
///
/// A pass has a span with its environment and number. People read it from the lines themselves; programs get it with
/// each line.
fn log_to<W>(writer: W, ansi: bool, level: &str, format: LogFormat)
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::prelude::*;
    let spans = match format {
        LogFormat::Text => "off",
        LogFormat::Json => "info",
    };
    let asked = std::env::var("RUST_LOG").ok();
    let wanted = format!("{level},gitsync::span={spans}");
    let filter = asked.and_then(|asked| asked.parse::<Targets>().ok());
    let filter = filter.or_else(|| wanted.parse().ok()).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(ansi).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A second start, as in tests, keeps the first one's log.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}
