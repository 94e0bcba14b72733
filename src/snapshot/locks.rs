//! Who holds which lock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who holds which lock of a database.
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
    /// Whether anybody holds byte 128 of `-shm`, which every process with the index open does.
    pub index_held: bool,
    /// Whether any process holds a lock that overlaps the SHARED bytes of the main file.
    #[serde(default)]
    pub main_held: bool,
    /// Whether a process that cannot be seen from here holds such a lock.
    #[serde(default)]
    pub main_held_unseen: bool,
    /// Whether a process that cannot be seen from here holds byte 128 of `-shm`.
    #[serde(default)]
    pub index_held_unseen: bool,
    /// How far back [`DatabaseLocks::write_holds`] reaches, in ms; `None` where nothing was sampled.
    pub window_ms: Option<f64>,
    /// The holds of the write lock in the window.
    pub write_holds: Option<WriteHolds>,
}

/// Somebody who holds a lock.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LockHolder {
    /// `None`: held by a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// For how long it was observed, in ms: at least that long.
    pub held_ms: Option<f64>,
}

/// A reader: a lock on a read slot, and the mark in that slot.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LogReader {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Slot 0 to 4; `None` in rollback mode.
    pub slot: Option<u8>,
    /// The frame it is pinned at (0 for slot 0: it ignores the log). Where several share a slot it is a lower bound.
    pub frame: Option<u32>,
    /// For how long it was observed at this slot and frame, in ms: at least that long.
    pub held_ms: Option<f64>,
}

/// The holds of the write lock that were sampled in a window.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WriteHolds {
    /// How many there were, the current one included.
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
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    pub count: u64,
    /// The longest in ms.
    pub max_ms: f64,
    /// All of them together in ms.
    pub total_ms: f64,
}
