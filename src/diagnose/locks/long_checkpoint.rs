//! A checkpoint that does not end.

use super::super::{Rule, RuleFacts, RuleInput, evidence, is_held_by, no_remedy, who};
use crate::{
    snapshot::{Finding, FindingKind, Severity},
    units,
};

/// A process has held the checkpoint lock for long, so that no other process can move the log.
///
/// A checkpoint that also has the write lock keeps writers out, which is for `long-write-lock`.
pub struct LongCheckpoint;

impl Rule for LongCheckpoint {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::LongCheckpoint, &[Severity::Info, Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let locks = &look.database.locks;
        let (info, warning) = look.config.thresholds.long_checkpoint;
        let Some(holder) = &locks.checkpointer else { return Vec::new() };
        let held_ms = holder.held_ms.unwrap_or_default();
        let reached = |after: std::time::Duration| held_ms >= units::milliseconds(after);
        let has_more =
            [&locks.writer, &locks.recoverer].into_iter().any(|other| is_held_by(other.as_ref(), holder.pid));
        if !reached(info) || has_more {
            return Vec::new();
        }
        // One that wants the write lock waits while it has the checkpoint lock.
        let writer = locks.writer.as_ref().filter(|writer| writer.held_ms >= Some(units::milliseconds(info)));
        let waits = writer.map(|writer| format!("; {} has the write lock", who(look.database, writer.pid)));
        vec![Finding {
            kind: self.kind(),
            severity: if reached(warning) { Severity::Warning } else { Severity::Info },
            label: None,
            pid: holder.pid,
            message: format!(
                "{} has run a checkpoint for {}: no other process can move the log meanwhile{}",
                who(look.database, holder.pid),
                units::duration(held_ms),
                waits.unwrap_or_default()
            ),
            evidence: evidence([
                ("held_ms", held_ms.into()),
                ("writer", writer.and_then(|writer| writer.pid).into()),
            ]),
            // A signal does not help a disk, and a stopped process has a finding of its own.
            remedy: no_remedy(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, Severity::*};

    fn checkpointing(held_ms: f64) -> Database {
        let mut database = live();
        database.locks.checkpointer = Some(held(READER, held_ms));
        database
    }

    #[test]
    fn a_checkpoint_that_takes_long_is_info_and_then_a_warning() {
        let severities = [4_999.0, 5_000.0, 29_999.0, 30_000.0].map(|held_ms| {
            let found = findings_of(&checkpointing(held_ms));
            found.iter().find(|it| it.kind == FindingKind::LongCheckpoint).map(|it| (it.severity, it.pid))
        });
        assert_eq!(
            severities,
            [None, Some((Info, Some(READER))), Some((Info, Some(READER))), Some((Warning, Some(READER)))]
        );
    }

    #[test]
    fn the_writer_that_it_may_wait_for_is_in_the_evidence() {
        let mut database = checkpointing(9_000.0);
        database.locks.writer = Some(held(WRITER, 9_500.0));
        let found = findings_of(&database);
        let checkpoint = found.iter().find(|it| it.kind == FindingKind::LongCheckpoint).expect("found");
        assert_eq!(checkpoint.evidence["writer"], WRITER);
        // Writers that come and go are no reason.
        database.locks.writer = Some(held(WRITER, 10.0));
        let found = findings_of(&database);
        assert!(found[0].evidence["writer"].is_null(), "{found:?}");
    }

    #[test]
    fn one_with_the_write_lock_and_a_recovery_are_told_otherwise() {
        let mut database = checkpointing(9_000.0);
        database.locks.writer = Some(held(READER, 9_000.0));
        let kinds = findings_of(&database).into_iter().map(|it| it.kind).collect::<Vec<_>>();
        assert_eq!(kinds, [FindingKind::LongWriteLock]);
        let mut recovering = checkpointing(9_000.0);
        recovering.locks.recoverer = Some(held(READER, 9_000.0));
        assert_eq!(findings_of(&recovering), []);
    }
}
