//! Below the table of panel 2: who holds the write lock, the share of the budget, and the locks that are rarely held.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::who;
use crate::{
    console::{app::App, widgets::theme::Theme},
    diagnose::checkpoint,
    snapshot::{Database, DatabaseLocks, LogReader},
    text, units,
};

/// The rows of the facts in a panel of `height` rows. They do not depend on the locks, so that nothing moves. A table
/// that is alone has the facts of the panels at the side, too.
pub fn height(app: &App, height: u16, is_alone: bool) -> u16 {
    match height {
        _ if is_alone => match height {
            0..6 => 0,
            6..8 => 1,
            8..12 => 3,
            _ => 5,
        },
        0..8 => 0,
        8..13 => 1,
        _ if app.zoomed => height / 2,
        _ => 3,
    }
}

pub fn render(frame: &mut Frame, area: Rect, app: &App, database: &Database, theme: &Theme, is_alone: bool) {
    let width = usize::from(area.width);
    let gauge = gauge(app, &database.locks, theme, width);
    let side = if is_alone { side_facts(app, database, theme, width) } else { Vec::new() };
    let lines = if area.height == 1 && is_alone {
        side
    } else if area.height == 1 {
        gauge.into_iter().collect()
    } else if area.height < 5 && is_alone {
        gauge.into_iter().chain(side).collect()
    } else {
        let trend = app.sample().and_then(|look| look.trends.get(app.current()));
        let moved = trend.and_then(|trend| trend.frames_moved_per_second);
        let mut lines = vec![write_lock(database, theme, width)];
        lines.extend(gauge);
        lines.extend(side);
        lines.extend(others(database, moved, theme, width));
        lines.extend(super::refused::lines(database, app.zoomed, theme, width));
        lines.extend(super::refused::possible_lines(database, app.zoomed, theme, width));
        // The table shows them too, without their slots.
        if app.zoomed {
            lines.extend(readers(database, theme, width));
        }
        lines
    };
    frame.render_widget(Paragraph::new(lines), area);
}

/// The log and the pragmas, a line each.
fn side_facts(app: &App, database: &Database, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let mut pragmas = vec![Span::styled("pragmas     ", theme.title)];
    pragmas.extend(super::pragmas::summary(app, &app.pragma_lines(), theme, width.saturating_sub(12)));
    vec![super::files::summary(app, database, theme, width), Line::from(pragmas)]
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
            let named = |name: &str, ms: f64| format!("{name} {}  ", units::duration(ms));
            // In a narrow panel the median is omitted first.
            let p50 = holds.p50_ms.filter(|_| width >= 70).map(|ms| named("p50", ms));
            let p99 = holds.p99_ms.map(|ms| named("p99", ms));
            let ended = [p50, p99].map(Option::unwrap_or_default).concat();
            format!("   {ended}max {}", units::duration(holds.max_ms))
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
fn others(database: &Database, moved: Option<f64>, theme: &Theme, width: usize) -> Vec<Line<'static>> {
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
        ("checkpoint", &locks.checkpointer),
        ("recovery", &locks.recoverer),
        ("whole file", &locks.exclusive),
    ];
    held.into_iter()
        .filter_map(|(label, holder)| {
            let holder = holder.as_ref()?;
            let held =
                holder.held_ms.map(|held| format!(" for {}", units::duration(held))).unwrap_or_default();
            let more = if label == "checkpoint" { more.as_str() } else { "" };
            let text = format!("{}{held}{more}", who(database, holder.pid));
            Some(Line::from(vec![
                Span::styled(format!("{label:<12}"), theme.title),
                Span::styled(text::fit(&text, width.saturating_sub(12)), theme.warning),
            ]))
        })
        .collect()
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
