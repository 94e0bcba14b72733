//! Processes that wait for each other in several databases, so that none of them goes on before a timeout.

use std::collections::BTreeSet;

use super::{Rule, RuleFacts, RuleInput, evidence, explain, terminate};
use crate::{
    config::Config,
    snapshot::{
        CycleWait, Database, Finding, FindingKind, LockCycle, RemedyAction, Severity, Snapshot, WaitBasis,
    },
    units,
};

/// The most processes of a cycle that is looked for.
const MOST: usize = 4;

pub const RULES: &[&dyn Rule] = &[&CrossedLocks];

/// Fills in the cycles of each database of `snapshot`.
pub fn fill_in(snapshot: &mut Snapshot, config: &Config) {
    let least_ms = units::milliseconds(config.thresholds.lock_cycle);
    let mut waits: Vec<CycleWait> = snapshot.databases.iter().flat_map(waits).collect();
    waits.retain(|wait| wait.for_ms >= least_ms);
    let cycles = cycles(&waits, &snapshot.databases);
    for database in &mut snapshot.databases {
        let path = path(database);
        let is_in = |cycle: &&LockCycle| cycle.waits.iter().any(|wait| wait.database == path);
        database.locks.cycles = cycles.iter().filter(is_in).cloned().collect();
    }
}

fn path(database: &Database) -> String {
    database.path.to_string_lossy().into_owned()
}

// Who waits for whom in one database. The holds and the waits all last until now, so that those of at least some length
// were there at the same time.
fn waits(database: &Database) -> Vec<CycleWait> {
    let locks = &database.locks;
    let Some((holder, held_ms)) = locks.writer.as_ref().and_then(|it| Some((it.pid?, it.held_ms?))) else {
        return Vec::new();
    };
    let wait = |pid, waits_for, evidence, for_ms: f64| CycleWait {
        pid,
        label: database.process(pid).map(|process| process.label.clone()),
        threads: database.process(pid).and_then(|process| process.threads),
        waits_for,
        database: path(database),
        evidence,
        for_ms: for_ms.min(held_ms),
    };
    let victims = locks.refusals.iter().flat_map(|refusals| &refusals.victims);
    let traced =
        victims.filter_map(|victim| Some(wait(victim.pid, holder, WaitBasis::Traced, victim.waiting_ms?)));
    let possible = locks.possible_waiters.iter().filter(|waiter| waiter.holder == Some(holder));
    let possible = possible.map(|waiter| wait(waiter.pid, holder, WaitBasis::MayWait, waiter.span_ms));
    let readers = locks.holder_wait.iter().flat_map(|wait| &wait.readers);
    let readers =
        readers.filter_map(|reader| Some(wait(holder, reader.pid?, WaitBasis::Readers, reader.held_ms?)));
    traced.chain(possible).chain(readers).filter(|wait| wait.pid != wait.waits_for).collect()
}

// Every cycle over at least two databases once.
fn cycles(waits: &[CycleWait], databases: &[Database]) -> Vec<LockCycle> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for first in waits {
        let mut open = vec![vec![first]];
        while let Some(path) = open.pop() {
            let last = path[path.len() - 1];
            if last.waits_for == first.pid {
                let places: BTreeSet<&str> = path.iter().map(|wait| wait.database.as_str()).collect();
                let mut members: Vec<(i32, &str)> =
                    path.iter().map(|wait| (wait.pid, wait.database.as_str())).collect();
                members.sort_unstable();
                if places.len() > 1 && known.insert(members) {
                    found.push(from_shortest_hold(&path, databases));
                }
                continue;
            }
            let goes_on = |wait: &&CycleWait| {
                wait.pid == last.waits_for && path.iter().all(|before| before.pid != wait.pid)
            };
            for next in waits.iter().filter(goes_on).filter(|_| path.len() < MOST) {
                open.push([&path[..], &[next]].concat());
            }
        }
    }
    found
}

// Of the databases of the cycle alone; a process that only reads them has no write to undo, and none to free.
fn from_shortest_hold(path: &[&CycleWait], databases: &[Database]) -> LockCycle {
    let is_of_cycle =
        |database: &&Database| path.iter().any(|wait| database.path.to_string_lossy() == wait.database);
    let held_ms = |pid: i32| {
        let writers = databases.iter().filter(is_of_cycle).filter_map(|it| it.locks.writer.as_ref());
        let held = writers.filter(|writer| writer.pid == Some(pid)).filter_map(|writer| writer.held_ms);
        held.max_by(f64::total_cmp)
    };
    let mut waits: Vec<CycleWait> = path.iter().copied().cloned().collect();
    let holds = waits.iter().enumerate().filter_map(|(index, wait)| Some((index, held_ms(wait.pid)?)));
    let shortest = holds.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index);
    waits.rotate_left(shortest.unwrap_or(0));
    LockCycle { waits }
}

/// Processes wait for each other in several databases.
pub struct CrossedLocks;

impl Rule for CrossedLocks {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::CrossedLocks, &[Severity::Warning, Severity::Error])
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let cycles = look.database.locks.cycles.iter();
        cycles.filter_map(|cycle| self.finding(cycle)).collect()
    }
}

impl CrossedLocks {
    fn finding(&self, cycle: &LockCycle) -> Option<Finding> {
        let first = cycle.waits.first()?;
        let steps: Vec<String> = cycle.waits.iter().map(step).collect();
        let (severity, outcome, remedy) = if cycle.is_certain() {
            let outcome = "none of them goes on before a timeout, and it is enough to stop one".to_owned();
            (Severity::Error, outcome, terminate(Some(first.pid)))
        } else {
            (Severity::Warning, possible_outcome(cycle), explain(self.kind()))
        };
        Some(Finding {
            kind: self.kind(),
            severity,
            label: first.label.clone(),
            pid: Some(first.pid),
            message: format!("{}: {outcome}", steps.join(", and ")),
            evidence: evidence([("waits", serde_json::to_value(&cycle.waits).unwrap_or_default())]),
            remedy,
        })
    }
}

fn possible_outcome(cycle: &LockCycle) -> String {
    let mut outcome = "they may wait for each other until a timeout".to_owned();
    for wait in &cycle.waits {
        if let Some(threads) = wait.threads.filter(|threads| *threads > 1) {
            outcome += &format!(
                "; {} has {} threads, and the one that waits may not be the one that holds the lock",
                wait.pid,
                units::count(threads)
            );
        }
    }
    outcome
}

fn step(wait: &CycleWait) -> String {
    let who = wait.label.as_ref().map_or_else(String::new, |label| format!(" ({label})"));
    let database = wait.database.rsplit('/').next().unwrap_or_default();
    let verb = match wait.evidence {
        WaitBasis::MayWait => "may wait for",
        WaitBasis::Traced | WaitBasis::Readers => "waits for",
    };
    let lock = match wait.evidence {
        WaitBasis::Readers => format!("{} to end its read of {database}", wait.waits_for),
        WaitBasis::Traced | WaitBasis::MayWait => {
            format!("the write lock of {database}, which {} holds", wait.waits_for)
        }
    };
    format!("{}{who} {verb} {lock}", wait.pid)
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};
    use crate::snapshot::{
        HolderWait, HolderWaitCause, PossibleWaiter, RefusalReason, RefusedWriter, WaiterEvidence,
        WriterRefusals,
    };

    fn may_wait(pid: i32, holder: i32, span_ms: f64) -> PossibleWaiter {
        let evidence = WaiterEvidence::HandlerSleep { sleep_ms: 100 };
        PossibleWaiter { pid, holder: Some(holder), samples: 20, asleep: 20, span_ms, evidence }
    }

    /// The database at `path`, held by `holder` for `held_ms`, while `waiter` may wait for it.
    fn crossed(path: &str, (holder, held_ms): (i32, f64), waiter: i32) -> Database {
        let mut database = quiet();
        database.path = path.into();
        database.locks.writer = Some(held(holder, held_ms));
        database.locks.possible_waiters = vec![may_wait(waiter, holder, 900.0)];
        database
    }

    fn found(databases: Vec<Database>) -> Vec<Vec<(FindingKind, Option<i32>)>> {
        let mut snapshot = snapshot(databases);
        fill_in(&mut snapshot, &config());
        let outline = |database: &Database| {
            let found = findings_of(database);
            let crossed = found.iter().filter(|it| it.kind == FindingKind::CrossedLocks);
            crossed.map(|it| (it.kind, it.pid)).collect()
        };
        snapshot.databases.iter().map(outline).collect()
    }

    #[test]
    fn two_that_hold_what_the_other_waits_for_are_found_on_both_databases() {
        let x = || crossed("/srv/x.db", (WRITER, 3_000.0), READER);
        let y = || crossed("/srv/y.db", (READER, 2_000.0), WRITER);
        let one = || vec![(FindingKind::CrossedLocks, Some(READER))];
        assert_eq!(found(vec![x(), y()]), [one(), one()], "the shorter hold loses less");
        assert_eq!(found(vec![x(), y(), quiet()])[2], vec![], "a third database has no part in it");
        assert_eq!(found(vec![x()]), [vec![]]);
    }

    #[test]
    fn a_chain_and_a_wait_that_just_began_are_no_cycle() {
        let x = crossed("/srv/x.db", (WRITER, 3_000.0), READER);
        let chain = crossed("/srv/y.db", (INGESTER, 2_000.0), WRITER);
        assert_eq!(found(vec![x.clone(), chain]), [vec![], vec![]]);
        let mut brief = crossed("/srv/y.db", (READER, 2_000.0), WRITER);
        brief.locks.possible_waiters[0].span_ms = 199.0;
        assert_eq!(found(vec![x.clone(), brief]), [vec![], vec![]]);
        let new = crossed("/srv/y.db", (READER, 199.0), WRITER);
        assert_eq!(found(vec![x.clone(), new]), [vec![], vec![]], "the hold just began");
        let mut stale = crossed("/srv/y.db", (READER, 2_000.0), WRITER);
        stale.locks.possible_waiters[0].holder = Some(INGESTER);
        assert_eq!(found(vec![x, stale]), [vec![], vec![]], "it waited for another holder");
    }

    #[test]
    fn three_in_a_cycle_and_a_wait_for_readers_are_found_once() {
        let [one, two, three] = [(WRITER, 3_000.0), (READER, 2_000.0), (INGESTER, 4_000.0)];
        let cycle = vec![
            crossed("/srv/x.db", one, two.0),
            crossed("/srv/y.db", two, three.0),
            crossed("/srv/z.db", three, one.0),
        ];
        assert!(found(cycle).iter().all(|it| it.len() == 1));
        let mut checkpoint = crossed("/srv/x.db", one, INGESTER);
        checkpoint.locks.holder_wait = Some(HolderWait {
            cause: HolderWaitCause::Checkpoint,
            readers: vec![reader(READER, 1, 7, 900.0)],
        });
        let other = crossed("/srv/y.db", one, READER);
        assert!(found(vec![checkpoint, other]).iter().all(|it| it.len() == 1));
    }

    #[test]
    fn waits_in_one_database_are_no_cycle_over_databases() {
        let mut x = crossed("/srv/x.db", (WRITER, 3_000.0), READER);
        x.locks.holder_wait =
            Some(HolderWait { cause: HolderWaitCause::Commit, readers: vec![reader(READER, 1, 7, 900.0)] });
        assert_eq!(found(vec![x]), [vec![]]);
    }

    fn traced(mut database: Database, threads: u64) -> Database {
        let holder = database.locks.writer.as_ref().and_then(|writer| writer.pid);
        let waiter = database.locks.possible_waiters.remove(0);
        let victim = RefusedWriter {
            pid: waiter.pid,
            thread: waiter.pid,
            holder,
            reason: RefusalReason::Waited,
            waits: 1,
            tries: 20,
            gave_up: 0,
            longest_ms: 900.0,
            total_ms: 900.0,
            waiting_ms: Some(900.0),
        };
        let refusals = WriterRefusals { victims: vec![victim], ..WriterRefusals::default() };
        database.locks.refusals = Some(refusals);
        for process in &mut database.processes {
            process.threads = Some(threads);
        }
        database
    }

    /// The severities, and the process that each finding proposes to stop.
    fn proposed(databases: Vec<Database>) -> Vec<(Severity, Option<i32>)> {
        let mut snapshot = snapshot(databases);
        fill_in(&mut snapshot, &config());
        let found = findings_of(&snapshot.databases[0]);
        let crossed = found.into_iter().filter(|it| it.kind == FindingKind::CrossedLocks);
        crossed.map(|it| (it.severity, it.pid.filter(|_| it.remedy.action.is_some()))).collect()
    }

    #[test]
    fn only_a_certain_cycle_is_an_error_with_a_process_to_stop() {
        let x = || crossed("/srv/x.db", (WRITER, 3_000.0), READER);
        let y = || crossed("/srv/y.db", (READER, 2_000.0), WRITER);
        let warning = [(Severity::Warning, None)];
        assert_eq!(proposed(vec![traced(x(), 1), traced(y(), 1)]), [(Severity::Error, Some(READER))]);
        assert_eq!(proposed(vec![traced(x(), 1), traced(y(), 2)]), warning, "another thread may hold y");
        assert_eq!(proposed(vec![traced(x(), 1), y()]), warning, "a sleep may have another reason");
        let mut unknown = traced(y(), 1);
        unknown.processes.clear();
        assert_eq!(proposed(vec![traced(x(), 1), unknown]), warning);
    }

    #[test]
    fn who_is_proposed_has_a_write_lock_in_the_cycle() {
        let mut checkpoint = traced(crossed("/srv/x.db", (WRITER, 3_000.0), INGESTER), 1);
        checkpoint.locks.holder_wait = Some(HolderWait {
            cause: HolderWaitCause::Checkpoint,
            readers: vec![reader(READER, 1, 7, 900.0)],
        });
        let y = traced(crossed("/srv/y.db", (WRITER, 2_000.0), READER), 1);
        assert_eq!(proposed(vec![checkpoint, y]), [(Severity::Error, Some(WRITER))], "the other only reads");
        let x = traced(crossed("/srv/x.db", (WRITER, 3_000.0), READER), 1);
        let y = traced(crossed("/srv/y.db", (READER, 2_000.0), WRITER), 1);
        let beside = traced(crossed("/srv/z.db", (READER, 9_000.0), INGESTER), 1);
        let found = proposed(vec![x, y, beside]);
        assert_eq!(found, [(Severity::Error, Some(READER))], "its hold of z is no part of the cycle");
    }
}
