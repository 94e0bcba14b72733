//! `waltop health`: is the database configured correctly, and writable?

use std::{
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::anyhow;

use crate::{
    config::{Config, duration_of},
    database::health::{self, AskToContinue, HealthError, HealthRequest},
    diagnose::health::HealthReport,
    ingest::{StopFlag, stop_on_signals},
    snapshot::{Database, Presence},
    text, units,
};

use super::{databases::diagnosed_with_libraries, diagnosed, each::report_each, refuse_hazard};

#[derive(Debug, clap::Args)]
pub struct HealthArgs {
    /// The databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Read all pages and check them for damage; Ctrl-C stops it. Others can write meanwhile; the log grows.
    #[arg(long)]
    quick_check: bool,
    /// How long to try for the write lock, as in 2s; default: the profile's `busy_timeout`.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_of)]
    budget: Option<Duration>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &HealthArgs, config: &Config) -> anyhow::Result<u8> {
    let stop = stop_on_signals()?;
    let one = |path: &Path| check(path, args, config, &stop);
    match report_each(&args.databases, config, args.json, one, ToString::to_string) {
        Ok(told) => Ok(told.exit(|report| !report.healthy)),
        Err(error) if matches!(error.downcast_ref(), Some(HealthError::Stopped)) => {
            let _ = writeln!(io::stderr(), "waltop: {error}");
            Ok(stop.exit_code())
        }
        Err(error) => Err(error),
    }
}

fn check(path: &Path, args: &HealthArgs, config: &Config, stop: &StopFlag) -> anyhow::Result<HealthReport> {
    let before = diagnosed(path, config)?;
    refuse_hazard(&before, "not checked")?;
    let profile = config.profile_of(path);
    let budget = profile.busy_timeout_ms().unwrap_or_default();
    let flag = stop.clone();
    let wanted = HealthRequest {
        profile,
        budget: args.budget.unwrap_or(Duration::from_millis(budget.into())),
        waiting: Arc::new(move |_| then(&flag)),
        quick_check: args.quick_check.then(|| progress(&before, stop.clone())),
    };
    let proof = health::prove(path, &before, &wanted);
    if args.quick_check && shows_progress() {
        // Clears the line of progress.
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let proof = proof.map_err(|error| anyhow!(error))?;
    // The connection is closed now, so a sample is safe again.
    let sample = if args.quick_check { diagnosed_with_libraries } else { diagnosed };
    let after = sample(path, config)?;
    let was_left = before.presence() == Presence::Leftover;
    Ok(HealthReport::of(&after, profile, proof, was_left && after.presence() == Presence::Clean))
}

fn then(stop: &StopFlag) -> ControlFlow<()> {
    if stop.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Whether stderr is a terminal, where a line can be overwritten.
fn shows_progress() -> bool {
    io::stderr().is_terminal() && !text::is_dumb_terminal()
}

/// Prints once a second on a terminal how long `quick_check` has been running: SQLite does not report its progress.
fn progress(database: &Database, stop: StopFlag) -> AskToContinue {
    let pages = database.wal.as_ref().and_then(|it| it.page_count);
    let pages = pages.or(database.header.as_ref().map(|it| it.page_count)).unwrap_or_default();
    let told = AtomicU64::new(0);
    let is_terminal = shows_progress();
    Arc::new(move |elapsed: Duration| {
        let seconds = elapsed.as_secs();
        if is_terminal && told.swap(seconds, Ordering::Relaxed) != seconds {
            let pages = units::plural(pages.into(), "page");
            // In one write: stderr is unbuffered, and half a line would show.
            let line = format!("\rquick_check of {pages}, {seconds} s so far; Ctrl-C ends it");
            let _ = io::stderr().write_all(line.as_bytes());
        }
        then(&stop)
    })
}
