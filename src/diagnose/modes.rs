//! Modes that hurt a shared database: read-only clients, and a rollback journal.

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, quoted, who};
use crate::snapshot::{FileFacts, Finding, FindingKind, Process, Remedy, RemedyAction, Severity};

pub const RULES: &[&dyn Rule] = &[&ReadonlyTrap, &RollbackJournal];

/// A process opened a WAL database read-only.
pub struct ReadonlyTrap;

impl Rule for ReadonlyTrap {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::ReadonlyTrap, &[Severity::Info, Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        if look.database.is_wal() != Some(true) {
            return Vec::new();
        }
        let trapped = look
            .database
            .processes
            .iter()
            .filter(|process| process.read_only == Some(true) && !process.only_reads_files());
        trapped.map(|process| self.finding(process, look)).collect()
    }
}

impl ReadonlyTrap {
    fn finding(&self, process: &Process, look: &RuleInput<'_>) -> Finding {
        let who = who(look.database, Some(process.pid));
        let may_not_write = look.database.files.shm.as_ref().is_some_and(|shm| may_not_write(process, shm));
        let (severity, message) = if process.index_read_only == Some(true) {
            let what = "opened the database and -shm read-only";
            (
                Severity::Warning,
                format!("{who} {what}: after a crash it reads nothing until a writer has been there"),
            )
        } else if may_not_write {
            let what = "opened the database read-only, and its user may not write -shm";
            (Severity::Warning, format!("{who} {what}: alone, it reads nothing"))
        } else {
            let what = "opened the database read-only";
            (
                Severity::Info,
                format!("{who} {what}: its checkpoints fail, and the last to leave leaves -wal behind"),
            )
        };
        Finding {
            kind: self.kind(),
            severity,
            label: None,
            pid: Some(process.pid),
            message,
            evidence: evidence([
                ("index_read_only", process.index_read_only.into()),
                ("user_may_not_write_index", may_not_write.into()),
            ]),
            // The fix belongs where the program opens the database.
            remedy: no_remedy(),
        }
    }
}

// Only what the mode proves: its group might permit the process to write, and the group is unknown.
fn may_not_write(process: &Process, file: &FileFacts) -> bool {
    match process.uid {
        None | Some(0) => false,
        Some(uid) if uid == file.uid => file.mode & 0o200 == 0,
        Some(_) => file.mode & 0o022 == 0,
    }
}

/// Several processes share a database that keeps a rollback journal.
pub struct RollbackJournal;

impl Rule for RollbackJournal {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::RollbackJournal, &[Severity::Info, Severity::Warning])
            .with_actions(&[RemedyAction::Fix])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let sharers: Vec<i32> =
            database.processes.iter().filter(|it| it.is_client()).map(|it| it.pid).collect();
        if database.is_wal() != Some(false) || sharers.len() < 2 {
            return Vec::new();
        }
        let message = format!(
            "{} uses a rollback journal and {} processes share it: each commit locks all readers out",
            database.name(),
            sharers.len(),
        );
        // The program that owns the format chooses the mode, and may not work in another one.
        let is_foreign = look.profile.is_foreign;
        let fix = || Remedy {
            action: Some(RemedyAction::Fix),
            command: Some(format!("waltop fix {}", quoted(&database.path))),
        };
        vec![Finding {
            kind: self.kind(),
            severity: if is_foreign { Severity::Info } else { Severity::Warning },
            label: None,
            pid: None,
            message,
            evidence: evidence([("journal_mode", "rollback".into()), ("processes", sharers.into())]),
            remedy: if is_foreign { no_remedy() } else { fix() },
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::{
        config::{Config, profile::Profile},
        snapshot::{HandleCounts, Severity::*},
    };

    #[test]
    fn a_read_only_client_is_worth_knowing() {
        let mut database = live();
        database.processes[1].read_only = Some(true);
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::ReadonlyTrap, Info, Some(READER))]);
        assert_eq!(found[0].evidence["index_read_only"], false);
    }

    #[test]
    fn a_client_that_cannot_write_the_index_is_a_warning() {
        let mut database = live();
        database.processes[1].read_only = Some(true);
        database.processes[1].index_read_only = Some(true);
        assert_eq!(outline(&findings_of(&database)), [(FindingKind::ReadonlyTrap, Warning, Some(READER))]);
        database.processes[1].index_read_only = Some(false);
        for (uid, mode, severity) in [
            (Some(0), 0o444, Info),
            (None, 0o444, Info),
            (Some(1000), 0o644, Info),
            (Some(1000), 0o466, Warning),
            (Some(1001), 0o644, Warning),
            (Some(1001), 0o664, Info),
            (Some(1001), 0o646, Info),
        ] {
            database.processes[1].uid = uid;
            database.files.shm.as_mut().expect("there is an index").mode = mode;
            assert_eq!(
                outline(&findings_of(&database)),
                [(FindingKind::ReadonlyTrap, severity, Some(READER))],
                "{uid:?}, {mode:o}"
            );
        }
    }

    #[test]
    fn reading_a_rollback_database_is_no_trap() {
        let mut database = rollback();
        database.processes.remove(0);
        database.processes[0].read_only = Some(true);
        assert_eq!(findings_of(&database), []);
    }

    #[test]
    fn a_rollback_journal_hurts_only_where_it_is_shared() {
        let mut database = rollback();
        database.path = "/srv/my notes.db".into();
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::RollbackJournal, Warning, None)]);
        assert_eq!(found[0].evidence["processes"], serde_json::json!([WRITER, READER]));
        assert_eq!(found[0].remedy.action, Some(RemedyAction::Fix));
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop fix '/srv/my notes.db'"));
        let foreign = Config { profile: Profile::foreign(), ..config() };
        let found = findings_with(&foreign, None, &database);
        assert_eq!(outline(&found), [(FindingKind::RollbackJournal, Info, None)]);
        assert_eq!(found[0].remedy.command, None, "Subversion owns it");
        database.processes[0].handles = Some(HandleCounts::default());
        assert_eq!(findings_of(&database), []);
        // Not known: no finding.
        let mut database = rollback();
        database.header = None;
        assert_eq!(findings_of(&database), []);
    }
}
