//! What becomes of the log over several samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The log between the first sample of the last minute and the newest one.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LogProgress {
    /// Time between the two samples, in ms.
    pub window_ms: f64,
    /// How often the log was seen to have restarted from its beginning: at least that often.
    pub restarts: u32,
    /// Bytes by which the file has grown.
    pub grown_bytes: u64,
    /// Frames that were committed; `None` if it restarted.
    pub grown_frames: Option<u32>,
    /// Frames that were moved into the main file; `None` if it restarted.
    pub moved_frames: Option<u32>,
    pub reading: LogReading,
}

/// How much of the time a reader used the log, which cannot restart meanwhile. A reader of the main file alone (slot 0)
/// does not count.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LogReading {
    /// How many samples of the read locks there are.
    pub samples: u32,
    /// How many of them show a reader.
    pub read: u32,
    /// The longest time without a reader, from sample to sample, in ms.
    pub longest_gap_ms: f64,
    /// The processes that were seen to read, by PID; at most 16. Those that are not visible from here are left out.
    pub pids: Vec<i32>,
}
