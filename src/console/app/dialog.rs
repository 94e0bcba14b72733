//! Dialogs: what they ask, which field has the focus, and what a confirmed one does.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::{
    act::{
        reap,
        signal::{SignalTarget, StopSignal},
    },
    diagnose::{
        checkpoint::{CheckpointBlocker, CheckpointMode},
        health::HealthDepth,
    },
    snapshot::{Database, Process, ProcessState},
};

mod answer;
mod ending;
mod list;

pub use answer::DialogReply;
pub use ending::{PendingStop, StoppedProcess};
pub use list::{ReapList, ReapRow, StopMark};

/// An open dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// What it asks.
    pub kind: DialogKind,
    /// What has the focus.
    pub focus: DialogFocus,
    /// Why the last confirmation was not taken.
    pub complaint: Option<String>,
    /// Whether the field that has the focus holds a proposal, which typing replaces.
    pub is_proposal: bool,
}

/// What a dialog asks.
#[derive(Debug, Clone)]
pub enum DialogKind {
    /// Which signal to send to a process, which is pinned while the dialog is open.
    Stop {
        /// The process, as it was when the dialog was asked for.
        process: Box<Process>,
        /// It, named.
        target: SignalTarget,
        /// The database in which it was selected.
        database: PathBuf,
        /// The signals to choose from, the one to begin with first.
        signals: &'static [StopSignal; 4],
        /// The signal chosen.
        signal: StopSignal,
    },
    /// Which of the stale processes to stop.
    Reap(ReapList),
    /// Nothing: it shows how long those that were asked to end are waited for.
    Waiting(PendingStop),
    /// Whether to end those with KILL that did not go.
    Kill(PendingStop),
    /// Whether to end an ingestion after its batch; its process is pinned while the dialog is open.
    StopIngestion {
        /// Its folders.
        folders: Vec<String>,
        /// Its process.
        target: SignalTarget,
        /// Into which database.
        database: PathBuf,
    },
    /// Which checkpoint to run.
    Checkpoint {
        /// Of which database.
        database: PathBuf,
        /// The mode chosen.
        mode: CheckpointMode,
        /// Who would block each mode, in the order of [`CheckpointMode::ALL`].
        blockers: Vec<Vec<CheckpointBlocker>>,
    },
    /// What to ingest.
    Ingest {
        /// Into which database.
        database: PathBuf,
        /// The folder typed.
        folder: String,
        /// The batch size typed.
        batch: String,
        /// What the database has against it.
        warning: Option<String>,
    },
    /// Whether to run the SQL that is shown.
    Fix {
        /// Of which database.
        database: PathBuf,
        /// The SQL, and why.
        steps: Vec<(String, String)>,
        /// Who has the database open.
        holders: Vec<String>,
    },
    /// How far a health check is to go.
    Health {
        /// Of which database.
        database: PathBuf,
        /// The depth chosen.
        depth: HealthDepth,
    },
    /// Nothing: it shows that a health check runs.
    Checking {
        /// Of which database.
        database: PathBuf,
        /// How far it goes.
        depth: HealthDepth,
        /// Since when.
        since: Timestamp,
    },
}

/// What has the focus in a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogFocus {
    /// A field, counted from 0.
    Field(usize),
    /// A button.
    Button(DialogButton),
}

/// The buttons of every dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogButton {
    /// Leave everything as it is.
    No,
    /// Do it.
    Yes,
}

/// A field of a dialog, as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialogField {
    /// Typed.
    Text {
        /// What it is.
        label: &'static str,
        /// What it holds.
        value: String,
    },
    /// Chosen with the arrow keys.
    Choice {
        /// What it is.
        label: &'static str,
        /// What there is to choose from.
        options: Vec<String>,
        /// What is chosen.
        chosen: usize,
    },
}

impl DialogKind {
    /// The signals that a stop of `process` offers on account of `databases`, the one to begin with first.
    #[must_use]
    pub fn signals(databases: &[Database], process: &Process) -> &'static [StopSignal; 4] {
        if reap::is_split(databases, process) {
            return &StopSignal::FOR_SPLIT;
        }
        // A debugger holds a traced one: CONT would do nothing.
        if process.state == ProcessState::Stopped { &StopSignal::FOR_STOPPED } else { &StopSignal::ALL }
    }

    /// Whether processes are pinned on account of the dialog.
    #[must_use]
    pub fn pins(&self) -> bool {
        match self {
            Self::Stop { .. }
            | Self::StopIngestion { .. }
            | Self::Reap(_)
            | Self::Waiting(_)
            | Self::Kill(_) => true,
            Self::Checkpoint { .. }
            | Self::Ingest { .. }
            | Self::Fix { .. }
            | Self::Health { .. }
            | Self::Checking { .. } => false,
        }
    }
}

impl Dialog {
    /// A dialog with the focus where a hasty Enter does the least harm.
    #[must_use]
    pub fn new(kind: DialogKind) -> Self {
        let focus = match kind {
            DialogKind::Ingest { .. } => DialogFocus::Field(0),
            DialogKind::Checkpoint { .. } => DialogFocus::Button(DialogButton::Yes),
            DialogKind::Stop { .. }
            | DialogKind::StopIngestion { .. }
            | DialogKind::Reap(_)
            | DialogKind::Waiting(_)
            | DialogKind::Kill(_)
            | DialogKind::Health { .. }
            | DialogKind::Checking { .. }
            | DialogKind::Fix { .. } => DialogFocus::Button(DialogButton::No),
        };
        Self { kind, focus, complaint: None, is_proposal: true }
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> Vec<DialogField> {
        match &self.kind {
            DialogKind::Stop { signals, signal, .. } => {
                vec![choice("signal", *signals, ToString::to_string, |it| it == signal)]
            }
            DialogKind::Checkpoint { mode, .. } => {
                vec![choice("mode", &CheckpointMode::ALL, ToString::to_string, |it| it == mode)]
            }
            DialogKind::Health { depth, .. } => {
                vec![choice("check", &HealthDepth::ALL, ToString::to_string, |it| it == depth)]
            }
            DialogKind::Ingest { folder, batch, .. } => vec![
                DialogField::Text { label: "folder", value: folder.clone() },
                DialogField::Text { label: "batch", value: batch.clone() },
            ],
            DialogKind::StopIngestion { .. }
            | DialogKind::Reap(_)
            | DialogKind::Waiting(_)
            | DialogKind::Kill(_)
            | DialogKind::Checking { .. }
            | DialogKind::Fix { .. } => Vec::new(),
        }
    }
}

fn choice<T>(
    label: &'static str,
    all: &[T],
    name: impl Fn(&T) -> String,
    is_chosen: impl Fn(&T) -> bool,
) -> DialogField {
    DialogField::Choice {
        label,
        options: all.iter().map(name).collect(),
        chosen: all.iter().position(is_chosen).unwrap_or(0),
    }
}
