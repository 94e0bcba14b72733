//! The health of the watched databases, as probes and load balancers read it.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    sampler::Sample,
    snapshot::{Database, Finding, FindingKind, Severity},
    text, units,
};

/// The answer of `/health`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServedHealth {
    /// The worst of the databases; `fail` without a recent sample.
    pub status: HealthLevel,
    /// Time of the last sample; `None` if there is none yet.
    pub sampled_at: Option<Timestamp>,
    /// How long ago that was, in ms.
    pub age_ms: Option<f64>,
    pub databases: Vec<DatabaseLevel>,
}

/// How well it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthLevel {
    Pass,
    /// A finding of severity warning.
    Warn,
    /// A finding of severity error, or nothing is known.
    Fail,
}

/// The health of one database.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct DatabaseLevel {
    pub path: String,
    pub status: HealthLevel,
    /// Whether it could be sampled.
    pub is_sampled: bool,
    /// Why not, with the fix.
    pub unfit: Option<String>,
    /// The worst first.
    pub findings: Vec<ServedFinding>,
}

/// A finding, without what only the console uses.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServedFinding {
    pub name: FindingKind,
    pub severity: Severity,
    pub pid: Option<i32>,
    /// One sentence, in which secrets are replaced.
    pub message: String,
}

impl ServedHealth {
    /// The health by the newest sample, which is `age` old.
    pub fn of(sample: Option<(&Sample, Duration)>, is_recent: bool) -> Self {
        let Some((sample, age)) = sample else {
            return Self { status: HealthLevel::Fail, sampled_at: None, age_ms: None, databases: Vec::new() };
        };
        let level = |database| DatabaseLevel::of(database, sample.has_lock_table);
        let databases: Vec<_> = sample.snapshot.databases.iter().map(level).collect();
        let worst = databases.iter().map(|it| it.status).max().unwrap_or(HealthLevel::Pass);
        Self {
            status: if is_recent { worst } else { HealthLevel::Fail },
            sampled_at: Some(sample.snapshot.taken_at),
            age_ms: Some(units::milliseconds(age)),
            databases,
        }
    }
}

impl DatabaseLevel {
    fn of(database: &Database, has_lock_table: bool) -> Self {
        let is_sampled = is_sampled(database, has_lock_table);
        let worst = database.findings.iter().map(|it| it.severity).max();
        let status = match worst {
            _ if !is_sampled => HealthLevel::Fail,
            Some(Severity::Error) => HealthLevel::Fail,
            Some(Severity::Warning) => HealthLevel::Warn,
            Some(Severity::Info) | None => HealthLevel::Pass,
        };
        Self {
            path: database.path.to_string_lossy().into_owned(),
            status,
            is_sampled,
            unfit: database.unfit.as_deref().map(|why| text::redacted(why).into_owned()),
            findings: database.findings.iter().map(ServedFinding::from).collect(),
        }
    }
}

impl From<&Finding> for ServedFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            name: finding.kind,
            severity: finding.severity,
            pid: finding.pid,
            message: text::redacted(&finding.message).into_owned(),
        }
    }
}

/// Whether a sample shows all of `database` that it can show.
pub fn is_sampled(database: &Database, has_lock_table: bool) -> bool {
    has_lock_table && database.unfit.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::fixture;

    fn sample(databases: Vec<Database>) -> Sample {
        Sample::of(fixture::snapshot(databases), Vec::new())
    }

    fn health(sample: &Sample, is_recent: bool) -> ServedHealth {
        ServedHealth::of(Some((sample, Duration::from_millis(1500))), is_recent)
    }

    #[test]
    fn the_worst_finding_decides() {
        let healthy = sample(vec![fixture::live()]);
        assert_eq!(health(&healthy, true).status, HealthLevel::Pass);
        for (severity, level) in [
            (Severity::Info, HealthLevel::Pass),
            (Severity::Warning, HealthLevel::Warn),
            (Severity::Error, HealthLevel::Fail),
        ] {
            let mut database = fixture::live();
            database.findings = fixture::findings_of(&fixture::pinned());
            database.findings.truncate(1);
            database.findings[0].severity = severity;
            let health = health(&sample(vec![fixture::live(), database]), true);
            assert_eq!((health.status, health.databases[0].status), (level, HealthLevel::Pass));
            assert_eq!(health.databases[1].findings.len(), 1);
        }
    }

    #[test]
    fn what_is_not_known_is_a_failure() {
        assert_eq!(ServedHealth::of(None, true).status, HealthLevel::Fail);
        let healthy = sample(vec![fixture::live()]);
        assert_eq!(health(&healthy, false).status, HealthLevel::Fail);
        let mut database = fixture::live();
        database.unfit = Some("it is gone".to_owned());
        let gone = health(&sample(vec![database]), true);
        assert_eq!((gone.status, gone.databases[0].is_sampled), (HealthLevel::Fail, false));
        let blind = Sample { has_lock_table: false, ..healthy };
        assert_eq!(health(&blind, true).status, HealthLevel::Fail);
    }

    #[test]
    fn a_message_holds_no_secret() {
        let mut database = fixture::live();
        database.findings = fixture::findings_of(&fixture::pinned());
        database.findings[0].message = "PID 7 (sync --password hunter2) waits".to_owned();
        let health = health(&sample(vec![database]), true);
        assert_eq!(health.databases[0].findings[0].message, "PID 7 (sync --password [redacted]) waits");
    }
}
