//! Panel 5: how ingestions go, from their journals.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use crate::{
    console::{app::App, keymap::Action, panel::Panel},
    snapshot::{Ingestion, IngestionState},
    text, units,
};

use super::{bar, boxed, empty, first_row, level, selected_line, theme::Theme};

/// Lines that one ingestion takes in the list of the whole screen.
const BLOCK: usize = 5;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(frame, area, app, theme, Panel::Ingestion, &title(app));
    let Some(database) = app.database() else { return empty(frame, inner, theme, "looking…") };
    if database.ingestions.is_empty() {
        return empty(
            frame,
            inner,
            theme,
            &format!("None into this database yet: {} starts one.", app.key_of(Action::Ingest)),
        );
    }
    let selected = app.selected_row(Panel::Ingestion);
    let blocks = (usize::from(inner.height) / BLOCK).max(1);
    let first = first_row(selected, u16::try_from(blocks).unwrap_or(1));
    let mut lines = Vec::new();
    for (row, ingestion) in database.ingestions.iter().enumerate().skip(first) {
        let marked = app.focus == Panel::Ingestion && row == selected;
        for (at, line) in block(app, ingestion, theme, inner.width.into()).into_iter().enumerate() {
            lines.push(if marked && at == 0 { selected_line(&line, theme) } else { line });
        }
        lines.push(Line::default());
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn title(app: &App) -> String {
    let (all, running) = app.database().map_or((0, 0), |database| {
        let running = database.ingestions.iter().filter(|ingestion| ingestion.is_running()).count();
        (database.ingestions.len(), running)
    });
    match (all, running) {
        (0, _) => "Ingestion".to_owned(),
        (all, 0) => format!("Ingestion: last of {all}"),
        (_, running) => format!("Ingestion: {running} running"),
    }
}

fn block(app: &App, ingestion: &Ingestion, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let style = match ingestion.state {
        IngestionState::Running => theme.accent,
        IngestionState::Completed => theme.good,
        IngestionState::Stopped => theme.warning,
        IngestionState::Failed | IngestionState::Crashed => theme.danger,
    };
    let state = ingestion.state.to_string();
    let folders: Vec<&str> = ingestion.folders.iter().map(|folder| short(folder)).collect();
    let room = width.saturating_sub(state.len() + 1);
    let mut lines = vec![
        Line::from(vec![
            Span::styled(text::pad(&folders.join(" "), room), theme.title),
            Span::styled(format!(" {state}"), style),
        ]),
        files(ingestion, theme, width),
        Line::raw(text::fit(&batches(app, ingestion), width)),
    ];
    if let Some(hold) = ingestion.hold_ms {
        lines.push(holds(ingestion, hold.p99, theme, width));
    }
    if let Some(waits) = waits(app, ingestion) {
        lines.push(Line::styled(text::fit(&waits, width), theme.warning));
    }
    if let Some(trouble) = trouble(ingestion) {
        lines.push(Line::styled(text::fit(&trouble, width), theme.warning));
    }
    lines
}

fn short(folder: &str) -> &str {
    folder.trim_end_matches('/').rsplit('/').next().unwrap_or(folder)
}

fn files(ingestion: &Ingestion, theme: &Theme, width: usize) -> Line<'static> {
    let done = ingestion.files_done;
    let Some(total) = ingestion.files_total else {
        let before =
            if ingestion.is_running() { "getting ready" } else { "it ended before it had counted the files" };
        return Line::raw(text::fit(before, width));
    };
    #[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
    let (full, rest) = bar(done as f64, total as f64, 12);
    let percent = (done * 100).checked_div(total).unwrap_or(100);
    let counted = format!("{} of {}  ", units::count(done), units::count(total));
    Line::from(vec![
        Span::raw(counted),
        Span::styled(full, theme.good),
        Span::styled(rest, theme.muted),
        Span::raw(format!(" {percent} %")),
    ])
}

fn batches(app: &App, ingestion: &Ingestion) -> String {
    let mut line = format!("batch {}", units::count(ingestion.batches));
    if let Some(size) = ingestion.batch_size {
        line.push_str(&format!("  {size} files"));
    }
    match (ingestion.finished_at, eta(app, ingestion)) {
        (Some(finished), _) => {
            let took = finished.duration_since(ingestion.started_at).as_secs_f64() * 1e3;
            line.push_str(&format!("  took {}", units::duration(took.max(0.0))));
        }
        (None, Some(eta)) => line.push_str(&format!("  ETA {}", units::duration(eta))),
        (None, None) => {}
    }
    line
}

/// What is left, at the pace so far, in ms.
fn eta(app: &App, ingestion: &Ingestion) -> Option<f64> {
    let written = ingestion.files_done.checked_sub(ingestion.files_unchanged).filter(|&files| files > 0)?;
    let left = ingestion.files_total?.checked_sub(ingestion.files_done + ingestion.files_failed)?;
    let spent = app.now.duration_since(ingestion.started_at).as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    (ingestion.is_running() && spent > 0.0).then(|| spent / written as f64 * left as f64)
}

fn holds(ingestion: &Ingestion, p99: f64, theme: &Theme, width: usize) -> Line<'static> {
    let wait =
        ingestion.wait_ms.map(|wait| format!("  wait {}", units::duration(wait.p99))).unwrap_or_default();
    let figures = format!(" p99 {}{wait}", units::duration(p99));
    let room = width.saturating_sub(5 + figures.chars().count()).min(24);
    let recent = &ingestion.recent_holds_ms;
    let shown = &recent[recent.len().saturating_sub(room)..];
    let top = shown.iter().copied().fold(1.0, f64::max);
    let spark: String = shown.iter().map(|hold| level(hold / top)).collect();
    Line::from(vec![
        Span::raw("hold "),
        Span::styled(spark, theme.accent),
        Span::raw(text::fit(&figures, width)),
    ])
}

/// Whom a running ingestion waits for at the moment.
fn waits(app: &App, ingestion: &Ingestion) -> Option<String> {
    let database = app.database()?;
    let writer = database.locks.writer.as_ref().filter(|writer| writer.pid != Some(ingestion.pid))?;
    let held = writer.held_ms.map(units::duration).unwrap_or_default();
    let who = super::locks::who(database, writer.pid);
    ingestion.is_running().then(|| format!("waits: {who} has held the write lock for {held}"))
}

fn trouble(ingestion: &Ingestion) -> Option<String> {
    if let Some(error) = &ingestion.error {
        return Some(error.clone());
    }
    let first = ingestion.failures.first()?;
    let files = if ingestion.files_failed == 1 { "file" } else { "files" };
    Some(format!("{} {files} failed: {}: {}", ingestion.files_failed, short(&first.path), first.reason))
}
