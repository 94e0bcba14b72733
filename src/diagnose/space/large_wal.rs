//! A log that is large, or deep and larger than the database.

use std::time::Duration;

use super::{
    super::{
        Rule, RuleFacts, RuleInput,
        checkpoint::{is_settled, obstacle},
        evidence, no_remedy, terminate,
        wal::{Starvation, frames_pinned_by},
        who,
    },
    free_bytes, growth, proposed_checkpoint, whole,
};
use crate::{
    snapshot::{Database, Finding, FindingKind, LogReader, Remedy, RemedyAction, Severity},
    units,
};

/// The log is large, or deep and larger than the database.
///
/// The size alone does not show how much waits in it: the file keeps its peak size until it is truncated. The sentence
/// therefore states how much waits. The remedy is a truncation if almost nothing waits, or the end of a reader that
/// would make any checkpoint ineffective.
pub struct LargeWal;

/// A disk that is full later than this is no part of the sentence: the log does not grow at one rate for so long.
const SOON: Duration = Duration::from_hours(24);

/// A log is moved if less than one frame in this many waits.
const SHARE: u64 = 10;

impl Rule for LargeWal {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::LargeWal, &[Severity::Warning]).with_actions(&[RemedyAction::Checkpoint])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let Some(bytes) = database.files.wal.as_ref().map(|wal| wal.bytes) else {
            return Vec::new();
        };
        // Its finding says why, and has the same remedies.
        let starvation = Starvation::of(look);
        let is_reported = starvation.is_some_and(|starvation| starvation.severity > Severity::Info);
        if !is_large(look) || is_reported {
            return Vec::new();
        }
        let pending = database.wal.as_ref().and_then(|wal| wal.pending);
        let growth = growth(database);
        let until_full = time_until_full(database);
        let grows = grows(database);
        let cost = match &starvation {
            Some(starvation) => format!(": {}", starvation.why(look)),
            None => cost(look, grows.is_some()),
        };
        let message =
            format!("{}-wal is {}{}{cost}", database.name(), units::bytes(bytes), grows.unwrap_or_default());
        let reader = reader_in_the_way(look);
        let obstacle = obstacle(database);
        let long = units::milliseconds(look.config.thresholds.pinned_wal.0);
        let remedy = match reader {
            // The key would stop the process that a finding is about; this one is about the file.
            Some(reader) if reader.held_ms >= Some(long) => Remedy { action: None, ..terminate(reader.pid) },
            _ if starvation.is_some() => starvation.map_or_else(no_remedy, |it| it.remedy(look)),
            // A checkpoint would move nothing, and a read that is that young may end by itself.
            Some(_) => no_remedy(),
            None if obstacle.is_some() => no_remedy(),
            None if is_moved(look) => proposed_checkpoint(database, " --mode truncate"),
            None => proposed_checkpoint(database, ""),
        };
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: None,
            message,
            evidence: evidence([
                ("wal_bytes", bytes.into()),
                ("database_bytes", database.files.db.as_ref().map(|it| it.bytes).into()),
                ("pending_frames", pending.into()),
                ("growth_bytes_per_second", growth.into()),
                ("free_bytes", free_bytes(database).into()),
                ("disk_full_in_ms", until_full.map(units::milliseconds).into()),
                ("reader_in_the_way", reader.and_then(|it| it.pid).into()),
                ("obstacle", obstacle.map(|it| it.why(database)).into()),
            ]),
            remedy,
        }]
    }
}

/// Whether the log is larger than the limit; or larger than the database, and many times as many frames wait in it as a
/// commit would checkpoint by itself.
pub fn is_large(look: &RuleInput<'_>) -> bool {
    let (database, thresholds) = (look.database, &look.config.thresholds);
    let Some(bytes) = database.files.wal.as_ref().map(|wal| wal.bytes) else { return false };
    let limit = look.profile.autocheckpoint_frames().saturating_mul(thresholds.deep_wal);
    let is_deep = database.wal.as_ref().and_then(|wal| wal.pending).is_some_and(|pending| pending > limit);
    let outgrew = database.files.db.as_ref().is_some_and(|db| bytes > db.bytes);
    bytes > thresholds.large_wal || is_deep && outgrew
}

// How the log grows: as its rate predicts, or else between the first sample and the last.
fn grows(database: &Database) -> Option<String> {
    if let Some(growth) = growth(database) {
        let full = time_until_full(database)
            .filter(|it| *it <= SOON)
            .map(|it| format!(" (the disk is full in {})", duration(it)));
        let full = full.unwrap_or_default();
        return (growth > 0.0).then(|| format!(" and grows by {}/s{full}", units::bytes(whole(growth))));
    }
    let progress = database.wal.as_ref()?.progress.as_ref().filter(|it| it.grown_bytes > 0)?;
    let window = units::duration(progress.window_ms);
    Some(format!(" and has grown by {} in {window}", units::bytes(progress.grown_bytes)))
}

/// Whether no more waits than a commit would checkpoint by itself, or than a small share of a deep log.
fn is_moved(look: &RuleInput<'_>) -> bool {
    let wal = look.database.wal.as_ref();
    let Some((wal, pending)) = wal.and_then(|wal| Some((wal, wal.pending?))) else { return false };
    let is_small = wal.frames.is_some_and(|frames| u64::from(pending) * SHARE <= u64::from(frames));
    pending <= look.profile.autocheckpoint_frames() || is_small
}

/// What the log costs, and which process has to exit before a checkpoint can help.
fn cost(look: &RuleInput<'_>, is_growing: bool) -> String {
    let wal = look.database.wal.as_ref();
    let Some(pending) = wal.and_then(|wal| wal.pending) else {
        return ": it slows down recovery, and the space is not given back".to_owned();
    };
    let frames = |count: u32| units::plural(count.into(), "frame");
    let reader = reader_in_the_way(look);
    let name = reader.map(|reader| who(look.database, reader.pid));
    if let (None, Some(obstacle)) = (reader, obstacle(look.database)) {
        let waiting = frames(pending);
        return format!(", and {waiting} wait in it: {}", obstacle.why(look.database));
    }
    if !is_moved(look) {
        let kept = reader.zip(wal).and_then(|(reader, wal)| frames_pinned_by(reader, wal)).unwrap_or(pending);
        return match name {
            Some(name) => format!(": {name} keeps {} from being moved", frames(kept)),
            None => format!(": {} to be moved slow down reads and recovery", frames(pending)),
        };
    }
    let moved = if pending == 0 {
        "all of it moved".to_owned()
    } else {
        format!("all but {} moved", frames(pending))
    };
    let progress = wal.and_then(|wal| wal.progress.as_ref());
    let has_grown =
        progress.is_some_and(|it| it.grown_bytes > 0 || it.restarts == 0 && it.grown_frames > Some(0));
    let again = if is_growing || has_grown { "" } else { "it is used again from its beginning, and " };
    let first = name.map(|name| format!("; {name} reads in it, and has to end first")).unwrap_or_default();
    format!(", {moved}: {again}only a TRUNCATE checkpoint gives the room back{first}")
}

/// The reader that makes the checkpoint ineffective, and will not be gone in a moment.
fn reader_in_the_way<'a>(look: &RuleInput<'a>) -> Option<&'a LogReader> {
    let wal = look.database.wal.as_ref()?;
    let is_in_the_way = |reader: &&LogReader| {
        let kept = frames_pinned_by(reader, wal);
        let blocks = if is_moved(look) {
            // A truncation requires a log without readers. Slot 0 does not read the log, and only keeps frames from
            // being moved.
            reader.slot.is_some_and(|slot| slot > 0) || kept.is_some_and(|kept| kept > 0)
        } else {
            kept.is_some_and(|kept| kept > look.profile.autocheckpoint_frames())
        };
        blocks && is_settled(reader.held_ms)
    };
    let held = |reader: &&LogReader| reader.held_ms.unwrap_or_default();
    let readers = look.database.locks.readers.iter();
    readers.filter(is_in_the_way).max_by(|one, other| held(one).total_cmp(&held(other)))
}

fn time_until_full(database: &Database) -> Option<Duration> {
    let growth = growth(database)?;
    #[expect(clippy::cast_precision_loss, reason = "an estimate for people; 52 bits are plenty")]
    Duration::try_from_secs_f64(free_bytes(database)? as f64 / growth).ok()
}

fn duration(time: Duration) -> String {
    units::duration(units::milliseconds(time))
}

#[cfg(test)]
mod tests {
    use super::super::{
        super::fixture::*,
        tests::{names, with_log},
    };
    use crate::snapshot::Severity::*;

    #[test]
    fn a_log_is_large_past_a_limit() {
        assert!(names(&with_log(64 << 20, 2000)).is_empty());
        let found = findings_of(&with_log((64 << 20) + 1, 2000));
        assert_eq!(outline(&found), [(FindingKind::LargeWal, Warning, None)]);
        assert_eq!(found[0].evidence["pending_frames"], 2000);
        assert_eq!(found[0].remedy.action, Some(RemedyAction::Checkpoint));
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop checkpoint /srv/notes.db"));
        let mut config = config();
        config.thresholds.large_wal = 1 << 30;
        assert!(findings_with(&config, None, &with_log((64 << 20) + 1, 2000)).is_empty());
    }

    #[test]
    fn a_log_is_large_where_it_is_deep_and_larger_than_the_database() {
        assert!(names(&with_log(16 << 20, 4000)).is_empty());
        assert_eq!(names(&with_log(16 << 20, 4001)), [FindingKind::LargeWal]);
        let mut database = with_log(16 << 20, 4001);
        database.files.db.as_mut().expect("a database").bytes = 16 << 20;
        assert!(names(&database).is_empty(), "the database is no smaller");
        database.wal = None;
        database.files.db.as_mut().expect("a database").bytes = 4096;
        assert!(names(&database).is_empty(), "how deep it is, is not known");
    }

    #[test]
    fn what_was_moved_only_takes_space() {
        let mut database = with_log(100 << 20, 0);
        let found = findings_of(&database);
        assert_eq!(found[0].evidence["pending_frames"], 0);
        assert_eq!(found[0].remedy.action, Some(RemedyAction::Checkpoint));
        assert_eq!(
            found[0].remedy.command.as_deref(),
            Some("waltop checkpoint /srv/notes.db --mode truncate")
        );
        database.wal.as_mut().expect("a log").growth_bytes_per_second = Some(1.0);
        assert_eq!(findings_of(&database)[0].remedy, found[0].remedy);
        database.wal = None;
        assert_eq!(findings_of(&database)[0].evidence["pending_frames"], serde_json::Value::Null);
    }

    #[test]
    fn the_few_frames_that_commits_move_by_themselves_do_not_count() {
        let remedy = |pending| findings_of(&with_log(100 << 20, pending))[0].clone();
        assert_eq!(
            remedy(1000).remedy.command.as_deref(),
            Some("waltop checkpoint /srv/notes.db --mode truncate")
        );
        assert_eq!(remedy(1001).remedy.command.as_deref(), Some("waltop checkpoint /srv/notes.db"));
    }

    #[test]
    fn where_a_reader_would_make_a_checkpoint_futile_it_has_to_go_first() {
        let command = |wal: crate::snapshot::WalState, slot, frame, held_ms| {
            let mut database = with_log(100 << 20, 0);
            database.wal = Some(wal);
            database.locks.readers = vec![reader(READER, slot, frame, held_ms)];
            let found = findings_of(&database);
            let large = found.iter().find(|it| it.kind == FindingKind::LargeWal).expect("it is large");
            assert_eq!(
                (large.pid, large.remedy.action.is_none()),
                (None, large.evidence["reader_in_the_way"] == READER)
            );
            assert_eq!(large.message.contains("71168 (python3)"), large.remedy.action.is_none());
            large.remedy.command.clone().unwrap_or_default()
        };
        let stop = "kill -TERM 71168";
        let passive = "waltop checkpoint /srv/notes.db";
        let truncate = "waltop checkpoint /srv/notes.db --mode truncate";
        assert_eq!(command(wal(19_031, 812), 1, 812, 60_000.0), stop, "it pins");
        assert_eq!(command(wal(19_031, 812), 0, 0, 60_000.0), stop, "nothing is moved under slot 0");
        assert_eq!(command(wal(19_031, 812), 1, 812, 999.0), passive, "it may be gone in a moment");
        assert_eq!(command(wal(19_031, 812), 1, 19_000, 60_000.0), passive, "next to all of it can be moved");
        assert_eq!(command(wal(19_031, 19_031), 1, 19_031, 60_000.0), stop, "the log cannot be cut under it");
        assert_eq!(command(wal(19_031, 19_031), 1, 19_031, 50.0), truncate, "it may be gone in a moment");
        for held_ms in [1_000.0, 59_999.0] {
            assert_eq!(command(wal(19_031, 812), 1, 812, held_ms), "", "nothing would be moved");
            assert_eq!(command(wal(19_031, 19_031), 1, 19_031, held_ms), "", "the log would not be cut");
        }
        assert_eq!(command(wal(19_031, 19_031), 0, 0, 60_000.0), truncate, "it reads the main file only");
    }

    #[test]
    fn its_growth_shows_when_the_disk_is_full() {
        let mut database = with_log(78_200_032, 18_219);
        database.wal.as_mut().expect("a log").growth_bytes_per_second = Some(1_200_000.0);
        let found = findings_of(&database);
        assert_eq!(found[0].evidence["growth_bytes_per_second"], 1_200_000.0);
        let until_full = found[0].evidence["disk_full_in_ms"].as_f64().expect("it is known");
        assert!((until_full - 50_000_000_000.0 / 1_200.0).abs() < 1.0, "{until_full}");
        database.locks.readers.clear();
        let is_full_soon = |growth: f64| {
            let mut database = database.clone();
            database.wal.as_mut().expect("a log").growth_bytes_per_second = Some(growth);
            findings_of(&database)[0].message.contains("the disk is full in")
        };
        assert_eq!([1_200_000.0, 12_000.0].map(is_full_soon), [true, false], "not in 48 days");
        database.filesystem = None;
        let found = findings_of(&database);
        assert_eq!(found[0].evidence["disk_full_in_ms"], serde_json::Value::Null);
    }

    #[test]
    fn a_checkpoint_that_would_be_refused_or_find_no_room_is_not_proposed() {
        let mut running = with_log(100 << 20, 2_000);
        running.locks.readers.clear();
        let mut full = running.clone();
        running.locks.checkpointer = Some(held(WRITER, 1_000.0));
        full.filesystem.as_mut().expect("it is known").free_bytes = Some(4_096);
        full.files.db.as_mut().expect("a database").bytes = 4_096;
        for database in [running, full] {
            let found = findings_of(&database);
            let large = found.iter().find(|it| it.kind == FindingKind::LargeWal).expect("it is large");
            assert_eq!((large.remedy.action, large.remedy.command.as_ref()), (None, None));
            assert!(!large.evidence["obstacle"].is_null(), "{large:?}");
        }
    }
}
