//! The only module with SQLite connections, used only in worker processes.
//!
//! A process that has a connection never opens the main file or `-shm` itself: closing such a descriptor would drop the
//! connection's locks. While it is connected it uses only `stat` and the kernel's lock table.

pub mod actor;
pub mod busy;
pub mod checkpoint;
pub mod copy;
pub mod factory;
pub mod fix;
pub mod health;
pub mod holder;
pub mod identity;
pub mod kept_log;
pub mod migrations;
pub mod optimize;
pub mod pragmas;
pub mod renumbering;
pub mod rescue;
pub mod sidecars;
pub mod stats;

/// The version and the source of the SQLite that waltop contains.
///
/// # Errors
///
/// SQLite opens no database in memory.
pub fn sqlite_build() -> rusqlite::Result<(String, String)> {
    let memory = rusqlite::Connection::open_in_memory()?;
    memory.query_row("SELECT sqlite_version(), sqlite_source_id()", (), |row| Ok((row.get(0)?, row.get(1)?)))
}

/// An error of SQLite, for the file of sentences.
#[cfg(test)]
pub(crate) fn example_error() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR), None)
}
