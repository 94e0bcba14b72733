//! What is wrong, worst first, each in a sentence.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use crate::{
    console::{app::App, panel::Panel},
    snapshot::Finding,
    text,
};

use super::{
    boxed, empty, selected_line,
    theme::{Theme, sign},
};

const NAME: usize = 17;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(frame, area, app, theme, Panel::Findings, "7 Findings");
    let Some(database) = app.database() else { return empty(frame, inner, theme, "looking…") };
    if database.findings.is_empty() {
        return empty(frame, inner, theme, "Nothing is wrong as far as can be seen from here.");
    }
    let selected = app.selected_row(Panel::Findings);
    let mut lines = Vec::new();
    let mut last_selected = 0;
    for (row, finding) in database.findings.iter().enumerate() {
        let marked = app.focus == Panel::Findings && row == selected;
        for line in block(finding, theme, inner.width.into()) {
            lines.push(if marked { selected_line(&line, theme) } else { line });
        }
        if row == selected {
            last_selected = lines.len();
        }
    }
    let first =
        if app.focus == Panel::Findings { last_selected.saturating_sub(inner.height.into()) } else { 0 };
    let scroll = u16::try_from(first).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(lines).scroll((scroll, 0)), inner);
}

/// The rows that the panel wants at this width, its frame included.
pub fn height(app: &App, width: u16) -> u16 {
    let room = usize::from(width.saturating_sub(2));
    let findings = app.database().map_or(&[][..], |database| &database.findings);
    let rows: usize = findings.iter().map(|finding| sentence(finding, room).len()).sum();
    u16::try_from(rows.max(1) + 2).unwrap_or(u16::MAX)
}

fn block(finding: &Finding, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let style = theme.severity(finding.severity);
    let mut label = Some(format!("{} {}", sign(finding.severity), text::pad(&finding.name, NAME)));
    sentence(finding, width)
        .into_iter()
        .map(|line| {
            let label = label.take().unwrap_or_else(|| " ".repeat(NAME + 2));
            Line::from(vec![Span::styled(label, style), Span::raw(format!(" {line}"))])
        })
        .collect()
}

/// The sentence of a finding, wrapped to stand beside its name in `width` columns.
fn sentence(finding: &Finding, width: usize) -> Vec<String> {
    let remedy = finding.remedy.key.as_ref().map(|key| format!(". Remedy: {key}")).unwrap_or_default();
    text::wrap(&format!("{}{remedy}", finding.message), width.saturating_sub(NAME + 3))
}
