//! What loses committed data: processes that write where nobody reads, or without the locks that they count on.

use super::{Look, Rule, evidence, signal, terminate, who};
use crate::snapshot::{Database, Finding, Process, Severity};

/// A process has a deleted or replaced file of the database open.
pub struct SplitWal;

impl Rule for SplitWal {
    fn name(&self) -> &'static str {
        "split-wal"
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let processes = &look.database.processes;
        let split = processes.iter().filter(|process| !process.replaced.is_empty()).map(|process| Finding {
            name: self.name().to_owned(),
            severity: Severity::Error,
            pid: Some(process.pid),
            message: split(look.database, process),
            evidence: evidence([
                ("replaced", process.replaced.clone().into()),
                ("moved_to", process.moved_to.clone().into()),
            ]),
            // Asked to end it would close in good order, and put its pages over what others have committed.
            remedy: if look.database.is_split_from(process) {
                signal("KILL", Some(process.pid))
            } else {
                terminate(Some(process.pid))
            },
        });
        // Renamed or deleted: whoever makes a new file of that name gives it the old one's log.
        let is_orphan = |process: &&Process| look.database.is_gone() && process.replaced.is_empty();
        let orphaned = processes.iter().filter(is_orphan).map(|process| Finding {
            name: self.name().to_owned(),
            severity: Severity::Error,
            pid: Some(process.pid),
            message: format!(
                "{} uses a database that is no longer at this path: a new one made here would mix with its log",
                who(look.database, Some(process.pid)),
            ),
            evidence: evidence([("path", look.database.path.display().to_string().into())]),
            remedy: terminate(Some(process.pid)),
        });
        split.chain(orphaned).collect()
    }
}

fn split(database: &Database, process: &Process) -> String {
    let (who, replaced) = (who(database, Some(process.pid)), process.replaced.join(", "));
    if process.moved_to.is_empty() {
        return format!(
            "{who} still has a deleted or replaced file open ({replaced}): nobody else sees what it commits"
        );
    }
    let now = process.moved_to.join(", ");
    format!(
        "{who} still has a file open that was moved away ({replaced}; now at {now}): whoever opens {} does not see \
         what it commits",
        database.path.display()
    )
}

/// A process uses the wal-index without holding the lock that says so, in two looks.
///
/// Every process that has the index open holds byte 128 for life. One that does not has closed a descriptor of
/// its own on the file, which drops all its locks there. One look could fall between opening and locking.
pub struct LostLocks;

impl Rule for LostLocks {
    fn name(&self) -> &'static str {
        "lost-locks"
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let Some(previous) = look.previous.filter(|it| is_same_index(it, look.database)) else {
            return Vec::new();
        };
        let had_none = |process: &&Process| {
            let before = previous.process(process.pid);
            before.is_some_and(|it| it.start_ticks == process.start_ticks && uses_without_lock(it, previous))
        };
        let lost = look.database.processes.iter().filter(|process| uses_without_lock(process, look.database));
        lost.filter(had_none)
            .map(|process| Finding {
                name: self.name().to_owned(),
                severity: Severity::Error,
                pid: Some(process.pid),
                message: format!(
                    "{} uses the wal-index without a lock on it: it closed the file a second time, \
                     and what it commits can be lost",
                    who(look.database, Some(process.pid))
                ),
                evidence: evidence([
                    ("shm_handles", process.handles.map(|it| it.shm).into()),
                    ("shm_inode", look.database.files.shm.as_ref().map(|it| it.inode).into()),
                ]),
                remedy: terminate(Some(process.pid)),
            })
            .collect()
    }
}

fn is_same_index(previous: &Database, now: &Database) -> bool {
    let inode = |database: &Database| database.files.shm.as_ref().map(|it| (it.device.clone(), it.inode));
    inode(now).is_some() && inode(previous) == inode(now)
}

fn uses_without_lock(process: &Process, database: &Database) -> bool {
    let uses = process.handles.is_some_and(|handles| handles.shm > 0)
        && process.index_read_only == Some(false)
        && process.maps_index == Some(true)
        && process.replaced.is_empty();
    uses && !process.holds_index
        && !holds_all(process, database)
        && !is_lock_unattributed(database)
        && !is_child_of_holder(process, database)
}

// With the whole file to itself a connection needs no other lock.
fn holds_all(process: &Process, database: &Database) -> bool {
    database.locks.exclusive.as_ref().is_some_and(|holder| holder.pid == Some(process.pid))
}

// Somebody holds byte 128 and it is nobody that can be told: it may be this one, through an
// open-file-description lock.
fn is_lock_unattributed(database: &Database) -> bool {
    database.locks.index_held && !database.processes.iter().any(|process| process.holds_index)
}

// A forked child has its parent's descriptors and mappings, but never its locks.
fn is_child_of_holder(process: &Process, database: &Database) -> bool {
    let mut parent = process.parent;
    // No longer than there are processes, should the parents go in a circle.
    for _ in &database.processes {
        match parent.and_then(|pid| database.process(pid)) {
            Some(ancestor) if ancestor.holds_index => return true,
            Some(ancestor) => parent = ancestor.parent,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Database, Severity::*};

    fn lost() -> Database {
        let mut database = live();
        database.processes[0].holds_index = false;
        database
    }

    #[test]
    fn a_replaced_file_is_an_error_at_once() {
        let mut database = live();
        database.processes[1].replaced = vec!["notes.db-wal".to_owned(), "notes.db-shm".to_owned()];
        let found = findings_of(&database);
        assert_eq!(outline(&found), [("split-wal", Error, Some(READER))]);
        assert_eq!(
            found[0].message,
            "71168 (python3) still has a deleted or replaced file open (notes.db-wal, notes.db-shm): \
             nobody else sees what it commits"
        );
        assert_eq!(found[0].remedy.command.as_deref(), Some("kill -KILL 71168"));
    }

    #[test]
    fn a_moved_file_is_told_with_where_it_lies_now() {
        let mut database = live();
        database.processes[0].replaced = vec![database.path.display().to_string()];
        database.processes[0].moved_to = vec!["/srv/old/notes.db".to_owned()];
        let found = findings_of(&database);
        assert_eq!(outline(&found), [("split-wal", Error, Some(WRITER))]);
        assert!(found[0].message.contains("moved away ("), "{}", found[0].message);
        assert!(found[0].message.contains("; now at /srv/old/notes.db)"), "{}", found[0].message);
        assert_eq!(found[0].evidence["moved_to"][0], "/srv/old/notes.db");
        assert_eq!(found[0].remedy.command.as_deref(), Some(format!("kill -TERM {WRITER}").as_str()));
    }

    #[test]
    fn locks_are_lost_where_two_looks_agree() {
        assert_eq!(findings_of(&lost()), []);
        assert_eq!(findings_after(Some(&live()), &lost()), []);
        assert_eq!(findings_after(Some(&lost()), &live()), []);
        let found = findings_after(Some(&lost()), &lost());
        assert_eq!(outline(&found), [("lost-locks", Error, Some(WRITER))]);
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
            |it| it.processes[0].handles = None,
            |it| it.locks.exclusive = Some(held(WRITER, 1.0)),
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
}
