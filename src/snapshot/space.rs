//! What the disk space of a database is used for, and what gives it back.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the disk space that belongs to a database or to the processes that have it open.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SpaceUse {
    pub kind: SpaceKind,
    pub bytes: u64,
    /// The process whose it is: of the transaction, the deleted file or the temporary files.
    pub pid: Option<i32>,
    /// What gives it back to the file system; `None` if it is in use.
    pub release: Option<SpaceRelease>,
    /// The processes that are in the way of that now, by PID. Those that are not visible from here are left out.
    pub in_the_way: Vec<i32>,
    /// Bytes that are missing on the disk for that; `None` if there is room.
    pub missing_bytes: Option<u64>,
}

/// What disk space is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpaceKind {
    /// Pages of the main file with content, as of the last checkpoint.
    Data,
    /// Pages of the main file without content, as of the last checkpoint.
    FreePages,
    /// Frames of the log that wait to be moved into the main file.
    LogWaiting,
    /// The rest of the log: frames that are in the main file, and room for new ones.
    LogMoved,
    /// Frames of an open transaction.
    LogUncommitted,
    /// The rollback journal.
    Journal,
    /// Deleted files of the database with data that a process still has open. Each process that does has an entry.
    DeletedFiles,
    /// SQLite's temporary files of a process, for any database.
    TemporaryFiles,
}

impl SpaceKind {
    /// As a sentence about its size begins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::FreePages => "free pages",
            Self::LogWaiting => "log to be moved",
            Self::LogMoved => "log moved or unused",
            Self::LogUncommitted => "log of an open transaction",
            Self::Journal => "rollback journal",
            Self::DeletedFiles => "deleted files",
            Self::TemporaryFiles => "temporary files",
        }
    }
}

/// What gives disk space back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpaceRelease {
    /// `VACUUM`, which writes the file without its free pages.
    Vacuum,
    /// `PRAGMA incremental_vacuum`.
    IncrementalVacuum,
    /// The next commit (`auto_vacuum = full`).
    Commit,
    /// A checkpoint in mode TRUNCATE.
    TruncateCheckpoint,
    /// The next connection, which recovers what a crash left.
    Recovery,
    /// The end of the transaction.
    TransactionEnd,
    /// `PRAGMA journal_mode = DELETE`: the journal is kept between transactions.
    JournalModeDelete,
    /// The end of the process, after its data is rescued.
    ProcessEnd,
    /// The end of the statement, or of the connection.
    StatementEnd,
}

impl fmt::Display for SpaceRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vacuum => "VACUUM",
            Self::IncrementalVacuum => "PRAGMA incremental_vacuum",
            Self::Commit => "the next commit",
            Self::TruncateCheckpoint => "a checkpoint in mode TRUNCATE",
            Self::Recovery => "the next connection",
            Self::TransactionEnd => "the end of the transaction",
            Self::JournalModeDelete => "PRAGMA journal_mode = DELETE",
            Self::ProcessEnd => "the end of the process, after a rescue",
            Self::StatementEnd => "the end of the statement or connection",
        })
    }
}
