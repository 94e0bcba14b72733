//! The health of a database, from the results of a worker and a later sample.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{compliance, fix, is_held_by};
use crate::{
    config::profile::Profile,
    file_format,
    snapshot::{ConnectionFacts, Database, FindingKind, PragmaRow, PragmaSource, Severity, lossy_path},
    units,
};

/// Bytes of a frame of the log in addition to its page.
const FRAME_HEADER: u64 = file_format::FRAME_HEADER as u64;

/// The depth of a health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HealthDepth {
    /// A write that is rolled back.
    #[default]
    Write,
    QuickCheck,
}

impl HealthDepth {
    pub const ALL: [Self; 2] = [Self::Write, Self::QuickCheck];
}

impl fmt::Display for HealthDepth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::QuickCheck => "write and quick_check",
        })
    }
}

/// The result of a health check.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct HealthReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    pub healthy: bool,
    /// What is wrong, one sentence each.
    pub troubles: Vec<String>,
    /// The name of the profile it was checked against.
    pub profile: String,
    /// The values in the file and on waltop's connection, against the profile.
    pub pragmas: Vec<PragmaRow>,
    /// The test write, which was rolled back.
    pub write: WriteProof,
    /// Whether a log left by a crash was moved into the main file.
    pub recovered: bool,
    /// The free disk space for a user other than root. A write that is rolled back seldom needs it.
    pub free_bytes: Option<u64>,
    /// The result of `quick_check`, if it was requested.
    pub quick_check: Option<QuickCheck>,
}

/// A write that was made and rolled back.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WriteProof {
    /// Whether the write succeeded.
    pub proved: bool,
    /// Why it failed, if it did.
    pub refusal: Option<String>,
    /// From the request for the write lock until it was acquired or given up, in ms.
    pub waited_ms: f64,
    /// How often the lock was refused.
    pub retries: u64,
    /// From acquiring the lock to releasing it, in ms; `None` if it was never acquired.
    pub held_ms: Option<f64>,
    /// The holders seen with the lock in the meantime, in that order.
    pub made_wait: Vec<SeenHolder>,
}

/// A process that held the write lock while the check waited for it.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct SeenHolder {
    /// The process; `None` if the kernel does not report it.
    pub pid: Option<i32>,
    pub name: Option<String>,
    /// Its script, else its program.
    #[serde(default)]
    pub label: Option<String>,
    /// Between the first and the last time it was seen as the holder, in ms: a lower bound.
    pub seen_ms: f64,
}

impl fmt::Display for SeenHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.label) {
            (Some(pid), Some(label)) => write!(f, "{pid} ({label})"),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => f.write_str("a process not visible here"),
        }
    }
}

/// The result of `PRAGMA quick_check`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct QuickCheck {
    /// Whether the file is sound.
    pub ok: bool,
    /// The errors it found; at most a hundred lines.
    pub errors: Vec<String>,
    /// Its duration, in ms.
    pub took_ms: f64,
}

/// What a worker found on its own connection.
#[derive(Debug, Clone, Default)]
pub struct HealthProof {
    /// The answers of its connection for the pragmas of the profile and of the file.
    pub answers: ConnectionFacts,
    pub write: WriteProof,
    /// The result of `quick_check`, if it was requested.
    pub quick_check: Option<QuickCheck>,
}

impl HealthReport {
    /// The report on `proof` and a later sample of `database` under `profile`. `recovered`: a crash had left a log,
    /// which is now gone.
    pub fn of(database: &Database, profile: &Profile, mut proof: HealthProof, recovered: bool) -> Self {
        name_holder(&mut proof.write, database);
        let pragmas = rows(database, profile, &proof.answers);
        let free_bytes = database.filesystem.as_ref().and_then(|it| it.free_bytes);
        let mut troubles: Vec<String> = proof.write.refusal.iter().cloned().collect();
        // An empty file stores nothing: SQLite answers with what it would store at the first write.
        let is_told = |row: &&PragmaRow| !(fix::is_empty(database) && row.source == PragmaSource::File);
        let against_it: Vec<&PragmaRow> = pragmas.iter().filter(|row| is_problem(row, profile)).collect();
        if !against_it.iter().all(is_told) {
            troubles.push(fix::EMPTY.to_owned());
        }
        troubles.extend(against_it.into_iter().filter(is_told).map(against));
        troubles.extend(little_space(database, profile, free_bytes));
        if let Some(check) = proof.quick_check.as_ref().filter(|it| !it.ok) {
            let first = check.errors.first().map_or("it gave no reason", String::as_str);
            troubles.push(format!(
                "quick_check found {}: {first}",
                units::plural(check.errors.len() as u64, "error")
            ));
            // Its traces are such errors.
            let bugs = database.findings.iter().filter(|it| it.kind == FindingKind::WalResetBug);
            troubles.extend(bugs.map(|bug| bug.message.clone()));
        }
        Self {
            path: database.path.clone(),
            healthy: troubles.is_empty(),
            troubles,
            profile: profile.name.clone(),
            pragmas,
            write: proof.write,
            recovered,
            free_bytes,
            quick_check: proof.quick_check,
        }
    }
}

/// Completes the refusal of a write lock in `write` by its holder, as far as the later sample of `database` knows more: a
/// lock table names no holder of an open-file-description lock, and no reader for which the holder waits.
fn name_holder(write: &mut WriteProof, database: &Database) {
    let (Some(refusal), Some(seen)) = (&mut write.refusal, write.made_wait.last_mut()) else { return };
    if seen.pid.is_none()
        && let Some(holder) = &database.locks.writer
    {
        let process = holder.pid.and_then(|pid| database.process(pid));
        (seen.pid, seen.label) = (holder.pid, process.map(|process| process.label.clone()));
        seen.name = process.map(|process| process.name.clone());
    }
    let locks = &database.locks;
    let does = if is_held_by(locks.recoverer.as_ref(), seen.pid) {
        "recovers the index, and nobody can read until it ends"
    } else if is_held_by(locks.exclusive.as_ref(), seen.pid) && database.is_wal() == Some(true) {
        "has the whole file locked, as locking_mode=EXCLUSIVE does"
    } else {
        "has it"
    };
    *refusal += &format!(": {seen} {does}");
    let is_holder = is_held_by(locks.writer.as_ref(), seen.pid);
    if let Some(wait) = locks.holder_wait.as_ref().filter(|_| is_holder) {
        let readers: Vec<_> = wait.readers.iter().map(|reader| super::who(database, reader.pid)).collect();
        *refusal += &format!(", and its {} waits for {}", wait.cause, readers.join(", "));
    }
}

/// The rows of the file and of waltop's connection. The header has the state of the last checkpoint, the connection the
/// current one.
fn rows(database: &Database, profile: &Profile, answers: &ConnectionFacts) -> Vec<PragmaRow> {
    let mut rows = compliance::rows(database, profile, Some(answers)).rows;
    rows.retain(|row| matches!(row.source, PragmaSource::File | PragmaSource::Connection));
    for row in rows.iter_mut().filter(|row| row.source == PragmaSource::File) {
        if let Some((_, answer)) = answers.iter().find(|(name, _)| *name == row.name) {
            row.ok = row.expected.as_ref().map(|expected| expected.eq_ignore_ascii_case(answer));
            row.actual = Some(answer.clone());
            row.note = None;
        }
    }
    rows
}

fn is_problem(row: &PragmaRow, profile: &Profile) -> bool {
    let severity = profile.expectation(&row.name).map(|it| it.severity);
    row.ok == Some(false) && severity.is_some_and(|it| it != Severity::Info)
}

fn against(row: &PragmaRow) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let whose = if row.source == PragmaSource::File { "the file keeps" } else { "our connection has" };
    format!("{whose} {} {}, not {}", row.name, known(&row.actual), known(&row.expected))
}

/// The disk lacks the space that commits may need before the next checkpoint.
fn little_space(database: &Database, profile: &Profile, free: Option<u64>) -> Option<String> {
    let page = u64::from(database.header.as_ref()?.page_size);
    let needed = (page + FRAME_HEADER) * u64::from(profile.autocheckpoint_frames());
    let free = free.filter(|free| *free < needed)?;
    Some(format!("{} are free, and a log may need {}", units::bytes(free), units::bytes(needed)))
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.healthy { "healthy" } else { "not healthy" };
        write!(f, "{}: {verdict}: ", self.path.display())?;
        for trouble in &self.troubles {
            write!(f, "{trouble}; ")?;
        }
        let write = &self.write;
        if let Some(held) = write.held_ms {
            let waited = units::duration(write.waited_ms);
            write!(f, "wrote and rolled back, write lock had after {waited}")?;
            if !write.made_wait.is_empty() {
                let who: Vec<String> = write.made_wait.iter().map(ToString::to_string).collect();
                write!(f, " (behind {})", who.join(", "))?;
            }
            write!(f, " and for {}; ", units::duration(held))?;
        }
        if self.recovered {
            f.write_str("what a crash had left is in the file now; ")?;
        }
        if let Some(check) = self.quick_check.as_ref().filter(|it| it.ok) {
            write!(f, "quick_check ok in {}; ", units::duration(check.took_ms))?;
        }
        let ok = self.pragmas.iter().filter(|row| row.ok == Some(true)).count();
        let all = self.pragmas.iter().filter(|row| row.ok.is_some()).count();
        write!(f, "{ok} of {all} pragmas as {} asks", self.profile)?;
        let free = self.free_bytes.map(|free| format!(", {} free", units::bytes(free)));
        f.write_str(&free.unwrap_or_default())?;
        if self.healthy && write.held_ms.is_some() {
            f.write_str(
                "; this shows one moment: `waltop check --for 30s` shows how free the lock is over time",
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};
    use crate::snapshot::HolderWait;
    use crate::snapshot::SqliteLibrary;

    fn proof() -> HealthProof {
        let answers = [
            ("journal_mode", "wal"),
            ("busy_timeout", "5000"),
            ("synchronous", "NORMAL"),
            ("mmap_size", "0"),
            ("temp_store", "MEMORY"),
            ("foreign_keys", "ON"),
            ("wal_autocheckpoint", "1000"),
        ];
        let write = WriteProof { proved: true, waited_ms: 1.0, held_ms: Some(0.5), ..WriteProof::default() };
        let answers = answers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        HealthProof { answers, write, quick_check: None }
    }

    fn of(database: &Database, proof: HealthProof) -> HealthReport {
        HealthReport::of(database, &Profile::hardened(), proof, false)
    }

    #[test]
    fn a_write_and_compliance_are_health() {
        let health = of(&live(), proof());
        assert_eq!((health.healthy, health.troubles.len()), (true, 0), "{health}");
        assert_eq!(
            health.to_string(),
            "/srv/notes.db: healthy: wrote and rolled back, write lock had after 1 ms and for 0.5 ms; 7 of 7 pragmas as \
             hardened asks, 50.0 GB free; this shows one moment: `waltop check --for 30s` shows how free the lock is over time"
        );
    }

    #[test]
    fn whatever_is_wrong_is_reported() {
        let mut database = live();
        database.filesystem.as_mut().expect("there").free_bytes = Some(1000);
        let mut proof = proof();
        proof.answers[0].1 = "delete".to_owned();
        proof.write =
            WriteProof { refusal: Some("the lock was not to be had".to_owned()), ..WriteProof::default() };
        proof.quick_check =
            Some(QuickCheck { ok: false, errors: vec!["page 3: bad".to_owned()], took_ms: 1.0 });
        let health = of(&database, proof);
        assert!(!health.healthy);
        assert_eq!(
            health.troubles,
            [
                "the lock was not to be had",
                "the file keeps journal_mode delete, not wal",
                "1.00 kB are free, and a log may need 4.12 MB",
                "quick_check found 1 error: page 3: bad"
            ]
        );
    }

    #[test]
    fn errors_of_the_pages_name_a_library_that_may_have_caused_them() {
        let mut database = live();
        database.processes[0].sqlite = Some(SqliteLibrary {
            version: "3.40.1".to_owned(),
            source_id: String::new(),
            library: "/usr/lib/libsqlite3.so.0".to_owned(),
            replaced: false,
            in_other_namespace: false,
        });
        database.findings = findings_of(&database);
        let mut proof = proof();
        assert!(of(&database, proof.clone()).healthy);
        proof.quick_check = Some(QuickCheck { ok: false, errors: Vec::new(), took_ms: 1.0 });
        let troubles = of(&database, proof).troubles;
        assert!(troubles.len() == 2 && troubles[1].contains("WAL-reset bug"), "{troubles:?}");
    }

    #[test]
    fn an_empty_file_keeps_no_mode() {
        let mut database = rollback();
        database.header = None;
        database.files.db.as_mut().expect("there").bytes = 0;
        let mut proof = proof();
        proof.answers[0].1 = "delete".to_owned();
        let health = of(&database, proof);
        assert_eq!((health.healthy, health.troubles), (false, vec![fix::EMPTY.to_owned()]));
    }

    fn refused(pid: Option<i32>) -> HealthProof {
        let seen = SeenHolder { pid, name: None, label: pid.map(|_| "bun".to_owned()), seen_ms: 900.0 };
        let write = WriteProof {
            refusal: Some("could not get the write lock within 1 s".to_owned()),
            made_wait: vec![seen],
            ..WriteProof::default()
        };
        HealthProof { write, ..proof() }
    }

    #[test]
    fn a_holder_whose_pid_the_lock_table_lacks_is_named_by_the_sample() {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, 2_000.0));
        let health = of(&database, refused(None));
        assert_eq!(health.write.made_wait[0].pid, Some(WRITER));
        database.locks.writer = None;
        assert_eq!(of(&database, refused(None)).write.made_wait[0].pid, None, "it has released it");
    }

    #[test]
    fn whom_the_holder_waits_for_is_named() {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, 2_000.0));
        database.locks.holder_wait = HolderWait::of_commit(&[reader(READER, 1, 812, 9_000.0)]);
        let named = |pid| of(&database, refused(pid)).troubles[0].contains(&READER.to_string());
        assert!(named(Some(WRITER)) && named(None));
        assert!(!named(Some(4_242)), "another has taken the lock since");
    }

    #[test]
    fn the_process_that_made_it_wait_is_named() {
        let mut proof = proof();
        let seen = SeenHolder {
            pid: Some(WRITER),
            name: Some("python3".to_owned()),
            label: Some("bun".to_owned()),
            seen_ms: 900.0,
        };
        proof.write.made_wait = vec![seen, SeenHolder { pid: None, name: None, label: None, seen_ms: 0.0 }];
        let said = of(&live(), proof).to_string();
        assert!(said.contains("(behind 71201 (bun), a process not visible here)"), "{said}");
    }
}
