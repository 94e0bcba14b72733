//! The command palette: every action of the keymap by name. It runs one on what is below it.

use crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::{Input, InputRequest, backend::crossterm::EventHandler};

use super::{App, keys::PAGE};
use crate::{
    act::Effect,
    keymap::{Action, ActiveBinding},
};

/// The letters that occur in too many sentences of the help to search there.
const SHORT: usize = 2;

/// An open palette.
#[derive(Debug, Clone, Default)]
pub struct CommandPalette {
    pub query: Input,
    /// The selected row of those that match.
    pub selected: usize,
}

impl CommandPalette {
    /// Inserts the first line of `text`.
    pub(super) fn paste(&mut self, text: &str) {
        let line = text.trim_start().lines().next().unwrap_or_default();
        for character in line.chars().filter(|character| !character.is_control()) {
            self.query.handle(InputRequest::InsertChar(character));
        }
        self.selected = 0;
    }
}

impl App {
    pub(super) fn open_palette(&mut self) {
        // A dialog that is about to open would take what is typed.
        self.pending_pin = None;
        self.palette = Some(CommandPalette::default());
    }

    /// The actions that match what is typed into the palette, the best match first, then as in the help.
    pub fn palette_rows(&self) -> Vec<ActiveBinding<'_>> {
        let typed = self.palette.as_ref().map_or("", |palette| palette.query.value());
        let wanted = typed.trim().to_lowercase().replace(' ', "-");
        let all = self.setup.keymap.bindings().filter(|bound| bound.binding.action != Action::Palette);
        let mut ranked: Vec<_> = all
            .filter_map(|bound| Some((rank(&wanted, bound.binding.name, bound.binding.help)?, bound)))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, bound)| bound).collect()
    }

    /// Handles a key while the palette is open. A letter is always text.
    #[must_use]
    pub(super) fn palette_key(&mut self, key: KeyEvent, is_interrupt: bool) -> Vec<Effect> {
        let rows = self.palette_rows();
        let (last, actions) =
            (rows.len().saturating_sub(1), rows.iter().map(|it| it.binding.action).collect::<Vec<_>>());
        let Some(palette) = &mut self.palette else { return Vec::new() };
        let at = palette.selected;
        match key.code {
            KeyCode::Esc => self.palette = None,
            _ if is_interrupt => self.palette = None,
            KeyCode::Enter => {
                if let Some(&action) = actions.get(at) {
                    self.palette = None;
                    return self.run(action);
                }
            }
            KeyCode::Down | KeyCode::Tab => palette.selected = (at + 1).min(last),
            KeyCode::Up | KeyCode::BackTab => palette.selected = at.saturating_sub(1),
            KeyCode::PageDown => palette.selected = at.saturating_add_signed(PAGE).min(last),
            KeyCode::PageUp => palette.selected = at.saturating_add_signed(-PAGE),
            _ => {
                let changed = palette.query.handle_event(&Event::Key(key));
                if changed.is_some_and(|change| change.value) {
                    palette.selected = 0;
                }
            }
        }
        Vec::new()
    }
}

/// How well an action matches `wanted`, 0 best; `None`: not at all.
fn rank(wanted: &str, name: &str, help: &str) -> Option<u8> {
    if name.starts_with(wanted) {
        Some(0)
    } else if name.contains(wanted) {
        Some(1)
    } else if wanted.len() > SHORT && wanted.split('-').all(|word| help.to_lowercase().contains(word)) {
        Some(2)
    } else {
        is_spread_over(wanted, name).then_some(3)
    }
}

/// Whether the characters of `wanted` occur in `name` in their order, the first one first: `ckpt` is `checkpoint`, and
/// `pods` is not `previous-database`, whose second word it would begin in the middle of.
fn is_spread_over(wanted: &str, name: &str) -> bool {
    if !wanted.starts_with(|first| name.starts_with(first)) || name.contains('-') {
        return false;
    }
    let mut rest = name.chars();
    wanted.chars().all(|character| rest.any(|it| it == character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_name_matches_best_then_the_name_the_help_and_spread_letters() {
        let help = "run a checkpoint; names the processes that block it";
        for (wanted, expected) in [
            ("", Some(0)),
            ("check", Some(0)),
            ("point", Some(1)),
            ("block-names", Some(2)),
            ("ckpt", Some(3)),
            ("tpkc", None),
            ("kpt", None),
            ("ingest", None),
        ] {
            assert_eq!(rank(wanted, "checkpoint", help), expected, "{wanted}");
        }
    }
}
