//! Vectors of the documents: finds the missing ones and writes them, each batch in a short transaction.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rusqlite::{OptionalExtension, params};

use super::{DocumentStore, StoreError, TransactionCost, patience::patiently, rows::end_of};
use crate::ingest::{
    embed::{
        calls::WantedVector,
        sections::{self, TextKind},
        vector::{self, LONGEST},
    },
    parse::{ContentHash, has_markup},
};

/// Documents without a vector that are read at a time: memory use does not grow with their number.
const PAGE: i64 = 64;

/// Vectors in a transaction, those of its last document apart: about 200 KB.
pub const BATCH: usize = 64;

/// The documents in question that have no vector of the model for their current text, or one that an older version made
/// of the beginning alone.
const MISSING: &str =
    "FROM nodes LEFT JOIN nodes_vectors ON nodes_vectors.node = nodes.id AND nodes_vectors.model = ?1
    WHERE nodes.path > ?2 AND nodes.path < ?3 AND
        (nodes_vectors.node IS NULL OR nodes_vectors.hash <> nodes.hash OR nodes_vectors.sections IS NULL)";

/// The vectors of a document, ready to be written.
#[derive(Debug)]
pub struct EmbeddedDocument {
    id: i64,
    /// Hash of the embedded text.
    hash: ContentHash,
    /// Numbers in a vector.
    dimension: usize,
    /// That of the document, as the database stores it.
    whole: Vec<u8>,
    /// Those of its sections with their first byte; none if it is a single one.
    sections: Vec<(usize, Vec<u8>)>,
}

impl EmbeddedDocument {
    /// The document in row `id`, with the first byte of each of its sections and its vector; `None` without a section.
    pub fn new(id: i64, hash: ContentHash, sections: Vec<(usize, Vec<f32>)>) -> Option<Self> {
        let (starts, vectors): (Vec<usize>, Vec<Vec<f32>>) = sections.into_iter().unzip();
        let whole = vector::mean(&vectors)?;
        let is_single = vectors.len() == 1;
        let sections = starts.into_iter().zip(vectors.iter().map(|it| vector::to_bytes(it)));
        Some(Self {
            id,
            hash,
            dimension: whole.len(),
            whole: vector::to_bytes(&whole),
            sections: if is_single { Vec::new() } else { sections.collect() },
        })
    }

    /// How many vectors it has.
    pub fn vectors(&self) -> usize {
        self.sections.len() + 1
    }
}

/// How far documents have been listed.
#[derive(Debug, Default)]
pub struct ListPosition {
    folder: usize,
    after: String,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct StoredVectors {
    /// Vectors that were written; none for a document that has changed meanwhile.
    pub files: u64,
    pub bytes: u64,
    /// Edges that were added or removed.
    pub edges: u64,
    pub cost: TransactionCost,
}

impl DocumentStore {
    /// How many documents of the folders have no vector of `model` for their current text.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn count_unembedded(&self, model: &str) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) {MISSING}");
        let count = |prefix: &str| -> Result<u64, StoreError> {
            let count = patiently(&self.patience, || {
                let values = params![model, prefix, end_of(prefix)];
                self.connection.prepare_cached(&sql)?.query_row(values, |row| row.get::<_, i64>(0))
            });
            let (count, _) = count.map_err(|failure| failure.into_error(&self.path, "read"))?;
            Ok(count.try_into().unwrap_or_default())
        };
        self.prefixes().into_iter().map(count).sum()
    }

    /// The next of those documents from `place` on, each in sections of at most `chars` characters; empty at the end.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn unembedded(
        &self,
        model: &str,
        place: &mut ListPosition,
        chars: usize,
    ) -> Result<Vec<WantedVector>, StoreError> {
        let sql = format!(
            "SELECT nodes.id, nodes.path, nodes.hash, nodes.title, nodes.body {MISSING}
             ORDER BY nodes.path LIMIT {PAGE}"
        );
        let prefixes = self.prefixes();
        while let Some(&prefix) = prefixes.get(place.folder) {
            let after = if place.after.is_empty() { prefix } else { &*place.after };
            let page = patiently(&self.patience, || {
                let mut select = self.connection.prepare_cached(&sql)?;
                let rows = select.query_map(params![model, after, end_of(prefix)], |row| {
                    let name: String = row.get(1)?;
                    let kind = if has_markup(&name) { TextKind::Markdown } else { TextKind::Plain };
                    let (title, body) = (row.get_ref(3)?.as_str()?, row.get_ref(4)?.as_str()?);
                    let hash = row.get_ref(2)?.as_blob()?.try_into().unwrap_or_default();
                    let document = sections::cut(title, body, kind, chars);
                    Ok(WantedVector { id: row.get(0)?, name, hash, document })
                })?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            });
            let (page, _) = page.map_err(|failure| failure.into_error(&self.path, "read"))?;
            if let Some(last) = page.last() {
                place.after.clone_from(&last.name);
                return Ok(page);
            }
            *place = ListPosition { folder: place.folder + 1, after: String::new() };
        }
        Ok(Vec::new())
    }

    /// Length of a vector of `model`; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn dimension(&self, model: &str) -> Result<Option<usize>, StoreError> {
        let sql = "SELECT dimension FROM nodes_vectors WHERE model = ?1 LIMIT 1";
        let (dimension, _) = patiently(&self.patience, || {
            self.connection.prepare_cached(sql)?.query_row([model], |row| row.get::<_, i64>(0)).optional()
        })
        .map_err(|failure| failure.into_error(&self.path, "read"))?;
        Ok(dimension.map(|it| it.try_into().unwrap_or(LONGEST)))
    }

    /// Writes the vectors of documents from the front of `queue` in one transaction, and starts no further document after
    /// `most`, or after [`BATCH`] vectors.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the transaction fails; nothing of it is written then.
    pub fn write_vectors(
        &mut self,
        model: &str,
        queue: &mut VecDeque<EmbeddedDocument>,
        most: Duration,
    ) -> Result<StoredVectors, StoreError> {
        let begun = self.begin()?;
        let under_lock = Instant::now();
        let mut stored = StoredVectors::default();
        let mut done = 0;
        let mut vectors = 0;
        for document in &*queue {
            match self.write_embedded(model, document) {
                Ok(false) => {}
                Ok(true) => {
                    stored.files += 1;
                    stored.bytes += (document.vectors() * document.whole.len()) as u64;
                }
                Err(error) => return Err(self.give_up(error)),
            }
            done += 1;
            vectors += document.vectors();
            if under_lock.elapsed() >= most || vectors >= BATCH {
                break;
            }
        }
        stored.cost = self.commit(&begun)?;
        queue.drain(..done);
        Ok(stored)
    }

    /// Whether the vectors of `document` were written: those of one that has changed or was deleted meanwhile are not. It
    /// is listed again, or gone.
    fn write_embedded(&self, model: &str, document: &EmbeddedDocument) -> rusqlite::Result<bool> {
        let EmbeddedDocument { id, hash, dimension, whole, sections } = document;
        let dimension = i64::try_from(*dimension).unwrap_or_default();
        let count = i64::try_from(sections.len().max(1)).unwrap_or_default();
        let sql = "INSERT INTO nodes_vectors (node, model, dimension, hash, vector, sections)
             SELECT id, ?2, ?3, hash, ?4, ?6 FROM nodes WHERE id = ?1 AND hash = ?5
             ON CONFLICT (node, model) DO UPDATE SET dimension = excluded.dimension, hash = excluded.hash,
                 vector = excluded.vector, sections = excluded.sections, nearest_from = NULL";
        if self.statement(sql, params![id, model, dimension, whole, hash, count])? == 0 {
            return Ok(false);
        }
        self.statement("DELETE FROM nodes_sections WHERE node = ?1 AND model = ?2", params![id, model])?;
        let sql = "INSERT INTO nodes_sections (node, model, start, vector) VALUES (?1, ?2, ?3, ?4)";
        for (start, vector) in sections {
            let start = i64::try_from(*start).unwrap_or_default();
            self.statement(sql, params![id, model, start, vector])?;
        }
        Ok(true)
    }

    /// Discards some of the vectors of `model`, in any folder; returns how many. Stops after `most`.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the transaction fails; nothing is discarded then.
    pub fn discard_vectors(&mut self, model: &str, most: Duration) -> Result<StoredVectors, StoreError> {
        let sql = "DELETE FROM nodes_vectors WHERE rowid IN (SELECT rowid FROM nodes_vectors WHERE model = ?1 LIMIT ?2)";
        let begun = self.begin()?;
        let under_lock = Instant::now();
        let mut files = 0;
        loop {
            match self.statement(sql, params![model, PAGE]) {
                Ok(0) => break,
                Ok(gone) => files += gone as u64,
                Err(error) => return Err(self.give_up(error)),
            }
            if under_lock.elapsed() >= most {
                break;
            }
        }
        Ok(StoredVectors { files, cost: self.commit(&begun)?, ..StoredVectors::default() })
    }

    /// Name prefixes of the folders' documents, each once if one folder is in another.
    fn prefixes(&self) -> Vec<&str> {
        let all: Vec<&str> = self.names.iter().map(super::DocumentNames::prefix).collect();
        let is_within =
            |inner: &str| all.iter().any(|outer| outer.len() < inner.len() && inner.starts_with(outer));
        all.iter().copied().filter(|prefix| !is_within(prefix)).collect()
    }
}
