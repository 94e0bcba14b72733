//! `waltop watch`: keeps a database in step with folders.

mod checkpoints;

use std::{
    io,
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};

use rustix::process::Signal;

use crate::{
    config::Config,
    endings::{self, EndSignals},
    ingest::{
        RunSummary,
        watch::{self, WakeSignal, WatchHost},
    },
    json,
    snapshot::Versioned,
    threads, units,
};

use self::checkpoints::CheckpointTimer;
use super::{
    ingest::{IngestTarget, fit_or_new},
    output::{notice, timed},
    print_line,
};

/// What to keep in step, and how.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    #[command(flatten)]
    what: IngestTarget,
    /// Print a line of JSON for each run.
    #[arg(long)]
    json: bool,
}

/// Watches until a signal ends it, after the current batch. TERM is the usual end of a daemon: exit code 0; INT and HUP
/// give the codes that shells use for them.
///
/// # Errors
///
/// It cannot start, because of an error that is not temporary.
pub fn run(args: WatchArgs, config: &Config) -> anyhow::Result<u8> {
    let request = args.what.request(config)?;
    let bell = WakeSignal::default();
    let ending = end_on_signals(bell.clone())?;
    let checkpoints = CheckpointTimer::of(&request.database, config)?;
    let mut reporter =
        WatchReporter { config, json: args.json, bell: bell.clone(), checkpoints, runs: 0, ingested: 0 };
    watch::watch(&request, &bell, &mut reporter)?;
    notice(&reporter.totals());
    Ok(match ending.get() {
        None | Some(&Signal::TERM) => 0,
        Some(&signal) => endings::exit_code(signal),
    })
}

/// Prints runs to stdout, and everything else to stderr, one line each.
struct WatchReporter<'a> {
    config: &'a Config,
    json: bool,
    bell: WakeSignal,
    checkpoints: Option<CheckpointTimer<'a>>,
    /// Runs so far, and the documents that they ingested.
    runs: u64,
    ingested: u64,
}

impl WatchReporter<'_> {
    fn totals(&self) -> String {
        let (runs, documents) = (units::plural(self.runs, "run"), units::plural(self.ingested, "document"));
        format!("ended after {runs}, {documents} ingested")
    }
}

impl WatchHost for WatchReporter<'_> {
    fn may_connect(&mut self, database: &Path) -> Result<(), String> {
        fit_or_new(database.to_owned(), self.config).map(drop).map_err(|error| error.to_string())
    }

    fn ran(&mut self, summary: &RunSummary) {
        self.runs += 1;
        self.ingested += summary.ingested;
        let line = if self.json {
            json::line(&Versioned::new(summary)).unwrap_or_default()
        } else {
            timed(&summary.to_string())
        };
        // A closed pipe is no reason to end.
        let _ = print_line(&line);
    }

    fn notice(&mut self, line: &str) {
        notice(line);
    }

    fn next_task_at(&mut self) -> Option<Instant> {
        self.checkpoints.as_ref().map(CheckpointTimer::next)
    }

    fn run_task(&mut self) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.run(self.bell.stop(), notice);
        }
    }
}

/// Ends the wait at `bell` at the first INT, TERM or HUP from now on, and records which came. If the process was
/// started to ignore HUP, as `nohup` does, HUP stays ignored.
fn end_on_signals(bell: WakeSignal) -> io::Result<Arc<OnceLock<Signal>>> {
    let came = Arc::new(OnceLock::new());
    let is_deaf_to_hangup = endings::ignores(Signal::HUP);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut endings = {
        let _context = runtime.enter();
        EndSignals::listen()?
    };
    let told = Arc::clone(&came);
    threads::start("signals", move || {
        runtime.block_on(async {
            loop {
                let signal = endings.next().await;
                if signal == Signal::HUP && is_deaf_to_hangup {
                    continue;
                }
                told.get_or_init(|| signal);
                bell.end();
            }
        });
    })?;
    Ok(came)
}
