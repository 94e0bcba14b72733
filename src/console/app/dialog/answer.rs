//! What keys do to an open dialog: its fields, its focus, and what it comes to.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::{
    act::{
        Act,
        signal::{Signal, Target},
    },
    diagnose::{checkpoint::Mode, health::Depth},
};

use super::{super::batch_of, Button, Dialog, Focus, Kind};

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

impl Dialog {
    pub(in crate::console::app) fn key(&mut self, key: KeyEvent) -> Reply {
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
    pub(in crate::console::app) fn paste(&mut self, text: &str) {
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

fn neighbour<T: Copy + PartialEq>(all: &[T], current: T, by: isize) -> T {
    let at = all.iter().position(|&it| it == current).unwrap_or(0);
    all[wrap(at, by, all.len())]
}

fn wrap(at: usize, by: isize, count: usize) -> usize {
    at.checked_add_signed(by).map_or(count - 1, |moved| moved % count)
}
