//! A read transaction that has stayed open for long, but keeps few frames in the log.

use std::collections::BTreeMap;

use super::{
    super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, who},
    LogPin, frames_pinned_by,
};
use crate::{
    snapshot::{Finding, FindingKind, LogReader, ProcessState, Severity},
    units,
};

/// A reader of an old state, whose frames are too few for `pinned-wal`.
pub struct OldSnapshot;

impl Rule for OldSnapshot {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OldSnapshot, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        // A process can be in several slots; the oldest snapshot represents it.
        let mut oldest: BTreeMap<Option<i32>, Snapshot<'_>> = BTreeMap::new();
        for snapshot in look.database.locks.readers.iter().filter_map(|reader| Snapshot::of(reader, look)) {
            let known = oldest.entry(snapshot.reader.pid).or_insert(snapshot);
            if snapshot.held_ms > known.held_ms {
                *known = snapshot;
            }
        }
        oldest.into_values().map(|snapshot| snapshot.finding(look)).collect()
    }
}

#[derive(Clone, Copy)]
struct Snapshot<'a> {
    reader: &'a LogReader,
    held_ms: f64,
    /// Committed frames that it does not see.
    frames: u32,
}

impl<'a> Snapshot<'a> {
    fn of(reader: &'a LogReader, look: &RuleInput<'_>) -> Option<Self> {
        let wal = look.database.wal.as_ref()?;
        let frames = frames_pinned_by(reader, wal).filter(|&frames| frames > 0)?;
        let held_ms = reader.held_ms?;
        let process = reader.pid.and_then(|pid| look.database.process(pid));
        // `stopped-holder` reports that one.
        let stopped = [ProcessState::Stopped, ProcessState::Traced, ProcessState::Frozen];
        let is_stopped = process.is_some_and(|it| stopped.contains(&it.state));
        let is_old = held_ms >= units::milliseconds(look.config.thresholds.old_snapshot);
        let is_few =
            frames <= look.profile.autocheckpoint_frames() && LogPin::of(reader, wal, look).is_none();
        (is_old && is_few && !is_stopped).then_some(Self { reader, held_ms, frames })
    }

    fn finding(&self, look: &RuleInput<'_>) -> Finding {
        let Self { reader, held_ms, frames } = *self;
        let message = format!(
            "{} reads a state of the database that is {} old: {} committed since; a transaction or a statement is left \
             open in it, or runs for long",
            who(look.database, reader.pid),
            units::duration(held_ms),
            units::plural(frames.into(), "frame"),
        );
        Finding {
            kind: FindingKind::OldSnapshot,
            severity: Severity::Info,
            label: None,
            pid: reader.pid,
            message,
            evidence: evidence([
                ("slot", reader.slot.into()),
                ("frame", reader.frame.into()),
                ("held_ms", held_ms.into()),
                ("newer_frames", frames.into()),
            ]),
            // A backup reads for long, too.
            remedy: no_remedy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, Severity::Info};

    // The log has 19,031 frames.
    fn reading(frame: u32, held_ms: f64) -> Database {
        let mut database = pinned();
        database.locks.readers = vec![reader(READER, 1, frame, held_ms)];
        database
    }

    #[test]
    fn a_forgotten_reader_of_few_frames_is_info() {
        let found = findings_of(&reading(19_030, 61_000.0));
        assert_eq!(outline(&found), [(FindingKind::OldSnapshot, Info, Some(READER))]);
        assert_eq!(found[0].evidence["newer_frames"], 1);
        assert_eq!(found[0].evidence["held_ms"], 61_000.0);
        assert_eq!(found[0].remedy.action, None);
    }

    #[test]
    fn a_query_of_seconds_and_a_snapshot_of_the_newest_state_are_none() {
        assert_eq!(findings_of(&reading(19_030, 2_000.0)), []);
        assert_eq!(findings_of(&reading(19_031, 3_600_000.0)), []);
    }

    #[test]
    fn a_reader_that_pins_much_is_reported_once() {
        let found = findings_of(&reading(812, 700_000.0));
        assert!(found.iter().all(|it| it.kind != FindingKind::OldSnapshot), "{found:?}");
    }
}
