//! The only place where the console changes anything outside itself.
//!
//! Every effect is a value first. A [`ConfirmedAction`] changes something outside the console. waltop carries it out
//! only as a [`ConfirmedEffect`], which a read-only console cannot create ([`gate`]).

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use log::Level;

use crate::{
    diagnose::health::HealthDepth,
    history::TimeWindow,
    replay::ReplayCommand,
    snapshot::{CheckpointMode, Presence, Snapshot},
};

pub mod document_search;
pub mod executor;
pub mod gate;
mod job_queue;
pub mod preview;
pub mod py_spy;
pub mod reap;
pub mod remote;
mod restart;
mod running;
pub mod schedule;
pub mod signal;
mod stop_report;
pub mod worker;

use document_search::{DocumentText, FoundDocuments};
use gate::ConfirmedEffect;
use preview::{FolderPreview, FolderQuery};
use reap::{StopOutcome, StopRequest};
pub use restart::RestartCommand;
use schedule::DueCheckpoint;
use signal::{SignalRefusal, SignalTarget, StopSignal};
pub use stop_report::{SignalOutcome, SignalReport};
use worker::IngestEnd;

/// A request of the console to the world outside it.
#[must_use]
#[derive(Debug, Clone)]
pub enum Effect {
    Refresh,
    Every(Duration),
    /// Show a range of the past.
    Timeline {
        index: usize,
        window: TimeWindow,
    },
    /// Ask a worker for the pragma values of waltop's own connection.
    AskPragmas {
        index: usize,
        path: PathBuf,
        /// What a new client would find there.
        presence: Presence,
    },
    /// Open pidfds of processes, so that a later signal reaches exactly these; releases those pinned before.
    Pin(Vec<StopRequest>),
    /// Release the pinned processes.
    Unpin,
    Act(ConfirmedEffect),
    /// Stop the running health check.
    StopHealth,
    /// Write the snapshot to a file in the state folder.
    Export(Box<Snapshot>),
    /// Copy a text to the terminal's clipboard.
    Copy(String),
    /// Count what an ingestion would take, and list what completes the path.
    Preview(FolderQuery),
    /// Let a worker search the ingested documents, in place of the search before.
    SearchDocuments {
        database: PathBuf,
        query: String,
    },
    /// End the running search.
    StopSearch,
    /// Read the file of a document that was found.
    ReadDocument(String),
    /// Run `py-spy` at `program` for the stack of a process.
    PythonStack {
        program: PathBuf,
        target: SignalTarget,
    },
    Note(Level, String),
    /// Draw every cell again.
    Redraw,
    /// Give the terminal back and stop this process until it is continued.
    Suspend,
    /// Ring the terminal's bell.
    Bell,
    /// Record what happens from now on, or stop that.
    Record(bool),
    /// Move in the recording that is played.
    Replay(ReplayCommand),
    /// Take clicks and the wheel from the terminal, or leave the mouse to it.
    Mouse(bool),
    /// Exit the console with this exit code.
    Quit(u8),
}

/// An effect that changes something outside the console. The user confirmed it in a dialog, or the settings in the case
/// of a scheduled one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmedAction {
    /// Send a signal to pinned processes.
    Signal {
        /// Targets that are not pinned get no signal.
        targets: Vec<SignalTarget>,
        signal: StopSignal,
    },
    Checkpoint {
        database: PathBuf,
        mode: CheckpointMode,
    },
    /// Run a checkpoint of the profile's schedule.
    Scheduled(DueCheckpoint),
    /// Start an ingestion that outlives the console.
    Ingest {
        database: PathBuf,
        folder: PathBuf,
        /// `auto`, or files per batch.
        batch: String,
    },
    /// Repair the settings that the file keeps.
    Fix {
        database: PathBuf,
    },
    /// Prove that the database is healthy by a write that is rolled back.
    Health {
        database: PathBuf,
        depth: HealthDepth,
    },
}

/// Results of effects.
#[derive(Debug, Clone)]
pub enum EffectReport {
    /// Each process to be pinned, with the reason if it was not.
    Pinned(Vec<(SignalTarget, Result<(), SignalRefusal>)>),
    /// The result for a process that was to get a signal.
    Ended(StopResult),
    /// A worker read the pragmas of a database, or failed to.
    Pragmas {
        index: usize,
        /// Why it failed; `None` on success.
        refusal: Option<String>,
    },
    Preview(FolderPreview),
    DocumentsFound(FoundDocuments),
    DocumentRead {
        path: String,
        text: Result<DocumentText, String>,
    },
    PythonStack {
        target: SignalTarget,
        lines: Result<Vec<String>, String>,
    },
    /// An ingestion that the console started has a process; its journal may not exist yet.
    IngestStarted {
        database: PathBuf,
        pid: u32,
    },
    /// The process of an ingestion that the console was to start is gone, or never came to be; the reason follows.
    IngestGone {
        database: PathBuf,
    },
    /// An ingestion was not started, for this reason.
    IngestRefused(String),
    /// An ingestion that the console started has ended.
    Ingested {
        /// The name of its folder.
        name: String,
        pid: u32,
        end: IngestEnd,
    },
    /// A health check finished.
    Health(ActionOutcome),
    Outcome(ActionOutcome),
    /// A background action finished: the log records it, and the screen shows it only if it failed.
    Noted(ActionOutcome),
}

/// The result for a process that was to get a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopResult {
    pub target: SignalTarget,
    /// The signal that was sent, or would have been.
    pub signal: StopSignal,
    pub end: StopOutcome,
    /// How to start it again, as read right before the signal; `None` if it was gone by then.
    pub restart: Option<RestartCommand>,
    /// When that was known. Only a later sample shows what the process has left.
    pub at: Timestamp,
}

/// The result of a [`ConfirmedAction`] or another effect.
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

    /// It succeeded only in part.
    pub fn partial(text: impl Into<String>) -> Self {
        Self { level: Level::Warn, text: text.into() }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into() }
    }
}
