//! Dialogs: what they ask, which field has the focus, and what a confirmed one does.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::{
    act::{
        reap,
        signal::{SignalTarget, StopSignal},
    },
    diagnose::{checkpoint::CheckpointBlocker, health::HealthDepth},
    snapshot::{CheckpointMode, Database, Process, ProcessState},
};

mod answer;
mod list;
mod pending_stop;

pub use answer::DialogReply;
pub use list::{ReapList, ReapRow, StopMark};
pub use pending_stop::{PendingStop, StoppedProcess};

#[derive(Debug, Clone)]
pub struct Dialog {
    pub kind: DialogKind,
    pub focus: DialogFocus,
    /// Why the last confirmation was not taken.
    pub complaint: Option<String>,
    /// Whether the field that has the focus holds a proposal, which typing replaces.
    pub is_proposal: bool,
}

#[derive(Debug, Clone)]
pub enum DialogKind {
    /// Which signal to send to a process, which is pinned while the dialog is open.
    Stop {
        /// The process, as it was when the dialog was asked for.
        process: Box<Process>,
        target: SignalTarget,
        /// The database in which it was selected.
        database: PathBuf,
        /// The signals to choose from, the one to begin with first.
        signals: &'static [StopSignal; 4],
        signal: StopSignal,
    },
    /// Which of the stale processes to stop.
    Reap(ReapList),
    /// Nothing: it shows how long those that were asked to end are waited for.
    Waiting(PendingStop),
    /// Whether to end those with KILL that did not go.
    Kill(PendingStop),
    /// Whether to end an ingestion after its batch; its process is pinned while the dialog is open.
    StopIngestion { folders: Vec<String>, target: SignalTarget, database: PathBuf },
    Checkpoint {
        database: PathBuf,
        mode: CheckpointMode,
        /// Who would block each mode, in the order of [`CheckpointMode::ALL`].
        blockers: Vec<Vec<CheckpointBlocker>>,
    },
    Ingest {
        database: PathBuf,
        folder: String,
        batch: String,
        /// What the database has against it.
        warning: Option<String>,
    },
    /// Whether to run the SQL that is shown.
    Fix {
        database: PathBuf,
        steps: Vec<(String, String)>,
        /// Who has the database open.
        holders: Vec<String>,
    },
    /// How far a health check is to go.
    Health { database: PathBuf, depth: HealthDepth },
    /// Nothing: it shows that a health check runs.
    Checking { database: PathBuf, depth: HealthDepth, since: Timestamp },
}

/// What has the focus in a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogFocus {
    /// A field, counted from 0.
    Field(usize),
    Button(DialogButton),
}

/// The buttons of every dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogButton {
    /// Leave everything as it is.
    No,
    Yes,
}

/// A field of a dialog, as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialogField {
    Text {
        label: &'static str,
        value: String,
    },
    /// Chosen with the arrow keys.
    Choice {
        label: &'static str,
        /// What there is to choose from.
        options: Vec<String>,
        chosen: usize,
    },
}

impl DialogKind {
    /// The signals that a stop of `process` offers on account of `databases`, the one to begin with first.
    pub fn signals(databases: &[Database], process: &Process) -> &'static [StopSignal; 4] {
        if reap::is_split(databases, process) {
            return &StopSignal::FOR_SPLIT;
        }
        // A debugger holds a traced one: CONT would do nothing.
        if process.state == ProcessState::Stopped { &StopSignal::FOR_STOPPED } else { &StopSignal::ALL }
    }

    /// Whether processes are pinned on account of the dialog.
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
