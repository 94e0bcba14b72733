//! Panel 4: each pragma's value, whose it is, and whether the profile is content with it.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{boxed, empty, first_row, selected_line, theme::Theme};
use crate::{console::app::App, keymap::Panel, snapshot::PragmaRow, text};

const NAME: usize = 19;
const SOURCE: usize = 11;
/// Value and expectation, where the panel has columns for them.
const VALUE: usize = 13;
/// Columns from which on there is one for what is expected, and one for the note.
const WIDE: usize = 70;
/// Columns that a value needs to have what is expected beside it.
const BOTH: usize = 18;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Some(database) = app.database() else {
        let inner = boxed(frame, area, app, theme, Panel::Pragmas, "Pragmas");
        return empty(frame, inner, theme, "looking…");
    };
    let title = format!("Pragmas: {}", text::fit(&database.pragmas.profile, 20));
    let inner = boxed(frame, area, app, theme, Panel::Pragmas, &title);
    if database.files.db.is_none() {
        return empty(frame, inner, theme, &super::absence(app, database));
    }
    let refusal = app.pragma_refusal();
    let rows = app.visible_pragmas();
    let selected = app.selected_row(Panel::Pragmas);
    let first = first_row(selected, inner.height);
    let mut lines: Vec<Line> = rows
        .iter()
        .enumerate()
        .skip(first)
        .map(|(index, row)| {
            let line = line(row, theme, inner.width.into());
            let here = app.focus == Panel::Pragmas && index == selected;
            if here { selected_line(&line, theme) } else { line }
        })
        .collect();
    if let Some(refusal) = refusal {
        let sentence = format!("our client: not asked, {refusal}");
        lines.extend(
            text::wrap(&sentence, inner.width.into()).into_iter().map(|line| Line::styled(line, theme.muted)),
        );
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The sign of a row: complies, does not, or nobody minds or knows.
pub fn sign(row: &PragmaRow, theme: &Theme) -> Span<'static> {
    match row.ok {
        Some(true) => Span::styled("✔", theme.good),
        Some(false) => Span::styled("▲", theme.warning),
        None => Span::styled("·", theme.muted),
    }
}

fn line(row: &PragmaRow, theme: &Theme, width: usize) -> Line<'static> {
    if width >= WIDE {
        return wide_line(row, theme, width);
    }
    let room = width.saturating_sub(NAME + SOURCE + 2);
    let value = row.actual.as_deref().unwrap_or("unknown");
    // What is as expected need not be told twice.
    let value = match expectation(row).filter(|_| row.ok != Some(true) && room > BOTH) {
        Some(expectation) => format!("{value} {expectation}"),
        None => value.to_owned(),
    };
    Line::from(vec![
        Span::raw(text::pad(&row.name, NAME)),
        Span::raw(text::pad(&value, room.saturating_sub(1))),
        Span::raw(" "),
        Span::styled(text::pad(&row.whose(), SOURCE), theme.muted),
        sign(row, theme),
    ])
}

/// What the profile asks for, with a sign of how the value stands to it.
fn expectation(row: &PragmaRow) -> Option<String> {
    let sign = match row.ok {
        Some(true) => '=',
        Some(false) => '≠',
        None => '?',
    };
    row.expected.as_ref().map(|expected| format!("{sign} {expected}"))
}

fn wide_line(row: &PragmaRow, theme: &Theme, width: usize) -> Line<'static> {
    let columns = |text: &str, width: usize| Span::raw(text::pad(text, width) + " ");
    let note = row.note.as_deref().unwrap_or_default();
    Line::from(vec![
        sign(row, theme),
        Span::raw(" "),
        columns(&row.name, NAME),
        columns(row.actual.as_deref().unwrap_or("unknown"), VALUE),
        columns(&expectation(row).unwrap_or_default(), VALUE),
        Span::styled(text::pad(&row.whose(), SOURCE) + " ", theme.muted),
        Span::styled(text::fit(note, width.saturating_sub(NAME + 2 * VALUE + SOURCE + 6)), theme.muted),
    ])
}
