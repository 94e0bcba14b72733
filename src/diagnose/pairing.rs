//! Processes that do not use the files beside the path as every other process does: another log, another main file, no
//! locks, or a connection that a fork gave them.

use serde_json::Value;

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, terminate, who};
use crate::snapshot::{Finding, FindingKind, OverlayMount, Process, RemedyAction, Severity, SuspicionKind};

pub const RULES: &[&dyn Rule] = &[&OtherLog, &LostLocks, &ForkedConnection, &OutdatedReader, &OverlayUpper];

/// A process uses the main file with the log and index of another name of it, or with none that can be seen.
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

/// A process uses the wal-index without the locks on it or on the main file.
///
/// Every process that has the index open holds byte 128 for life, and SHARED on the main file. One that does not has closed
/// a descriptor of its own on the file, which drops all its locks there.
pub struct LostLocks;

impl Rule for LostLocks {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::LostLocks, &[Severity::Error])
            .forbids_connection()
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let lost = database.processes.iter().filter_map(|process| {
            let (what, file) = if look.confirms(SuspicionKind::LostIndexLock, process).is_some() {
                let cause = if process.holds.is_empty() {
                    "it closed the file a second time"
                } else {
                    "it closed the file a second time, or uses a connection from before a fork"
                };
                (format!("uses the wal-index without a lock on it: {cause}"), "-shm")
            } else {
                look.confirms(SuspicionKind::LostMainLock, process)?;
                (
                    "has no lock on the main file: its own code opened that file and closed it".to_owned(),
                    "main",
                )
            };
            let shm = database.files.shm.as_ref();
            Some(Finding {
                kind: self.kind(),
                severity: Severity::Error,
                pid: Some(process.pid),
                message: format!(
                    "{} {what}, and what it commits can be lost",
                    who(database, Some(process.pid))
                ),
                evidence: evidence([
                    ("lost_on", file.into()),
                    ("shm_handles", process.handles.map(|it| it.shm).into()),
                    ("shm_inode", shm.map(|it| it.inode).into()),
                ]),
                remedy: terminate(Some(process.pid)),
            })
        });
        lost.collect()
    }
}

/// A process writes or reads through a connection that a related process opened before a fork.
pub struct ForkedConnection;

impl Rule for ForkedConnection {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::ForkedConnection, &[Severity::Error])
            .forbids_connection()
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let inherited = database.processes.iter().filter_map(|process| {
            look.confirms(SuspicionKind::ForkedConnection, process)?;
            let parent = process.pairing.inherited_from;
            Some(Finding {
                kind: self.kind(),
                severity: Severity::Error,
                pid: Some(process.pid),
                message: format!(
                    "{} uses a connection inherited by fork from {}: it holds none of the locks that protect what it \
                     commits",
                    who(database, Some(process.pid)),
                    who(database, parent),
                ),
                evidence: evidence([
                    ("inherited_from", parent.into()),
                    ("holds_index", process.holds_index.into()),
                ]),
                remedy: terminate(Some(process.pid)),
            })
        });
        inherited.collect()
    }
}

/// A process that only reads has a file open that was deleted or replaced.
pub struct OutdatedReader;

impl Rule for OutdatedReader {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OutdatedReader, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let outdated = look.database.processes.iter().filter_map(|process| {
            let suspicion = look.confirms(SuspicionKind::OutdatedReader, process)?;
            Some(Finding {
                kind: self.kind(),
                severity: Severity::Info,
                pid: Some(process.pid),
                message: format!(
                    "{} reads a file that was replaced ({}): it sees what was in it then, until it opens it again",
                    who(look.database, Some(process.pid)),
                    suspicion.evidence.join(", "),
                ),
                evidence: evidence([("files", suspicion.evidence.clone().into())]),
                remedy: no_remedy(),
            })
        });
        outdated.collect()
    }
}

/// The database lies in the upper directory of an overlay mount.
pub struct OverlayUpper;

impl Rule for OverlayUpper {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OverlayUpper, &[Severity::Error]).forbids_connection()
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        look.database.overlays.iter().map(|overlay| self.finding(overlay, look)).collect()
    }
}

impl OverlayUpper {
    fn finding(&self, overlay: &OverlayMount, look: &RuleInput<'_>) -> Finding {
        let merged = overlay.merged.display().to_string();
        Finding {
            kind: self.kind(),
            severity: Severity::Error,
            pid: None,
            message: format!(
                "{} lies in the upper directory of the overlay mounted at {merged} (as process {} sees it): locks taken \
                 there do not show here",
                look.database.name(),
                overlay.pid,
            ),
            evidence: evidence([("merged", merged.into()), ("namespace_of", Value::from(overlay.pid))]),
            remedy: no_remedy(),
        }
    }
}

/// Findings of the rule `SplitWal` on processes that use the log at the path with another main file.
pub(super) fn left_behind(look: &RuleInput<'_>) -> Vec<Finding> {
    let database = look.database;
    let left = database.processes.iter().filter_map(|process| {
        look.confirms(SuspicionKind::LogWithoutMain, process)?;
        Some(Finding {
            kind: FindingKind::SplitWal,
            severity: Severity::Error,
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
    use super::super::fixture::*;
    use crate::snapshot::{
        Database, HandleCounts, LockHold, OverlayMount, ProcessHolds, Severity::*, WriteHolds,
    };

    fn lost() -> Database {
        let mut database = live();
        database.processes[0].holds_index = false;
        database
    }

    #[test]
    fn locks_are_lost_where_two_looks_agree() {
        assert_eq!(findings_of(&lost()), []);
        assert_eq!(findings_after(Some(&live()), &lost()), []);
        assert_eq!(findings_after(Some(&lost()), &live()), []);
        let found = findings_after(Some(&lost()), &lost());
        assert_eq!(outline(&found), [(FindingKind::LostLocks, Error, Some(WRITER))]);
        assert_eq!(found[0].evidence["shm_inode"], 3);
    }

    #[test]
    fn everybody_may_have_lost_them() {
        let mut database = lost();
        database.processes[1].holds_index = false;
        database.locks.index_held = false;
        assert_eq!(findings_after(Some(&database), &database).len(), 2);
    }

    #[test]
    fn who_needs_no_lock_has_lost_none() {
        let healthy: [fn(&mut Database); 7] = [
            |it| it.processes[0].index_read_only = Some(true),
            |it| it.processes[0].maps_index = Some(false),
            |it| it.processes[0].maps_index = None,
            |it| {
                it.processes[0].handles = None;
                it.processes[0].pairing.holds_main = false;
            },
            |it| it.locks.exclusive = Some(held(WRITER, 1.0)),
            // It is idle.
            |it| it.processes[0].parent = Some(READER),
            // Byte 128 is held by nobody that can be told.
            |it| it.processes[1].holds_index = false,
        ];
        for (index, make) in healthy.into_iter().enumerate() {
            let mut database = lost();
            make(&mut database);
            assert_eq!(findings_after(Some(&database), &database), [], "{index}");
        }
    }

    #[test]
    fn another_process_or_another_index_is_no_second_look() {
        let mut other = lost();
        other.processes[0].start_ticks = Some(999);
        assert_eq!(findings_after(Some(&other), &lost()), []);
        let mut other = lost();
        if let Some(shm) = &mut other.files.shm {
            shm.inode = 99;
        }
        assert_eq!(findings_after(Some(&other), &lost()), []);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let mut database = lost();
        database.processes[0].parent = Some(WRITER);
        assert_eq!(findings_after(Some(&database), &database).len(), 1);
    }

    fn twice(database: &Database) -> Vec<crate::snapshot::Finding> {
        findings_after(Some(database), database)
    }

    #[test]
    fn the_main_lock_is_lost_where_only_byte_128_is_left() {
        let mut database = live();
        database.processes[0].pairing.holds_main = false;
        let found = twice(&database);
        assert_eq!(outline(&found), [(FindingKind::LostLocks, Error, Some(WRITER))]);
        assert_eq!(found[0].evidence["lost_on"], "main");
        database.locks.exclusive = Some(held(WRITER, 1.0));
        database.locks.writer = None;
        assert!(
            twice(&database).iter().all(|it| it.kind != FindingKind::LostLocks),
            "it holds the whole file"
        );
    }

    #[test]
    fn a_fork_is_an_error_once_the_child_does_something() {
        let mut database = quiet();
        let child = &mut database.processes[0];
        (child.holds_index, child.pairing.holds_main) = (false, false);
        child.pairing.inherited_from = Some(READER);
        assert_eq!(twice(&database), [], "an idle child does no harm");
        let mut sampled = database.clone();
        let holds = ProcessHolds { pid: Some(WRITER), count: 1, max_ms: 1.0, total_ms: 1.0 };
        sampled.locks.write_holds = Some(WriteHolds {
            count: 1,
            p50_ms: 1.0,
            p99_ms: 1.0,
            max_ms: 1.0,
            held_ratio: 0.1,
            by_process: vec![holds],
        });
        database.processes[0].holds = vec![LockHold::Read(1)];
        for active in [&database, &sampled] {
            let found = twice(active);
            assert_eq!(outline(&found), [(FindingKind::ForkedConnection, Error, Some(WRITER))]);
            assert_eq!(found[0].evidence["inherited_from"], READER);
        }
        database.processes[0].pairing.inherited_from = None;
        database.processes[0].parent = Some(READER);
        assert_eq!(
            outline(&twice(&database)),
            [(FindingKind::LostLocks, Error, Some(WRITER))],
            "another mapping"
        );
    }

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

    #[test]
    fn a_reader_of_files_is_accused_of_nothing() {
        let mut database = live();
        let reader = &mut database.processes[1];
        reader.read_only = Some(true);
        (reader.index_read_only, reader.maps_index, reader.holds_index) = (Some(true), Some(false), false);
        reader.pairing.only_reads_files = Some(true);
        reader.pairing.holds_main = false;
        assert_eq!(twice(&database), []);
        database.processes[1].pairing.outdated = vec!["/srv/notes.db".to_owned()];
        assert_eq!(outline(&twice(&database)), [(FindingKind::OutdatedReader, Info, Some(READER))]);
    }

    #[test]
    fn a_partial_sample_confirms_and_clears_nothing() {
        let mut partial = live();
        partial.is_complete = false;
        let kept = findings_after(Some(&lost()), &partial);
        assert_eq!(
            outline(&kept),
            [(FindingKind::LostLocks, Error, Some(WRITER))],
            "it was confirmed before"
        );
        assert_eq!(findings_after(Some(&partial), &lost()), [], "nothing was carried over from nothing");
    }

    #[test]
    fn an_overlay_names_its_merged_mount() {
        let mut database = quiet();
        database.overlays = vec![OverlayMount { merged: "/merged".into(), pid: 77 }];
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::OverlayUpper, Error, None)]);
        assert_eq!(found[0].evidence["merged"], "/merged");
    }
}
