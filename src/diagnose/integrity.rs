//! Loss of committed data: processes that write to files that no other process reads, or without the locks that protect
//! them.

use super::{Rule, RuleFacts, RuleInput, evidence, explain, rescue, terminate, who};
use crate::snapshot::{
    Database, Finding, FindingKind, Process, Remedy, RemedyAction, Severity, SuspicionKind,
};

pub const RULES: &[&dyn Rule] = &[&SplitWal];

/// A process has a deleted or replaced file of the database open.
pub struct SplitWal;

impl Rule for SplitWal {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::SplitWal, &[Severity::Error])
            .forbids_connection()
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let processes = &look.database.processes;
        let is_split = |process: &&Process| look.confirms(SuspicionKind::ReplacedFile, process).is_some();
        let split = processes.iter().filter(is_split).map(|process| Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: Some(process.pid),
            message: split(look.database, process),
            evidence: evidence([
                ("replaced", process.replaced.clone().into()),
                ("deleted", process.deleted.clone().into()),
                ("moved_to", process.moved_to.clone().into()),
            ]),
            remedy: remedy(look.database, process),
        });
        // Renamed or deleted: the next process that creates a file of that name gives it the log of the old one.
        let is_orphan = |process: &&Process| {
            look.database.is_gone() && process.replaced.is_empty() && process.pairing.outdated.is_empty()
        };
        let orphaned = processes.iter().filter(is_orphan).map(|process| Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: Some(process.pid),
            message: format!(
                "{} uses a database that is no longer at this path: a new one made here would mix with its log",
                who(look.database, Some(process.pid)),
            ),
            evidence: evidence([("path", look.database.path.display().to_string().into())]),
            // It may hold the only copy of the main file.
            remedy: explain(self.kind()),
        });
        split.chain(orphaned).chain(super::pairing::left_behind(look)).collect()
    }
}

// If a process holds the only copy of its data, any exit loses that data. Without such data, a regular close still
// overwrites the commits of other processes with old pages, if only the log or the index was replaced.
fn remedy(database: &Database, process: &Process) -> Remedy {
    if !process.deleted.is_empty() {
        rescue(database, process)
    } else if database.is_split_from(process) {
        explain(FindingKind::SplitWal)
    } else {
        terminate(Some(process.pid))
    }
}

fn split(database: &Database, process: &Process) -> String {
    let (who, replaced) = (who(database, Some(process.pid)), process.replaced.join(", "));
    if !process.deleted.is_empty() {
        let files = process.deleted.join(", ");
        return format!(
            "{who} holds the only copy of {files}, which was deleted or replaced: no other process sees what it \
             commits, and the data ends with it"
        );
    }
    if process.moved_to.is_empty() {
        return format!(
            "{who} still has a deleted or replaced file open ({replaced}): no other process sees what it commits"
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
    use crate::snapshot::{Remedy, Severity::*};

    #[test]
    fn a_replaced_file_is_an_error_once_two_samples_agree() {
        let mut database = live();
        database.processes[1].replaced = vec!["notes.db-wal".to_owned(), "notes.db-shm".to_owned()];
        assert_eq!(findings_of(&database), []);
        let found = findings_after(Some(&database), &database);
        assert_eq!(outline(&found), [(FindingKind::SplitWal, Error, Some(READER))]);
        assert_eq!(found[0].evidence["replaced"], serde_json::json!(["notes.db-wal", "notes.db-shm"]));
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop explain split-wal"));
    }

    #[test]
    fn the_holder_of_deleted_data_is_rescued_and_never_ended() {
        let mut database = live();
        database.processes[1].replaced = vec!["/srv/notes.db".to_owned(), "/srv/notes.db-shm".to_owned()];
        database.processes[1].deleted = vec!["/srv/notes.db".to_owned()];
        let found = findings_after(Some(&database), &database);
        assert_eq!(outline(&found), [(FindingKind::SplitWal, Error, Some(READER))]);
        assert_eq!(found[0].evidence["deleted"], serde_json::json!(["/srv/notes.db"]));
        let command = "waltop rescue /srv/notes.db --pid 71168 --to rescued-71168.db";
        assert_eq!(found[0].remedy, Remedy { action: None, command: Some(command.to_owned()) });
    }

    #[test]
    fn a_moved_file_is_reported_with_its_new_path() {
        let mut database = live();
        database.processes[0].replaced = vec![database.path.display().to_string()];
        database.processes[0].moved_to = vec!["/srv/old/notes.db".to_owned()];
        let found = findings_after(Some(&database), &database);
        assert_eq!(outline(&found), [(FindingKind::SplitWal, Error, Some(WRITER))]);
        assert_eq!(found[0].evidence["moved_to"], serde_json::json!(["/srv/old/notes.db"]));
        assert_eq!(found[0].remedy.command.as_deref(), Some(format!("kill -TERM {WRITER}").as_str()));
    }
}
