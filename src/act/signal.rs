//! Signals that reach the process that was meant, and no other.
//!
//! A PID alone is reused. A [`PinnedProcess`] process is held by a pidfd, opened while its start time was that of the
//! row on the screen: once it has ended, the pidfd reaches nobody.
//!
//! A pidfd and a start time survive execve(2), so that a daemon which executes another program is still the same process
//! to both. TERM, INT and KILL therefore go only to a process that runs the [`ExpectedProgram`] at that moment.

use std::{fmt, path::Path, time::Duration};

use crate::{
    observe,
    snapshot::{ProcessId, ProgramSample},
};

#[cfg_attr(not(target_os = "linux"), path = "signal/elsewhere.rs")]
mod pinned;
mod refusal;

pub use pinned::{PinnedProcess, ended};
pub use refusal::{AfterCheck, SignalRefusal, UnprovenProgram};

/// The process that a signal is meant for.
pub type SignalTarget = ProcessId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    Term,
    /// Lets a stopped process go on.
    Cont,
    Int,
    Kill,
}

impl StopSignal {
    /// All of them, in the order in which a dialog offers them.
    pub const ALL: [Self; 4] = [Self::Term, Self::Cont, Self::Int, Self::Kill];

    /// The order for a stopped process: to let it go on comes first, so that it can give its locks back.
    pub const FOR_STOPPED: [Self; 4] = [Self::Cont, Self::Term, Self::Int, Self::Kill];

    /// The order for one whose log was deleted under it: KILL alone ends it without the close that does the damage.
    pub const FOR_SPLIT: [Self; 4] = [Self::Kill, Self::Term, Self::Int, Self::Cont];

    /// Whether the process is expected to end by it.
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
    /// The one that runs when the process is pinned. No descriptor is required: another record than a list of the
    /// database's processes names it, as the journal of an ingestion does.
    AsPinned,
}

/// A signal that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentSignal {
    /// From the last reading of the process until the signal was sent; `None` for CONT, before which nothing is read.
    pub window: Option<Duration>,
}

/// Why `pid` must never be stopped from here; `None` where nothing speaks against it.
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

/// When `pid` started, in clock ticks since boot; `None` where there is no such process, or a dead one.
pub fn start_ticks(pid: i32, proc: &Path) -> Option<u64> {
    observe::process_start(proc, pid)
}
