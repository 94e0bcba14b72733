//! Locks that are held too long, or by a process that cannot release them.

use std::collections::BTreeMap;

use super::{Rule, RuleFacts, RuleInput, evidence, explain, is_held_by, no_remedy, step, terminate, who};
use crate::{
    snapshot::{Finding, FindingKind, HolderWait, Process, Remedy, RemedyAction, Severity},
    units,
};

mod busy_lock;
mod contended_pool;
mod exclusive_mode;
mod lock_beside;
mod long_checkpoint;
mod slow_disk;
mod stopped_holder;

use busy_lock::BusyLock;
use contended_pool::ContendedPool;
use exclusive_mode::{ExclusiveMode, exclusive_mode};
use lock_beside::LockBesideDatabase;
use long_checkpoint::LongCheckpoint;
use slow_disk::SlowDisk;
use stopped_holder::StoppedHolder;

pub const RULES: &[&dyn Rule] = &[
    &LongWriteLock,
    &BusyLock,
    &LongCheckpoint,
    &ContendedPool,
    &SlowDisk,
    &ExclusiveMode,
    &LockBesideDatabase,
    &StoppedHolder,
];

/// The write lock was held for a large part of the `busy_timeout` of other processes, now or in the window.
pub struct LongWriteLock;

impl Rule for LongWriteLock {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::LongWriteLock, &[Severity::Info, Severity::Warning, Severity::Error])
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let Some(budget_ms) = look.profile.wait_budget_ms() else { return Vec::new() };
        let mut longest = longest_holds(look);
        if let Some(holder) = exclusive_mode(look.database) {
            longest.remove(&holder.pid);
        }
        let locks = &look.database.locks;
        let waiting = locks.writer.as_ref().zip(locks.holder_wait.as_ref()).and_then(|(writer, wait)| {
            let hold = longest.get(&writer.pid).filter(|hold| hold.is_now)?;
            hold.finding_about_readers(writer.pid, wait, f64::from(budget_ms), look)
        });
        if waiting.is_some() {
            longest.remove(&locks.writer.as_ref().and_then(|writer| writer.pid));
        }
        let holders =
            longest.into_iter().filter_map(|(pid, hold)| hold.finding(pid, f64::from(budget_ms), look));
        waiting.into_iter().chain(holders).collect()
    }
}

#[derive(Clone, Copy)]
struct LongHold<'a> {
    ms: f64,
    is_now: bool,
    is_checkpoint: bool,
    // As the history knows it, also of a process that has ended.
    label: Option<&'a str>,
}

// The current hold is in the window as well, with a length that is rounded differently.
const ROUNDING_MS: f64 = 1.0;

// The longest hold of each process. A current hold is also in the window.
fn longest_holds<'a>(look: &RuleInput<'a>) -> BTreeMap<Option<i32>, LongHold<'a>> {
    let locks = &look.database.locks;
    let mut longest = BTreeMap::new();
    if let Some((pid, ms)) = locks.writer.as_ref().and_then(|it| Some((it.pid, it.held_ms?))) {
        longest.insert(pid, LongHold { ms, is_now: true, is_checkpoint: false, label: None });
    }
    for process in locks.write_holds.iter().flat_map(|it| &it.by_process) {
        let hold = LongHold {
            ms: process.max_ms,
            is_now: false,
            is_checkpoint: process.max_is_checkpoint,
            label: process.label.as_deref(),
        };
        let known = longest.entry(process.pid).or_insert(hold);
        if hold.ms > known.ms + ROUNDING_MS {
            *known = hold;
        }
    }
    longest
}

impl LongHold<'_> {
    fn finding(self, pid: Option<i32>, budget_ms: f64, look: &RuleInput<'_>) -> Option<Finding> {
        let reached = step(&(self.ms / budget_ms), &look.config.thresholds.long_write_lock)?;
        let holds_now = is_held_by(look.database.locks.writer.as_ref(), pid);
        let has_left =
            !self.is_now && !holds_now && pid.is_some_and(|pid| look.database.process(pid).is_none());
        let who = match (pid, self.label) {
            (Some(pid), Some(label)) if has_left => {
                format!("{pid} ({label}), which no longer has the database open,")
            }
            (Some(pid), None) if has_left => format!("{pid}, which no longer has the database open,"),
            _ => who(look.database, pid),
        };
        let held = units::duration(self.ms);
        let what = if self.is_now {
            format!("{who} has held the write lock for {held}")
        } else {
            let when = match look.database.locks.window_ms {
                // It began before the window did.
                Some(window) if self.ms > window => {
                    format!(", until some moment of the last {}", units::duration(window))
                }
                Some(window) => format!(" in the last {}", units::duration(window)),
                None => " lately".to_owned(),
            };
            let what = if self.is_checkpoint { ", in a checkpoint that waits for readers" } else { "" };
            format!("{who} held the write lock for {held} at a stretch{when}{what}")
        };
        let cost = self.cost(reached, budget_ms);
        Some(Finding {
            kind: FindingKind::LongWriteLock,
            // What has no connection cannot hold it now.
            severity: if has_left { Severity::Info } else { reached },
            label: None,
            pid,
            message: format!("{what}: {cost}"),
            evidence: evidence([
                ("held_ms", self.ms.into()),
                ("busy_timeout_ms", budget_ms.into()),
                ("now", self.is_now.into()),
            ]),
            // If the hold is over, only the program that made it can be fixed: its page says how.
            remedy: if self.is_now { stop(pid, look) } else { explain(FindingKind::LongWriteLock) },
        })
    }

    // The holder is no culprit: those whom it waits for keep the lock from being released.
    fn finding_about_readers(
        self,
        holder: Option<i32>,
        wait: &HolderWait,
        budget_ms: f64,
        look: &RuleInput<'_>,
    ) -> Option<Finding> {
        let severity = step(&(self.ms / budget_ms), &look.config.thresholds.long_write_lock)?;
        let of_others = wait.readers.iter().find(|reader| reader.pid != holder);
        let culprit = of_others.or(wait.readers.first())?.pid;
        let what = wait.cause;
        let others = wait.readers.iter().filter(|reader| reader.pid != culprit).count() as u64;
        let keeps = match others {
            0 => "keeps".to_owned(),
            others => format!("and {} keep", units::plural(others, "other reader")),
        };
        let (who_reads, who_holds) = (who(look.database, culprit), who(look.database, holder));
        let held = format!("has held the write lock for {}", units::duration(self.ms));
        let said = if culprit == holder {
            format!("{who_holds} {held}, and its {what} waits for a statement left open in the same process")
        } else {
            format!("{who_reads} {keeps} the {what} of {who_holds} waiting, which {held}")
        };
        Some(Finding {
            kind: FindingKind::LongWriteLock,
            severity,
            label: None,
            pid: culprit,
            message: format!("{said}: {}", self.cost(severity, budget_ms)),
            evidence: evidence([
                ("held_ms", self.ms.into()),
                ("busy_timeout_ms", budget_ms.into()),
                ("now", true.into()),
                ("holder", holder.into()),
                ("waits_for", wait.readers.iter().map(|reader| reader.pid).collect::<Vec<_>>().into()),
            ]),
            remedy: stop(culprit, look),
        })
    }

    fn cost(self, reached: Severity, budget_ms: f64) -> String {
        let budget = units::duration(budget_ms);
        if reached == Severity::Error {
            return format!("a client that waits for {budget} has given up by then");
        }
        let share = 100.0 * self.ms / budget_ms;
        format!("that is {share:.0} % of the {budget} for which a client should wait")
    }
}

// What is stopped has a finding of its own, with its remedy.
fn stop(pid: Option<i32>, look: &RuleInput<'_>) -> Remedy {
    let process = pid.and_then(|pid| look.database.process(pid));
    if process.is_some_and(Process::is_stopped) { no_remedy() } else { terminate(pid) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Database, HolderWait, LogReader, ProcessState, Severity::*, WriteHolds};

    fn window(pid: i32, max_ms: f64) -> WriteHolds {
        WriteHolds {
            count: 55,
            p50_ms: Some(900.0),
            p99_ms: Some(max_ms),
            max_ms,
            held_ratio: 0.37,
            by_process: vec![holds(pid, 55, max_ms, 22_000.0)],
        }
    }

    #[test]
    fn a_hold_is_measured_against_the_busy_timeout() {
        let severities = [2_499.0, 2_500.0, 4_999.0, 5_000.0].map(|held_ms| {
            let mut database = live();
            database.locks.writer = Some(held(WRITER, held_ms));
            findings_of(&database).first().map(|it| it.severity)
        });
        assert_eq!(severities, [None, Some(Warning), Some(Warning), Some(Error)]);
    }

    #[test]
    fn a_current_hold_can_be_ended() {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, 6_500.0));
        database.locks.write_holds = Some(window(WRITER, 6_500.001));
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::LongWriteLock, Error, Some(WRITER))]);
        assert_eq!(found[0].evidence["now"], true);
        assert_eq!(
            (&found[0].evidence["held_ms"], &found[0].evidence["busy_timeout_ms"]),
            (&6_500.0.into(), &5_000.0.into())
        );
        assert_eq!(found[0].remedy.command.as_deref(), Some("kill -TERM 71201"));
    }

    #[test]
    fn a_hold_that_is_longer_than_the_window_ended_in_it() {
        let mut database = live();
        database.locks.writer = None;
        database.locks.write_holds = Some(window(WRITER, 8_000.0));
        let message = |window_ms| {
            let mut database = database.clone();
            database.locks.window_ms = Some(window_ms);
            findings_of(&database)[0].message.clone()
        };
        assert!(message(3_100.0).contains("at a stretch, until some moment of the last 3.1 s: "));
        assert!(message(60_000.0).contains("at a stretch in the last 1 m: "));
    }

    fn waiting_for(readers: &[LogReader]) -> Database {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, 6_500.0));
        database.locks.write_holds = Some(window(WRITER, 6_400.0));
        database.locks.holder_wait = HolderWait::of_commit(readers);
        database
    }

    #[test]
    fn who_keeps_the_holder_waiting_is_the_subject_and_not_the_holder() {
        let found = findings_of(&waiting_for(&[reader(READER, 1, 812, 9_000.0)]));
        assert_eq!(outline(&found), [(FindingKind::LongWriteLock, Error, Some(READER))]);
        assert_eq!(found[0].evidence["holder"], WRITER);
        assert_eq!(found[0].evidence["waits_for"], serde_json::json!([READER]));
        assert_eq!(found[0].remedy.command.as_deref(), Some("kill -TERM 71168"));
    }

    #[test]
    fn a_holder_that_waits_for_a_reader_of_its_own_process_is_the_subject() {
        let own = [reader(WRITER, 1, 812, 9_500.0)];
        assert_eq!(
            outline(&findings_of(&waiting_for(&own))),
            [(FindingKind::LongWriteLock, Error, Some(WRITER))]
        );
        let both = [own[0].clone(), reader(READER, 1, 812, 9_000.0)];
        assert_eq!(findings_of(&waiting_for(&both))[0].pid, Some(READER), "it can be stopped first");
    }

    #[test]
    fn a_stopped_reader_is_to_be_continued_and_not_stopped() {
        let mut database = waiting_for(&[reader(READER, 1, 812, 9_000.0)]);
        let process = database.processes.iter_mut().find(|process| process.pid == READER).expect("a reader");
        process.state = ProcessState::Stopped;
        let long = findings_of(&database).into_iter().find(|it| it.kind == FindingKind::LongWriteLock);
        assert_eq!(long.expect("found").remedy.command, None);
    }

    #[test]
    fn a_hold_in_the_window_is_reported_after_it_is_over() {
        let mut database = live();
        database.locks.write_holds = Some(window(WRITER, 3_000.0));
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::LongWriteLock, Warning, Some(WRITER))]);
        assert_eq!(found[0].evidence["now"], false);
        assert_eq!(found[0].remedy.action, None);
    }

    #[test]
    fn a_hold_of_a_process_without_a_connection_is_told_with_its_name_and_as_past() {
        let mut database = live();
        let mut holds = window(4_242, 9_000.0);
        holds.by_process[0].label = Some("report.py".to_owned());
        database.locks.write_holds = Some(holds);
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::LongWriteLock, Info, Some(4_242))]);
        assert!(
            found[0].message.contains("4242 (report.py), which no longer has the database open"),
            "{}",
            found[0].message
        );
        assert_eq!(found[0].evidence["held_ms"], 9_000.0);
        // A process that holds it now is there, even if it is not listed.
        database.locks.writer = Some(held(4_242, 10.0));
        assert_eq!(outline(&findings_of(&database)), [(FindingKind::LongWriteLock, Error, Some(4_242))]);
        database.locks.writer = Some(held(4_242, 9_500.0));
        assert_eq!(outline(&findings_of(&database)), [(FindingKind::LongWriteLock, Error, Some(4_242))]);
    }

    #[test]
    fn a_writer_that_cannot_be_seen_is_reported() {
        let mut database = live();
        database.locks.writer =
            Some(crate::snapshot::LockHolder { pid: None, label: None, held_ms: Some(9_000.0) });
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::LongWriteLock, Error, None)]);
        database.locks.writer = Some(crate::snapshot::LockHolder { pid: None, label: None, held_ms: None });
        assert_eq!(findings_of(&database), []);
    }
}
