//! Ingestions that failed or are failing.
//!
//! Only the newest run of a folder counts. A later run with the same folders (and perhaps more) clears what an earlier
//! one left undone, whether it is running, has finished, or was stopped on purpose. What a crash or a failed file left
//! undone stays until then, however long; a slow batch is reported for a day.

use std::path::Path;

use serde_json::json;

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, quoted};
use crate::{
    snapshot::{Database, Finding, FindingKind, Ingestion, IngestionState, Remedy, RemedyAction, Severity},
    units,
};

mod pace;

use pace::{SlowBatch, StalledIngestion};

pub const RULES: &[&dyn Rule] = &[&CrashedIngestion, &StalledIngestion, &SlowBatch, &FailedFiles];

/// A run has no end, and its process is gone.
pub struct CrashedIngestion;

impl Rule for CrashedIngestion {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::CrashedIngestion, &[Severity::Warning])
            .with_actions(&[RemedyAction::Ingest])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let crashed = current(look.database).filter(|run| run.state == IngestionState::Crashed);
        crashed
            .map(|run| Finding {
                kind: self.kind(),
                severity: Severity::Warning,
                label: None,
                pid: pid(run, look.database),
                message: format!(
                    "{} died while it ingested {}{}: the rest cannot be found until it is run again",
                    name(run),
                    run.folders.join(", "),
                    progress(run)
                ),
                evidence: evidence([
                    ("run", run.run.clone().into()),
                    ("run_pid", run.pid.into()),
                    ("folders", run.folders.clone().into()),
                    ("files_done", run.files_done.into()),
                    ("files_total", run.files_total.into()),
                    ("started_at", run.started_at.to_string().into()),
                    ("last_told_at", run.last_told_at.map(|at| at.to_string()).into()),
                ]),
                remedy: again(run, look.database, ""),
            })
            .collect()
    }
}

/// A run skipped files.
pub struct FailedFiles;

impl Rule for FailedFiles {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::FailedFiles, &[Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let left_out = current(look.database).filter(|run| run.files_failed > 0);
        left_out
            .map(|run| {
                let files: Vec<_> = run
                    .failures
                    .iter()
                    .map(|failed| json!({"path": failed.path, "reason": failed.reason}))
                    .collect();
                let first = run.failures.first().map(|failed| {
                    let file = Path::new(&failed.path).file_name().map_or(failed.path.as_ref(), |it| it);
                    let which = if run.files_failed == 1 { "" } else { "the first is " };
                    format!(" ({which}{}: {})", file.to_string_lossy(), failed.reason)
                });
                let of = run.files_total.map(|total| format!(" of {}", units::count(total)));
                Finding {
                    kind: self.kind(),
                    severity: Severity::Warning,
                    label: None,
                    pid: pid(run, look.database),
                    message: format!(
                        "{} left {}{} out{}: convert, exclude or repair {}, then ingest again",
                        name(run),
                        units::plural(run.files_failed, "file"),
                        of.unwrap_or_default(),
                        first.unwrap_or_default(),
                        if run.files_failed == 1 { "it" } else { "them" }
                    ),
                    evidence: evidence([
                        ("run", run.run.clone().into()),
                        ("run_pid", run.pid.into()),
                        ("files_failed", run.files_failed.into()),
                        ("files", files.into()),
                    ]),
                    // Without a change to the files, a new run leaves them out again.
                    remedy: no_remedy(),
                }
            })
            .collect()
    }
}

// The runs that no later run supersedes, newest first.
fn current(database: &Database) -> impl Iterator<Item = &Ingestion> {
    let runs = &database.ingestions;
    let covers = |later: &Ingestion, run: &Ingestion| run.folders.iter().all(|it| later.folders.contains(it));
    runs.iter()
        .enumerate()
        .filter(move |(index, run)| !runs[..*index].iter().any(|later| covers(later, run)))
        .map(|(_, run)| run)
}

// `None` if another process has the PID by now.
fn pid(run: &Ingestion, database: &Database) -> Option<i32> {
    let is_another = database.process(run.pid).is_some_and(|process| process.start_ticks != run.start_ticks);
    (!is_another).then_some(run.pid)
}

// Its process may be gone, and can only have been a waltop process.
fn name(run: &Ingestion) -> String {
    format!("{} (waltop)", run.pid)
}

fn progress(run: &Ingestion) -> String {
    let Some(total) = run.files_total else { return String::new() };
    format!(" with {} of {} done", units::count(run.files_done), units::plural(total, "file"))
}

// Restarts the run; files that are already ingested are skipped.
fn again(run: &Ingestion, database: &Database, options: &str) -> Remedy {
    let folders: Vec<String> = run.folders.iter().map(|it| quoted(Path::new(it))).collect();
    let command = format!("waltop ingest {} --db {}{options}", folders.join(" "), quoted(&database.path));
    Remedy { action: Some(RemedyAction::Ingest), command: Some(command) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Severity::*, *};

    pub(super) fn with(runs: Vec<Ingestion>) -> Database {
        Database { ingestions: runs, ..live() }
    }

    fn crashed() -> Ingestion {
        Ingestion {
            state: IngestionState::Crashed,
            finished_at: None,
            files_done: 312,
            ..ingestion("20260101-1")
        }
    }

    pub(super) fn running() -> Ingestion {
        Ingestion {
            state: IngestionState::Running,
            finished_at: None,
            files_done: 312,
            last_batch_at: Some(at(40)),
            last_told_at: Some(at(41)),
            silent_ms: Some(29_000.0),
            ..ingestion("20260101-2")
        }
    }

    #[test]
    fn a_run_that_went_well_is_not_reported() {
        assert_eq!(findings_of(&with(vec![running(), ingestion("1")])), []);
    }

    #[test]
    fn a_crash_is_reported_until_the_folder_is_ingested_again() {
        let found = findings_of(&with(vec![crashed()]));
        assert_eq!(outline(&found), [(FindingKind::CrashedIngestion, Warning, Some(INGESTER))]);
        let evidence = &found[0].evidence;
        assert_eq!((&evidence["files_done"], &evidence["files_total"]), (&312.into(), &556.into()));
        assert_eq!(found[0].remedy.action, Some(RemedyAction::Ingest));
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop ingest /srv/notes --db /srv/notes.db"));
        for later in [ingestion("2"), running()] {
            assert_eq!(findings_of(&with(vec![later, crashed()])), []);
        }
        let mut more = ingestion("2");
        more.folders.push("/srv/more".to_owned());
        assert_eq!(findings_of(&with(vec![more.clone(), crashed()])), []);
        let of_both = Ingestion { folders: more.folders, ..crashed() };
        for runs in [vec![ingestion("2"), of_both], vec![crashed(), crashed()]] {
            assert_eq!(findings_of(&with(runs)).len(), 1, "one folder is left, and told once");
        }
    }

    #[test]
    fn a_number_that_is_anothers_by_now_is_not_accused() {
        let mut database = with(vec![crashed()]);
        database.processes.push(process(INGESTER, "bun"));
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::CrashedIngestion, Warning, None)]);
        assert_eq!(found[0].evidence["run_pid"], INGESTER);
    }

    #[test]
    fn files_that_failed_are_reported_each_with_its_reason() {
        let failed =
            |path: &str, reason: &str| FailedFile { path: path.to_owned(), reason: reason.to_owned() };
        let mut run = ingestion("1");
        (run.files_failed, run.failures) = (1, vec![failed("/srv/notes/a.md", "not valid UTF-8")]);
        let found = findings_of(&with(vec![run.clone()]));
        assert_eq!(outline(&found), [(FindingKind::FailedFiles, Warning, Some(INGESTER))]);
        assert_eq!(
            (found[0].remedy.action, found[0].remedy.command.as_ref()),
            (None, None),
            "a new run alone leaves it out again"
        );
        assert_eq!(found[0].evidence["files_failed"], 1);
        assert_eq!(
            found[0].evidence["files"],
            serde_json::json!([{"path": "/srv/notes/a.md", "reason": "not valid UTF-8"}])
        );
        (run.files_failed, run.files_total) = (3, None);
        run.failures.push(failed("/srv/notes/b.md", "no permission"));
        let found = findings_of(&with(vec![run.clone()]));
        assert_eq!(found[0].evidence["files_failed"], 3);
        assert_eq!(found[0].evidence["files"].as_array().map(Vec::len), Some(2));
        assert_eq!(findings_of(&with(vec![ingestion("2"), run])), []);
    }
}
