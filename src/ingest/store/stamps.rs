//! New stamps for documents whose files were touched, and hold what the database has.

use std::{collections::VecDeque, time::Duration};

use rusqlite::params;

use super::{BatchLimit, DocumentStore, LockPatience, StoreError, TransactionCost};
use crate::ingest::{discover::FileStamp, parse::ContentHash};

/// How long the write lock is waited for: a stamp that is not written costs the next run a look into the file, no more.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most bytes of a document whose stamp is noted. All of a row is read where a part of it is changed, which takes 3 ms
/// under the lock for each MB; the few files that are longer are better read once more, without it.
pub const LONGEST: u64 = 4 << 20;

/// A document whose file has another stamp than the database, and the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TouchedDocument {
    pub id: i64,
    /// Hash of its bytes.
    pub hash: ContentHash,
    /// The stamp that its file had when these bytes were read.
    pub stamp: FileStamp,
}

impl DocumentStore {
    /// Notes the stamps of documents from the front of `touched` in one transaction, as many as `limit` allows; how many.
    /// Where a row has another content by now, another run knows better.
    ///
    /// A stamp has the same eight bytes as the one before, but for times near 1970. A row that stays as long as it is
    /// SQLite overwrites in place, and of the pages that a long text goes on in it reads all and writes none. Neither
    /// the full-text index nor its triggers have to do with it.
    ///
    /// # Errors
    ///
    /// Where the lock cannot be had soon or the transaction fails; nothing of it is in then.
    pub fn restamp(
        &mut self,
        touched: &mut VecDeque<TouchedDocument>,
        limit: BatchLimit,
    ) -> Result<(u64, TransactionCost), StoreError> {
        let budget = self.patience.budget.min(PATIENCE);
        let mut begun = self.begin_within(&LockPatience { budget, stop: self.patience.stop.clone() })?;
        let mut files = 0;
        for TouchedDocument { id, hash, stamp } in &*touched {
            if begun.is_over(files, stamp.bytes, limit) {
                break;
            }
            let bytes = i64::try_from(stamp.bytes).unwrap_or(i64::MAX);
            let sql = "UPDATE nodes SET bytes = ?1, modified_ns = ?2 WHERE id = ?3 AND hash = ?4";
            if let Err(error) = self.statement(sql, params![bytes, stamp.modified_ns, id, hash]) {
                return Err(self.give_up(error));
            }
            begun.bytes += stamp.bytes;
            files += 1;
        }
        begun.rows = begun.since.elapsed();
        let cost = self.commit(&begun)?;
        touched.drain(..files);
        Ok((files as u64, cost))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{config::profile::Profile, ingest::StopFlag};

    #[test]
    fn a_row_with_another_content_by_now_keeps_its_stamp() {
        let dir = TempDir::new().expect("a folder");
        let patience = LockPatience { budget: Duration::from_secs(9), stop: StopFlag::default() };
        let mut store = DocumentStore::open(&dir.path().join("x.db"), &[], patience, &Profile::hardened())
            .expect("a database");
        store.set_up().expect("tables");
        for (id, hash) in [(1, [1_u8; 32]), (2, [2; 32])] {
            let sql = "INSERT INTO nodes (id, path, folder, title, kind, bytes, modified_ns, hash, ingested_at, body)
                       VALUES (?1, ?1, 'f', 't', 'document', 4, 5, ?2, '', 'text')";
            store.connection.execute(sql, params![id, hash]).expect("a row");
        }
        let stamp = FileStamp { bytes: 4, modified_ns: 6 };
        let mut touched: VecDeque<TouchedDocument> =
            [1, 2].map(|id| TouchedDocument { id, hash: [1; 32], stamp }).into_iter().collect();
        let limit = BatchLimit { files: 9, hold: None };
        assert_eq!(store.restamp(&mut touched, limit).map(|(files, _)| files).ok(), Some(2));
        assert!(touched.is_empty());
        let stamp_of = |id: i64| -> i64 {
            let sql = "SELECT modified_ns FROM nodes WHERE id = ?1";
            store.connection.query_row(sql, [id], |row| row.get(0)).expect("it is there")
        };
        assert_eq!((stamp_of(1), stamp_of(2)), (6, 5));
    }
}
