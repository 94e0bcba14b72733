//! What would make any checkpoint futile, so that none is proposed.

use super::{super::wal::frames_pinned_by, super::who, since};
use crate::{
    snapshot::{Database, LockHolder, LogReader},
    units,
};

/// For how long a lock must have been seen to be expected in the next moment, too. Commits checkpoint, and queries read,
/// for milliseconds.
const SETTLED_MS: f64 = 1000.0;

/// A fact of the sample because of which no checkpoint could do anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CheckpointObstacle<'a> {
    /// SQLite refuses a second checkpoint at once, whatever its busy timeout.
    Checkpointer(&'a LockHolder),
    /// It keeps every frame that waits.
    Reader(&'a LogReader),
    /// The main file would grow by more than is free.
    NoRoom {
        /// By how many bytes it would grow.
        growth: u64,
        /// How many of them are not free.
        missing: u64,
    },
}

impl CheckpointObstacle<'_> {
    /// A clause that names it.
    pub fn why(self, database: &Database) -> String {
        match self {
            Self::Checkpointer(holder) => format!(
                "{} is running a checkpoint{}, and no other can start before it ends",
                who(database, holder.pid),
                since(holder)
            ),
            Self::Reader(reader) => format!(
                "{} keeps all of it from being moved, and no checkpoint helps before it ends that read",
                who(database, reader.pid)
            ),
            Self::NoRoom { growth, missing } => format!(
                "a checkpoint would grow {} by {}, of which {} are not free",
                database.name(),
                units::bytes(growth),
                units::bytes(missing)
            ),
        }
    }

    /// The process that is in the way.
    pub fn pid(self) -> Option<i32> {
        match self {
            Self::Checkpointer(holder) => holder.pid,
            Self::Reader(reader) => reader.pid,
            Self::NoRoom { .. } => None,
        }
    }
}

/// Whether a lock that has been seen for `held_ms` will probably be there in the next moment.
pub fn is_settled(held_ms: Option<f64>) -> bool {
    held_ms.is_some_and(|held_ms| held_ms >= SETTLED_MS)
}

/// What makes every checkpoint futile, as of the sample of `database`.
pub fn obstacle(database: &Database) -> Option<CheckpointObstacle<'_>> {
    let checkpointer = database.locks.checkpointer.as_ref().filter(|holder| is_settled(holder.held_ms));
    let reader = || {
        let wal = database.wal.as_ref()?;
        let pending = wal.pending.filter(|pending| *pending > 0)?;
        let keeps_all = |reader: &&LogReader| {
            is_settled(reader.held_ms) && frames_pinned_by(reader, wal).is_some_and(|kept| kept >= pending)
        };
        let held = |reader: &&LogReader| reader.held_ms.unwrap_or_default();
        let readers = database.locks.readers.iter().filter(keeps_all);
        readers.max_by(|one, other| held(one).total_cmp(&held(other)))
    };
    checkpointer
        .map(CheckpointObstacle::Checkpointer)
        .or_else(|| reader().map(CheckpointObstacle::Reader))
        .or_else(|| no_room(database))
}

/// Whether the main file would grow by more than is free. SQLite then fails with `SQLITE_FULL`, after it has used all the
/// free space, and counts nothing as moved.
pub fn no_room(database: &Database) -> Option<CheckpointObstacle<'static>> {
    let wal = database.wal.as_ref().filter(|wal| wal.pending != Some(0))?;
    let page_size = u64::from(database.header.as_ref()?.page_size);
    let wanted = u64::from(wal.page_count?).checked_mul(page_size)?;
    let growth = wanted.saturating_sub(database.files.db.as_ref()?.bytes);
    let missing = growth.saturating_sub(database.filesystem.as_ref()?.free_bytes?);
    (missing > 0).then_some(CheckpointObstacle::NoRoom { growth, missing })
}

#[cfg(test)]
mod tests {
    use super::{super::super::fixture::*, *};

    #[test]
    fn nothing_is_in_the_way_of_a_checkpoint_beside_short_locks() {
        assert_eq!(obstacle(&live()), None);
        let mut database = pinned();
        database.locks.readers = vec![reader(READER, 1, 812, 999.0)];
        database.locks.checkpointer = Some(held(WRITER, 999.0));
        assert_eq!(obstacle(&database), None);
    }

    #[test]
    fn a_reader_that_keeps_all_is_in_the_way_and_one_that_keeps_some_is_not() {
        let with = |slot, frame| {
            let mut database = pinned();
            database.locks.readers = vec![reader(READER, slot, frame, 1_000.0)];
            obstacle(&database).map(|it| (it.pid(), matches!(it, CheckpointObstacle::Reader(_))))
        };
        assert_eq!(with(1, 812), Some((Some(READER), true)));
        assert_eq!(with(0, 0), Some((Some(READER), true)));
        assert_eq!(with(1, 813), None, "one frame can be moved");
        let mut moved = pinned();
        moved.wal = Some(wal(812, 812));
        assert_eq!(obstacle(&moved), None, "nothing waits");
    }

    #[test]
    fn a_running_checkpoint_is_in_the_way() {
        let mut database = live();
        database.locks.checkpointer = Some(held(WRITER, 1_000.0));
        assert_eq!(obstacle(&database).and_then(CheckpointObstacle::pid), Some(WRITER));
    }

    #[test]
    fn the_bytes_that_are_missing_are_those_that_the_main_file_grows_by_and_that_are_not_free() {
        // 1,446 pages of 4,096 bytes are to be in a file that has one.
        let with = |free| {
            let mut database = quiet();
            database.filesystem.as_mut().expect("it is known").free_bytes = Some(free);
            no_room(&database)
        };
        let growth = 1_445 * 4_096;
        assert_eq!(with(growth), None);
        assert_eq!(with(growth - 5), Some(CheckpointObstacle::NoRoom { growth, missing: 5 }));
        let mut moved = quiet();
        moved.wal = Some(wal(19_031, 19_031));
        moved.filesystem.as_mut().expect("it is known").free_bytes = Some(0);
        assert_eq!(no_room(&moved), None, "nothing waits");
    }
}
