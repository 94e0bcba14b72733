//! The last line: what just happened, else the filter that is typed, else the keys.

use log::Level;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use crate::{console::app::App, text};

use super::theme::Theme;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let room = usize::from(area.width);
    let line = if app.filtering {
        Line::from(vec![
            Span::styled(" filter: ", theme.accent),
            Span::raw(text::fit(&app.filter, room.saturating_sub(40))),
            Span::styled("▏", theme.accent),
            Span::styled("  Enter keeps it, Esc clears it", theme.muted),
        ])
    } else if let Some(notice) = &app.notice {
        let (sign, style) = match notice.level {
            Level::Error => ("✖", theme.danger),
            Level::Warn => ("▲", theme.warning),
            _ => ("✔", theme.good),
        };
        let whole = format!(" {sign} {}", notice.text);
        // What does not fit stands in the log.
        let pointer = if whole.width() > room { "  6 shows it all" } else { "" };
        Line::styled(text::fit(&whole, room - pointer.len()) + pointer, style)
    } else {
        keys(app, theme, room)
    };
    frame.render_widget(Paragraph::new(line), area);
}

/// As many of the keys that act here and now as there is room for; help and quit always.
fn keys(app: &App, theme: &Theme, room: usize) -> Line<'static> {
    let labelled: Vec<_> = app.bindings().filter(|binding| !binding.label.is_empty()).collect();
    let width =
        |binding: &crate::console::keymap::Binding| binding.keys[0].width() + binding.label.width() + 3;
    let (rest, always) = labelled.split_at(labelled.len().saturating_sub(2));
    let mut left = room.saturating_sub(always.iter().map(|binding| width(binding)).sum());
    let shown = rest.iter().take_while(|binding| {
        let fits = left >= width(binding);
        left = left.saturating_sub(width(binding));
        fits
    });
    let spans = shown.chain(always).flat_map(|binding| {
        [
            Span::styled(format!(" {}", binding.keys[0]), theme.accent),
            Span::raw(format!(" {} ", binding.label)),
        ]
    });
    spans.collect()
}
