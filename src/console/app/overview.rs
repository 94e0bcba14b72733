//! The overview: all databases, one line each. Keys act on the database of the selected line.

use std::path::Path;

use crate::{
    act::Effect,
    keymap::Action,
    paths,
    snapshot::{Database, Severity},
};

use super::{App, Mode, Notice, RowCover};

/// With more databases than this the console opens on the overview.
const FEW: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// The database shown before the overview opened; closing returns to it.
    origin: usize,
}

impl App {
    /// The databases of the sample on the screen.
    pub fn databases(&self) -> &[Database] {
        self.sample().map_or(&[], |look| &look.snapshot.databases)
    }

    /// The name of each database, in their order: the file name, with folders where the file name is not unique.
    pub fn names(&self) -> Vec<String> {
        let paths: Vec<&Path> = self.databases().iter().map(|database| &*database.path).collect();
        paths::names(&paths)
    }

    /// The database other than the one on the screen with the worst findings, if they are worse and at least warnings:
    /// its index, the severity, and the count.
    pub fn worse_elsewhere(&self) -> Option<(usize, Severity, usize)> {
        let here = self.database()?.worst().map(|finding| finding.severity);
        let mut worst: Option<(usize, Severity, usize)> = None;
        for (index, database) in self.databases().iter().enumerate() {
            let Some(severity) = database.worst().map(|finding| finding.severity) else { continue };
            let is_worse = severity >= Severity::Warning
                && here.is_none_or(|here| severity > here)
                && worst.is_none_or(|(_, so_far, _)| severity > so_far);
            if is_worse {
                let count = database.findings.iter().filter(|it| it.severity == severity).count();
                worst = Some((index, severity, count));
            }
        }
        worst
    }

    /// Opens the overview at the first sample if there are many databases.
    pub(super) fn open_on_many(&mut self) {
        if self.databases().len() > FEW {
            self.mode = Mode::Overview(Overview { origin: self.current() });
        }
    }

    #[must_use]
    pub(super) fn toggle_overview(&mut self) -> Vec<Effect> {
        if self.overview().is_some() {
            self.mode = Mode::Panels;
            return Vec::new();
        }
        if self.databases().len() < 2 {
            return vec![self.notify(Notice::OnlyDatabase)];
        }
        self.close_overlay();
        self.mode = Mode::Overview(Overview { origin: self.current() });
        Vec::new()
    }

    /// What `action` does in an overview without an overlay; `None`: the same as elsewhere.
    #[must_use]
    pub(super) fn act_in_overview(&mut self, overview: Overview, action: Action) -> Option<Vec<Effect>> {
        let last = self.databases().len().saturating_sub(1);
        let to = match action {
            Action::Down => self.current() + 1,
            Action::Up => self.current().saturating_sub(1),
            Action::PageDown => self.current() + super::keys::PAGE.unsigned_abs(),
            Action::PageUp => self.current().saturating_sub(super::keys::PAGE.unsigned_abs()),
            Action::First => 0,
            Action::Last => last,
            Action::Details => {
                self.mode = Mode::Panels;
                self.notice = None;
                self.current()
            }
            Action::Back => {
                self.mode = Mode::Panels;
                overview.origin
            }
            // The area below the list replaces it.
            Action::Zoom(_)
            | Action::NextPanel
            | Action::PreviousPanel
            | Action::Timeline
            | Action::Filter => {
                self.mode = Mode::Panels;
                return None;
            }
            hidden if super::keys::is_about_a_row(hidden) => {
                let key = self.key_of(Action::Details).to_owned();
                return Some(vec![self.notify(Notice::RowsHidden { by: RowCover::Overview, key })]);
            }
            _ => return None,
        };
        Some(self.show_database(to.min(last)))
    }

    #[must_use]
    pub(super) fn switch_database(&mut self, by: isize) -> Vec<Effect> {
        let count = self.databases().len();
        if count < 2 {
            return vec![self.notify(Notice::OnlyDatabase)];
        }
        let at = isize::try_from(self.current() + count).unwrap_or(0) + by;
        self.show_database(usize::try_from(at).unwrap_or(0) % count)
    }

    /// Shows the database at `index` and restores its selected rows and its filter.
    #[must_use]
    pub(super) fn show_database(&mut self, index: usize) -> Vec<Effect> {
        if index == self.current() {
            return Vec::new();
        }
        self.states.show(index);
        if matches!(self.mode, Mode::Filter(_)) {
            self.mode = Mode::Panels;
        }
        // It was about the previous database.
        self.notice = None;
        self.close_overlay();
        // A dialog about the previous database would open over this one.
        self.pending_pin = None;
        self.keep_selection();
        if self.close_timeline() {
            return self.toggle_timeline();
        }
        Vec::new()
    }
}
