//! What loses committed data: processes that write where nobody reads, or without the locks that they count on.

use super::{Look, Rule, evidence, signal, terminate, who};
use crate::snapshot::{Database, Finding, Process, Severity, SuspicionKind};

/// A process has a deleted or replaced file of the database open.
pub struct SplitWal;

impl Rule for SplitWal {
    fn name(&self) -> &'static str {
        "split-wal"
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let processes = &look.database.processes;
        let is_split = |process: &&Process| look.confirms(SuspicionKind::ReplacedFile, process).is_some();
        let split = processes.iter().filter(is_split).map(|process| Finding {
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
        split.chain(orphaned).chain(super::pairing::left_behind(self.name(), look)).collect()
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

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::Severity::*;

    #[test]
    fn a_replaced_file_is_an_error_once_two_samples_agree() {
        let mut database = live();
        database.processes[1].replaced = vec!["notes.db-wal".to_owned(), "notes.db-shm".to_owned()];
        assert_eq!(findings_of(&database), []);
        let found = findings_after(Some(&database), &database);
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
        let found = findings_after(Some(&database), &database);
        assert_eq!(outline(&found), [("split-wal", Error, Some(WRITER))]);
        assert!(found[0].message.contains("moved away ("), "{}", found[0].message);
        assert!(found[0].message.contains("; now at /srv/old/notes.db)"), "{}", found[0].message);
        assert_eq!(found[0].evidence["moved_to"][0], "/srv/old/notes.db");
        assert_eq!(found[0].remedy.command.as_deref(), Some(format!("kill -TERM {WRITER}").as_str()));
    }
}
