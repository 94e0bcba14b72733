//! Locks and their holders.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DiskWait, LockAvailability, LockCycle, OwnWaiters, PossibleWaiter, Process, WalState, WriterRefusals,
};

/// Locks of a database, and their holders.
#[derive(Debug, Clone, Default, JsonSchema, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own in the JSON")]
pub struct DatabaseLocks {
    /// Holder of the write lock (byte 120; in rollback mode RESERVED or more; with `locking_mode=EXCLUSIVE` its holder).
    pub writer: Option<LockHolder>,
    /// Holder of the checkpoint lock (byte 121).
    pub checkpointer: Option<LockHolder>,
    /// Holder of the recovery lock (byte 122).
    pub recoverer: Option<LockHolder>,
    /// Holder of the whole main file (`locking_mode=EXCLUSIVE`, or a rollback commit).
    pub exclusive: Option<LockHolder>,
    /// The live readers, slot 0 included.
    pub readers: Vec<LogReader>,
    /// Whether a process holds byte 128 of `-shm`, as every process with the index open does.
    pub index_held: bool,
    /// Whether a process holds a lock that overlaps the SHARED bytes of the main file.
    #[serde(default)]
    pub main_held: bool,
    /// Whether a process that is not visible from here holds such a lock.
    #[serde(default)]
    pub main_held_unseen: bool,
    /// Whether a process that is not visible from here holds byte 128 of `-shm`.
    #[serde(default)]
    pub index_held_unseen: bool,
    /// Whom the holder of the write lock waits for, if it waits.
    #[serde(default)]
    pub holder_wait: Option<HolderWait>,
    /// Length of the window of [`DatabaseLocks::write_holds`], in ms; `None` if nothing was sampled.
    pub window_ms: Option<f64>,
    /// The holds of the write lock in the window.
    pub write_holds: Option<WriteHolds>,
    /// The refused writers in the window; `None` if requests are not traced.
    #[serde(default)]
    pub refusals: Option<WriterRefusals>,
    /// The processes that may be waiting for the write lock; none if requests are traced, which shows the refused ones.
    #[serde(default)]
    pub possible_waiters: Vec<PossibleWaiter>,
    /// The processes whose threads wait for a lock that the process itself holds.
    #[serde(default)]
    pub own_waiters: Vec<OwnWaiters>,
    /// The cycles of waits over several databases that this one is a part of.
    #[serde(default)]
    pub cycles: Vec<LockCycle>,
    /// How much the disk makes the holder of a lock wait; `None` if no long hold waits for it.
    #[serde(default)]
    pub disk_wait: Option<DiskWait>,
    /// How free the write lock was; `None` if it was not sampled for long enough.
    #[serde(default)]
    pub availability: Option<LockAvailability>,
}

/// How sure it is that a process waits for the write lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockWait {
    Certain,
    Possible,
}

impl DatabaseLocks {
    /// Whether a lock shows a process that is not visible from here.
    pub fn is_held_unseen(&self) -> bool {
        self.index_held_unseen || self.main_held_unseen
    }

    /// Whether the process `pid` waits for the write lock: certainly, by the trace, or possibly, by its sleep; `None` if
    /// nothing says so.
    pub fn wait_of(&self, pid: i32) -> Option<LockWait> {
        let mut refused = self.refusals.iter().flat_map(|refusals| &refusals.victims);
        if refused.any(|victim| victim.pid == pid && victim.waiting_ms.is_some()) {
            return Some(LockWait::Certain);
        }
        self.possible_waiters.iter().any(|waiter| waiter.pid == pid).then_some(LockWait::Possible)
    }

    /// The readers whose frame is not the newest one of `wal`: they keep frames in the log.
    pub fn pinning_readers(&self, wal: Option<&WalState>) -> impl Iterator<Item = &LogReader> {
        let newest = wal.and_then(|wal| wal.frames);
        let is_behind =
            move |reader: &&LogReader| reader.frame.zip(newest).is_some_and(|(frame, newest)| frame < newest);
        self.readers.iter().filter(is_behind)
    }

    /// Fills in the labels of the holders and readers among `processes`.
    pub fn fill_in_labels(&mut self, processes: &[Process]) {
        let label = |pid: Option<i32>| {
            processes.iter().find(|process| Some(process.pid) == pid).map(|process| process.label.clone())
        };
        let single = [&mut self.writer, &mut self.checkpointer, &mut self.recoverer, &mut self.exclusive];
        for holder in single.into_iter().flatten() {
            holder.label = label(holder.pid);
        }
        let waited_for = self.holder_wait.iter_mut().flat_map(|wait| &mut wait.readers);
        for reader in self.readers.iter_mut().chain(waited_for) {
            reader.label = label(reader.pid);
        }
        // The history knows those that have left, too, by the label that they had when they took the lock.
        for holds in self.write_holds.iter_mut().flat_map(|holds| &mut holds.by_process) {
            holds.label = label(holds.pid).or(holds.label.take());
        }
    }
}

/// A holder of the write lock that waits until readers release their locks. Processes that wait for it wait for these
/// readers.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct HolderWait {
    pub cause: HolderWaitCause,
    /// Whom it waits for, the one seen longest first; at least one.
    pub readers: Vec<LogReader>,
}

/// Why a holder of the write lock waits for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HolderWaitCause {
    /// A FULL, RESTART or TRUNCATE checkpoint can move or restart the log only after readers have left it.
    Checkpoint,
    /// A commit with a rollback journal, which holds PENDING, writes the main file only after all readers have left it.
    Commit,
}

impl fmt::Display for HolderWaitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "checkpoint",
            Self::Commit => "commit",
        })
    }
}

impl HolderWait {
    /// What a checkpoint with the write lock waits for, if it waits, in a log of `newest` frames of which `pending` are
    /// to be moved: the readers that keep some of them, and then all that use the log
    /// (<https://sqlite.org/c3ref/wal_checkpoint_v2.html>).
    pub fn of_checkpoint(readers: &[LogReader], newest: Option<u32>, pending: Option<u32>) -> Option<Self> {
        let is_behind = |reader: &&LogReader| {
            reader.slot == Some(0) || reader.frame.is_none() || reader.frame < newest || newest.is_none()
        };
        let is_moved = pending == Some(0);
        let waited_for = |is_in_the_way: &dyn Fn(&&LogReader) -> bool| {
            Self::of(HolderWaitCause::Checkpoint, readers.iter().filter(is_in_the_way).cloned().collect())
        };
        if is_moved { waited_for(&|reader| reader.slot != Some(0)) } else { waited_for(&is_behind) }
    }

    /// What a commit in PENDING waits for, if it waits.
    pub fn of_commit(readers: &[LogReader]) -> Option<Self> {
        Self::of(HolderWaitCause::Commit, readers.to_vec())
    }

    fn of(cause: HolderWaitCause, mut readers: Vec<LogReader>) -> Option<Self> {
        readers.sort_by(|a, b| b.held_ms.unwrap_or(0.0).total_cmp(&a.held_ms.unwrap_or(0.0)));
        (!readers.is_empty()).then_some(Self { cause, readers })
    }
}

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LockHolder {
    /// `None`: the holder is not visible from here.
    pub pid: Option<i32>,
    /// Its label; `None` if it is not among the processes of this sample.
    #[serde(default)]
    pub label: Option<String>,
    /// How long the hold was observed, in ms: at least that long.
    pub held_ms: Option<f64>,
}

/// A reader: a lock on a read slot, and the mark in that slot.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LogReader {
    /// `None`: the process is not visible from here.
    pub pid: Option<i32>,
    /// Its label; `None` if it is not among the processes of this sample.
    #[serde(default)]
    pub label: Option<String>,
    /// Slot 0 to 4; `None` in rollback mode.
    pub slot: Option<u8>,
    /// The frame that it pins (0 for slot 0, which ignores the log). If several readers share a slot, it is a lower
    /// bound.
    pub frame: Option<u32>,
    /// How long it was observed at this slot and frame, in ms: at least that long.
    pub held_ms: Option<f64>,
}

/// The sampled holds of the write lock in a window.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WriteHolds {
    /// Number of holds, the current one included.
    pub count: u64,
    /// Median length in ms of those that have ended; `None` if none has.
    pub p50_ms: Option<f64>,
    /// 99th percentile in ms of those that have ended; `None` if none has.
    pub p99_ms: Option<f64>,
    /// The longest in ms, the current one included.
    pub max_ms: f64,
    /// Share of the window in which the lock was held, 0 to 1.
    pub held_ratio: f64,
    /// The same by process, most time first.
    pub by_process: Vec<ProcessHolds>,
}

/// One process's part of [`WriteHolds`].
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessHolds {
    /// `None`: the process is not visible from here.
    pub pid: Option<i32>,
    /// Its label, as last seen; `None` if it was gone by then.
    #[serde(default)]
    pub label: Option<String>,
    pub count: u64,
    /// The longest in ms.
    pub max_ms: f64,
    /// Whether the longest is that of a checkpoint with the write lock, which waits for readers.
    #[serde(default)]
    pub max_is_checkpoint: bool,
    /// Their sum in ms.
    pub total_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pid: i32, slot: u8, frame: u32) -> LogReader {
        let held_ms = Some(f64::from(pid));
        LogReader { pid: Some(pid), label: None, slot: Some(slot), frame: Some(frame), held_ms }
    }

    fn waited_for(readers: &[LogReader], moved: u32) -> Option<Vec<i32>> {
        let wait = HolderWait::of_checkpoint(readers, Some(9), Some(9 - moved))?;
        Some(wait.readers.iter().filter_map(|reader| reader.pid).collect())
    }

    #[test]
    fn a_checkpoint_waits_first_for_those_who_keep_frames_and_then_for_all_who_use_the_log() {
        let readers = [reader(1, 0, 0), reader(2, 1, 4), reader(3, 2, 9)];
        assert_eq!(waited_for(&readers, 0), Some(vec![2, 1]), "the one seen longest first");
        assert_eq!(waited_for(&readers, 9), Some(vec![3, 2]), "slot 0 uses the main file only");
        assert_eq!(waited_for(&readers[2..], 0), None, "it moves the frames");
        assert_eq!(waited_for(&[], 9), None);
    }
}
