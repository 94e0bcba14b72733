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
    snapshot::{CheckpointMode, Database, FindingKind, Process, StaleCause, StaleProtection, StaleVerdict},
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
        Some(StaleVerdict { is_stale, causes, protected }) if *is_stale || protected.is_some() => causes,
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
        Self {
            gone: gone.len(),
            still_held: gone.iter().chain(stays).filter(holds).map(|target| target.pid).collect(),
            in_the_way: has_log.then(|| {
                let mut blockers = blockers(database, CheckpointMode::Passive);
                // A checkpoint that has just begun is what moves the log.
                let new = locks.checkpointer.as_ref().filter(|it| it.held_ms.is_none_or(|ms| ms < NEW_MS));
                blockers.retain(|blocker| new.is_none_or(|new| new.pid != blocker.pid));
                blockers
            }),
            was_in_the_way: gone.iter().any(|target| were_in_the_way.contains(target)),
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
mod tests {
    use super::*;
    use crate::diagnose::fixture::{READER, WRITER, live, pinned, quiet, rollback};

    fn target(pid: i32) -> SignalTarget {
        SignalTarget { pid, start_ticks: 1000 }
    }

    // What is reported of `database` once `gone` have ended.
    fn reported(database: &Database, gone: &[i32], stays: &[i32]) -> String {
        let targets = |pids: &[i32]| pids.iter().copied().map(target).collect::<Vec<_>>();
        let before = in_the_way(&pinned());
        StopAftermath::of(database, &targets(gone), &targets(stays), &before).to_string()
    }

    #[test]
    fn the_report_after_a_stop_covers_the_locks_and_the_log() {
        assert_eq!(reported(&quiet(), &[READER], &[]), "all locks released; the WAL can be moved again");
        assert_eq!(reported(&quiet(), &[WRITER], &[]), "all locks released", "it was not in the way");
        assert_eq!(reported(&quiet(), &[WRITER], &[READER]), "all locks released", "the other stays");
        assert_eq!(reported(&rollback(), &[WRITER], &[]), "all locks released", "there is no WAL");
        assert_eq!(reported(&quiet(), &[], &[READER]), "nothing has changed");
    }

    #[test]
    fn the_report_after_a_stop_names_the_processes_that_still_hold_something() {
        let held = "the WAL is still held: 71168 (python3) pins frame 812 (slot 1) for 3 d 20 h: 18,219 frames cannot be moved";
        assert_eq!(reported(&pinned(), &[WRITER], &[]), format!("all locks released; {held}"));
        let text = reported(&pinned(), &[WRITER], &[READER]);
        assert_eq!(text, format!("locks of {READER} are still there; {held}"));
        let mut database = pinned();
        database.locks.readers.push(database.locks.readers[0].clone());
        assert_eq!(reported(&database, &[WRITER], &[]), format!("all locks released; {held}, and 1 more"));
        // Another process has the PID by now.
        database.processes[1].start_ticks = Some(9000);
        assert!(reported(&database, &[], &[READER]).starts_with("the WAL is still held"));
    }

    #[test]
    fn a_checkpoint_that_has_just_begun_is_not_in_the_way() {
        let mut database = quiet();
        let checkpoint = |held_ms| Some(crate::diagnose::fixture::held(WRITER, held_ms));
        database.locks.checkpointer = checkpoint(0.0);
        let aftermath =
            |database: &Database| StopAftermath::of(database, &[target(READER)], &[], &in_the_way(&pinned()));
        assert!(aftermath(&database).is_good());
        database.locks.checkpointer = checkpoint(9_000.0);
        assert!(!aftermath(&database).is_good(), "it does not end");
    }

    #[test]
    fn the_candidates_are_those_with_a_cause_that_is_overruled_at_most_by_a_protection() {
        let mut database = live();
        let pids = |database: &Database| candidates(database).map(|it| it.pid).collect::<Vec<_>>();
        let causes = vec![StaleCause::SplitWal { files: vec!["/srv/notes.db-wal".to_owned()] }];
        let verdict = StaleVerdict { is_stale: true, causes, protected: None };
        database.processes[0].stale = Some(verdict.clone());
        assert_eq!(pids(&database), [WRITER]);
        let protected = Some(StaleProtection::AnotherUser { user: "root".to_owned() });
        database.processes[1].stale = Some(StaleVerdict { is_stale: false, protected, ..verdict.clone() });
        assert_eq!(pids(&database), [WRITER, READER]);
        database.processes[0].stale = Some(StaleVerdict { is_stale: false, ..verdict });
        assert_eq!(pids(&database), [READER]);
    }

    #[test]
    fn a_process_that_holds_the_only_copy_of_deleted_data_is_spared() {
        let mut database = live();
        database.processes[0].deleted = vec!["/srv/notes.db-wal".to_owned()];
        let spared = |target| only_copy(target, std::slice::from_ref(&database));
        let files = vec!["/srv/notes.db-wal".to_owned()];
        assert_eq!(spared(target(WRITER)), Some(StaleProtection::OnlyCopy { files }));
        assert_eq!(spared(target(READER)), None, "it has nothing deleted");
        assert_eq!(spared(SignalTarget { pid: WRITER, start_ticks: 1 }), None, "another process had its PID");
    }

    #[test]
    fn a_stop_is_good_only_if_all_is_released_and_nothing_keeps_the_log() {
        let good = |database: &Database, gone: &[i32]| {
            let gone: Vec<SignalTarget> = gone.iter().copied().map(target).collect();
            StopAftermath::of(database, &gone, &[], &[]).is_good()
        };
        assert!(good(&quiet(), &[READER]) && good(&rollback(), &[WRITER]));
        assert!(!good(&pinned(), &[READER]), "its lock is still there");
        assert!(!good(&pinned(), &[WRITER]), "another keeps the log");
    }

    #[test]
    fn each_process_is_reported_once_with_what_became_of_it() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("it starts");
        let (pid, proc) = (child.id().cast_signed(), Path::new("/proc"));
        let start_ticks = crate::observe::process_start(proc, pid).expect("it runs");
        let target = SignalTarget { pid, start_ticks };
        let pinned = PinnedProcess::open(target, ExpectedProgram::AsPinned, proc).expect("it is pinned");
        let pinned = [Arc::new(pinned)];
        let permit =
            crate::config::Config::new(crate::state::places::Places::under("/nowhere".as_ref())).permit();
        let permit = permit.expect("it is not read-only");
        let reported = |signal, grace| {
            let mut reports = Vec::new();
            stop(permit, &pinned, signal, grace, |target, outcome, restart| {
                reports.push((target, outcome, restart.is_some()));
            });
            reports
        };
        assert_eq!(reported(StopSignal::Cont, Duration::ZERO), [(target, StopOutcome::GoesOn, false)]);
        assert_eq!(reported(StopSignal::Term, Duration::from_mins(1)), [(target, StopOutcome::Gone, true)]);
        child.wait().expect("it has ended");
        let [(_, gone, _)] = &reported(StopSignal::Term, Duration::ZERO)[..] else { panic!("once") };
        assert!(matches!(gone, StopOutcome::Refused(SignalRefusal::Gone { .. })), "{gone:?}");
    }

    #[test]
    fn every_signal_but_cont_is_to_end_a_process() {
        assert_eq!(StopSignal::ALL.map(StopSignal::ends), [true, false, true, true]);
    }

    #[test]
    fn a_process_is_asked_again_only_while_it_is_stale_and_its_exit_does_no_damage() {
        let mut database = live();
        let again = |database: &Database, target| StopRequest::again(target, std::slice::from_ref(database));
        let not_stale = |target: SignalTarget| Err(SignalRefusal::NotStale { pid: target.pid });
        assert_eq!(again(&database, target(WRITER)), not_stale(target(WRITER)));
        let causes = vec![StaleCause::SplitWal { files: vec!["/srv/notes.db-wal".to_owned()] }];
        database.processes[0].stale = Some(StaleVerdict { is_stale: true, causes, protected: None });
        assert_eq!(again(&database, target(WRITER)), Ok(()));
        assert_eq!(again(&database, target(READER)), not_stale(target(READER)), "another one is");
        let before = SignalTarget { pid: WRITER, start_ticks: 1 };
        assert_eq!(again(&database, before), not_stale(before), "another process had its PID");
        database.processes[0].replaced = vec!["/srv/notes.db-wal".to_owned()];
        assert!(is_split(std::slice::from_ref(&database), &database.processes[0]));
        assert!(!is_split(std::slice::from_ref(&database), &database.processes[1]));
        assert_eq!(again(&database, target(WRITER)), Err(SignalRefusal::Split { pid: WRITER }));
        database.processes[0].deleted = database.processes[0].replaced.clone();
        assert!(matches!(again(&database, target(WRITER)), Err(SignalRefusal::Spared { pid: WRITER, .. })));
    }
}
