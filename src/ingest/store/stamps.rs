//! New stamps for documents whose files were touched, and whose content matches the database.

use std::{collections::VecDeque, time::Duration};

use rusqlite::params;

use super::{BatchLimit, DocumentStore, LockPatience, StoreError, TransactionCost};
use crate::ingest::{
    discover::FileStamp,
    parse::{ContentHash, READER_VERSION},
};

/// How long to wait for the write lock: a stamp that is not written only makes the next run read the file.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest document, in bytes, whose stamp is updated. SQLite reads a whole row to change a part of it, which takes
/// 3 ms under the lock per MB. Reading the few longer files again, without the lock, is better.
pub const LONGEST: u64 = 4 << 20;

/// A document whose file has the same content as in the database, and another stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TouchedDocument {
    pub id: i64,
    /// Hash of its bytes.
    pub hash: ContentHash,
    /// The stamp of its file when these bytes were read.
    pub stamp: FileStamp,
}

impl DocumentStore {
    /// Updates the stamps of documents from the front of `touched` in one transaction, as many as `limit` allows;
    /// returns how many. A row with another content by now belongs to a newer run, and stays.
    ///
    /// A stamp has the same eight bytes as the one before, except for times near 1970. SQLite overwrites a row of
    /// unchanged length in place; it reads the overflow pages of a long text, and writes none of them. The full-text
    /// index and its triggers are not involved.
    ///
    /// # Errors
    ///
    /// The lock is not available soon, or the transaction fails; nothing of it is written then.
    pub fn restamp(
        &mut self,
        touched: &mut VecDeque<TouchedDocument>,
        limit: BatchLimit,
    ) -> Result<(u64, TransactionCost), StoreError> {
        let budget = self.patience.budget.min(PATIENCE);
        let mut begun = self.begin_within(&LockPatience { budget, ..self.patience.clone() })?;
        let mut files = 0;
        for document in &*touched {
            let bytes = document.stamp.bytes;
            if begun.is_over(files, bytes, limit) {
                break;
            }
            if let Err(error) = self.restamp_one(document) {
                return Err(self.give_up(error));
            }
            begun.bytes += bytes;
            files += 1;
        }
        begun.rows = begun.since.elapsed();
        let cost = self.commit(&begun)?;
        touched.drain(..files);
        Ok((files as u64, cost))
    }

    fn restamp_one(&self, document: &TouchedDocument) -> rusqlite::Result<()> {
        let TouchedDocument { id, hash, stamp } = document;
        let bytes = i64::try_from(stamp.bytes).unwrap_or(i64::MAX);
        // A file that was renamed keeps its time, and its long row is left alone.
        let of_node = "UPDATE nodes SET bytes = ?1, modified_ns = ?2
             WHERE id = ?3 AND hash = ?4 AND (bytes IS NOT ?1 OR modified_ns IS NOT ?2)";
        self.statement(of_node, params![bytes, stamp.modified_ns, id, hash])?;
        let of_file = "INSERT OR REPLACE INTO nodes_files (node, changed_ns, inode, reader)
             SELECT id, ?1, ?2, ?3 FROM nodes WHERE id = ?4 AND hash = ?5";
        self.statement(of_file, params![stamp.changed_ns, stamp.inode, READER_VERSION, id, hash]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::{super::WaitListener, *};
    use crate::{config::profile::Profile, ingest::StopFlag};

    #[test]
    fn a_row_with_another_content_by_now_keeps_its_stamp() {
        let dir = TempDir::new().expect("a folder");
        let budget = Duration::from_secs(9);
        let patience = LockPatience { budget, stop: StopFlag::default(), long_wait: WaitListener::default() };
        let mut store = DocumentStore::open(&dir.path().join("x.db"), &[], patience, &Profile::hardened())
            .expect("a database");
        store.set_up().expect("tables");
        for (id, hash) in [(1, [1_u8; 32]), (2, [2; 32])] {
            let sql = "INSERT INTO nodes (id, path, folder, title, kind, bytes, modified_ns, hash, ingested_at, body)
                       VALUES (?1, ?1, 'f', 't', 'document', 4, 5, ?2, '', 'text')";
            store.connection.execute(sql, params![id, hash]).expect("a row");
        }
        let stamp = FileStamp { bytes: 4, modified_ns: 6, changed_ns: 7, inode: 8 };
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
        let sql = "SELECT group_concat(node || ' ' || changed_ns || ' ' || inode) FROM nodes_files";
        let files: String = store.connection.query_row(sql, [], |row| row.get(0)).expect("one");
        assert_eq!(files, "1 7 8");
    }
}
