//! Opens a raw copy for the first time: recovers its log, checks its pages, counts its rows.
//!
//! The copy is waltop's alone. By now this process must have closed every raw descriptor on the original.

use std::{io, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use schemars::JsonSchema;
use serde::Serialize;

use crate::observe::sidecar;

/// Steps of the virtual machine between two checks whether to continue.
const STEPS: i32 = 10_000;
/// The most errors that `integrity_check` reports.
const MOST_ERRORS: u32 = 100;
const WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct VerifiedCopy {
    /// Errors of `integrity_check`; empty if there are none.
    pub errors: Vec<String>,
    /// Whether its log or journal was recovered, so that the main file alone is complete.
    pub is_complete: bool,
    /// Its tables by name, except SQLite's own and virtual ones.
    pub tables: Vec<CopiedTable>,
}

#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct CopiedTable {
    pub name: String,
    /// Its rows; `None` if they could not be counted.
    pub rows: Option<u64>,
}

/// Why a copy was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("stopped before the copy was checked; it is at {0}")]
    Stopped(String),
    #[error("cannot open the copy {path}: {cause}; it was left as it is")]
    Io { path: String, cause: io::Error },
}

/// Opens the copy at `path`, so that SQLite recovers its log or rolls its journal back. Then checkpoints the log into
/// the main file, checks all pages, counts the rows of each table and closes the copy.
///
/// # Errors
///
/// The user stops it. Errors that SQLite finds in the copy are part of the result.
pub fn verify(
    path: &Path,
    is_stopped: impl Fn() -> bool + Clone + Send + 'static,
) -> Result<VerifiedCopy, VerifyError> {
    let mut verified = VerifiedCopy::default();
    let outcome = examine(path, is_stopped, &mut verified);
    if let Err(cause) = outcome {
        if cause.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return Err(VerifyError::Stopped(path.display().to_string()));
        }
        verified.errors.push(cause.to_string());
    }
    for suffix in ["-wal", "-journal"] {
        let left = sidecar(path, suffix).try_exists();
        let left = left.map_err(|cause| VerifyError::Io { path: path.display().to_string(), cause })?;
        verified.is_complete &= !left;
    }
    Ok(verified)
}

fn examine(
    path: &Path,
    is_stopped: impl Fn() -> bool + Clone + Send + 'static,
    verified: &mut VerifiedCopy,
) -> rusqlite::Result<()> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(WAIT)?;
    // The schema comes from another program.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.progress_handler(STEPS, Some(is_stopped))?;
    // The first query recovers a log or rolls a journal back. Until then a connection does not know its mode.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let (busy, _, _): (i64, i64, i64) =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    verified.is_complete = busy == 0;
    let checked = integrity(&connection);
    verified.tables = tables(&connection)?;
    verified.errors = checked?;
    connection.close().map_err(|(_, cause)| cause)
}

fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({MOST_ERRORS})"))?;
    let lines: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<CopiedTable>> {
    // A virtual table has no pages: ordinary tables hold its rows.
    let mut names = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY name",
    )?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let count = |name: String| {
        let sql = format!("SELECT count(*) FROM main.\"{}\"", name.replace('"', "\"\""));
        match connection.query_row(&sql, [], |row| row.get::<_, i64>(0)) {
            Ok(rows) => Ok(CopiedTable { name, rows: u64::try_from(rows).ok() }),
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Err(cause),
            // integrity_check reports what is wrong with it.
            Err(_) => Ok(CopiedTable { name, rows: None }),
        }
    };
    names.into_iter().map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(sql: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().canonicalize().expect("there").join("copy.db");
        Connection::open(&path).expect("opened").execute_batch(sql).expect("made");
        (folder, path)
    }

    #[test]
    fn rows_are_counted_and_virtual_tables_are_not_asked() {
        let (_folder, path) = database(
            "PRAGMA journal_mode = wal; CREATE TABLE \"a \"\"b\"(x); INSERT INTO \"a \"\"b\" VALUES (1), (2);
             CREATE TABLE z(x INTEGER PRIMARY KEY) WITHOUT ROWID; CREATE VIRTUAL TABLE f USING fts5(x)",
        );
        let verified = verify(&path, || false).expect("verified");
        assert_eq!((verified.errors.len(), verified.is_complete), (0, true), "{verified:?}");
        let rows = |name: &str| verified.tables.iter().find(|it| it.name == name).map(|it| it.rows);
        assert_eq!((rows("a \"b"), rows("z"), rows("f")), (Some(Some(2)), Some(Some(0)), None));
    }

    #[test]
    fn damage_is_reported_and_is_no_failure() {
        let (_folder, path) = database("CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(20000))");
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[4096..8192].fill(0xff);
        std::fs::write(&path, &bytes).expect("written");
        let verified = verify(&path, || false).expect("verified");
        assert!(!verified.errors.is_empty(), "{verified:?}");
        bytes[..16].fill(0);
        std::fs::write(&path, &bytes).expect("written");
        let verified = verify(&path, || false).expect("verified");
        assert!(!verified.errors.is_empty() && verified.tables.is_empty(), "{verified:?}");
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let (_folder, path) = database(
            "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
             INSERT INTO t SELECT i FROM n",
        );
        assert!(matches!(verify(&path, || true), Err(VerifyError::Stopped(_))));
    }
}
