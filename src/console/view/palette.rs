//! The command palette, over everything else.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use crate::{
    console::{
        app::{App, CommandPalette},
        screen_map::{RowList, ScreenMap, ScreenTarget},
        widgets::{centred, first_row, framed, theme::Theme, typed},
    },
    keymap::NamedKey,
    text,
};

const NAME: usize = 19;
const KEYS: usize = 13;
/// The most rows of actions.
const ROWS: u16 = 16;
/// The frame, the typed text, and the line about the selected action.
const BESIDE: u16 = 4;

pub fn render(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    theme: &Theme,
    open: &CommandPalette,
    map: &mut ScreenMap,
) {
    let height = (ROWS + BESIDE).min(area.height);
    let area = centred(area, area.width.min(100), height);
    frame.render_widget(Clear, area);
    let title = Span::styled(" Commands: typing filters, Enter runs one, Esc closes ", theme.title);
    let inner = framed(frame, area, theme.focus, title);
    let room = usize::from(inner.width);
    let mut line = Line::from(Span::styled(" : ", theme.accent));
    line.extend(typed(&open.query, room.saturating_sub(4), Style::new(), theme));
    let mut lines = vec![line];
    let rows = app.palette_rows();
    let visible = height.saturating_sub(BESIDE);
    let first = first_row(open.selected, visible);
    map.add(frame.area(), ScreenTarget::Nothing);
    map.add(area, ScreenTarget::List(RowList::Palette));
    let body = Rect { y: inner.y + 1, height: visible, ..inner };
    map.add_rows(body.intersection(inner), RowList::Palette, (first, rows.len()), 1);
    for (at, bound) in rows.iter().enumerate().skip(first).take(visible.into()) {
        let keys: Vec<&str> = bound.keys.iter().map(NamedKey::as_str).collect();
        let name = text::pad(bound.binding.name, NAME);
        let mark = if at == open.selected { "▸" } else { " " };
        let text = format!("{mark}{name}{} {}", text::pad(&keys.join(" "), KEYS), bound.binding.help);
        let style = match app.can(bound.binding.action) {
            _ if at == open.selected => theme.selected,
            true => Style::new(),
            false => theme.muted,
        };
        lines.push(Line::styled(text::pad(&text, room), style));
    }
    let remark = match rows.get(open.selected) {
        None => " no action matches",
        Some(bound) if !app.can(bound.binding.action) => " not possible now: Enter says why",
        Some(_) => "",
    };
    lines.resize(usize::from(inner.height).saturating_sub(1), Line::default());
    lines.push(Line::styled(remark, theme.muted));
    frame.render_widget(Paragraph::new(lines), inner);
}
