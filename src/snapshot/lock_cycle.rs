//! Processes that wait for each other in several databases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cycle of waits: each process waits for the next one, and the last one for the first.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LockCycle {
    /// The waits, from the process that has held a write lock of these databases for the shortest time: stopping that one
    /// loses the least.
    pub waits: Vec<CycleWait>,
}

impl LockCycle {
    /// Whether none of the processes goes on before a timeout. Otherwise they may wait for each other: a wait is not
    /// certain, or another thread may hold the lock than the one that waits.
    pub fn is_certain(&self) -> bool {
        self.waits.iter().all(|wait| wait.evidence != WaitBasis::MayWait && wait.threads == Some(1))
    }
}

/// One wait of a cycle.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct CycleWait {
    /// The process that waits.
    pub pid: i32,
    /// Its label, as in the database that it waits for.
    pub label: Option<String>,
    /// How many threads the process that waits has; `None` if that is unknown.
    pub threads: Option<u64>,
    /// The process that it waits for.
    pub waits_for: i32,
    /// The absolute path of the database that it waits for.
    pub database: String,
    pub evidence: WaitBasis,
    /// For how long both the wait and the hold have been seen, in ms: at least that long.
    pub for_ms: f64,
}

/// What shows a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitBasis {
    /// The kernel's trace shows its refused tries.
    Traced,
    /// It sleeps as SQLite does between two tries.
    MayWait,
    /// It holds a lock that it can use only after its readers have left.
    Readers,
}
