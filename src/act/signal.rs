//! Signals that reach the process that was meant, and no other.
//!
//! A PID alone is reused. A [`Pinned`] process is held by a pidfd, opened while its start time was that of the
//! row on the screen: once it has ended, the pidfd reaches nobody.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use crate::{config::Permit, observe, snapshot::Protection};

/// A process, named so that no other can be mistaken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Process id.
    pub pid: i32,
    /// Start in clock ticks since boot.
    pub start_ticks: u64,
}

/// What can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Asks it to end.
    Term,
    /// Lets a stopped process go on.
    Cont,
    /// What Ctrl-C sends.
    Int,
    /// Ends it without asking.
    Kill,
}

impl Signal {
    /// All of them, in the order in which a dialog offers them.
    pub const ALL: [Self; 4] = [Self::Term, Self::Cont, Self::Int, Self::Kill];

    /// The order for a stopped process: to let it go on comes first, so that it can give its locks back.
    pub const FOR_STOPPED: [Self; 4] = [Self::Cont, Self::Term, Self::Int, Self::Kill];

    /// The order for one whose log was deleted under it: KILL alone ends it without the close that does the damage.
    pub const FOR_SPLIT: [Self; 4] = [Self::Kill, Self::Term, Self::Int, Self::Cont];

    /// Whether the process is expected to end by it.
    #[must_use]
    pub fn ends(self) -> bool {
        self != Self::Cont
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "TERM",
            Self::Cont => "CONT",
            Self::Int => "INT",
            Self::Kill => "KILL",
        })
    }
}

/// Why a process gets no signal.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// It has ended.
    #[error("{pid} is already gone; nothing was signalled")]
    Gone {
        /// The process that was meant.
        pid: i32,
    },
    /// Its PID belongs to another process now.
    #[error("{pid} is another process now; nothing was signalled")]
    Reused {
        /// The PID that was meant.
        pid: i32,
    },
    /// The operating system forbids it.
    #[error("cannot signal {pid}: {why}")]
    Forbidden {
        /// The process that was meant.
        pid: i32,
        /// What the operating system said.
        why: String,
    },
    /// It is waltop, or waltop's own parent, or the like.
    #[error("{pid} is {what}; it is never stopped from here")]
    Protected {
        /// The process that was meant.
        pid: i32,
        /// What it is.
        what: &'static str,
    },
    /// It belongs to somebody else. Root could stop it, but does not from here.
    #[error("{pid} is another user's process; it is never stopped from here")]
    Foreign {
        /// The process that was meant.
        pid: i32,
    },
    /// A rule or a judgement protects it.
    #[error("{pid} is protected: {why}; it is never stopped from here")]
    Spared {
        /// The process that was meant.
        pid: i32,
        /// What protects it.
        why: Protection,
    },
    /// Asked to end it could undo what others have committed.
    #[error(
        "{pid} has a deleted log open: closed in good order it can undo what others committed; see waltop explain split-wal, then x and KILL"
    )]
    Split {
        /// The process that was meant.
        pid: i32,
    },
    /// What was held against it is over.
    #[error("{pid} is no longer stale; nothing was signalled")]
    NotStale {
        /// The process that was meant.
        pid: i32,
    },
    /// The PIDs that were seen are those of another namespace.
    #[error("{pid} is a number of another PID namespace, whose /proc this is: from here it could be anybody")]
    Elsewhere {
        /// The PID that was meant.
        pid: i32,
    },
    /// When it started is not known, so that it could be taken for another.
    #[error("cannot tell when {pid} started, so it cannot be stopped safely")]
    Nameless {
        /// The process that was meant.
        pid: i32,
    },
    /// Nobody got hold of it beforehand.
    #[error("{pid} is not a process that was pinned; nothing was signalled")]
    Unpinned {
        /// The process that was meant.
        pid: i32,
    },
    /// There is no pidfd here.
    #[error("cannot get hold of {pid} safely: this system has no pidfd; use kill {pid}")]
    Unsupported {
        /// The process that was meant.
        pid: i32,
    },
}

#[cfg(target_os = "linux")]
mod pinned {
    use std::os::fd::OwnedFd;

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::Errno,
        process::{self, Pid, PidfdFlags},
    };

    use super::{Duration, Instant, Path, Permit, Refusal, Signal, Target, observe};

    /// A process that is held on to.
    #[derive(Debug)]
    pub struct Pinned {
        target: Target,
        pidfd: OwnedFd,
    }

    impl Pinned {
        /// Gets hold of `target`. The pidfd comes first and the start time after it, so that a process which
        /// takes the PID over in between is told apart.
        ///
        /// # Errors
        ///
        /// Where the process is gone, is another one, is waltop itself, an ancestor or PID 1, belongs to another user,
        /// or is out of reach.
        pub fn open(target: Target, proc: &Path) -> Result<Self, Refusal> {
            let pid = target.pid;
            // A pidfd is opened by a PID of ours: elsewhere even our own ancestors cannot be told.
            if !observe::is_own_proc(proc) {
                return Err(Refusal::Elsewhere { pid });
            }
            if let Some(what) = super::protection(pid, proc) {
                return Err(Refusal::Protected { pid, what });
            }
            let raw = Pid::from_raw(pid).ok_or(Refusal::Gone { pid })?;
            let pidfd = process::pidfd_open(raw, PidfdFlags::empty()).map_err(|error| refusal(pid, error))?;
            match super::start_ticks(pid, proc) {
                None => Err(Refusal::Gone { pid }),
                Some(ticks) if ticks != target.start_ticks => Err(Refusal::Reused { pid }),
                Some(_) if !is_own(pid, proc) => Err(Refusal::Foreign { pid }),
                Some(_) => Ok(Self { target, pidfd }),
            }
        }

        /// The process that is held.
        #[must_use]
        pub fn target(&self) -> Target {
            self.target
        }

        /// Sends `signal`. TERM and INT reach a stopped process only once it goes on, so it gets CONT as well.
        ///
        /// # Errors
        ///
        /// Where the process is gone or may not be signalled.
        pub fn send(&self, _permit: Permit, signal: Signal) -> Result<(), Refusal> {
            let send = |signal| {
                process::pidfd_send_signal(&self.pidfd, signal)
                    .map_err(|error| refusal(self.target.pid, error))
            };
            let and_go_on = |()| {
                // It may be gone by now, of the signal before.
                let _ = send(process::Signal::CONT);
            };
            match signal {
                Signal::Term => send(process::Signal::TERM).map(and_go_on),
                Signal::Int => send(process::Signal::INT).map(and_go_on),
                Signal::Cont => send(process::Signal::CONT),
                Signal::Kill => send(process::Signal::KILL),
            }
        }

        /// Waits until the process has ended, for `patience` at the most; whether it has.
        #[must_use]
        pub fn wait(&self, patience: Duration) -> bool {
            !ended(&[self], patience).is_empty()
        }
    }

    /// Waits until one of `pinned` has ended, for `patience` at the most: the indices of those that have.
    #[must_use]
    pub fn ended(pinned: &[&Pinned], patience: Duration) -> Vec<usize> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut fds: Vec<_> = pinned.iter().map(|it| PollFd::new(&it.pidfd, PollFlags::IN)).collect();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) => {
                    let is_over = |fd: &PollFd<'_>| fd.revents().contains(PollFlags::IN);
                    return (0..fds.len()).filter(|&at| is_over(&fds[at])).collect();
                }
                Err(Errno::INTR) => {}
                Err(_) => return Vec::new(),
            }
        }
    }

    // Whose process is not known is not ours.
    fn is_own(pid: i32, proc: &Path) -> bool {
        observe::process_owner(proc, pid) == Some(process::geteuid().as_raw())
    }

    fn refusal(pid: i32, error: Errno) -> Refusal {
        match error {
            Errno::SRCH => Refusal::Gone { pid },
            Errno::NOSYS => Refusal::Unsupported { pid },
            other => Refusal::Forbidden { pid, why: std::io::Error::from(other).to_string() },
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod pinned {
    use super::{Duration, Path, Permit, Refusal, Signal, Target};

    /// A process that is held on to: never, where there is no pidfd.
    #[derive(Debug)]
    pub struct Pinned(Target);

    impl Pinned {
        /// Refuses: without a pidfd a signal could reach another process.
        ///
        /// # Errors
        ///
        /// Always.
        pub fn open(target: Target, _proc: &Path) -> Result<Self, Refusal> {
            Err(Refusal::Unsupported { pid: target.pid })
        }

        /// The process that is held.
        #[must_use]
        pub fn target(&self) -> Target {
            self.0
        }

        /// Refuses.
        ///
        /// # Errors
        ///
        /// Always.
        pub fn send(&self, _permit: Permit, _signal: Signal) -> Result<(), Refusal> {
            Err(Refusal::Unsupported { pid: self.0.pid })
        }

        /// Nothing to wait for.
        #[must_use]
        pub fn wait(&self, _patience: Duration) -> bool {
            false
        }
    }

    /// Nothing ever is pinned here.
    #[must_use]
    pub fn ended(_pinned: &[&Pinned], _patience: Duration) -> Vec<usize> {
        Vec::new()
    }
}

pub use pinned::{Pinned, ended};

/// Why `pid` must never be stopped from here; `None` where nothing speaks against it.
#[must_use]
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
#[must_use]
pub fn start_ticks(pid: i32, proc: &Path) -> Option<u64> {
    observe::process_start(proc, pid)
}
