//! The files of a database, and their content.

use std::{fmt, path::PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LogProgress;

/// The main file and the files beside it.
#[derive(Debug, Clone, Default, JsonSchema, Serialize, Deserialize)]
pub struct DatabaseFiles {
    pub db: Option<FileFacts>,
    /// The write-ahead log, `-wal`.
    pub wal: Option<FileFacts>,
    /// The wal-index, `-shm`.
    pub shm: Option<FileFacts>,
    /// The rollback journal, `-journal`; hot or not.
    #[serde(default)]
    pub journal: Option<FileFacts>,
}

/// The `stat` data of one file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FileFacts {
    /// Size in bytes.
    pub bytes: u64,
    /// Device as `major:minor`, both in hexadecimal, as `/proc/locks` writes it.
    pub device: String,
    pub inode: u64,
    pub uid: u32,
    pub gid: Option<u32>,
    /// Permission bits, as in `0o644`.
    pub mode: u32,
    pub modified_at: Option<Timestamp>,
}

/// The file system of a database.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Filesystem {
    /// Its type as the kernel names it: `ext4`, `nfs4`, `fuse.sshfs`.
    pub kind: String,
    #[serde(serialize_with = "super::lossy_path")]
    pub mounted_at: PathBuf,
    /// Whether it is mounted read-only; `None` if unknown.
    #[serde(default)]
    pub read_only: Option<bool>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// Bytes available to a user who is not root (`f_bavail` of `statvfs(3)`).
    pub free_bytes: Option<u64>,
    /// Whether the lock table shows the locks on the database that the kernel reports for its files; `None` if there
    /// are none. A single sample can be wrong about a lock that was taken a moment ago.
    pub locks_match: Option<bool>,
}

/// The folder of a database.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FolderFacts {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits, as in `0o755`.
    pub mode: u32,
    /// Whether the owner of the main file can create files in it; `None` if unknown.
    pub owner_may_write: Option<bool>,
}

/// The first 100 bytes of the main file: the state as of the last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FileHeader {
    /// WAL or rollback, from the file's read and write version.
    pub journal_mode: JournalMode,
    pub page_size: u32,
    /// Pages, as of the last checkpoint; [`WalState::page_count`] is newer if it is known.
    pub page_count: u32,
    /// Pages without content, as of the last checkpoint; `None` if unknown.
    #[serde(default)]
    pub free_pages: Option<u32>,
    /// Counts the transactions in rollback mode; `None` if unknown.
    #[serde(default)]
    pub change_counter: Option<u32>,
    /// The application's own schema number.
    pub user_version: i32,
    /// The application's own magic number.
    pub application_id: i32,
    /// `none`, `full` or `incremental`.
    pub auto_vacuum: AutoVacuum,
    pub schema_cookie: u32,
    /// The SQLite that last wrote page 1, as in `3.54.1`; most commits do not write it. `None` if the header does not
    /// say so: SQLite before 3.7.0 leaves the number of another one there.
    pub written_by: Option<String>,
}

/// The journal mode of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalMode {
    Wal,
    /// One of the rollback journals (delete, truncate, persist); the file does not say which.
    Rollback,
    /// Two logs that are used in turn, `-wal` and `-wal2`: a branch of SQLite, which its released versions cannot open.
    Wal2,
}

impl fmt::Display for JournalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wal => "wal",
            Self::Rollback => "rollback",
            Self::Wal2 => "wal2",
        })
    }
}

/// The file's `auto_vacuum` setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoVacuum {
    /// Free pages stay.
    None,
    /// Every commit returns free pages to the file system.
    Full,
    /// Free pages are returned on request.
    Incremental,
}

/// The state of the write-ahead log.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WalState {
    /// Committed frames.
    pub frames: Option<u32>,
    /// Frames that have been checkpointed into the main file.
    pub backfilled: Option<u32>,
    /// Committed frames that are not checkpointed yet.
    pub pending: Option<u32>,
    /// The checkpoint sequence in the header of `-wal`. Not a counter that can be compared between samples.
    pub checkpoint_sequence: Option<u32>,
    /// Source of the figures.
    pub source: WalSource,
    /// Database size in pages as of the newest commit.
    pub page_count: Option<u32>,
    /// Frames that fit into the file; it keeps its peak size until it is truncated.
    pub slots: Option<u32>,
    /// Commit counter of the wal-index; it wraps and restarts at recovery.
    pub commits: Option<u32>,
    /// Read marks 0 to 4; an unused one is `None`. A mark without a lock on its byte is no reader.
    pub read_marks: Option<[Option<u32>; 5]>,
    /// Growth of the file in bytes per second over the last few samples; `None` until they span a second, and if it
    /// shrank.
    pub growth_bytes_per_second: Option<f64>,
    /// What became of the log in the last minute; `None` until two samples show it, and without a trusted index.
    #[serde(default)]
    pub progress: Option<LogProgress>,
    /// Frames after the newest commit while a process holds the write lock: those of its open transaction, unless it has
    /// written none and an earlier one was rolled back. `None` if no process holds it, or there are none.
    #[serde(default)]
    pub uncommitted_frames: Option<u32>,
}

/// Source of [`WalState`]'s figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalSource {
    /// The wal-index, `-shm`, while a process holds byte 128.
    Index,
    /// Parsed from `-wal` itself, because no process holds byte 128 of the index; `backfilled` is unknown.
    Log,
}
