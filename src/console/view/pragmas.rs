//! Panel 4: each pragma's value, where it applies, and whether it satisfies the profile.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{boxed, empty, table::SelectableTable, theme::Theme};
use crate::{console::app::App, keymap::Panel, snapshot::PragmaRow, text};

const NAME: usize = 19;
const SOURCE: usize = 11;
/// Columns of the value and of the expectation, if the panel has room.
const VALUE: usize = 13;
/// The minimum columns that show an expectation column and a note column.
const WIDE: usize = 70;
/// The minimum columns for a value with its expectation beside it.
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
    let width = usize::from(inner.width);
    let is_wide = width >= WIDE;
    let mut rows: Vec<Vec<Line>> = app
        .visible_pragmas()
        .into_iter()
        .map(|row| if is_wide { wide_cells(row, theme, width) } else { cells(row, theme, width) })
        .collect();
    if let Some(refusal) = app.pragma_refusal() {
        let sentence = format!("waltop's client: not asked, {refusal}");
        rows.extend(
            text::wrap(&sentence, width).into_iter().map(|line| vec![Line::styled(line, theme.muted)]),
        );
    }
    let table = SelectableTable {
        widths: if is_wide {
            vec![2, NAME + 1, VALUE + 1, VALUE + 1, SOURCE + 1, note_room(width)]
        } else {
            vec![NAME, value_room(width), SOURCE, 1]
        },
        heading: None,
        rows,
        selected: app.selected_row(Panel::Pragmas),
        has_focus: app.focus == Panel::Pragmas,
    };
    table.render(frame, inner, theme);
}

/// The sign of a row: complies, does not comply, or not checked or unknown.
pub fn sign(row: &PragmaRow, theme: &Theme) -> Span<'static> {
    match row.ok {
        Some(true) => Span::styled("✔", theme.good),
        Some(false) => Span::styled("▲", theme.warning),
        None => Span::styled("·", theme.muted),
    }
}

const fn value_room(width: usize) -> usize {
    width.saturating_sub(NAME + SOURCE + 2)
}

const fn note_room(width: usize) -> usize {
    width.saturating_sub(NAME + 2 * VALUE + SOURCE + 6)
}

fn cells(row: &PragmaRow, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let room = value_room(width);
    let value = row.actual.as_deref().unwrap_or("unknown");
    // An expected value is not shown twice.
    let value = match expectation(row).filter(|_| row.ok != Some(true) && room > BOTH) {
        Some(expectation) => format!("{value} {expectation}"),
        None => value.to_owned(),
    };
    vec![
        text::pad(&row.name, NAME).into(),
        text::fit(&value, room.saturating_sub(1)).into(),
        Line::styled(text::pad(&row.source_label(), SOURCE), theme.muted),
        sign(row, theme).into(),
    ]
}

/// What the profile expects, with a sign that compares it with the value.
fn expectation(row: &PragmaRow) -> Option<String> {
    let sign = match row.ok {
        Some(true) => '=',
        Some(false) => '≠',
        None => '?',
    };
    row.expected.as_ref().map(|expected| format!("{sign} {expected}"))
}

fn wide_cells(row: &PragmaRow, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    vec![
        sign(row, theme).into(),
        text::fit(&row.name, NAME).into(),
        text::fit(row.actual.as_deref().unwrap_or("unknown"), VALUE).into(),
        text::fit(&expectation(row).unwrap_or_default(), VALUE).into(),
        Line::styled(text::fit(&row.source_label(), SOURCE), theme.muted),
        Line::styled(text::fit(row.note.as_deref().unwrap_or_default(), note_room(width)), theme.muted),
    ]
}
