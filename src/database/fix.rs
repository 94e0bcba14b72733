//! Repairs the settings that the file itself keeps.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension};
use rustix::process::geteuid;

use super::{
    factory,
    renumbering::{self, RowidRenumbering},
    sidecars::{self, OnClose},
};
use crate::{
    config::profile::Profile,
    diagnose::{
        fix::{FixStep, TO_WAL, VACUUM},
        guard,
    },
    snapshot::{Database, Process},
};

/// How long to try the switch. A process that shares the file now does not leave by itself.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// A switch would lose data now.
    #[error("nothing fixed, since data could be lost: {0}")]
    Hazard(#[from] guard::GuardRefusal),
    /// The settings are unknown, and so is what to fix.
    #[error("nothing fixed: the header of {} could not be read; see why with: waltop status {}", path.display(), path.display())]
    Unread { path: PathBuf },
    /// The switch needs the file for itself.
    #[error("nothing fixed: {} is in use; stop {holders} and try again", path.display())]
    Held {
        path: PathBuf,
        /// The processes that have it open.
        holders: String,
    },
    /// A VACUUM would corrupt an index of the host.
    #[error("nothing fixed: {0}")]
    Renumbers(RowidRenumbering),
    /// A part was done, and stays.
    #[error("{} is done, the remaining changes are not: {cause}", done.join("; "))]
    Partly {
        /// The statements that were run.
        done: Vec<String>,
        /// Why the next one was not.
        cause: factory::OpenError,
    },
    /// It could not be opened, or SQLite failed.
    #[error(transparent)]
    Open(#[from] factory::OpenError),
}

/// Carries out `steps` of [`crate::diagnose::fix::plan`] on `path`, and returns the statements that it ran: none if
/// there is nothing to fix. `database` is its state just before, with its findings. For a worker process.
///
/// # Errors
///
/// The findings say that it would lose data, another process uses the file, the disk has no room for a VACUUM, or a
/// statement has no effect.
pub fn apply(
    path: &Path,
    database: &Database,
    profile: &Profile,
    steps: Vec<FixStep>,
) -> Result<Vec<String>, FixError> {
    guard::allow(database, geteuid().is_root())?;
    if database.header.is_none() {
        return Err(FixError::Unread { path: path.to_owned() });
    }
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let since = Instant::now();
    let main = factory::resolve(path, false)?;
    let foreign = sidecars::would_be_foreign(&main);
    if foreign.map_err(|cause| factory::OpenError::Path { path: main.clone(), cause })? {
        return Err(factory::OpenError::OtherUser { path: main }.into());
    }
    let _as_owner = factory::as_owner(&main)?;
    let opened = factory::open_for_look(&main, profile, OnClose::Tidy);
    let connection = opened.map_err(|error| held(error, path, database))?;
    let say = |cause| factory::explain(path, since, cause);
    connection.busy_timeout(PATIENCE).map_err(say)?;
    let spoilt =
        if steps.iter().any(|step| step.sql == VACUUM) { renumbering::of(&connection) } else { Ok(None) };
    let refused = match spoilt {
        Ok(None) => None,
        Ok(Some(spoilt)) => Some(FixError::Renumbers(spoilt)),
        Err(cause) => Some(say(cause).into()),
    };
    if let Some(refused) = refused {
        sidecars::leave(connection, &main).map_err(say)?;
        return Err(refused);
    }
    let mut done = Vec::new();
    let ended = steps.into_iter().try_for_each(|step| {
        apply_step(&connection, path, &step.sql, since)?;
        done.push(step.sql);
        Ok(())
    });
    let left = sidecars::leave(connection, &main);
    match ended {
        Err(error) if done.is_empty() => return Err(held(error, path, database)),
        Err(cause) => return Err(FixError::Partly { done, cause }),
        Ok(()) => {}
    }
    left.map_err(say)?;
    Ok(done)
}

fn apply_step(
    connection: &Connection,
    path: &Path,
    sql: &str,
    since: Instant,
) -> Result<(), factory::OpenError> {
    let say = |cause| factory::explain(path, since, cause);
    match sql {
        TO_WAL => factory::switch_to_wal(connection, path, PATIENCE),
        VACUUM => {
            // The profile may place it in memory, where a large database does not fit.
            let set = connection.pragma_update(None, "temp_store", "FILE");
            set.and_then(|()| connection.execute_batch(sql)).map_err(say)
        }
        sql => connection.query_row(sql, [], |_| Ok(())).optional().map(drop).map_err(say),
    }
}

fn held(error: factory::OpenError, path: &Path, database: &Database) -> FixError {
    match error {
        factory::OpenError::Busy { .. } => {
            FixError::Held { path: path.to_owned(), holders: holders(database) }
        }
        other => FixError::Open(other),
    }
}

fn holders(database: &Database) -> String {
    let holders: Vec<String> =
        database.processes.iter().filter(|process| process.has_main_file()).map(Process::who).collect();
    if holders.is_empty() { "the processes that have it open".to_owned() } else { holders.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::fixture, snapshot::HandleCounts};

    #[test]
    fn who_is_in_the_way_is_named() {
        let mut database = fixture::rollback();
        assert_eq!(holders(&database), "71201 (bun), 71168 (python3)");
        database.processes[0].handles = Some(HandleCounts::default());
        assert_eq!(holders(&database), "71168 (python3)");
        database.processes.clear();
        assert_eq!(holders(&database), "the processes that have it open");
    }
}
