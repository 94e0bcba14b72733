//! One checkpoint, and its result.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::process::geteuid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    factory,
    sidecars::{self, OnClose, SidecarPaths},
};
use crate::{
    config::profile::Profile,
    diagnose::guard,
    snapshot::{CheckpointMode, Database, Presence},
};

/// How long a mode that blocks writers waits for them, and then for readers.
const WAIT: Duration = Duration::from_millis(250);

/// Why no checkpoint ran.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A checkpoint would lose data now.
    #[error("no checkpoint, since data could be lost: {0}")]
    Hazard(#[from] guard::GuardRefusal),
    #[error("no checkpoint: {} is not in WAL mode; switch it with: waltop fix {}", path.display(), path.display())]
    NotWal { path: PathBuf },
    /// Nothing was ever written to it.
    #[error("no checkpoint: {} is empty; there is a log once something was written to it", path.display())]
    Empty { path: PathBuf },
    /// The index that a connection would create would not belong to the owner.
    #[error("no checkpoint: {} belongs to another user, who could not write to our -shm; run as its owner", path.display())]
    OtherUser { path: PathBuf },
    /// It could not be examined.
    #[error("no checkpoint: cannot examine {}: {cause}; check who may read it and its folder", path.display())]
    Examine { path: PathBuf, cause: io::Error },
    /// It could not be opened, or SQLite failed.
    #[error(transparent)]
    Open(#[from] factory::OpenError),
}

#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct CheckpointOutcome {
    /// The requested mode.
    pub mode: CheckpointMode,
    /// Whether another process's lock kept it from finishing.
    pub busy: bool,
    /// Frames in the log; `None` if another checkpoint was running. After TRUNCATE, 0.
    pub frames_in_log: Option<u32>,
    /// Frames of the log that are in the main file; `None` if another checkpoint was running.
    pub frames_moved: Option<u32>,
    /// Frames that this checkpoint moved; `None` if unknown.
    pub frames_moved_now: Option<u32>,
    /// Its duration, waiting included, in ms.
    pub waited_ms: f64,
}

impl CheckpointOutcome {
    /// Whether it did everything that the mode asks for. `busy` alone does not say so: PASSIVE stops at a reader's mark
    /// without reporting busy.
    pub fn complete(&self) -> bool {
        !self.busy && self.frames_in_log.is_some() && self.frames_moved == self.frames_in_log
    }
}

/// Runs one checkpoint on `path`, on a connection with the settings of `profile`. `database` is its state just before,
/// with its findings. For a worker process.
///
/// Modes other than PASSIVE hold the write lock while they wait for readers, so they give up after a short time.
///
/// # Errors
///
/// The findings say that a checkpoint would lose data, the database is not in WAL mode, or it cannot be opened. A
/// blocked checkpoint is no error.
pub fn run(
    path: &Path,
    mode: CheckpointMode,
    database: &Database,
    profile: &Profile,
) -> Result<CheckpointOutcome, CheckpointError> {
    guard::allow(database, geteuid().is_root())?;
    if database.is_wal() == Some(false) {
        return Err(CheckpointError::NotWal { path: path.to_owned() });
    }
    if database.files.db.as_ref().is_some_and(|file| file.bytes == 0) {
        return Err(CheckpointError::Empty { path: path.to_owned() });
    }
    let main = factory::resolve(path, false)?;
    let sidecars = SidecarPaths::of(&main);
    if !sidecars.wal.exists() && database.is_wal() == Some(true) {
        // There is no log, so there is nothing to checkpoint, and no reason to create one.
        return Ok(CheckpointOutcome {
            mode,
            busy: false,
            frames_in_log: Some(0),
            frames_moved: Some(0),
            frames_moved_now: Some(0),
            waited_ms: 0.0,
        });
    }
    let foreign = sidecars::would_be_foreign(&main);
    if !sidecars.shm.exists()
        && foreign.map_err(|cause| CheckpointError::Examine { path: main.clone(), cause })?
    {
        return Err(CheckpointError::OtherUser { path: main });
    }
    let live = database.presence() == Presence::Live;
    let on_close = if live { OnClose::LeaveFiles } else { OnClose::Tidy };
    let since = Instant::now();
    let _as_owner = factory::as_owner(&main)?;
    let connection = factory::open_for_look(&main, profile, on_close)?;
    let outcome = checkpoint(&connection, mode);
    let left = sidecars::leave(connection, &main);
    let say = |cause| factory::explain(path, since, cause);
    let outcome = outcome.map_err(say)?.ok_or_else(|| CheckpointError::NotWal { path: path.to_owned() })?;
    left.map_err(say)?;
    Ok(outcome)
}

// The counts come from the pragma's row: rusqlite's function drops them if the result is busy. `None`: no WAL.
fn checkpoint(connection: &Connection, mode: CheckpointMode) -> rusqlite::Result<Option<CheckpointOutcome>> {
    connection.busy_timeout(WAIT)?;
    let row = |mode: &str| -> rusqlite::Result<(bool, i64, i64)> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    };
    let (_, waiting, moved_before) = row("noop")?;
    let started = Instant::now();
    let (busy, mut log, mut moved) = row(&mode.to_string())?;
    if mode == CheckpointMode::Truncate && !busy && log == 0 {
        // The row describes the log after its truncation.
        (log, moved) = (waiting, waiting);
    }
    let waited_ms = started.elapsed().as_secs_f64() * 1000.0;
    // Without a log SQLite answers 0, -1, -1; while another checkpoint runs 1, -1, -1.
    let (frames_in_log, frames_moved) = (u32::try_from(log).ok(), u32::try_from(moved).ok());
    // Fewer than before: the log restarted in between.
    let moved_now = if moved_before < 0 { None } else { u32::try_from(moved - moved_before).ok() };
    let frames_moved_now = frames_moved.and(moved_now);
    let outcome = CheckpointOutcome { mode, busy, frames_in_log, frames_moved, frames_moved_now, waited_ms };
    Ok((busy || frames_in_log.is_some()).then_some(outcome))
}
