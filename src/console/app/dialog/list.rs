//! The list of the reap dialog: what is stale, and which of it is to be stopped.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent};

use crate::{
    act::signal::{SignalRefusal, SignalTarget},
    snapshot::Process,
};

/// Rows that a page moves by.
const PAGE: usize = 10;

/// The stale processes of a database, each pinned while the list is open.
#[derive(Debug, Clone)]
pub struct ReapList {
    pub database: PathBuf,
    /// One for each process, the oldest first.
    pub rows: Vec<ReapRow>,
    /// The row that Space ticks.
    pub cursor: usize,
}

/// One process of a [`ReapList`].
#[derive(Debug, Clone)]
pub struct ReapRow {
    /// The process, as it was when the list was asked for.
    pub process: Box<Process>,
    /// Whether it is to be stopped.
    pub mark: StopMark,
}

/// Whether a process of a list is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopMark {
    Ticked(SignalTarget),
    Unticked(SignalTarget),
    /// It cannot be: it is protected, gone, or out of reach.
    Refused(SignalRefusal),
}

impl ReapList {
    /// Those that are to be stopped.
    pub fn ticked(&self) -> impl Iterator<Item = (SignalTarget, &Process)> {
        self.rows.iter().filter_map(|row| match row.mark {
            StopMark::Ticked(target) => Some((target, &*row.process)),
            StopMark::Unticked(_) | StopMark::Refused(_) => None,
        })
    }

    /// Takes in whether `target` could be pinned.
    pub(in crate::console::app) fn pinned(
        &mut self,
        target: SignalTarget,
        pinned: Result<(), SignalRefusal>,
    ) {
        let is_it = |row: &&mut ReapRow| matches!(row.mark, StopMark::Ticked(it) if it == target);
        if let (Err(refusal), Some(row)) = (pinned, self.rows.iter_mut().find(is_it)) {
            row.mark = StopMark::Refused(refusal);
        }
    }

    /// Whether `key` belonged to the list.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let last = self.rows.len().saturating_sub(1);
        self.cursor = match key.code {
            KeyCode::Down | KeyCode::Char('j') => (self.cursor + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.cursor.saturating_sub(1),
            KeyCode::PageDown => (self.cursor + PAGE).min(last),
            KeyCode::PageUp => self.cursor.saturating_sub(PAGE),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            KeyCode::Char(' ') => {
                self.turn();
                self.cursor
            }
            _ => return false,
        };
        true
    }

    fn turn(&mut self) {
        if let Some(row) = self.rows.get_mut(self.cursor) {
            row.mark = match &row.mark {
                StopMark::Ticked(target) => StopMark::Unticked(*target),
                StopMark::Unticked(target) => StopMark::Ticked(*target),
                StopMark::Refused(refusal) => StopMark::Refused(refusal.clone()),
            };
        }
    }
}
