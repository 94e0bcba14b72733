//! Panel 1: what is wrong, worst first, one line each, or in full where lines are free; below it, dimmed, the resolved
//! findings.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use super::{boxed, empty, selected_line};
use crate::{
    console::{
        app::{App, FilterTarget, FindingRow, ResolvedFinding},
        screen_map::{RowList, ScreenMap, ScreenTarget},
        widgets::theme::{Theme, sign},
    },
    keymap::{Action, Panel},
    snapshot::{Finding, FindingKind, RemedyAction, Severity},
    text, units,
};

/// Columns of the mark and the sign of a row.
const MARK: usize = 3;
/// Columns of how long a finding has held.
const AGE: usize = 9;
/// Columns of the key that acts on it.
const KEY: usize = 14;
/// The narrowest column in which a sentence is continued on the next line.
const WRAPPED: usize = 20;
/// From this width on a row also has the name of its finding; a panel with room for long sentences from a smaller one
/// on.
const NAMED: usize = 110;
const NAMED_IF_TALL: usize = 90;
const TALL: usize = 10;
const NAME: usize = 18;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, map: &mut ScreenMap) {
    let room = (usize::from(area.width).saturating_sub(2), usize::from(area.height).saturating_sub(2));
    let inner = boxed(frame, area, app, theme, Panel::Findings, &title(app, room));
    if app.database().is_none() {
        return empty(frame, inner, theme, "looking…");
    }
    let room = usize::from(inner.height);
    let lines = lines(app, theme, (inner.width.into(), room));
    if lines.len() <= room {
        add_rows(map, inner, &lines);
        let lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
        return frame.render_widget(Paragraph::new(lines), inner);
    }
    // The last row states that there are more.
    let visible = room.saturating_sub(1);
    let has_focus = app.focus == Panel::Findings;
    let wanted = app.selected_row(Panel::Findings);
    let selected = lines.iter().position(|(row, _)| *row == Some(wanted)).unwrap_or(0);
    let first = if has_focus { (selected + 1).saturating_sub(visible) } else { 0 };
    let more = if app.zoomed {
        format!("{} {}", app.key_of(Action::Down), app.key_of(Action::Up))
    } else {
        app.key_of(Action::Zoom(Panel::Findings)).to_owned()
    };
    let hidden = lines.len() - first;
    let shown = first + if hidden > room { visible } else { hidden };
    add_rows(map, inner, &lines[first..shown]);
    let mut shown: Vec<Line> = lines.into_iter().skip(first).map(|(_, line)| line).collect();
    if hidden > room {
        shown.truncate(visible);
        let more = format!("   … {} more: {more} shows them all", hidden - visible);
        shown.push(Line::styled(more, theme.muted));
    }
    frame.render_widget(Paragraph::new(shown), inner);
}

/// Adds the rows among `lines`, which are drawn from the first line of `area` on.
fn add_rows(map: &mut ScreenMap, area: Rect, lines: &[(Option<usize>, Line<'_>)]) {
    for (y, (row, _)) in (area.y..area.bottom()).zip(lines) {
        if let Some(row) = row {
            let line = Rect { y, height: 1, ..area };
            map.add(line, ScreenTarget::Row(RowList::Panel(Panel::Findings), *row));
        }
    }
}

/// When `gone` was resolved, how long the console saw it, and how often. A sentence that itself states how long
/// something was held states a longer time than the console saw, so the second duration is omitted.
pub fn end(app: &App, gone: &ResolvedFinding) -> String {
    let at = gone.at.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S").to_string();
    let often = if gone.times > 1 { format!(", {} times", gone.times) } else { String::new() };
    if gone.finding.evidence.contains_key("held_ms") {
        return format!("gone at {at}{often}");
    }
    let held = units::duration(units::milliseconds(gone.held));
    format!("gone after {held}, {at}{often}")
}

/// Whether each row has the name of its finding, in a panel of this size.
fn is_named(width: usize, height: usize) -> bool {
    width >= NAMED || (width >= NAMED_IF_TALL && height >= TALL)
}

/// The counts; and the name of the selected finding, which `waltop explain` takes, where the rows have none. The header
/// has the counts, too.
fn title(app: &App, (width, height): (usize, usize)) -> String {
    let selected = app.selected_finding_id().filter(|_| !is_named(width, height));
    let selected = selected.map(|id| format!(", ▹ {}", id.kind)).unwrap_or_default();
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
        format!("Findings{filter}{selected}")
    } else {
        let recorded = if app.has_recorded_ages() { ", ages recorded" } else { "" };
        let title = format!("Findings: {}{recorded}{filter}{selected}", counts.join(", "));
        // The frame has the number of the panel and a space on either side.
        if title.width() + 4 <= width { title } else { format!("Findings{filter}{selected}") }
    }
}

/// All lines of the panel, each with the index of its row; a remark is no row. A row is one line. While all rows leave
/// some of the `room` lines free, the sentence of the selected one goes on there, and then those of the first ones.
fn lines(app: &App, theme: &Theme, (width, room): (usize, usize)) -> Vec<(Option<usize>, Line<'static>)> {
    let rows = app.finding_rows();
    let selected = app.selected_row(Panel::Findings);
    let has_focus = app.focus == Panel::Findings;
    let is_gone = |row: &FindingRow| matches!(row, FindingRow::Gone(_));
    let current = rows.iter().position(is_gone).unwrap_or(rows.len());
    let is_named = is_named(width, room);
    let drawn = |at: usize, most_lines: usize| {
        let mark = match (at == selected, has_focus) {
            (false, _) => " ",
            (true, true) => "▸",
            (true, false) => "▹",
        };
        row_lines(app, rows[at], mark, theme, RowShape { width, is_named, most_lines })
    };
    let mut drawings: Vec<_> = (0..rows.len()).map(|at| drawn(at, 1)).collect();
    let remarks: Vec<String> = remarks(app, current).collect();
    let mut free = room.saturating_sub(rows.len() + remarks.len());
    let longer = if app.zoomed { rows.len() } else { current };
    for at in std::iter::once(selected).chain((0..longer).filter(|at| *at != selected)) {
        let Some(drawing) = drawings.get_mut(at).filter(|_| free > 0) else { break };
        *drawing = drawn(at, 1 + free);
        free -= drawing.len() - 1;
    }
    let mut lines = Vec::new();
    for (at, drawing) in drawings.into_iter().enumerate() {
        let is_marked = at == selected && has_focus;
        let marked = |line: Line<'static>| if is_marked { selected_line(&line, theme) } else { line };
        lines.extend(drawing.into_iter().map(|line| (Some(at), marked(line))));
    }
    let ended = lines.iter().position(|(row, _)| *row == Some(current)).unwrap_or(lines.len());
    let remarks = remarks.into_iter().map(|remark| {
        let remark = format!("   {}", text::fit(&remark, width.saturating_sub(MARK)));
        (None, Line::styled(remark, theme.muted))
    });
    lines.splice(ended..ended, remarks);
    lines
}

/// The sentences below the `count` current findings: that there are none, and what could not be sampled.
fn remarks(app: &App, count: usize) -> impl Iterator<Item = String> {
    let nothing = (count == 0).then(|| {
        let sentence = if !app.filter(FilterTarget::Findings).is_empty() {
            "No finding that still holds matches the filter: Esc clears it."
        } else if app.has_gone(app.current()) {
            "The database is gone from its path: it was moved or removed."
        } else {
            "Nothing is wrong as far as can be seen from here."
        };
        sentence.to_owned()
    });
    // A program that waits although nothing is wrong waits for something else.
    let is_calm = app.database().is_some_and(|it| it.findings.iter().all(|it| it.severity == Severity::Info));
    let free =
        app.database().and_then(|it| it.locks.availability.as_ref()).filter(|it| it.is_free && is_calm);
    let free = free.map(|free| format!("The write lock was {free}."));
    let unseen = app.sample().map_or(&[][..], |look| &look.snapshot.unseen);
    let unseen = unseen.iter().map(|unseen| format!("not seen: {}: {}", unseen.what, unseen.why));
    nothing.into_iter().chain(free).chain(unseen)
}

/// The form of a row.
struct RowShape {
    width: usize,
    /// Whether it has the name of its finding.
    is_named: bool,
    /// How many lines a long sentence may take.
    most_lines: usize,
}

/// The lines of a finding.
fn row_lines(
    app: &App,
    row: FindingRow<'_>,
    mark: &str,
    theme: &Theme,
    RowShape { width, is_named, most_lines }: RowShape,
) -> Vec<Line<'static>> {
    let finding = row.finding();
    let (sign, sentence, age, key, style) = match row {
        FindingRow::Now(finding) => {
            let age = app.finding_age(finding).map(age).unwrap_or_default();
            let severity = finding.severity;
            let key = in_reach(app, finding, &remedy(app, finding));
            (sign(severity), finding.message.clone(), age, key, theme.severity(severity))
        }
        FindingRow::Gone(gone) => {
            let sentence = format!("{}: {}", end(app, gone), gone.finding.message);
            ("–", sentence, String::new(), String::new(), theme.muted)
        }
    };
    let name = if is_named { text::pad(finding.kind.as_str(), NAME) } else { String::new() };
    let tail = format!("{age:>AGE$}  {}", text::pad(&key, KEY));
    let room = width.saturating_sub(MARK + name.len() + tail.width());
    // A cut sentence keeps the columns beside it readable; a resolved one has none.
    let (room, tail) = match row {
        FindingRow::Now(_) => (room, tail),
        FindingRow::Gone(_) => (room + tail.width(), String::new()),
    };
    let text_style = if matches!(row, FindingRow::Now(_)) { Style::new() } else { theme.muted };
    let most_lines = if room >= WRAPPED { most_lines } else { 1 };
    let mut parts = text::wrap(&sentence, room);
    if parts.len() > most_lines {
        let rest = parts.split_off(most_lines - 1).join(" ");
        parts.push(text::fit(&rest, room));
    }
    let rest = parts.split_off(parts.len().min(1));
    let first = Line::from(vec![
        Span::raw(mark.to_owned()),
        Span::styled(format!("{sign} {name}"), style),
        Span::styled(text::pad(parts.first().map_or("", String::as_str), room), text_style),
        Span::styled(tail, theme.muted),
    ]);
    let indent = MARK + name.len();
    let below = rest.into_iter().map(|part| Line::styled(format!("{:indent$}{part}", ""), text_style));
    [first].into_iter().chain(below).collect()
}

/// In whole seconds: the figure changes with each sample.
fn age(ms: f64) -> String {
    if ms < 1000.0 { "now".to_owned() } else { units::duration((ms / 1000.0).floor() * 1000.0) }
}

/// `hint`, which is about `finding`; behind the key of this panel, if it acts on another row as long as another panel has
/// the focus.
fn in_reach(app: &App, finding: &Finding, hint: &str) -> String {
    let acts_here = match finding.remedy.action.filter(|_| !app.is_replay()) {
        Some(RemedyAction::StopProcess | RemedyAction::ContinueProcess) => {
            app.selected_process().is_some_and(|process| Some(process.pid) == finding.pid)
        }
        Some(_) => true,
        None => hint.starts_with(app.key_of(Action::Timeline)),
    };
    if acts_here || app.focus == Panel::Findings {
        return hint.to_owned();
    }
    format!("{}, {hint}", app.key_of(Action::Zoom(Panel::Findings)))
}

/// The key that acts on the finding, and what it does in a word.
fn remedy(app: &App, finding: &Finding) -> String {
    match (finding.remedy.action, finding.kind) {
        // Nothing can be done about the past.
        (Some(action), _) if !app.is_replay() => format!("{} {}", app.key_of(action.into()), word(action)),
        (None, FindingKind::LongWriteLock | FindingKind::SlowBatch) => {
            format!("{} timeline", app.key_of(Action::Timeline))
        }
        _ => format!("{} why", app.key_of(Action::Details)),
    }
}

fn word(action: RemedyAction) -> &'static str {
    match action {
        RemedyAction::StopProcess => "stop",
        RemedyAction::ContinueProcess => "continue",
        RemedyAction::Checkpoint => "checkpoint",
        RemedyAction::Fix => "fix",
        RemedyAction::Ingest => "ingest",
        RemedyAction::StopIngestion => "stop run",
    }
}

/// What the key of a remedy does after its dialog is confirmed.
pub fn effect(action: RemedyAction) -> &'static str {
    match action {
        RemedyAction::StopProcess => "stop it (SIGTERM)",
        RemedyAction::ContinueProcess => "continue it (SIGCONT)",
        RemedyAction::Checkpoint => "run a checkpoint",
        RemedyAction::Fix => "fix the settings in the file",
        RemedyAction::Ingest => "ingest the folder again",
        RemedyAction::StopIngestion => "stop the ingestion after its batch",
    }
}
