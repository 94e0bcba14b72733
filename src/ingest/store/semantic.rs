//! Edges of kind `semantic`: from a document to the ones with the nearest vectors.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rusqlite::params;

use super::{
    DocumentStore, StoreError,
    patience::patiently,
    vectors::{BATCH, StoredVectors},
};
use crate::ingest::embed::nearest::{ModelVectors, NearestRows};

impl DocumentStore {
    /// All vectors of `model` that match the current text of their document, in any folder.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn vectors(&self, model: &str) -> Result<ModelVectors, StoreError> {
        let sql = "SELECT nodes_vectors.node, nodes_vectors.nearest_from, nodes_vectors.vector
             FROM nodes_vectors JOIN nodes ON nodes.id = nodes_vectors.node AND nodes.hash = nodes_vectors.hash
             WHERE nodes_vectors.model = ?1";
        let (vectors, _) = patiently(&self.patience, || {
            let mut vectors = ModelVectors::default();
            let mut select = self.connection.prepare_cached(sql)?;
            let mut rows = select.query([model])?;
            while let Some(row) = rows.next()? {
                vectors.push(row.get(0)?, row.get(1)?, row.get_ref(2)?.as_blob()?);
            }
            Ok(vectors)
        })
        .map_err(|failure| failure.into_error(&self.path, "read"))?;
        Ok(vectors)
    }

    /// The existing edges to near documents: source row, and target row, or `None` if the target was deleted.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn semantic_edges(&self) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        let sql = "SELECT source, target_node FROM edges WHERE kind = 'semantic'";
        let (edges, _) = patiently(&self.patience, || {
            let mut select = self.connection.prepare_cached(sql)?;
            let edges = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            edges.collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(|failure| failure.into_error(&self.path, "read"))?;
        Ok(edges)
    }

    /// Writes edges from the front of `queue` in one transaction, and starts no further document after `most`: by
    /// vectors of `model`, from the similarity `from` on.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the transaction fails; nothing of it is written then.
    pub fn write_nearest(
        &mut self,
        model: &str,
        from: f32,
        queue: &mut VecDeque<NearestRows>,
        most: Duration,
    ) -> Result<StoredVectors, StoreError> {
        let begun = self.begin()?;
        let under_lock = Instant::now();
        let mut stored = StoredVectors::default();
        for nearest in queue.iter().take(BATCH) {
            match self.write_edges(model, from, nearest) {
                Ok(changed) => stored.edges += changed as u64,
                Err(error) => return Err(self.give_up(error)),
            }
            stored.files += 1;
            if under_lock.elapsed() >= most {
                break;
            }
        }
        stored.cost = self.commit(&begun)?;
        queue.drain(..usize::try_from(stored.files).unwrap_or_default());
        Ok(stored)
    }

    fn write_edges(
        &self,
        model: &str,
        from: f32,
        NearestRows { id, to }: &NearestRows,
    ) -> rusqlite::Result<usize> {
        let mut changed =
            self.statement("DELETE FROM edges WHERE source = ?1 AND kind = 'semantic'", [id])?;
        for target in to {
            // Either may have been deleted since the vectors were read.
            changed += self.statement(
                "INSERT OR IGNORE INTO edges (source, kind, target, target_node)
                 SELECT ?1, 'semantic', path, id FROM nodes
                 WHERE id = ?2 AND EXISTS (SELECT 1 FROM nodes WHERE id = ?1)",
                params![id, target],
            )?;
        }
        // There is one set of such edges: those of another model are deleted.
        self.statement(
            "UPDATE nodes_vectors SET nearest_from = CASE model WHEN ?2 THEN ?3 END WHERE node = ?1",
            params![id, model, f64::from(from)],
        )?;
        Ok(changed)
    }
}
