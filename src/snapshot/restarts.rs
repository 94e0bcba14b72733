//! Processes that the same parent starts again and again.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProcessManager;

/// Runs of one command by one parent, of which no two were seen at the same time.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct RestartedProcess {
    /// The newest run. It may have ended.
    pub pid: i32,
    pub label: String,
    /// The program that it runs.
    pub program: String,
    pub command: Vec<String>,
    pub parent: i32,
    pub parent_command: Option<Vec<String>>,
    /// What manages the newest run.
    pub manager: Option<ProcessManager>,
    /// The starts of the last 30 s, the oldest first.
    pub starts: Vec<Timestamp>,
    /// The longest time from the last sample of a run to the start of the next one, in ms.
    pub gap_ms: f64,
}
