//! How much room a process has left.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits of a process that can make SQLite fail, and what it uses of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Descriptors that it has, of whatever kind; `None` if they cannot be counted.
    pub descriptors: Option<u64>,
    /// How many it may have (`RLIMIT_NOFILE`).
    pub open_files: ProcessLimit,
    /// How many bytes a file may have after it has written to it (`RLIMIT_FSIZE`).
    pub file_bytes: ProcessLimit,
}

/// The folder in which SQLite in a process creates its temporary files, unless the program sets another one.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TemporaryFolder {
    /// Its path, as the process knows it.
    #[serde(serialize_with = "super::lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// Size of its file system.
    pub bytes: u64,
    /// Bytes available there to a user who is not root.
    pub free_bytes: u64,
}

/// A limit as `getrlimit(2)` has it; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessLimit {
    /// The limit in force.
    pub soft: Option<u64>,
    /// How far the soft limit can be raised.
    pub hard: Option<u64>,
}

impl ProcessLimit {
    /// Whether the soft limit can be raised.
    pub fn can_be_raised(self) -> bool {
        match (self.soft, self.hard) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(soft), Some(hard)) => hard > soft,
        }
    }
}
