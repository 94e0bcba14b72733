//! Watches that keep a database in step with folders.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A `waltop watch`, which has the database open only while one of its ingestions runs.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct IngestWatcher {
    pub pid: i32,
    /// Start of that process in clock ticks since boot; PID and start identify the process.
    pub start_ticks: Option<u64>,
    /// The folders that it watches.
    pub folders: Vec<String>,
    pub since: Timestamp,
}

impl IngestWatcher {
    /// How long it has been watching, in ms.
    pub fn watched_ms(&self, now: Timestamp) -> f64 {
        (now.duration_since(self.since).as_secs_f64() * 1e3).max(0.0)
    }
}
