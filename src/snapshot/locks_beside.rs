//! Locks on other files in the folder of a database.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A lock that a process holds on a file beside the database, which is none of SQLite's.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LockBeside {
    /// Name of the file.
    pub file: String,
    pub kind: FileLockKind,
    /// Whether it excludes all others.
    pub is_exclusive: bool,
    /// Its holder. For a lock of the kind `flock` it is the process that took it, which may have passed it on. `None` if it
    /// is not visible from here.
    pub holder: Option<LockParty>,
    /// The processes that wait for it in the kernel. Those that try again and again are not visible.
    pub waiters: Vec<LockParty>,
}

/// A process that holds a lock or waits for it. It may not have the database open.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LockParty {
    pub pid: i32,
    /// What it is called; `None` if it is gone by now.
    pub label: Option<String>,
}

impl fmt::Display for LockParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Some(label) => write!(f, "{} ({label})", self.pid),
            None => write!(f, "{}", self.pid),
        }
    }
}

/// The call that took a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileLockKind {
    /// `fcntl(F_SETLK)` or `lockf`: it belongs to the process.
    Posix,
    /// `fcntl(F_OFD_SETLK)`: it belongs to the open file.
    Ofd,
    /// `flock`: it belongs to the open file.
    Flock,
    /// The folder `DATABASE.lock`, which SQLite's VFS `unix-dotfile` makes as its lock. Other programs make such a folder
    /// as well.
    Dotfile,
}

impl LockBeside {
    /// Who holds it, as a sentence begins.
    pub fn who(&self) -> String {
        let unseen = || "a process not visible from here".to_owned();
        self.holder.as_ref().map_or_else(unseen, ToString::to_string)
    }
}

impl fmt::Display for LockBeside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FileLockKind::Dotfile => {
                return write!(
                    f,
                    "{}: this folder is a lock of SQLite's VFS unix-dotfile, or of the program; the kernel knows no \
                     holder",
                    self.file
                );
            }
            FileLockKind::Posix => "a POSIX lock",
            FileLockKind::Ofd => "a lock of an open file",
            FileLockKind::Flock => "a flock",
        };
        let shared = if self.is_exclusive { "" } else { " (shared)" };
        write!(f, "{}: {} has {kind} on it{shared}", self.file, self.who())?;
        for (index, waiter) in self.waiters.iter().enumerate() {
            write!(f, "{}{waiter}", if index == 0 { "; waiting: " } else { ", " })?;
        }
        Ok(())
    }
}
