//! The overview: all databases, one line each. Keys act on the database of the selected line.

use std::path::{Path, PathBuf};

use crate::{
    act::Effect,
    keymap::Action,
    paths,
    snapshot::{Database, Severity},
};

use super::{App, FilterTarget, Mode, Notice, RowCover};

/// With more databases than this the console opens on the overview.
const FEW: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// The database from which its key opened it, and to which Esc returns; `None` if the overview is the top.
    origin: Option<usize>,
}

impl App {
    /// The databases of the sample on the screen.
    pub fn databases(&self) -> &[Database] {
        self.sample().map_or(&[], |look| &look.snapshot.databases)
    }

    /// All of them, as of the newest sample.
    pub fn newest_databases(&self) -> &[Database] {
        self.newest.as_ref().map_or(&[], |look| &look.snapshot.databases)
    }

    /// The database on the screen, as of the newest sample.
    pub fn newest_database(&self) -> Option<&Database> {
        self.newest_databases().get(self.current())
    }

    /// The name of each database, in their order: the file name, with folders where the file name is not unique on its
    /// host.
    pub fn names(&self) -> Vec<String> {
        let places: Vec<PathBuf> =
            self.databases().iter().enumerate().map(|(index, it)| self.place(index, it).into()).collect();
        let paths: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
        let Some(watched) = self.hosts() else { return paths::names(&paths) };
        let mut names = vec![String::new(); paths.len()];
        for host in 0..watched.hosts.len() {
            let of_host = (0..paths.len()).filter(|index| watched.of_database.get(*index) == Some(&host));
            let indices: Vec<usize> = of_host.collect();
            let its: Vec<&Path> = indices.iter().map(|&index| paths[index]).collect();
            for (index, name) in indices.into_iter().zip(paths::names(&its)) {
                names[index] = name;
            }
        }
        names
    }

    /// The databases that match the filter of the overview, by index.
    pub fn visible_databases(&self) -> Vec<usize> {
        let wanted = self.database_filter.to_lowercase();
        let matches = |(index, database): &(usize, &Database)| {
            let worst = database.worst().map(|finding| format!("{} {}", finding.kind, finding.message));
            let text = format!("{} {}", self.place(*index, database), worst.unwrap_or_default());
            wanted.is_empty() || text.to_lowercase().contains(&wanted)
        };
        let databases = self.databases().iter().enumerate();
        let mut visible: Vec<_> = databases.filter(matches).map(|(index, _)| index).collect();
        if self.is_remote() {
            self.worst_first(&mut visible);
        }
        visible
    }

    /// Whether the databases were found on this machine, and not named.
    pub fn is_discovered(&self) -> bool {
        !self.setup.discovered.is_empty()
    }

    /// Where the database at `index` is: its path, or the container and the path in it.
    pub fn place(&self, index: usize, database: &Database) -> String {
        let found = self.setup.discovered.get(index).cloned();
        found.unwrap_or_else(|| database.path.display().to_string())
    }

    /// Selects a database that the filter of the overview shows, if it hides the selected one.
    #[must_use]
    pub(super) fn keep_database(&mut self) -> Vec<Effect> {
        let visible = self.visible_databases();
        match visible.first() {
            Some(&first) if self.overview().is_some() && !visible.contains(&self.current()) => {
                self.show_database(first)
            }
            _ => Vec::new(),
        }
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
        if self.databases().len() > FEW || self.is_discovered() {
            self.mode = Mode::Overview(Overview { origin: None });
        }
    }

    /// Returns to the overview from a database that was opened in it.
    pub(super) fn return_to_overview(&mut self) {
        self.is_from_overview = false;
        self.mode = Mode::Overview(Overview { origin: None });
    }

    #[must_use]
    pub(super) fn toggle_overview(&mut self) -> Vec<Effect> {
        if self.overview().is_some() {
            self.mode = Mode::Panels;
            return Vec::new();
        }
        if self.databases().len() < 2 && !self.is_discovered() {
            return vec![self.notify(Notice::OnlyDatabase)];
        }
        self.close_overlay();
        self.is_from_overview = false;
        self.mode = Mode::Overview(Overview { origin: Some(self.current()) });
        Vec::new()
    }

    /// What `action` does in an overview without an overlay; `None`: the same as elsewhere.
    #[must_use]
    pub(super) fn act_in_overview(&mut self, overview: Overview, action: Action) -> Option<Vec<Effect>> {
        let visible = self.visible_databases();
        let row = visible.iter().position(|&index| index == self.current()).unwrap_or(0);
        let page = super::keys::PAGE.unsigned_abs();
        let to = match action {
            Action::Down => row + 1,
            Action::Up => row.saturating_sub(1),
            Action::PageDown => row + page,
            Action::PageUp => row.saturating_sub(page),
            Action::First => 0,
            Action::Last => visible.len().saturating_sub(1),
            Action::Details => {
                self.mode = Mode::Panels;
                self.is_from_overview = true;
                self.notice = None;
                row
            }
            Action::Back if !self.database_filter.is_empty() => {
                self.database_filter.clear();
                return Some(Vec::new());
            }
            Action::Back => {
                let Some(origin) = overview.origin else { return Some(Vec::new()) };
                self.mode = Mode::Panels;
                return Some(self.show_database(origin));
            }
            Action::Filter => {
                self.mode = Mode::Filter(FilterTarget::Databases(overview));
                return Some(Vec::new());
            }
            Action::Stop if self.stop_subject().is_none() => {
                let is_healthy = self.database().is_some_and(|database| database.findings.is_empty());
                let key = self.key_of(Action::Details).to_owned();
                let notice = if is_healthy { Notice::NothingFound { key } } else { Notice::WorstNamesNobody };
                return Some(vec![self.notify(notice)]);
            }
            // The area below the list replaces it.
            Action::Zoom(_) | Action::NextPanel | Action::PreviousPanel | Action::Timeline => {
                self.mode = Mode::Panels;
                return None;
            }
            Action::Sort | Action::Invert => {
                let key = self.key_of(Action::Details).to_owned();
                return Some(vec![self.notify(Notice::RowsHidden { by: RowCover::Overview, key })]);
            }
            _ => return None,
        };
        let to = visible.get(to.min(visible.len().saturating_sub(1))).copied();
        Some(to.map_or_else(Vec::new, |index| self.show_database(index)))
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
        if self.is_remote() {
            self.now = self.time_of_shown();
        }
        if self.overview().is_none() {
            self.close_prompt();
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
