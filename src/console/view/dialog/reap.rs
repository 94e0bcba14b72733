//! The list of stale processes: a row each, and all about the one under the cursor.

use log::Level;
use ratatui::text::Line;

use crate::{
    act::{reap, signal::SignalRefusal},
    console::{
        app::{App, ReapList, ReapRow, StopMark},
        process_columns,
        view::{self, theme::Theme},
    },
    text,
};

use super::sentence;

/// Lines beside the rows: how many there are, a blank one, what the row under the cursor is, and the buttons.
const BESIDE: usize = 10;
/// Lines for the causes of the row under the cursor.
const EVIDENCE: usize = 4;

/// The list, in at most `height` lines with its frame and buttons.
pub fn lines(app: &App, list: &ReapList, theme: &Theme, room: usize, height: usize) -> Vec<Line<'static>> {
    let ticked = list.ticked().count();
    let offered = list.rows.iter().filter(|row| !matches!(row.mark, StopMark::Refused(_))).count();
    let head =
        format!("{ticked} of {offered} ticked: y sends them TERM, Space ticks or unticks a row, j k move.");
    let mut lines = sentence(&head, theme, Level::Info, room);
    let shown = height.saturating_sub(BESIDE).clamp(1, list.rows.len().max(1));
    let first = view::first_row(list.cursor, u16::try_from(shown).unwrap_or(u16::MAX));
    for (at, row) in list.rows.iter().enumerate().skip(first).take(shown) {
        let text = text::pad(&row_text(app, row), room);
        let style = match row.mark {
            _ if at == list.cursor => theme.selected,
            StopMark::Refused(_) => theme.muted,
            StopMark::Ticked(_) | StopMark::Unticked(_) => ratatui::style::Style::new(),
        };
        lines.push(Line::styled(text, style));
    }
    if list.rows.len() > shown {
        let text = format!("rows {} to {} of {}", first + 1, first + shown, list.rows.len());
        lines.push(Line::styled(text, theme.muted));
    }
    lines.push(Line::default());
    if let Some(row) = list.rows.get(list.cursor) {
        lines.extend(evidence(app, row, theme, room));
    }
    lines
}

fn row_text(app: &App, row: &ReapRow) -> String {
    let process = &row.process;
    let sign = match row.mark {
        StopMark::Ticked(_) => "[x]",
        StopMark::Unticked(_) => "[ ]",
        StopMark::Refused(_) => " – ",
    };
    let age = process_columns::age(process, app.now).unwrap_or_else(|| "?".to_owned());
    let causes: Vec<&str> = reap::causes(process).iter().map(|cause| cause.cause.as_str()).collect();
    let why = match &row.mark {
        StopMark::Refused(SignalRefusal::Spared { why, .. }) => format!("left alone: {why}"),
        StopMark::Refused(refusal) => refusal.to_string(),
        StopMark::Ticked(_) | StopMark::Unticked(_) => causes.join(", "),
    };
    let name = text::pad(&process.name, 12);
    format!("{sign} {:>7}  {age:>8}  {name}  {why}", process.pid)
}

fn evidence(app: &App, row: &ReapRow, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let process = &row.process;
    let mut lines = vec![Line::styled(text::fit(&process.command_line(), room), theme.accent)];
    let mut told: Vec<Line> = Vec::new();
    if let StopMark::Refused(refusal) = &row.mark {
        told.extend(sentence(&refusal.to_string(), theme, Level::Warn, room));
    }
    for cause in reap::causes(process) {
        let text = format!("▲ {}: {}", cause.cause, cause.evidence);
        told.extend(sentence(&text, theme, Level::Warn, room));
    }
    let locks = app.database().map_or_else(String::new, |database| process_columns::locks(database, process));
    told.extend(sentence(&format!("locks held: {locks}"), theme, Level::Info, room));
    told.truncate(EVIDENCE);
    lines.extend(told);
    lines
}
