//! The overview: every database in a line, and all about the selected one below.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    files, first_row, framed, header, selected_line,
    theme::{Theme, sign},
};
use crate::{console::app::App, keymap::Action, snapshot::Database, text, units};

/// Rows below the list, their rule included.
const ABOUT: u16 = 5;
/// From these widths on there is room for how fast the log grows, for what the ingestions do, and for the scheduled checkpoints.
const GROWTH: u16 = 96;
const INGESTION: u16 = 116;
const CHECKPOINT: u16 = 150;

/// The column that every database has something in.
const NAME: &str = "DATABASE";

/// A column: its heading, and how wide it is.
type OverviewColumn = (&'static str, usize);

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let names = app.names();
    let keys = [Action::Details, Action::Back].map(|action| app.key_of(action).to_owned());
    let title = format!(" {} databases: {} goes to one, {} back ", names.len(), keys[0], keys[1]);
    let inner = framed(frame, area, theme.focus, Span::styled(title, theme.title));
    let [list, about] =
        Layout::vertical([Constraint::Min(2), Constraint::Length(ABOUT.min(inner.height / 2))]).areas(inner);
    let columns = columns(inner.width, &names);
    let heading = columns.iter().map(|(name, width)| text::pad(name, *width)).collect::<String>();
    let mut lines = vec![Line::styled(format!("   {heading}WORST FINDING"), theme.muted)];
    let first = first_row(app.current(), list.height.saturating_sub(1));
    for (index, database) in app.databases().iter().enumerate().skip(first) {
        let line = line(app, index, database, &names[index], &columns, usize::from(inner.width), theme);
        lines.push(if index == app.current() { selected_line(&line, theme) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), list);
    if let Some(database) = app.database() {
        about_one(frame, about, app, database, theme);
    }
}

fn columns(width: u16, names: &[String]) -> Vec<OverviewColumn> {
    let longest = names.iter().map(|name| text::clean(name).chars().count()).max().unwrap_or(0);
    let writer = if width >= GROWTH { 20 } else { 13 };
    let mut columns = vec![(NAME, longest.clamp(8, usize::from(width) / 4) + 2), ("WRITER NOW", writer)];
    columns.push(("WAL", 9));
    if width >= GROWTH {
        columns.push(("GROWTH", 12));
    }
    columns.extend([("PROCS", 6), ("STALE", 6)]);
    if width >= INGESTION {
        columns.push(("INGESTION", 13));
    }
    if width >= CHECKPOINT {
        columns.push(("CHECKPOINT", 28));
    }
    columns
}

fn line(
    app: &App,
    index: usize,
    database: &Database,
    name: &str,
    columns: &[OverviewColumn],
    width: usize,
    theme: &Theme,
) -> Line<'static> {
    let (sign, words, style) = worst(app, index, theme);
    let mark = if index == app.current() { "▸" } else { " " };
    let mut spans = vec![Span::styled(format!("{mark}{sign} "), style)];
    let mut taken = 3;
    // Of one that cannot be looked at there is only the reason to tell, which gets all the room.
    let is_dark = database.files.db.is_none() && !database.is_gone() || database.unfit.is_some();
    for &(column, room) in &columns[..if is_dark { 1 } else { columns.len() }] {
        let text = if column == NAME { name.to_owned() } else { cell(app, index, database, (column, room)) };
        // One cell is left free before the next column.
        spans.push(Span::raw(text::pad(&text::fit(&text, room - 1), room)));
        taken += room;
    }
    spans.push(Span::styled(text::fit(&words, width.saturating_sub(taken)), style));
    Line::from(spans)
}

fn cell(app: &App, index: usize, database: &Database, (column, room): OverviewColumn) -> String {
    match column {
        "WRITER NOW" => writer(database, room).unwrap_or_default(),
        "WAL" => database.files.wal.as_ref().map_or_else(String::new, |file| units::bytes(file.bytes)),
        "GROWTH" if database.files.wal.is_none() => String::new(),
        "GROWTH" => header::growth(app, index).trim_start().to_owned(),
        "PROCS" => database.processes.len().to_string(),
        "STALE" => match database.processes.iter().filter(|process| process.is_stale()).count() {
            0 => String::new(),
            count => count.to_string(),
        },
        "CHECKPOINT" => checkpoint(app, database).unwrap_or_default(),
        _ => ingestion(database).unwrap_or_default(),
    }
}

/// Who has the write lock, and for how long. Where there is little room the PID matters more than the name.
fn writer(database: &Database, room: usize) -> Option<String> {
    let holder = database.locks.writer.as_ref()?;
    let held = holder.held_ms.map(|held| format!(" {}", units::duration(held))).unwrap_or_default();
    let pid = holder.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let process = holder.pid.and_then(|pid| database.process(pid)).filter(|_| room >= 20);
    let name = process.map_or_else(String::new, |it| format!(" {}", text::fit(&it.name, 6)));
    Some(format!("{pid}{name}{held}"))
}

/// What came of the last scheduled checkpoint.
fn checkpoint(app: &App, database: &Database) -> Option<String> {
    let schedule = database.schedule.as_ref()?;
    let Some(last) = &schedule.last else {
        return Some(format!("every {}", units::duration(schedule.every_ms)));
    };
    let ago = units::duration((app.now.duration_since(last.at).as_secs_f64() * 1e3).max(0.0));
    let outcome = match (last.frames_moved, last.frames_in_log) {
        (Some(moved), Some(all)) => format!("{} of {}", units::count(moved.into()), units::count(all.into())),
        _ => last.outcome(),
    };
    Some(format!("{ago} ago: {outcome}"))
}

/// How far the first ingestion that runs is.
fn ingestion(database: &Database) -> Option<String> {
    let running = database.ingestions.iter().find(|ingestion| ingestion.is_running())?;
    let total = running.files_total.map_or_else(|| "?".to_owned(), units::count);
    Some(format!("{} of {total}", units::count(running.files_done)))
}

/// Sign and words for what is worst about the database at `index`.
fn worst(app: &App, index: usize, theme: &Theme) -> (&'static str, String, Style) {
    let database = &app.databases()[index];
    if database.files.db.is_none() && !database.is_gone() {
        if app.has_gone(index) {
            return ("–", "is gone from its path: it was moved or removed".to_owned(), theme.danger);
        }
        return ("–", "does not exist yet".to_owned(), theme.warning);
    }
    match (database.worst(), &database.unfit) {
        (Some(finding), _) => {
            let others = match database.findings.len() {
                1 => String::new(),
                count => format!(" (+{})", count - 1),
            };
            let words = format!("{}{others}: {}", finding.kind, text::clean(&finding.message));
            (sign(finding.severity), words, theme.severity(finding.severity))
        }
        (None, Some(why)) => (sign(crate::snapshot::Severity::Error), text::clean(why), theme.danger),
        (None, None) => ("✔", "nothing wrong".to_owned(), theme.good),
    }
}

/// What did not fit into the line of the selected database.
fn about_one(frame: &mut Frame, area: Rect, app: &App, database: &Database, theme: &Theme) {
    let width = usize::from(area.width);
    let (_, words, style) = worst(app, app.current(), theme);
    let mut lines = vec![
        Line::styled("─".repeat(width), theme.border),
        Line::styled(text::fit(&format!(" {}", database.path.display()), width), theme.title),
    ];
    let facts = facts(app, database);
    let room = usize::from(area.height).saturating_sub(lines.len() + usize::from(!facts.is_empty()));
    let rows = text::wrap(&words, width.saturating_sub(1));
    lines.extend(rows.into_iter().take(room.max(1)).map(|row| Line::styled(format!(" {row}"), style)));
    if !facts.is_empty() {
        lines.push(Line::raw(text::fit(&format!(" {facts}"), width)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn facts(app: &App, database: &Database) -> String {
    let profile = app.profile().map(|profile| format!("profile {}", profile.name));
    let ingestion = ingestion(database).map(|done| format!("ingestion: {done} files"));
    profile.into_iter().chain(ingestion).chain(files::told(app, database)).collect::<Vec<_>>().join("; ")
}
