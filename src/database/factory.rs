//! How every connection of ours is opened.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `SQLite` said no.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The database.
        path: String,
        /// What it said.
        source: rusqlite::Error,
    },
}

/// Opens `path` to write to it, as the `hardened` profile asks; with `create` it may be new.
///
/// # Errors
///
/// Where `SQLite` cannot open or set it up.
pub fn open(path: &Path, create: bool) -> Result<Connection, Error> {
    let wrap = |source| Error::Open { path: path.display().to_string(), source };
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let connection = Connection::open_with_flags(path, flags).map_err(wrap)?;
    connection.busy_timeout(Duration::from_millis(5000)).map_err(wrap)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(wrap)?;
    Ok(connection)
}
