//! Panel 4: each pragma, its value for each owner, and whether the values satisfy the profile.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
};

use super::{boxed, empty, table::SelectableTable};
use crate::{
    console::{
        app::{App, PragmaLine},
        screen_map::{RowList, ScreenMap},
        widgets::theme::Theme,
    },
    keymap::Panel,
    snapshot::PragmaSource,
    text,
};

const NAME: usize = 20;
const VALUE: usize = 14;
/// The minimum columns that show a column for each owner.
const WIDE: usize = 86;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, map: &mut ScreenMap) {
    let Some(database) = app.database() else {
        let inner = boxed(frame, area, app, theme, Panel::Pragmas, "Pragmas");
        return empty(frame, inner, theme, "looking…");
    };
    let title = format!("Pragmas: {}", text::fit(&database.pragmas.profile, 20));
    let inner = boxed(frame, area, app, theme, Panel::Pragmas, &title);
    if database.files.db.is_none() {
        return empty(frame, inner, theme, &super::absence(app, database));
    }
    let lines = app.pragma_lines();
    let [first, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(inner);
    frame.render_widget(summary(app, &lines, theme, first.width.into()), first);
    let width = usize::from(inner.width);
    let is_wide = width >= WIDE;
    let mut rows: Vec<Vec<Line>> = lines
        .iter()
        .map(|line| if is_wide { wide_cells(line, theme) } else { cells(line, theme, width) })
        .collect();
    if let Some(refusal) = app.pragma_refusal() {
        let sentence = format!("waltop's client: not asked, {refusal}");
        rows.extend(
            text::wrap(&sentence, width).into_iter().map(|line| vec![Line::styled(line, theme.muted)]),
        );
    }
    let headings = ["", "PRAGMA", "EXPECTED", "FILE", "OUR CLIENT", "NEW CLIENT", "SEEN IN PROCESSES"];
    let table = SelectableTable {
        widths: if is_wide {
            vec![2, NAME, VALUE, VALUE, VALUE, VALUE, width.saturating_sub(2 + NAME + 4 * VALUE)]
        } else {
            vec![2, NAME, width.saturating_sub(2 + NAME)]
        },
        heading: is_wide.then(|| headings.map(Line::from).to_vec()),
        rows,
        selected: app.selected_row(Panel::Pragmas),
        has_focus: app.focus == Panel::Pragmas,
    };
    let (first, body) = table.render(frame, rest, theme);
    map.add_rows(body, RowList::Panel(Panel::Pragmas), (first, lines.len()), 1);
}

/// How many pragmas comply, and where those that do not are set.
pub fn summary(app: &App, lines: &[PragmaLine<'_>], theme: &Theme, width: usize) -> Line<'static> {
    let differs = |line: &&PragmaLine<'_>, sources: &[PragmaSource]| {
        line.rows.iter().any(|row| row.ok == Some(false) && sources.contains(&row.source))
    };
    let count = |sources: &[PragmaSource]| lines.iter().filter(|line| differs(line, sources)).count();
    let settled = |line: &&PragmaLine<'_>| {
        let mine = [PragmaSource::File, PragmaSource::Connection];
        line.rows.iter().any(|row| row.ok == Some(true) && mine.contains(&row.source))
    };
    let mut parts = vec![(format!("{} ok", lines.iter().filter(settled).count()), theme.good)];
    for (sources, words) in [
        (&[PragmaSource::File, PragmaSource::Connection][..], "not as expected:"),
        (&[PragmaSource::NewClient], "defaults differ in"),
        (&[PragmaSource::Observed], "processes in"),
    ] {
        match count(sources) {
            0 => {}
            count => parts.push((format!("{words} {count}"), theme.warning)),
        }
    }
    if app.pragma_refusal().is_some() {
        parts.push(("client not asked".to_owned(), theme.muted));
    }
    let mut left = width;
    let mut spans = Vec::new();
    for (at, (part, style)) in parts.into_iter().enumerate() {
        let part = format!("{}{part}", if at == 0 { "" } else { " · " });
        // Half a figure would mislead.
        if part.chars().count() <= left {
            left -= part.chars().count();
            spans.push(Span::styled(part, style));
        }
    }
    Line::from(spans)
}

/// The sign of a pragma: complies, does not comply, or not checked or unknown.
fn sign(line: &PragmaLine<'_>, theme: &Theme) -> Line<'static> {
    match line.ok() {
        Some(true) => Line::styled("✔", theme.good),
        Some(false) => Line::styled("▲", theme.warning),
        None => Line::styled("·", theme.muted),
    }
}

/// The values of the owner `source`; a process's value with its PID.
fn values(line: &PragmaLine<'_>, source: PragmaSource) -> String {
    let rows = line.rows.iter().filter(|row| row.source == source);
    let value = |actual: &str, pid: Option<i32>| match pid {
        Some(pid) => format!("{pid} {actual}"),
        None => actual.to_owned(),
    };
    rows.map(|row| value(row.actual.as_deref().unwrap_or("unknown"), row.pid)).collect::<Vec<_>>().join(", ")
}

fn cells(line: &PragmaLine<'_>, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    // A value that does not comply says more than the others.
    let wrong = line.rows.iter().find(|row| row.ok == Some(false));
    let Some(shown) = wrong.or(line.rows.first()) else { return vec![sign(line, theme)] };
    let value = shown.actual.as_deref().unwrap_or("unknown");
    let room = width.saturating_sub(2 + NAME);
    let owner = shown.source_label();
    let whole = shown.expected.as_ref().filter(|_| wrong.is_some());
    let whole = whole.map(|expected| format!("{value} ≠ {expected}  {owner}"));
    let value = whole.filter(|it| it.chars().count() <= room).unwrap_or_else(|| format!("{value}  {owner}"));
    vec![sign(line, theme), text::fit(line.name, NAME - 1).into(), text::fit(&value, room).into()]
}

fn wide_cells(line: &PragmaLine<'_>, theme: &Theme) -> Vec<Line<'static>> {
    let owned = |source| Line::from(text::fit(&values(line, source), VALUE - 1));
    vec![
        sign(line, theme),
        text::fit(line.name, NAME - 1).into(),
        Line::styled(text::fit(line.expected().unwrap_or("anything"), VALUE - 1), theme.muted),
        owned(PragmaSource::File),
        owned(PragmaSource::Connection),
        owned(PragmaSource::NewClient),
        values(line, PragmaSource::Observed).into(),
    ]
}
