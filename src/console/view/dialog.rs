//! Dialogs: what will happen, what it costs, and two buttons.

use log::Level;
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use crate::{
    console::app::{App, Dialog, DialogButton, DialogField, DialogFocus, DialogKind},
    diagnose::health::HealthDepth,
    text, units,
};

use super::{framed, theme::Theme};

mod reap;
mod stop;

const WIDTH: u16 = 76;
/// A list has causes beside its rows.
const LIST_WIDTH: u16 = 108;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, dialog: &Dialog) {
    let width = if matches!(dialog.kind, DialogKind::Reap(_)) { LIST_WIDTH } else { WIDTH }.min(area.width);
    let room = usize::from(width).saturating_sub(4);
    let mut lines = body(app, dialog, theme, (room, area.height.into()));
    lines.push(Line::default());
    lines.extend(fields(dialog, theme, room));
    if let Some(complaint) = &dialog.complaint {
        lines.extend(sentence(&format!("✖ {complaint}"), theme, Level::Error, room));
    }
    lines.push(buttons(dialog, theme));
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let area = centred(area, width, height);
    frame.render_widget(Clear, area);
    let inner =
        framed(frame, area, theme.focus, Span::styled(format!(" {} ", title(&dialog.kind)), theme.title));
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    // The buttons are the last line: where there is no room for all, the body gives way.
    let scroll = lines.len().saturating_sub(inner.height.into());
    frame.render_widget(Paragraph::new(lines).scroll((u16::try_from(scroll).unwrap_or(0), 0)), inner);
}

/// A rectangle in the middle of `area`, no larger than it.
pub fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn title(kind: &DialogKind) -> String {
    match kind {
        DialogKind::Stop { process, .. } => format!("Stop {}", process.pid),
        DialogKind::Reap(_) => "Reap what is stale".to_owned(),
        DialogKind::Waiting(ending) => format!("{} was sent", ending.signal),
        DialogKind::Kill(_) => "KILL what did not go?".to_owned(),
        DialogKind::StopIngestion { .. } => "Stop the ingestion".to_owned(),
        DialogKind::Checkpoint { .. } => "Checkpoint".to_owned(),
        DialogKind::Ingest { .. } => "Start an ingestion".to_owned(),
        DialogKind::Health { .. } | DialogKind::Checking { .. } => "Health check".to_owned(),
        DialogKind::Fix { .. } => "Fix what the file keeps".to_owned(),
    }
}

fn body(app: &App, dialog: &Dialog, theme: &Theme, (room, height): (usize, usize)) -> Vec<Line<'static>> {
    let plain = |text: &str| sentence(text, theme, Level::Info, room);
    match &dialog.kind {
        DialogKind::Stop { process, signal, .. } => stop::before(app, process, *signal, theme, room),
        DialogKind::Reap(list) => reap::lines(app, list, theme, room, height),
        DialogKind::Waiting(ending) => stop::waiting(app, ending, theme, room),
        DialogKind::Kill(ending) => stop::kill(ending, theme, room),
        DialogKind::StopIngestion { folders, target, .. } => {
            let mut lines = plain(&format!(
                "The ingestion of {} (process {}) ends after its current batch. What is committed stays; the next \
                 run carries on.",
                folders.join(" "),
                target.pid
            ));
            let watchers = app.database().map(|it| it.watchers.as_slice()).unwrap_or_default();
            if watchers.iter().any(|watcher| watcher.pid == target.pid) {
                lines.extend(plain("It is that of a watch, which ends with it."));
            }
            lines
        }
        DialogKind::Checkpoint { database, mode, blockers } => {
            let mut lines = plain(&format!("Moves frames of the log into {}.", database.display()));
            lines.extend(plain(mode.about()));
            let chosen = crate::snapshot::CheckpointMode::ALL.iter().position(|it| it == mode).unwrap_or(0);
            let blockers = blockers.get(chosen).map_or(&[][..], Vec::as_slice);
            if blockers.is_empty() {
                lines.extend(plain("Nobody is in its way at the moment."));
            }
            for blocker in blockers {
                lines.extend(sentence(&format!("▲ {}", blocker.why), theme, Level::Warn, room));
            }
            lines
        }
        DialogKind::Ingest { database, warning, .. } => {
            let mut lines =
                plain(&format!("Takes the Markdown and text files of a folder into {}.", database.display()));
            lines.extend(plain("It runs in a process of its own and goes on when this console quits."));
            if let Some(warning) = warning {
                lines.extend(sentence(&format!("▲ {warning}"), theme, Level::Warn, room));
            }
            lines
        }
        DialogKind::Health { database, .. } => {
            let mut lines = plain(&format!("Proves that {} can be written to.", database.display()));
            lines.extend(plain(
                "It waits for the write lock, writes, and rolls that back: nothing in the file changes. What a crash has \
                 left beside it is recovered. quick_check reads every page; the log grows meanwhile if others write.",
            ));
            lines
        }
        DialogKind::Checking { database, depth, since } => {
            let seconds = app.now.duration_since(*since).as_secs().max(0);
            let pages = app.database().filter(|it| it.path == *database).and_then(|it| it.header.as_ref());
            let of = match pages.filter(|_| *depth == HealthDepth::QuickCheck) {
                Some(header) => format!(" of {}", units::plural(header.page_count.into(), "page")),
                None => String::new(),
            };
            plain(&format!("{}: {depth}{of}, {seconds} s so far.", database.display()))
        }
        DialogKind::Fix { database, steps, holders } => {
            let mut lines = plain(&format!("Runs on {}:", database.display()));
            for (sql, why) in steps {
                lines.push(Line::styled(text::fit(&format!("  {sql}"), room), theme.accent));
                lines.extend(plain(why));
            }
            if !holders.is_empty() {
                let text = format!("▲ {} must not be using it at that moment.", holders.join(", "));
                lines.extend(sentence(&text, theme, Level::Warn, room));
            }
            lines
        }
    }
}

fn sentence(text: &str, theme: &Theme, level: Level, room: usize) -> Vec<Line<'static>> {
    let style = match level {
        Level::Error => theme.danger,
        Level::Warn => theme.warning,
        _ => Style::new(),
    };
    text::wrap(text, room).into_iter().map(|line| Line::styled(line, style)).collect()
}

fn fields(dialog: &Dialog, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let draw = |(index, field): (usize, DialogField)| {
        let focused = dialog.focus == DialogFocus::Field(index);
        let mark = if focused { "▸ " } else { "  " };
        let mut spans = vec![Span::styled(mark, theme.accent)];
        match field {
            DialogField::Text { label, value } => {
                spans.push(Span::styled(format!("{label:<8}"), theme.title));
                // The end of a long value is what is being typed.
                let room = room.saturating_sub(12);
                let skip = value.chars().count().saturating_sub(room);
                let tail: String = value.chars().skip(skip).collect();
                let style = if focused && dialog.is_proposal { theme.selected } else { Style::new() };
                spans.push(Span::styled(text::clean(&tail), style));
                if focused {
                    spans.push(Span::styled("▏", theme.accent));
                }
            }
            DialogField::Choice { label, options, chosen } => {
                spans.push(Span::styled(format!("{label:<8}"), theme.title));
                for (at, option) in options.into_iter().enumerate() {
                    spans.push(if at == chosen {
                        Span::styled(format!("[{option}]"), theme.selected)
                    } else {
                        Span::styled(format!(" {option} "), theme.muted)
                    });
                }
                let hint = if focused { "  ← →" } else { "  Tab, then ← →" };
                spans.push(Span::styled(hint, theme.muted));
            }
        }
        Line::from(spans)
    };
    dialog.fields().into_iter().enumerate().map(draw).collect()
}

fn buttons(dialog: &Dialog, theme: &Theme) -> Line<'static> {
    if matches!(dialog.kind, DialogKind::Checking { .. }) {
        return Line::styled("  Esc ends the check", theme.muted);
    }
    if matches!(dialog.kind, DialogKind::Waiting(_)) {
        return Line::styled("  Esc leaves it to end by itself", theme.muted);
    }
    let button = |label: &'static str, button: DialogButton| {
        let style = if dialog.focus == DialogFocus::Button(button) { theme.selected } else { theme.accent };
        Span::styled(label, style)
    };
    Line::from(vec![
        Span::raw("  "),
        button("[ n No ]", DialogButton::No),
        Span::raw("   "),
        button("[ y Yes ]", DialogButton::Yes),
        Span::styled("    Tab moves, Esc leaves", theme.muted),
    ])
}
