//! Raw copies of a database that SQLite cannot copy: one whose files were deleted while a process has them open, and
//! one whose log may not belong to it.
//!
//! This module has no SQLite connection, and opens the original only for reading. Unlike `observe` it takes locks:
//! those of a reader, as open-file-description locks, which only the close of their own descriptor releases. It closes
//! every descriptor when a copy is done, so that the process may then connect to the copy.

mod copy;
mod error;
#[cfg_attr(not(target_os = "linux"), path = "rescue/freeze_elsewhere.rs")]
mod freeze;
mod held;
mod journal;
#[cfg_attr(not(target_os = "linux"), path = "rescue/lock_elsewhere.rs")]
mod lock;
mod pair;
mod process;
mod report;
mod target;

use schemars::JsonSchema;
use serde::Serialize;

pub use error::RescueError;
pub use held::{HeldFile, HeldFiles, choose, sets};
pub use pair::{CopyPair, with_and_without_log};
pub use process::{RescueRequest, from_process, start_of};
pub use report::{CopyReport, LogRescue, ProcessRescue, TablePair, TableRows};
pub use target::{CopyTarget, has_room};

#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct CopiedBytes {
    /// Bytes of the main file.
    pub main_bytes: u64,
    /// Committed frames of the log.
    pub frames: u32,
    /// Those frames that were in the main file already, according to the index.
    pub frames_moved: Option<u32>,
    /// Bytes of a rollback journal that belongs to the copy.
    pub journal_bytes: u64,
    /// Whether the process was stopped meanwhile.
    pub frozen: bool,
}

/// Called between two pieces of a copy: whether the user has stopped it.
pub type IsStopped<'a> = &'a dyn Fn() -> bool;
