//! Writers that were refused the write lock, as the kernel's trace shows each of their tries.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The refused writers of a window. Only the trace sees them: a waiting writer asks, sleeps and asks again.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WriterRefusals {
    /// Length of the window in ms.
    pub window_ms: f64,
    /// The longest wait first; each entry is for one victim, one holder and one reason.
    pub victims: Vec<RefusedWriter>,
}

/// The waits of one process for one holder.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct RefusedWriter {
    /// The process that was refused.
    pub pid: i32,
    /// The thread of the last refused try.
    pub thread: i32,
    /// The process that held the lock at its first try; `None` if that is unknown, or if there was none to blame.
    pub holder: Option<i32>,
    pub reason: RefusalReason,
    /// How often it began to wait.
    pub waits: u32,
    /// Refused tries, of all waits.
    pub tries: u32,
    /// Waits that ended without the lock.
    pub gave_up: u32,
    /// The longest wait in ms.
    pub longest_ms: f64,
    /// All waits in ms.
    pub total_ms: f64,
}

/// Why a writer did not get the lock at its first try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// Another process held it, and it tried again.
    Waited,
    /// Another process held it, and it did not try again: it has no `busy_timeout`.
    NoTimeout,
    /// A read transaction became a write transaction while another process held the lock. No timeout applies.
    DeferredUpgrade,
    /// A read transaction became a write transaction after another process had committed (`SQLITE_BUSY_SNAPSHOT`).
    OldSnapshot,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waited => "it tried again until its timeout",
            Self::NoTimeout => "it has no busy_timeout and tried once",
            Self::DeferredUpgrade => "its read became a write, to which no timeout applies: BEGIN IMMEDIATE",
            Self::OldSnapshot => "its read became a write after another commit: BEGIN IMMEDIATE",
        })
    }
}
