//! How many descriptors a process has, over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process whose descriptors on the main file rose and never fell.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct HandleGrowth {
    pub pid: i32,
    /// Descriptors before the first rise that counts.
    pub from: u32,
    pub to: u32,
    /// How many looks of the last minute saw the number rise.
    pub rises: u32,
    /// Time between the first of them and the last.
    pub span_ms: f64,
}
