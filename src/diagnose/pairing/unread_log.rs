//! A process that has the main file of a database in WAL mode open, and not its log.

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, who};
use crate::{
    snapshot::{Database, Finding, FindingKind, Severity, SuspicionKind, WalSource},
    units,
};

/// A process has the main file open, and neither the log nor a lock: what it reads may be old.
pub struct UnreadLog;

impl Rule for UnreadLog {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::UnreadLog, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let Some((frames, waiting)) = logged_frames(look.database) else { return Vec::new() };
        let processes = &look.database.processes;
        let readers = processes.iter().filter(|it| look.confirms(SuspicionKind::UnreadLog, it).is_some());
        let hidden = if waiting > 0 {
            format!("it sees none of the {} that are only there", units::plural(u64::from(waiting), "frame"))
        } else {
            "it sees no commit until a checkpoint has moved it, and keeps pages that it has read before"
                .to_owned()
        };
        readers
            .map(|process| Finding {
                kind: self.kind(),
                severity: Severity::Info,
                label: None,
                pid: Some(process.pid),
                message: format!(
                    "{} has the main file open, and neither the log nor a lock: if it has read anything, as with \
                     immutable=1, {hidden}",
                    who(look.database, Some(process.pid)),
                ),
                evidence: evidence([
                    ("frames", frames.into()),
                    ("pending", waiting.into()),
                    ("read_only", process.read_only.into()),
                ]),
                remedy: no_remedy(),
            })
            .collect()
    }
}

/// The committed frames of a log in use, and how many of them no checkpoint has moved; `None` if there are none.
pub fn logged_frames(database: &Database) -> Option<(u32, u32)> {
    let wal = database.wal.as_ref().filter(|wal| wal.source == WalSource::Index)?;
    Some((wal.frames.filter(|frames| *frames > 0)?, wal.pending?))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, HandleCounts, PairingFacts, Process, Severity::*};

    fn beside(change: impl FnOnce(&mut Process)) -> Database {
        let mut database = quiet();
        let reader = &mut database.processes[1];
        reader.handles = Some(HandleCounts { db: 1, wal: 0, shm: 0 });
        (reader.maps_index, reader.index_read_only, reader.holds_index) = (Some(false), None, false);
        reader.pairing = PairingFacts::default();
        change(reader);
        database
    }

    #[test]
    fn a_reader_without_the_log_is_worth_knowing() {
        let database = beside(|_| {});
        assert_eq!(findings_of(&database), [], "it may be opening it");
        let found = twice(&database);
        assert_eq!(outline(&found), [(FindingKind::UnreadLog, Info, Some(READER))]);
        assert_eq!(
            (&found[0].evidence["frames"], &found[0].evidence["pending"]),
            (&19_031.into(), &31.into())
        );
        let mut empty = database;
        empty.wal = Some(wal(0, 0));
        assert_eq!(twice(&empty), [], "there is nothing that it could miss");
    }

    #[test]
    fn a_connection_that_opens_and_a_copy_are_none() {
        let normal: [fn(&mut Process); 6] = [
            |it| it.handles = Some(HandleCounts { db: 1, wal: 1, shm: 1 }),
            |it| it.handles = None,
            |it| it.pairing.holds_main = true,
            |it| it.pairing.reads_in_order = true,
            |it| it.pairing.has_closed = true,
            |it| it.pairing.other_log = vec!["/srv/link.db-wal".to_owned()],
        ];
        for (index, change) in normal.into_iter().enumerate() {
            let found = twice(&beside(change));
            assert!(found.iter().all(|it| it.kind != FindingKind::UnreadLog), "{index}");
        }
    }
}
