//! What is wrong, worst first, each in a sentence.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use crate::{
    console::{app::App, keymap::Action, panel::Panel},
    snapshot::Finding,
    text,
};

use super::{
    boxed, empty, selected_line,
    theme::{Theme, sign},
};

/// Columns of a finding's sign and name.
const LABEL: usize = 20;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(frame, area, app, theme, Panel::Findings, "Findings");
    let Some(database) = app.database() else { return empty(frame, inner, theme, "looking…") };
    let selected = app.selected_row(Panel::Findings);
    let mut lines = Vec::new();
    let mut last_selected = 0;
    for (row, finding) in database.findings.iter().enumerate() {
        let marked = app.focus == Panel::Findings && row == selected;
        for line in block(app, finding, theme, inner.width.into()) {
            lines.push(if marked { selected_line(&line, theme) } else { line });
        }
        if row == selected {
            last_selected = lines.len();
        }
    }
    if database.findings.is_empty() {
        lines.push(Line::styled("Nothing is wrong as far as can be seen from here.", theme.muted));
    }
    for unseen in unseen(app) {
        let rows = beside("· not seen", &unseen, inner.width.into());
        lines.extend(rows.into_iter().map(|(label, row)| Line::styled(label + &row, theme.muted)));
    }
    let first =
        if app.focus == Panel::Findings { last_selected.saturating_sub(inner.height.into()) } else { 0 };
    let mut shown: Vec<Line> = lines.drain(first..).collect();
    let room = usize::from(inner.height);
    if shown.len() > room && room > 1 {
        shown.truncate(room - 1);
        let key = app.key_of(Action::Zoom(Panel::Findings));
        shown.push(Line::styled(format!("  … {key} shows them all"), theme.muted));
    }
    frame.render_widget(Paragraph::new(shown), inner);
}

/// The rows that the panel wants at this width, its frame included.
pub fn height(app: &App, width: u16) -> u16 {
    let room = usize::from(width.saturating_sub(2));
    let findings = app.database().map_or(&[][..], |database| &database.findings);
    let found: usize = findings.iter().map(|finding| beside("", &sentence(app, finding), room).len()).sum();
    let unseen: usize = unseen(app).map(|unseen| beside("", &unseen, room).len()).sum();
    u16::try_from(found.max(1) + unseen + 2).unwrap_or(u16::MAX)
}

fn block(app: &App, finding: &Finding, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let label = format!("{} {}", sign(finding.severity), finding.name);
    let style = theme.severity(finding.severity);
    beside(&label, &sentence(app, finding), width)
        .into_iter()
        .map(|(label, row)| Line::from(vec![Span::styled(label, style), Span::raw(row)]))
        .collect()
}

fn sentence(app: &App, finding: &Finding) -> String {
    let remedy =
        finding.remedy.key.as_ref().map(|key| format!(". Remedy: {}", app.setup.keymap.instead_of(key)));
    let remedy = remedy.unwrap_or_default();
    format!("{}{remedy}", finding.message)
}

/// What the look could not see, and why.
fn unseen(app: &App) -> impl Iterator<Item = String> {
    let unseen = app.look().map_or(&[][..], |look| &look.snapshot.unseen);
    unseen.iter().map(|unseen| format!("{}: {}", unseen.what, unseen.why))
}

/// `label`, and beside it `sentence` in as many rows as it takes.
fn beside(label: &str, sentence: &str, width: usize) -> Vec<(String, String)> {
    let rows = text::wrap(sentence, width.saturating_sub(LABEL));
    let label = |row: usize| text::pad(if row == 0 { label } else { "" }, LABEL);
    rows.into_iter().enumerate().map(|(at, row)| (label(at), row)).collect()
}
