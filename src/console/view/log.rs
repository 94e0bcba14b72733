//! Panel 6: what waltop did and saw, newest last.

use log::Level;
use ratatui::{Frame, layout::Rect, style::Style, text::Line, widgets::Paragraph};

use super::boxed;
use crate::{
    console::{
        app::{App, FilterTarget, LogLine},
        widgets::theme::Theme,
    },
    keymap::{Action, Panel},
    text, units,
};

/// Columns of a line's time and level; continuation lines are indented by them.
const LABEL: usize = "14:03:22 I ".len();

/// Below this height a panel shows the beginning of each entry.
const LOW: u16 = 6;

/// Draws the lines; returns how many the log can be scrolled back by.
pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) -> usize {
    let back = app.log_back();
    let title = format!("Log{}{}", newer(app, back), super::filter_of(app, FilterTarget::Log));
    let inner = boxed(frame, area, app, theme, Panel::Log, &title);
    let room = usize::from(inner.height);
    let end = if back == 0 { usize::MAX } else { end(app, theme, inner) };
    let mut rows = Vec::new();
    for line in app.log_lines().skip(back.min(end)) {
        if rows.len() >= room {
            break;
        }
        rows.extend(line_rows(app, line, theme, inner).into_iter().rev());
    }
    rows.truncate(room);
    rows.reverse();
    frame.render_widget(Paragraph::new(rows), inner);
    end
}

/// How many lines lie below those on the screen, and the key that goes to them.
fn newer(app: &App, back: usize) -> String {
    match back {
        0 => String::new(),
        back => {
            format!(": {} newer below, {} shows them", units::count(back as u64), app.key_of(Action::Last))
        }
    }
}

/// How many lines are newer than those that fill the panel with the oldest ones.
fn end(app: &App, theme: &Theme, area: Rect) -> usize {
    let lines: Vec<&LogLine> = app.log_lines().collect();
    let mut room = usize::from(area.height);
    let oldest = lines.iter().rev().take_while(|line| {
        let rows = line_rows(app, line, theme, area).len();
        let fits = rows <= room;
        room = room.saturating_sub(rows);
        fits
    });
    lines.len() - oldest.count()
}

/// One line in a low panel, where the end of a long entry would take the place of the entries before it.
fn line_rows(app: &App, line: &LogLine, theme: &Theme, area: Rect) -> Vec<Line<'static>> {
    let (sign, style) = match line.level {
        Level::Error => ('E', theme.danger),
        Level::Warn => ('W', theme.warning),
        Level::Info => ('I', Style::new()),
        Level::Debug => ('D', theme.muted),
        Level::Trace => ('T', theme.muted),
    };
    let width = usize::from(area.width).saturating_sub(LABEL);
    let time = line.at.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S");
    let mut label = format!("{time} {sign} ");
    let parts =
        if area.height < LOW { vec![text::fit(&line.text, width)] } else { text::wrap(&line.text, width) };
    parts
        .into_iter()
        .map(|row| {
            let label = std::mem::replace(&mut label, " ".repeat(LABEL));
            Line::styled(label + &row, style)
        })
        .collect()
}
