//! The list of the reap dialog: what is stale, and which of it is to be stopped.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent};

use crate::{
    act::signal::{Refusal, Target},
    snapshot::Process,
};

/// Rows that a page moves by.
const PAGE: usize = 10;

/// The stale processes of a database, each pinned while the list is open.
#[derive(Debug, Clone)]
pub struct List {
    /// Of which database.
    pub database: PathBuf,
    /// One for each process, the oldest first.
    pub rows: Vec<Row>,
    /// The row that Space ticks.
    pub cursor: usize,
}

/// One process of a [`List`].
#[derive(Debug, Clone)]
pub struct Row {
    /// The process, as it was when the list was asked for.
    pub process: Box<Process>,
    /// Whether it is to be stopped.
    pub mark: Mark,
}

/// Whether a process of a list is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// It is.
    Ticked(Target),
    /// It is not.
    Unticked(Target),
    /// It cannot be: it is protected, gone, or out of reach.
    Refused(Refusal),
}

impl List {
    /// Those that are to be stopped.
    pub fn ticked(&self) -> impl Iterator<Item = (Target, &Process)> {
        self.rows.iter().filter_map(|row| match row.mark {
            Mark::Ticked(target) => Some((target, &*row.process)),
            Mark::Unticked(_) | Mark::Refused(_) => None,
        })
    }

    /// Takes in whether `target` could be pinned.
    pub(in crate::console::app) fn pinned(&mut self, target: Target, pinned: Result<(), Refusal>) {
        let is_it = |row: &&mut Row| matches!(row.mark, Mark::Ticked(it) if it == target);
        if let (Err(refusal), Some(row)) = (pinned, self.rows.iter_mut().find(is_it)) {
            row.mark = Mark::Refused(refusal);
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
                Mark::Ticked(target) => Mark::Unticked(*target),
                Mark::Unticked(target) => Mark::Ticked(*target),
                Mark::Refused(refusal) => Mark::Refused(refusal.clone()),
            };
        }
    }
}
