//! Puts right what the file itself keeps.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{factory, sidecars};
use crate::{
    diagnose::{self, fix::plan},
    snapshot::Database,
};

/// How long the switch is tried for. Whoever shares the file now is not going away by himself.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why nothing was fixed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A switch would lose data now.
    #[error("nothing fixed: {message}; stop that process first")]
    Hazard {
        /// The finding's sentence.
        message: String,
    },
    /// It is not known what there is to fix.
    #[error("nothing fixed: the header of {} could not be read; look why with: waltop status {}", path.display(), path.display())]
    Unread {
        /// The database.
        path: PathBuf,
    },
    /// The switch wants the file for itself.
    #[error("nothing fixed: {} is in use; stop {holders} and try again", path.display())]
    Held {
        /// The database.
        path: PathBuf,
        /// Who was seen to have it open.
        holders: String,
    },
    /// It could not be opened, or `SQLite` failed.
    #[error(transparent)]
    Open(#[from] factory::Error),
}

/// Carries out [`plan`] on `path`, and gives the statements that were run: none where all is well. `database` is how
/// it looked just before, with its findings. For a worker process.
///
/// # Errors
///
/// Where the findings say that it would lose data, where another process uses the file, or where `SQLite` did not
/// do what it was told.
pub fn apply(path: &Path, database: &Database) -> Result<Vec<String>, Error> {
    if let Some(finding) = diagnose::hazard(database) {
        return Err(Error::Hazard { message: finding.message.clone() });
    }
    if database.header.is_none() {
        return Err(Error::Unread { path: path.to_owned() });
    }
    let steps = plan(database);
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let since = Instant::now();
    let main = factory::resolve(path, false)?;
    let connection = factory::connect(&main, false)?;
    let say = |cause| factory::explain(path, since, cause);
    connection.busy_timeout(PATIENCE).map_err(say)?;
    factory::switch_to_wal(&connection, path, PATIENCE).map_err(|error| held(error, path, database))?;
    sidecars::leave(connection, &main).map_err(say)?;
    Ok(steps.into_iter().map(|step| step.sql).collect())
}

fn held(error: factory::Error, path: &Path, database: &Database) -> Error {
    match error {
        factory::Error::Busy { .. } => Error::Held { path: path.to_owned(), holders: holders(database) },
        other => Error::Open(other),
    }
}

fn holders(database: &Database) -> String {
    let holders: Vec<String> = database
        .processes
        .iter()
        .filter(|process| process.has_main_file())
        .map(|process| format!("{} ({})", process.pid, process.name))
        .collect();
    if holders.is_empty() { "the processes that have it open".to_owned() } else { holders.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::fixture, snapshot::Handles};

    #[test]
    fn who_is_in_the_way_is_named() {
        let mut database = fixture::rollback();
        assert_eq!(holders(&database), "71201 (bun), 71168 (python3)");
        database.processes[0].handles = Some(Handles::default());
        assert_eq!(holders(&database), "71168 (python3)");
        database.processes.clear();
        assert_eq!(holders(&database), "the processes that have it open");
    }
}
