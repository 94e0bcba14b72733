//! `waltop wait`: until no process holds the write lock, or every frame of the log is moved.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{
    databases::{self, monitor, only},
    print_json, print_line,
};
use crate::{
    config::{Config, duration_of},
    diagnose::wait::{GoalState, WaitGoal, WaitReport},
    ingest::{StopFlag, stop_on_signals},
    sampler::Monitor,
    text, units,
};

/// Time between two samples. A commit takes milliseconds: two samples at this distance are of different transactions.
const EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub struct WaitArgs {
    /// The database.
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// What to wait for.
    #[arg(long, value_enum, ignore_case = true, value_name = "STATE")]
    until: WaitGoal,
    /// How long to wait at most, as in 30s.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "30s")]
    timeout: Duration,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &WaitArgs, config: &Config) -> anyhow::Result<u8> {
    let path = databases::named_from_outside(&args.database)?;
    let stop = stop_on_signals()?;
    let Some(report) = wait(&path, args, config, &stop)? else {
        let path = text::clean(&path.display().to_string());
        let _ = writeln!(io::stderr(), "waltop: stopped before {path} was seen to be {}", args.until);
        return Ok(stop.exit_code());
    };
    if args.json {
        print_json(&report)?;
    } else {
        // Names of processes and files come from outside.
        print_line(&text::clean(&report.to_string()))?;
    }
    Ok(report.exit())
}

/// The report; `None` after a signal.
fn wait(
    path: &Path,
    args: &WaitArgs,
    config: &Config,
    stop: &StopFlag,
) -> anyhow::Result<Option<WaitReport>> {
    let mut watch = monitor(path, config);
    let began = Instant::now();
    let mut was_reached = false;
    let state = loop {
        let state = sample(&mut watch, args.until)?;
        let is_reached = state == GoalState::Reached;
        // The lock is free between any two transactions of a busy writer, so that one sample proves little.
        let is_confirmed = is_reached && (was_reached || args.until != WaitGoal::Free);
        let left = args.timeout.saturating_sub(began.elapsed());
        if is_confirmed || left.is_zero() && !is_reached {
            break state;
        }
        // The confirming sample is taken even if the time is over by then.
        thread::sleep(if is_reached { EVERY } else { left.min(EVERY) });
        if stop.is_raised() {
            return Ok(None);
        }
        was_reached = is_reached;
    };
    let waited_ms = units::milliseconds(began.elapsed());
    Ok(Some(WaitReport::new(path.to_owned(), args.until, waited_ms, state)))
}

fn sample(watch: &mut Monitor, until: WaitGoal) -> anyhow::Result<GoalState> {
    let database = only(&watch.sample())?;
    if let Some(why) = &database.unfit {
        bail!("{why}");
    }
    Ok(until.state(&database, watch.unseen_locks()))
}
