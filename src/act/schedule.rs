//! Runs scheduled checkpoints, each in a worker process, and records their results.

use std::{io, path::PathBuf};

use jiff::Timestamp;

use crate::{
    config::Permit,
    diagnose::schedule::CheckpointPlan,
    report::{CheckpointReport, DatabaseReports},
    snapshot::{CheckpointMode, LastCheckpoint},
    state::schedule_ledger::ScheduleLedger,
};

use super::worker;

/// A scheduled checkpoint that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCheckpoint {
    pub database: PathBuf,
    /// The mode that the profile asks for.
    pub mode: CheckpointMode,
    /// What may be done now.
    pub plan: CheckpointPlan,
    /// Time of the last checkpoint from which this one was computed: a caller that saw an older one is too late.
    pub seen: Option<Timestamp>,
}

/// Runs `due` and returns its result, or `None` if it has to wait, or another waltop has or had the turn.
///
/// # Errors
///
/// The state directory is not writable: without it two waltop processes would not know of each other.
pub async fn run_checkpoint(
    permit: Permit,
    ledger: &ScheduleLedger,
    due: &DueCheckpoint,
) -> io::Result<Option<LastCheckpoint>> {
    let (mode, instead) = match &due.plan {
        CheckpointPlan::Wait(_) => return Ok(None),
        CheckpointPlan::Idle => (due.mode, None),
        CheckpointPlan::Run { mode, instead } => (*mode, instead.clone()),
    };
    let Some(turn) = ledger.claim(&due.database, due.seen)? else { return Ok(None) };
    let mut last = LastCheckpoint::started(Timestamp::now(), mode, instead);
    if due.plan == CheckpointPlan::Idle {
        last.complete = Some(true);
        last.why = Some("nothing was to be moved".to_owned());
        turn.note(&last)?;
        return Ok(Some(last));
    }
    // If this process dies meanwhile, the next checkpoint does not follow at once.
    turn.note(&last)?;
    match checkpoint(permit, &due.database, mode).await {
        Ok(report) => {
            last.complete = Some(report.complete);
            last.frames_in_log = report.frames_in_log;
            last.frames_moved = report.frames_moved;
            last.why = report.blocked_by.into_iter().next().map(|blocker| blocker.why);
        }
        Err(error) => {
            last.complete = Some(false);
            last.why = Some(error.to_string());
        }
    }
    turn.note(&last)?;
    Ok(Some(last))
}

/// One checkpoint in a worker process.
///
/// # Errors
///
/// The worker cannot be started, or refuses.
pub async fn checkpoint(
    permit: Permit,
    database: &std::path::Path,
    mode: CheckpointMode,
) -> Result<CheckpointReport, worker::WorkerError> {
    let mode = mode.to_string();
    let args =
        ["checkpoint".as_ref(), "--json".as_ref(), "--mode".as_ref(), mode.as_ref(), database.as_os_str()];
    let reports = worker::ask::<DatabaseReports<CheckpointReport>>(permit, &args).await?;
    let no_answer = || worker::WorkerError::Refused("the checkpoint gave no answer".to_owned());
    reports.databases.into_iter().next().ok_or_else(no_answer)
}
