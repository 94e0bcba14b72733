//! The modes of a checkpoint, and the processes that would keep it from completing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod obstacle;

pub use obstacle::{CheckpointObstacle, is_settled, no_room, obstacle};

use super::{wal::frames_pinned_by, who};
use crate::{
    snapshot::{CheckpointMode, Database, LockHolder, LogReader, Process, WalState},
    units,
};

/// A process that keeps a checkpoint from completing.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CheckpointBlocker {
    /// `None`: the process is not visible from this namespace.
    pub pid: Option<i32>,
    /// Its label; `None` if it is not among the processes of the sample.
    #[serde(default)]
    pub label: Option<String>,
    /// A sentence: which process, and how.
    pub why: String,
}

impl CheckpointBlocker {
    /// The process `pid` of `database`, and `how` it is in the way.
    pub fn new(database: &Database, pid: Option<i32>, how: &str) -> Self {
        let label = pid.and_then(|pid| database.process(pid)).map(|process| process.label.clone());
        Self { pid, label, why: format!("{} {how}", who(database, pid)) }
    }

    /// `process`, which is in the way by being there.
    pub fn of(process: &Process) -> Self {
        Self { pid: Some(process.pid), label: Some(process.label.clone()), why: process.who() }
    }
}

/// The processes that would keep a checkpoint in `mode` from completing, as of the sample.
pub fn blockers(database: &Database, mode: CheckpointMode) -> Vec<CheckpointBlocker> {
    if database.is_wal() == Some(false) {
        return Vec::new();
    }
    let locks = &database.locks;
    let mut blockers = Vec::new();
    let mut add = |pid: Option<i32>, how: String| {
        blockers.push(CheckpointBlocker::new(database, pid, &how));
    };
    if let Some(holder) = &locks.exclusive {
        add(holder.pid, "has the whole file to itself (locking_mode=EXCLUSIVE)".to_owned());
    }
    if let Some(holder) = &locks.recoverer {
        add(holder.pid, "is recovering the wal-index".to_owned());
    }
    if let Some(holder) = &locks.checkpointer {
        add(holder.pid, format!("is running a checkpoint{}", since(holder)));
    }
    // A checkpoint that blocks writers holds both locks and is already in the list; so is an exclusive holder.
    let named = [&locks.checkpointer, &locks.recoverer, &locks.exclusive];
    let is_named = |pid| named.iter().any(|holder| holder.as_ref().is_some_and(|it| it.pid == pid));
    if let Some(holder) = locks.writer.as_ref().filter(|it| mode.blocks_writers() && !is_named(it.pid)) {
        add(holder.pid, format!("holds the write lock{}", since(holder)));
    }
    for reader in &locks.readers {
        if let Some(how) = how_it_blocks(reader, database.wal.as_ref(), mode) {
            add(reader.pid, how);
        }
    }
    blockers
}

/// The readers that the running checkpoint waits for, as of the sample: readers below the newest frame. If there are
/// none and it blocks writers, it may want to restart the log, so it waits for any reader of the log.
pub fn waited_for(database: &Database) -> Vec<&LogReader> {
    let locks = &database.locks;
    let Some(checkpointer) = &locks.checkpointer else { return Vec::new() };
    let kept = |reader: &&LogReader| {
        let wal = database.wal.as_ref();
        reader.slot.is_some() && wal.and_then(|wal| frames_pinned_by(reader, wal)).is_none_or(|kept| kept > 0)
    };
    let behind: Vec<_> = locks.readers.iter().filter(kept).collect();
    let blocks_writers = locks.writer.as_ref().is_some_and(|writer| writer.pid == checkpointer.pid);
    if !behind.is_empty() || !blocks_writers {
        return behind;
    }
    locks.readers.iter().filter(|reader| reader.slot.is_some_and(|slot| slot > 0)).collect()
}

// The lock of a checkpointer on a slot is a write lock, so it does not count as a reader.
fn how_it_blocks(reader: &LogReader, wal: Option<&WalState>, mode: CheckpointMode) -> Option<String> {
    let slot = reader.slot?;
    let kept = wal.and_then(|wal| frames_pinned_by(reader, wal));
    let for_long = reader.held_ms.map(|ms| format!(" for {}", units::duration(ms))).unwrap_or_default();
    match (slot, kept) {
        (0, Some(0)) => None,
        (0, _) => Some(format!("reads the main file alone (slot 0){for_long}: nothing can be moved into it")),
        (_, Some(0)) if !mode.needs_empty_slots() => None,
        (_, Some(0)) => {
            Some(format!("reads the newest frame (slot {slot}){for_long}: the log cannot restart"))
        }
        (_, Some(kept)) => {
            let frame = units::count(reader.frame.unwrap_or_default().into());
            let kept = units::plural(kept.into(), "frame");
            Some(format!("pins frame {frame} (slot {slot}){for_long}: {kept} cannot be moved"))
        }
        (_, None) => Some(format!("reads at a frame that is not known (slot {slot}){for_long}")),
    }
}

fn since(holder: &LockHolder) -> String {
    holder.held_ms.map(|ms| format!(" for {}", units::duration(ms))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};

    fn pids(database: &Database) -> [Vec<Option<i32>>; 4] {
        CheckpointMode::ALL
            .map(|mode| blockers(database, mode).into_iter().map(|blocker| blocker.pid).collect())
    }

    const NOBODY: Vec<Option<i32>> = Vec::new();

    #[test]
    fn no_process_blocks_a_quiet_database() {
        assert_eq!(pids(&quiet()), [NOBODY; 4]);
    }

    #[test]
    fn a_writer_blocks_what_blocks_writers() {
        let mut database = quiet();
        database.locks.writer = Some(held(WRITER, 840.0));
        let writer = vec![Some(WRITER)];
        assert_eq!(pids(&database), [NOBODY, writer.clone(), writer.clone(), writer]);
        assert_eq!(
            blockers(&database, CheckpointMode::Full)[0].why,
            "71201 (bun) holds the write lock for 840 ms"
        );
    }

    #[test]
    fn a_pinned_reader_blocks_every_mode() {
        let database = pinned();
        let reader = vec![Some(READER)];
        assert_eq!(pids(&database), [reader.clone(), reader.clone(), reader.clone(), reader]);
        assert_eq!(
            blockers(&database, CheckpointMode::Passive)[0].why,
            "71168 (python3) pins frame 812 (slot 1) for 3 d 20 h: 18,219 frames cannot be moved"
        );
    }

    #[test]
    fn a_reader_at_the_newest_frame_blocks_only_a_restart() {
        let mut database = quiet();
        database.locks.readers = vec![reader(READER, 2, 19_031, 50.0)];
        let reader = vec![Some(READER)];
        assert_eq!(pids(&database), [NOBODY, NOBODY, reader.clone(), reader]);
    }

    #[test]
    fn slot_0_blocks_moving_but_not_a_restart() {
        let mut database = quiet();
        database.locks.readers = vec![reader(READER, 0, 0, 50.0)];
        let reader = vec![Some(READER)];
        assert_eq!(pids(&database), [reader.clone(), reader.clone(), reader.clone(), reader]);
        database.wal = Some(wal(19_031, 19_031));
        assert_eq!(pids(&database), [NOBODY; 4]);
    }

    #[test]
    fn another_checkpointer_blocks_every_mode_and_is_named_once() {
        let mut database = quiet();
        database.locks.checkpointer = Some(held(WRITER, 50.0));
        database.locks.writer = Some(held(WRITER, 50.0));
        let writer = vec![Some(WRITER)];
        assert_eq!(pids(&database), [writer.clone(), writer.clone(), writer.clone(), writer]);
    }

    #[test]
    fn recovery_and_an_exclusive_holder_block_every_mode() {
        let mut database = quiet();
        database.locks.recoverer = Some(held(READER, 1.0));
        database.locks.exclusive = Some(held(WRITER, 1.0));
        database.locks.writer = database.locks.exclusive.clone();
        let both = vec![Some(WRITER), Some(READER)];
        assert_eq!(pids(&database), [both.clone(), both.clone(), both.clone(), both]);
    }

    #[test]
    fn a_running_checkpoint_waits_for_readers_below_the_newest_frame_and_a_restart_for_any() {
        let waits_for = |database: &Database| -> Vec<Option<i32>> {
            waited_for(database).into_iter().map(|reader| reader.pid).collect()
        };
        let mut database = pinned();
        database.locks.writer = None;
        database.locks.readers.push(reader(WRITER, 2, 19_031, 50.0));
        assert_eq!(waits_for(&database), NOBODY, "no checkpoint is running");
        database.locks.checkpointer = Some(held(5, 50.0));
        assert_eq!(waits_for(&database), [Some(READER)]);
        database.locks.readers.retain(|reader| reader.pid == Some(WRITER));
        assert_eq!(waits_for(&database), NOBODY, "a passive one moves all");
        database.locks.writer = database.locks.checkpointer.clone();
        assert_eq!(waits_for(&database), [Some(WRITER)], "one that blocks writers may want a restart");
        database.locks.readers = vec![reader(READER, 0, 0, 50.0)];
        assert_eq!(waits_for(&database), [Some(READER)], "nothing can be moved under slot 0");
    }

    #[test]
    fn what_is_not_known_may_block() {
        let mut database = quiet();
        database.locks.readers =
            vec![LogReader { pid: None, label: None, slot: Some(3), frame: None, held_ms: None }];
        for mode in CheckpointMode::ALL {
            assert_eq!(
                blockers(&database, mode)[0].why,
                "a process not visible from here reads at a frame that is not known (slot 3)"
            );
        }
    }

    #[test]
    fn there_is_nothing_to_block_with_a_rollback_journal() {
        let mut database = rollback();
        database.locks.writer = Some(held(WRITER, 1.0));
        assert_eq!(pids(&database), [NOBODY; 4]);
    }
}
