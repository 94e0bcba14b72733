//! The full-text index, kept in step by the run itself.
//!
//! The triggers of the tables do the same for whoever else writes. But a statement that fires a trigger, or stands
//! in a savepoint, makes FTS5 write what it has gathered as a segment of its own: one for each document, all of
//! which are merged later. Without them a transaction leaves one segment.

use std::time::Duration;

use rusqlite::{Connection, config::DbConfig};

use super::{DocumentStore, ParsedDocument, StoreError, TransactionCost};

/// Who keeps the index in step while a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexMode {
    /// The run; no trigger fires for what it writes.
    ByRun,
    /// The triggers, since there are others on the tables that somebody wants to fire.
    ByTriggers,
}

/// The triggers of [`crate::database::migrations`], all of which only keep the index in step.
const OWN_TRIGGERS: &str = "'nodes_fts_insert', 'nodes_fts_delete', 'nodes_fts_update'";

impl IndexMode {
    /// Has the run keep the index of `connection`'s database in step, where nobody would miss a trigger by that.
    pub(super) fn choose(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = format!(
            "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name NOT IN ({OWN_TRIGGERS})
             AND lower(tbl_name) IN ('nodes', 'edges', 'nodes_vectors')"
        );
        let is_alone = !connection.prepare(&sql)?.exists([])?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, !is_alone)?;
        Ok(if is_alone { Self::ByRun } else { Self::ByTriggers })
    }
}

/// Segments of one level that are merged: `usermerge` in the migrations.
const MERGED_AT: u32 = 8;

/// The segments that a run leaves, and how they are merged.
#[derive(Debug)]
pub(super) struct IndexSegments {
    /// Since nothing was left to merge.
    fresh: u32,
    /// Pages that a step may write.
    pages: i64,
}

impl Default for IndexSegments {
    fn default() -> Self {
        Self { fresh: 0, pages: Self::FEWEST }
    }
}

impl IndexSegments {
    const FEWEST: i64 = 64;
    const MOST: i64 = 4096;

    pub(super) fn left(&mut self) {
        self.fresh += 1;
    }

    /// A step was done that cost so much: the next is to come close to half of `aim`.
    fn stepped(&mut self, cost: TransactionCost, aim: Duration) {
        let factor = aim.as_secs_f64() / 2.0 / cost.hold.as_secs_f64().max(1e-6);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "some thousands")]
        let pages = (self.pages as f64 * factor.min(2.0)) as i64;
        self.pages = pages.clamp(Self::FEWEST, Self::MOST);
    }
}

impl DocumentStore {
    /// Merges some of the segments that the run has left, in a transaction of its own that holds the lock for less than
    /// `aim`; `None` where there are few.
    ///
    /// # Errors
    ///
    /// Where the lock cannot be had or the transaction fails.
    pub fn merge(&mut self, aim: Duration) -> Result<Option<TransactionCost>, StoreError> {
        if self.segments.fresh < MERGED_AT {
            return Ok(None);
        }
        let begun = self.begin()?;
        let before = self.connection.total_changes();
        let sql = "INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('merge', ?1)";
        if let Err(error) = self.statement(sql, [self.segments.pages]) {
            return Err(self.give_up(error));
        }
        // FTS5 says so: the statement itself counts as one change.
        let is_done = self.connection.total_changes() - before < 2;
        let cost = self.commit(&begun)?;
        if is_done {
            self.segments.fresh = 0;
        } else {
            self.segments.stepped(cost, aim);
        }
        Ok(Some(cost))
    }

    /// Makes `document`, which is in row `id`, be found.
    pub(super) fn index(&self, id: i64, document: &ParsedDocument) -> rusqlite::Result<()> {
        if self.indexing == IndexMode::ByTriggers {
            return Ok(());
        }
        let sql = "INSERT INTO nodes_fts (rowid, title, body) VALUES (?1, ?2, ?3)";
        self.statement(sql, (id, &document.title, &document.body)).map(drop)
    }

    /// Takes row `id` out of the index, as long as its text is what the index was made of.
    pub(super) fn unindex(&self, id: i64) -> rusqlite::Result<()> {
        if self.indexing == IndexMode::ByTriggers {
            return Ok(());
        }
        self.statement("DELETE FROM nodes_fts WHERE rowid = ?1", [id]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::migrations;

    #[test]
    fn a_trigger_of_others_on_any_table_that_a_run_writes_is_kept() {
        for table in ["nodes", "edges", "nodes_vectors"] {
            let mut connection = Connection::open_in_memory().expect("memory");
            migrations::migrate(&mut connection).expect("the tables");
            assert_eq!(IndexMode::choose(&connection), Ok(IndexMode::ByRun));
            let sql = format!("CREATE TRIGGER theirs AFTER DELETE ON {table} BEGIN SELECT 1; END");
            connection.execute_batch(&sql).expect("a trigger");
            assert_eq!(IndexMode::choose(&connection), Ok(IndexMode::ByTriggers), "{table}");
            assert_eq!(connection.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER), Ok(true), "{table}");
        }
    }
}
