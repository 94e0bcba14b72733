//! The first line: the database, how its log grows, the writer, and what is wrong.

use ratatui::{
    Frame,
    layout::{Alignment, Rect},
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use super::hosts;
use crate::{
    console::{
        app::App,
        process_columns,
        widgets::theme::{Theme, sign},
    },
    keymap::Action,
    recording::PlayedMoment,
    snapshot::{Database, Severity},
    text, units,
};

/// Columns that are kept for the size of the log.
const WAL: usize = "  WAL 78.2 MB".len();
/// Columns that are kept for the writer before the rate of the log is shown.
const WRITER: usize = "  writer holder.py 71201 840 ms".len();

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let wide = area.width >= 110;
    let mut right = right(app, theme, wide);
    let taken = right.width() + 1 + left(app, theme, usize::MAX).width();
    let room = usize::from(area.width).saturating_sub(taken);
    if let Some(source) = time_source(app).into_iter().find(|it| it.width() <= room) {
        right.spans.insert(0, Span::styled(source, theme.muted));
    }
    let room = usize::from(area.width).saturating_sub(right.width() + 1);
    let left = left(app, theme, room);
    frame.render_widget(Paragraph::new(left), area);
    frame.render_widget(Paragraph::new(right).alignment(Alignment::Right), area);
}

fn left(app: &App, theme: &Theme, room: usize) -> Line<'static> {
    let mut parts = vec![(" waltop ".to_owned(), theme.accent)];
    if app.is_replay() {
        parts.push(("REPLAY ".to_owned(), theme.warning));
    }
    if let Some(banner) = &app.setup.banner {
        parts.push((format!("{} ", text::clean(banner)), theme.warning));
    }
    if let Some(host) = app.host_of(app.current()) {
        parts.push((format!("{} ", text::fit(&host.name, 20)), theme.accent));
    }
    match app.database() {
        None => parts.push(("looking…".to_owned(), theme.muted)),
        Some(database) => {
            let names = app.names();
            parts.push((text::fit(&names[app.current()], 28), theme.title));
            if names.len() > 1 {
                let taken: usize = parts.iter().map(|(part, _)| part.width()).sum();
                let room = room.saturating_sub(taken + WAL + WRITER);
                parts.push((position(app, names.len(), room), theme.muted));
            }
            if let Some((_, lost)) = app.lost_link(app.current()) {
                parts.push((format!("  {}", hosts::lost_since(app, lost)), theme.danger));
                return fitted(parts, room);
            }
            if app.unwatched().is_some() {
                parts.push(("  not watched".to_owned(), theme.warning));
                return fitted(parts, room);
            }
            if app.has_gone(app.current()) {
                parts.push(("  is gone from its path".to_owned(), theme.danger));
            } else if database.files.db.is_none() {
                parts.push(("  does not exist yet".to_owned(), theme.warning));
            } else if let Some(why) = &database.unfit {
                parts.push((format!("  {}", text::clean(why)), theme.danger));
            }
            let taken: usize = parts.iter().map(|(part, _)| part.width()).sum();
            let room = room.saturating_sub(taken);
            let writers = writer_forms(app, database);
            let size = log_size(app, database, room, &writers).unwrap_or_default();
            let room = room.saturating_sub(size.width());
            parts.push((size, theme.title));
            let style = if database.locks.writer.is_some() { theme.warning } else { theme.muted };
            let fitting = writers.iter().find(|it| it.width() <= room);
            parts.extend(fitting.map(|words| (words.clone(), style)));
        }
    }
    fitted(parts, room)
}

fn fitted(parts: Vec<(String, Style)>, room: usize) -> Line<'static> {
    let mut left = room;
    let mut spans = Vec::new();
    for (part, style) in parts {
        let part = text::fit(&part, left);
        left -= part.width();
        spans.push(Span::styled(part, style));
    }
    Line::from(spans)
}

/// Which of the databases is shown, and the keys that switch to the others: in words if those fit into `room` columns.
fn position(app: &App, count: usize, room: usize) -> String {
    let [before, after] = [Action::PreviousDatabase, Action::NextDatabase].map(|it| app.key_of(it));
    let at = app.current() + 1;
    let words = [
        format!("  database {at} of {count} ({before} {after} switch)"),
        format!("  database {at} of {count} ({before} {after})"),
    ];
    let fitting = words.into_iter().find(|it| it.width() <= room);
    fitting.unwrap_or_else(|| format!("  db {at} of {count} {before} {after}"))
}

/// How fast the log of the database at `index` grows; empty if it does not.
pub fn growth(app: &App, index: usize) -> String {
    let trend = app.sample().and_then(|look| look.trends.get(index));
    match trend.and_then(|trend| trend.wal_bytes_per_second) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive rate, shown rounded"
        )]
        Some(rate) if rate >= 1.0 => format!(" ▲{}/s", units::bytes(rate as u64)),
        _ => String::new(),
    }
}

/// The size of the log in `room` columns. The writer, in one of `writers`, comes first: beside one the size is left out
/// rather than that its name or its time is cut.
fn log_size(app: &App, database: &Database, room: usize, writers: &[String]) -> Option<String> {
    let size = format!("  WAL {}", units::bytes(database.files.wal.as_ref()?.bytes));
    let with_rate = format!("{size}{}", growth(app, app.current()));
    let named = writers.first().map_or(0, |it| it.width());
    let fits = |size: &str, writer: usize| size.width() + writer <= room;
    if fits(&with_rate, WRITER) {
        return Some(with_rate);
    }
    let writer = if fits("", named) { named } else { writers.get(1).map_or(0, |it| it.width()) };
    fits(&size, writer).then_some(size)
}

/// The writer and how long it has held the lock, in words and shorter: its PID is left out last, and never cut.
fn writer_forms(app: &App, database: &Database) -> Vec<String> {
    if database.files.db.is_none() {
        return Vec::new();
    }
    let Some(holder) = &database.locks.writer else {
        return vec!["  no writer".to_owned()];
    };
    let sign = if is_only_sampled(app) { "≥" } else { "" };
    let held = holder.held_ms.map(|held| format!(" {sign}{}", units::duration(held))).unwrap_or_default();
    let process = holder.pid.and_then(|pid| database.process(pid));
    let named = match process {
        Some(process) => format!("{} {}", text::fit(&process_columns::name(process), 15), process.pid),
        None => super::who(database, holder.pid),
    };
    let shorter = holder.pid.map(|pid| format!("  writer {pid}"));
    let mut forms = vec![format!("  writer {named}{held}")];
    forms.extend(shorter.into_iter().flat_map(|pid| [format!("{pid}{held}"), pid]));
    forms.push("  writer".to_owned());
    forms
}

/// How lock times are measured, in words and in short; empty if they are not.
fn time_source(app: &App) -> [&'static str; 2] {
    match app.sample().map(|look| &look.snapshot) {
        Some(snapshot) if snapshot.trace.is_some() => ["trace: exact  ", "exact  "],
        _ if is_only_sampled(app) => ["sampling: at least  ", "at least  "],
        _ => ["", ""],
    }
}

/// Whether lock times are sampled and not traced, so that each may have been longer.
pub(super) fn is_only_sampled(app: &App) -> bool {
    app.sample().is_some_and(|look| look.snapshot.trace.is_none() && look.snapshot.sampling.is_some())
}

/// Whether a recording plays, how fast, and the moment.
fn replayed(app: &App, moment: &PlayedMoment, theme: &Theme, is_wide: bool) -> Line<'static> {
    let speed = format!("{}x", moment.speed);
    let state = match (moment.is_playing, is_wide) {
        (true, true) => format!("plays {speed}  "),
        (true, false) => format!("▶{speed}  "),
        (false, true) => format!("{} plays {speed}  ", app.key_of(Action::Play)),
        (false, false) => String::new(),
    };
    let time = app.date_time(moment.at);
    let time = if is_wide { time.as_str() } else { time.split_at("2026-".len()).1 };
    Line::from(vec![
        Span::styled(state, if moment.is_playing { theme.good } else { theme.muted }),
        Span::styled(format!("{time} "), theme.title),
    ])
}

fn right(app: &App, theme: &Theme, wide: bool) -> Line<'static> {
    let mut spans = Vec::new();
    if let Some(moment) = app.moment() {
        return replayed(app, moment, theme, wide);
    }
    if let Some(recorder) = app.recorder() {
        let style = if recorder.trouble.is_some() { theme.danger } else { theme.good };
        spans.push(Span::styled("REC  ", style));
    }
    let lost = hosts::others_lost(app);
    if !lost.is_empty() {
        spans.push(Span::styled(lost, theme.danger));
    }
    if app.is_paused() {
        spans.push(Span::styled("PAUSED  ", theme.warning));
    }
    if app.switch.is_read_only() {
        spans.push(Span::styled("READ-ONLY  ", theme.warning));
    } else if !app.switch.is_armed() {
        spans.push(Span::styled("DISARMED  ", theme.warning));
    }
    if let Some((index, severity, count)) = app.worse_elsewhere() {
        let host = app.host_of(index).map_or_else(String::new, |host| format!("{}:", host.name));
        let name = text::fit(&format!("{host}{}", app.names()[index]), if wide { 20 } else { 12 });
        let text = format!("{} {count} in {name}  ", sign(severity));
        spans.push(Span::styled(text, theme.severity(severity)));
    }
    if let Some(database) = app.database() {
        for severity in [Severity::Error, Severity::Warning] {
            let count = database.findings.iter().filter(|finding| finding.severity == severity).count();
            if count > 0 {
                spans.push(Span::styled(format!("{} {count}  ", sign(severity)), theme.severity(severity)));
            }
        }
    }
    if wide {
        let every = units::duration(units::milliseconds(app.interval));
        spans.push(Span::styled(format!("every {every}  "), theme.muted));
    }
    let clock = app.now.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S ").to_string();
    spans.push(Span::raw(clock));
    Line::from(spans)
}
