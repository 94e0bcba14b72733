//! Runs as a table, with notes below each.

use std::path::Path;

use jiff::Timestamp;

use crate::{
    snapshot::{DurationSpread, EmbeddingProgress, IngestWatcher, Ingestion, IngestionState},
    state::journal::EXTENSION,
    text, units,
};

use super::RunEntry;

/// Titles of the columns, and whether a column contains figures, which are right-aligned.
const COLUMNS: [(&str, CellAlignment); 11] = [
    ("STARTED", CellAlignment::Left),
    ("STATE", CellAlignment::Left),
    ("FILES", CellAlignment::Right),
    ("FAILED", CellAlignment::Right),
    ("BATCHES", CellAlignment::Right),
    ("HOLD p50/p99/max", CellAlignment::Right),
    ("WAIT p50/p99/max", CellAlignment::Right),
    ("RETRIES", CellAlignment::Right),
    ("TOOK", CellAlignment::Right),
    ("RUN", CellAlignment::Left),
    ("FOLDERS", CellAlignment::Left),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellAlignment {
    Left,
    Right,
}

/// A line of titles, and a line for each of `runs`; empty if there are no runs.
pub fn lines(
    runs: &[RunEntry],
    now: Timestamp,
    several_databases: bool,
    with_failures: bool,
    journals: &Path,
) -> Vec<String> {
    if runs.is_empty() {
        return Vec::new();
    }
    let titles = COLUMNS.map(|(title, _)| title.to_owned());
    let rows: Vec<[String; 11]> = runs.iter().map(|run| cells(run, now, several_databases)).collect();
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| {
            let cells = [&titles].into_iter().chain(&rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        })
        .collect();
    let mut lines = vec![line(&titles, &widths)];
    for (run, row) in runs.iter().zip(&rows) {
        lines.push(line(row, &widths));
        lines.extend(notes(&run.ingestion, now).map(|note| format!("    {note}")));
        if with_failures {
            lines.extend(failures(&run.ingestion, journals).into_iter().map(|it| format!("    {it}")));
        }
    }
    lines
}

pub fn watching(database: &str, watcher: &IngestWatcher, now: Timestamp) -> String {
    let IngestWatcher { pid, folders, .. } = watcher;
    let since = units::duration(watcher.watched_ms(now));
    format!("watching: process {pid} keeps {database} in step with {}, for {since}", folders.join(" "))
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).zip(COLUMNS).map(|((cell, &width), (_, side))| match side {
        CellAlignment::Left => format!("{cell:<width$}"),
        CellAlignment::Right => format!("{cell:>width$}"),
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn cells(
    RunEntry { database, ingestion }: &RunEntry,
    now: Timestamp,
    several_databases: bool,
) -> [String; 11] {
    let total = ingestion.files_total.map_or_else(|| "?".to_owned(), units::count);
    let mut folders = ingestion.folders.join(" ");
    if several_databases {
        folders.push_str(&format!(" into {database}"));
    }
    [
        ingestion.started_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        ingestion.state.to_string(),
        format!("{} of {total}", units::count(ingestion.files_done)),
        units::count(ingestion.files_failed),
        units::count(ingestion.batches),
        spread(ingestion.hold_ms),
        spread(ingestion.wait_ms),
        units::count(ingestion.busy_retries),
        units::duration(ingestion.elapsed_ms(now)),
        text::clean(&ingestion.run),
        text::clean(&folders),
    ]
}

fn spread(spread: Option<DurationSpread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |it| [it.p50, it.p99, it.max].map(units::duration).join(" / "))
}

/// Facts about its state that the columns do not show.
fn notes(ingestion: &Ingestion, now: Timestamp) -> impl Iterator<Item = String> {
    let state = match ingestion.state {
        IngestionState::Running => {
            ingestion.eta_ms(now).map(|eta| format!("done in about {}", units::duration(eta)))
        }
        IngestionState::Crashed => Some(format!(
            "it has no end record and its process {} is gone: committed files stay, and a new run resumes",
            ingestion.pid
        )),
        IngestionState::Completed | IngestionState::Stopped | IngestionState::Failed => None,
    };
    let before = ingestion.carries_on.as_ref().map(|before| format!("resumes {before}"));
    let in_part = Some(ingestion.files_in_part).filter(|&files| files > 0);
    let in_part = in_part.map(|files| format!("{} in part", units::count(files)));
    let ignored = ingestion.files_ignored_tracked.filter(|&files| files > 0);
    let ignored = ignored.map(|files| format!("{} ignored that git tracks", units::count(files)));
    let embedding = ingestion.embedding.as_ref().map(|it| embedded(it, ingestion.state));
    before
        .into_iter()
        .chain(state)
        .chain(in_part)
        .chain(ignored)
        .chain(embedding)
        .chain(ingestion.error.clone())
}

/// A missing vector is a failure once the run has ended.
fn embedded(embedding: &EmbeddingProgress, state: IngestionState) -> String {
    let EmbeddingProgress { wanted, embedded, error, .. } = embedding;
    let missing = wanted.saturating_sub(*embedded);
    if state == IngestionState::Running || missing == 0 {
        return embedding.to_string();
    }
    let reason = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{} of {} not embedded{reason}", units::count(missing), units::count(*wanted))
}

fn failures(ingestion: &Ingestion, journals: &Path) -> Vec<String> {
    let journal = journals.join(format!("{}.{EXTENSION}", ingestion.run));
    let mut lines = Vec::new();
    for (what, files, all) in [
        ("failed", &ingestion.failures, ingestion.files_failed),
        ("in part", &ingestion.in_part, ingestion.files_in_part),
    ] {
        lines.extend(files.iter().map(|it| format!("{what}: {}: {}", it.path, it.reason)));
        let rest = all.saturating_sub(files.len() as u64);
        if rest > 0 {
            lines.push(format!("{what}: {} more, in {}", units::count(rest), journal.display()));
        }
    }
    lines
}
