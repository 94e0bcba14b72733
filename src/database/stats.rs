//! Content and size of a database; asking leaves nothing behind on disk.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::{migrations, pragmas};
use crate::{
    config::profile::Profile,
    snapshot::{EdgeKind, Presence},
};

#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct DatabaseStats {
    pub page_size: u64,
    /// Pages, those in the log included.
    pub pages: u64,
    /// Pages without content.
    pub free_pages: u64,
    /// Documents that were ingested into it; `None` if none ever was.
    pub documents: Option<DocumentStats>,
}

#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct DocumentStats {
    pub nodes: u64,
    pub edges: BTreeMap<String, u64>,
    /// Links, wikilinks and relations whose document was not ingested. Tags and addresses are not counted.
    pub unresolved_edges: u64,
    /// Vectors by model; `None` if there is no table for them.
    pub embeddings: Option<BTreeMap<String, u64>>,
    /// Bytes of the full-text index, without the text itself.
    pub full_text_bytes: u64,
    /// The full-text indexes that may have documents.
    #[serde(skip)]
    pub word_indexes: Vec<WordIndex>,
}

/// A full-text index of waltop's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordIndex {
    /// The one of older versions, which holds the documents that were not read again since.
    Old,
    Current,
}

impl WordIndex {
    const ALL: [Self; 2] = [Self::Old, Self::Current];

    const fn table(self) -> &'static str {
        match self {
            Self::Old => "nodes_fts",
            Self::Current => "nodes_words",
        }
    }
}

/// Reads the statistics of `path`. For a worker process; `presence` is its state just before.
///
/// # Errors
///
/// It would leave something behind, or the database could not be read.
pub fn read(
    path: &Path,
    profile: &Profile,
    presence: Presence,
) -> Result<DatabaseStats, pragmas::PragmaError> {
    pragmas::without_a_trace(path, profile, presence, |connection| {
        // All from the same snapshot.
        let moment = connection.unchecked_transaction()?;
        let figure = |name: &str| moment.pragma_query_value(None, name, |row| unsigned(row, 0));
        Ok(DatabaseStats {
            page_size: figure("page_size")?,
            pages: figure("page_count")?,
            free_pages: figure("freelist_count")?,
            documents: if has_waltop_tables(&moment)? { Some(documents(&moment)?) } else { None },
        })
    })
}

/// Whether waltop's tables exist: other programs have a table `nodes` too.
fn has_waltop_tables(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(connection.table_exists(None, migrations::TABLE)? && connection.table_exists(None, "nodes_fts")?)
}

fn documents(connection: &Connection) -> rusqlite::Result<DocumentStats> {
    let count = |sql: &str| connection.query_row(sql, [], |row| unsigned(row, 0));
    let has_embeddings = connection.table_exists(None, "nodes_vectors")?;
    let is_there = |index: &WordIndex| connection.table_exists(None, index.table());
    let mut word_indexes = Vec::new();
    let mut full_text_bytes = 0;
    for index in WordIndex::ALL {
        if is_there(&index)? {
            let has_documents = format!("SELECT 1 FROM {}_docsize LIMIT 1", index.table());
            if index == WordIndex::Current || connection.prepare(&has_documents)?.exists([])? {
                word_indexes.push(index);
            }
            full_text_bytes +=
                count(&format!("SELECT coalesce(sum(length(block)), 0) FROM {}_data", index.table()))?;
        }
    }
    let by_model = || by_name(connection, "SELECT model, count(*) FROM nodes_vectors GROUP BY model");
    Ok(DocumentStats {
        nodes: count("SELECT count(*) FROM nodes")?,
        edges: by_name(connection, "SELECT kind, count(*) FROM edges GROUP BY kind")?,
        unresolved_edges: count(&format!(
            "SELECT count(*) FROM edges WHERE target_node IS NULL AND kind NOT IN ({})",
            EdgeKind::sql_list(EdgeKind::WITHOUT_DOCUMENT.iter().chain([&EdgeKind::Semantic]))
        ))?,
        embeddings: has_embeddings.then(by_model).transpose()?,
        full_text_bytes,
        word_indexes,
    })
}

fn by_name(connection: &Connection, sql: &str) -> rusqlite::Result<BTreeMap<String, u64>> {
    connection.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, unsigned(row, 1)?)))?.collect()
}

/// Counts and sizes are never negative.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}
