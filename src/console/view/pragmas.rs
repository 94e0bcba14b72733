//! Panel 4: each pragma's value, whose it is, and whether the profile is content with it.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use crate::{
    console::{app::App, panel::Panel},
    snapshot::PragmaRow,
    text,
};

use super::{boxed, empty, first_row, selected_line, theme::Theme};

const NAME: usize = 19;
const SOURCE: usize = 11;

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
    let refusal = app.refusals.get(app.current).and_then(Option::as_deref);
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
    let value = row.actual.as_deref().unwrap_or("unknown");
    let room = width.saturating_sub(NAME + SOURCE + 2);
    Line::from(vec![
        Span::raw(text::pad(&row.name, NAME)),
        Span::raw(text::pad(value, room.saturating_sub(1))),
        Span::raw(" "),
        Span::styled(text::pad(&row.source.to_string(), SOURCE), theme.muted),
        sign(row, theme),
    ])
}
