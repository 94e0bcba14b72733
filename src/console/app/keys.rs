//! What each key does to the state of the console.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{App, FilterTarget, Mode, Notice, Overlay, RowCover, possible::is_about_a_row};
use crate::{
    act::Effect,
    console::dialogs::DialogReply,
    history::LockOwner,
    keymap::{Action, NamedKey, Panel},
};

/// The sampling intervals that `+` and `-` step through.
const INTERVALS: [Duration; 7] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// Rows that a page moves by.
pub(super) const PAGE: isize = 10;

impl App {
    #[must_use]
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        // The user has read it, or it would hide the next one.
        self.notice = None;
        self.states.shown_mut().is_settled = true;
        let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
        if let Some(Overlay::Dialog(dialog)) = &mut self.overlay {
            if is_interrupt {
                return self.dialog_replied(DialogReply::No);
            }
            let reply = dialog.key(key);
            return self.dialog_replied(reply);
        }
        if self.palette.is_some() {
            return self.palette_key(key, is_interrupt);
        }
        if self.search_list().is_some() {
            return self.search_list_key(key, is_interrupt);
        }
        if is_interrupt {
            return vec![Effect::Quit(130)];
        }
        if let Some(effects) = self.time_key(key) {
            return effects;
        }
        if self.prompt_key(key) || self.match_key(key) {
            return self.keep_database();
        }
        if let Some(step) = self.match_step(key) {
            return self.run(step);
        }
        let Some(action) = self.setup.keymap.action(key) else { return self.unknown_key(key) };
        self.run(action)
    }

    /// Runs `action` on what is on the screen, for its key or from the palette.
    #[must_use]
    pub(super) fn run(&mut self, action: Action) -> Vec<Effect> {
        if matches!(self.mode, Mode::Filter(_)) && !moves_in_rows(action) {
            self.close_prompt();
        }
        let special = match (&self.overlay, &self.mode) {
            (None, Mode::Timeline(_)) => self.act_in_time(action),
            (None, Mode::Overview(overview) | Mode::Filter(FilterTarget::Databases(overview))) => {
                self.act_in_overview(*overview, action)
            }
            // The rows are hidden whatever lies over what hides them.
            (Some(Overlay::Help), Mode::Timeline(_) | Mode::Overview(_)) if is_about_a_row(action) => {
                let key = self.key_of(Action::Back).to_owned();
                Some(vec![self.notify(Notice::RowsHidden { by: RowCover::Other, key })])
            }
            _ => None,
        };
        let special = special.or_else(|| self.act_in_replay(action)).or_else(|| self.act_on_hosts(action));
        special.unwrap_or_else(|| self.act(action))
    }

    pub(super) fn paste(&mut self, pasted: &str) {
        if let Some(Overlay::Dialog(dialog)) = &mut self.overlay {
            dialog.paste(pasted);
        } else if let Some(palette) = &mut self.palette {
            palette.paste(pasted);
        } else if let Some(search) = self.search_list() {
            search.paste(pasted);
        } else {
            self.paste_into_prompt(pasted);
        }
    }

    #[must_use]
    fn act(&mut self, action: Action) -> Vec<Effect> {
        let is_of_processes = matches!(action, Action::Sort | Action::Invert | Action::Tree);
        if is_of_processes && !self.shows(Panel::Processes) {
            let key = self.key_of(Action::Zoom(Panel::Processes)).to_owned();
            return vec![self.notify(Notice::ProcessesHidden { key })];
        }
        let needs_database = is_of_processes
            || matches!(action, Action::Export | Action::Record)
            || action == Action::Timeline && self.timeline().is_none();
        if needs_database && self.database().is_none() {
            return vec![self.notify(Notice::NothingSeen)];
        }
        match action {
            Action::Quit if self.is_plain() => return vec![Effect::Quit(0)],
            Action::Quit => {
                if !self.close_top() {
                    self.zoomed = false;
                }
            }
            Action::Back => return self.back(),
            Action::Help => self.toggle_help(),
            Action::Palette => self.open_palette(),
            Action::Details if self.open_document().is_some() => {}
            Action::Details => return self.details(),
            Action::Stack => return self.ask_stack(),
            Action::Documents => return self.open_search(),
            Action::Down => self.step(1),
            Action::Up => self.step(-1),
            Action::PageDown => self.step(PAGE),
            Action::PageUp => self.step(-PAGE),
            Action::First => self.step(-isize::from(i16::MAX)),
            Action::Last => self.step(isize::from(i16::MAX)),
            Action::NextPanel => self.next_panel(1),
            Action::PreviousPanel => self.next_panel(Panel::ALL.len() - 1),
            Action::Zoom(panel) => {
                self.zoomed = !(self.zoomed && self.focus == panel);
                self.set_focus(panel);
                self.close_overlay();
                self.mode = Mode::Panels;
            }
            Action::Overview => return self.toggle_overview(),
            Action::PreviousDatabase => return self.switch_database(-1),
            Action::NextDatabase => return self.switch_database(1),
            Action::Filter => self.open_prompt(),
            Action::Sort => self.order.column = self.order.column.next_sort(),
            Action::Invert => self.order.is_inverted = !self.order.is_inverted,
            Action::Tree => return self.toggle_tree(),
            Action::Pause => {
                self.frozen = if self.frozen.is_some() { None } else { self.newest.clone() };
                if !self.is_paused() {
                    self.log.resume();
                }
                self.keep_selection();
                return self.freeze_timeline();
            }
            Action::Refresh => {
                self.ask_again();
                return vec![Effect::Refresh];
            }
            Action::Faster => return self.change_interval(-1),
            Action::Slower => return self.change_interval(1),
            Action::Export => return self.export(),
            Action::Record => return vec![Effect::Record(self.recorder().is_none())],
            Action::Copy => return self.copy(),
            Action::CopyPid => return self.copy_pid(),
            Action::Tag => return self.toggle_tag(),
            Action::Redraw => return vec![Effect::Redraw],
            Action::Mouse => return self.toggle_mouse(),
            Action::Suspend => return vec![Effect::Suspend],
            Action::Timeline => return self.toggle_timeline(),
            Action::Earlier | Action::Later | Action::PreviousHold | Action::NextHold => {
                if self.timeline().is_some() {
                    let key = self.key_of(Action::Back).to_owned();
                    return vec![self.notify(Notice::RowsHidden { by: RowCover::Other, key })];
                }
                let key = self.key_of(Action::Timeline).to_owned();
                return vec![self.notify(Notice::NoTimeline { key })];
            }
            Action::Arm => return self.arm(),
            // No key outside of a replay has them.
            Action::Play
            | Action::GoTo
            | Action::PreviousFinding
            | Action::NextFinding
            | Action::PlaySlower
            | Action::PlayFaster => {}
            Action::Ingest
            | Action::Checkpoint
            | Action::Stop
            | Action::Reap
            | Action::Fix
            | Action::Health => {
                return self.ask(action);
            }
        }
        Vec::new()
    }

    /// What `action` does in a timeline without an overlay; `None`: the same as elsewhere.
    #[must_use]
    fn act_in_time(&mut self, action: Action) -> Option<Vec<Effect>> {
        Some(match action {
            Action::Earlier => self.move_in_time(-1),
            Action::Later => self.move_in_time(1),
            Action::PageUp => self.page_in_time(-1),
            Action::PageDown => self.page_in_time(1),
            Action::First => self.end_of_time(true),
            Action::Last => self.end_of_time(false),
            Action::Faster => self.zoom_in_time(-1),
            Action::Slower => self.zoom_in_time(1),
            Action::PreviousHold | Action::NextHold => {
                self.jump_in_time(action == Action::NextHold);
                Vec::new()
            }
            Action::Stop | Action::Details if self.hold_process().is_none() => {
                let notice = match self.lock_owner() {
                    Some(LockOwner { pid: Some(pid), name, .. }) => {
                        Notice::HolderGone { who: format!("{pid} ({name})") }
                    }
                    Some(_) => Notice::HolderUnseen,
                    None => {
                        let [before, next] = [Action::PreviousHold, Action::NextHold]
                            .map(|action| self.key_of(action).to_owned());
                        Notice::NoHoldSelected { before, next }
                    }
                };
                vec![self.notify(notice)]
            }
            Action::Sort | Action::Invert => {
                let key = self.key_of(Action::Timeline).to_owned();
                vec![self.notify(Notice::RowsHidden { by: RowCover::Timeline, key })]
            }
            _ => return None,
        })
    }

    /// Whether nothing is open that a key would close before the console quits.
    fn is_plain(&self) -> bool {
        let is_zoomed = self.zoomed && self.overview().is_none();
        self.overlay.is_none() && self.timeline().is_none() && !is_zoomed
    }

    /// Closes what lies on top of the panels; whether there was anything.
    fn close_top(&mut self) -> bool {
        self.close_document() || self.close_overlay() || self.close_timeline()
    }

    /// Reports that a key does nothing. A key without a name is an event of the terminal itself.
    #[must_use]
    fn unknown_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Some(key) = NamedKey::pressed(key) else { return Vec::new() };
        let help = self.key_of(Action::Help).to_owned();
        self.show_notice(Notice::UnknownKey { key: key.as_str().to_owned(), help });
        Vec::new()
    }

    #[must_use]
    fn back(&mut self) -> Vec<Effect> {
        if self.close_top() || self.clear_tags() || self.clear_filters() || std::mem::take(&mut self.zoomed) {
            return Vec::new();
        }
        if self.is_from_overview {
            self.return_to_overview();
        }
        Vec::new()
    }

    pub(super) fn step(&mut self, by: isize) {
        if self.overlay.is_some() || self.timeline().is_some() {
            let by = by.clamp(-1000, 1000);
            self.scroll =
                u16::try_from((isize::try_from(self.scroll).unwrap_or(0) + by).clamp(0, 1000)).unwrap_or(0);
        } else {
            self.move_selection(by);
        }
    }

    /// Moves the focus by this many panels, in a circle.
    fn next_panel(&mut self, by: usize) {
        let at = Panel::ALL.iter().position(|&panel| panel == self.focus).unwrap_or(0);
        self.set_focus(Panel::ALL[(at + by) % Panel::ALL.len()]);
        self.close_overlay();
        self.mode = Mode::Panels;
    }

    fn toggle_help(&mut self) {
        self.pending_pin = None;
        let is_open = matches!(self.overlay, Some(Overlay::Help));
        self.close_overlay();
        self.overlay = if is_open { None } else { Some(Overlay::Help) };
    }

    #[must_use]
    fn details(&mut self) -> Vec<Effect> {
        match self.subject() {
            Some(subject) => {
                let is_open = matches!(&self.overlay, Some(Overlay::Details(open)) if *open == subject);
                self.close_overlay();
                self.overlay = if is_open { None } else { Some(Overlay::Details(subject)) };
            }
            None => return vec![self.notify(Notice::NothingSelected)],
        }
        Vec::new()
    }

    #[must_use]
    fn export(&mut self) -> Vec<Effect> {
        match self.sample() {
            Some(look) => vec![Effect::Export(Box::new(look.snapshot.clone()))],
            None => vec![self.notify(Notice::NothingSeen)],
        }
    }

    #[must_use]
    fn change_interval(&mut self, by: isize) -> Vec<Effect> {
        let nearest = INTERVALS.partition_point(|&interval| interval < self.interval);
        let at = nearest.saturating_add_signed(by).min(INTERVALS.len() - 1);
        self.interval = INTERVALS[at];
        vec![Effect::Every(self.interval)]
    }
}

fn moves_in_rows(action: Action) -> bool {
    matches!(
        action,
        Action::Down | Action::Up | Action::PageDown | Action::PageUp | Action::First | Action::Last
    )
}
