//! A process that cannot release its locks, because it is stopped.

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, resume, who};
use crate::snapshot::{Finding, FindingKind, LockHold, Process, ProcessState, RemedyAction, Severity};

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
        // No signal resumes what a debugger or a freezer has stopped.
        let (how, until, remedy) = match process.state {
            ProcessState::Traced => ("is stopped by a debugger", "it continues", no_remedy()),
            ProcessState::Frozen => ("is frozen with its control group", "that is thawed", no_remedy()),
            _ => ("is stopped", "it continues", resume(process.pid)),
        };
        let named: Vec<&str> = holds.iter().map(|hold| words(*hold)).collect();
        let message = format!(
            "{} {how} and holds {}: it gives nothing back until {until}",
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
    use super::super::super::fixture::*;
    use crate::snapshot::{LockHold, ProcessState, Severity::*};

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
    fn no_signal_is_proposed_for_a_frozen_process() {
        let mut database = live();
        database.processes[0].state = ProcessState::Frozen;
        database.processes[0].holds = vec![LockHold::Write];
        database.locks.writer = Some(held(WRITER, 9_000.0));
        let found = findings_of(&database);
        let kinds = found.iter().map(|it| (it.kind, it.remedy.command.as_deref())).collect::<Vec<_>>();
        assert_eq!(kinds, [(FindingKind::StoppedHolder, None), (FindingKind::LongWriteLock, None)]);
        assert_eq!(found[0].evidence["state"], "frozen");
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
