//! Documents into rows: one short transaction per batch, with nothing in it but prepared statements.

mod by_name;
mod candidates;
mod conditions;
pub mod document;
mod error;
mod fusion;
pub mod hybrid;
mod index;
pub mod links;
pub mod nearest;
mod patience;
mod place;
mod relief;
mod rows;
pub mod search;
mod semantic;
mod snippet;
pub mod stamps;
pub mod vectors;
mod writing;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

pub use self::{
    error::StoreError,
    patience::{LockPatience, WaitListener},
    relief::PinnedLog,
};
use self::{
    index::{IndexMode, IndexSegments},
    patience::patiently,
    place::DatabasePlace,
    relief::LogMover,
};
use super::{
    batch::BatchLimit,
    discover::{FileStamp, IngestFolder},
    names::DocumentNames,
    parse::{ContentHash, Dialect, ParsedDocument},
};
use crate::{
    config::profile::Profile,
    database::{
        factory,
        migrations::{self, TableChange},
    },
    paths::FileId,
    snapshot::FailedFile,
    state::journal::RecordedCost,
    units::milliseconds,
};

/// Documents with fewer bytes say little about the time that one of another size takes.
const FEW: u64 = 16 << 10;

/// Page cache of the writer, in KiB: large enough that a batch does not write a page twice, and merges re-read little.
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
    /// Whether the documents of a folder may have aliases.
    has_aliases: bool,
    indexing: IndexMode,
    segments: IndexSegments,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDocument {
    pub id: i64,
    /// Name of the folder that it was ingested with.
    pub folder: String,
    /// That of its file at its ingestion.
    pub stamp: FileStamp,
    pub hash: ContentHash,
    /// Whether this version of the reader made its row.
    pub is_current: bool,
}

/// What a transaction cost other writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionCost {
    /// From requesting the write lock to getting it.
    pub wait: Duration,
    /// From getting it to the end of the commit.
    pub hold: Duration,
    /// The part of `hold` until the last document was in; the time after it went to finishing and committing.
    pub rows: Duration,
    /// How often the lock was refused.
    pub retries: u64,
}

impl From<TransactionCost> for RecordedCost {
    fn from(cost: TransactionCost) -> Self {
        Self { wait_ms: milliseconds(cost.wait), hold_ms: milliseconds(cost.hold), retries: cost.retries }
    }
}

#[derive(Debug, Default)]
pub struct BatchResult {
    /// Documents that were ingested.
    pub ingested: u64,
    /// The path of the first of them.
    pub first: Option<String>,
    pub bytes: u64,
    /// Documents that the database rejected.
    pub failed: Vec<FailedFile>,
    /// Parts that were left out of ingested documents.
    pub warned: Vec<FailedFile>,
    pub cost: TransactionCost,
}

/// What preparing the tables took.
#[derive(Debug)]
pub struct StoreSetUp {
    pub tables: TableChange,
    /// How long it waited for the write lock.
    pub wait: Duration,
    /// How often the lock was refused.
    pub retries: u64,
}

impl DocumentStore {
    /// Opens `path`, which may be new, with the settings of `profile`. Refuses and leaves unchanged a database whose
    /// tables are not waltop's.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is not waltop's to write to.
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
            has_aliases: folders.iter().any(|folder| Dialect::of(&folder.path) == Dialect::Logseq),
            indexing: IndexMode::ByTriggers,
            segments: IndexSegments::default(),
        };
        let say = |source| store.error("set up", source);
        // The store waits itself, with jitter, watches for a stop, and counts refusals.
        store.connection.busy_timeout(Duration::ZERO).map_err(say)?;
        // Edges and vectors of a deleted document have to go with it, whatever the profile says: another document may
        // get its row's number.
        store.connection.pragma_update(None, "foreign_keys", true).map_err(say)?;
        // The log is checkpointed between batches, not in a commit.
        store.connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(say)?;
        store.connection.set_prepared_statement_cache_capacity(64);
        Ok(store)
    }

    /// Migrates the tables, and waits for the write lock if they are out of date.
    ///
    /// # Errors
    ///
    /// The lock is unavailable, or the tables cannot be created.
    pub fn set_up(&mut self) -> Result<StoreSetUp, StoreError> {
        let begun = Instant::now();
        // The last attempt of each is no wait.
        let mut migrated = begun;
        let (tables, migrating) = patiently(&self.patience, || {
            migrated = Instant::now();
            migrations::migrate(&mut self.connection)
        })
        .map_err(|failure| failure.or(&self.path, |error| factory::OpenError::from(error).into()))?;
        let choice = Instant::now();
        let mut chosen = choice;
        let (indexing, choosing) = patiently(&self.patience, || {
            chosen = Instant::now();
            IndexMode::choose(&self.connection)
        })
        .map_err(|failure| failure.into_error(&self.path, "set up"))?;
        self.indexing = indexing;
        let wait = (migrated - begun) + (chosen - choice);
        Ok(StoreSetUp { tables, wait, retries: migrating + choosing })
    }

    /// Absolute path of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The documents of the folders in the database, by name.
    ///
    /// # Errors
    ///
    /// They cannot be read.
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

    /// Prepares for writing: reads which documents and wikilinks exist, because the meaning of a link depends on them.
    /// A run with nothing to write is faster without this.
    ///
    /// # Errors
    ///
    /// The links cannot be read.
    pub fn prepare(&mut self, known: &HashMap<String, KnownDocument>) -> Result<(), StoreError> {
        for (names, folder) in self.names.iter_mut().zip(&self.folders) {
            let prefix = names.prefix().to_owned();
            let mut sources = HashMap::new();
            for (name, known) in known.iter().filter(|(name, _)| name.starts_with(&prefix)) {
                names.insert(name, known.id);
                sources.insert(known.id, name);
            }
            let (links, _) = patiently(&self.patience, || rows::wikilinks(&self.connection, folder, names))
                .map_err(|failure| failure.into_error(&self.path, "read"))?;
            for (source, edge) in links {
                if let Some(from) = sources.get(&source) {
                    names.want(source, from, &edge);
                }
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

    /// Fails if the open files are no longer those at the database's path: no other process would see what is written
    /// to them.
    fn expect_in_place(&self) -> Result<(), StoreError> {
        if self.place.is_unchanged() {
            return Ok(());
        }
        self.roll_back();
        // The close then checkpoints nothing into the main file, and deletes nothing by a name that may be another
        // file's now.
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        Err(StoreError::Replaced { path: self.path.display().to_string() })
    }

    fn commit(&self, begun: &WriteTransaction) -> Result<TransactionCost, StoreError> {
        // In a database that could not be switched to WAL, readers can delay a commit; the transaction then stays open.
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

    /// Whether all other documents of the batch would fail too, or the transaction is already gone.
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
    /// Bytes of the documents that are in.
    bytes: u64,
}

impl WriteTransaction {
    /// Whether a transaction with `files` files is full, so that one of `bytes` more would take too long.
    fn is_over(&self, files: usize, bytes: u64, limit: BatchLimit) -> bool {
        let is_late = |most: Duration| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let growth = bytes as f64 / (self.bytes + FEW) as f64;
            self.since.elapsed().mul_f64(1.0 + growth) >= most
        };
        files >= limit.files || files > 0 && limit.hold.is_some_and(is_late)
    }

    /// Its cost so far, with `retries` refusals after it began.
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
    /// The cost of two transactions as one: others waited for each, but not for both at a time.
    fn after(self, before: Self) -> Self {
        Self {
            wait: self.wait.max(before.wait),
            hold: self.hold.max(before.hold),
            rows: self.rows,
            retries: self.retries + before.retries,
        }
    }
}
