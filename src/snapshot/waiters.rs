//! Processes that may be waiting for the write lock, where the kernel does not trace their requests.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// A process that has the database open and sleeps as SQLite does between two tries, while another process holds the
/// write lock. A program may sleep in the same way for another reason, so that this is a possibility.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PossibleWaiter {
    pub pid: i32,
    /// The process that holds the write lock; `None` if it is not visible from here.
    pub holder: Option<i32>,
    /// How many samples there are since it has looked like that.
    pub samples: u32,
    /// How many of them show that sleep.
    pub asleep: u32,
    /// Time from the first to the last, in ms.
    pub span_ms: f64,
    pub evidence: WaiterEvidence,
}

/// Threads that sleep as SQLite does between two tries, while their own process holds the write lock: another connection
/// of the same process has it.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct OwnWaiters {
    pub pid: i32,
    /// How many threads sleep so, in the median of the samples.
    pub threads: u32,
    /// How many samples there are of its holds of the last minute.
    pub samples: u32,
    /// How many of them show such a thread.
    pub asleep: u32,
    /// Time from the first to the last, in ms.
    pub span_ms: f64,
}

/// What its sleep has in common with that of SQLite.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WaiterEvidence {
    /// It asked for a sleep as long as one of SQLite's busy handler.
    HandlerSleep {
        /// The longest of them in ms.
        sleep_ms: u32,
    },
    /// What it asked for is hidden, and it wakes up as often as the busy handler does.
    WakeRhythm {
        /// How often it was given a processor per second.
        per_second: f64,
    },
}

impl fmt::Display for PossibleWaiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asleep, samples) = (units::count(self.asleep.into()), units::count(self.samples.into()));
        match self.evidence {
            WaiterEvidence::HandlerSleep { sleep_ms } => {
                write!(f, "in sleeps of up to {sleep_ms} ms, as SQLite's busy handler asks for,")
            }
            WaiterEvidence::WakeRhythm { per_second } => {
                write!(f, "asleep, and awake {per_second:.1} times a second as SQLite's busy handler is,")
            }
        }?;
        write!(f, " in {asleep} of {samples} samples")
    }
}
