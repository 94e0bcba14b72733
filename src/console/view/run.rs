//! The details of one ingestion: its figures, its failures, and its newest batches.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use crate::{
    console::{
        app::{App, TextExtent},
        widgets::theme::Theme,
    },
    snapshot::{BatchDecision, DurationSpread, FailedFile, IngestedBatch, Ingestion, IngestionState},
    text, units,
};

use super::{
    bar,
    ingestion::{sharing, spark, waits},
    labelled::{self, LabelledRows, gone_rows, known, row},
};

/// Columns of a spark line, one per batch.
const SPARK: usize = 40;
/// Columns of the bar of a hold, if one fits.
const BAR: usize = 24;
/// Columns of the table without its bars.
const TABLE: usize = 56;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, run: &str) -> TextExtent {
    let ingestions = app.database().map(|database| database.ingestions.as_slice()).unwrap_or_default();
    let room = usize::from(labelled::width(area)).saturating_sub(4);
    let lines = match ingestions.iter().find(|ingestion| ingestion.run == run) {
        None => labelled::lines(gone_rows(&format!("Run {run}")), room, theme),
        Some(ingestion) => {
            let mut lines = labelled::lines(figures(app, ingestion), room, theme);
            lines.extend(labelled::lines(failures(ingestion), room, theme));
            lines.extend(batches(app, ingestion, room, theme));
            lines
        }
    };
    labelled::show(frame, area, app, theme, lines)
}

fn figures(app: &App, ingestion: &Ingestion) -> LabelledRows {
    let Ingestion { files_done, files_unchanged, .. } = ingestion;
    let counted =
        format!("{}, {} of them unchanged", units::count(*files_done), units::count(*files_unchanged));
    let finished = match (ingestion.finished_at, ingestion.state) {
        (Some(at), _) => labelled::clock(app, at),
        (None, IngestionState::Crashed) => "never: its process is gone".to_owned(),
        (None, _) => "not yet".to_owned(),
    };
    let spent = if ingestion.is_running() { "so far" } else { "took" };
    let mut rows = vec![
        row("run", &ingestion.run),
        row("state", ingestion.state.to_string()),
        row("process", ingestion.pid.to_string()),
        row("folders", ingestion.folders.join(", ")),
        row("started", labelled::clock(app, ingestion.started_at)),
        row("finished", finished),
        row(spent, units::duration(ingestion.elapsed_ms(app.now))),
    ];
    rows.extend(ingestion.eta_ms(app.now).map(|eta| row("ETA", units::duration(eta))));
    rows.extend(ingestion.error.iter().map(|error| row("why it ended", error)));
    rows.extend(ingestion.carries_on.iter().map(|before| row("resumes", before.to_string())));
    let waited: Vec<f64> = ingestion.recent_batches.iter().map(|it| it.wait_ms).collect();
    rows.extend([row("files", known(ingestion.files_total.map(units::count))), row("done", counted)]);
    rows.extend(ingestion.embedding.iter().map(|it| row("vectors", format!("{it}, by {}", it.model))));
    rows.extend([
        row("batches", units::count(ingestion.batches)),
        row("batch size", known(ingestion.decided.map(size_of))),
        row("lock holds", spread(ingestion.hold_ms)),
        row("", spark(&ingestion.recent_holds_ms, SPARK)),
        row("lock waits", spread(ingestion.wait_ms)),
        row("", spark(&waited, SPARK)),
        row("BUSY retried", units::count(ingestion.busy_retries)),
    ]);
    rows.extend(waits(app, ingestion).map(|waits| row("now", waits)));
    rows.retain(|(label, value)| !(label.is_empty() && value.is_empty()));
    rows
}

/// The maximum size of its batches, and the processes with which it shares the lock.
fn size_of(decided: BatchDecision) -> String {
    let files = units::plural(decided.most_files, "file");
    let most = match decided.most_ms {
        Some(ms) => format!("up to {files}, none more after {}", units::duration(ms)),
        None => format!("{files} each"),
    };
    format!("{most}; {}", sharing(decided))
}

fn spread(spread: Option<DurationSpread>) -> String {
    known(spread.map(|DurationSpread { p50, p99, max }| {
        let [p50, p99, max] = [p50, p99, max].map(units::duration);
        format!("p50 {p50}, p99 {p99}, longest {max}")
    }))
}

fn failures(ingestion: &Ingestion) -> LabelledRows {
    let mut rows = vec![row("failed", units::plural(ingestion.files_failed, "file"))];
    rows.extend(listed(&ingestion.failures, ingestion.files_failed));
    if ingestion.files_in_part > 0 {
        rows.push(row("in part", units::plural(ingestion.files_in_part, "file")));
        rows.extend(listed(&ingestion.in_part, ingestion.files_in_part));
    }
    if let Some(files) = ingestion.files_ignored_tracked.filter(|&files| files > 0) {
        rows.push(row("ignored", format!("{} that git tracks", units::plural(files, "file"))));
    }
    rows
}

/// `files`, the first of `all`.
fn listed(files: &[FailedFile], all: u64) -> LabelledRows {
    let mut rows: LabelledRows =
        files.iter().map(|it| row("", format!("{}: {}", it.path, it.reason))).collect();
    let rest = all.saturating_sub(files.len() as u64);
    if rest > 0 {
        rows.push(row("", format!("and {} more", units::count(rest))));
    }
    rows
}

/// The newest batches, newest first, each with its hold as a bar relative to the longest of them.
fn batches(app: &App, ingestion: &Ingestion, room: usize, theme: &Theme) -> Vec<Line<'static>> {
    let batches = &ingestion.recent_batches;
    if batches.is_empty() {
        return Vec::new();
    }
    let titles = columns(["COMMITTED", "FILES", "SIZE", "WAIT", "BUSY", "HOLD"].map(str::to_owned));
    let longest = batches.iter().map(|it| it.hold_ms).fold(1.0, f64::max);
    let room = room.saturating_sub(TABLE).min(BAR);
    let mut lines = vec![Line::default(), Line::styled(text::fit(&titles, TABLE), theme.title)];
    for batch in batches.iter().rev() {
        let IngestedBatch { at, files, bytes, wait_ms, hold_ms, retries } = *batch;
        let (full, _) = bar(hold_ms, longest, room);
        let cells = columns([
            at.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S").to_string(),
            units::count(files),
            size(files, bytes),
            units::duration(wait_ms),
            units::count(retries),
            units::duration(hold_ms),
        ]);
        lines.push(Line::from(vec![Span::raw(cells), Span::styled(full, theme.accent)]));
    }
    lines
}

/// A transaction that ingested nothing removed documents or tidied the index.
fn size(files: u64, bytes: Option<u64>) -> String {
    match (bytes, files) {
        (Some(bytes), _) => units::bytes(bytes),
        (None, 0) => "index".to_owned(),
        (None, _) => "removed".to_owned(),
    }
}

fn columns([at, files, size, wait, retries, hold]: [String; 6]) -> String {
    format!(" {at:<9} {files:>7} {size:>9} {wait:>9} {retries:>5} {hold:>9}  ")
}
