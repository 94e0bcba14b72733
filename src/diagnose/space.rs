//! The size of the log, and the free space of the disk.

mod large_wal;
mod ledger;

use super::{
    Rule, RuleFacts, RuleInput,
    checkpoint::{CheckpointObstacle, obstacle},
    evidence, no_remedy, quoted,
};
use crate::{
    snapshot::{Database, Finding, FindingKind, Remedy, RemedyAction, Severity},
    units,
};
use large_wal::LargeWal;
pub(super) use large_wal::is_large;
pub use ledger::{describe, ledger};

pub const RULES: &[&dyn Rule] = &[&LargeWal, &DiskLow];

/// The free space is smaller than the log plus its growth in the next minute, which a checkpoint may need.
///
/// An unknown growth counts as zero.
pub struct DiskLow;

/// How many seconds of growth are added.
const AHEAD: f64 = 60.0;

impl Rule for DiskLow {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::DiskLow, &[Severity::Error]).with_actions(&[RemedyAction::Checkpoint])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let log = database.files.wal.as_ref().map(|wal| wal.bytes);
        let (Some(bytes), Some(free)) = (log, free_bytes(database)) else {
            return Vec::new();
        };
        let growth = growth(database);
        let ahead = whole(growth.unwrap_or_default() * AHEAD);
        if free >= bytes.saturating_add(ahead) {
            return Vec::new();
        }
        let grows = if ahead > 0 {
            format!(", which grows by {} in a minute", units::bytes(ahead))
        } else {
            String::new()
        };
        let obstacle = obstacle(database);
        let futile = obstacle.map(|it| format!("; {}", it.why(database))).unwrap_or_default();
        let message = format!(
            "{} has {} of free space for a log of {}{grows}: commits and checkpoints fail when the disk is full{futile}",
            database.name(),
            units::bytes(free),
            units::bytes(bytes),
        );
        let missing = match obstacle {
            Some(CheckpointObstacle::NoRoom { missing, .. }) => Some(missing),
            _ => None,
        };
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: None,
            message,
            evidence: evidence([
                ("free_bytes", free.into()),
                ("wal_bytes", bytes.into()),
                ("growth_bytes_per_second", growth.into()),
                ("missing_bytes", missing.into()),
                ("in_the_way", obstacle.and_then(CheckpointObstacle::pid).into()),
                (
                    "mounted_at",
                    database
                        .filesystem
                        .as_ref()
                        .map(|it| it.mounted_at.to_string_lossy().into_owned())
                        .into(),
                ),
            ]),
            remedy: if obstacle.is_some() { no_remedy() } else { proposed_checkpoint(database, "") },
        }]
    }
}

/// A checkpoint by key or command, the latter with the option `mode`.
pub(super) fn proposed_checkpoint(database: &Database, mode: &str) -> Remedy {
    Remedy {
        action: Some(RemedyAction::Checkpoint),
        command: Some(format!("waltop checkpoint {}{mode}", quoted(&database.path))),
    }
}

fn growth(database: &Database) -> Option<f64> {
    database.wal.as_ref().and_then(|wal| wal.growth_bytes_per_second)
}

fn free_bytes(database: &Database) -> Option<u64> {
    database.filesystem.as_ref().and_then(|it| it.free_bytes)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer in range, and NaN becomes 0"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Database, Severity::*};

    pub fn with_log(bytes: u64, pending: u32) -> Database {
        let mut database = live();
        database.wal = Some(wal(pending, 0));
        database.files.wal.as_mut().expect("a log").bytes = bytes;
        // The main file has all its pages, so that a checkpoint needs no room.
        database.files.db.as_mut().expect("a database").bytes = 1_446 * 4_096;
        database
    }

    pub fn names(database: &Database) -> Vec<FindingKind> {
        findings_of(database).into_iter().map(|finding| finding.kind).collect()
    }

    fn with_space(free: u64, log: u64, growth: Option<f64>) -> Database {
        let mut database = with_log(log, 10);
        database.filesystem.as_mut().expect("it is known").free_bytes = Some(free);
        database.wal.as_mut().expect("a log").growth_bytes_per_second = growth;
        database
    }

    #[test]
    fn the_disk_is_low_where_the_log_has_no_room() {
        assert!(names(&with_space(1_000_000, 1_000_000, None)).is_empty());
        let found = findings_of(&with_space(999_999, 1_000_000, None));
        assert_eq!(outline(&found), [(FindingKind::DiskLow, Error, None)]);
        assert_eq!(
            (&found[0].evidence["free_bytes"], &found[0].evidence["wal_bytes"]),
            (&999_999.into(), &1_000_000.into())
        );
        assert_eq!(found[0].evidence["mounted_at"], "/srv");
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop checkpoint /srv/notes.db"));
    }

    #[test]
    fn the_next_minute_of_its_growth_counts() {
        assert!(names(&with_space(7_000_000, 1_000_000, Some(100_000.0))).is_empty());
        let found = findings_of(&with_space(6_999_999, 1_000_000, Some(100_000.0)));
        assert_eq!(outline(&found), [(FindingKind::DiskLow, Error, None)]);
        assert_eq!(found[0].evidence["growth_bytes_per_second"], 100_000.0);
    }

    #[test]
    fn a_disk_or_a_log_that_is_not_known_is_not_found() {
        let mut database = with_space(1, 1_000_000, None);
        database.filesystem.as_mut().expect("it is known").free_bytes = None;
        assert!(names(&database).is_empty());
        database.filesystem = None;
        assert!(names(&database).is_empty());
        let mut database = with_space(1, 1_000_000, None);
        database.files.wal = None;
        assert!(names(&database).is_empty());
    }

    #[test]
    fn a_checkpoint_that_finds_no_room_is_not_proposed() {
        let mut database = with_space(999_999, 1_000_000, None);
        database.files.db.as_mut().expect("a database").bytes = 4_096;
        let found = findings_of(&database);
        assert_eq!(found[0].evidence["missing_bytes"], 1_445 * 4_096 - 999_999);
        assert_eq!((found[0].remedy.action, found[0].remedy.command.as_ref()), (None, None));
    }

    #[test]
    fn a_checkpoint_beside_a_reader_that_keeps_all_is_not_proposed() {
        let mut database = with_space(999_999, 1_000_000, None);
        database.locks.readers = vec![reader(READER, 0, 0, 1_000.0)];
        let found = findings_of(&database);
        assert_eq!(found[0].evidence["in_the_way"], READER);
        assert_eq!((found[0].remedy.action, found[0].remedy.command.as_ref()), (None, None));
    }
}
