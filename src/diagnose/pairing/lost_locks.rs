//! Processes that use a connection without the locks that protect it.

use crate::{
    diagnose::{Rule, RuleFacts, RuleInput, evidence, terminate, who},
    snapshot::{Finding, FindingKind, Process, RemedyAction, Severity, SuspicionKind},
};

/// A process uses the wal-index without the locks on it or on the main file.
///
/// Every process with the index open holds byte 128 and SHARED on the main file until it closes. A process without them
/// has closed one of its own descriptors on the file, which drops all its locks there.
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
                (format!("uses the wal-index without a lock on it: {}", cause(process)), "-shm")
            } else {
                look.confirms(SuspicionKind::LostMainLock, process)?;
                let other = two_libraries(process)
                    .map(|both| format!(", or one of its two SQLite libraries ({both}) did"));
                let cause = "its own code opened that file and closed it";
                (format!("has no lock on the main file: {cause}{}", other.unwrap_or_default()), "main")
            };
            let shm = database.files.shm.as_ref();
            Some(Finding {
                kind: self.kind(),
                severity: Severity::Error,
                label: None,
                pid: Some(process.pid),
                message: format!(
                    "{} {what}, and what it commits can be lost",
                    who(database, Some(process.pid))
                ),
                evidence: evidence([
                    ("lost_on", file.into()),
                    ("shm_handles", process.handles.map(|it| it.shm).into()),
                    ("shm_inode", shm.map(|it| it.inode).into()),
                    (
                        "sqlite",
                        process.sqlite_libraries().map(|it| it.version.clone()).collect::<Vec<_>>().into(),
                    ),
                ]),
                remedy: terminate(Some(process.pid)),
            })
        });
        lost.collect()
    }
}

// What dropped its locks on the index, as far as that is known.
fn cause(process: &Process) -> String {
    let again = "it closed the file a second time";
    match two_libraries(process) {
        // One library has one descriptor on an index, however many connections it has.
        Some(both) if process.handles.is_some_and(|handles| handles.shm > 1) => {
            format!(
                "its two SQLite libraries ({both}) both have it open, and the close of one drops all locks"
            )
        }
        Some(both) => format!("{again}, perhaps by one of its two SQLite libraries ({both})"),
        None if process.holds.is_empty() => again.to_owned(),
        None => format!("{again}, or uses a connection from before a fork"),
    }
}

fn two_libraries(process: &Process) -> Option<String> {
    let versions: Vec<&str> = process.sqlite_libraries().map(|it| it.version.as_str()).collect();
    (versions.len() > 1).then(|| versions.join(" and "))
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
                label: None,
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

#[cfg(test)]
mod tests {
    use crate::{
        diagnose::fixture::*,
        snapshot::{Database, HandleCounts, LockHold, Severity::*, SqliteLibrary, WriteHolds},
    };

    fn lost() -> Database {
        let mut database = live();
        database.processes[0].holds_index = false;
        database
    }

    #[test]
    fn locks_are_lost_where_two_samples_agree() {
        assert_eq!(findings_of(&lost()), []);
        assert_eq!(findings_after(Some(&live()), &lost()), []);
        assert_eq!(findings_after(Some(&lost()), &live()), []);
        let found = findings_after(Some(&lost()), &lost());
        assert_eq!(outline(&found), [(FindingKind::LostLocks, Error, Some(WRITER))]);
        assert_eq!(found[0].evidence["shm_inode"], 3);
    }

    #[test]
    fn two_libraries_are_the_cause_if_both_have_it_open_and_a_possible_one_otherwise() {
        let mut database = lost();
        let library = |version: &str| SqliteLibrary {
            version: version.to_owned(),
            source_id: String::new(),
            library: "/usr/lib/libsqlite3.so".to_owned(),
            replaced: false,
            in_other_namespace: false,
        };
        let message = |database: &Database| twice(database)[0].message.clone();
        database.processes[0].sqlite = Some(library("3.53.1"));
        assert!(!message(&database).contains("SQLite"));
        database.processes[0].other_sqlite = vec![library("3.54.0")];
        assert!(
            message(&database).contains("perhaps by one of its two SQLite libraries (3.53.1 and 3.54.0)")
        );
        database.processes[0].handles = Some(HandleCounts { db: 2, wal: 2, shm: 2 });
        assert!(
            message(&database).contains("its two SQLite libraries (3.53.1 and 3.54.0) both have it open")
        );
        database.processes[0].holds_index = true;
        assert_eq!(twice(&database), [], "two libraries alone are healthy");
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
    fn another_process_or_another_index_is_no_second_sample() {
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
        let holds = holds(WRITER, 1, 1.0, 1.0);
        sampled.locks.write_holds = Some(WriteHolds {
            count: 1,
            p50_ms: Some(1.0),
            p99_ms: Some(1.0),
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
}
