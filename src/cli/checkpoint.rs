//! `waltop checkpoint`: one checkpoint, and its result.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::{diagnosed, each::report_each};
use crate::{
    config::Config,
    database::{checkpoint, factory},
    diagnose::checkpoint::{blockers, no_room},
    report::CheckpointReport,
    snapshot::{CheckpointMode, Database},
};

#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    /// The databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// PASSIVE blocks no process; the other modes make writers wait for up to 250 ms.
    #[arg(long, value_enum, ignore_case = true, default_value_t = CheckpointMode::Passive)]
    mode: CheckpointMode,
    /// Run none: say how much waits, and what would be in the way.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CheckpointArgs, config: &Config) -> anyhow::Result<u8> {
    let one = |path: &Path| {
        if args.dry_run { preview(path, args.mode, config) } else { checkpoint(path, args.mode, config) }
    };
    let line = |it: &CheckpointReport| format!("{}: {it}", it.path.display());
    let told = report_each(&args.databases, config, args.json, one, line)?;
    Ok(told.exit(|report| if args.dry_run { !report.blocked_by.is_empty() } else { !report.complete }))
}

/// What a checkpoint would find, as of a sample: no connection is opened.
fn preview(path: &Path, mode: CheckpointMode, config: &Config) -> anyhow::Result<CheckpointReport> {
    let database = diagnosed(path, config)?;
    let wal = database.wal.as_ref();
    Ok(CheckpointReport {
        path: path.to_owned(),
        mode,
        dry_run: true,
        complete: wal.is_none_or(|wal| wal.pending == Some(0)),
        busy: false,
        frames_in_log: wal.and_then(|wal| wal.frames),
        frames_moved: wal.and_then(|wal| wal.backfilled),
        frames_moved_now: Some(0),
        waited_ms: 0.0,
        blocked_by: blockers(&database, mode),
    })
}

fn checkpoint(path: &Path, mode: CheckpointMode, config: &Config) -> anyhow::Result<CheckpointReport> {
    let before = diagnosed(path, config)?;
    if let Some(full) = no_room(&before) {
        bail!("no checkpoint: {}; free that much first", full.why(&before));
    }
    let outcome = checkpoint::run(path, mode, &before, config.profile_of(path))
        .map_err(|error| named(error, &before, mode))?;
    // The connection is closed now, so a sample is safe again.
    let blocked_by = if outcome.complete() { Vec::new() } else { blockers(&diagnosed(path, config)?, mode) };
    Ok(CheckpointReport {
        path: path.to_owned(),
        mode,
        dry_run: false,
        complete: outcome.complete(),
        busy: outcome.busy,
        frames_in_log: outcome.frames_in_log,
        frames_moved: outcome.frames_moved,
        frames_moved_now: outcome.frames_moved_now,
        waited_ms: outcome.waited_ms,
        blocked_by,
    })
}

/// The same error, with the names of the processes that hold the lock.
fn named(error: checkpoint::CheckpointError, before: &Database, mode: CheckpointMode) -> anyhow::Error {
    let blockers = blockers(before, mode);
    let is_locked = matches!(error, checkpoint::CheckpointError::Open(factory::OpenError::Busy { .. }));
    if !is_locked || blockers.is_empty() {
        return error.into();
    }
    let whys: Vec<String> = blockers.into_iter().map(|blocker| blocker.why).collect();
    anyhow!("no checkpoint: {}; try again once that is over", whys.join(", and "))
}
