//! What `waltop reap` answers, as JSON.

use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    act::reap::{StopAftermath, causes},
    diagnose::checkpoint::CheckpointBlocker,
    snapshot::{CONTRACT_VERSION, LockHold, Process, ProcessState, StaleCause, StaleProtection, lossy_path},
};

/// The whole answer. Fields are added, never changed.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ReapReport {
    /// The version of the JSON contract.
    #[schemars(extend("const" = CONTRACT_VERSION))]
    pub version: u32,
    /// For how long was watched before anything was judged, in ms.
    pub watched_ms: f64,
    /// How long those that were asked to end were waited for, in ms.
    pub grace_ms: f64,
    /// Whether nothing was to be stopped.
    pub dry_run: bool,
    pub databases: Vec<DatabaseReap>,
}

/// What was stale in one database, and what is left.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DatabaseReap {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// Those for which a cause holds, those that something protects included.
    pub candidates: Vec<ReapCandidate>,
    /// Whether the locks of those that are gone are released; `None` where nothing was stopped.
    pub locks_released: Option<bool>,
    /// Whether nobody keeps the log from being moved; `None` where nothing was stopped or there is no log.
    pub log_movable: Option<bool>,
    /// Who keeps it from that.
    pub in_the_way: Vec<CheckpointBlocker>,
}

/// A process for which a cause holds.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ReapCandidate {
    pid: i32,
    started_at: Option<Timestamp>,
    name: String,
    command: Vec<String>,
    user: Option<String>,
    state: ProcessState,
    holds: Vec<LockHold>,
    causes: Vec<StaleCause>,
    protected: Option<StaleProtection>,
    pub outcome: ReapOutcome,
    /// Why it got no signal, where it got none.
    pub refusal: Option<String>,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReapOutcome {
    /// It would have been stopped.
    WouldStop,
    Declined,
    Gone,
    /// It was ended by KILL.
    Killed,
    StillThere,
    Refused,
}

impl ReapCandidate {
    /// `process`, of which nothing more is known yet.
    pub fn new(process: &Process, outcome: ReapOutcome, refusal: Option<String>) -> Self {
        Self {
            pid: process.pid,
            started_at: process.started_at,
            name: process.name.clone(),
            command: process.command.clone(),
            user: process.user.clone(),
            state: process.state,
            holds: process.holds.clone(),
            causes: causes(process).to_vec(),
            protected: process.stale.as_ref().and_then(|stale| stale.protected.clone()),
            outcome,
            refusal,
        }
    }
}

impl DatabaseReap {
    /// The same with what a look after it showed.
    pub fn add_aftermath(&mut self, aftermath: &StopAftermath) {
        self.locks_released = Some(aftermath.still_held.is_empty());
        let is_safe = aftermath.hazard.is_none();
        self.log_movable = aftermath.in_the_way.as_ref().map(|in_the_way| is_safe && in_the_way.is_empty());
        self.in_the_way = aftermath.in_the_way.clone().unwrap_or_default();
    }
}
