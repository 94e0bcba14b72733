//! A file that one process keeps for itself.

use super::super::{Rule, RuleFacts, RuleInput, evidence, explain, is_held_by, who};
use crate::{
    snapshot::{Database, Finding, FindingKind, LockHolder, Severity},
    units,
};

/// A process keeps the whole file locked across transactions (`locking_mode=EXCLUSIVE`), so that nobody else can read.
pub struct ExclusiveMode;

/// How long the whole file must be locked for this: closing the last connection, and a commit with a rollback journal,
/// lock it for a moment.
const EXCLUSIVE_MODE_MS: f64 = 1000.0;

/// The process that keeps it locked, if one does.
pub(super) fn exclusive_mode(database: &Database) -> Option<&LockHolder> {
    let holder = database.locks.exclusive.as_ref()?;
    let locks = &database.locks;
    let moves_the_log = [&locks.checkpointer, &locks.recoverer]
        .into_iter()
        .any(|other| is_held_by(other.as_ref(), holder.pid));
    // A commit with a rollback journal is over when its journal is gone, or has no header any more.
    let commits = database.content.journal_in_use;
    let is_old = holder.held_ms.is_some_and(|ms| ms >= EXCLUSIVE_MODE_MS);
    (is_old && !moves_the_log && !commits).then_some(holder)
}

impl Rule for ExclusiveMode {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::ExclusiveMode, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let Some(holder) = exclusive_mode(look.database) else { return Vec::new() };
        let held_ms = holder.held_ms.unwrap_or_default();
        let message = format!(
            "{} has had the whole file locked for {}, as locking_mode=EXCLUSIVE does: no other process can even read; \
             close it there, or read a copy",
            who(look.database, holder.pid),
            units::duration(held_ms)
        );
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: holder.pid,
            message,
            evidence: evidence([("held_ms", held_ms.into())]),
            // It is how that program works. A signal could cost what it has not written yet.
            remedy: explain(self.kind()),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, Severity::*};

    fn exclusive(held_ms: f64) -> Database {
        let mut database = live();
        database.locks.exclusive = Some(held(WRITER, held_ms));
        database.locks.writer = database.locks.exclusive.clone();
        database
    }

    #[test]
    fn a_whole_file_that_stays_locked_is_a_mode_and_no_long_hold() {
        let found = findings_of(&exclusive(9_000.0));
        assert_eq!(outline(&found), [(FindingKind::ExclusiveMode, Info, Some(WRITER))]);
        assert_eq!(found[0].remedy.action, None);
        assert_eq!(findings_of(&exclusive(999.0)), [], "it may be closing");
    }

    #[test]
    fn who_closes_or_commits_is_in_no_exclusive_mode() {
        let is_found = |change: fn(&mut Database)| {
            let mut database = exclusive(9_000.0);
            change(&mut database);
            findings_of(&database).iter().any(|it| it.kind == FindingKind::ExclusiveMode)
        };
        assert!(is_found(|it| it.locks.checkpointer = Some(held(READER, 9_000.0))), "another one");
        assert!(!is_found(|it| it.locks.checkpointer = Some(held(WRITER, 9_000.0))));
        assert!(!is_found(|it| it.locks.recoverer = Some(held(WRITER, 9_000.0))));
        assert!(!is_found(|it| it.content.journal_in_use = true), "it may be a long commit");
    }
}
