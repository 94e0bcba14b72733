//! Ingestions that commit nothing for a long time, or hold the write lock for a long time.

use std::time::Duration;

use jiff::Timestamp;

use super::{again, current, name, pid, progress};
use crate::{
    diagnose::{Rule, RuleFacts, RuleInput, evidence, resume, step, who},
    snapshot::{Finding, FindingKind, Ingestion, Remedy, RemedyAction, Severity},
    units,
};

/// The process of a run is alive, and its journal has recorded no batch for a long time.
///
/// The journal also records unchanged and failed files, which are progress: a run with only such files is not stalled.
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
        // Files are counted before the first batch, which takes longer the larger the folders are.
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
        let silent_ms = units::milliseconds(silent);
        let remedy = if is_stopped {
            resume(run.pid)
        } else {
            // It exits after its batch, as it does for the console.
            Remedy {
                action: Some(RemedyAction::StopIngestion),
                command: Some(format!("kill -TERM {}", run.pid)),
            }
        };
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
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

/// A batch held the write lock for a long time, in a run that is active or ended within the last day.
pub struct SlowBatch;

impl SlowBatch {
    /// How long an end is reported.
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
                label: None,
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

// `None` if the clock was set back.
fn since(then: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(now.duration_since(then)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{running, with};
    use crate::{
        diagnose::fixture::*,
        snapshot::{Severity::*, *},
    };

    #[test]
    fn a_run_stalls_after_half_a_minute_of_silence() {
        let silent_for = |ms: f64| findings_of(&with(vec![Ingestion { silent_ms: Some(ms), ..running() }]));
        assert_eq!(silent_for(29_999.0), []);
        let found = silent_for(30_000.0);
        assert_eq!(outline(&found), [(FindingKind::StalledIngestion, Warning, Some(INGESTER))]);
        assert_eq!(
            (&found[0].evidence["silent_ms"], &found[0].evidence["stopped"]),
            (&30_000.0.into(), &false.into())
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
        assert_eq!(found[0].evidence["stopped"], true);
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
            (&found[0].evidence["hold_ms"], &found[0].evidence["files"]),
            (&1600.0.into(), &64.into())
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
}
