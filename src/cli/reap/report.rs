//! The JSON output of `waltop reap`.

use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    act::reap::{StopAftermath, causes},
    diagnose::checkpoint::CheckpointBlocker,
    snapshot::{LockHold, Process, ProcessState, StaleCause, StaleProtection, lossy_path},
};

/// The whole output. Fields are added, never changed.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ReapReport {
    /// How long waltop watched before it judged, in ms.
    pub watched_ms: f64,
    /// How long waltop waits for processes to exit after a signal, in ms.
    pub grace_ms: f64,
    /// Whether `--dry-run` was given.
    pub dry_run: bool,
    pub databases: Vec<DatabaseReap>,
}

/// What was stale in one database, and what is left.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DatabaseReap {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// Processes for which a cause holds, protected ones included.
    pub candidates: Vec<ReapCandidate>,
    /// Whether the locks of the exited processes are released; `None` if none was stopped.
    pub locks_released: Option<bool>,
    /// Whether nothing keeps the log from being checkpointed; `None` if no process was stopped, or there is no log.
    pub log_movable: Option<bool>,
    /// Processes that keep it from being checkpointed.
    pub in_the_way: Vec<CheckpointBlocker>,
}

/// A process for which a cause holds.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ReapCandidate {
    pid: i32,
    started_at: Option<Timestamp>,
    /// Start in clock ticks since boot, for `--started`.
    start_ticks: Option<u64>,
    name: String,
    /// The name of its daemon rule, else its script, else its program.
    label: String,
    command: Vec<String>,
    user: Option<String>,
    state: ProcessState,
    holds: Vec<LockHold>,
    causes: Vec<StaleCause>,
    protected: Option<StaleProtection>,
    pub outcome: ReapOutcome,
    /// Why it got no signal; `None` if it got one.
    pub refusal: Option<String>,
    /// The line for a shell that starts it again in its folder; `None` if waltop did not end it.
    pub start_again: Option<String>,
}

/// The result for a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReapOutcome {
    /// It would have been stopped.
    WouldStop,
    Declined,
    Gone,
    /// KILL ended it.
    Killed,
    StillThere,
    Refused,
}

impl ReapCandidate {
    /// The report for `process` before a stop.
    pub fn new(process: &Process, outcome: ReapOutcome, refusal: Option<String>) -> Self {
        Self {
            pid: process.pid,
            started_at: process.started_at,
            start_ticks: process.start_ticks,
            name: process.name.clone(),
            label: process.label.clone(),
            command: process.command.clone(),
            user: process.user.clone(),
            state: process.state,
            holds: process.holds.clone(),
            causes: causes(process).to_vec(),
            protected: process.stale.as_ref().and_then(|stale| stale.protected.clone()),
            outcome,
            refusal,
            start_again: None,
        }
    }
}

impl DatabaseReap {
    /// Adds what a later sample showed.
    pub fn add_aftermath(&mut self, aftermath: &StopAftermath) {
        self.locks_released = Some(aftermath.still_held.is_empty());
        let is_safe = aftermath.hazard.is_none();
        self.log_movable = aftermath.in_the_way.as_ref().map(|in_the_way| is_safe && in_the_way.is_empty());
        self.in_the_way = aftermath.in_the_way.clone().unwrap_or_default();
    }
}
