//! Telling a lock that somebody else has from an error.

use rusqlite::ErrorCode;

/// Whether `SQLite` gave up because of somebody else's lock.
#[must_use]
pub fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
