//! A read transaction that has stayed open for long, but keeps few frames in the log.
//!
//! A backup or a report reads for long, too, so it is info. It becomes a warning only for a process that uses no CPU
//! time and sleeps, or waits for its user or for another process, while it keeps all waiting frames in the log.

use std::collections::BTreeMap;

use super::{
    super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, terminate, who},
    LogPin, frames_pinned_by,
};
use crate::{
    snapshot::{
        Activity, Finding, FindingKind, LogReader, Process, ProcessState, RemedyAction, Severity, WaitSource,
    },
    units,
};

/// The least time without CPU time, in ms, that shows that a process does nothing.
const STILL_MS: f64 = 10_000.0;

/// A reader of an old state, whose frames are too few for `pinned-wal`.
pub struct OldSnapshot;

impl Rule for OldSnapshot {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OldSnapshot, &[Severity::Info, Severity::Warning])
            .with_actions(&[RemedyAction::StopProcess])
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
    is_forgotten: bool,
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
        let is_old = held_ms >= units::milliseconds(look.config.thresholds.old_snapshot.0);
        let is_few =
            frames <= look.profile.autocheckpoint_frames() && LogPin::of(reader, wal, look).is_none();
        let is_forgotten = held_ms >= units::milliseconds(look.config.thresholds.old_snapshot.1)
            && wal.pending.is_some_and(|pending| frames >= pending)
            && process.is_some_and(is_waiting);
        (is_old && is_few && !is_stopped).then_some(Self { reader, held_ms, frames, is_forgotten })
    }

    fn finding(&self, look: &RuleInput<'_>) -> Finding {
        let Self { reader, held_ms, frames, is_forgotten } = *self;
        let (who, held) = (who(look.database, reader.pid), units::duration(held_ms));
        let frames_since = units::plural(frames.into(), "frame");
        let message = if is_forgotten {
            format!("{who} blocks the log for {held}: {frames_since} cannot be moved before its read ends")
        } else {
            format!(
                "{who} reads a state of the database that is {held} old: {frames_since} committed since; a transaction or \
                 a statement is left open in it, or runs for long",
            )
        };
        Finding {
            kind: FindingKind::OldSnapshot,
            severity: if is_forgotten { Severity::Warning } else { Severity::Info },
            label: None,
            pid: reader.pid,
            message,
            evidence: evidence([
                ("slot", reader.slot.into()),
                ("frame", reader.frame.into()),
                ("held_ms", held_ms.into()),
                ("newer_frames", frames.into()),
                ("blocks_log", is_forgotten.into()),
            ]),
            // A backup reads for long, too.
            remedy: if is_forgotten { terminate(reader.pid) } else { no_remedy() },
        }
    }
}

/// Whether `process` does nothing but wait for something that has no end of its own: it used no CPU time, and its samples
/// name a sleep, or a wait for its user or for another process. An event loop may serve a slow client meanwhile.
fn is_waiting(process: &Process) -> bool {
    let activity = process.activity.as_ref().and_then(|it| it.named()).map(|it| &it.activity);
    let is_waiting = match activity {
        Some(Activity::Asleep) => true,
        Some(Activity::Reading { from }) => matches!(
            from,
            WaitSource::Tcp { .. }
                | WaitSource::Unix { .. }
                | WaitSource::Socket
                | WaitSource::Pipe { .. }
                | WaitSource::Terminal { .. }
        ),
        _ => false,
    };
    is_waiting && process.idleness.cpu_idle_ms.is_some_and(|still| still >= STILL_MS)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{
        Activity, ActivityVerdict, Database, HolderActivity,
        Severity::{Info, Warning},
        WaitSource,
    };

    const LONG_MS: f64 = 180_000.0;

    /// A reader that keeps all waiting frames, and what it does meanwhile.
    fn blocking(held_ms: f64, cpu_idle_ms: f64, activity: &Activity) -> Database {
        let mut database = reading(19_030, held_ms);
        database.wal = Some(wal(19_031, 19_030));
        let reader = database.processes.iter_mut().find(|it| it.pid == READER).expect("a reader");
        reader.idleness.cpu_idle_ms = Some(cpu_idle_ms);
        let samples = std::iter::repeat_n(activity, 40);
        reader.activity = HolderActivity::of(samples, 8_000.0);
        assert_eq!(reader.activity.as_ref().map(|it| it.verdict), Some(ActivityVerdict::Named));
        database
    }

    #[test]
    fn one_that_sleeps_and_blocks_the_log_is_a_warning_with_a_stop() {
        let terminal = Activity::Reading { from: WaitSource::Terminal { name: "/dev/pts/1".to_owned() } };
        for activity in [Activity::Asleep, terminal] {
            let found = findings_of(&blocking(LONG_MS, 20_000.0, &activity));
            assert_eq!(outline(&found), [(FindingKind::OldSnapshot, Warning, Some(READER))]);
            assert_eq!(found[0].evidence["blocks_log"], true);
            assert_eq!(found[0].remedy.action, Some(RemedyAction::StopProcess));
            assert!(found[0].evidence.contains_key("activity"), "{found:?}");
        }
    }

    #[test]
    fn one_that_works_or_serves_or_keeps_only_some_frames_stays_info() {
        let file = Activity::Reading { from: WaitSource::File { path: "/srv/out".to_owned() } };
        let event_loop = Activity::EventLoop { sources: vec![], more: 0 };
        let mut partial = blocking(LONG_MS, 20_000.0, &Activity::Asleep);
        partial.wal = Some(wal(19_031, 19_000));
        let mut all = vec![
            blocking(LONG_MS - 1.0, 20_000.0, &Activity::Asleep),
            blocking(LONG_MS, 200.0, &Activity::Asleep),
            partial,
        ];
        all.extend(
            [Activity::Computing, Activity::Disk, Activity::Thread, event_loop, file]
                .map(|activity| blocking(LONG_MS, 20_000.0, &activity)),
        );
        for database in all {
            let found = findings_of(&database);
            assert_eq!(outline(&found), [(FindingKind::OldSnapshot, Info, Some(READER))]);
            assert_eq!(found[0].remedy.action, None);
        }
    }

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
