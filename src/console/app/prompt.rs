//! The `/` prompt: a filter for the rows of the focused panel, or a search in the text over the panels.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use tui_input::InputRequest;

use super::{App, Mode, Overlay, Overview};
use crate::keymap::{Action, Panel};

/// The rows that a filter narrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterTarget {
    Processes,
    Findings,
    Log,
    /// The databases of the overview.
    Databases(Overview),
}

/// The filters of one database. Only rows that contain the text are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct RowFilters {
    processes: String,
    findings: String,
    log: String,
}

/// A search in a long text. It closes with the text.
#[derive(Debug, Clone, Default)]
pub struct TextSearch {
    pub query: String,
    /// Whether the query gets the keys.
    pub is_typed: bool,
    /// The selected match, counted from 0.
    pub selected: usize,
}

/// What a frame showed of a long text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextExtent {
    /// The maximum scroll offset, in rows.
    pub farthest: u16,
    /// The rows that match the query.
    pub matches: Vec<u16>,
    /// Whether the last minutes of the write lock are among the panels.
    pub shows_recent: bool,
}

impl RowFilters {
    /// `None` for the filter that is not about the rows of one database.
    fn get(&self, target: FilterTarget) -> Option<&String> {
        match target {
            FilterTarget::Processes => Some(&self.processes),
            FilterTarget::Findings => Some(&self.findings),
            FilterTarget::Log => Some(&self.log),
            FilterTarget::Databases(_) => None,
        }
    }

    fn get_mut(&mut self, target: FilterTarget) -> Option<&mut String> {
        match target {
            FilterTarget::Processes => Some(&mut self.processes),
            FilterTarget::Findings => Some(&mut self.findings),
            FilterTarget::Log => Some(&mut self.log),
            FilterTarget::Databases(_) => None,
        }
    }
}

impl App {
    pub fn filter(&self, target: FilterTarget) -> &str {
        self.states.shown().filters.get(target).unwrap_or(&self.database_filter)
    }

    /// Whether the text of a row contains the filter of its panel, ignoring case. Without a filter the text is not made.
    pub(super) fn passes<T: AsRef<str>>(&self, target: FilterTarget, row: impl FnOnce() -> T) -> bool {
        let wanted = self.filter(target);
        wanted.is_empty() || row().as_ref().to_lowercase().contains(&wanted.to_lowercase())
    }

    fn filter_mut(&mut self, target: FilterTarget) -> &mut String {
        self.states.shown_mut().filters.get_mut(target).unwrap_or(&mut self.database_filter)
    }

    /// Opens the prompt of the focused panel or overlay. A panel whose rows have no filter gives way to the processes.
    pub(super) fn open_prompt(&mut self) {
        // A dialog that is about to open would take what is typed.
        self.pending_pin = None;
        if self.shows_text() {
            self.search = TextSearch { is_typed: true, ..TextSearch::default() };
            return;
        }
        let target = match self.focus {
            Panel::Findings => FilterTarget::Findings,
            Panel::Log => FilterTarget::Log,
            Panel::Processes | Panel::Files | Panel::Pragmas | Panel::Ingestion => {
                self.set_focus(Panel::Processes);
                FilterTarget::Processes
            }
        };
        self.mode = Mode::Filter(target);
    }

    /// Whether a long text lies over the panels.
    fn shows_text(&self) -> bool {
        matches!(self.overlay, Some(Overlay::Help | Overlay::Details(_))) || self.open_document().is_some()
    }

    /// Handles a key of the open prompt; returns whether it did.
    pub(super) fn prompt_key(&mut self, key: KeyEvent) -> bool {
        match self.mode {
            _ if self.search.is_typed => self.search_key(key),
            Mode::Filter(target) if self.overlay.is_none() => self.filter_key(target, key),
            _ => false,
        }
    }

    fn filter_key(&mut self, target: FilterTarget, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Enter => self.close_prompt(),
            KeyCode::Esc => {
                self.close_prompt();
                self.filter_mut(target).clear();
            }
            _ if !edit(self.filter_mut(target), key) => return false,
            _ => {}
        }
        self.filter_changed();
        true
    }

    /// Returns to what the open prompt filters.
    pub(super) fn close_prompt(&mut self) {
        match self.mode {
            Mode::Filter(FilterTarget::Databases(overview)) => self.mode = Mode::Overview(overview),
            Mode::Filter(_) => self.mode = Mode::Panels,
            _ => {}
        }
    }

    fn search_key(&mut self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Enter => self.search.is_typed = false,
            KeyCode::Esc => self.search = TextSearch::default(),
            _ if !edit(&mut self.search.query, key) => return false,
            _ => self.search.selected = 0,
        }
        true
    }

    /// Moves to the next or previous match in the text over the panels; returns whether there is such a text.
    pub(super) fn match_key(&mut self, key: KeyEvent) -> bool {
        let is_text = self.shows_text();
        let count = self.extent.matches.len();
        let by = match key.code {
            KeyCode::Char('n') => 1,
            KeyCode::Char('N') => count.saturating_sub(1),
            _ => return false,
        };
        if !is_text || self.search.query.is_empty() {
            return false;
        }
        if count > 0 {
            self.search.selected = (self.search.selected + by) % count;
            self.scroll = self.extent.matches[self.search.selected].min(self.extent.farthest);
        }
        true
    }

    /// The step to the next or previous row that matches the filter of the focused panel; `None` without a filter. A
    /// filter hides the other rows.
    pub(super) fn match_step(&self, key: KeyEvent) -> Option<Action> {
        let step = match key.code {
            KeyCode::Char('n') if key.modifiers.is_empty() => Action::Down,
            KeyCode::Char('N') => Action::Up,
            _ => return None,
        };
        let target = match (&self.mode, self.focus) {
            (Mode::Overview(overview), _) => FilterTarget::Databases(*overview),
            (Mode::Panels, Panel::Findings) => FilterTarget::Findings,
            (Mode::Panels, Panel::Log) => FilterTarget::Log,
            (Mode::Panels, Panel::Processes) => FilterTarget::Processes,
            _ => return None,
        };
        (self.overlay.is_none() && !self.filter(target).is_empty()).then_some(step)
    }

    /// Which match of the search is selected, counted from 0, and how many there are.
    pub fn search_matches(&self) -> (usize, usize) {
        (self.search.selected, self.extent.matches.len())
    }

    /// Inserts `text` into the open prompt, if any.
    pub(super) fn paste_into_prompt(&mut self, text: &str) {
        let typed = text.chars().filter(|character| !character.is_control());
        if let (Mode::GoTo(time), None) = (&mut self.mode, &self.overlay) {
            for character in typed {
                time.handle(InputRequest::InsertChar(character));
            }
            return;
        }
        if self.search.is_typed {
            self.search.query.extend(typed);
        } else if let (Mode::Filter(target), None) = (&self.mode, &self.overlay) {
            let target = *target;
            self.filter_mut(target).extend(typed);
            self.filter_changed();
        }
    }

    /// Records what the last frame showed of a long text. While the user types a query, its first match stays on the
    /// screen.
    pub(super) fn drawn(&mut self, extent: TextExtent) {
        if self.search.is_typed
            && let Some(&first) = extent.matches.first()
        {
            self.scroll = first;
        }
        self.scroll = self.scroll.min(extent.farthest);
        self.extent = extent;
    }

    /// Clears the filters of the database on the screen; returns whether there were any.
    pub(super) fn clear_filters(&mut self) -> bool {
        let targets = [FilterTarget::Processes, FilterTarget::Findings, FilterTarget::Log];
        if targets.iter().all(|&target| self.filter(target).is_empty()) {
            return false;
        }
        self.states.shown_mut().filters = RowFilters::default();
        self.filter_changed();
        true
    }
}

/// Applies `key` to a typed text; returns whether the key edits text.
fn edit(text: &mut String, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('u') if key.modifiers == KeyModifiers::CONTROL => text.clear(),
        KeyCode::Char(character) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() => {
            text.push(character);
        }
        KeyCode::Backspace => {
            text.pop();
        }
        _ => return false,
    }
    true
}
