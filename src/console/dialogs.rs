//! The dialogs, one per file: its state, its fields and keys, the confirmed action, and how it is drawn.

use std::{
    fmt::{Debug, Display},
    path::Path,
};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use ratatui::text::Line;
use tui_input::{Input, InputRequest, backend::crossterm::EventHandler};

use crate::{
    act::{ConfirmedAction, signal::SignalTarget},
    console::screen_map::DialogButton,
    snapshot::{Database, Process},
};

mod checking;
mod checkpoint;
mod fix;
mod frame;
mod health;
mod ingest;
mod kill;
mod pending_stop;
mod reap;
mod stop;
mod stop_ingestion;
mod stop_watch;
mod tagged;
mod waiting;

pub use checking::CheckingDialog;
pub use checkpoint::CheckpointDialog;
pub use fix::FixDialog;
pub use frame::{DialogPage, DialogRows, render};
pub use health::HealthDialog;
pub use ingest::IngestDialog;
pub use kill::KillDialog;
pub use pending_stop::{PendingStop, StoppedProcess};
pub use reap::{ReapList, ReapRow, StopMark};
pub use stop::{StopAdvice, StopDialog};
pub use stop_ingestion::StopIngestionDialog;
pub use stop_watch::StopWatchDialog;
pub use tagged::TaggedDialog;
pub use waiting::WaitingDialog;

#[derive(Debug, Clone)]
pub struct Dialog {
    pub kind: DialogKind,
    /// Differs from that of every other dialog of the console, so that a click finds the dialog that was drawn.
    pub number: u64,
    pub focus: DialogFocus,
    /// Why the last confirmation was rejected.
    pub complaint: Option<String>,
    /// Whether the focused field holds a default, which typing replaces.
    pub is_proposal: bool,
}

#[derive(Debug, Clone)]
pub enum DialogKind {
    Stop(StopDialog),
    StopIngestion(StopIngestionDialog),
    StopWatch(StopWatchDialog),
    Reap(ReapList),
    Tagged(TaggedDialog),
    Waiting(WaitingDialog),
    Kill(KillDialog),
    Checkpoint(CheckpointDialog),
    Ingest(IngestDialog),
    Fix(FixDialog),
    Health(HealthDialog),
    Checking(CheckingDialog),
}

/// What a dialog may read of the console's state when it is drawn.
#[derive(Debug, Clone, Copy)]
pub struct DialogScene<'a> {
    pub now: Timestamp,
    /// The database on the screen.
    pub database: Option<&'a Database>,
    /// All of them, as of the newest sample, whatever a pause keeps on the screen.
    pub databases: &'a [Database],
}

impl<'a> DialogScene<'a> {
    /// What the newest sample says of the process `wanted` of the database at `path`; `None` once it is not listed.
    fn process(self, path: &Path, wanted: Option<SignalTarget>) -> Option<(&'a Database, &'a Process)> {
        let database = self.databases.iter().find(|it| it.path == *path)?;
        let is_it = |process: &&Process| wanted.is_some() && process.identity() == wanted;
        Some((database, database.processes.iter().find(is_it)?))
    }
}

/// The parts that differ between dialogs.
pub trait DialogContent: Debug {
    fn title(&self) -> String;

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>>;

    /// The action of a yes; `None`: there is nothing to confirm; an error states what is missing.
    fn confirm(&self) -> Option<Result<ConfirmedAction, String>>;

    /// Columns of the terminal, including the frame.
    fn width(&self) -> u16 {
        76
    }

    fn first_focus(&self) -> DialogFocus {
        DialogFocus::Button(DialogButton::No)
    }

    fn fields(&self) -> Vec<DialogField> {
        Vec::new()
    }

    /// The text field `_field`, if it is one.
    fn text_mut(&mut self, _field: usize) -> Option<&mut Input> {
        None
    }

    /// Completes the text field `_field`; returns whether there was anything to complete.
    fn complete(&mut self, _field: usize) -> bool {
        false
    }

    /// Moves the choice by this many options.
    fn choose(&mut self, _by: isize) {}

    /// Handles a key of a list in the dialog; returns whether it did.
    fn list_key(&mut self, _key: KeyEvent) -> bool {
        false
    }

    /// Where the body shows the rows of a list, if it has one.
    fn rows(&self, _page: DialogPage<'_>) -> Option<DialogRows> {
        None
    }

    /// Moves the cursor of the list to the row `_at`.
    fn point(&mut self, _at: usize) {}

    /// Whether the dialog needs its processes pinned.
    fn pins(&self) -> bool {
        false
    }

    /// The text in place of the buttons, if there is nothing to confirm.
    fn hint(&self) -> Option<&'static str> {
        None
    }
}

impl DialogKind {
    pub fn content(&self) -> &dyn DialogContent {
        match self {
            Self::Stop(it) => it,
            Self::StopIngestion(it) => it,
            Self::StopWatch(it) => it,
            Self::Reap(it) => it,
            Self::Tagged(it) => it,
            Self::Waiting(it) => it,
            Self::Kill(it) => it,
            Self::Checkpoint(it) => it,
            Self::Ingest(it) => it,
            Self::Fix(it) => it,
            Self::Health(it) => it,
            Self::Checking(it) => it,
        }
    }

    fn content_mut(&mut self) -> &mut dyn DialogContent {
        match self {
            Self::Stop(it) => it,
            Self::StopIngestion(it) => it,
            Self::StopWatch(it) => it,
            Self::Reap(it) => it,
            Self::Tagged(it) => it,
            Self::Waiting(it) => it,
            Self::Kill(it) => it,
            Self::Checkpoint(it) => it,
            Self::Ingest(it) => it,
            Self::Fix(it) => it,
            Self::Health(it) => it,
            Self::Checking(it) => it,
        }
    }
}

/// What has the focus in a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogFocus {
    /// A field, counted from 0.
    Field(usize),
    Button(DialogButton),
}

/// A field of a dialog, as drawn.
#[derive(Debug, Clone)]
pub enum DialogField {
    Text {
        label: &'static str,
        input: Input,
    },
    /// Chosen with the arrow keys.
    Choice {
        label: &'static str,
        /// The options.
        options: Vec<String>,
        chosen: usize,
        /// The keys that choose from anywhere in the dialog; empty if none do.
        letters: &'static str,
    },
}

/// The result of a key in a dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialogReply {
    Open,
    No,
    Yes(ConfirmedAction),
}

impl Dialog {
    /// A dialog whose initial focus makes an accidental Enter least harmful.
    pub fn new(kind: DialogKind) -> Self {
        Self { focus: kind.content().first_focus(), kind, number: 0, complaint: None, is_proposal: true }
    }

    /// Whether a text field has the focus.
    pub fn is_typed_into(&self) -> bool {
        let DialogFocus::Field(index) = self.focus else { return false };
        matches!(self.kind.content().fields().get(index), Some(DialogField::Text { .. }))
    }

    /// Whether a choice has the focus.
    pub fn is_on_choice(&self) -> bool {
        matches!(self.focus, DialogFocus::Field(_)) && !self.is_typed_into()
    }

    pub(in crate::console) fn key(&mut self, key: KeyEvent) -> DialogReply {
        if is_typing(key) && self.kind.content_mut().list_key(key) {
            self.complaint = None;
            return DialogReply::Open;
        }
        let is_proposal = self.is_proposal;
        if let (KeyCode::Tab, DialogFocus::Field(index)) = (key.code, self.focus)
            && !is_proposal
            && self.kind.content_mut().complete(index)
        {
            return DialogReply::Open;
        }
        if let DialogFocus::Field(index) = self.focus
            && let Some(text) = self.kind.content_mut().text_mut(index)
        {
            if key.code == KeyCode::Enter {
                return self.confirm();
            }
            if is_proposal && matches!(key.code, KeyCode::Right | KeyCode::End) {
                self.is_proposal = false;
                return DialogReply::Open;
            }
            if is_proposal && is_typing(key) && matches!(key.code, KeyCode::Char(_)) {
                text.reset();
            }
            if text.handle_event(&Event::Key(key)).is_none() {
                return self.move_focus(key);
            }
            self.complaint = None;
            self.is_proposal = false;
            return DialogReply::Open;
        }
        match key.code {
            KeyCode::Char('y') if is_typing(key) => self.confirm(),
            KeyCode::Char('n' | 'q') if is_typing(key) => DialogReply::No,
            KeyCode::Enter => match self.focus {
                DialogFocus::Button(button) => self.press(button),
                DialogFocus::Field(_) => self.shift_focus(1),
            },
            _ => self.move_focus(key),
        }
    }

    /// Presses `button`, as Enter does on it.
    pub(in crate::console) fn press(&mut self, button: DialogButton) -> DialogReply {
        self.focus = DialogFocus::Button(button);
        match button {
            DialogButton::Yes => self.confirm(),
            DialogButton::No => DialogReply::No,
        }
    }

    /// Moves the cursor of the list to the row `at`.
    pub(in crate::console) fn point(&mut self, at: usize) {
        self.complaint = None;
        self.kind.content_mut().point(at);
    }

    /// Handles a key of the list, if there is one.
    pub(in crate::console) fn list_key(&mut self, key: KeyEvent) {
        if self.kind.content_mut().list_key(key) {
            self.complaint = None;
        }
    }

    /// Inserts the first line of `text` into the focused field, if it is a text field.
    pub(in crate::console) fn paste(&mut self, text: &str) {
        let is_proposal = std::mem::take(&mut self.is_proposal);
        let line = text.trim_start().lines().next().unwrap_or_default();
        if let DialogFocus::Field(index) = self.focus
            && let Some(field) = self.kind.content_mut().text_mut(index)
        {
            if is_proposal {
                field.reset();
            }
            for character in line.chars().filter(|character| !character.is_control()) {
                field.handle(InputRequest::InsertChar(character));
            }
        }
    }

    fn move_focus(&mut self, key: KeyEvent) -> DialogReply {
        match (key.code, self.focus) {
            (KeyCode::Esc, _) => DialogReply::No,
            (KeyCode::Tab, _) => self.shift_focus(1),
            (KeyCode::BackTab, _) | (KeyCode::Up, DialogFocus::Button(DialogButton::No)) => {
                self.shift_focus(-1)
            }
            (KeyCode::Down | KeyCode::Up, DialogFocus::Field(index))
                if self.kind.content_mut().text_mut(index).is_some() =>
            {
                self.shift_focus(if key.code == KeyCode::Down { 1 } else { -1 })
            }
            (KeyCode::Right | KeyCode::Down, DialogFocus::Field(_)) => self.choose(1),
            (KeyCode::Left | KeyCode::Up, DialogFocus::Field(_)) => self.choose(-1),
            (KeyCode::Left | KeyCode::Right, DialogFocus::Button(button)) => {
                self.focus = DialogFocus::Button(match button {
                    DialogButton::No => DialogButton::Yes,
                    DialogButton::Yes => DialogButton::No,
                });
                DialogReply::Open
            }
            (KeyCode::Up, DialogFocus::Button(DialogButton::Yes)) => self.shift_focus(-2),
            _ => DialogReply::Open,
        }
    }

    fn shift_focus(&mut self, by: isize) -> DialogReply {
        let fields = self.kind.content().fields().len();
        let stops: Vec<DialogFocus> = (0..fields)
            .map(DialogFocus::Field)
            .chain([DialogFocus::Button(DialogButton::No), DialogFocus::Button(DialogButton::Yes)])
            .collect();
        let at = stops.iter().position(|&stop| stop == self.focus).unwrap_or(0);
        self.focus = stops[wrap(at, by, stops.len())];
        self.is_proposal = true;
        DialogReply::Open
    }

    fn choose(&mut self, by: isize) -> DialogReply {
        self.kind.content_mut().choose(by);
        DialogReply::Open
    }

    fn confirm(&mut self) -> DialogReply {
        match self.kind.content().confirm() {
            None => DialogReply::Open,
            Some(Ok(act)) => DialogReply::Yes(act),
            Some(Err(complaint)) => {
                self.complaint = Some(complaint);
                DialogReply::Open
            }
        }
    }
}

fn is_typing(key: KeyEvent) -> bool {
    key.modifiers.difference(KeyModifiers::SHIFT).is_empty()
}

fn neighbour<T: Copy + PartialEq>(all: &[T], current: T, by: isize) -> T {
    let at = all.iter().position(|&it| it == current).unwrap_or(0);
    all[wrap(at, by, all.len())]
}

fn wrap(at: usize, by: isize, count: usize) -> usize {
    at.checked_add_signed(by).map_or(count - 1, |moved| moved % count)
}

fn choice<T: Copy + PartialEq + Display>(label: &'static str, all: &[T], chosen: T) -> DialogField {
    DialogField::Choice {
        label,
        options: all.iter().map(ToString::to_string).collect(),
        chosen: all.iter().position(|&it| it == chosen).unwrap_or(0),
        letters: "",
    }
}
