//! Panel 1: which process holds which lock, for how long, and the share of the budget.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{boxed, empty, level, selected_line, theme::Theme};
use crate::{
    console::app::{App, HolderLock, HolderRow},
    diagnose::checkpoint,
    history::{DatabaseTrend, WriteLane},
    keymap::{Action, Panel},
    snapshot::{Database, DatabaseLocks, LogReader},
    text, units,
};

/// Columns of a lane's PID and name.
const LANE_LABEL: usize = 20;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(frame, area, app, theme, Panel::Locks, "Locks");
    let (Some(database), Some(look)) = (app.database(), app.sample()) else {
        return empty(frame, inner, theme, "looking…");
    };
    if database.files.db.is_none() {
        return empty(frame, inner, theme, &super::absence(app, database));
    }
    let width = usize::from(inner.width);
    let selected = if app.focus == Panel::Locks { app.selected_holder() } else { None };
    let mark = |line: Line<'static>, lock: HolderLock| {
        let is_selected = selected.is_some_and(|it| it.lock == lock);
        if is_selected { selected_line(&line, theme) } else { line }
    };
    let mut lines = vec![mark(write_lock(database, theme, width), HolderLock::Write)];
    lines.extend(gauge(app, &database.locks, theme, width));
    let moved = look.trends.get(app.current()).and_then(|trend| trend.frames_moved_per_second);
    lines.extend(others(database, moved, theme, width).into_iter().map(|(lock, line)| mark(line, lock)));
    let mut readers: Vec<Line<'static>> = readers(database, theme, width)
        .into_iter()
        .enumerate()
        .map(|(at, line)| mark(line, HolderLock::Read(at)))
        .collect();
    let room = usize::from(inner.height).saturating_sub(lines.len());
    let lanes_wanted = look.trends.get(app.current()).map_or(0, |trend| trend.lanes.len());
    // Half of the rows, at least two, and the rows that the lanes leave.
    let for_readers = (room / 2).max(room.saturating_sub(lanes_wanted)).max(room.min(2));
    if readers.len() > for_readers {
        let hidden = readers.len() + 1 - for_readers;
        // The selected reader is always on the screen.
        if let Some(HolderRow { lock: HolderLock::Read(at), .. }) = selected {
            readers.drain(..(at + 2).saturating_sub(for_readers).min(hidden));
        }
        readers.truncate(for_readers.saturating_sub(1));
        let label = if readers.is_empty() { "readers" } else { "" };
        let more =
            format!("{label:<12}{hidden} more: {} shows them all", app.key_of(Action::Zoom(Panel::Locks)));
        readers.push(Line::styled(text::fit(&more, width), theme.muted));
    }
    if let Some(trend) = look.trends.get(app.current()) {
        lines.extend(lanes(trend, theme, width).take(room.saturating_sub(readers.len())));
    }
    lines.extend(readers);
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The process `pid` in one or two words.
pub fn who(database: &Database, pid: Option<i32>) -> String {
    match pid {
        None => "a process not visible from here".to_owned(),
        Some(pid) => match database.process(pid) {
            Some(process) => format!("{pid} ({})", text::fit(&process.label, 15)),
            None => pid.to_string(),
        },
    }
}

fn write_lock(database: &Database, theme: &Theme, width: usize) -> Line<'static> {
    let locks = &database.locks;
    let (now, style) = match &locks.writer {
        None => ("free".to_owned(), theme.good),
        Some(holder) => {
            let held =
                holder.held_ms.map(|held| format!(" for {}", units::duration(held))).unwrap_or_default();
            (format!("{}{held}", who(database, holder.pid)), theme.warning)
        }
    };
    let mut spans = vec![Span::styled("write lock  ", theme.title), Span::styled(now.clone(), style)];
    if let (Some(holds), Some(window)) = (&locks.write_holds, locks.window_ms) {
        let share = holds.held_ratio * 100.0;
        let figures = format!("   held {share:.0} % of the last {}", units::duration(window));
        let room = width.saturating_sub("write lock  ".len() + now.chars().count());
        spans.push(Span::raw(text::fit(&figures, room)));
    }
    Line::from(spans)
}

/// The longest hold, now or in the window, against the profile's `busy_timeout`.
fn gauge(app: &App, locks: &DatabaseLocks, theme: &Theme, width: usize) -> Option<Line<'static>> {
    let budget = f64::from(app.profile()?.busy_timeout_ms()?);
    let now = locks.writer.as_ref().and_then(|holder| holder.held_ms).unwrap_or(0.0);
    let longest = locks.write_holds.as_ref().map_or(now, |holds| holds.max_ms.max(now));
    let label = format!("budget {}  ", units::duration(budget));
    let figures =
        locks.write_holds.as_ref().filter(|holds| holds.count > 0).map_or_else(String::new, |holds| {
            let [p50, p99, max] = [holds.p50_ms, holds.p99_ms, holds.max_ms].map(units::duration);
            // In a narrow panel the median is omitted first.
            let p50 = if width < 70 { String::new() } else { format!("p50 {p50}  ") };
            format!("   {p50}p99 {p99}  max {max}")
        });
    let cells = width.saturating_sub(label.len() + figures.len() + 9).clamp(10, 60) / 2;
    let share = longest / budget;
    let style = if share >= 1.0 {
        theme.danger
    } else if share >= 0.5 {
        theme.warning
    } else {
        theme.good
    };
    let half = |from: f64| -> [Span<'static>; 2] {
        let (full, rest) = super::bar((share - from).max(0.0), 0.5, cells);
        [Span::styled(full.replace('█', "━"), style), Span::styled(rest.replace('░', "─"), theme.muted)]
    };
    let mut spans = vec![Span::styled(label, theme.title), Span::styled("├", theme.muted)];
    spans.extend(half(0.0));
    spans.push(Span::styled("┼", theme.title));
    spans.extend(half(0.5));
    spans.push(Span::styled("┤ ", theme.muted));
    spans.push(Span::styled(
        if share > 1.0 { "over".to_owned() } else { format!("{:.0} %", share * 100.0) },
        style,
    ));
    spans.push(Span::raw(figures));
    Some(Line::from(spans))
}

/// The checkpoint, recovery and exclusive locks that are held, what a checkpoint waits for, and how many pages it moves
/// per second.
fn others(
    database: &Database,
    moved: Option<f64>,
    theme: &Theme,
    width: usize,
) -> Vec<(HolderLock, Line<'static>)> {
    let locks = &database.locks;
    let waits_for: Vec<String> =
        checkpoint::waited_for(database).iter().map(|reader| who(database, reader.pid)).collect();
    let mut more = String::new();
    if !waits_for.is_empty() {
        more.push_str(&format!(", waits for {}", waits_for.join(", ")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive rate, shown rounded"
    )]
    if let Some(rate) = moved.filter(|&rate| rate >= 1.0) {
        more.push_str(&format!(", {} frames/s moved", units::count(rate as u64)));
    }
    let held = [
        (HolderLock::Checkpoint, "checkpoint", &locks.checkpointer),
        (HolderLock::Recovery, "recovery", &locks.recoverer),
        (HolderLock::WholeFile, "whole file", &locks.exclusive),
    ];
    held.into_iter()
        .filter_map(|(lock, label, holder)| {
            let holder = holder.as_ref()?;
            let held =
                holder.held_ms.map(|held| format!(" for {}", units::duration(held))).unwrap_or_default();
            let more = if label == "checkpoint" { more.as_str() } else { "" };
            let text = format!("{}{held}{more}", who(database, holder.pid));
            let line = Line::from(vec![
                Span::styled(format!("{label:<12}"), theme.title),
                Span::styled(text::fit(&text, width.saturating_sub(12)), theme.warning),
            ]);
            Some((lock, line))
        })
        .collect()
}

fn lanes<'a>(
    trend: &'a DatabaseTrend,
    theme: &'a Theme,
    width: usize,
) -> impl Iterator<Item = Line<'static>> + 'a {
    trend.lanes.iter().map(move |lane| {
        let pid = lane.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        let label = format!("{pid:>8} {} ", text::pad(&lane.name, LANE_LABEL - 10));
        let cells = width.saturating_sub(LANE_LABEL).min(WriteLane::CELLS);
        let mut spans = vec![Span::raw(label)];
        spans.extend(lane.cells[lane.cells.len().saturating_sub(cells)..].iter().map(|&share| {
            let style = if share > 0.0 { theme.warning } else { theme.muted };
            Span::styled(level(share.into()).to_string(), style)
        }));
        Line::from(spans)
    })
}

fn readers(database: &Database, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let readers = &database.locks.readers;
    if readers.is_empty() {
        return vec![Line::from(vec![
            Span::styled("readers     ", theme.title),
            Span::styled("none", theme.muted),
        ])];
    }
    let newest = database.wal.as_ref().and_then(|wal| wal.frames);
    readers
        .iter()
        .enumerate()
        .map(|(row, reader)| {
            let label = if row == 0 { "readers     " } else { "            " };
            let behind = reader.frame.is_some_and(|frame| newest.is_some_and(|newest| frame < newest));
            let style = if behind { theme.warning } else { Style::new() };
            let sentence = sentence(database, reader);
            Line::from(vec![
                Span::styled(label, theme.title),
                Span::styled(text::fit(&sentence, width.saturating_sub(label.len())), style),
            ])
        })
        .collect()
}

fn sentence(database: &Database, reader: &LogReader) -> String {
    let who = who(database, reader.pid);
    let shared = database.locks.readers.iter().filter(|other| other.slot == reader.slot).count() > 1;
    let held = reader.held_ms.map(|held| format!(" for {}", units::duration(held))).unwrap_or_default();
    match (reader.slot, reader.frame) {
        (Some(0), _) => format!("{who} in the main file{held} (slot 0): nothing can be moved"),
        (Some(slot), Some(frame)) => {
            let about = if shared { "at or after" } else { "at" };
            format!("{who} {about} frame {}{held} (slot {slot})", units::count(frame.into()))
        }
        (Some(slot), None) => format!("{who} at an unknown frame{held} (slot {slot})"),
        (None, _) => format!("{who} reads{held}"),
    }
}
