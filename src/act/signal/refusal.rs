//! Why a process gets no signal.

use std::fmt;

use crate::snapshot::StaleProtection;

use super::StopSignal;

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SignalRefusal {
    #[error("{pid} is already gone; nothing was signalled")]
    Gone { pid: i32 },
    /// Its PID belongs to another process now.
    #[error("{pid} is another process now; nothing was signalled")]
    Reused { pid: i32 },
    /// The operating system forbids it.
    #[error("cannot signal {pid}: {why}")]
    Forbidden { pid: i32, why: String },
    /// It is waltop, or waltop's own parent, or the like.
    #[error("{pid} is {what}; it is never stopped from here")]
    Protected { pid: i32, what: &'static str },
    /// It belongs to another user. Root could stop it, but waltop refuses.
    #[error("{pid} is another user's process; it is never stopped from here")]
    Foreign { pid: i32 },
    /// A rule or a finding protects it.
    #[error("{pid} is protected: {why}; it is never stopped from here")]
    Spared { pid: i32, why: StaleProtection },
    /// Its clean exit could undo other processes' commits.
    #[error(
        "{pid} has a deleted log open: closed in good order it can undo what others committed; see: waltop explain split-wal"
    )]
    Split { pid: i32 },
    /// The reason to stop it no longer holds.
    #[error("{pid} is no longer stale; nothing was signalled")]
    NotStale { pid: i32 },
    /// The sample's PIDs belong to another namespace.
    #[error("{pid} is a number of another PID namespace, whose /proc this is: from here it could be anybody")]
    Elsewhere { pid: i32 },
    /// Its start time is unknown, so another process could be taken for it.
    #[error("cannot tell when {pid} started, so it cannot be stopped safely")]
    Nameless { pid: i32 },
    /// It was not pinned before.
    #[error("{pid} is not a process that was pinned; nothing was signalled")]
    Unpinned { pid: i32 },
    /// The waltop on its host refuses, or could not be asked.
    #[error("{why}")]
    There { pid: i32, why: String },
    /// This system has no pidfds.
    #[error("cannot get hold of {pid} safely: this system has no pidfd; use kill {pid}")]
    Unsupported { pid: i32 },
    /// Its program could not be shown to be the listed one.
    #[error("{pid} {fact}; {signal} was not sent{after}; {}", fact.fix())]
    Unproven {
        pid: i32,
        /// The signal that it would have got.
        signal: StopSignal,
        fact: UnprovenProgram,
        /// The state in which the check has left it.
        after: AfterCheck,
    },
}

/// Why a process is not known to run the listed program.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum UnprovenProgram {
    /// Device and inode of `/proc/PID/exe` differ.
    #[error("runs another program than when it was listed (its executable changed)")]
    OtherExecutable,
    /// None of the files that it had open when it was listed.
    #[error("no longer has a file of the database open")]
    NoDescriptor,
    /// The sample did not show it.
    #[error("was listed without its {0}, which waltop could not read")]
    Unlisted(&'static str),
    /// It cannot be read now.
    #[error("does not let waltop read its {what} ({why})")]
    Unreadable {
        /// What was to be read.
        what: &'static str,
        why: String,
    },
    #[error("changes its executable while waltop reads it")]
    Changing,
    /// STOP had no effect in time.
    #[error("did not stop within 200 ms (thread {tid} is in state {state})")]
    NotStopped {
        /// A thread that may still run.
        tid: i32,
        /// Its state as `proc_pid_stat(5)` writes it.
        state: char,
    },
    /// Another process sent CONT or KILL.
    #[error("went on during the check by another signal (thread {tid} is in state {state})")]
    Continued {
        /// A thread that was resumed.
        tid: i32,
        state: char,
    },
}

impl UnprovenProgram {
    /// What the user can do.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::OtherExecutable | Self::NoDescriptor => "take a new sample and choose again",
            Self::Unlisted(_) | Self::Unreadable { .. } => "check it yourself, then use kill(1)",
            Self::Changing | Self::NotStopped { .. } | Self::Continued { .. } => "try again",
        }
    }
}

/// The state after the check before KILL, which stops the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterCheck {
    /// It was not stopped for the check.
    Untouched,
    /// It was stopped, and got CONT.
    Continued,
    /// It was stopped before the check already, and still is.
    StillStopped,
}

impl fmt::Display for AfterCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untouched => "",
            Self::Continued => ", and it was continued after the check",
            Self::StillStopped => ", and it stays stopped as it was before",
        })
    }
}
