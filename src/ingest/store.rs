//! Documents into rows: one short transaction a batch, and nothing in it but prepared statements.

mod index;
pub mod nearest;
mod patience;
mod place;
mod relief;
mod rows;
pub mod search;
mod semantic;
pub mod stamps;
pub mod vectors;
mod writing;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use self::{
    index::{IndexMode, IndexSegments},
    patience::patiently,
    place::DatabasePlace,
    relief::LogMover,
};
pub use self::{patience::LockPatience, relief::PinnedLog};
use super::{
    batch::BatchLimit,
    discover::{FileStamp, IngestFolder},
    names::DocumentNames,
    parse::{ContentHash, ParsedDocument},
};
use crate::{
    config::profile::Profile,
    database::{factory, holder::BlockingProcess, migrations},
    paths::FileId,
    snapshot::FailedFile,
    state::journal::RecordedCost,
    units::milliseconds,
};

/// Bytes of documents that say little yet of what one of another size will take.
const FEW: u64 = 16 << 10;

/// Page cache of the writer, in KiB: what a batch changes is not written twice, and merges read little anew.
const CACHE: i64 = 16 << 10;

/// The database as a run sees it.
#[derive(Debug)]
pub struct DocumentStore {
    // First, so that it is dropped before the writer's connection.
    mover: LogMover,
    connection: Connection,
    path: PathBuf,
    place: DatabasePlace,
    patience: LockPatience,
    folders: Vec<String>,
    names: Vec<DocumentNames>,
    indexing: IndexMode,
    segments: IndexSegments,
}

/// A document that the database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDocument {
    pub id: i64,
    /// Name of the folder that it was taken in with.
    pub folder: String,
    /// Size and time of change when it was taken in.
    pub stamp: FileStamp,
    /// Hash of its bytes.
    pub hash: ContentHash,
}

/// What a transaction cost others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionCost {
    /// From asking for the write lock to having it.
    pub wait: Duration,
    /// From having it to having committed.
    pub hold: Duration,
    /// The part of that until the last document was in, and what was left was to settle and to commit.
    pub rows: Duration,
    /// How often it was refused.
    pub retries: u64,
}

impl From<TransactionCost> for RecordedCost {
    fn from(cost: TransactionCost) -> Self {
        Self { wait_ms: milliseconds(cost.wait), hold_ms: milliseconds(cost.hold), retries: cost.retries }
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct BatchResult {
    /// The documents that are in.
    pub taken_in: u64,
    pub bytes: u64,
    /// The ones that the database would not have.
    pub failed: Vec<FailedFile>,
    /// What was left out of the ones that are in.
    pub warned: Vec<FailedFile>,
    pub cost: TransactionCost,
}

/// Why the database could not be worked with. What was committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be opened or set up.
    #[error(transparent)]
    Open(#[from] factory::OpenError),
    #[error("{path} stayed locked for {seconds} s{}, then run this again to carry on", by(holder.as_ref(), path))]
    Busy {
        path: String,
        /// For how long it was tried.
        seconds: f64,
        /// Who had the lock in the end, where the kernel says so.
        holder: Option<BlockingProcess>,
    },
    /// Readers keep its log from beginning anew, and it is as large as it may be.
    #[error(
        "{pinned}, and kept it from restarting for {seconds} s: end the reader of {path}, then run this again to resume"
    )]
    Pinned {
        path: String,
        /// The log, and who reads from it.
        pinned: PinnedLog,
        /// For how long it was tried.
        seconds: f64,
    },
    /// What is at its path is not what is open.
    #[error(
        "{path} or its -wal was replaced or removed meanwhile, so nothing more was written: move away what \
         belongs to the old file ({path}-wal, {path}-shm), then run this again"
    )]
    Replaced { path: String },
    /// There is no room for it.
    #[error(
        "no room on the disk of {path} to {doing} it: what was committed stays; make room, then run this again to carry on"
    )]
    Full {
        /// What was being done, as in "write to".
        doing: &'static str,
        path: String,
    },
    /// The run was asked to end while it waited.
    #[error("asked to stop while waiting for the write lock")]
    Stopped,
    /// SQLite failed.
    #[error("cannot {doing} {path}: {source}; what was committed stays, run this again to carry on")]
    Sqlite {
        /// What was being done, as in "write to".
        doing: &'static str,
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// What `source`, which SQLite said while `doing` something to `path`, means.
    fn of(doing: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        let path = path.display().to_string();
        let extended = source.sqlite_error().map(|error| error.extended_code);
        // Without room for -shm it speaks of an error of the disk.
        let is_full = source.sqlite_error_code() == Some(ErrorCode::DiskFull)
            || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
        if is_full { Self::Full { doing, path } } else { Self::Sqlite { doing, path, source } }
    }
}

/// Who kept it locked and what to do, as the middle of a sentence.
fn by(holder: Option<&BlockingProcess>, path: &str) -> String {
    match holder {
        Some(holder) => format!(" by {holder}: wait for it to end, or stop it"),
        None => format!(": see which process with `waltop status {path}`"),
    }
}

impl DocumentStore {
    /// Opens `path`, which may be new, as `profile` asks. One whose tables are not ours is refused as it is.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, or is not ours to write to.
    pub fn open(
        path: &Path,
        folders: &[IngestFolder],
        patience: LockPatience,
        profile: &Profile,
    ) -> Result<Self, StoreError> {
        let before = FileId::at(path);
        let connection = factory::open(path, true, profile)?;
        migrations::refuse_foreign(&connection, path).map_err(factory::OpenError::from)?;
        let path = connection.path().map_or_else(|| path.to_owned(), PathBuf::from);
        let store = Self {
            mover: LogMover::new(profile.clone()),
            connection,
            place: DatabasePlace::of(&path, before),
            path,
            patience,
            folders: folders.iter().map(|folder| folder.name.clone()).collect(),
            names: folders.iter().map(|folder| DocumentNames::new(folder.prefix())).collect(),
            indexing: IndexMode::ByTriggers,
            segments: IndexSegments::default(),
        };
        let say = |source| store.error("set up", source);
        // Waiting is done here, with jitter and an ear for being stopped, and counted.
        store.connection.busy_timeout(Duration::ZERO).map_err(say)?;
        // The edges and vectors of a document that goes have to go with it, whatever the profile says: another one
        // may get its row's number.
        store.connection.pragma_update(None, "foreign_keys", true).map_err(say)?;
        // Moving the log is done between batches, not in a commit.
        store.connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(say)?;
        store.connection.set_prepared_statement_cache_capacity(64);
        Ok(store)
    }

    /// Brings the tables up to date, waiting for the write lock where they are not; how often it was refused.
    ///
    /// # Errors
    ///
    /// Where the lock cannot be had, or the tables cannot be made.
    pub fn set_up(&mut self) -> Result<u64, StoreError> {
        let ((), migrating) = patiently(&self.patience, || migrations::migrate(&mut self.connection))
            .map_err(|failure| failure.or(&self.path, |error| factory::OpenError::from(error).into()))?;
        let (indexing, choosing) = patiently(&self.patience, || IndexMode::choose(&self.connection))
            .map_err(|failure| failure.into_error(&self.path, "set up"))?;
        self.indexing = indexing;
        Ok(migrating + choosing)
    }

    /// Absolute path of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The documents that the database has of the folders, by name.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    pub fn known(&mut self) -> Result<HashMap<String, KnownDocument>, StoreError> {
        let mut all = HashMap::new();
        for names in &self.names {
            let (known, _) =
                patiently(&self.patience, || rows::known_under(&self.connection, names.prefix()))
                    .map_err(|failure| failure.into_error(&self.path, "read"))?;
            all.extend(known);
        }
        Ok(all)
    }

    /// Gets ready to write: learns which documents and which wikilinks there are, on which it hangs what a link means.
    /// A run with nothing to write is quicker without.
    ///
    /// # Errors
    ///
    /// Where the links cannot be read.
    pub fn prepare(&mut self, known: &HashMap<String, KnownDocument>) -> Result<(), StoreError> {
        for (names, folder) in self.names.iter_mut().zip(&self.folders) {
            let prefix = names.prefix().to_owned();
            for (name, known) in known.iter().filter(|(name, _)| name.starts_with(&prefix)) {
                names.insert(name, known.id);
            }
            let (links, _) = patiently(&self.patience, || rows::wikilinks(&self.connection, folder, names))
                .map_err(|failure| failure.into_error(&self.path, "read"))?;
            for (source, edge) in links {
                names.want(source, edge);
            }
        }
        self.connection.pragma_update(None, "cache_size", -CACHE).map_err(|error| self.error("set up", error))
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.begin_within(&self.patience)
    }

    fn begin_within(&self, patience: &LockPatience) -> Result<WriteTransaction, StoreError> {
        let asked = Instant::now();
        let (since, retries) = patiently(patience, || {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            Ok(Instant::now())
        })
        .map_err(|failure| failure.into_error(&self.path, "write to"))?;
        self.expect_in_place()?;
        Ok(WriteTransaction { wait: since - asked, since, retries, rows: Duration::ZERO, bytes: 0 })
    }

    /// Leaves everything as it is where what is open is no longer what is at the database's path: what is written there
    /// nobody would find.
    fn expect_in_place(&self) -> Result<(), StoreError> {
        if self.place.is_unchanged() {
            return Ok(());
        }
        self.roll_back();
        // The close moves nothing into the main file, and removes nothing by a name that may be another file's now.
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        Err(StoreError::Replaced { path: self.path.display().to_string() })
    }

    fn commit(&self, begun: &WriteTransaction) -> Result<TransactionCost, StoreError> {
        // In a database that could not be switched to WAL, readers can keep a commit waiting; it stays open then.
        let committed = patiently(&self.patience, || self.connection.prepare_cached("COMMIT")?.execute([]));
        match committed {
            Ok((_, retries)) => Ok(begun.cost(retries)),
            Err(failure) => {
                self.roll_back();
                Err(failure.into_error(&self.path, "write to"))
            }
        }
    }

    fn give_up(&self, error: rusqlite::Error) -> StoreError {
        self.roll_back();
        self.error("write to", error)
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // The connection is closed next, which rolls back as well.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Whether no other document of the batch would fare better, or the transaction is already gone.
    fn is_fatal(&self, error: &rusqlite::Error) -> bool {
        use ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, FileLockingProtocolFailed,
            NotADatabase, OutOfMemory, ReadOnly, SystemIoFailure,
        };
        let hopeless = [
            CannotOpen,
            DatabaseBusy,
            DatabaseCorrupt,
            DatabaseLocked,
            DiskFull,
            FileLockingProtocolFailed,
            NotADatabase,
            OutOfMemory,
            ReadOnly,
            SystemIoFailure,
        ];
        self.connection.is_autocommit()
            || error.sqlite_error_code().is_some_and(|code| hopeless.contains(&code))
    }

    fn error(&self, doing: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::of(doing, &self.path, source)
    }
}

/// A transaction that holds the write lock.
struct WriteTransaction {
    wait: Duration,
    since: Instant,
    retries: u64,
    /// Until the last document was in.
    rows: Duration,
    /// Of the documents that are in.
    bytes: u64,
}

impl WriteTransaction {
    /// Whether a transaction with `files` in it has enough, so that one of `bytes` more would take too long.
    fn is_over(&self, files: usize, bytes: u64, limit: BatchLimit) -> bool {
        let is_late = |most: Duration| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let growth = bytes as f64 / (self.bytes + FEW) as f64;
            self.since.elapsed().mul_f64(1.0 + growth) >= most
        };
        files >= limit.files || files > 0 && limit.hold.is_some_and(is_late)
    }

    /// What it cost until now, with `retries` after it had begun.
    fn cost(&self, retries: u64) -> TransactionCost {
        TransactionCost {
            wait: self.wait,
            hold: self.since.elapsed(),
            rows: self.rows,
            retries: self.retries + retries,
        }
    }
}

impl TransactionCost {
    /// Of two transactions as of one: others waited for either, but not for both at a time.
    fn after(self, before: Self) -> Self {
        Self {
            wait: self.wait.max(before.wait),
            hold: self.hold.max(before.hold),
            rows: self.rows,
            retries: self.retries + before.retries,
        }
    }
}
