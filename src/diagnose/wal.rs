//! What keeps the log from being moved into the main file.

use std::{collections::BTreeMap, time::Duration};

mod commit_storm;
mod old_snapshot;
mod starved;

pub use starved::Starvation;

use super::{Rule, RuleFacts, RuleInput, evidence, step, terminate, who};
use crate::{
    file_format,
    snapshot::{Finding, FindingKind, LogReader, RemedyAction, Severity, WalState},
    units,
};

/// Bytes before each page in the log.
const FRAME_HEADER: u64 = file_format::FRAME_HEADER as u64;

pub const RULES: &[&dyn Rule] =
    &[&PinnedWal, &old_snapshot::OldSnapshot, &starved::WalStarved, &commit_storm::CommitStorm];

/// A reader that has kept more than the autocheckpoint limit of frames from being moved for a long time.
pub struct PinnedWal;

impl Rule for PinnedWal {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::PinnedWal, &[Severity::Warning, Severity::Error])
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let Some(wal) = &look.database.wal else {
            return Vec::new();
        };
        // A process can be in several slots; the most expensive pin represents it.
        let mut worst: BTreeMap<Option<i32>, LogPin<'_>> = BTreeMap::new();
        for pin in look.database.locks.readers.iter().filter_map(|reader| LogPin::of(reader, wal, look)) {
            let known = worst.entry(pin.reader.pid).or_insert(pin);
            if (pin.severity, pin.frames) > (known.severity, known.frames) {
                *known = pin;
            }
        }
        worst.into_values().map(|pin| pin.finding(look)).collect()
    }
}

/// Committed frames that `reader` keeps from being moved; `None` if unknown.
pub(super) fn frames_pinned_by(reader: &LogReader, wal: &WalState) -> Option<u32> {
    // Slot 0 reads the main file only, so nothing may be moved into it.
    match reader.slot? {
        0 => wal.pending,
        _ => Some(wal.frames?.saturating_sub(reader.frame?).min(wal.pending?)),
    }
}

/// The only process that wrote in the window, or the only client of a log that grew; `None` if there are several, or it
/// is unknown.
fn only_writer(look: &RuleInput<'_>) -> Option<i32> {
    let database = look.database;
    if let Some(holds) = database.locks.write_holds.as_ref().filter(|holds| !holds.by_process.is_empty()) {
        // A checkpoint holds the write lock, too.
        let [only] = &holds.by_process[..] else { return None };
        return only.pid;
    }
    let progress = database.wal.as_ref()?.progress.as_ref()?;
    let mut clients = database.processes.iter().filter(|process| process.is_client());
    let only = clients.next().filter(|_| progress.grown_frames > Some(0))?;
    clients.next().is_none().then_some(only.pid)
}

#[derive(Clone, Copy)]
struct LogPin<'a> {
    reader: &'a LogReader,
    frames: u32,
    held_ms: f64,
    severity: Severity,
}

impl<'a> LogPin<'a> {
    fn of(reader: &'a LogReader, wal: &WalState, look: &RuleInput<'_>) -> Option<Self> {
        let frames = frames_pinned_by(reader, wal)?;
        let held_ms = reader.held_ms?;
        if frames <= look.profile.autocheckpoint_frames() {
            return None;
        }
        let held = Duration::try_from_secs_f64(held_ms / 1000.0).ok()?;
        let severity = step(&held, &look.config.thresholds.pinned_wal)?;
        Some(Self { reader, frames, held_ms, severity })
    }

    fn finding(&self, look: &RuleInput<'_>) -> Finding {
        let database = look.database;
        // It then holds back its own checkpoints.
        let is_own = self.reader.pid.is_some() && self.reader.pid == only_writer(look);
        let bytes = database
            .header
            .as_ref()
            .map(|header| u64::from(self.frames) * (u64::from(header.page_size) + FRAME_HEADER));
        let place = match (self.reader.slot, self.reader.frame) {
            (Some(0), _) | (_, None) => "the main file".to_owned(),
            (_, Some(frame)) => format!("frame {}", units::count(frame.into())),
        };
        let size = bytes.map(|bytes| format!(" ({})", units::bytes(bytes))).unwrap_or_default();
        let its = if is_own { ", the only process that writes," } else { "" };
        let own =
            if is_own { "; a statement or a transaction is left open in it, so restart it" } else { "" };
        let message = format!(
            "{}{its} pins {place} for {}: {}{size} cannot be moved{own}",
            who(database, self.reader.pid),
            units::duration(self.held_ms),
            units::plural(self.frames.into(), "frame"),
        );
        let mut finding = Finding {
            kind: FindingKind::PinnedWal,
            severity: self.severity,
            label: None,
            pid: self.reader.pid,
            message,
            evidence: evidence([
                ("slot", self.reader.slot.into()),
                ("frame", self.reader.frame.into()),
                ("held_ms", self.held_ms.into()),
                ("pinned_frames", self.frames.into()),
                ("pinned_bytes", bytes.into()),
            ]),
            remedy: terminate(self.reader.pid),
        };
        if is_own {
            finding.evidence.insert("is_only_writer".to_owned(), true.into());
        }
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Database, Severity::*};

    fn with_reader(slot: u8, frame: u32, held_ms: f64) -> Database {
        let mut database = pinned();
        database.locks.readers = vec![reader(READER, slot, frame, held_ms)];
        database
    }

    #[test]
    fn a_pin_is_reported_with_its_cost_and_its_remedy() {
        let found = findings_of(&pinned());
        assert_eq!(outline(&found), [(FindingKind::PinnedWal, Error, Some(READER))]);
        assert_eq!(found[0].evidence["pinned_frames"], 18_219);
        assert_eq!(found[0].evidence["pinned_bytes"], 75_062_280);
        assert_eq!(found[0].remedy.action, Some(RemedyAction::StopProcess));
        assert_eq!(found[0].remedy.command.as_deref(), Some("kill -TERM 71168"));
    }

    #[test]
    fn it_becomes_worse_with_time() {
        let severities = [59_999.0, 60_000.0, 599_999.0, 600_000.0]
            .map(|held_ms| findings_of(&with_reader(1, 812, held_ms)).first().map(|it| it.severity));
        assert_eq!(severities, [None, Some(Warning), Some(Warning), Some(Error)]);
    }

    #[test]
    fn only_a_reader_that_keeps_more_than_the_autocheckpoint_limit_counts() {
        let kinds = |frame| outline(&findings_of(&with_reader(1, frame, 700_000.0)));
        assert_eq!(kinds(18_031), [(FindingKind::OldSnapshot, Info, Some(READER))]);
        assert_eq!(kinds(18_030), [(FindingKind::PinnedWal, Error, Some(READER))]);
        assert_eq!(kinds(19_031), []);
    }

    #[test]
    fn a_reader_in_slot_0_pins_everything() {
        let found = findings_of(&with_reader(0, 0, 700_000.0));
        assert_eq!(found[0].evidence["slot"], 0);
        assert_eq!(found[0].evidence["pinned_frames"], 18_219);
        let mut moved = with_reader(0, 0, 700_000.0);
        moved.wal = Some(wal(19_031, 19_031));
        assert_eq!(findings_of(&moved), []);
    }

    #[test]
    fn a_process_in_two_slots_is_reported_once_by_its_worst() {
        let mut database = pinned();
        database.locks.readers.insert(0, reader(READER, 2, 900, 61_000.0));
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::PinnedWal, Error, Some(READER))]);
        assert_eq!(found[0].evidence["frame"], 812);
    }

    #[test]
    fn a_reader_that_cannot_be_seen_is_reported_without_a_remedy() {
        let mut database = pinned();
        database.locks.readers[0].pid = None;
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::PinnedWal, Error, None)]);
        assert_eq!((found[0].remedy.action, found[0].remedy.command.as_ref()), (None, None));
    }

    #[test]
    fn what_is_not_known_is_not_found() {
        for forget in [
            (|it: &mut Database| it.wal = None) as fn(&mut Database),
            |it| it.locks.readers[0].held_ms = None,
            |it| it.locks.readers[0].frame = None,
            |it| it.locks.readers[0].slot = None,
        ] {
            let mut database = pinned();
            forget(&mut database);
            assert_eq!(findings_of(&database), []);
        }
    }
}
