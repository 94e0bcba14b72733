//! What clicks and the wheel do. They mean what the last frame drew, and only while nothing has changed since.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{App, Message, Notice, Overlay, TimelineView};
use crate::{
    act::Effect,
    console::{
        process_columns::PROCESS_COLUMNS,
        screen_map::{RowList, ScreenMap, ScreenTarget},
    },
    keymap::{Action, Panel},
};

/// Rows that a text moves by with each step of the wheel.
const WHEEL: isize = 3;

/// The mouse, and what it can hit.
#[derive(Debug)]
pub(super) struct Pointer {
    /// Whether the console has the mouse.
    is_taken: bool,
    /// What the last frame drew; `None` once the state has changed.
    map: Option<ScreenMap>,
    /// The button or key on which the mouse was pressed and not yet released, and the dialog at that time.
    pressed: Option<(ScreenTarget, Option<u64>)>,
    /// The row that the last click selected.
    clicked: Option<(RowList, usize)>,
}

impl Pointer {
    pub(super) fn new(is_taken: bool) -> Self {
        Self { is_taken, map: None, pressed: None, clicked: None }
    }

    /// Before `message`: if it can change what is on the screen, the map of the last frame is no longer true.
    pub(super) fn withdraw_for(&mut self, message: &Message) {
        match message {
            // The mouse needs the map; the others move no row.
            Message::Mouse(_)
            | Message::Drawn(_)
            | Message::Tick(_)
            | Message::Timeline { .. }
            | Message::Logged(_) => return,
            Message::Key(_) | Message::Paste(_) => (self.pressed, self.clicked) = (None, None),
            Message::Look(_) | Message::SamplerEnded | Message::SettingsChanged | Message::Report(_) => {}
        }
        self.map = None;
    }

    pub(super) fn drawn(&mut self, map: ScreenMap) {
        self.map = Some(map);
    }
}

impl App {
    /// Whether the console has the mouse; otherwise the terminal selects text with it.
    pub fn has_mouse(&self) -> bool {
        self.pointer.is_taken
    }

    #[must_use]
    pub(super) fn toggle_mouse(&mut self) -> Vec<Effect> {
        self.pointer.is_taken = !self.pointer.is_taken;
        let key = self.key_of(Action::Mouse).to_owned();
        let is_taken = self.has_mouse();
        let notice = if is_taken { Notice::MouseTaken { key } } else { Notice::MouseFreed { key } };
        vec![Effect::Mouse(is_taken), self.notify(notice)]
    }

    #[must_use]
    pub(super) fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let dialog = self.dialog_number();
        let is_current = |map: &&ScreenMap| map.dialog == dialog;
        let Some(map) = self.pointer.map.as_ref().filter(is_current).filter(|_| self.has_mouse()) else {
            (self.pointer.pressed, self.pointer.clicked) = (None, None);
            return Vec::new();
        };
        let target = map.at(event.column, event.row);
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) => self.press(target, dialog),
            MouseEventKind::Up(MouseButton::Left) => self.release(target, dialog),
            MouseEventKind::ScrollDown => self.wheel(target, 1),
            MouseEventKind::ScrollUp => self.wheel(target, -1),
            _ => Vec::new(),
        }
    }

    fn dialog_number(&self) -> Option<u64> {
        if let Some(Overlay::Dialog(dialog)) = &self.overlay { Some(dialog.number) } else { None }
    }

    #[must_use]
    fn press(&mut self, target: ScreenTarget, dialog: Option<u64>) -> Vec<Effect> {
        self.pointer.pressed = None;
        let clicked = self.pointer.clicked.take();
        if target == ScreenTarget::Nothing {
            return Vec::new();
        }
        self.touched_by_mouse();
        match target {
            ScreenTarget::Button(_) | ScreenTarget::Key(_) => {
                self.pointer.pressed = Some((target, dialog));
            }
            ScreenTarget::List(RowList::Panel(panel)) => self.focus_by_mouse(panel),
            ScreenTarget::Row(list, row) => {
                if clicked == Some((list, row)) && self.is_row_selected(list, row) {
                    return self.open_row(list);
                }
                self.pointer.clicked = Some((list, row));
                return self.point(list, row);
            }
            ScreenTarget::Tick(row) => {
                let effects = self.point(RowList::Dialog, row);
                self.list_key(KeyCode::Char(' '));
                return effects;
            }
            ScreenTarget::Heading(column) => self.sort_by(column),
            ScreenTarget::Moment(step) => {
                let by = self.timeline().map_or(0, |past| step.cast_signed() - past.cursor.cast_signed());
                return self.move_in_time(by);
            }
            ScreenTarget::List(_) | ScreenTarget::Nothing | ScreenTarget::Text | ScreenTarget::Lanes => {}
        }
        Vec::new()
    }

    /// A button or key acts if the mouse is released where it was pressed, and no other dialog opened meanwhile.
    #[must_use]
    fn release(&mut self, target: ScreenTarget, dialog: Option<u64>) -> Vec<Effect> {
        if self.pointer.pressed.take() != Some((target, dialog)) {
            return Vec::new();
        }
        self.touched_by_mouse();
        match (target, &mut self.overlay) {
            (ScreenTarget::Key(action), _) => self.run(action),
            (ScreenTarget::Button(button), Some(Overlay::Dialog(open))) => {
                let reply = open.press(button);
                self.dialog_replied(reply)
            }
            _ => Vec::new(),
        }
    }

    #[must_use]
    fn wheel(&mut self, target: ScreenTarget, by: isize) -> Vec<Effect> {
        if matches!(target, ScreenTarget::Nothing | ScreenTarget::Key(_) | ScreenTarget::Button(_)) {
            return Vec::new();
        }
        self.pointer.map = None;
        self.pointer.clicked = None;
        self.states.shown_mut().is_settled = true;
        match target {
            ScreenTarget::Text => self.step(by * WHEEL),
            ScreenTarget::Lanes => self.step(by),
            ScreenTarget::Moment(_) => return self.zoom_in_time(by),
            ScreenTarget::Row(list, _) | ScreenTarget::List(list) => return self.wheel_in(list, by),
            ScreenTarget::Heading(_) => return self.wheel_in(RowList::Panel(Panel::Processes), by),
            ScreenTarget::Tick(_) => return self.wheel_in(RowList::Dialog, by),
            ScreenTarget::Nothing | ScreenTarget::Key(_) | ScreenTarget::Button(_) => {}
        }
        Vec::new()
    }

    #[must_use]
    fn wheel_in(&mut self, list: RowList, by: isize) -> Vec<Effect> {
        let key = if by > 0 { KeyCode::Down } else { KeyCode::Up };
        match list {
            RowList::Panel(panel) => {
                self.focus_by_mouse(panel);
                self.move_selection(by);
            }
            RowList::Databases => return self.run(if by > 0 { Action::Down } else { Action::Up }),
            RowList::Holds => self.jump_in_time(by > 0),
            RowList::Palette => return self.palette_key(plain(key), false),
            RowList::Documents => return self.search_list_key(plain(key), false),
            RowList::Dialog => self.list_key(key),
        }
        Vec::new()
    }

    /// The user has read the notice, as with a key, and the map is true no more.
    fn touched_by_mouse(&mut self) {
        self.notice = None;
        self.pointer.map = None;
        self.states.shown_mut().is_settled = true;
    }

    /// A filter that is being typed belongs to the panel that had the focus.
    fn focus_by_mouse(&mut self, panel: Panel) {
        if self.focus != panel {
            self.close_prompt();
            self.set_focus(panel);
        }
    }

    /// Selects a row.
    #[must_use]
    fn point(&mut self, list: RowList, row: usize) -> Vec<Effect> {
        match list {
            RowList::Panel(panel) => {
                self.focus_by_mouse(panel);
                if row < self.rows(panel) {
                    self.select_row(panel, row);
                }
            }
            RowList::Databases => {
                if let Some(&index) = self.visible_databases().get(row) {
                    return self.show_database(index);
                }
            }
            RowList::Holds => {
                if let Some(past) = self.timeline_mut() {
                    past.select_hold(row);
                }
            }
            RowList::Palette => {
                let count = self.palette_rows().len();
                if let Some(palette) = &mut self.palette {
                    palette.selected = row.min(count.saturating_sub(1));
                }
            }
            RowList::Documents => {
                if let Some(search) = self.search_list() {
                    search.select(row);
                }
            }
            RowList::Dialog => {
                if let Some(Overlay::Dialog(dialog)) = &mut self.overlay {
                    dialog.point(row);
                }
            }
        }
        Vec::new()
    }

    /// Whether the row that was clicked is still the selected one.
    fn is_row_selected(&mut self, list: RowList, row: usize) -> bool {
        match list {
            RowList::Panel(panel) => self.focus == panel && self.selected_row(panel) == row,
            RowList::Databases => self.visible_databases().get(row) == Some(&self.current()),
            RowList::Holds => self.timeline().and_then(TimelineView::selected_hold) == Some(row),
            RowList::Palette => self.palette.as_ref().is_some_and(|palette| palette.selected == row),
            RowList::Documents => self.search_list().is_some_and(|search| search.selected == row),
            RowList::Dialog => true,
        }
    }

    /// What a second click does.
    #[must_use]
    fn open_row(&mut self, list: RowList) -> Vec<Effect> {
        match list {
            RowList::Panel(_) | RowList::Databases | RowList::Holds => self.run(Action::Details),
            RowList::Palette => self.palette_key(plain(KeyCode::Enter), false),
            RowList::Documents => self.read_document(),
            RowList::Dialog => Vec::new(),
        }
    }

    /// Sorts by a column, or reverses its order.
    fn sort_by(&mut self, column: usize) {
        self.focus_by_mouse(Panel::Processes);
        let Some(column) = PROCESS_COLUMNS.get(column).filter(|column| column.sort.is_some()) else { return };
        if self.order.column.heading == column.heading {
            self.order.is_inverted = !self.order.is_inverted;
        } else {
            (self.order.column, self.order.is_inverted) = (column, false);
        }
    }

    /// A key that moves or ticks in the list of the open dialog.
    fn list_key(&mut self, code: KeyCode) {
        if let Some(Overlay::Dialog(dialog)) = &mut self.overlay {
            dialog.list_key(plain(code));
        }
    }
}

fn plain(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}
