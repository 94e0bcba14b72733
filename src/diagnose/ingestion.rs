//! Ingestions that went wrong, or go wrong.
//!
//! Only the newest run of a folder speaks for it: a later run that took the same folders in (and perhaps more) clears
//! what an earlier one left undone, whether it goes on, came to its end, or was stopped by somebody who knew. What a
//! crash or a failed file left undone lasts until then, however long; a batch that was slow is told for a day.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use super::{Rule, RuleFacts, RuleInput, evidence, quoted, resume, step, who};
use crate::{
    snapshot::{Database, Finding, FindingKind, Ingestion, IngestionState, Remedy, RemedyAction, Severity},
    units,
};

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

/// A run's process lives, and for long its journal tells of no batch.
///
/// Files that turn out to be unchanged or fail are told in the journal, too, and are progress: a run that only has such
/// has not stalled.
pub struct StalledIngestion;

impl Rule for StalledIngestion {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::StalledIngestion, &[Severity::Warning])
            .with_actions(&[RemedyAction::ContinueProcess, RemedyAction::StopIngestion])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        look.database.ingestions.iter().filter_map(|run| self.finding(run, look)).collect()
    }
}

impl StalledIngestion {
    fn finding(&self, run: &Ingestion, look: &RuleInput<'_>) -> Option<Finding> {
        // Files are counted before the first batch, which takes as long as the folders are large.
        run.files_total?;
        let silent = Duration::try_from_secs_f64(run.silent_ms? / 1000.0).ok()?;
        if !run.is_running() || silent < look.config.thresholds.stalled_ingestion {
            return None;
        }
        let database = look.database;
        let is_stopped = database.process(run.pid).is_some_and(crate::snapshot::Process::is_stopped);
        let writer = database.locks.writer.as_ref().filter(|it| it.pid != Some(run.pid));
        let why = match writer {
            _ if is_stopped => "it is stopped, and resumes when it is continued".to_owned(),
            Some(writer) => format!("{} holds the write lock", who(database, writer.pid)),
            None if run.embedding.is_some() => "it waits for its embedder".to_owned(),
            None => "what is left cannot be found meanwhile".to_owned(),
        };
        let silent_ms = silent.as_secs_f64() * 1000.0;
        let remedy = if is_stopped {
            resume(run.pid)
        } else {
            // It ends after its batch, as it does for the console.
            Remedy {
                action: Some(RemedyAction::StopIngestion),
                command: Some(format!("kill -TERM {}", run.pid)),
            }
        };
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            pid: Some(run.pid),
            message: format!(
                "{} has committed no batch for {}{}: {why}",
                name(run),
                units::duration(silent_ms),
                progress(run)
            ),
            evidence: evidence([
                ("run", run.run.clone().into()),
                ("silent_ms", silent_ms.into()),
                ("last_batch_at", run.last_batch_at.map(|at| at.to_string()).into()),
                ("files_done", run.files_done.into()),
                ("files_total", run.files_total.into()),
                ("stopped", is_stopped.into()),
                ("writer", writer.and_then(|it| it.pid).into()),
            ]),
            remedy,
        })
    }
}

/// A batch held the write lock for long: in a run that goes on, or ended in the last day.
pub struct SlowBatch;

impl SlowBatch {
    /// How long an end is news.
    const DAY: Duration = Duration::from_hours(24);
}

impl Rule for SlowBatch {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::SlowBatch, &[Severity::Warning, Severity::Error])
            .with_actions(&[RemedyAction::Ingest])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let is_news = |run: &&Ingestion| {
            let told = run.finished_at.or(run.last_told_at);
            run.is_running() || told.and_then(|at| since(at, look.taken_at)).is_some_and(|it| it < Self::DAY)
        };
        let slow = current(look.database).filter(is_news).filter_map(|run| {
            let batch = run.slowest_batch?;
            let held = Duration::try_from_secs_f64(batch.hold_ms / 1000.0).ok()?;
            let severity = step(&held, &look.config.thresholds.slow_batch)?;
            Some(Finding {
                kind: self.kind(),
                severity,
                pid: pid(run, look.database),
                message: format!(
                    "{} held the write lock for {} for a batch of {}: every other writer waits for that time",
                    name(run),
                    units::duration(batch.hold_ms),
                    units::plural(batch.files, "file")
                ),
                evidence: evidence([
                    ("run", run.run.clone().into()),
                    ("run_pid", run.pid.into()),
                    ("hold_ms", batch.hold_ms.into()),
                    ("files", batch.files.into()),
                    ("at", batch.at.to_string().into()),
                    ("p99_ms", run.hold_ms.map(|it| it.p99).into()),
                ]),
                remedy: again(run, look.database, " --batch auto"),
            })
        });
        slow.collect()
    }
}

/// A run left files out.
pub struct FailedFiles;

impl Rule for FailedFiles {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::FailedFiles, &[Severity::Warning]).with_actions(&[RemedyAction::Ingest])
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
                    pid: pid(run, look.database),
                    message: format!(
                        "{} left {}{} out{}: they are not in the database",
                        name(run),
                        units::plural(run.files_failed, "file"),
                        of.unwrap_or_default(),
                        first.unwrap_or_default()
                    ),
                    evidence: evidence([
                        ("run", run.run.clone().into()),
                        ("run_pid", run.pid.into()),
                        ("files_failed", run.files_failed.into()),
                        ("files", files.into()),
                    ]),
                    remedy: again(run, look.database, ""),
                }
            })
            .collect()
    }
}

// The runs that no later one speaks for; they come newest first.
fn current(database: &Database) -> impl Iterator<Item = &Ingestion> {
    let runs = &database.ingestions;
    let covers = |later: &Ingestion, run: &Ingestion| run.folders.iter().all(|it| later.folders.contains(it));
    runs.iter()
        .enumerate()
        .filter(move |(index, run)| !runs[..*index].iter().any(|later| covers(later, run)))
        .map(|(_, run)| run)
}

// Unless its number is another's by now.
fn pid(run: &Ingestion, database: &Database) -> Option<i32> {
    let is_another = database.process(run.pid).is_some_and(|process| process.start_ticks != run.start_ticks);
    (!is_another).then_some(run.pid)
}

// Its process may be gone, and can only have been one of ours.
fn name(run: &Ingestion) -> String {
    format!("{} (waltop)", run.pid)
}

fn progress(run: &Ingestion) -> String {
    let Some(total) = run.files_total else { return String::new() };
    format!(" with {} of {} done", units::count(run.files_done), units::plural(total, "file"))
}

// To run it again; what is in is passed over.
fn again(run: &Ingestion, database: &Database, options: &str) -> Remedy {
    let folders: Vec<String> = run.folders.iter().map(|it| quoted(Path::new(it))).collect();
    let command = format!("waltop ingest {} --db {}{options}", folders.join(" "), quoted(&database.path));
    Remedy { action: Some(RemedyAction::Ingest), command: Some(command) }
}

// `None` where the clock was set back.
fn since(then: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(now.duration_since(then)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Severity::*, *};

    fn with(runs: Vec<Ingestion>) -> Database {
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

    fn running() -> Ingestion {
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
    fn a_run_that_went_well_is_not_told() {
        assert_eq!(findings_of(&with(vec![running(), ingestion("1")])), []);
    }

    #[test]
    fn a_crash_is_told_until_the_folder_is_taken_in_again() {
        let found = findings_of(&with(vec![crashed()]));
        assert_eq!(outline(&found), [(FindingKind::CrashedIngestion, Warning, Some(INGESTER))]);
        assert_eq!(
            found[0].message,
            "71300 (waltop) died while it ingested /srv/notes with 312 of 556 files done: \
             the rest cannot be found until it is run again"
        );
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
    fn a_run_stalls_after_half_a_minute_of_silence() {
        let silent_for = |ms: f64| findings_of(&with(vec![Ingestion { silent_ms: Some(ms), ..running() }]));
        assert_eq!(silent_for(29_999.0), []);
        let found = silent_for(30_000.0);
        assert_eq!(outline(&found), [(FindingKind::StalledIngestion, Warning, Some(INGESTER))]);
        assert_eq!(
            found[0].message,
            "71300 (waltop) has committed no batch for 30 s with 312 of 556 files done: \
             71201 (bun) holds the write lock"
        );
        assert_eq!(found[0].evidence["writer"], WRITER);
        assert_eq!(found[0].remedy.command.as_deref(), Some("kill -TERM 71300"));
        let unknown = Ingestion { silent_ms: None, ..running() };
        let ended = Ingestion { silent_ms: Some(1e6), ..ingestion("1") };
        let counting = Ingestion { silent_ms: Some(1e6), files_total: None, ..running() };
        for run in [unknown, ended, counting] {
            assert_eq!(findings_of(&with(vec![run])), []);
        }
    }

    #[test]
    fn a_run_that_is_stopped_is_to_be_continued() {
        let mut database = with(vec![Ingestion { silent_ms: Some(60_000.0), ..running() }]);
        let stopped = Process { state: ProcessState::Stopped, ..process(INGESTER, "waltop") };
        database.processes.push(stopped);
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::StalledIngestion, Warning, Some(INGESTER))]);
        assert!(found[0].message.ends_with(": it is stopped, and resumes when it is continued"));
        assert_eq!(found[0].remedy.command.as_deref(), Some("kill -CONT 71300"));
    }

    #[test]
    fn a_batch_is_slow_by_its_hold() {
        let slow = |hold_ms: f64| {
            let slowest_batch = Some(batch(30, 64, hold_ms));
            findings_of(&with(vec![Ingestion { slowest_batch, ..ingestion("1") }]))
        };
        let severities = [999.0, 1000.0, 1999.0, 2000.0].map(|hold| slow(hold).first().map(|it| it.severity));
        assert_eq!(severities, [None, Some(Warning), Some(Warning), Some(Error)]);
        let found = slow(1600.0);
        assert_eq!(outline(&found), [(FindingKind::SlowBatch, Warning, Some(INGESTER))]);
        assert_eq!(
            found[0].message,
            "71300 (waltop) held the write lock for 1.6 s for a batch of 64 files: \
             every other writer waits for that time"
        );
    }

    #[test]
    fn a_slow_batch_is_news_for_a_day() {
        let day = 24 * 3600;
        let slow = |finished: i64| {
            let slowest_batch = Some(batch(finished - 1, 64, 3000.0));
            Ingestion { slowest_batch, finished_at: Some(at(finished)), ..ingestion("1") }
        };
        assert_eq!(findings_of(&with(vec![slow(71 - day)])).len(), 1);
        assert_eq!(findings_of(&with(vec![slow(70 - day)])), []);
        assert_eq!(findings_of(&with(vec![ingestion("2"), slow(71 - day)])), [], "it has been run since");
    }

    #[test]
    fn files_that_failed_are_told_each_with_its_reason() {
        let failed =
            |path: &str, reason: &str| FailedFile { path: path.to_owned(), reason: reason.to_owned() };
        let mut run = ingestion("1");
        (run.files_failed, run.failures) = (1, vec![failed("/srv/notes/a.md", "not valid UTF-8")]);
        let found = findings_of(&with(vec![run.clone()]));
        assert_eq!(outline(&found), [(FindingKind::FailedFiles, Warning, Some(INGESTER))]);
        assert_eq!(
            found[0].message,
            "71300 (waltop) left 1 file of 556 out (a.md: not valid UTF-8): they are not in the database"
        );
        assert_eq!(
            found[0].evidence["files"],
            serde_json::json!([{"path": "/srv/notes/a.md", "reason": "not valid UTF-8"}])
        );
        (run.files_failed, run.files_total) = (3, None);
        run.failures.push(failed("/srv/notes/b.md", "no permission"));
        let found = findings_of(&with(vec![run.clone()]));
        assert_eq!(
            found[0].message,
            "71300 (waltop) left 3 files out (the first is a.md: not valid UTF-8): they are not in the database"
        );
        assert_eq!(findings_of(&with(vec![ingestion("2"), run])), []);
    }
}
