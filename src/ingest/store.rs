//! Documents into rows: one short transaction a batch, and nothing in it but prepared statements.

pub mod search;

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::{
    batch::Limit,
    discover::{EXTENSIONS, Folder, Stamp},
    names::Names,
    parse::{Document, Edge, Hash},
    stop::StopFlag,
};
use crate::{
    database::{factory, migrations},
    snapshot::FailedFile,
};

/// Frames that may wait in the log before they are moved, between batches: `SQLite`'s own default.
const CHECKPOINT_AT: i64 = 1000;

/// The longest pause between two tries to get the write lock.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The database as a run sees it.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    patience: Patience,
    folders: Vec<String>,
    names: Vec<Names>,
    wikilinks_known: bool,
}

/// How long to try for a lock.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Until then.
    pub budget: Duration,
    /// Or until this is raised.
    pub stop: StopFlag,
}

/// A document that the database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its row.
    pub id: i64,
    /// Name of the folder that it was taken in with.
    pub folder: String,
    /// Size and time of change when it was taken in.
    pub stamp: Stamp,
    /// Hash of its bytes.
    pub hash: Hash,
}

/// What a transaction cost others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// From asking for the write lock to having it.
    pub wait: Duration,
    /// From having it to having committed.
    pub hold: Duration,
    /// How often it was refused.
    pub retries: u64,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Written {
    /// The documents that are in.
    pub taken_in: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// The ones that the database would not have.
    pub failed: Vec<FailedFile>,
    /// What was left out of the ones that are in.
    pub warned: Vec<FailedFile>,
    /// What it cost.
    pub cost: Cost,
}

/// Why the database could not be worked with. What was committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be opened or set up.
    #[error(transparent)]
    Open(#[from] factory::Error),
    /// Others kept the lock.
    #[error(
        "{path} stayed locked for {seconds} s: see by whom with `waltop status {path}`, then run this again to carry on"
    )]
    Busy {
        /// The database.
        path: String,
        /// How long it was tried.
        seconds: f64,
    },
    /// The run was asked to end while it waited.
    #[error("asked to stop while waiting for the write lock")]
    Stopped,
    /// `SQLite` failed.
    #[error("cannot {doing} {path}: {source}; what was committed stays, run this again to carry on")]
    Sqlite {
        /// What was being done, as in "write to".
        doing: &'static str,
        /// The database.
        path: String,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
}

impl Store {
    /// Opens `path`, which may be new, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, or is not ours to write to.
    pub fn open(path: &Path, folders: &[Folder], patience: Patience) -> Result<Self, Error> {
        let mut connection = factory::open(path, true)?;
        migrations::migrate(&mut connection).map_err(factory::Error::from)?;
        let path = connection.path().map_or_else(|| path.to_owned(), PathBuf::from);
        let store = Self {
            connection,
            path,
            patience,
            folders: folders.iter().map(|folder| folder.name.clone()).collect(),
            names: folders.iter().map(|folder| Names::new(folder.prefix())).collect(),
            wikilinks_known: false,
        };
        let say = |source| store.error("set up", source);
        // Waiting is done here, with jitter and an ear for being stopped, and counted.
        store.connection.busy_timeout(Duration::ZERO).map_err(say)?;
        // Moving the log is done between batches, not in a commit.
        store.connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(say)?;
        store.connection.set_prepared_statement_cache_capacity(64);
        Ok(store)
    }

    /// Absolute path of the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The documents that the database has of the folders, by name.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    pub fn known(&mut self) -> Result<HashMap<String, Known>, Error> {
        let mut all = HashMap::new();
        for names in &mut self.names {
            let (known, _) = patiently(&self.patience, || known_under(&self.connection, names.prefix()))
                .map_err(|failure| failure.told(&self.path, "read"))?;
            known.iter().for_each(|(name, known)| names.insert(name, known.id));
            all.extend(known);
        }
        Ok(all)
    }

    /// Writes documents from the front of `queue` in one transaction, as many as `limit` allows. One that the
    /// database refuses is taken back and told, the others go on.
    ///
    /// # Errors
    ///
    /// Where the lock cannot be had or the transaction fails; nothing of it is in then.
    pub fn write(&mut self, queue: &mut VecDeque<Document>, limit: Limit) -> Result<Written, Error> {
        self.learn_wikilinks()?;
        let mut written = Written::default();
        let begun = self.begin()?;
        let mut files = 0;
        while files < limit.files && limit.hold.is_none_or(|most| files == 0 || begun.since.elapsed() < most)
        {
            let Some(document) = queue.pop_front() else { break };
            files += 1;
            match self.in_savepoint(&document) {
                Ok(()) => {
                    written.taken_in += 1;
                    written.bytes += document.stamp.bytes;
                    let warned = document.warnings.into_iter();
                    let path = document.file.display();
                    written.warned.extend(warned.map(|reason| FailedFile { path: path.to_string(), reason }));
                }
                Err(error) if self.is_fatal(&error) => return Err(self.give_up(error)),
                Err(error) => {
                    let path = document.file.display().to_string();
                    written
                        .failed
                        .push(FailedFile { path, reason: format!("the database refused it: {error}") });
                }
            }
        }
        written.cost = self.commit(begun)?;
        Ok(written)
    }

    /// Takes documents from the front of `gone` out in one transaction, as many as `limit` allows; how many.
    ///
    /// # Errors
    ///
    /// Where the lock cannot be had or the transaction fails; nothing of it is in then.
    pub fn remove(&mut self, gone: &mut VecDeque<(String, i64)>, limit: Limit) -> Result<(u64, Cost), Error> {
        self.learn_wikilinks()?;
        let begun = self.begin()?;
        let mut files = 0;
        while files < limit.files && limit.hold.is_none_or(|most| files == 0 || begun.since.elapsed() < most)
        {
            let Some((name, id)) = gone.pop_front() else { break };
            files += 1;
            self.names.iter_mut().for_each(|names| names.remove(&name, id));
            if let Err(error) = self.delete(&name, id) {
                return Err(self.give_up(error));
            }
        }
        Ok((files as u64, self.commit(begun)?))
    }

    /// Moves the log into the main file where enough of it waits. Nobody waits for this: it takes no write lock,
    /// and somebody else's checkpoint is as good as ours.
    ///
    /// # Errors
    ///
    /// Where the main file cannot be written.
    pub fn relieve(&self) -> Result<(), Error> {
        let ask = |mode: &str| -> rusqlite::Result<(i64, i64)> {
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            self.connection.prepare_cached(&sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
        };
        let relieved = ask("noop").and_then(|(frames, moved)| match frames - moved >= CHECKPOINT_AT {
            true => ask("passive").map(drop),
            false => Ok(()),
        });
        match relieved {
            Err(error) if !is_busy(&error) => Err(self.error("move the log into", error)),
            _ => Ok(()),
        }
    }

    /// Reads which wikilinks there are, once, before the first transaction that may change what they mean.
    fn learn_wikilinks(&mut self) -> Result<(), Error> {
        if self.wikilinks_known {
            return Ok(());
        }
        for (names, folder) in self.names.iter_mut().zip(&self.folders) {
            let (links, _) = patiently(&self.patience, || wikilinks(&self.connection, folder, names))
                .map_err(|failure| failure.told(&self.path, "read"))?;
            links.into_iter().for_each(|(source, edge)| names.want(source, edge));
        }
        self.wikilinks_known = true;
        Ok(())
    }

    fn begin(&self) -> Result<Begun, Error> {
        let asked = Instant::now();
        let (since, retries) = patiently(&self.patience, || {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            Ok(Instant::now())
        })
        .map_err(|failure| failure.told(&self.path, "write to"))?;
        Ok(Begun { wait: since - asked, since, retries })
    }

    fn commit(&self, begun: Begun) -> Result<Cost, Error> {
        // In a database that could not be switched to WAL, readers can keep a commit waiting; it stays open then.
        let committed = patiently(&self.patience, || self.connection.prepare_cached("COMMIT")?.execute([]));
        match committed {
            Ok((_, retries)) => {
                Ok(Cost { wait: begun.wait, hold: begun.since.elapsed(), retries: begun.retries + retries })
            }
            Err(failure) => {
                self.roll_back();
                Err(failure.told(&self.path, "write to"))
            }
        }
    }

    fn give_up(&self, error: rusqlite::Error) -> Error {
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

    fn in_savepoint(&mut self, document: &Document) -> rusqlite::Result<()> {
        self.statement("SAVEPOINT document", [])?;
        let mut id = None;
        match self.upsert(document, &mut id) {
            Ok(()) => self.statement("RELEASE document", []).map(drop),
            Err(error) => {
                if let Some(id) = id {
                    self.names.iter_mut().for_each(|names| names.remove(&document.name, id));
                }
                // Where SQLite has rolled everything back there is no savepoint any more; the caller sees that.
                if !self.connection.is_autocommit() {
                    self.statement("ROLLBACK TO document", [])?;
                    self.statement("RELEASE document", [])?;
                }
                Err(error)
            }
        }
    }

    /// `fresh` is set to the row that was made, so that it can be forgotten where something fails after that.
    fn upsert(&mut self, document: &Document, fresh: &mut Option<i64>) -> rusqlite::Result<()> {
        let before = self.row_of(&document.name)?;
        let id = self.upsert_node(document)?;
        if before.is_some() {
            self.statement("DELETE FROM edges WHERE source = ?1", [id])?;
        } else {
            *fresh = Some(id);
            self.names.iter_mut().for_each(|names| names.insert(&document.name, id));
        }
        for edge in &document.edges {
            let target = self.resolve(document.folder, edge)?;
            // A row that another run took out meanwhile is nobody's target.
            self.statement(
                "INSERT INTO edges (source, kind, target, target_node)
                 VALUES (?1, ?2, ?3, (SELECT id FROM nodes WHERE id = ?4))",
                params![id, edge.kind, edge.target, target],
            )?;
            if self.names[document.folder].is_wiki(edge) {
                self.names[document.folder].want(id, edge.clone());
            }
        }
        if before.is_none() { self.point_links_at(&document.name) } else { Ok(()) }
    }

    fn upsert_node(&self, document: &Document) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO nodes
                 (path, folder, title, kind, front_matter, body, bytes, modified_ns, hash, ingested_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (path) DO UPDATE SET
                 folder = excluded.folder, title = excluded.title, kind = excluded.kind,
                 front_matter = excluded.front_matter, body = excluded.body, bytes = excluded.bytes,
                 modified_ns = excluded.modified_ns, hash = excluded.hash, ingested_at = excluded.ingested_at
             RETURNING id";
        let values = params![
            document.name,
            self.folders[document.folder],
            document.title,
            document.kind,
            document.front_matter,
            document.body,
            i64::try_from(document.stamp.bytes).unwrap_or(i64::MAX),
            document.stamp.modified_ns,
            document.hash,
            jiff::Timestamp::now().to_string(),
        ];
        self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))
    }

    fn delete(&self, name: &str, id: i64) -> rusqlite::Result<()> {
        // Its edges go with it, and edges to it are set to NULL: the tables' own references do that.
        self.statement("DELETE FROM nodes WHERE id = ?1 AND path = ?2", params![id, name])?;
        self.point_links_at(name)
    }

    /// Points the links that may mean the document `name` to what they mean now that it came or went.
    fn point_links_at(&self, name: &str) -> rusqlite::Result<()> {
        let bare = without_extension(name);
        for target in [Some(name), bare].into_iter().flatten() {
            let Some(node) = self.by_path(target)? else { continue };
            self.statement(
                "UPDATE edges SET target_node = ?1
                 WHERE target = ?2 AND target_node IS NULL AND kind NOT IN ('wikilink', 'tag', 'url')",
                params![node, target],
            )?;
            // A link without an ending may have meant another one's namesake so far.
            self.statement(
                "UPDATE edges SET target_node = ?1
                 WHERE target = ?2 AND kind NOT IN ('wikilink', 'tag', 'url') AND target_node IN
                     (SELECT id FROM nodes WHERE path IN (?2 || '.md', ?2 || '.markdown', ?2 || '.mdx', ?2 || '.txt'))
                     AND target_node <> ?1",
                params![node, target],
            )?;
        }
        for names in &self.names {
            for wanted in names.affected(name) {
                let edge = &wanted.edge;
                self.statement(
                    "UPDATE edges SET target_node = (SELECT id FROM nodes WHERE id = ?1)
                     WHERE source = ?2 AND kind = ?3 AND target = ?4 AND target_node IS NOT ?1",
                    params![names.resolve(&edge.target), wanted.source, edge.kind, edge.target],
                )?;
            }
        }
        Ok(())
    }

    fn resolve(&self, folder: usize, edge: &Edge) -> rusqlite::Result<Option<i64>> {
        match edge.kind.as_str() {
            "tag" | "url" => Ok(None),
            _ if self.names[folder].is_wiki(edge) => Ok(self.names[folder].resolve(&edge.target)),
            _ => self.by_path(&edge.target),
        }
    }

    /// The document with this name, or with this name and an ending, in the order of [`EXTENSIONS`].
    fn by_path(&self, target: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(id) = self.row_of(target)? {
            return Ok(Some(id));
        }
        if without_extension(target).is_some() {
            return Ok(None);
        }
        for extension in EXTENSIONS {
            if let Some(id) = self.row_of(&format!("{target}.{extension}"))? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn row_of(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        let mut select = self.connection.prepare_cached("SELECT id FROM nodes WHERE path = ?1")?;
        select.query_row([name], |row| row.get(0)).optional()
    }

    fn statement(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(values)
    }

    fn error(&self, doing: &'static str, source: rusqlite::Error) -> Error {
        Error::Sqlite { doing, path: self.path.display().to_string(), source }
    }
}

/// A transaction that holds the write lock.
struct Begun {
    wait: Duration,
    since: Instant,
    retries: u64,
}

/// Why an attempt was given up.
enum Failure {
    Busy(Duration),
    Stopped,
    Other(rusqlite::Error),
}

impl Failure {
    fn told(self, path: &Path, doing: &'static str) -> Error {
        let path = path.display().to_string();
        match self {
            Self::Busy(waited) => Error::Busy { path, seconds: (waited.as_secs_f64() * 10.0).round() / 10.0 },
            Self::Stopped => Error::Stopped,
            Self::Other(source) => Error::Sqlite { doing, path, source },
        }
    }
}

/// What `attempt` gives, tried again while somebody has the lock; with how often it was refused.
///
/// Pauses grow, with jitter: of several who wait, none is in step with another or with the holder.
fn patiently<T>(
    patience: &Patience,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> Result<(T, u64), Failure> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut retries = 0;
    loop {
        match attempt() {
            Ok(value) => return Ok((value, retries)),
            Err(error) if is_busy(&error) => {}
            Err(error) => return Err(Failure::Other(error)),
        }
        let waited = begun.elapsed();
        if patience.stop.is_raised() {
            return Err(Failure::Stopped);
        }
        if waited >= patience.budget {
            return Err(Failure::Busy(waited));
        }
        retries += 1;
        thread::sleep(jittered(pause).min(patience.budget - waited));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between half of `pause` and one and a half of it.
fn jittered(pause: Duration) -> Duration {
    // A hasher's keys are random, which is all that is asked of them here.
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause * u32::try_from(random).unwrap_or_default() / 1024
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// `name` without a document's ending; `None` where it has none.
fn without_extension(name: &str) -> Option<&str> {
    let (bare, extension) = name.rsplit_once('.')?;
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)).then_some(bare)
}

fn known_under(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<(String, Known)>> {
    // `/` is followed by `0`, so this is the range of names that begin with the prefix, which ends with `/`.
    let end = format!("{}0", prefix.trim_end_matches('/'));
    let sql = "SELECT path, id, folder, bytes, modified_ns, hash FROM nodes WHERE path >= ?1 AND path < ?2";
    let mut select = connection.prepare_cached(sql)?;
    let known = select.query_map([prefix, &end], |row| {
        let stamp =
            Stamp { bytes: row.get::<_, i64>(3)?.try_into().unwrap_or_default(), modified_ns: row.get(4)? };
        // A hash of another length is nobody's: the file counts as changed.
        let hash = row.get_ref(5)?.as_blob()?.try_into().unwrap_or_default();
        Ok((row.get(0)?, Known { id: row.get(1)?, folder: row.get(2)?, stamp, hash }))
    })?;
    known.collect()
}

fn wikilinks(connection: &Connection, folder: &str, names: &Names) -> rusqlite::Result<Vec<(i64, Edge)>> {
    let sql = "SELECT edges.source, edges.kind, edges.target FROM nodes JOIN edges ON edges.source = nodes.id
         WHERE nodes.folder = ?1 AND edges.kind NOT IN ('tag', 'url', 'link')";
    let mut select = connection.prepare_cached(sql)?;
    let links = select
        .query_map([folder], |row| Ok((row.get(0)?, Edge { kind: row.get(1)?, target: row.get(2)? })))?
        .filter(|link| link.as_ref().map_or(true, |(_, edge)| names.is_wiki(edge)));
    links.collect()
}
