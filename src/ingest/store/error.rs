use std::path::Path;

use rusqlite::ErrorCode;

use super::PinnedLog;
use crate::{
    database::{factory, holder::BlockingProcess},
    text::{Advised, display_as_line},
};

/// Why the database failed. What was committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be opened or set up.
    Open(#[from] factory::OpenError),
    Busy {
        path: String,
        /// How long the run tried.
        seconds: f64,
        /// The holder of the lock at the end, if the kernel names it.
        holder: Option<BlockingProcess>,
    },
    /// Readers keep its log from restarting, and the log has its maximum size.
    Pinned {
        path: String,
        /// The log, and the process that pins it.
        pinned: PinnedLog,
        /// How long the run tried.
        seconds: f64,
    },
    /// The files at its path are not the open ones.
    Replaced { path: String },
    /// The disk is full.
    Full {
        /// The operation, as in "write to".
        doing: &'static str,
        path: String,
    },
    /// The run had to stop while it waited.
    Stopped,
    Sqlite {
        /// The operation, as in "write to".
        doing: &'static str,
        path: String,
        source: rusqlite::Error,
    },
}

impl Advised for StoreError {
    fn fact(&self) -> String {
        match self {
            Self::Open(error) => error.fact(),
            Self::Busy { path, seconds, holder } => {
                let by = holder.as_ref().map_or_else(String::new, |holder| format!(" by {holder}"));
                format!("{path} stayed locked for {seconds} s{by}")
            }
            Self::Pinned { pinned, seconds, .. } => {
                format!("{pinned}, and kept it from restarting for {seconds} s")
            }
            Self::Replaced { path } => {
                format!("{path} or its -wal was replaced or removed meanwhile, so nothing more was written")
            }
            Self::Full { doing, path } => {
                format!("no room on the disk of {path} to {doing} it: what was committed stays")
            }
            Self::Stopped => "asked to stop while waiting for the write lock".to_owned(),
            Self::Sqlite { doing, path, source } => {
                format!("cannot {doing} {path}: {source}: what was committed stays")
            }
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Open(error) => return error.advice(),
            Self::Busy { holder: Some(_), .. } => "wait for it to end, or stop it".to_owned(),
            Self::Busy { path, holder: None, .. } => format!("see which process with `waltop status {path}`"),
            Self::Pinned { path, .. } => format!("end the reader of {path}"),
            Self::Replaced { path } => {
                format!("move away what belongs to the old file ({path}-wal, {path}-shm)")
            }
            Self::Full { .. } => "make room".to_owned(),
            Self::Stopped | Self::Sqlite { .. } => return None,
        })
    }

    fn is_resumable(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::Pinned { .. }
            | Self::Replaced { .. }
            | Self::Full { .. }
            | Self::Sqlite { .. } => true,
            Self::Open(_) | Self::Stopped => false,
        }
    }
}

display_as_line!(StoreError);

impl StoreError {
    /// The error for `source`, which SQLite returned while `doing` something to `path`.
    pub(super) fn of(doing: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        let path = path.display().to_string();
        let extended = source.sqlite_error().map(|error| error.extended_code);
        // If there is no room for -shm, SQLite reports a disk I/O error.
        let is_full = source.sqlite_error_code() == Some(ErrorCode::DiskFull)
            || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
        if is_full { Self::Full { doing, path } } else { Self::Sqlite { doing, path, source } }
    }
}
