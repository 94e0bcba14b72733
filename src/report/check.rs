//! The output of `waltop check`: the findings, and the verdict.

use std::{fmt, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    keymap::Keymap,
    snapshot::{
        Database, Finding, FindingKind, LockAvailability, Remedy, Severity, Snapshot, Unseen, lossy_path,
    },
    text, units,
};

/// Below this, a process that holds a lock from time to time is easily missed.
const LONG_SAMPLE_MS: f64 = 10_000.0;

/// The findings of the checked databases.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct CheckReport {
    /// The lowest severity that counts as a failure.
    pub fail_on: Severity,
    pub verdict: CheckVerdict,
    /// The verdict as an exit code: 0, 1, or 2 if a database could not be sampled.
    pub exit: u8,
    /// For how long the locks were sampled (`--for`), in ms; `None` if they were read at two moments only. Locks that
    /// were held at other times are not in the findings.
    pub sampled_ms: Option<f64>,
    /// The databases, in the order of the command line.
    pub databases: Vec<CheckedDatabase>,
    /// What could not be read, and why: there could be more findings.
    pub unseen: Vec<Unseen>,
}

#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct CheckedDatabase {
    /// Absolute path of the main file.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The profile that it was checked against.
    pub profile: String,
    /// Findings, worst first.
    pub findings: Vec<Finding>,
    /// Why it could not be sampled; `None` if it could.
    #[serde(default)]
    pub unfit: Option<String>,
    /// How free the write lock was; `None` if it was not sampled for long enough.
    #[serde(default)]
    pub lock: Option<LockAvailability>,
}

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// No finding counts as a failure.
    Fine,
    Findings,
    /// No finding counts as a failure, but a database could not be sampled.
    Unknown,
}

impl CheckReport {
    /// The report on `snapshot`, the last sample of `sampled`, in which findings of `fail_on` and worse count as failures.
    pub fn new(snapshot: Snapshot, fail_on: Severity, sampled: Option<Duration>) -> Self {
        let databases: Vec<CheckedDatabase> =
            snapshot.databases.into_iter().map(CheckedDatabase::from).collect();
        let counts = databases.iter().any(|it| it.counts(fail_on));
        let is_partial = databases.iter().any(|it| it.unfit.is_some());
        Self {
            fail_on,
            verdict: match (counts, is_partial) {
                (true, _) => CheckVerdict::Findings,
                (false, true) => CheckVerdict::Unknown,
                (false, false) => CheckVerdict::Fine,
            },
            exit: if is_partial { 2 } else { u8::from(counts) },
            sampled_ms: sampled.map(units::milliseconds),
            databases,
            unseen: snapshot.unseen,
        }
    }
}

impl From<Database> for CheckedDatabase {
    fn from(database: Database) -> Self {
        let Database { path, pragmas, findings, unfit, locks, .. } = database;
        Self { path, profile: pragmas.profile, findings, unfit, lock: locks.availability }
    }
}

impl CheckedDatabase {
    fn counts(&self, fail_on: Severity) -> bool {
        self.findings.iter().any(|finding| finding.severity >= fail_on)
    }

    /// Whether a reader keeps an old state. How bad that is depends on what it is seen to do for some seconds.
    fn has_old_reader(&self) -> bool {
        self.findings.iter().any(|it| it.kind == FindingKind::OldSnapshot && it.severity == Severity::Info)
    }

    /// `1 error, 2 warnings`; `None` if there are no findings.
    fn tally(&self) -> Option<String> {
        let count = |severity| self.findings.iter().filter(|it| it.severity == severity).count();
        let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Info]
            .into_iter()
            .map(|severity| (severity, count(severity)))
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| units::plural(count as u64, &severity.to_string()))
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn verdict(&self, fail_on: Severity, is_partial: bool) -> String {
        if let Some(why) = &self.unfit {
            return format!("not sampled: {}", text::clean(why));
        }
        let counts = self.counts(fail_on);
        let as_seen = if is_partial { " that could be seen" } else { "" };
        match (self.tally(), fail_on) {
            (Some(tally), _) if counts => tally,
            (Some(tally), Severity::Error) => format!("no error{as_seen}; {tally}"),
            (Some(tally), _) => format!("nothing wrong{as_seen}; {tally}"),
            (None, _) => format!("nothing wrong{as_seen}"),
        }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for checked in &self.databases {
            let path = text::clean(&checked.path.display().to_string());
            writeln!(f, "{path}: {}", checked.verdict(self.fail_on, !self.unseen.is_empty()))?;
            let indent = "  ";
            for finding in &checked.findings {
                let Finding { severity, kind, message, .. } = finding;
                writeln!(f, "{indent}{:<8} {kind}: {}", severity.to_string(), text::clean(message))?;
                if let Some(remedy) = remedy(&finding.remedy) {
                    writeln!(f, "{indent}{:8} remedy: {}", "", text::clean(&remedy))?;
                }
            }
            if let Some(lock) = &checked.lock {
                writeln!(f, "{indent}{:<8} {}", "lock", text::clean(&lock.to_string()))?;
            }
        }
        for Unseen { what, why } in &self.unseen {
            writeln!(f, "not seen: {}: {}", text::clean(what), text::clean(why))?;
        }
        let has_reader = self.databases.iter().any(CheckedDatabase::has_old_reader);
        let missed = if has_reader {
            "what the reader does meanwhile is unknown, and a lock that is held now and then can be missed"
        } else {
            "a lock that is held now and then can be missed"
        };
        match self.sampled_ms {
            None => {
                writeln!(f, "locks read at two moments only, so {missed}: --for 30s samples for that long")
            }
            Some(ms) if ms < LONG_SAMPLE_MS => {
                writeln!(
                    f,
                    "locks sampled for {}, so {missed}: --for 30s samples longer",
                    units::duration(ms)
                )
            }
            Some(ms) => writeln!(f, "locks sampled for {}", units::duration(ms)),
        }
    }
}

fn remedy(remedy: &Remedy) -> Option<String> {
    let keymap = Keymap::default();
    let key = remedy.action.map(|action| keymap.key(action.into()));
    match (&remedy.command, key) {
        (Some(command), Some(key)) => Some(format!("{command} (in the console: {key})")),
        (Some(command), None) => Some(command.clone()),
        (None, Some(key)) => Some(format!("{key} in the console")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::RemedyAction;

    fn finding(kind: FindingKind, severity: Severity, command: Option<&str>) -> Finding {
        Finding {
            kind,
            severity,
            label: None,
            pid: Some(7),
            message: format!("7 (sh) has\u{1b}[31m {kind}"),
            evidence: serde_json::Map::new(),
            remedy: Remedy {
                action: command.map(|_| RemedyAction::StopProcess),
                command: command.map(str::to_owned),
            },
        }
    }

    fn report(findings: Vec<Vec<Finding>>, fail_on: Severity, unseen: Vec<Unseen>) -> CheckReport {
        let databases = findings
            .into_iter()
            .enumerate()
            .map(|(at, findings)| Database {
                path: format!("/srv/{at}.db").into(),
                findings,
                ..crate::diagnose::fixture::live()
            })
            .collect();
        let snapshot = Snapshot { unseen, ..crate::diagnose::fixture::snapshot(databases) };
        CheckReport::new(snapshot, fail_on, None)
    }

    const MOMENTS: &str = "locks read at two moments only, so a lock that is held now and then can be missed: \
                           --for 30s samples for that long\n";

    #[test]
    fn every_database_has_a_line_and_the_last_line_says_what_was_watched() {
        let pin = finding(FindingKind::PinnedWal, Severity::Error, Some("kill -TERM 7"));
        let bare = finding(FindingKind::BareClient, Severity::Info, None);
        let report = report(vec![vec![pin, bare]], Severity::Warning, Vec::new());
        assert_eq!((report.exit, report.verdict), (1, CheckVerdict::Findings));
        assert_eq!(
            report.to_string(),
            format!(
                "/srv/0.db: 1 error, 1 info\n  error    pinned-wal: 7 (sh) has [31m pinned-wal\n           \
                 remedy: kill -TERM 7 (in the console: x)\n  info     bare-client: 7 (sh) has [31m \
                 bare-client\n{MOMENTS}"
            )
        );
    }

    #[test]
    fn several_databases_have_a_line_each() {
        let trap = finding(FindingKind::ReadonlyTrap, Severity::Warning, None);
        let report = report(vec![vec![trap], vec![]], Severity::Warning, Vec::new());
        assert_eq!(
            report.to_string(),
            format!(
                "/srv/0.db: 1 warning\n  warning  readonly-trap: 7 (sh) has [31m readonly-trap\n\
                 /srv/1.db: nothing wrong\n{MOMENTS}"
            )
        );
    }

    #[test]
    fn what_does_not_count_is_shown_and_fails_nothing() {
        let trap = || finding(FindingKind::ReadonlyTrap, Severity::Warning, None);
        let info = || finding(FindingKind::BareClient, Severity::Info, None);
        let mild = report(vec![vec![trap(), trap(), info()]], Severity::Error, Vec::new());
        assert_eq!((mild.exit, mild.verdict), (0, CheckVerdict::Fine));
        assert!(mild.to_string().starts_with("/srv/0.db: no error; 2 warnings, 1 info\n  warning  readonly"));
        let told = report(vec![vec![info()]], Severity::Warning, Vec::new());
        assert!(
            told.exit == 0 && told.to_string().starts_with("/srv/0.db: nothing wrong; 1 info\n"),
            "{told}"
        );
    }

    #[test]
    fn the_last_line_says_that_a_reader_was_seen_at_two_moments_only() {
        let last = |severity| {
            let found = finding(FindingKind::OldSnapshot, severity, None);
            let text = report(vec![vec![found]], Severity::Warning, Vec::new()).to_string();
            text.lines().last().is_some_and(|line| line.contains("the reader"))
        };
        assert_eq!((last(Severity::Info), last(Severity::Warning)), (true, false));
    }

    #[test]
    fn what_could_not_be_seen_is_not_fine() {
        let unseen = Unseen { what: "open files of 3 processes".to_owned(), why: "denied".to_owned() };
        let report = report(vec![vec![]], Severity::Warning, vec![unseen]);
        assert_eq!(
            report.to_string(),
            format!(
                "/srv/0.db: nothing wrong that could be seen\nnot seen: open files of 3 processes: denied\n\
                 {MOMENTS}"
            )
        );
        let long = CheckReport { sampled_ms: Some(30_000.0), ..report };
        assert!(long.to_string().ends_with("\nlocks sampled for 30 s\n"), "{long}");
    }
}
