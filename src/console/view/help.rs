//! The keys that act here and now, made from the keymap.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Clear,
};

use crate::{console::app::App, text};

use super::{framed, theme::Theme};

const KEYS: usize = 11;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) -> u16 {
    let area = super::dialog::centred(area, area.width.min(100), area.height);
    frame.render_widget(Clear, area);
    let title = Span::styled(" Keys that act here and now: Esc closes, j k scroll ", theme.title);
    let inner = framed(frame, area, theme.focus, title);
    let room = usize::from(inner.width).saturating_sub(KEYS + 1);
    let mut lines = Vec::new();
    for binding in app.bindings() {
        let mut keys = Some(binding.keys.join(" "));
        for help in text::wrap(binding.help, room) {
            let keys = keys.take().unwrap_or_default();
            lines.push(Line::from(vec![
                Span::styled(format!(" {keys:<KEYS$}"), theme.accent),
                Span::raw(help),
            ]));
        }
    }
    super::scrolled(frame, inner, app, lines)
}
