//! Labels and their values over the panels, as a long text that scrolls.

use jiff::Timestamp;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Clear,
};

use crate::{
    console::{
        app::{App, TextExtent},
        widgets::{centred, framed, theme::Theme},
    },
    text,
};

const LABEL: usize = 18;

/// Pairs of a label and its value, drawn side by side.
pub type LabelledRows = Vec<(String, String)>;

/// The columns of the details, including their frame.
pub fn width(area: Rect) -> u16 {
    area.width.min(110)
}

/// `rows` as lines of at most `width` columns.
pub fn lines(rows: LabelledRows, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (label, value) in rows {
        let mut label = Some(label);
        let wrapped = text::wrap(&value, width.saturating_sub(LABEL));
        for part in if wrapped.is_empty() { vec![String::new()] } else { wrapped } {
            let label = label.take().unwrap_or_default();
            lines.push(Line::from(vec![
                Span::styled(format!(" {}", text::pad(&label, LABEL)), theme.title),
                Span::raw(part),
            ]));
        }
    }
    lines
}

/// Draws `lines` over the panels; returns how far they scroll.
pub fn show(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    theme: &Theme,
    lines: Vec<Line<'static>>,
) -> TextExtent {
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).max(5);
    let area = centred(area, width(area), height);
    frame.render_widget(Clear, area);
    let title = Span::styled(format!(" Details: Esc closes, {} ", super::scrolling(app)), theme.title);
    let inner = framed(frame, area, theme.focus, title);
    super::scrolled(frame, inner, app, theme, lines)
}

/// The date and the time of `at` in the time zone of the console.
pub fn clock(app: &App, at: Timestamp) -> String {
    at.to_zoned(app.setup.time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

pub fn gone_rows(what: &str) -> LabelledRows {
    vec![row("", format!("{what} is no longer there."))]
}

/// A row with `label`.
pub fn row(label: &str, value: impl Into<String>) -> (String, String) {
    (label.to_owned(), value.into())
}
