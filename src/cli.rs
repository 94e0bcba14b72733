//! Arguments and subcommands: what was asked, and which room answers.

use std::{
    ffi::OsString,
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use crate::{
    act::worker,
    config::Config,
    console, diagnose, json, observe, paths,
    sampler::{Monitor, Sample},
    snapshot::{Database, Snapshot},
    state::places::Places,
    text,
};

mod actor;
mod asking;
mod check;
mod checkpoint;
pub mod contract;
mod each;
mod embed;
mod explain;
mod fix;
mod health;
pub mod help;
mod ingest;
mod optimize;
mod pragmas;
mod reap;
mod rescue;
mod runs;
mod sample_args;
mod search;
mod stats;
mod status;
mod watch;

/// The time between the two samples of a command: what is derived from a difference needs two.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "waltop", version, about, long_about = None, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<CliCommand>,
    /// The databases to watch.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Read the settings from FILE; it must be there.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Refuse every action; only observe.
    #[arg(long)]
    readonly: bool,
    /// Do not sample the locks between snapshots.
    #[arg(long)]
    no_sampling: bool,
    /// The console of the sandbox: says so, and judges pins by seconds.
    #[arg(long, hide = true)]
    sandbox: bool,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Open the console on a throwaway sandbox: real processes, real contention.
    Demo,
    /// Take one sample and print it.
    Status(status::StatusArgs),
    /// Print the findings; the exit code serves CI and cron.
    Check(check::CheckArgs),
    /// Explain a finding: what it means, why it hurts, what to do.
    Explain(explain::ExplainArgs),
    /// Run one checkpoint; print what moved and which processes prevent the rest.
    Checkpoint(checkpoint::CheckpointArgs),
    /// Ingest the Markdown and text files of folders into a database.
    Ingest(ingest::IngestArgs),
    /// Ingest folders, and again after each change.
    Watch(watch::WatchArgs),
    /// List past and present ingestions with their batches and failed files.
    Runs(runs::RunsArgs),
    /// Search the ingested documents.
    Search(search::SearchArgs),
    /// Check the configuration of a database and make a test write.
    Health(health::HealthArgs),
    /// Set what the file can keep: WAL mode, and what the profile asks for.
    Fix(fix::FixArgs),
    /// Count what a database contains and the space it takes.
    Stats(stats::StatsArgs),
    /// Collect planner statistics, merge the full-text index, free unused pages.
    Optimize(optimize::OptimizeArgs),
    /// Stop stale processes, after watching for a while.
    Reap(reap::ReapArgs),
    /// Copy a database with deleted files or a doubtful log.
    Rescue(rescue::RescueArgs),
    #[command(hide = true)]
    Pragmas(pragmas::PragmasArgs),
    #[command(hide = true)]
    Actor(actor::ActorArgs),
    /// Take the terminal over and panic, so that a test sees it given back.
    #[command(hide = true)]
    Crash,
}

impl CliCommand {
    /// Whether it is refused by a configuration that is read-only. The sandbox and its actors touch nobody's database.
    fn changes_something(&self) -> bool {
        match self {
            // A health check takes the write lock, and recovers what a crash has left.
            Self::Checkpoint(_) | Self::Ingest(_) | Self::Watch(_) | Self::Health(_) => true,
            Self::Fix(args) => !args.dry_run,
            Self::Reap(args) => !args.dry_run,
            Self::Optimize(args) => !args.dry_run,
            // It changes nothing but what a process does meanwhile.
            Self::Rescue(args) => args.freeze,
            Self::Demo
            | Self::Status(_)
            | Self::Check(_)
            | Self::Explain(_)
            | Self::Runs(_)
            | Self::Search(_)
            | Self::Stats(_)
            | Self::Pragmas(_)
            | Self::Actor(_)
            | Self::Crash => false,
        }
    }
}

/// Does what `args` ask; the exit code.
///
/// # Errors
///
/// Whatever went wrong, as one sentence that says what to do.
pub fn run(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<u8> {
    let cli =
        match command().try_get_matches_from(config_last(args)).and_then(|it| Cli::from_arg_matches(&it)) {
            Ok(cli) => cli,
            Err(error) => return usage(&error),
        };
    let is_refused = cli.command.as_ref().is_some_and(CliCommand::changes_something);
    let config = || -> anyhow::Result<Config> {
        let config = Config::load(cli.config.as_deref())?;
        if is_refused {
            config.permit()?;
        }
        if cli.config.is_some() {
            worker::hand_down(config.places.config.clone());
        }
        Ok(config)
    };
    match cli.command {
        None => {
            let mut config = config()?;
            config.readonly |= cli.readonly;
            config.sampling = !cli.no_sampling;
            let databases = console_databases(&cli.databases, &config)?;
            let banner = cli.sandbox.then(|| {
                config.thresholds = crate::demo::thresholds();
                crate::demo::BANNER.to_owned()
            });
            Ok(console::run(config, databases, banner)?)
        }
        // Whatever is wrong with the settings is told before the sandbox is set up.
        Some(CliCommand::Demo) => Ok(crate::demo::run(&config()?)?),
        Some(CliCommand::Status(args)) => status::run(&args, config()?),
        Some(CliCommand::Check(args)) => check::run(&args, config()?),
        // What a finding means can be read whatever the settings say.
        Some(CliCommand::Explain(args)) => explain::run(&args),
        Some(CliCommand::Checkpoint(args)) => checkpoint::run(&args, &config()?),
        Some(CliCommand::Ingest(args)) => ingest::run(args, &config()?),
        Some(CliCommand::Watch(args)) => watch::run(args, &config()?),
        Some(CliCommand::Runs(args)) => runs::run(&args, &config()?),
        Some(CliCommand::Search(args)) => search::run(&args, &config()?),
        Some(CliCommand::Health(args)) => health::run(&args, &config()?),
        Some(CliCommand::Fix(args)) => fix::run(&args, &config()?),
        Some(CliCommand::Stats(args)) => stats::run(&args, &config()?),
        Some(CliCommand::Optimize(args)) => optimize::run(&args, &config()?),
        Some(CliCommand::Reap(args)) => reap::run(&args, &config()?),
        Some(CliCommand::Rescue(args)) => rescue::run(&args, &config()?),
        Some(CliCommand::Pragmas(args)) => pragmas::run(&args, &config()?),
        // A client under orders, or a test of the terminal, is no user of anybody's settings.
        Some(CliCommand::Actor(args)) => actor::run(&args),
        Some(CliCommand::Crash) => Ok(console::crash()?),
    }
}

/// `args` with a `--config FILE` that stands first put behind the word after it: no option may stand before a command,
/// since it would be the console's, but this one is everybody's.
fn config_last(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let option = args.get(1).and_then(|it| it.to_str()).unwrap_or_default();
    let length = match option {
        "--config" => 2,
        _ if option.starts_with("--config=") => 1,
        _ => return args,
    };
    if args.get(1 + length).is_some_and(|it| !it.as_encoded_bytes().starts_with(b"-")) {
        args[1..=1 + length].rotate_right(1);
    }
    args
}

/// The arguments, with the ends of the helps: exit codes, examples, and where the settings of this user are.
pub fn command() -> clap::Command {
    let file = Places::of_user()
        .map_or_else(|_| "config.toml".to_owned(), |places| places.config.display().to_string());
    let with_help = help::COMMANDS
        .iter()
        .fold(Cli::command(), |cli, help| cli.mut_subcommand(help.command, |it| it.after_help(help.text())));
    with_help.after_help(format!(
        "Without a command the console opens; without a DB, on the databases of the settings, else on the one in \
         the user's data folder.\nSettings: {file}, if it is there; assets/config.toml in the sources of waltop shows \
         every key with its default."
    ))
}

/// Help and version go to stdout as they are; a mistake becomes one line.
fn usage(error: &clap::Error) -> anyhow::Result<u8> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Bold and underlined where stdout is a terminal.
        return match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(0),
        };
    }
    let text = error.to_string();
    let mut paragraphs =
        text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let what = paragraphs.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(&what).to_owned();
    let tips: Vec<String> = paragraphs.filter_map(|it| it.strip_prefix("tip: ").map(str::to_owned)).collect();
    let tip = tips.first().map_or_else(String::new, |tip| format!("; {tip}"));
    bail!("{what}{tip}; see waltop --help");
}

/// The databases that the console watches: those named, else those of the settings, else the default one; one that is
/// not named need not exist yet.
fn console_databases(named: &[PathBuf], config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return inspected(named, observe::inspect_from_outside)
            .map_err(|error| perhaps_a_command(named, error));
    }
    let listed = unnamed(config);
    listed
        .iter()
        .map(|path| {
            if path.exists() {
                match observe::inspect_from_outside(path) {
                    // The others go on, and the line of this one says why it does not.
                    Err(_) if listed.len() > 1 => {}
                    inspected => return Ok(inspected?),
                }
            }
            // Under the name that its ingestion will have in the journal.
            match paths::settled(path) {
                Err(_) if listed.len() > 1 => Ok(path.clone()),
                settled => settled
                    .map_err(|error| anyhow!("cannot look at {}: {error}; check the path", path.display())),
            }
        })
        .collect()
}

/// The databases that are meant where none is named: those of the settings, else the default one.
fn unnamed(config: &Config) -> &[PathBuf] {
    let listed = &config.databases;
    if listed.is_empty() { std::slice::from_ref(&config.places.default_database) } else { listed }
}

/// A bare word that names no file was most likely meant for a command.
fn perhaps_a_command(named: &[PathBuf], error: anyhow::Error) -> anyhow::Error {
    let word = named[0].to_string_lossy();
    let is_bare = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !is_bare || named[0].exists() {
        return error;
    }
    if Cli::command().find_subcommand(&*word).is_some() {
        return anyhow!(
            "an option stands before {word}; put --readonly before databases only, and {word} first"
        );
    }
    let commands = Cli::command();
    let visible = commands.get_subcommands().filter(|it| !it.is_hide_set()).map(clap::Command::get_name);
    if let Some(command) = text::similar(&word, visible) {
        return anyhow!("no such file or command: {word}; did you mean `waltop {command}`?");
    }
    match error.downcast_ref() {
        Some(observe::UnfitPath::Missing { nearest: Some(file), .. }) => {
            anyhow!("no such file or command: {word}; did you mean {file}?")
        }
        _ => anyhow!(
            "no such file or command: {word}; name a SQLite database that exists, or see waltop --help"
        ),
    }
}

/// How a database is inspected before it is used.
type InspectDatabase = fn(&Path) -> Result<PathBuf, observe::UnfitPath>;

/// The databases that a command means: those named, else those of the settings, else the default one; each inspected.
fn databases(named: &[PathBuf], config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    databases_by(named, config, observe::inspect)
}

fn databases_by(
    named: &[PathBuf],
    config: &Config,
    inspect: InspectDatabase,
) -> anyhow::Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return inspected(named, inspect);
    }
    let file = config.places.config.display();
    if !config.databases.is_empty() {
        return inspected(&config.databases, inspect)
            .map_err(|error| anyhow!("{error}; it is listed in {file}"));
    }
    let default = &config.places.default_database;
    if !default.exists() {
        bail!(
            "no database is named, and there is no {} yet; name one, or list it in {file}",
            default.display()
        );
    }
    inspected(std::slice::from_ref(default), inspect)
}

/// Fails where a database of `snapshot` could not be looked at, and says why; the others have been told by then.
fn refuse_unfit(snapshot: &Snapshot) -> anyhow::Result<()> {
    let unfit: Vec<&str> = snapshot.databases.iter().filter_map(|it| it.unfit.as_deref()).collect();
    match (unfit.as_slice(), snapshot.databases.len()) {
        ([], _) => Ok(()),
        ([why], 1) => bail!("{why}"),
        ([why, ..], all) => bail!("{} of {all} databases cannot be looked at: {why}", unfit.len()),
    }
}

fn inspected(paths: &[PathBuf], inspect: InspectDatabase) -> anyhow::Result<Vec<PathBuf>> {
    paths.iter().map(|path| Ok(inspect(path)?)).collect()
}

/// The last of as many samples as it takes to confirm or clear what the first says against a process: one where it says
/// nothing. Everything that was opened for them is closed again, so that the process may connect afterwards.
fn diagnosed(path: &Path, config: &Config) -> anyhow::Result<Database> {
    let mut watch = watch(path, config);
    only(&watch.settled_look())
}

/// One sample, diagnosed: an accusation in it is not confirmed. It ends as [`diagnosed`] does.
fn look(path: &Path, config: &Config) -> anyhow::Result<Database> {
    only(&watch(path, config).look())
}

fn watch(path: &Path, config: &Config) -> Monitor {
    let observer = observe::Observer::new(&config.places, vec![path.to_owned()]).without_ingestions();
    Monitor::new(observer, config.clone())
}

fn only(look: &Sample) -> anyhow::Result<Database> {
    look.snapshot.databases.first().cloned().context("nothing was looked at")
}

/// The database under its absolute path, if a connection to it loses nothing now. `refusal` says what was not done.
fn fit(path: &Path, config: &Config, refusal: &str) -> anyhow::Result<PathBuf> {
    let path = observe::inspect(path)?;
    refuse_hazard(&diagnosed(&path, config)?, refusal)?;
    Ok(path)
}

/// Fails where a connection to `database` could lose what was committed. `refusal` says what was not done.
fn refuse_hazard(database: &Database, refusal: &str) -> anyhow::Result<()> {
    diagnose::guard::admit(database, rustix::process::geteuid().is_root())
        .map_err(|why| anyhow!("{refusal}, since data could be lost: {why}"))
}

/// A number of things of which there is at least one.
fn from_one(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "give a number from 1")
}

/// Writes a line to stdout. A reader that went away is no error of ours.
fn print_line(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes `value` to stdout as JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_line(&json::pretty(value)?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::state::places::Places;

    #[test]
    fn the_console_knows_a_database_that_is_not_there_yet_by_its_real_name() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let root = dir.path().canonicalize().expect("the folder");
        fs::create_dir(root.join("real")).expect("a folder");
        symlink("real", root.join("link")).expect("a link");
        let default_database = root.join("link/waltop/waltop.db");
        let config = Config::new(Places { default_database, ..Places::under(&root) });
        let databases = console_databases(&[], &config).expect("it may be missing");
        assert_eq!(databases, [root.join("real/waltop/waltop.db")]);
    }
}
