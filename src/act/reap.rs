//! Stops one or many processes: selects them, pins each, and reports the result for each and for the log.
//!
//! The console and `waltop reap` both use it, so neither can bypass a refusal.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::RestartCommand;
use super::signal::{ExpectedProgram, PinnedProcess, SignalRefusal, SignalTarget, StopSignal, ended};
use crate::{
    config::Permit,
    diagnose::{
        self,
        checkpoint::{CheckpointBlocker, blockers},
    },
    snapshot::{
        CheckpointMode, Database, FindingKind, LockHolder, Process, StaleCause, StaleProtection, StaleVerdict,
    },
    units,
};

/// The age in ms up to which a checkpoint is new.
const NEW_MS: f64 = 1000.0;

/// How long waltop waits for a process to exit after a signal.
pub const GRACE: Duration = Duration::from_secs(5);

/// A process that is to get a signal, as the last sample showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequest {
    pub target: SignalTarget,
    /// The program that it must still run when it gets a signal.
    pub program: ExpectedProgram,
    /// What protects it; `None` if nothing does.
    pub protected: Option<StaleProtection>,
}

/// The result for a process that was to get a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopOutcome {
    Gone,
    /// The wait is over, and it is still there.
    Stays,
    /// It was resumed.
    GoesOn,
    Refused(SignalRefusal),
}

/// What the stopped processes have left, in a sample taken after their exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopAftermath {
    pub gone: usize,
    /// Those whose locks are still in the lock table, whether they exited or not.
    pub still_held: Vec<i32>,
    /// Processes that keep frames of the log from being checkpointed; `None` if there is no log.
    pub in_the_way: Option<Vec<CheckpointBlocker>>,
    /// Whether one of those that are gone kept frames of the log from being checkpointed.
    pub was_in_the_way: bool,
    /// Why no process should checkpoint it, whatever blocks it.
    pub hazard: Option<FindingKind>,
}

impl StopRequest {
    /// A request for `process`, if it can be identified.
    ///
    /// # Errors
    ///
    /// Its start is unknown.
    pub fn new(process: &Process) -> Result<Self, SignalRefusal> {
        let pid = process.pid;
        let start_ticks = process.start_ticks.ok_or(SignalRefusal::Nameless { pid })?;
        let protected = process.stale.as_ref().and_then(|stale| stale.protected.clone());
        let program = ExpectedProgram::Listed(process.program.clone());
        Ok(Self { target: SignalTarget { pid, start_ticks }, program, protected })
    }

    /// The process of an ingestion, from its journal: it need not have the database open.
    pub fn ingestion(target: SignalTarget) -> Self {
        Self { target, program: ExpectedProgram::AsPinned, protected: None }
    }

    /// A request to stop `process` together with others.
    ///
    /// # Errors
    ///
    /// Its start is unknown, or its clean exit would damage one of `databases`.
    pub fn among_others(databases: &[Database], process: &Process) -> Result<Self, SignalRefusal> {
        let meant = Self::new(process)?;
        let is_split = meant.protected.is_none() && is_split(databases, process);
        if is_split { Err(SignalRefusal::Split { pid: process.pid }) } else { Ok(meant) }
    }

    /// Whether it may still be asked to exit, according to `databases` now. A process that they do not show has exited,
    /// or has closed the files in question.
    ///
    /// # Errors
    ///
    /// No cause holds any more, or something protects it now.
    pub fn again(target: SignalTarget, databases: &[Database]) -> Result<(), SignalRefusal> {
        let is_it =
            |process: &&Process| process.pid == target.pid && process.start_ticks == Some(target.start_ticks);
        let found: Vec<&Process> = databases.iter().flat_map(|it| &it.processes).filter(is_it).collect();
        if let Some(why) = only_copy(target, databases) {
            return Err(SignalRefusal::Spared { pid: target.pid, why });
        }
        if !found.iter().any(|process| process.is_stale()) {
            return Err(SignalRefusal::NotStale { pid: target.pid });
        }
        found.into_iter().try_for_each(|process| Self::among_others(databases, process).map(drop))
    }

    /// Pins the process.
    ///
    /// # Errors
    ///
    /// Something protects it, it is gone or another one, or it is out of reach.
    pub fn pin(&self, proc: &Path) -> Result<PinnedProcess, SignalRefusal> {
        match &self.protected {
            Some(why) => Err(SignalRefusal::Spared { pid: self.target.pid, why: why.clone() }),
            None => PinnedProcess::open(self.target, self.program.clone(), proc),
        }
    }
}

/// Why no signal may end `target`, if it holds the only copy of deleted data of one of `databases`.
pub fn only_copy(target: SignalTarget, databases: &[Database]) -> Option<StaleProtection> {
    let rows = databases.iter().filter_map(|database| database.process(target.pid));
    let files: Vec<String> = rows
        .filter(|process| process.start_ticks == Some(target.start_ticks))
        .flat_map(|process| &process.deleted)
        .cloned()
        .collect();
    (!files.is_empty()).then_some(StaleProtection::OnlyCopy { files })
}

/// The processes that keep frames of the log of `database` from being checkpointed.
pub fn in_the_way(database: &Database) -> Vec<SignalTarget> {
    let pids = blockers(database, CheckpointMode::Passive).into_iter().filter_map(|blocker| blocker.pid);
    let target = |pid| Some(SignalTarget { pid, start_ticks: database.process(pid)?.start_ticks? });
    pids.filter_map(target).collect()
}

/// The processes of `database` for which a cause of staleness holds, protected ones included.
pub fn candidates(database: &Database) -> impl Iterator<Item = &Process> {
    database.processes.iter().filter(|process| !causes(process).is_empty())
}

/// The causes that hold for `process`, if it is stale or only its protection keeps it from being stale.
pub fn causes(process: &Process) -> &[StaleCause] {
    match &process.stale {
        Some(StaleVerdict { is_stale, causes, protected, .. }) if *is_stale || protected.is_some() => causes,
        _ => &[],
    }
}

/// Whether a clean close by `process` would undo other processes' commits to one of `databases`.
pub fn is_split(databases: &[Database], process: &Process) -> bool {
    let is_it = |it: &&Process| it.pid == process.pid && it.start_ticks == process.start_ticks;
    databases.iter().any(|database| {
        database.processes.iter().find(is_it).is_some_and(|process| database.is_split_from(process))
    })
}

/// Sends `signal` to all of `pinned` and waits until they have exited, for at most `grace`. Calls `tell` for each as
/// soon as its result is known, and with how to start it again if it is gone; nothing ends one that stays.
pub fn stop(
    permit: Permit,
    pinned: &[Arc<PinnedProcess>],
    signal: StopSignal,
    grace: Duration,
    mut tell: impl FnMut(SignalTarget, StopOutcome, Option<RestartCommand>),
) {
    let mut left: Vec<&PinnedProcess> = Vec::new();
    let mut restarts = HashMap::new();
    for it in pinned {
        restarts.insert(it.target(), signal.ends().then(|| it.restart()).flatten());
        match it.send(permit, signal) {
            Err(refusal) => tell(it.target(), StopOutcome::Refused(refusal), None),
            Ok(_) if signal.ends() => left.push(it),
            Ok(_) => tell(it.target(), StopOutcome::GoesOn, None),
        }
    }
    let deadline = Instant::now() + grace;
    while !left.is_empty() {
        let over = ended(&left, deadline.saturating_duration_since(Instant::now()));
        if over.is_empty() {
            break;
        }
        for at in over.into_iter().rev() {
            let target = left.swap_remove(at).target();
            tell(target, StopOutcome::Gone, restarts.remove(&target).flatten());
        }
    }
    for it in left {
        tell(it.target(), StopOutcome::Stays, None);
    }
}

impl StopAftermath {
    /// What `database` shows of those that were to exit, of which some are `gone`. `were_in_the_way` is what
    /// [`in_the_way`] gave for the sample before.
    pub fn of(
        database: &Database,
        gone: &[SignalTarget],
        stays: &[SignalTarget],
        were_in_the_way: &[SignalTarget],
    ) -> Self {
        let locks = &database.locks;
        let holders = [&locks.writer, &locks.checkpointer, &locks.recoverer, &locks.exclusive];
        let pids = holders.into_iter().flatten().filter_map(|holder| holder.pid);
        let holding: Vec<i32> = pids.chain(locks.readers.iter().filter_map(|reader| reader.pid)).collect();
        // A PID that belongs to another process now has its own locks.
        let is_another = |target: &SignalTarget| {
            let now = database.process(target.pid).and_then(|process| process.start_ticks);
            now.is_some_and(|ticks| ticks != target.start_ticks)
        };
        let holds = |target: &&SignalTarget| holding.contains(&target.pid) && !is_another(target);
        let has_log = database.is_wal() == Some(true);
        let was_in_the_way = gone.iter().any(|target| were_in_the_way.contains(target));
        Self {
            gone: gone.len(),
            still_held: gone.iter().chain(stays).filter(holds).map(|target| target.pid).collect(),
            in_the_way: has_log.then(|| {
                let mut blockers = blockers(database, CheckpointMode::Passive);
                // A checkpoint that has just begun, or could go on only now, is what moves the log.
                let moves = |it: &&LockHolder| was_in_the_way || it.held_ms.is_none_or(|ms| ms < NEW_MS);
                let moving = locks.checkpointer.as_ref().filter(moves);
                blockers.retain(|blocker| moving.is_none_or(|moving| moving.pid != blocker.pid));
                blockers
            }),
            was_in_the_way,
            hazard: diagnose::hazard(database).map(|hazard| hazard.kind),
        }
    }

    /// Whether all locks are released and nothing keeps the log from being checkpointed.
    pub fn is_good(&self) -> bool {
        self.still_held.is_empty()
            && self.hazard.is_none()
            && self.in_the_way.as_ref().is_none_or(Vec::is_empty)
    }

    fn locks(&self) -> Option<String> {
        if !self.still_held.is_empty() {
            let pids: Vec<String> = self.still_held.iter().map(ToString::to_string).collect();
            return Some(format!("locks of {} are still there", pids.join(", ")));
        }
        (self.gone > 0).then(|| "all locks released".to_owned())
    }

    fn log(&self) -> Option<String> {
        match (self.hazard, self.in_the_way.as_deref()?) {
            (Some(hazard), _) => Some(format!("the WAL cannot be checkpointed while {hazard} stands")),
            (None, []) if !self.was_in_the_way => None,
            (None, []) => Some("the WAL can be moved again".to_owned()),
            (None, [first]) => Some(format!("the WAL is still held: {}", first.why)),
            (None, [first, rest @ ..]) => {
                let more = units::count(rest.len() as u64);
                Some(format!("the WAL is still held: {}, and {more} more", first.why))
            }
        }
    }
}

impl std::fmt::Display for StopAftermath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said: Vec<String> = self.locks().into_iter().chain(self.log()).collect();
        f.write_str(if said.is_empty() { "nothing has changed" } else { "" })?;
        f.write_str(&said.join("; "))
    }
}

#[cfg(test)]
mod tests;
