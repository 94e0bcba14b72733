//! What can be put right in the file itself, as the SQL that does it.

use serde::{Deserialize, Serialize};

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
}
