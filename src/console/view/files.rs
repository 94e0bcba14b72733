//! Panel 3: the three files, and how much of the log waits for a checkpoint.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use super::{bar, boxed, empty};
use crate::{
    console::{app::App, widgets::theme::Theme},
    diagnose,
    keymap::{Action, Panel},
    snapshot::{Database, LogReader, Presence, SpaceKind, SpaceUse, WalSource, WalState},
    text, units,
};

/// Columns of a row before what follows the size of its file.
const SIZE: usize = 15;
/// Columns of the label of [`summary`], as of the lines around it.
const LABEL: usize = 12;
const SHORTEST_BAR: usize = 4;
/// From this part of the pages on, free pages are shown in place of the page size: a tenth.
const NOTABLE: u32 = 10;

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
    let room = width.saturating_sub(SIZE);
    let mut lines = vec![row("db", &format!("{:<10}{}", size(&database.files.db), pages(database, room)))];
    let frames = match (&database.wal, database.is_wal()) {
        (Some(wal), _) => wal.frames.map(|frames| units::plural(frames.into(), "frame")),
        (None, Some(false)) => Some("rollback journal".to_owned()),
        (None, _) => None,
    };
    lines.push(row("wal", &format!("{:<10}{}", size(&database.files.wal), frames.unwrap_or_default())));
    let obstacle = match left_over(app, database) {
        Some(sentence) => Some(sentence),
        None => database.wal.as_ref().map(|wal| {
            let blocked = blocked(database, wal, width.saturating_sub(5));
            if blocked.is_empty() { blocked } else { format!("     {blocked}") }
        }),
    };
    lines.extend(database.wal.as_ref().map(|wal| progress(wal, theme, width)));
    lines.extend(obstacle.map(|obstacle| Line::styled(text::fit(&obstacle, width), theme.warning)));
    let marks = database.wal.as_ref().and_then(|wal| wal.read_marks);
    let slots = marks.map(|marks| marked(database, marks, room));
    lines.push(row("shm", &format!("{:<10}{}", size(&database.files.shm), slots.unwrap_or_default())));
    if let Some(journal) = &database.files.journal {
        let heat =
            if database.content.hot_journal.is_some() { "hot: rolled back at the next open" } else { "" };
        lines.push(row("jnl", &format!("{:<10}{heat}", units::bytes(journal.bytes))));
    }
    lines.extend(held(database).map(|text| row("held", &text)));
    lines
}

/// The deleted and temporary files that processes have open; `None` if there are none.
fn held(database: &Database) -> Option<String> {
    let is_held = |part: &&SpaceUse| matches!(part.kind, SpaceKind::DeletedFiles | SpaceKind::TemporaryFiles);
    let held: Vec<&SpaceUse> = database.space.iter().filter(is_held).collect();
    let bytes = held.iter().map(|part| part.bytes).sum();
    let mut pids: Vec<String> = held.iter().filter_map(|part| part.pid).map(|pid| pid.to_string()).collect();
    pids.dedup();
    let what = format!("{:<10}temporary or deleted: {}", units::bytes(bytes), pids.join(", "));
    (!held.is_empty()).then_some(what)
}

/// The log in one line, for a screen without this panel.
pub fn summary(app: &App, database: &Database, theme: &Theme, width: usize) -> Line<'static> {
    let label = format!("{:<LABEL$}", "wal");
    let room = width.saturating_sub(LABEL);
    let size = database.files.wal.as_ref().map(|file| units::bytes(file.bytes));
    let (text, style) = match (&database.wal, size) {
        (_, size) if let Some(sentence) = left_over(app, database) => {
            (size.map_or_else(|| sentence.clone(), |size| format!("{size}, {sentence}")), theme.warning)
        }
        (Some(wal), size) => {
            let state = match (wal.frames, wal.pending) {
                (Some(frames), Some(0)) => format!("all of {} moved", units::plural(frames.into(), "frame")),
                (Some(frames), Some(pending)) => {
                    format!(
                        "{} of {} wait",
                        units::count(pending.into()),
                        units::plural(frames.into(), "frame")
                    )
                }
                _ => "its index cannot be read".to_owned(),
            };
            let size = size.unwrap_or_else(|| "none".to_owned());
            // The process comes before what may be cut off.
            match blocked(database, wal, room.saturating_sub(size.width() + state.width() + 4)) {
                blocked if blocked.is_empty() => (format!("{size}, {state}"), Style::new()),
                blocked => (format!("{size}, {blocked}; {state}"), theme.warning),
            }
        }
        (None, _) if database.is_wal() == Some(false) => ("none: rollback journal".to_owned(), theme.muted),
        (None, size) => (size.unwrap_or_else(|| "none".to_owned()), theme.muted),
    };
    Line::from(vec![Span::styled(label, theme.title), Span::styled(text::fit(&text, room), style)])
}

/// The sentence about a log that no process uses; `None` if it is in use, or a finding forbids the connection that
/// would recover it.
fn left_over(app: &App, database: &Database) -> Option<String> {
    let is_it = database.presence() == Presence::Leftover && diagnose::hazard(database).is_none();
    let acts =
        if app.is_replay() { String::new() } else { format!(": {} recovers", app.key_of(Action::Health)) };
    is_it.then(|| format!("left over, no process uses it{acts}"))
}

/// The status of the checkpoints that the profile schedules, if it does.
pub fn schedule_line(app: &App, database: &Database) -> Option<String> {
    let schedule = database.schedule.as_ref()?;
    let idle = match (app.switch.is_read_only(), app.switch.is_armed()) {
        _ if app.is_replay() => "",
        (true, _) => " (not while read-only)",
        (_, false) => " (not while disarmed)",
        (_, true) => "",
    };
    Some(format!("checkpoint {}{idle}", text::clean(&schedule.describe(app.now))))
}

/// The rows that the panel wants, including its frame.
pub fn height(app: &App) -> u16 {
    let Some(database) = app.database() else { return 7 };
    let more = if database.schedule.is_some() { 2 } else { 0 };
    7 + more + u16::from(database.files.journal.is_some()) + u16::from(held(database).is_some())
}

fn schedule(
    app: &App,
    database: &Database,
    theme: &Theme,
    (width, height): (usize, usize),
) -> Vec<Line<'static>> {
    let Some(line) = schedule_line(app, database) else { return Vec::new() };
    let above = 5 + usize::from(database.files.journal.is_some()) + usize::from(held(database).is_some());
    let rows = text::wrap(&line, width).into_iter().take(height.saturating_sub(above).max(1));
    rows.map(|row| Line::styled(row, theme.muted)).collect()
}

fn pages(database: &Database, room: usize) -> String {
    let Some(header) = &database.header else {
        let is_empty = database.files.db.as_ref().is_some_and(|file| file.bytes == 0);
        return if is_empty { "empty" } else { "header unreadable" }.to_owned();
    };
    // A restarted index has no size yet.
    let with_log = database.wal.as_ref().and_then(|wal| wal.page_count).filter(|&count| count > 0);
    let count = with_log.unwrap_or(header.page_count);
    let pages = units::plural(count.into(), "page");
    let free = header.free_pages.filter(|&free| count > 0 && free >= count / NOTABLE && free > 0);
    let more = if let Some(free) = free {
        format!(", {} free", units::count(free.into()))
    } else if count > header.page_count {
        ", log included".to_owned()
    } else {
        format!(" of {}", page_size(header.page_size))
    };
    if pages.width() + more.width() <= room { pages + &more } else { pages }
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
    let [moved_words, pending_words] = [moved, pending].map(|frames| units::count(frames.into()));
    let mut words = match pending {
        0 => " all moved".to_owned(),
        _ => format!(" {moved_words} moved, {pending_words} wait"),
    };
    let room = width.saturating_sub(5);
    if words.width() + SHORTEST_BAR > room {
        words = format!(" {pending_words} wait");
    }
    let (full, rest) =
        bar(moved.into(), frames.into(), room.saturating_sub(words.width()).clamp(SHORTEST_BAR, 12));
    Line::from(vec![
        Span::raw("     "),
        Span::styled(full, theme.good),
        Span::styled(rest, theme.muted),
        Span::raw(words),
    ])
}

/// Whose marks keep the waiting frames in the log, the oldest mark first, in `room` columns.
fn blocked(database: &Database, wal: &WalState, room: usize) -> String {
    let Some(newest) = wal.frames.filter(|_| wal.pending.is_some_and(|pending| pending > 0)) else {
        return String::new();
    };
    let behind = |reader: &LogReader| Some((reader.frame.filter(|&at| at < newest)?, reader.pid));
    let mut pins: Vec<_> = database.locks.readers.iter().filter_map(behind).collect();
    pins.sort_unstable();
    let name = |pid: Option<i32>| pid.map_or_else(|| "a hidden process".to_owned(), |it| it.to_string());
    let mut blockers: Vec<String> = pins.into_iter().map(|(_, pid)| name(pid)).collect();
    blockers.dedup();
    if blockers.is_empty() { String::new() } else { listed("blocked by ", &blockers, ", then ", room) }
}

/// As many of `parts` as fit into `room` columns, at least one, and how many more there are.
fn listed(lead: &str, parts: &[String], separator: &str, room: usize) -> String {
    let with = |shown: usize| {
        let more = match parts.len() - shown {
            0 => String::new(),
            more => format!(" +{more}"),
        };
        format!("{lead}{}{more}", parts[..shown].join(separator))
    };
    let fitting = (1..=parts.len()).rev().map(with).find(|text| text.width() <= room);
    fitting.unwrap_or_else(|| with(parts.len().min(1)))
}

/// The marks of the slots that a process holds. The others are left over and have no meaning.
fn marked(database: &Database, marks: [Option<u32>; 5], room: usize) -> String {
    let is_held = |slot| database.locks.readers.iter().any(|reader| reader.slot == Some(slot));
    let mark = |slot: u8| match slot {
        0 => Some("0:main".to_owned()),
        _ => Some(format!("{slot}:{}", marks[usize::from(slot)]?)),
    };
    let held: Vec<String> = (0..5).filter(|&slot| is_held(slot)).filter_map(mark).collect();
    if held.is_empty() { "no reader slot held".to_owned() } else { listed("slots ", &held, " ", room) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_where_the_room_ends_and_counts_the_rest() {
        let pids = ["4837", "4952", "4953"].map(str::to_owned);
        let listed = |room| listed("blocked by ", &pids, ", then ", room);
        assert_eq!(listed(40), "blocked by 4837, then 4952, then 4953");
        assert_eq!(listed(29), "blocked by 4837, then 4952 +1");
        assert_eq!(listed(28), "blocked by 4837 +2");
        assert_eq!(listed(3), "blocked by 4837 +2");
    }
}
