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
    boxed, empty,
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
            lines.push(if marked { line.style(theme.selected) } else { line });
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

fn block(finding: &Finding, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let style = theme.severity(finding.severity);
    let mut sentence = finding.message.clone();
    if let Some(key) = &finding.remedy.key {
        sentence.push_str(&format!(". Remedy: {key}"));
    }
    let mut label = Some(format!("{} {}", sign(finding.severity), text::pad(&finding.name, NAME)));
    text::wrap(&sentence, width.saturating_sub(NAME + 3))
        .into_iter()
        .map(|line| {
            let label = label.take().unwrap_or_else(|| " ".repeat(NAME + 2));
            Line::from(vec![Span::styled(label, style), Span::raw(format!(" {line}"))])
        })
        .collect()
}
