//! Copies page by page that commits of other processes make start again.

use std::time::Duration;

use super::super::{Rule, RuleFacts, RuleInput, evidence, quoted};
use crate::{
    snapshot::{Finding, FindingKind, Process, Remedy, Severity},
    units,
};

/// A smaller database is read in less than what a program reads of itself.
const LEAST_BYTES: u64 = 1 << 20;
/// A copy that is done sooner is no trouble, however often it has started again.
const LEAST_AGE: Duration = Duration::from_secs(5);

/// A copy page by page has read the database several times, and is not done.
pub struct RestartedCopy;

impl Rule for RestartedCopy {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::RestartedCopy, &[Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let bytes = look.database.files.db.as_ref().map_or(0, |file| file.bytes);
        if bytes < LEAST_BYTES {
            return Vec::new();
        }
        let rounds = u64::from(look.config.thresholds.copy_rounds);
        let age = |process: &Process| {
            Duration::try_from(look.taken_at.duration_since(process.started_at?))
                .ok()
                .filter(|it| *it >= LEAST_AGE)
        };
        let copies = look.database.processes.iter().filter_map(|it| Some((it, it.read_bytes?, age(it)?)));
        let again = copies.filter(|(_, read, _)| *read >= bytes.saturating_mul(rounds));
        again.map(|(process, read, age)| self.finding(process, [read, bytes], age, look)).collect()
    }
}

impl RestartedCopy {
    fn finding(
        &self,
        process: &Process,
        [read, bytes]: [u64; 2],
        age: Duration,
        look: &RuleInput<'_>,
    ) -> Finding {
        let command = format!("sqlite3 -readonly {} \"VACUUM INTO 'copy.db'\"", quoted(&look.database.path));
        Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: Some(process.pid),
            message: format!(
                "{} copies page by page, and has read {} in {} of a database of {}: each commit of another process makes \
                 it start again, and beside frequent commits it never ends",
                process.who(),
                units::bytes(read),
                units::duration(units::milliseconds(age)),
                units::bytes(bytes),
            ),
            evidence: evidence([
                ("read_bytes", read.into()),
                ("database_bytes", bytes.into()),
                ("age_ms", units::milliseconds(age).into()),
                ("commits_per_second", look.database.commits.as_ref().map(|it| it.per_second).into()),
            ]),
            remedy: Remedy { action: None, command: Some(command) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::fixture::{READER, at, findings_of, live, outline, process},
        snapshot::Database,
    };

    fn copying(bytes: u64, read: Option<u64>) -> Database {
        let mut database = live();
        if let Some(file) = &mut database.files.db {
            file.bytes = bytes;
        }
        database.processes[1].read_bytes = read;
        database.processes[1].started_at = Some(at(60));
        database
    }

    #[test]
    fn a_copy_that_has_read_the_database_several_times_has_started_again() {
        let found = findings_of(&copying(4 << 20, Some(12 << 20)));
        assert_eq!(outline(&found), [(FindingKind::RestartedCopy, Severity::Warning, Some(READER))]);
        assert_eq!(found[0].evidence["read_bytes"], 12 << 20);
        let command = found[0].remedy.command.as_deref();
        assert_eq!(command, Some("sqlite3 -readonly /srv/notes.db \"VACUUM INTO 'copy.db'\""));
        for (bytes, read) in [(4 << 20, Some((12 << 20) - 1)), (4 << 20, None), (4 << 10, Some(12 << 20))] {
            assert_eq!(findings_of(&copying(bytes, read)), [], "{bytes} {read:?}");
        }
        let mut young = copying(4 << 20, Some(12 << 20));
        young.processes[1].started_at = Some(at(66));
        assert_eq!(findings_of(&young), [], "it may be done in a moment");
    }

    #[test]
    fn only_the_shell_is_known_to_copy_page_by_page() {
        let copies = |words: &[&str]| {
            let mut process = process(READER, words[0]);
            process.command = words.iter().map(|&word| word.to_owned()).collect();
            process.copies_by_page()
        };
        assert!(copies(&["sqlite3", "notes.db", ".backup copy.db"]));
        assert!(copies(&["sqlite3", "-cmd", ".timeout 5000", "notes.db", " .save copy.db"]));
        assert!(!copies(&["sqlite3", "notes.db", "VACUUM INTO 'copy.backup'"]));
        assert!(!copies(&["python3", "notes.db", ".backup copy.db"]));
        assert!(!copies(&["sqlite3"]));
    }
}
