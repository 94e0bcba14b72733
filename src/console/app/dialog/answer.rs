//! What keys do to an open dialog: its fields, its focus, and what it comes to.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::batch_of;
use super::{Dialog, DialogButton, DialogFocus, DialogKind};
use crate::{
    act::{
        ConfirmedAction,
        signal::{SignalTarget, StopSignal},
    },
    diagnose::health::HealthDepth,
    snapshot::CheckpointMode,
};

/// What a key did to a dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialogReply {
    Open,
    No,
    Yes(ConfirmedAction),
}

impl Dialog {
    pub(in crate::console::app) fn key(&mut self, key: KeyEvent) -> DialogReply {
        if let DialogKind::Reap(list) = &mut self.kind
            && is_typing(key)
            && list.key(key)
        {
            self.complaint = None;
            return DialogReply::Open;
        }
        let is_proposal = self.is_proposal;
        if let DialogFocus::Field(index) = self.focus
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
            return DialogReply::Open;
        }
        match key.code {
            KeyCode::Char('y') if is_typing(key) => self.confirm(),
            KeyCode::Char('n') if is_typing(key) => DialogReply::No,
            KeyCode::Enter => match self.focus {
                DialogFocus::Button(DialogButton::Yes) => self.confirm(),
                DialogFocus::Button(DialogButton::No) => DialogReply::No,
                DialogFocus::Field(_) => self.shift_focus(1),
            },
            _ => self.move_focus(key),
        }
    }

    /// Types the first line of `text` into the field that has the focus, where that takes typing.
    pub(in crate::console::app) fn paste(&mut self, text: &str) {
        let is_proposal = std::mem::take(&mut self.is_proposal);
        let line = text.trim_start().lines().next().unwrap_or_default();
        if let DialogFocus::Field(index) = self.focus
            && let Some(field) = self.text_mut(index)
        {
            if is_proposal {
                field.clear();
            }
            field.extend(line.chars().filter(|character| !character.is_control()));
        }
    }

    fn move_focus(&mut self, key: KeyEvent) -> DialogReply {
        match (key.code, self.focus) {
            (KeyCode::Esc, _) => DialogReply::No,
            (KeyCode::Tab, _) => self.shift_focus(1),
            (KeyCode::BackTab, _) | (KeyCode::Up, DialogFocus::Button(DialogButton::No)) => {
                self.shift_focus(-1)
            }
            (KeyCode::Down | KeyCode::Up, DialogFocus::Field(index)) if self.text_mut(index).is_some() => {
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
        let fields = self.fields().len();
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
        match &mut self.kind {
            DialogKind::Stop { signals, signal, .. } => *signal = neighbour(*signals, *signal, by),
            DialogKind::Checkpoint { mode, .. } => *mode = neighbour(&CheckpointMode::ALL, *mode, by),
            DialogKind::Health { depth, .. } => *depth = neighbour(&HealthDepth::ALL, *depth, by),
            DialogKind::StopIngestion { .. }
            | DialogKind::Reap(_)
            | DialogKind::Waiting(_)
            | DialogKind::Kill(_)
            | DialogKind::Ingest { .. }
            | DialogKind::Checking { .. }
            | DialogKind::Fix { .. } => {}
        }
        DialogReply::Open
    }

    fn text_mut(&mut self, index: usize) -> Option<&mut String> {
        match (&mut self.kind, index) {
            (DialogKind::Ingest { folder, .. }, 0) => Some(folder),
            (DialogKind::Ingest { batch, .. }, 1) => Some(batch),
            _ => None,
        }
    }

    fn confirm(&mut self) -> DialogReply {
        DialogReply::Yes(match &self.kind {
            DialogKind::Stop { target, signal, .. } => {
                ConfirmedAction::Signal { targets: vec![*target], signal: *signal }
            }
            DialogKind::StopIngestion { target, .. } => {
                ConfirmedAction::Signal { targets: vec![*target], signal: StopSignal::Term }
            }
            DialogKind::Reap(list) => {
                let targets: Vec<SignalTarget> = list.ticked().map(|(target, _)| target).collect();
                if targets.is_empty() {
                    self.complaint = Some("nothing is ticked: Space ticks the row".to_owned());
                    return DialogReply::Open;
                }
                ConfirmedAction::Signal { targets, signal: StopSignal::Term }
            }
            // There is nothing to say yes to.
            DialogKind::Waiting(_) | DialogKind::Checking { .. } => return DialogReply::Open,
            DialogKind::Kill(ending) => ConfirmedAction::Signal {
                targets: ending.stays.iter().map(|it| it.target).collect(),
                signal: StopSignal::Kill,
            },
            DialogKind::Checkpoint { database, mode, .. } => {
                ConfirmedAction::Checkpoint { database: database.clone(), mode: *mode }
            }
            DialogKind::Health { database, depth } => {
                ConfirmedAction::Health { database: database.clone(), depth: *depth }
            }
            DialogKind::Fix { database, .. } => ConfirmedAction::Fix { database: database.clone() },
            DialogKind::Ingest { database, folder, batch, .. } => {
                if folder.trim().is_empty() {
                    self.complaint = Some("name a folder".to_owned());
                    return DialogReply::Open;
                }
                if let Err(complaint) = batch_of(batch) {
                    self.complaint = Some(complaint);
                    return DialogReply::Open;
                }
                ConfirmedAction::Ingest {
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

fn neighbour<T: Copy + PartialEq>(all: &[T], current: T, by: isize) -> T {
    let at = all.iter().position(|&it| it == current).unwrap_or(0);
    all[wrap(at, by, all.len())]
}

fn wrap(at: usize, by: isize, count: usize) -> usize {
    at.checked_add_signed(by).map_or(count - 1, |moved| moved % count)
}
