//! What panels and dialogs are both drawn with. It knows neither of them.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::Span,
    widgets::{Block, BorderType},
};
use tui_input::Input;

use crate::text;

pub mod theme;

use theme::Theme;

/// Draws a frame in `style` with `title`; returns the area inside it.
pub fn framed(frame: &mut Frame, area: Rect, style: Style, title: Span<'static>) -> Rect {
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(style).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// A rectangle in the middle of `area`, at most as large as it.
pub fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// The first row to draw so that `selected` is among `height` rows.
pub fn first_row(selected: usize, height: u16) -> usize {
    (selected + 1).saturating_sub(height.max(1).into())
}

/// A typed text with its cursor, in `room` columns and the cursor's own.
pub fn typed(input: &Input, room: usize, style: Style, theme: &Theme) -> [Span<'static>; 3] {
    let (before, after) = around_cursor(input, room);
    [Span::styled(before, style), Span::styled("▏", theme.accent), Span::styled(after, style)]
}

/// The parts of a long value before and after the cursor that fit in `room` columns. The cursor is always visible.
pub fn around_cursor(input: &Input, room: usize) -> (String, String) {
    let hidden = input.cursor().saturating_sub(room);
    let before: String = input.value().chars().take(input.cursor()).skip(hidden).collect();
    let left = room - (input.cursor() - hidden);
    let after: String = input.value().chars().skip(input.cursor()).take(left).collect();
    (text::clean(&before), text::clean(&after))
}
