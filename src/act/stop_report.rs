//! The JSON output of `waltop stop`, which a console on another machine reads.

use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RestartCommand, reap::StopOutcome, signal::StopSignal};
use crate::snapshot::lossy_path;

/// The whole output. Fields are added, never changed.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct SignalReport {
    /// The database.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    pub pid: i32,
    /// Its start, in clock ticks since boot.
    pub started: u64,
    /// The signal that it got.
    pub signal: StopSignal,
    pub outcome: SignalOutcome,
    /// What it ran; `None` if it was not ended, or that could not be read.
    pub restart: Option<RestartCommand>,
    /// When that was known.
    pub at: Timestamp,
}

/// What a process did after a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalOutcome {
    Gone,
    StillThere,
    /// It was resumed.
    Resumed,
}

impl From<SignalOutcome> for StopOutcome {
    fn from(outcome: SignalOutcome) -> Self {
        match outcome {
            SignalOutcome::Gone => Self::Gone,
            SignalOutcome::StillThere => Self::Stays,
            SignalOutcome::Resumed => Self::GoesOn,
        }
    }
}
