//! The three files of a database, and what stands in them.

use std::{fmt, path::PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// What `stat` says of one file.
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

/// The file system that a database is on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Filesystem {
    /// Its type as the kernel names it: `ext4`, `nfs4`, `fuse.sshfs`.
    pub kind: String,
    #[serde(serialize_with = "super::lossy_path")]
    pub mounted_at: PathBuf,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// What is left of them for a user who is not root (`f_bavail` of `statvfs(3)`).
    pub free_bytes: Option<u64>,
    /// Whether the lock table shows the locks on the database that the kernel, asked about the files, tells of; `None`
    /// where there are none. One look alone can be wrong by a lock that was taken a moment ago.
    pub locks_match: Option<bool>,
}

/// The folder that a database lies in.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FolderFacts {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits, as in `0o755`.
    pub mode: u32,
    /// Whether the owner of the main file can make files in it; `None` where that cannot be told.
    pub owner_may_write: Option<bool>,
}

/// The first 100 bytes of the main file: the state as of the last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FileHeader {
    /// WAL or rollback, from the file's read and write version.
    pub journal_mode: JournalMode,
    pub page_size: u32,
    /// Pages, as of the last checkpoint; [`WalState::page_count`] is newer where there is one.
    pub page_count: u32,
    /// The application's own schema number.
    pub user_version: i32,
    /// The application's own magic number.
    pub application_id: i32,
    /// `none`, `full` or `incremental`.
    pub auto_vacuum: AutoVacuum,
    pub schema_cookie: u32,
    /// The SQLite that last wrote page 1, as in `3.54.1`.
    pub written_by: String,
}

/// How a database keeps its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalMode {
    Wal,
    /// One of the rollback journals (delete, truncate, persist); the file does not say which.
    Rollback,
}

impl fmt::Display for JournalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wal => "wal",
            Self::Rollback => "rollback",
        })
    }
}

/// The file's `auto_vacuum` setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoVacuum {
    /// Free pages stay.
    None,
    /// Free pages are given back at every commit.
    Full,
    /// Free pages are given back on request.
    Incremental,
}

/// The state of the write-ahead log.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WalState {
    /// Committed frames.
    pub frames: Option<u32>,
    /// Frames that a checkpoint has moved into the main file.
    pub backfilled: Option<u32>,
    /// Committed frames that wait to be moved.
    pub pending: Option<u32>,
    /// The checkpoint sequence in the header of `-wal`. Not a counter that can be compared between looks.
    pub checkpoint_sequence: Option<u32>,
    /// Where the figures come from.
    pub source: WalSource,
    /// Database size in pages as of the newest commit.
    pub page_count: Option<u32>,
    /// Frames for which the file has room; it keeps its peak size until it is truncated.
    pub slots: Option<u32>,
    /// Commit counter of the wal-index; it wraps and restarts at recovery.
    pub commits: Option<u32>,
    /// Read marks 0 to 4; `None` is an unused one. A mark without a lock on its byte is no reader.
    pub read_marks: Option<[Option<u32>; 5]>,
    /// Growth of the file in bytes a second over the last few looks; `None` until they span a second, and where it
    /// shrank.
    pub growth_bytes_per_second: Option<f64>,
}

/// Where [`WalState`]'s figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalSource {
    /// The wal-index, `-shm`, while somebody holds byte 128.
    Index,
    /// Parsed from `-wal` itself, since nobody vouches for the index; `backfilled` is unknown.
    Log,
}
