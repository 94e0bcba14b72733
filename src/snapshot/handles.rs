//! Number of descriptors of a process over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process whose descriptors on the main file increased and never decreased.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct HandleGrowth {
    pub pid: i32,
    /// Descriptors before the first counted increase.
    pub from: u32,
    pub to: u32,
    /// How many samples of the last minute saw the number increase.
    pub rises: u32,
    /// Time between the first and the last of them.
    pub span_ms: f64,
}
