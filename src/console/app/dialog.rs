//! Dialogs: what they ask, which field has the focus, and what a confirmed one does.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;

use crate::{
    act::{
        Act, reap,
        signal::{Signal, Target},
    },
    diagnose::{
        checkpoint::{Blocker, Mode},
        health::Depth,
    },
    snapshot::{Database, Process, ProcessState},
};

use super::batch_of;

mod ending;
mod list;

pub use ending::{Ending, Stopped};
pub use list::{List, Mark, Row};

/// An open dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// What it asks.
    pub kind: Kind,
    /// What has the focus.
    pub focus: Focus,
    /// Why the last confirmation was not taken.
    pub complaint: Option<String>,
    /// Whether the field that has the focus holds a proposal, which typing replaces.
    pub is_proposal: bool,
}

/// What a dialog asks.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Which signal to send to a process, which is pinned while the dialog is open.
    Stop {
        /// The process, as it was when the dialog was asked for.
        process: Box<Process>,
        /// It, named.
        target: Target,
        /// The database in which it was selected.
        database: PathBuf,
        /// The signals to choose from, the one to begin with first.
        signals: &'static [Signal; 4],
        /// The signal chosen.
        signal: Signal,
    },
    /// Which of the stale processes to stop.
    Reap(List),
    /// Nothing: it shows how long those that were asked to end are waited for.
    Waiting(Ending),
    /// Whether to end those with KILL that did not go.
    Kill(Ending),
    /// Whether to end an ingestion after its batch; its process is pinned while the dialog is open.
    StopIngestion {
        /// Its folders.
        folders: Vec<String>,
        /// Its process.
        target: Target,
        /// Into which database.
        database: PathBuf,
    },
    /// Which checkpoint to run.
    Checkpoint {
        /// Of which database.
        database: PathBuf,
        /// The mode chosen.
        mode: Mode,
        /// Who would block each mode, in the order of [`Mode::ALL`].
        blockers: Vec<Vec<Blocker>>,
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
        depth: Depth,
    },
    /// Nothing: it shows that a health check runs.
    Checking {
        /// Of which database.
        database: PathBuf,
        /// How far it goes.
        depth: Depth,
        /// Since when.
        since: Timestamp,
    },
}

/// What has the focus in a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// A field, counted from 0.
    Field(usize),
    /// A button.
    Button(Button),
}

/// The buttons of every dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// Leave everything as it is.
    No,
    /// Do it.
    Yes,
}

/// A field of a dialog, as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
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

/// What a key did to a dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It stays open.
    Open,
    /// It was turned down.
    No,
    /// It was confirmed.
    Yes(Act),
}

impl Kind {
    /// The signals that a stop of `process` offers on account of `databases`, the one to begin with first.
    #[must_use]
    pub fn signals(databases: &[Database], process: &Process) -> &'static [Signal; 4] {
        if reap::is_split(databases, process) {
            return &Signal::FOR_SPLIT;
        }
        // A debugger holds a traced one: CONT would do nothing.
        if process.state == ProcessState::Stopped { &Signal::FOR_STOPPED } else { &Signal::ALL }
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
    pub fn new(kind: Kind) -> Self {
        let focus = match kind {
            Kind::Ingest { .. } => Focus::Field(0),
            Kind::Checkpoint { .. } => Focus::Button(Button::Yes),
            Kind::Stop { .. }
            | Kind::StopIngestion { .. }
            | Kind::Reap(_)
            | Kind::Waiting(_)
            | Kind::Kill(_)
            | Kind::Health { .. }
            | Kind::Checking { .. }
            | Kind::Fix { .. } => Focus::Button(Button::No),
        };
        Self { kind, focus, complaint: None, is_proposal: true }
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        match &self.kind {
            Kind::Stop { signals, signal, .. } => {
                vec![choice("signal", *signals, ToString::to_string, |it| it == signal)]
            }
            Kind::Checkpoint { mode, .. } => {
                vec![choice("mode", &Mode::ALL, ToString::to_string, |it| it == mode)]
            }
            Kind::Health { depth, .. } => {
                vec![choice("check", &Depth::ALL, ToString::to_string, |it| it == depth)]
            }
            Kind::Ingest { folder, batch, .. } => vec![
                Field::Text { label: "folder", value: folder.clone() },
                Field::Text { label: "batch", value: batch.clone() },
            ],
            Kind::StopIngestion { .. }
            | Kind::Reap(_)
            | Kind::Waiting(_)
            | Kind::Kill(_)
            | Kind::Checking { .. }
            | Kind::Fix { .. } => Vec::new(),
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Reply {
        if let Kind::Reap(list) = &mut self.kind
            && is_typing(key)
            && list.key(key)
        {
            self.complaint = None;
            return Reply::Open;
        }
        let is_proposal = self.is_proposal;
        if let Focus::Field(index) = self.focus
            && let Some(text) = self.text_mut(index)
        {
            match key.code {
                KeyCode::Char('u') if key.modifiers == KeyModifiers::CONTROL => text.clear(),
                KeyCode::Char(character) if is_typing(key) => {
                    if is_proposal {
                        text.clear();
                    }
                    text.push(character);
                }
                KeyCode::Backspace => {
                    text.pop();
                }
                KeyCode::Enter => return self.confirm(),
                _ => return self.move_focus(key),
            }
            self.complaint = None;
            self.is_proposal = false;
            return Reply::Open;
        }
        match key.code {
            KeyCode::Char('y') if is_typing(key) => self.confirm(),
            KeyCode::Char('n') if is_typing(key) => Reply::No,
            KeyCode::Enter => match self.focus {
                Focus::Button(Button::Yes) => self.confirm(),
                Focus::Button(Button::No) => Reply::No,
                Focus::Field(_) => self.shift_focus(1),
            },
            _ => self.move_focus(key),
        }
    }

    /// Types the first line of `text` into the field that has the focus, where that takes typing.
    pub(super) fn paste(&mut self, text: &str) {
        let is_proposal = std::mem::take(&mut self.is_proposal);
        let line = text.trim_start().lines().next().unwrap_or_default();
        if let Focus::Field(index) = self.focus
            && let Some(field) = self.text_mut(index)
        {
            if is_proposal {
                field.clear();
            }
            field.extend(line.chars().filter(|character| !character.is_control()));
        }
    }

    fn move_focus(&mut self, key: KeyEvent) -> Reply {
        match (key.code, self.focus) {
            (KeyCode::Esc, _) => Reply::No,
            (KeyCode::Tab, _) => self.shift_focus(1),
            (KeyCode::BackTab, _) | (KeyCode::Up, Focus::Button(Button::No)) => self.shift_focus(-1),
            (KeyCode::Down | KeyCode::Up, Focus::Field(index)) if self.text_mut(index).is_some() => {
                self.shift_focus(if key.code == KeyCode::Down { 1 } else { -1 })
            }
            (KeyCode::Right | KeyCode::Down, Focus::Field(_)) => self.choose(1),
            (KeyCode::Left | KeyCode::Up, Focus::Field(_)) => self.choose(-1),
            (KeyCode::Left | KeyCode::Right, Focus::Button(button)) => {
                self.focus = Focus::Button(match button {
                    Button::No => Button::Yes,
                    Button::Yes => Button::No,
                });
                Reply::Open
            }
            (KeyCode::Up, Focus::Button(Button::Yes)) => self.shift_focus(-2),
            _ => Reply::Open,
        }
    }

    fn shift_focus(&mut self, by: isize) -> Reply {
        let fields = self.fields().len();
        let stops: Vec<Focus> = (0..fields)
            .map(Focus::Field)
            .chain([Focus::Button(Button::No), Focus::Button(Button::Yes)])
            .collect();
        let at = stops.iter().position(|&stop| stop == self.focus).unwrap_or(0);
        self.focus = stops[wrap(at, by, stops.len())];
        self.is_proposal = true;
        Reply::Open
    }

    fn choose(&mut self, by: isize) -> Reply {
        match &mut self.kind {
            Kind::Stop { signals, signal, .. } => *signal = neighbour(*signals, *signal, by),
            Kind::Checkpoint { mode, .. } => *mode = neighbour(&Mode::ALL, *mode, by),
            Kind::Health { depth, .. } => *depth = neighbour(&Depth::ALL, *depth, by),
            Kind::StopIngestion { .. }
            | Kind::Reap(_)
            | Kind::Waiting(_)
            | Kind::Kill(_)
            | Kind::Ingest { .. }
            | Kind::Checking { .. }
            | Kind::Fix { .. } => {}
        }
        Reply::Open
    }

    fn text_mut(&mut self, index: usize) -> Option<&mut String> {
        match (&mut self.kind, index) {
            (Kind::Ingest { folder, .. }, 0) => Some(folder),
            (Kind::Ingest { batch, .. }, 1) => Some(batch),
            _ => None,
        }
    }

    fn confirm(&mut self) -> Reply {
        Reply::Yes(match &self.kind {
            Kind::Stop { target, signal, .. } => Act::Signal { targets: vec![*target], signal: *signal },
            Kind::StopIngestion { target, .. } => {
                Act::Signal { targets: vec![*target], signal: Signal::Term }
            }
            Kind::Reap(list) => {
                let targets: Vec<Target> = list.ticked().map(|(target, _)| target).collect();
                if targets.is_empty() {
                    self.complaint = Some("nothing is ticked: Space ticks the row".to_owned());
                    return Reply::Open;
                }
                Act::Signal { targets, signal: Signal::Term }
            }
            // There is nothing to say yes to.
            Kind::Waiting(_) | Kind::Checking { .. } => return Reply::Open,
            Kind::Kill(ending) => Act::Signal {
                targets: ending.stays.iter().map(|it| it.target).collect(),
                signal: Signal::Kill,
            },
            Kind::Checkpoint { database, mode, .. } => {
                Act::Checkpoint { database: database.clone(), mode: *mode }
            }
            Kind::Health { database, depth } => Act::Health { database: database.clone(), depth: *depth },
            Kind::Fix { database, .. } => Act::Fix { database: database.clone() },
            Kind::Ingest { database, folder, batch, .. } => {
                if folder.trim().is_empty() {
                    self.complaint = Some("name a folder".to_owned());
                    return Reply::Open;
                }
                if let Err(complaint) = batch_of(batch) {
                    self.complaint = Some(complaint);
                    return Reply::Open;
                }
                Act::Ingest {
                    database: database.clone(),
                    folder: PathBuf::from(folder.as_str()),
                    batch: batch.trim().to_owned(),
                }
            }
        })
    }
}

fn is_typing(key: KeyEvent) -> bool {
    key.modifiers.difference(KeyModifiers::SHIFT).is_empty()
}

fn choice<T>(
    label: &'static str,
    all: &[T],
    name: impl Fn(&T) -> String,
    is_chosen: impl Fn(&T) -> bool,
) -> Field {
    Field::Choice {
        label,
        options: all.iter().map(name).collect(),
        chosen: all.iter().position(is_chosen).unwrap_or(0),
    }
}

fn neighbour<T: Copy + PartialEq>(all: &[T], current: T, by: isize) -> T {
    let at = all.iter().position(|&it| it == current).unwrap_or(0);
    all[wrap(at, by, all.len())]
}

fn wrap(at: usize, by: isize, count: usize) -> usize {
    at.checked_add_signed(by).map_or(count - 1, |moved| moved % count)
}
