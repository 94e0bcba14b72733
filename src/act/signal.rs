//! Signals that reach only the intended process.
//!
//! PIDs are reused. A pidfd holds a [`PinnedProcess`]; it was opened while the start time was that of the row on the
//! screen. Once the process has exited, the pidfd reaches no process.
//!
//! A pidfd and a start time survive execve(2), so a daemon that executes another program is still the same process to
//! both. TERM, INT and KILL therefore go only to a process that runs the [`ExpectedProgram`] at that moment.

use std::{fmt, path::Path, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    observe,
    snapshot::{ProcessId, ProgramSample},
};

#[cfg_attr(not(target_os = "linux"), path = "signal/elsewhere.rs")]
mod pinned;
mod refusal;

pub use pinned::{PinnedProcess, ended};
pub use refusal::{AfterCheck, SignalRefusal, UnprovenProgram};

/// The process that a signal is sent to.
pub type SignalTarget = ProcessId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
#[value(rename_all = "UPPER")]
pub enum StopSignal {
    Term,
    /// Resumes a stopped process.
    Cont,
    Int,
    Kill,
}

impl StopSignal {
    /// All of them, in the order of the dialog.
    pub const ALL: [Self; 4] = [Self::Term, Self::Cont, Self::Int, Self::Kill];

    /// The order for a stopped process: resuming comes first, so that it can release its locks.
    pub const FOR_STOPPED: [Self; 4] = [Self::Cont, Self::Term, Self::Int, Self::Kill];

    /// The order for one whose log was deleted while open: only KILL ends it without the close that does the damage.
    pub const FOR_SPLIT: [Self; 4] = [Self::Kill, Self::Term, Self::Int, Self::Cont];

    /// Whether the process is expected to exit after it.
    pub fn ends(self) -> bool {
        self != Self::Cont
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "TERM",
            Self::Cont => "CONT",
            Self::Int => "INT",
            Self::Kill => "KILL",
        })
    }
}

/// The program that a process must still run when a signal is sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedProgram {
    /// The one that a sample listed: the same executable, and a descriptor on a file that it had open then.
    Listed(ProgramSample),
    /// The one that runs when the process is pinned. No descriptor is required, because another record than the list of
    /// the database's processes names it, such as the journal of an ingestion.
    AsPinned,
}

/// A signal that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentSignal {
    /// From the last reading of the process until the signal was sent; `None` for CONT, which needs no reading.
    pub window: Option<Duration>,
}

/// Why `pid` must never be stopped from here; `None` if there is no reason.
pub fn protection(pid: i32, proc: &Path) -> Option<&'static str> {
    if pid <= 1 {
        return Some("the system's first process");
    }
    let own = i32::try_from(std::process::id()).ok()?;
    if pid == own {
        return Some("waltop itself");
    }
    observe::process_ancestors(proc, own).contains(&pid).then_some("an ancestor of waltop")
}

/// When `pid` started, in clock ticks since boot; `None` if there is no such process, or a dead one.
pub fn start_ticks(pid: i32, proc: &Path) -> Option<u64> {
    observe::process_start(proc, pid)
}
