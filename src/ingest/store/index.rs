//! The full-text index, which the run itself keeps in step.
//!
//! Triggers of the tables do the same for any other writer. But a statement that fires a trigger, or is in a savepoint,
//! makes FTS5 write its buffer as a separate segment: one per document, which all have to be merged later. Without
//! triggers a transaction leaves one segment.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, config::DbConfig};

use super::{DocumentStore, ParsedDocument, StoreError, TransactionCost, patience::patiently};

/// What keeps the index in step while a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexMode {
    /// The run; none of its writes fires a trigger.
    ByRun,
    /// The triggers, because the tables have other triggers too, which their owner expects to fire.
    ByTriggers,
}

/// The triggers of [`crate::database::migrations`]; all of them only keep the index in step.
const OWN_TRIGGERS: &str = "'nodes_fts_insert', 'nodes_fts_delete', 'nodes_fts_update',
    'nodes_words_insert', 'nodes_words_delete', 'nodes_words_update'";

impl IndexMode {
    /// Lets the run keep the index of `connection`'s database in step, unless that would suppress another trigger.
    pub(super) fn choose(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = format!(
            "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name NOT IN ({OWN_TRIGGERS})
             AND lower(tbl_name) IN ('nodes', 'edges', 'nodes_vectors', 'nodes_sections', 'nodes_files')"
        );
        let is_alone = !connection.prepare(&sql)?.exists([])?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, !is_alone)?;
        Ok(if is_alone { Self::ByRun } else { Self::ByTriggers })
    }
}

/// Number of segments of one level that are merged: `usermerge` in the migrations.
const MERGED_AT: u32 = 8;

/// The segments that a run leaves, and how they are merged.
#[derive(Debug)]
pub(super) struct IndexSegments {
    /// Segments since the last complete merge.
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

    /// Records the cost of a step, and sizes the next one so that it takes about half of `aim`.
    fn stepped(&mut self, cost: TransactionCost, aim: Duration) {
        let factor = aim.as_secs_f64() / 2.0 / cost.hold.as_secs_f64().max(1e-6);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "some thousands")]
        let pages = (self.pages as f64 * factor.min(2.0)) as i64;
        self.pages = pages.clamp(Self::FEWEST, Self::MOST);
    }
}

impl DocumentStore {
    /// Merges some of the run's segments, in a separate transaction that holds the lock for less than `aim`; `None` if
    /// there are few.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the transaction fails.
    pub fn merge(&mut self, aim: Duration) -> Result<Option<TransactionCost>, StoreError> {
        if self.segments.fresh < MERGED_AT {
            return Ok(None);
        }
        let begun = self.begin()?;
        let before = self.connection.total_changes();
        let sql = "INSERT INTO nodes_words (nodes_words, rank) VALUES ('merge', ?1)";
        if let Err(error) = self.statement(sql, [self.segments.pages]) {
            return Err(self.give_up(error));
        }
        // FTS5 reports it this way: the statement itself counts as one change.
        let is_done = self.connection.total_changes() - before < 2;
        let cost = self.commit(&begun)?;
        if is_done {
            self.segments.fresh = 0;
        } else {
            self.segments.stepped(cost, aim);
        }
        Ok(Some(cost))
    }

    /// Adds `document`, which is in row `id`, to the index.
    pub(super) fn index(&self, id: i64, document: &ParsedDocument) -> rusqlite::Result<()> {
        if self.indexing == IndexMode::ByTriggers {
            return Ok(());
        }
        let ParsedDocument { name_words, title, more_words, body, .. } = document;
        let sql = "INSERT INTO nodes_words (rowid, name_words, title, more_words, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.statement(sql, (id, name_words, title, more_words, body)).map(drop)
    }

    /// Removes row `id` from its index, as long as its text is the indexed one.
    pub(super) fn unindex(&self, id: i64) -> rusqlite::Result<()> {
        if self.indexing == IndexMode::ByTriggers {
            return Ok(());
        }
        if self.is_in_old_index(id)? {
            self.statement("DELETE FROM nodes_fts WHERE rowid = ?1", [id]).map(drop)
        } else {
            self.unindex_words(id)
        }
    }

    /// Removes row `id` from the index, before it gets another text. In the index of older readers it stays: a search
    /// passes over it there, and [`Self::clear_old_index`] removes all at once, which costs much less.
    pub(super) fn unindex_for_update(&self, id: i64) -> rusqlite::Result<()> {
        if self.indexing == IndexMode::ByTriggers || self.is_in_old_index(id)? {
            return Ok(());
        }
        self.unindex_words(id)
    }

    fn unindex_words(&self, id: i64) -> rusqlite::Result<()> {
        self.statement("DELETE FROM nodes_words WHERE rowid = ?1", [id]).map(drop)
    }

    fn is_in_old_index(&self, id: i64) -> rusqlite::Result<bool> {
        let mut select =
            self.connection.prepare_cached("SELECT name_words IS NULL FROM nodes WHERE id = ?1")?;
        Ok(select.query_row([id], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    /// Clears the index of older readers once no document is in it; `None` if there is nothing to clear. It takes about
    /// 4 ms for each 1,000 documents.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the transaction fails.
    pub fn clear_old_index(&mut self) -> Result<Option<TransactionCost>, StoreError> {
        let has_entries = "SELECT 1 FROM nodes_fts_docsize LIMIT 1";
        let has_documents = "SELECT 1 FROM nodes WHERE name_words IS NULL LIMIT 1";
        let exists = |sql: &str| self.connection.prepare_cached(sql)?.exists([]);
        let read = |sql: &str| {
            patiently(&self.patience, || exists(sql))
                .map_err(|failure| failure.into_error(&self.path, "read"))
        };
        if !read(has_entries)?.0 || read(has_documents)?.0 {
            return Ok(None);
        }
        let begun = self.begin()?;
        let cleared = exists(has_documents).and_then(|is_needed| {
            let sql = "INSERT INTO nodes_fts (nodes_fts) VALUES ('delete-all')";
            if is_needed { Ok(0) } else { self.statement(sql, []) }
        });
        match cleared {
            Ok(_) => self.commit(&begun).map(Some),
            Err(error) => Err(self.give_up(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::migrations;

    #[test]
    fn a_trigger_of_others_on_any_table_that_a_run_writes_is_kept() {
        for table in ["nodes", "edges", "nodes_vectors", "nodes_sections", "nodes_files"] {
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
