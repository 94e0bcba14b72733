//! What can be put right in the file itself, as the SQL that does it.

use serde::{Deserialize, Serialize};

use super::{checkpoint::Blocker, who};
use crate::snapshot::Database;

/// One statement of a fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The statement, as it will be run.
    pub sql: String,
    /// Why it is needed.
    pub why: String,
}

/// The statement that switches a file to WAL.
pub const TO_WAL: &str = "PRAGMA journal_mode = wal";

/// What is to be done to `database`; nothing where all is well, or where its header could not be read.
#[must_use]
pub fn plan(database: &Database) -> Vec<Step> {
    if database.is_wal() != Some(false) {
        return Vec::new();
    }
    let why = "With a rollback journal each commit locks all readers out; the file keeps WAL mode for every client.";
    vec![Step { sql: TO_WAL.to_owned(), why: why.to_owned() }]
}

/// Who would keep the switch from being made, as things were at the look: whoever holds any lock on the file. To
/// have it open is not enough.
#[must_use]
pub fn in_the_way(database: &Database) -> Vec<Blocker> {
    let locks = &database.locks;
    let writers = [&locks.exclusive, &locks.writer].into_iter().flatten().map(|it| (it.pid, "writes"));
    let readers = locks.readers.iter().map(|it| (it.pid, "reads"));
    let mut blockers: Vec<Blocker> = Vec::new();
    for (pid, how) in writers.chain(readers) {
        if blockers.iter().all(|it| it.pid != pid) {
            blockers.push(Blocker { pid, why: format!("{} {how}", who(database, pid)) });
        }
    }
    blockers
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};

    #[test]
    fn only_a_rollback_journal_is_fixed() {
        let steps = plan(&rollback());
        assert_eq!(steps.iter().map(|step| step.sql.as_str()).collect::<Vec<_>>(), [TO_WAL]);
        assert_eq!(plan(&live()), []);
        let mut unread = rollback();
        unread.header = None;
        assert_eq!(plan(&unread), []);
    }

    #[test]
    fn whoever_holds_a_lock_is_in_the_way_and_named_once() {
        let mut database = rollback();
        database.locks = crate::snapshot::Locks::default();
        assert_eq!(in_the_way(&database), []);
        database.locks.writer = Some(held(WRITER, 1.0));
        let reads = |pid| crate::snapshot::Reader { pid, slot: None, frame: None, held_ms: None };
        database.locks.readers = [Some(WRITER), Some(READER), None].map(reads).into();
        let whys: Vec<String> = in_the_way(&database).into_iter().map(|it| it.why).collect();
        assert_eq!(
            whys,
            ["71201 (bun) writes", "71168 (python3) reads", "a process not visible from here reads"]
        );
    }
}
