//! The full-text index, kept in step by the run itself.
//!
//! The triggers of the tables do the same for whoever else writes. But a statement that fires a trigger, or stands
//! in a savepoint, makes FTS5 write what it has gathered as a segment of its own: one for each document, all of
//! which are merged later. Without them a transaction leaves one segment.

use rusqlite::{Connection, config::DbConfig};

use super::{Document, Store};

/// Who keeps the index in step while a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indexing {
    /// The run; no trigger fires for what it writes.
    ByRun,
    /// The triggers, since there are others on the tables that somebody wants to fire.
    ByTriggers,
}

/// The triggers of [`crate::database::migrations`], all of which only keep the index in step.
const OWN_TRIGGERS: &str = "'nodes_fts_insert', 'nodes_fts_delete', 'nodes_fts_update'";

impl Indexing {
    /// Has the run keep the index of `connection`'s database in step, where nobody would miss a trigger by that.
    pub(super) fn choose(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = format!(
            "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name NOT IN ({OWN_TRIGGERS})
             AND lower(tbl_name) IN ('nodes', 'edges')"
        );
        let is_alone = !connection.prepare(&sql)?.exists([])?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, !is_alone)?;
        Ok(if is_alone { Self::ByRun } else { Self::ByTriggers })
    }
}

impl Store {
    /// Makes `document`, which is in row `id`, be found.
    pub(super) fn index(&self, id: i64, document: &Document) -> rusqlite::Result<()> {
        if self.indexing == Indexing::ByTriggers {
            return Ok(());
        }
        let sql = "INSERT INTO nodes_fts (rowid, title, body) VALUES (?1, ?2, ?3)";
        self.statement(sql, (id, &document.title, &document.body)).map(drop)
    }

    /// Takes row `id` out of the index, as long as its text is what the index was made of.
    pub(super) fn unindex(&self, id: i64) -> rusqlite::Result<()> {
        if self.indexing == Indexing::ByTriggers {
            return Ok(());
        }
        self.statement("DELETE FROM nodes_fts WHERE rowid = ?1", [id]).map(drop)
    }
}
