//! A batch in one transaction: inserts or deletes documents, all together, and one by one only if that failed.

use std::collections::VecDeque;

use super::{
    BatchLimit, BatchResult, DocumentStore, ParsedDocument, StoreError, TransactionCost, rows::RowPosition,
};
use crate::snapshot::FailedFile;

/// How many documents were tried, the positions of the rejected ones, and the cost.
type SplitBatch = (usize, Vec<(usize, rusqlite::Error)>, TransactionCost);

impl DocumentStore {
    /// Writes documents from the front of `queue` in one transaction, as many as `limit` allows. Documents that the
    /// database rejects are reported; the others are written.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the transaction fails; nothing of it is written then.
    pub fn write(
        &mut self,
        queue: &mut VecDeque<ParsedDocument>,
        limit: BatchLimit,
    ) -> Result<BatchResult, StoreError> {
        let (files, refused, cost) = match self.write_together(queue, limit)? {
            (Some(files), cost) => (files, Vec::new(), cost),
            (None, spent) => {
                let (files, refused, cost) = self.write_apart(queue, limit)?;
                (files, refused, cost.after(spent))
            }
        };
        self.segments.left();
        let mut written = BatchResult { cost, ..BatchResult::default() };
        let mut refused = refused.into_iter().peekable();
        for (index, document) in queue.drain(..files).enumerate() {
            let path = document.file.display().to_string();
            if let Some((_, error)) = refused.next_if(|(place, _)| *place == index) {
                let reason = format!("the database refused it: {error}");
                written.failed.push(FailedFile { path, reason });
                continue;
            }
            written.ingested += 1;
            written.bytes += document.stamp.bytes;
            let warned = document.warnings.into_iter();
            written.warned.extend(warned.map(|reason| FailedFile { path: path.clone(), reason }));
            written.first.get_or_insert(path);
        }
        Ok(written)
    }

    /// How many documents it wrote, all at once; `None` if the database rejected one, and nothing was written.
    fn write_together(
        &mut self,
        queue: &VecDeque<ParsedDocument>,
        limit: BatchLimit,
    ) -> Result<(Option<usize>, TransactionCost), StoreError> {
        let mut begun = self.begin()?;
        let mut rows: Vec<RowPosition> = Vec::new();
        let mut refused = None;
        for document in queue {
            if begun.is_over(rows.len(), document.stamp.bytes, limit) {
                break;
            }
            match self.upsert(document) {
                Ok(row) => {
                    rows.push(row);
                    begun.bytes += document.stamp.bytes;
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        begun.rows = begun.since.elapsed();
        let mut fresh = queue.iter().zip(&rows).filter(|(_, row)| row.is_fresh);
        let refused =
            refused.or_else(|| fresh.find_map(|(it, row)| self.point_links_at(&it.name, Some(row.id)).err()));
        match refused {
            None => Ok((Some(rows.len()), self.commit(&begun)?)),
            Some(error) if self.is_fatal(&error) => Err(self.give_up(error)),
            Some(_) => {
                queue.iter().zip(rows).for_each(|(document, row)| self.remove_cached(&document.name, row));
                self.roll_back();
                Ok((None, begun.cost(0)))
            }
        }
    }

    /// How many documents it wrote, each in a separate savepoint, and the positions of the rejected ones.
    fn write_apart(
        &mut self,
        queue: &VecDeque<ParsedDocument>,
        limit: BatchLimit,
    ) -> Result<SplitBatch, StoreError> {
        let mut begun = self.begin()?;
        let (mut files, mut refused) = (0, Vec::new());
        for document in queue {
            if begun.is_over(files, 0, limit) {
                break;
            }
            match self.in_savepoint(document) {
                Ok(()) => {}
                Err(error) if self.is_fatal(&error) => return Err(self.give_up(error)),
                Err(error) => refused.push((files, error)),
            }
            files += 1;
        }
        begun.rows = begun.since.elapsed();
        Ok((files, refused, self.commit(&begun)?))
    }

    fn in_savepoint(&mut self, document: &ParsedDocument) -> rusqlite::Result<()> {
        self.statement("SAVEPOINT document", [])?;
        let written = self.upsert(document).and_then(|row| {
            let pointed =
                if row.is_fresh { self.point_links_at(&document.name, Some(row.id)) } else { Ok(()) };
            pointed.inspect_err(|_| self.remove_cached(&document.name, row))
        });
        match written {
            Ok(()) => self.statement("RELEASE document", []).map(drop),
            Err(error) => {
                // If SQLite has rolled everything back, the savepoint is gone; the caller checks for that.
                if !self.connection.is_autocommit() {
                    self.statement("ROLLBACK TO document", [])?;
                    self.statement("RELEASE document", [])?;
                }
                Err(error)
            }
        }
    }

    /// Deletes documents from the front of `gone` in one transaction, as many as `limit` allows; returns how many.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the transaction fails; nothing is deleted then.
    pub fn remove(
        &mut self,
        gone: &mut VecDeque<(String, i64)>,
        limit: BatchLimit,
    ) -> Result<(u64, TransactionCost), StoreError> {
        let mut begun = self.begin()?;
        let mut going = Vec::new();
        while !begun.is_over(going.len(), 0, limit) {
            let Some((name, id)) = gone.pop_front() else { break };
            // Another run may have deleted it meanwhile, and the row may be another document's.
            let unindexed = match self.row_of(&name) {
                Ok(row) if row == Some(id) => self.unindex(id),
                other => other.map(drop),
            };
            if let Err(error) = unindexed {
                return Err(self.give_up(error));
            }
            going.push((name, id));
        }
        begun.rows = begun.since.elapsed();
        for (name, id) in &going {
            self.names.iter_mut().for_each(|names| names.remove(name, *id));
            if let Err(error) = self.delete(name, *id) {
                return Err(self.give_up(error));
            }
        }
        Ok((going.len() as u64, self.commit(&begun)?))
    }
}
