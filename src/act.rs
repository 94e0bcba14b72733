//! The only place where the console changes the world.
//!
//! Every effect is a value first. [`ConfirmedAction`]s are the ones that change something outside the console. Only a
//! [`ConfirmedEffect`] one is carried out, and a read-only console has nothing to make one of ([`switch`]).

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use log::Level;

use crate::{
    diagnose::health::HealthDepth,
    history::TimeWindow,
    snapshot::{CheckpointMode, Presence, Snapshot},
};

pub mod executor;
pub mod gate;
mod job_queue;
pub mod reap;
mod running;
pub mod schedule;
pub mod signal;
pub mod worker;

use gate::ConfirmedEffect;
use reap::{StopOutcome, StopRequest};
use schedule::DueCheckpoint;
use signal::{SignalRefusal, SignalTarget, StopSignal};

/// Something that the console asks of the world around it.
#[must_use]
#[derive(Debug, Clone)]
pub enum Effect {
    Refresh,
    Every(Duration),
    /// Show a stretch of the past.
    Timeline {
        index: usize,
        window: TimeWindow,
    },
    /// Ask a worker what our own connection answers for the pragmas.
    AskPragmas {
        index: usize,
        path: PathBuf,
        /// What a newcomer would find there.
        presence: Presence,
    },
    /// Get hold of processes, so that a later signal reaches them and no others; those pinned before are let go.
    Pin(Vec<StopRequest>),
    /// Let go of the pinned processes.
    Unpin,
    Act(ConfirmedEffect),
    /// End the health check that runs.
    StopHealth,
    /// Write the snapshot to a file in the working directory.
    Export(Box<Snapshot>),
    /// Put a text into the terminal's clipboard.
    Copy(String),
    /// Write a line to the log.
    Note(Level, String),
    /// End the console with this exit code.
    Quit(u8),
}

/// An effect that changes something outside the console. It was confirmed in a dialog; a scheduled one by the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmedAction {
    /// Send a signal to pinned processes.
    Signal {
        /// Those that are not pinned get nothing.
        targets: Vec<SignalTarget>,
        signal: StopSignal,
    },
    Checkpoint {
        database: PathBuf,
        mode: CheckpointMode,
    },
    /// Run a checkpoint that the profile asks for at regular times.
    Scheduled(DueCheckpoint),
    /// Start an ingestion that outlives the console.
    Ingest {
        database: PathBuf,
        folder: PathBuf,
        /// `auto`, or files per batch.
        batch: String,
    },
    /// Put right what the file can keep.
    Fix {
        database: PathBuf,
    },
    /// Prove by a write that is rolled back that the database is healthy.
    Health {
        database: PathBuf,
        depth: HealthDepth,
    },
}

/// What comes back of effects.
#[derive(Debug, Clone)]
pub enum EffectReport {
    /// Each process that was to be pinned, with the reason where it was not.
    Pinned(Vec<(SignalTarget, Result<(), SignalRefusal>)>),
    /// What became of a process that was meant for a signal.
    Ended(StopResult),
    /// A worker answered for the pragmas of a database, or could not.
    Pragmas {
        index: usize,
        /// Why it could not, where it could not.
        refusal: Option<String>,
    },
    /// An ingestion was not started.
    IngestRefused(String),
    /// A health check has come to its end.
    Health(ActionOutcome),
    Outcome(ActionOutcome),
    /// Something has come to its end that nobody waits for: the log has it, and the screen only where it went badly.
    Noted(ActionOutcome),
}

/// What became of a process that was meant for a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopResult {
    pub target: SignalTarget,
    /// What was sent, or would have been.
    pub signal: StopSignal,
    pub end: StopOutcome,
    /// When that was known. Only a later look shows what it has left.
    pub at: Timestamp,
}

/// What became of an [`ConfirmedAction`] or another effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionOutcome {
    pub level: Level,
    /// One sentence for the notice and the log.
    pub text: String,
}

impl ActionOutcome {
    pub fn good(text: impl Into<String>) -> Self {
        Self { level: Level::Info, text: text.into() }
    }

    /// It went, but not all the way.
    pub fn partial(text: impl Into<String>) -> Self {
        Self { level: Level::Warn, text: text.into() }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into() }
    }
}
