//! Stopping processes, one or many: which are meant, how each is got hold of, what became of each, and of the log.
//!
//! The console and `waltop reap` both stop by this, so that neither knows a way around a refusal.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::Permit,
    diagnose::checkpoint::{Blocker, Mode, blockers},
    snapshot::{Cause, Database, Process, Stale},
    units,
};

use super::signal::{Pinned, Refusal, Signal, Target, ended};

/// How long a process that was asked to end is waited for.
pub const GRACE: Duration = Duration::from_secs(5);

/// A process that is meant for a signal, as the last look had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The process.
    pub target: Target,
    /// What protects it, where something does.
    pub protected: Option<String>,
}

/// What became of a process that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its exit was seen.
    Gone,
    /// The grace is over, and it is still there.
    Stays,
    /// It was told to go on.
    GoesOn,
    /// It got no signal.
    Refused(Refusal),
}

/// What the stopped ones have left, as of a look that came after their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aftermath {
    /// Those whose locks still stand in the lock table.
    pub still_held: Vec<i32>,
    /// Who keeps frames of the log from being moved; `None` where there is no log.
    pub in_the_way: Option<Vec<Blocker>>,
}

impl Meant {
    /// `process`, where it can be told from others.
    ///
    /// # Errors
    ///
    /// Where its start is not known.
    pub fn new(process: &Process) -> Result<Self, Refusal> {
        let pid = process.pid;
        let start_ticks = process.start_ticks.ok_or(Refusal::Nameless { pid })?;
        let protected = process.stale.as_ref().and_then(|stale| stale.protected.clone());
        Ok(Self { target: Target { pid, start_ticks }, protected })
    }

    /// `process`, to be asked to end together with others.
    ///
    /// # Errors
    ///
    /// Where its start is not known, or its end in good order would do damage to `database`.
    pub fn among_others(database: &Database, process: &Process) -> Result<Self, Refusal> {
        let meant = Self::new(process)?;
        let is_split = meant.protected.is_none() && database.is_split_from(process);
        if is_split { Err(Refusal::Split { pid: process.pid }) } else { Ok(meant) }
    }

    /// Gets hold of it.
    ///
    /// # Errors
    ///
    /// Where something protects it, it is gone or another one, or it is out of reach.
    pub fn pin(&self, proc: &Path) -> Result<Pinned, Refusal> {
        match &self.protected {
            Some(why) => Err(Refusal::Spared { pid: self.target.pid, why: why.clone() }),
            None => Pinned::open(self.target, proc),
        }
    }
}

/// The processes of `database` for which a cause of staleness holds, those that something protects included.
pub fn candidates(database: &Database) -> impl Iterator<Item = &Process> {
    database.processes.iter().filter(|process| !causes(process).is_empty())
}

/// The causes that hold for `process`, where it is stale or only what protects it keeps it from that.
#[must_use]
pub fn causes(process: &Process) -> &[Cause] {
    match &process.stale {
        Some(Stale { is_stale, causes, protected }) if *is_stale || protected.is_some() => causes,
        _ => &[],
    }
}

/// Sends `signal` to all of `pinned` and waits until they have ended, for `grace` at the most. `tell` hears of each as
/// soon as there is something to tell; nothing ends one that stays.
pub fn stop(
    permit: Permit,
    pinned: &[Arc<Pinned>],
    signal: Signal,
    grace: Duration,
    mut tell: impl FnMut(Target, End),
) {
    let mut left: Vec<&Pinned> = Vec::new();
    for it in pinned {
        match it.send(permit, signal) {
            Err(refusal) => tell(it.target(), End::Refused(refusal)),
            Ok(()) if signal.ends() => left.push(it),
            Ok(()) => tell(it.target(), End::GoesOn),
        }
    }
    let deadline = Instant::now() + grace;
    while !left.is_empty() {
        let over = ended(&left, deadline.saturating_duration_since(Instant::now()));
        if over.is_empty() {
            break;
        }
        for at in over.into_iter().rev() {
            tell(left.swap_remove(at).target(), End::Gone);
        }
    }
    for it in left {
        tell(it.target(), End::Stays);
    }
}

impl Aftermath {
    /// What `database` shows of those that have `gone`.
    #[must_use]
    pub fn of(database: &Database, gone: &[Target]) -> Self {
        let locks = &database.locks;
        let holders = [&locks.writer, &locks.checkpointer, &locks.recoverer, &locks.exclusive];
        let pids = holders.into_iter().flatten().filter_map(|holder| holder.pid);
        let holding: Vec<i32> = pids.chain(locks.readers.iter().filter_map(|reader| reader.pid)).collect();
        // A PID that is another process by now holds its own locks.
        let is_another = |target: &Target| {
            let now = database.process(target.pid).and_then(|process| process.start_ticks);
            now.is_some_and(|ticks| ticks != target.start_ticks)
        };
        let holds = |target: &&Target| holding.contains(&target.pid) && !is_another(target);
        let has_log = database.is_wal() == Some(true);
        Self {
            still_held: gone.iter().filter(holds).map(|target| target.pid).collect(),
            in_the_way: has_log.then(|| blockers(database, Mode::Passive)),
        }
    }

    /// Whether all locks are given back and nobody keeps the log from being moved.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.still_held.is_empty() && self.in_the_way.as_ref().is_none_or(Vec::is_empty)
    }
}

impl std::fmt::Display for Aftermath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.still_held.is_empty() {
            f.write_str("all locks released")?;
        } else {
            let pids: Vec<String> = self.still_held.iter().map(ToString::to_string).collect();
            write!(f, "locks of {} are still there", pids.join(", "))?;
        }
        match self.in_the_way.as_deref() {
            None => Ok(()),
            Some([]) => f.write_str("; the WAL can be moved again"),
            Some([first]) => write!(f, "; the WAL is still held: {}", first.why),
            Some([first, rest @ ..]) => {
                let more = units::count(rest.len() as u64);
                write!(f, "; the WAL is still held: {}, and {more} more", first.why)
            }
        }
    }
}
