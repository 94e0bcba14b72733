//! Which actions are possible in a state of the console.

use super::{App, Mode, Overlay};
use crate::keymap::{Action, ActiveBinding, Panel};

impl App {
    /// The bindings that are active in this state.
    pub fn bindings(&self) -> impl Iterator<Item = ActiveBinding<'_>> {
        self.setup.keymap.bindings().filter(|bound| self.can(bound.binding.action))
    }

    /// Whether `action` is active in this state.
    pub fn can(&self, action: Action) -> bool {
        let database = self.database();
        let exists = database.is_some_and(|database| database.files.db.is_some());
        // The timeline covers the rows: no action may apply to a hidden row.
        match self.mode {
            Mode::Timeline(_) if matches!(action, Action::Sort | Action::Invert) => return false,
            Mode::Timeline(_) if is_about_a_row(action) && matches!(self.overlay, Some(Overlay::Help)) => {
                return false;
            }
            Mode::Overview(_) if is_about_a_row(action) => {
                return match action {
                    Action::Stop => self.switch.is_armed() && self.stop_subject().is_some(),
                    action => matches!(action, Action::Details | Action::Copy),
                };
            }
            _ => {}
        }
        match action {
            Action::Earlier | Action::Later => self.timeline().is_some() || self.is_replay(),
            Action::PreviousHold | Action::NextHold => self.timeline().is_some(),
            Action::Play
            | Action::GoTo
            | Action::PreviousFinding
            | Action::NextFinding
            | Action::PlaySlower
            | Action::PlayFaster => self.is_replay(),
            Action::Documents
            | Action::Stack
            | Action::Tag
            | Action::Refresh
            | Action::Arm
            | Action::Record
            | Action::Pause
                if self.is_replay() =>
            {
                false
            }
            Action::Documents
            | Action::Stack
            | Action::Refresh
            | Action::Fix
            | Action::Record
            | Action::Faster
            | Action::Slower
                if self.is_remote() && self.timeline().is_none() =>
            {
                false
            }
            Action::Ingest if self.is_remote() => {
                self.switch.is_armed() && self.ingestion_to_stop().is_some()
            }
            Action::Ingest => self.switch.is_armed() && database.is_some(),
            Action::Checkpoint => {
                self.switch.is_armed() && database.is_some_and(|it| it.is_wal() == Some(true))
            }
            Action::Stop => self.switch.is_armed() && self.subject_pid().is_some(),
            Action::Tag => self.focus == Panel::Processes && self.selected_process().is_some(),
            Action::CopyPid => self.subject_pid().is_some(),
            Action::Reap => self.switch.is_armed() && self.has_stale(),
            Action::Fix => self.switch.is_armed() && !self.fixes().is_empty(),
            Action::Health => self.switch.is_armed() && exists,
            Action::Documents => exists,
            Action::Details => self.subject().is_some(),
            Action::Stack => self.stack_program().is_some(),
            Action::Copy => self.selected_text().is_some(),
            Action::Sort | Action::Invert | Action::Tree => exists && self.shows(Panel::Processes),
            Action::Export | Action::Timeline | Action::Record => database.is_some(),
            Action::Arm => !self.switch.is_read_only(),
            Action::Overview | Action::PreviousDatabase | Action::NextDatabase => self.databases().len() > 1,
            Action::Down
            | Action::Up
            | Action::PageDown
            | Action::PageUp
            | Action::First
            | Action::Last
            | Action::NextPanel
            | Action::PreviousPanel
            | Action::Zoom(_)
            | Action::Back
            | Action::Filter
            | Action::Pause
            | Action::Refresh
            | Action::Faster
            | Action::Slower
            | Action::Help
            | Action::Palette
            | Action::Redraw
            | Action::Mouse
            | Action::Suspend
            | Action::Quit => true,
        }
    }
}

pub(super) fn is_about_a_row(action: Action) -> bool {
    matches!(
        action,
        Action::Stop
            | Action::Tag
            | Action::Details
            | Action::Stack
            | Action::Copy
            | Action::CopyPid
            | Action::Sort
            | Action::Invert
            | Action::Tree
    )
}
