//! Locks that are held too long, or by a process that cannot release them.

use std::collections::BTreeMap;

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, resume, step, terminate, who};
use crate::{
    snapshot::{Finding, FindingKind, LockHold, Process, ProcessState, RemedyAction, Severity},
    units,
};

pub const RULES: &[&dyn Rule] = &[&LongWriteLock, &StoppedHolder];

/// The write lock was held for a large part of the `busy_timeout` of other processes, now or in the window.
pub struct LongWriteLock;

impl Rule for LongWriteLock {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::LongWriteLock, &[Severity::Info, Severity::Warning, Severity::Error])
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let Some(budget_ms) = look.profile.busy_timeout_ms().filter(|&it| it > 0) else {
            return Vec::new();
        };
        longest_holds(look)
            .into_iter()
            .filter_map(|(pid, hold)| hold.finding(pid, f64::from(budget_ms), look))
            .collect()
    }
}

#[derive(Clone, Copy)]
struct LongHold<'a> {
    ms: f64,
    is_now: bool,
    // As the history knows it, also of a process that has ended.
    label: Option<&'a str>,
}

// The longest hold of each process. A current hold is also in the window.
fn longest_holds<'a>(look: &RuleInput<'a>) -> BTreeMap<Option<i32>, LongHold<'a>> {
    let locks = &look.database.locks;
    let mut longest = BTreeMap::new();
    if let Some((pid, ms)) = locks.writer.as_ref().and_then(|it| Some((it.pid, it.held_ms?))) {
        longest.insert(pid, LongHold { ms, is_now: true, label: None });
    }
    for process in locks.write_holds.iter().flat_map(|it| &it.by_process) {
        let hold = LongHold { ms: process.max_ms, is_now: false, label: process.label.as_deref() };
        let known = longest.entry(process.pid).or_insert(hold);
        if hold.ms > known.ms {
            *known = hold;
        }
    }
    longest
}

impl LongHold<'_> {
    fn finding(self, pid: Option<i32>, budget_ms: f64, look: &RuleInput<'_>) -> Option<Finding> {
        let reached = step(&(self.ms / budget_ms), &look.config.thresholds.long_write_lock)?;
        let holds_now = look.database.locks.writer.as_ref().is_some_and(|it| it.pid == pid);
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
            let window = look.database.locks.window_ms.map(units::duration);
            let window = window.map_or_else(|| "lately".to_owned(), |it| format!("in the last {it}"));
            format!("{who} held the write lock for {held} at a stretch {window}")
        };
        let share = 100.0 * self.ms / budget_ms;
        let cost = if reached == Severity::Error {
            format!("a client that waits for {} has given up by then", units::duration(budget_ms))
        } else {
            format!(
                "that is {share:.0} % of the {} for which a client should wait",
                units::duration(budget_ms)
            )
        };
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
            // If the hold is over, only the program that made it can be fixed.
            remedy: if self.is_now { terminate(pid) } else { no_remedy() },
        })
    }
}

/// A process that is stopped, by a signal or a debugger, holds a lock that other processes wait for.
pub struct StoppedHolder;

impl Rule for StoppedHolder {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::StoppedHolder, &[Severity::Error])
            .with_actions(&[RemedyAction::ContinueProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        look.database
            .processes
            .iter()
            .filter(|process| process.is_stopped())
            .filter_map(|process| self.finding(process, look))
            .collect()
    }
}

impl StoppedHolder {
    fn finding(&self, process: &Process, look: &RuleInput<'_>) -> Option<Finding> {
        // In WAL mode any idle connection holds SHARED.
        let counts = |hold: &&LockHold| **hold != LockHold::Shared || look.database.is_wal() == Some(false);
        let holds: Vec<LockHold> = process.holds.iter().filter(counts).copied().collect();
        if holds.is_empty() {
            return None;
        }
        let traced = process.state == ProcessState::Traced;
        let (how, remedy) = if traced {
            // A signal does not resume it; its debugger does.
            ("is stopped by a debugger", no_remedy())
        } else {
            ("is stopped", resume(process.pid))
        };
        let named: Vec<&str> = holds.iter().map(|hold| words(*hold)).collect();
        let message = format!(
            "{} {how} and holds {}: it gives nothing back until it continues",
            who(look.database, Some(process.pid)),
            named.join(" and ")
        );
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: Some(process.pid),
            message,
            evidence: evidence([
                ("state", process.state.to_string().into()),
                ("holds", holds.iter().map(ToString::to_string).collect::<Vec<_>>().into()),
            ]),
            remedy,
        })
    }
}

fn words(hold: LockHold) -> &'static str {
    match hold {
        LockHold::Write | LockHold::Reserved => "the write lock",
        LockHold::Checkpoint => "the checkpoint lock",
        LockHold::Recover => "the recovery lock",
        LockHold::Read(_) => "a read mark",
        LockHold::Shared => "a read lock",
        LockHold::Pending => "the write lock (it waits for readers)",
        LockHold::Exclusive => "the whole file",
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{LockHold, ProcessHolds, ProcessState, Severity::*, WriteHolds};

    fn window(pid: i32, max_ms: f64) -> WriteHolds {
        WriteHolds {
            count: 55,
            p50_ms: 900.0,
            p99_ms: max_ms,
            max_ms,
            held_ratio: 0.37,
            by_process: vec![ProcessHolds {
                pid: Some(pid),
                label: None,
                count: 55,
                max_ms,
                total_ms: 22_000.0,
            }],
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
        database.locks.write_holds = Some(window(WRITER, 6_400.0));
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

    #[test]
    fn a_stopped_process_is_found_by_what_it_holds() {
        let mut database = live();
        database.processes[0].state = ProcessState::Stopped;
        assert_eq!(findings_of(&database), []);
        database.processes[0].holds = vec![LockHold::Shared];
        assert_eq!(findings_of(&database), []);
        database.processes[0].holds = vec![LockHold::Write, LockHold::Read(1)];
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::StoppedHolder, Error, Some(WRITER))]);
        assert_eq!(found[0].evidence["holds"], serde_json::json!(["write", "read:1"]));
        assert_eq!(found[0].remedy.command.as_deref(), Some("kill -CONT 71201"));
        database.processes[0].state = ProcessState::Running;
        assert_eq!(findings_of(&database), []);
    }

    #[test]
    fn a_traced_process_is_left_to_its_debugger() {
        let mut database = live();
        database.processes[0].state = ProcessState::Traced;
        database.processes[0].holds = vec![LockHold::Write];
        let found = findings_of(&database);
        assert_eq!(found[0].evidence["state"], "traced");
        assert_eq!(found[0].remedy.command, None);
    }

    #[test]
    fn with_a_rollback_journal_a_shared_lock_counts() {
        let mut database = rollback();
        database.processes.pop();
        database.processes[0].state = ProcessState::Stopped;
        database.processes[0].holds = vec![LockHold::Shared];
        assert_eq!(outline(&findings_of(&database)), [(FindingKind::StoppedHolder, Error, Some(WRITER))]);
    }
}
