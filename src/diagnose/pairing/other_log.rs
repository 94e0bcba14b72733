//! Processes that use another log than the one at the path, or the log at the path with another main file.

use crate::{
    diagnose::{Rule, RuleFacts, RuleInput, evidence, no_remedy, who},
    snapshot::{Finding, FindingKind, Process, Severity, SuspicionKind},
};

/// A process uses the main file with the log and index of another name of it, or with none that is visible.
pub struct OtherLog;

impl Rule for OtherLog {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OtherLog, &[Severity::Warning, Severity::Error]).forbids_connection()
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let processes = look.database.processes.iter();
        let proven = processes.filter_map(|process| self.proven(process, look));
        let unproven = look.database.processes.iter().filter_map(|process| {
            look.confirms(SuspicionKind::UnprovenLog, process)?;
            Some(self.unproven(Some(process.pid), look))
        });
        let unseen = look.confirms_unseen(SuspicionKind::UnprovenLog).then(|| self.unproven(None, look));
        proven.chain(unproven).chain(unseen).collect()
    }
}

impl OtherLog {
    fn proven(&self, process: &Process, look: &RuleInput<'_>) -> Option<Finding> {
        look.confirms(SuspicionKind::OtherLog, process)?;
        let (database, others) = (look.database, process.pairing.other_log.join(", "));
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: Some(process.pid),
            message: format!(
                "{} has {} open under another name and uses {others}, not {}-wal: two logs write to one file, and either \
                 destroys what the other commits",
                who(database, Some(process.pid)),
                database.name(),
                database.path.display(),
            ),
            evidence: evidence([
                ("other_log", process.pairing.other_log.clone().into()),
                ("log", format!("{}-wal", database.path.display()).into()),
            ]),
            remedy: no_remedy(),
        })
    }

    fn unproven(&self, pid: Option<i32>, look: &RuleInput<'_>) -> Finding {
        let database = look.database;
        Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid,
            message: format!(
                "{} holds a lock on {} and none on {}-shm: it uses another log, or none",
                who(database, pid),
                database.name(),
                database.path.display(),
            ),
            evidence: evidence([
                ("holds_main", true.into()),
                ("holds_index", false.into()),
                ("shm_inode", database.files.shm.as_ref().map(|it| it.inode).into()),
            ]),
            remedy: no_remedy(),
        }
    }
}

/// Findings of the rule `SplitWal` on processes that use the log at the path with another main file.
pub fn left_behind(look: &RuleInput<'_>) -> Vec<Finding> {
    let database = look.database;
    let left = database.processes.iter().filter_map(|process| {
        look.confirms(SuspicionKind::LogWithoutMain, process)?;
        Some(Finding {
            kind: FindingKind::SplitWal,
            severity: Severity::Error,
            label: None,
            pid: Some(process.pid),
            message: format!(
                "{} uses the log of {} with another main file: one was put in the place of its own, and a checkpoint would \
                 destroy it",
                who(database, Some(process.pid)),
                database.name(),
            ),
            evidence: evidence([
                ("db_inode", database.files.db.as_ref().map(|it| it.inode).into()),
                ("wal_inode", database.files.wal.as_ref().map(|it| it.inode).into()),
            ]),
            remedy: no_remedy(),
        })
    });
    left.collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        diagnose::fixture::*,
        snapshot::{HandleCounts, Severity::*},
    };

    #[test]
    fn another_log_is_an_error_where_it_is_seen_and_a_warning_where_only_locks_are() {
        let mut database = live();
        database.processes[0].pairing.other_log = vec!["/srv/alias.db-wal".to_owned()];
        assert_eq!(findings_of(&database), [], "one sample proves nothing");
        let found = twice(&database);
        assert_eq!(outline(&found), [(FindingKind::OtherLog, Error, Some(WRITER))]);
        assert_eq!(found[0].evidence["other_log"][0], "/srv/alias.db-wal");

        let mut database = quiet();
        let process = &mut database.processes[0];
        (process.handles, process.maps_index, process.pairing.only_reads_files) = (None, None, None);
        process.holds_index = false;
        assert_eq!(outline(&twice(&database)), [(FindingKind::OtherLog, Warning, Some(WRITER))]);
        database.processes[0].pairing.holds_main = false;
        assert_eq!(twice(&database), [], "no lock, no connection");

        let mut database = quiet();
        database.locks.main_held_unseen = true;
        assert_eq!(outline(&twice(&database)), [(FindingKind::OtherLog, Warning, None)]);
        database.locks.index_held_unseen = true;
        assert_eq!(twice(&database), []);
    }

    #[test]
    fn a_service_whose_main_file_was_replaced_has_split() {
        let mut database = quiet();
        if let Some(handles) = &mut database.processes[0].handles {
            handles.db = 0;
        }
        database.processes[0].pairing.holds_main = false;
        let found = twice(&database);
        assert!(outline(&found).contains(&(FindingKind::SplitWal, Error, Some(WRITER))), "{found:?}");
        let mut opening = database.clone();
        opening.processes[0].pairing.holds_main = true;
        assert_eq!(twice(&opening), [], "its descriptor on the main file was not read");
        let process = &mut database.processes[0];
        (process.maps_index, process.pairing.writes_log) = (Some(false), false);
        assert_eq!(twice(&database), [], "a reader of -wal has it open without the main file");
    }

    // Locks, descriptors and mappings are read one after the other.
    #[test]
    fn a_connection_that_opens_or_closes_during_a_sample_is_accused_of_nothing() {
        let mut database = quiet();
        database.processes[0].handles = Some(HandleCounts { db: 0, wal: 1, shm: 1 });
        assert_eq!(twice(&database), [], "it held the main file when the lock table was read");
        database.processes[0].handles = Some(HandleCounts::default());
        let pairing = &mut database.processes[0].pairing;
        (pairing.holds_main, pairing.writes_log) = (false, false);
        assert_eq!(twice(&database), [], "the mapping is that of the next connection");
        database.processes[0].handles = Some(HandleCounts { db: 1, wal: 1, shm: 1 });
        database.processes[0].holds_index = false;
        assert_ne!(twice(&database), []);
        database.processes[0].pairing.has_closed = true;
        assert_eq!(twice(&database), [], "its descriptors were closed before its locks were asked for");
    }
}
