//! Arguments and subcommands, and which module handles each.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    act::worker,
    config::{Config, TraceMode},
    console::{self, ConsoleDatabases},
    database::holder,
    recording::LONGEST_INTERVAL,
    remote::{SshHost, StreamRequest},
    state::places::Places,
};

mod actor;
mod check;
mod checkpoint;
mod completions;
pub mod contract;
mod databases;
pub(crate) mod discover;
mod doctor;
mod each;
mod embed;
mod explain;
mod export;
mod fix;
mod habits;
mod health;
mod help;
mod ingest;
pub(crate) mod links;
mod listen_args;
mod man;
mod mcp;
mod metrics;
pub(crate) mod optimize;
mod output;
mod pragmas;
mod read;
mod reap;
mod record;
mod recorded_time;
mod recording_dir;
mod replay;
mod report;
mod rescue;
mod runs;
mod safe;
mod sample_args;
mod sampling_loop;
mod search;
pub(crate) mod stats;
mod status;
mod stop;
mod stream;
mod usage;
mod version;
mod wait;
mod watch;
mod who;

use databases::{
    console_databases, databases, databases_by, diagnosed, fit, look, refuse_hazard, refuse_unfit, unnamed,
};
pub use help::COMMANDS;
use output::{print_json, print_line};

/// The time between the two samples of a command, which rates and differences need.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "waltop", version, about, long_about = None, args_conflicts_with_subcommands = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<CliCommand>,
    /// The databases to watch, or folders with databases.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Also watch the databases in the folders below a folder.
    #[arg(short, long)]
    recursive: bool,
    /// Read the settings from FILE, which must exist.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Refuse every action; only observe.
    #[arg(long)]
    readonly: bool,
    /// Record what happens while the console is open, as waltop record does.
    #[arg(long)]
    record: bool,
    /// Do not sample the locks between snapshots.
    #[arg(long)]
    no_sampling: bool,
    /// Leave the mouse to the terminal, which selects text with it.
    #[arg(long)]
    no_mouse: bool,
    /// Read every lock request from the kernel's trace, which needs root [default: the setting `trace`, else auto].
    #[arg(long, value_name = "WHEN")]
    trace: Option<TraceMode>,
    /// Show the databases of HOST over ssh instead; can be repeated. DB is a path there.
    #[arg(long = "host", value_name = "HOST", conflicts_with = "record")]
    hosts: Vec<String>,
    /// How waltop is run on a host: the words before `stream`, as in 'sudo -n waltop'.
    #[arg(long, value_name = "WORDS", default_value = SshHost::REMOTE_COMMAND, requires = "hosts")]
    remote_command: String,
    /// The ssh program with its options, as in 'ssh -p 2222'.
    #[arg(long, value_name = "WORDS", default_value = SshHost::SSH, requires = "hosts")]
    ssh: String,
    /// With --version: also print the commit, SQLite, the target, the profile and the features of the build.
    #[arg(long, requires = "version")]
    verbose: bool,
    /// The console of the sandbox: shows that, and reports pins after seconds.
    #[arg(long, hide = true)]
    sandbox: bool,
}

impl Cli {
    fn watch_hosts(&self, config: &Config) -> anyhow::Result<u8> {
        let mut hosts: Vec<SshHost> = Vec::new();
        for name in &self.hosts {
            let host = SshHost::new(name, &self.ssh, &self.remote_command)?;
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let commands = command();
        let is_command =
            |path: &&PathBuf| path.to_str().is_some_and(|it| commands.find_subcommand(it).is_some());
        if let Some(command) = self.databases.iter().find(is_command) {
            anyhow::bail!("{}", usage::of_console_only(&command.to_string_lossy()));
        }
        let request = StreamRequest {
            databases: self.databases.clone(),
            recursive: self.recursive,
            every: config.refresh.min(LONGEST_INTERVAL),
            sampling: !self.no_sampling,
            trace: self.trace,
        };
        Ok(console::watch_hosts(config, hosts, &request)?)
    }
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Open the console on a throwaway sandbox: real processes, real contention.
    Demo,
    /// Take one sample and print it.
    Status(status::StatusArgs),
    /// List the SQLite databases that are open on this machine, by container.
    Discover(discover::DiscoverArgs),
    /// Print the findings; the exit code serves CI and cron.
    Check(check::CheckArgs),
    /// Explain a finding, or an error such as `database is locked`.
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
    /// List links that lead nowhere, or may mean several documents.
    Links(links::LinksArgs),
    /// Print an ingested document, or the names of all.
    Read(read::ReadArgs),
    /// Check the configuration of a database and make a test write.
    Health(health::HealthArgs),
    /// Set what the file can keep: WAL mode, and what the profile asks for.
    Fix(fix::FixArgs),
    /// Count what a database contains and the space it takes.
    Stats(stats::StatsArgs),
    /// Collect planner statistics, merge the full-text index, free unused pages.
    Optimize(optimize::OptimizeArgs),
    /// Send a signal to a process that has a database open.
    Stop(stop::StopArgs),
    /// Stop stale processes, after watching for a while.
    Reap(reap::ReapArgs),
    /// Copy a database with deleted files or a doubtful log.
    Rescue(rescue::RescueArgs),
    /// Say whether no process has the database open, or which ones to stop.
    Safe(safe::SafeArgs),
    /// Wait until the write lock is free or the log is checkpointed.
    Wait(wait::WaitArgs),
    /// Record the locks of databases, for the time after an incident.
    Record(record::RecordArgs),
    /// Print metrics for Prometheus, or serve them with the health of the databases.
    Metrics(metrics::MetricsArgs),
    /// Write each sample as lines of JSON, for a console on another machine.
    Stream(stream::StreamArgs),
    /// Serve locks, findings and documents to agents, as an MCP server.
    Mcp(mcp::McpArgs),
    /// Say who held the locks at a recorded moment.
    Who(who::WhoArgs),
    /// Open the console on a recording, at any moment of it.
    Replay(replay::ReplayArgs),
    /// Summarize a recording: longest holds, waits, growth of the log, findings.
    Report(report::ReportArgs),
    /// Write a recording in the format of another program.
    Export(export::ExportArgs),
    /// Say what this machine lets waltop see, and how to open the rest.
    Doctor(doctor::DoctorArgs),
    /// Print a script with which a shell completes commands, options and findings.
    Completions(completions::CompletionsArgs),
    /// Print a manual page, or write all of them to a folder.
    Man(man::ManArgs),
    #[command(hide = true)]
    Pragmas(pragmas::PragmasArgs),
    #[command(hide = true)]
    Actor(actor::ActorArgs),
    /// Enter the alternate screen and panic, so that a test can check that the terminal is restored.
    #[command(hide = true)]
    Crash,
}

impl CliCommand {
    /// Whether a read-only configuration refuses it. The sandbox and its actors never touch the user's databases.
    fn changes_something(&self) -> bool {
        match self {
            // A health check takes the write lock, and recovers what a crash has left.
            Self::Watch(_) | Self::Health(_) | Self::Stop(_) => true,
            Self::Checkpoint(args) => !args.dry_run,
            Self::Ingest(args) => !args.dry_run,
            Self::Mcp(args) => args.changes_something(),
            Self::Fix(args) => !args.dry_run,
            Self::Reap(args) => !args.dry_run,
            Self::Optimize(args) => !args.dry_run,
            // It changes nothing but what a process does meanwhile.
            Self::Rescue(args) => args.freeze,
            Self::Demo
            | Self::Status(_)
            | Self::Discover(_)
            | Self::Check(_)
            | Self::Explain(_)
            | Self::Runs(_)
            | Self::Search(_)
            | Self::Links(_)
            | Self::Read(_)
            | Self::Stats(_)
            | Self::Safe(_)
            | Self::Wait(_)
            | Self::Record(_)
            | Self::Metrics(_)
            | Self::Stream(_)
            | Self::Who(_)
            | Self::Replay(_)
            | Self::Report(_)
            | Self::Export(_)
            | Self::Doctor(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Pragmas(_)
            | Self::Actor(_)
            | Self::Crash => false,
        }
    }
}

/// Runs the command in `args`; returns the exit code.
///
/// # Errors
///
/// Any failure, as one sentence with the fix.
pub fn run(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<u8> {
    let args = usage::config_last(args);
    let cli = match command().try_get_matches_from(&args).and_then(|it| Cli::from_arg_matches(&it)) {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error, &args),
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
        holder::call_by(config.label_rules());
        Ok(config)
    };
    match cli.command {
        None => {
            let mut config = config()?;
            config.readonly |= cli.readonly;
            config.sampling = !cli.no_sampling;
            config.record = cli.record;
            config.mouse &= !cli.no_mouse;
            config.trace = cli.trace.unwrap_or(config.trace);
            if !cli.hosts.is_empty() {
                return cli.watch_hosts(&config);
            }
            let named = databases::named(&cli.databases, cli.recursive)?;
            let found = if named.paths.is_empty() { discover::for_console(&config) } else { None };
            let watched = match found {
                Some(found) => found,
                None => ConsoleDatabases {
                    paths: console_databases(&named.paths, &config)?,
                    notes: named.notes,
                    ..ConsoleDatabases::default()
                },
            };
            let banner = cli.sandbox.then(|| {
                config.thresholds = crate::demo::thresholds();
                crate::demo::BANNER.to_owned()
            });
            Ok(console::run(config, watched, banner)?)
        }
        // Invalid settings are reported before the sandbox is created.
        Some(CliCommand::Demo) => Ok(crate::demo::run(&config()?)?),
        Some(CliCommand::Status(args)) => status::run(&args, config()?),
        Some(CliCommand::Discover(args)) => discover::run(&args, config()?),
        Some(CliCommand::Check(args)) => check::run(&args, config()?),
        // The page of a finding is readable with any settings.
        Some(CliCommand::Explain(args)) => explain::run(&args, config),
        Some(CliCommand::Checkpoint(args)) => checkpoint::run(&args, &config()?),
        Some(CliCommand::Ingest(args)) => ingest::run(args, &config()?),
        Some(CliCommand::Watch(args)) => watch::run(args, &config()?),
        Some(CliCommand::Runs(args)) => runs::run(&args, &config()?),
        Some(CliCommand::Search(args)) => search::run(&args, &config()?),
        Some(CliCommand::Read(args)) => read::run(&args, &config()?),
        Some(CliCommand::Health(args)) => health::run(&args, &config()?),
        Some(CliCommand::Fix(args)) => fix::run(&args, &config()?),
        Some(CliCommand::Links(args)) => links::run(&args, &config()?),
        Some(CliCommand::Stats(args)) => stats::run(&args, &config()?),
        Some(CliCommand::Optimize(args)) => optimize::run(&args, &config()?),
        Some(CliCommand::Stop(args)) => stop::run(&args, &config()?),
        Some(CliCommand::Reap(args)) => reap::run(&args, &config()?),
        Some(CliCommand::Rescue(args)) => rescue::run(&args, &config()?),
        Some(CliCommand::Safe(args)) => safe::run(&args, &config()?),
        Some(CliCommand::Wait(args)) => wait::run(&args, &config()?),
        Some(CliCommand::Record(args)) => record::run(&args, &config),
        Some(CliCommand::Metrics(args)) => metrics::run(&args, &config),
        Some(CliCommand::Stream(args)) => stream::run(&args, config()?),
        Some(CliCommand::Mcp(args)) => mcp::run(&args, &config()?),
        Some(CliCommand::Who(args)) => who::run(&args, &config()?),
        Some(CliCommand::Replay(args)) => replay::run(&args, &config()?),
        Some(CliCommand::Report(args)) => report::run(&args, &config()?),
        Some(CliCommand::Export(args)) => export::run(&args, &config()?),
        Some(CliCommand::Doctor(args)) => doctor::run(&args, config),
        // What waltop says of itself does not depend on the user's settings.
        Some(CliCommand::Completions(args)) => completions::run(&args),
        Some(CliCommand::Man(args)) => man::run(&args),
        Some(CliCommand::Pragmas(args)) => pragmas::run(&args, &config()?),
        // An actor, or a test of the terminal, does not use the user's settings.
        Some(CliCommand::Actor(args)) => actor::run(&args),
        Some(CliCommand::Crash) => Ok(console::crash()?),
    }
}

/// The arguments, with the last parts of the help texts: exit codes, examples, and the path of this user's settings.
pub fn command() -> clap::Command {
    let file = Places::of_user()
        .map_or_else(|_| "config.toml".to_owned(), |places| places.config.display().to_string());
    let with_help = |command: clap::Command| match COMMANDS.iter().find(|it| it.command == command.get_name())
    {
        Some(help) => command.after_help(help.text()),
        None => command,
    };
    Cli::command().mut_subcommands(with_help).after_help(format!(
        "Without a command the console opens; without a DB, on the databases of the settings, else on the one in \
         the user's data folder, else on those that are open on this machine.\nSettings: {file}, if it is there; assets/config.toml in the sources of waltop shows \
         every key with its default."
    ))
}

/// A number from 1.
fn from_one(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "give a number from 1")
}

/// A process ID.
fn pid_of(text: &str) -> Result<i32, &'static str> {
    text.parse().map_err(|_| "give the PID of a process, a number")
}
