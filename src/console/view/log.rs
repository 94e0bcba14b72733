//! Panel 6: what waltop did and saw, newest last.

use log::Level;
use ratatui::{Frame, layout::Rect, style::Style, text::Line, widgets::Paragraph};

use super::{boxed, theme::Theme};
use crate::{
    console::app::{App, FilterTarget, LogLine},
    keymap::Panel,
    text,
};

/// Columns of a line's time and level; continuation lines are indented by them.
const LABEL: usize = "14:03:22 I ".len();

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(
        frame,
        area,
        app,
        theme,
        Panel::Log,
        &format!("Log{}", super::filter_of(app, FilterTarget::Log)),
    );
    let room = usize::from(inner.height);
    let mut rows = Vec::new();
    for line in app.log_lines() {
        if rows.len() >= room {
            break;
        }
        rows.extend(line_rows(app, line, theme, inner.width.into()).into_iter().rev());
    }
    rows.truncate(room);
    rows.reverse();
    frame.render_widget(Paragraph::new(rows), inner);
}

fn line_rows(app: &App, line: &LogLine, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let (sign, style) = match line.level {
        Level::Error => ('E', theme.danger),
        Level::Warn => ('W', theme.warning),
        Level::Info => ('I', Style::new()),
        Level::Debug => ('D', theme.muted),
        Level::Trace => ('T', theme.muted),
    };
    let time = line.at.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S");
    let mut label = format!("{time} {sign} ");
    text::wrap(&line.text, width.saturating_sub(LABEL))
        .into_iter()
        .map(|row| {
            let label = std::mem::replace(&mut label, " ".repeat(LABEL));
            Line::styled(label + &row, style)
        })
        .collect()
}
