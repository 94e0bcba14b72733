//! The overview: one line per database, and the details of the selected one below.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    files, framed, header,
    table::SelectableTable,
    theme::{Theme, sign},
};
use crate::{console::app::App, keymap::Action, snapshot::Database, text, units};

/// Rows below the list, including their rule.
const ABOUT: u16 = 5;
/// The minimum widths that show the growth of the log, the ingestions, and the scheduled checkpoints.
const GROWTH: u16 = 96;
const INGESTION: u16 = 116;
const CHECKPOINT: u16 = 150;

/// Cells of the mark and the sign of a row.
const MARK: usize = 3;

struct OverviewColumn {
    heading: &'static str,
    /// Cells of the terminal, including the gap to the next column.
    width: usize,
    cell: fn(OverviewRow<'_>) -> String,
}

#[derive(Clone, Copy)]
struct OverviewRow<'a> {
    app: &'a App,
    index: usize,
    name: &'a str,
    database: &'a Database,
    /// Whether the name of a writer fits.
    is_wide: bool,
}

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let names = app.names();
    let keys = [Action::Details, Action::Back].map(|action| app.key_of(action).to_owned());
    let title = format!(" {} databases: {} goes to one, {} back ", names.len(), keys[0], keys[1]);
    let inner = framed(frame, area, theme.focus, Span::styled(title, theme.title));
    let [list, about] =
        Layout::vertical([Constraint::Min(2), Constraint::Length(ABOUT.min(inner.height / 2))]).areas(inner);
    let columns = columns(inner.width, &names);
    let taken: usize = MARK + columns.iter().map(|column| column.width).sum::<usize>();
    let rest = usize::from(inner.width).saturating_sub(taken);
    let rows = app.databases().iter().zip(&names).enumerate().map(|(index, (database, name))| {
        let row = OverviewRow { app, index, name, database, is_wide: inner.width >= GROWTH };
        cells(row, &columns, usize::from(inner.width), theme)
    });
    let headings = columns.iter().map(|column| column.heading).chain(["WORST FINDING"]);
    let table = SelectableTable {
        widths: [MARK].into_iter().chain(columns.iter().map(|column| column.width)).chain([rest]).collect(),
        heading: Some([""].into_iter().chain(headings).map(Line::from).collect()),
        rows: rows.collect(),
        selected: app.current(),
        has_focus: true,
    };
    table.render(frame, list, theme);
    if let Some(database) = app.database() {
        about_one(frame, about, app, database, theme);
    }
}

fn columns(width: u16, names: &[String]) -> Vec<OverviewColumn> {
    let longest = names.iter().map(|name| text::clean(name).chars().count()).max().unwrap_or(0);
    let name_width = longest.clamp(8, usize::from(width) / 4) + 2;
    let writer_width = if width >= GROWTH { 20 } else { 13 };
    let mut columns: Vec<OverviewColumn> = Vec::new();
    let mut add = |from: u16, heading, column_width, cell| {
        if width >= from {
            columns.push(OverviewColumn { heading, width: column_width, cell });
        }
    };
    // Every database has text in the first column.
    add(0, "DATABASE", name_width, |row| row.name.to_owned());
    add(0, "WRITER NOW", writer_width, |row| writer(row).unwrap_or_default());
    add(0, "WAL", 9, |row| {
        row.database.files.wal.as_ref().map_or_else(String::new, |it| units::bytes(it.bytes))
    });
    add(GROWTH, "GROWTH", 12, growth);
    add(0, "PROCS", 6, |row| row.database.processes.len().to_string());
    add(0, "STALE", 6, stale);
    add(INGESTION, "INGESTION", 13, |row| ingestion(row.database).unwrap_or_default());
    add(CHECKPOINT, "CHECKPOINT", 28, |row| checkpoint(row).unwrap_or_default());
    columns
}

fn cells(
    row: OverviewRow<'_>,
    columns: &[OverviewColumn],
    width: usize,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let (sign, words, style) = worst(row.app, row.index, theme);
    let mark = if row.index == row.app.current() { "▸" } else { " " };
    let mut cells = vec![Line::styled(format!("{mark}{sign} "), style)];
    let mut taken = MARK;
    // A database that cannot be sampled shows only the reason, which gets the whole line.
    let database = row.database;
    let is_dark = database.files.db.is_none() && !database.is_gone() || database.unfit.is_some();
    for column in &columns[..if is_dark { 1 } else { columns.len() }] {
        // One cell stays empty before the next column.
        cells.push(text::fit(&(column.cell)(row), column.width - 1).into());
        taken += column.width;
    }
    cells.push(Line::styled(text::fit(&words, width.saturating_sub(taken)), style));
    cells
}

fn growth(row: OverviewRow<'_>) -> String {
    row.database
        .files
        .wal
        .as_ref()
        .map_or_else(String::new, |_| header::growth(row.app, row.index).trim_start().to_owned())
}

fn stale(row: OverviewRow<'_>) -> String {
    match row.database.processes.iter().filter(|process| process.is_stale()).count() {
        0 => String::new(),
        count => count.to_string(),
    }
}

/// The process with the write lock, and for how long. In a narrow line the PID matters more than the name.
fn writer(row: OverviewRow<'_>) -> Option<String> {
    let database = row.database;
    let holder = database.locks.writer.as_ref()?;
    let held = holder.held_ms.map(|held| format!(" {}", units::duration(held))).unwrap_or_default();
    let pid = holder.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let process = holder.pid.and_then(|pid| database.process(pid)).filter(|_| row.is_wide);
    let name = process.map_or_else(String::new, |it| format!(" {}", text::fit(&it.label, 6)));
    Some(format!("{pid}{name}{held}"))
}

/// The result of the last scheduled checkpoint.
fn checkpoint(row: OverviewRow<'_>) -> Option<String> {
    let schedule = row.database.schedule.as_ref()?;
    let Some(last) = &schedule.last else {
        return Some(format!("every {}", units::duration(schedule.every_ms)));
    };
    let ago = units::duration((row.app.now.duration_since(last.at).as_secs_f64() * 1e3).max(0.0));
    let outcome = match (last.frames_moved, last.frames_in_log) {
        (Some(moved), Some(all)) => format!("{} of {}", units::count(moved.into()), units::count(all.into())),
        _ => last.outcome(),
    };
    Some(format!("{ago} ago: {outcome}"))
}

/// The progress of the first active ingestion.
fn ingestion(database: &Database) -> Option<String> {
    let running = database.ingestions.iter().find(|ingestion| ingestion.is_running())?;
    let total = running.files_total.map_or_else(|| "?".to_owned(), units::count);
    Some(format!("{} of {total}", units::count(running.files_done)))
}

/// Sign and words for the worst finding of the database at `index`.
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

/// The details that do not fit in the line of the selected database.
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
    profile
        .into_iter()
        .chain(ingestion)
        .chain(files::schedule_line(app, database))
        .collect::<Vec<_>>()
        .join("; ")
}
