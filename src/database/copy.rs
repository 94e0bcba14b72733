//! A copy of a database by SQLite's backup API, while other processes use it.
//!
//! All pages are of one snapshot, so that commits of others neither tear nor restart it. `VACUUM INTO` would do that
//! too, but may renumber rows.

use std::path::Path;

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pragmas;
use crate::{config::profile::Profile, snapshot::Presence};

/// Pages between two checks whether to continue.
const PAGES: i32 = 1_000;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CopiedPages {
    pub pages: u64,
    pub page_size: u64,
}

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("stopped; no copy was made")]
    Stopped,
    #[error("cannot write the copy: {0}; check the room on its disk")]
    Target(rusqlite::Error),
    #[error("no copy was made: another process keeps the database locked; try again, or see waltop status")]
    Locked,
    #[error(transparent)]
    Source(#[from] pragmas::PragmaError),
}

impl CopiedPages {
    pub fn bytes(self) -> u64 {
        self.pages * self.page_size
    }
}

/// Copies the database at `path` into the empty file `target`, which the caller has made and brings to the disk. With a
/// log it keeps no process out; with a rollback journal no process can commit meanwhile.
///
/// For a worker process; `presence` is the state of the database just before.
///
/// # Errors
///
/// The connection would leave something behind, the database is locked, `target` cannot be written, or the caller asked
/// to stop.
pub fn copy(
    path: &Path,
    target: &Path,
    profile: &Profile,
    presence: Presence,
    is_stopped: impl Fn() -> bool,
) -> Result<CopiedPages, CopyError> {
    // Before this thread becomes the owner of the database, who may not be able to open it.
    let mut copy = open_target(target).map_err(CopyError::Target)?;
    pragmas::without_a_trace(path, profile, presence, |source| {
        // A read transaction keeps all steps in one snapshot.
        let moment = source.unchecked_transaction()?;
        let figure = |name: &str| moment.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let size = figure("page_size")?;
        moment.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let copied = all_pages(&moment, &mut copy, is_stopped);
        Ok(copied.map(|pages| CopiedPages { pages, page_size: u64::try_from(size).unwrap_or_default() }))
    })?
}

fn open_target(path: &Path) -> rusqlite::Result<Connection> {
    let copy = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A copy that is not finished is removed, and the caller brings a finished one to the disk.
    copy.pragma_update(None, "synchronous", "OFF")?;
    copy.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    Ok(copy)
}

fn all_pages(
    source: &Connection,
    copy: &mut Connection,
    is_stopped: impl Fn() -> bool,
) -> Result<u64, CopyError> {
    let backup = Backup::new(source, copy).map_err(CopyError::Target)?;
    loop {
        if is_stopped() {
            return Err(CopyError::Stopped);
        }
        match backup.step(PAGES).map_err(CopyError::Target)? {
            StepResult::More => {}
            StepResult::Done => break,
            // `Busy`, `Locked`, and what a later SQLite may add.
            _ => return Err(CopyError::Locked),
        }
    }
    Ok(u64::try_from(backup.progress().pagecount).unwrap_or_default())
}
