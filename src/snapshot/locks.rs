//! Locks and their holders.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PossibleWaiter, Process, WriterRefusals};

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
}

impl DatabaseLocks {
    /// Fills in the labels of the holders and readers among `processes`.
    pub fn fill_in_labels(&mut self, processes: &[Process]) {
        let label = |pid: Option<i32>| {
            processes.iter().find(|process| Some(process.pid) == pid).map(|process| process.label.clone())
        };
        let single = [&mut self.writer, &mut self.checkpointer, &mut self.recoverer, &mut self.exclusive];
        for holder in single.into_iter().flatten() {
            holder.label = label(holder.pid);
        }
        for reader in &mut self.readers {
            reader.label = label(reader.pid);
        }
        // The history knows those that have left, too, by the label that they had when they took the lock.
        for holds in self.write_holds.iter_mut().flat_map(|holds| &mut holds.by_process) {
            holds.label = label(holds.pid).or(holds.label.take());
        }
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
    /// Median length in ms.
    pub p50_ms: f64,
    /// 99th percentile in ms.
    pub p99_ms: f64,
    /// The longest in ms.
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
    /// Their sum in ms.
    pub total_ms: f64,
}
