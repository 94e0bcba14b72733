//! What is wrong, worst first, one sentence each; below it, dimmed, the resolved findings.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    boxed, empty, selected_line,
    theme::{Theme, sign},
};
use crate::{
    console::app::{App, FilterTarget, FindingRow, ResolvedFinding},
    keymap::{Action, Panel},
    snapshot::{Finding, RemedyAction, Severity},
    text, units,
};

/// Columns of a finding's sign, word and name.
const LABEL: usize = 28;
/// Columns of its sign and word.
const SIGN: usize = 10;
/// How many resolved findings the panel reserves rows for. The others appear if rows are free or the panel is zoomed.
const GONE_IN_SIGHT: usize = 2;

/// The columns of a row, and the column at which its sentence continues in the next row.
type FindingLayout = (usize, usize);

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(frame, area, app, theme, Panel::Findings, &title(app));
    if app.database().is_none() {
        return empty(frame, inner, theme, "looking…");
    }
    let has_focus = app.focus == Panel::Findings;
    // In low panels rows are scarcer than columns.
    let hang = if frame.area().width < super::TWO_COLUMNS { SIGN } else { LABEL };
    let size = (inner.width.into(), hang);
    let (lines, last_selected) = lines(app, theme, size, has_focus);
    let room = usize::from(inner.height);
    if lines.len() <= room {
        return frame.render_widget(Paragraph::new(lines), inner);
    }
    // The last row states that there are more.
    let visible = room.saturating_sub(1);
    let first = if has_focus { last_selected.saturating_sub(visible) } else { 0 };
    let more = if app.zoomed {
        format!("{} {}", app.key_of(Action::Down), app.key_of(Action::Up))
    } else {
        app.key_of(Action::Zoom(Panel::Findings)).to_owned()
    };
    let mut shown: Vec<Line> = lines.into_iter().skip(first).collect();
    if shown.len() > room {
        shown.truncate(visible);
        shown.push(Line::styled(format!("  … {more} shows them all"), theme.muted));
    }
    frame.render_widget(Paragraph::new(shown), inner);
}

/// The rows that the panel wants at this width, including its frame.
pub fn height(app: &App, width: u16) -> u16 {
    let room = usize::from(width.saturating_sub(2));
    let rows = |sentence: &str| beside("", sentence, room, LABEL).len();
    let (mut now, mut gone) = (0, 0);
    let mut in_sight = GONE_IN_SIGHT;
    for row in app.finding_rows() {
        match row {
            FindingRow::Now(finding) => now += rows(&sentence(app, finding)),
            FindingRow::Gone(it) if in_sight > 0 => {
                in_sight -= 1;
                gone += rows(&past(app, it));
            }
            FindingRow::Gone(_) => {}
        }
    }
    let unseen: usize = unseen(app).map(|unseen| rows(&unseen)).sum();
    u16::try_from(now.max(1) + unseen + gone + 2).unwrap_or(u16::MAX)
}

/// When `gone` was resolved, how long the console saw it, and how often. A sentence that itself states how long
/// something was held states a longer time than the console saw, so the second duration is omitted.
pub fn end(app: &App, gone: &ResolvedFinding) -> String {
    let at = gone.at.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S").to_string();
    let often = if gone.times > 1 { format!(", {} times", gone.times) } else { String::new() };
    if gone.finding.evidence.contains_key("held_ms") {
        return format!("gone at {at}{often}");
    }
    let held = units::duration(gone.held.as_secs_f64() * 1e3);
    format!("gone after {held}, {at}{often}")
}

fn title(app: &App) -> String {
    let findings = app.database().map_or(&[][..], |database| &database.findings);
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Info]
        .into_iter()
        .map(|severity| (severity, count(severity)))
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| units::plural(count as u64, &severity.to_string()))
        .collect();
    let filter = super::filter_of(app, FilterTarget::Findings);
    if counts.is_empty() {
        format!("Findings{filter}")
    } else {
        format!("Findings: {}{filter}", counts.join(", "))
    }
}

/// All lines of the panel, and the number of lines up to the end of the selected row.
fn lines(app: &App, theme: &Theme, size: FindingLayout, has_focus: bool) -> (Vec<Line<'static>>, usize) {
    let rows = app.finding_rows();
    let selected = app.selected_row(Panel::Findings);
    let is_gone = |row: &FindingRow| matches!(row, FindingRow::Gone(_));
    let ended = rows.iter().position(is_gone).unwrap_or(rows.len());
    let mut lines = Vec::new();
    let mut last_selected = 0;
    for (at, row) in rows.iter().enumerate() {
        if at == ended {
            lines.extend(remarks(app, theme, size, ended));
        }
        for line in block(app, *row, theme, size) {
            let marked = has_focus && at == selected;
            lines.push(if marked { selected_line(&line, theme) } else { line });
        }
        if at == selected {
            last_selected = lines.len();
        }
    }
    if ended == rows.len() {
        lines.extend(remarks(app, theme, size, ended));
    }
    (lines, last_selected)
}

/// The lines below the `count` current findings: that there are none, and what could not be sampled.
fn remarks(app: &App, theme: &Theme, size: FindingLayout, count: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if count == 0 {
        let sentence = if !app.filter(FilterTarget::Findings).is_empty() {
            "No finding that still holds matches the filter: Esc clears it."
        } else if app.has_gone(app.current()) {
            "The database is gone from its path: it was moved or removed."
        } else {
            "Nothing is wrong as far as can be seen from here."
        };
        lines.push(Line::styled(sentence, theme.muted));
    }
    for unseen in unseen(app) {
        let rows = beside("· not seen", &unseen, size.0, size.1);
        lines.extend(rows.into_iter().map(|(label, row)| Line::styled(label + &row, theme.muted)));
    }
    lines
}

fn block(app: &App, row: FindingRow<'_>, theme: &Theme, size: FindingLayout) -> Vec<Line<'static>> {
    let name = row.finding().kind;
    let (label, sentence, styles) = match row {
        FindingRow::Now(finding) => {
            let severity = finding.severity;
            let label = format!("{} {:<7} {name}", sign(severity), severity.to_string());
            (label, sentence(app, finding), (theme.severity(severity), ratatui::style::Style::new()))
        }
        FindingRow::Gone(gone) => (format!("–         {name}"), past(app, gone), (theme.muted, theme.muted)),
    };
    beside(&label, &sentence, size.0, size.1)
        .into_iter()
        .map(|(label, row)| Line::from(vec![Span::styled(label, styles.0), Span::styled(row, styles.1)]))
        .collect()
}

fn sentence(app: &App, finding: &Finding) -> String {
    let remedy = finding.remedy.action.map(|action| {
        let key = app.setup.keymap.key(action.into());
        format!(". {key}: {}", effect(action))
    });
    format!("{}{}", finding.message, remedy.unwrap_or_default())
}

/// What the key of a remedy does after its dialog is confirmed.
fn effect(action: RemedyAction) -> &'static str {
    match action {
        RemedyAction::StopProcess => "stop it (SIGTERM)",
        RemedyAction::ContinueProcess => "continue it (SIGCONT)",
        RemedyAction::Checkpoint => "run a checkpoint",
        RemedyAction::Fix => "fix the settings in the file",
        RemedyAction::Ingest => "ingest the folder again",
        RemedyAction::StopIngestion => "stop the ingestion after its batch",
    }
}

fn past(app: &App, gone: &ResolvedFinding) -> String {
    format!("{}: {}", end(app, gone), gone.finding.message)
}

/// What could not be sampled, and why.
fn unseen(app: &App) -> impl Iterator<Item = String> {
    let unseen = app.sample().map_or(&[][..], |look| &look.snapshot.unseen);
    unseen.iter().map(|unseen| format!("{}: {}", unseen.what, unseen.why))
}

/// `label`, and beside it `sentence` in as many rows as needed; rows after the first start at column `hang`.
fn beside(label: &str, sentence: &str, width: usize, hang: usize) -> Vec<(String, String)> {
    let cleaned = text::clean(sentence);
    let whole = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = text::wrap(&whole, width.saturating_sub(LABEL)).into_iter().next().unwrap_or_default();
    let rest = text::wrap(whole[first.len()..].trim_start(), width.saturating_sub(hang));
    let mut rows = vec![(text::pad(label, LABEL), first)];
    rows.extend(rest.into_iter().map(|row| (" ".repeat(hang), row)));
    rows
}
