//! Panel 3: the three files, and how much of the log waits for a checkpoint.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{bar, boxed, empty, theme::Theme};
use crate::{
    console::app::App,
    diagnose,
    keymap::{Action, Panel},
    snapshot::{Database, LogReader, Presence, WalSource, WalState},
    text, units,
};

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(frame, area, app, theme, Panel::Files, "Files");
    let Some(database) = app.database() else { return empty(frame, inner, theme, "looking…") };
    if database.files.db.is_none() {
        let path = database.path.display();
        let sentence = if app.has_gone(app.current()) {
            format!("{path} is gone: it was moved or removed.")
        } else {
            format!("There is no {path} yet.")
        };
        return empty(frame, inner, theme, &sentence);
    }
    let mut lines = lines(app, database, theme, inner.width.into());
    lines.extend(schedule(app, database, theme, (inner.width.into(), inner.height.into())));
    frame.render_widget(Paragraph::new(lines), inner);
}

fn lines(app: &App, database: &Database, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let row = |label: &'static str, text: &str| {
        Line::from(vec![
            Span::styled(format!("{label:<5}"), theme.title),
            Span::raw(text::fit(text, width.saturating_sub(5))),
        ])
    };
    let size = |file: &Option<crate::snapshot::FileFacts>| {
        file.as_ref().map_or_else(|| "none".to_owned(), |file| units::bytes(file.bytes))
    };
    let mut lines = vec![row("db", &format!("{:<10}{}", size(&database.files.db), pages(database)))];
    let frames = match (&database.wal, database.is_wal()) {
        (Some(wal), _) => wal.frames.map(|frames| units::plural(frames.into(), "frame")),
        (None, Some(false)) => Some("rollback journal".to_owned()),
        (None, _) => None,
    };
    lines.push(row("wal", &format!("{:<10}{}", size(&database.files.wal), frames.unwrap_or_default())));
    // If a finding forbids a connection, a health check cannot recover the database.
    let is_left_over = database.presence() == Presence::Leftover && diagnose::hazard(database).is_none();
    let obstacle = if is_left_over {
        format!("left over, no process uses it: {} recovers", app.key_of(Action::Health))
    } else {
        database.wal.as_ref().map_or_else(String::new, |wal| blocked(database, wal))
    };
    lines.extend(database.wal.as_ref().map(|wal| progress(wal, theme, width)));
    if is_left_over || database.wal.is_some() {
        lines.push(Line::styled(text::fit(&obstacle, width), theme.warning));
    }
    let slots = database.wal.as_ref().and_then(|wal| wal.read_marks).map(|marks| marked(database, marks));
    lines.push(row("shm", &format!("{:<10}{}", size(&database.files.shm), slots.unwrap_or_default())));
    if let Some(journal) = &database.files.journal {
        let heat =
            if database.content.hot_journal.is_some() { "hot: rolled back at the next open" } else { "" };
        lines.push(row("jnl", &format!("{:<10}{heat}", units::bytes(journal.bytes))));
    }
    lines
}

/// The status of the checkpoints that the profile schedules, if it does.
pub fn schedule_line(app: &App, database: &Database) -> Option<String> {
    let schedule = database.schedule.as_ref()?;
    let idle = match (app.switch.is_read_only(), app.switch.is_armed()) {
        (true, _) => " (not while read-only)",
        (_, false) => " (not while disarmed)",
        (_, true) => "",
    };
    Some(format!("checkpoint {}{idle}", text::clean(&schedule.describe(app.now))))
}

/// The rows that the panel wants, including its frame.
pub fn height(app: &App) -> u16 {
    if app.database().is_some_and(|database| database.schedule.is_some()) { 9 } else { 7 }
}

fn schedule(
    app: &App,
    database: &Database,
    theme: &Theme,
    (width, height): (usize, usize),
) -> Vec<Line<'static>> {
    let Some(line) = schedule_line(app, database) else { return Vec::new() };
    // Five rows are above it.
    let rows = text::wrap(&line, width).into_iter().take(height.saturating_sub(5).max(1));
    rows.map(|row| Line::styled(row, theme.muted)).collect()
}

fn pages(database: &Database) -> String {
    let Some(header) = &database.header else { return "header unreadable".to_owned() };
    // A restarted index has no size yet.
    let with_log = database.wal.as_ref().and_then(|wal| wal.page_count).filter(|&count| count > 0);
    let count = with_log.unwrap_or(header.page_count);
    let pages = units::plural(count.into(), "page");
    if count > header.page_count {
        format!("{pages}, log included")
    } else {
        format!("{pages} of {}", page_size(header.page_size))
    }
}

/// Page sizes are powers of two, so binary units are exact.
pub fn page_size(bytes: u32) -> String {
    if bytes >= 1024 { format!("{} KiB", bytes / 1024) } else { format!("{bytes} B") }
}

fn progress(wal: &WalState, theme: &Theme, width: usize) -> Line<'static> {
    let (Some(frames), Some(moved), Some(pending)) = (wal.frames, wal.backfilled, wal.pending) else {
        let why = match wal.source {
            WalSource::Log => "     counted in the log: no process keeps its index",
            WalSource::Index => "     the index cannot be read at the moment",
        };
        return Line::styled(text::fit(why, width), theme.muted);
    };
    let (full, rest) = bar(moved.into(), frames.into(), 12);
    let words = if pending == 0 {
        " all moved".to_owned()
    } else {
        format!(" {} moved, {} wait", units::count(moved.into()), units::count(pending.into()))
    };
    Line::from(vec![
        Span::raw("     "),
        Span::styled(full, theme.good),
        Span::styled(rest, theme.muted),
        Span::raw(text::fit(&words, width.saturating_sub(17))),
    ])
}

/// Whose marks keep the waiting frames in the log, the oldest mark first.
fn blocked(database: &Database, wal: &WalState) -> String {
    let Some(newest) = wal.frames.filter(|_| wal.pending.is_some_and(|pending| pending > 0)) else {
        return String::new();
    };
    let behind = |reader: &LogReader| Some((reader.frame.filter(|&at| at < newest)?, reader.pid));
    let mut pins: Vec<_> = database.locks.readers.iter().filter_map(behind).collect();
    pins.sort_unstable();
    let name = |pid: Option<i32>| pid.map_or_else(|| "a hidden process".to_owned(), |it| it.to_string());
    let mut blockers: Vec<String> = pins.into_iter().map(|(_, pid)| name(pid)).collect();
    blockers.dedup();
    if blockers.is_empty() { String::new() } else { format!("     blocked by {}", blockers.join(", then ")) }
}

/// The marks of the slots that a process holds. The others are left over and have no meaning.
fn marked(database: &Database, marks: [Option<u32>; 5]) -> String {
    let is_held = |slot| database.locks.readers.iter().any(|reader| reader.slot == Some(slot));
    let mark = |slot: u8| match slot {
        0 => Some("0:main file".to_owned()),
        _ => Some(format!("{slot}:{}", marks[usize::from(slot)]?)),
    };
    let held: Vec<String> = (0..5).filter(|&slot| is_held(slot)).filter_map(mark).collect();
    if held.is_empty() { "no reader slot held".to_owned() } else { format!("slots {}", held.join(" ")) }
}
