//! What fills the screen and what overlays it: one of each, so that two can never be open at once.

use tui_input::Input;

use crate::console::dialogs::{Dialog, DialogKind};

use super::{App, DetailsSubject, DocumentSearch, FilterTarget, Overview, TextSearch, TimelineView};

/// What fills the middle of the screen. It gets the keys that no dialog handles.
#[derive(Debug, Clone, Default)]
pub enum Mode {
    #[default]
    Panels,
    /// The panels, while the user types a filter.
    Filter(FilterTarget),
    /// The panels of a replay, while the user types a time.
    GoTo(Input),
    /// All databases, one line each, in place of the panels.
    Overview(Overview),
    /// The timeline over the panels.
    Timeline(TimelineView),
}

/// The overlay.
#[derive(Debug, Clone)]
pub enum Overlay {
    /// The keys that are active in this state.
    Help,
    Details(DetailsSubject),
    /// A search in the ingested documents; without an open document it handles all keys.
    Documents(Box<DocumentSearch>),
    /// It handles all keys.
    Dialog(Box<Dialog>),
}

impl App {
    /// What lies over the panels.
    pub fn overlay(&self) -> Option<&Overlay> {
        self.overlay.as_ref()
    }

    /// The open dialog.
    pub fn dialog(&self) -> Option<&DialogKind> {
        if let Some(Overlay::Dialog(dialog)) = &self.overlay { Some(&dialog.kind) } else { None }
    }

    pub(super) fn open_dialog(&mut self, kind: DialogKind) {
        self.show_dialog(Dialog::new(kind));
    }

    pub(super) fn show_dialog(&mut self, mut dialog: Dialog) {
        self.close_overlay();
        self.dialogs += 1;
        dialog.number = self.dialogs;
        self.overlay = Some(Overlay::Dialog(Box::new(dialog)));
    }

    /// Closes the open dialog if `is_meant` returns true.
    pub(super) fn take_dialog(&mut self, is_meant: impl FnOnce(&DialogKind) -> bool) -> Option<Dialog> {
        if !self.dialog().is_some_and(is_meant) {
            return None;
        }
        if let Some(Overlay::Dialog(dialog)) = self.overlay.take() { Some(*dialog) } else { None }
    }

    /// Closes what lies over the panels, with its search; whether there was anything.
    pub(super) fn close_overlay(&mut self) -> bool {
        self.scroll = 0;
        self.search = TextSearch::default();
        self.overlay.take().is_some()
    }

    pub fn overview(&self) -> Option<Overview> {
        match self.mode {
            Mode::Overview(overview) | Mode::Filter(FilterTarget::Databases(overview)) => Some(overview),
            _ => None,
        }
    }

    pub fn timeline(&self) -> Option<&TimelineView> {
        if let Mode::Timeline(timeline) = &self.mode { Some(timeline) } else { None }
    }

    pub(super) fn timeline_mut(&mut self) -> Option<&mut TimelineView> {
        if let Mode::Timeline(timeline) = &mut self.mode { Some(timeline) } else { None }
    }

    /// Returns whether a timeline was open.
    pub(super) fn close_timeline(&mut self) -> bool {
        let is_open = self.timeline().is_some();
        if is_open {
            self.mode = Mode::Panels;
        }
        is_open
    }
}
