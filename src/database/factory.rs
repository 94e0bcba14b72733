//! How waltop opens connections.

use std::{
    fmt, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, ffi};

use super::{
    busy::{RetryFailure, patiently},
    holder::{BlockingProcess, readers_in_the_way, write_lock_holder},
    identity::AsOwner,
    migrations,
    sidecars::{self, OnClose, SidecarPaths, set_on_close},
};
use crate::{
    config::profile::{Expectation, Keeper, Profile},
    diagnose::fix::TO_WAL,
    paths,
    text::{Advised, display_as_line},
    units,
};

/// How long a query connection waits for a lock before it gives up, so that it ends before the next refresh.
const LOOK_WAIT: Duration = Duration::from_millis(250);

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    Path {
        path: PathBuf,
        cause: io::Error,
    },
    Open {
        path: PathBuf,
        cause: rusqlite::Error,
    },
    /// The file is not a database.
    NotADatabase {
        path: PathBuf,
    },
    /// The path leads into the files of another process, where SQLite cannot follow it.
    AnotherNamespace {
        path: PathBuf,
    },
    /// Root could not become its owner.
    Identity {
        path: PathBuf,
        cause: io::Error,
    },
    /// This user may only read it.
    ReadOnly {
        path: PathBuf,
    },
    /// The sidecar files that a connection creates would belong to this user, and the owner could not write to them.
    OtherUser {
        path: PathBuf,
    },
    /// The main file is missing, and a sidecar is not: a new database would use that sidecar as its own.
    Stray {
        path: PathBuf,
        /// The file without a database.
        sidecar: PathBuf,
    },
    /// Another process held a lock for longer than waltop waits.
    Busy {
        path: PathBuf,
        /// What is known about the lock.
        kept: Box<HeldLock>,
    },
    /// It uses a rollback journal, and SQLite answered the switch with another mode than WAL.
    Switch {
        path: PathBuf,
        /// The mode that it kept.
        mode: String,
    },
    /// Its tables are not waltop's.
    Schema(#[from] migrations::MigrationError),
}

impl Advised for OpenError {
    fn fact(&self) -> String {
        match self {
            Self::Path { path, cause } => format!("cannot open {}: {cause}", path.display()),
            Self::Open { path, cause } => format!("cannot open {}: {cause}", path.display()),
            Self::NotADatabase { path } => {
                format!("{} is not a SQLite database, or it is encrypted", path.display())
            }
            Self::AnotherNamespace { path } => format!(
                "{} leads into the files of another process, and SQLite would open another file",
                path.display()
            ),
            Self::Identity { path, cause } => format!("cannot open {} as its owner: {cause}", path.display()),
            Self::ReadOnly { path } => {
                format!("{} or its folder may only be read by this user", path.display())
            }
            Self::OtherUser { path } => {
                format!("{} belongs to another user, who could not write to our -wal", path.display())
            }
            Self::Stray { path, sidecar } => {
                format!("{} is missing, but {} is still there", path.display(), sidecar.display())
            }
            Self::Busy { path, kept } => format!("{} is locked by another process{kept}", path.display()),
            Self::Switch { path, mode } => {
                format!("SQLite kept journal_mode of {} at {mode}", path.display())
            }
            Self::Schema(error) => error.fact(),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Path { .. } => "check the path and who may use its folder",
            Self::Open { .. } => "check the file, its folder and its disk",
            Self::NotADatabase { .. } => "name another file",
            Self::AnotherNamespace { .. } => "run waltop in its mount namespace, with nsenter",
            Self::Identity { .. } => "run waltop as that user",
            Self::ReadOnly { .. } => "make it writable, or run waltop as its owner",
            Self::OtherUser { .. } => "run waltop as its owner",
            Self::Stray { .. } => "restore the database, move that file, or name another database",
            Self::Busy { path, .. } => {
                return Some(format!("see more with: waltop status {}", path.display()));
            }
            Self::Switch { .. } => "use a file on a local disk",
            Self::Schema(error) => return error.advice(),
        };
        Some(advice.to_owned())
    }
}

display_as_line!(OpenError);

/// A lock that was unavailable, as far as the kernel's lock table shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLock {
    pub lock: &'static str,
    /// How long waltop tried.
    pub waited: Duration,
    /// Its holder at the end; `None` if no holder was seen.
    pub holder: Option<BlockingProcess>,
    /// The readers at that time, if there was no holder and readers keep a writer from its commit.
    pub readers: Vec<BlockingProcess>,
}

impl HeldLock {
    /// The state of the lock of `path` that `cause` reports, for a connection that has waited since `since`.
    fn seen(path: &Path, since: Instant, cause: &rusqlite::Error) -> Self {
        let lock = match cause.sqlite_error().map(|error| error.extended_code) {
            Some(ffi::SQLITE_BUSY_RECOVERY) => "the lock of a recovery",
            _ => "the write lock",
        };
        let waited = since.elapsed();
        // Not the configurable `/proc`: this is about a connection of this very process, and real locks.
        let main = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let holder = write_lock_holder(&main, Path::new("/proc"));
        let readers =
            if holder.is_none() { readers_in_the_way(&main, Path::new("/proc")) } else { Vec::new() };
        Self { lock, waited, holder, readers }
    }
}

impl fmt::Display for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = units::duration(units::milliseconds(self.waited));
        match &self.holder {
            Some(holder) => write!(f, ": {holder} has {}, waited {waited}", self.lock),
            None if !self.readers.is_empty() => {
                let names: Vec<String> = self.readers.iter().map(BlockingProcess::to_string).collect();
                let verb = if names.len() == 1 { "reads" } else { "read" };
                write!(
                    f,
                    ": {} {verb} it, and no commit can be made meanwhile, waited {waited}",
                    names.join(", ")
                )
            }
            None => write!(f, ", waited {waited}"),
        }
    }
}

/// Makes this thread the owner of `main` if the process is root's, as long as the connection lasts.
///
/// # Errors
///
/// The kernel refuses.
pub fn as_owner(main: &Path) -> Result<AsOwner, OpenError> {
    AsOwner::of(main).map_err(|cause| OpenError::Identity { path: main.to_owned(), cause })
}

/// Opens `path` for writing, with the settings of `profile`; with `create` it may be new.
///
/// The busy timeout is set first, so that everything after it waits. The switch to WAL happens only if the file is not
/// in WAL mode yet, and only if [`migrations::migrate`] would accept the database: otherwise nothing in it changes.
/// Statements of `prepare_cached` are kept, and reset when they are returned.
///
/// # Errors
///
/// SQLite cannot open it or set it up, it is read-only, or it is not waltop's to write to.
pub fn open(path: &Path, create: bool, profile: &Profile) -> Result<Connection, OpenError> {
    let since = Instant::now();
    refuse_foreign_sidecars(path, create)?;
    refuse_strays(&resolve(path, create)?)?;
    let connection = connect(path, create)?;
    let wait = busy_timeout(profile);
    let say = |cause| explain(path, since, cause);
    connection.busy_timeout(wait).map_err(say)?;
    if !is_wal(&connection).map_err(say)? {
        migrations::refuse_foreign(&connection, path)?;
        switch_to_wal(&connection, path, wait)?;
    }
    keep_by_connection(&connection, profile).map_err(say)?;
    Ok(connection)
}

/// Opens `path` for queries or maintenance: applies all settings of `profile` that a connection keeps for itself, and
/// leaves what the file keeps as it is. Waits at most a quarter of a second for a lock.
///
/// # Errors
///
/// SQLite cannot open it or set it up, or it is read-only.
pub fn open_for_look(path: &Path, profile: &Profile, on_close: OnClose) -> Result<Connection, OpenError> {
    let since = Instant::now();
    let connection = connect(path, false)?;
    let say = |cause| explain(path, since, cause);
    connection.busy_timeout(LOOK_WAIT).map_err(say)?;
    set_on_close(&connection, on_close).map_err(say)?;
    // Reads the schema, which is the part that may have to wait; the profile's own timeout is set after it.
    is_wal(&connection).map_err(say)?;
    connection.busy_timeout(busy_timeout(profile)).map_err(say)?;
    keep_by_connection(&connection, profile).map_err(say)?;
    Ok(connection)
}

/// Whether the database is in WAL mode. This is the first question that makes a connection read the file.
fn is_wal(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok(mode.eq_ignore_ascii_case("wal"))
}

/// Switches the file to WAL, with retries for `budget`. The switch upgrades a read lock. So if another connection
/// writes, or makes the same switch, SQLite refuses at once and does not call the busy handler.
pub(super) fn switch_to_wal(connection: &Connection, path: &Path, budget: Duration) -> Result<(), OpenError> {
    let since = Instant::now();
    let mut last = None;
    let switch = || {
        connection.query_row(TO_WAL, [], |row| row.get::<_, String>(0)).inspect_err(|cause| {
            last = cause.sqlite_error().copied();
        })
    };
    match patiently(budget, || ControlFlow::Continue(()), switch) {
        Ok((mode, _)) => expect_wal(&mode, path),
        Err(RetryFailure::Other(cause)) => Err(explain(path, since, cause)),
        Err(RetryFailure::Busy(_) | RetryFailure::Stopped) => {
            let code = last.unwrap_or(ffi::Error::new(ffi::SQLITE_BUSY));
            Err(explain(path, since, rusqlite::Error::SqliteFailure(code, None)))
        }
    }
}

fn expect_wal(mode: &str, path: &Path) -> Result<(), OpenError> {
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    Err(OpenError::Switch { path: path.to_owned(), mode: mode.to_owned() })
}

/// The error for `cause`, from SQLite for `path`, in a connection that has tried since `since`.
pub(super) fn explain(path: &Path, since: Instant, cause: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseBusy) => {
            let kept = Box::new(HeldLock::seen(&path, since, &cause));
            OpenError::Busy { path, kept }
        }
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
        _ => OpenError::Open { path, cause },
    }
}

/// `path` as an absolute path with its symbolic links followed, as SQLite follows them to place the sidecars. Absolute,
/// so that no file name is read as a URI or as `:memory:`.
///
/// # Errors
///
/// There is no such file (with `create`, no such folder), or it is a folder.
pub fn resolve(path: &Path, create: bool) -> Result<PathBuf, OpenError> {
    let say = |cause| OpenError::Path { path: path.to_owned(), cause };
    let resolved = if create { paths::canonical_or_future(path) } else { paths::real(path) }.map_err(say)?;
    if !paths::is_reached_by_text(&resolved) {
        return Err(OpenError::AnotherNamespace { path: path.to_owned() });
    }
    if resolved.is_dir() {
        return Err(say(io::ErrorKind::IsADirectory.into()));
    }
    if let Some(folder) = resolved.parent().filter(|_| create) {
        folder.metadata().map_err(say)?;
    }
    Ok(resolved)
}

/// Refuses to create a database, at a path as [`resolve`] returns it, if a log or journal of that name exists.
///
/// # Errors
///
/// One exists, and there is no main file.
pub fn refuse_strays(main: &Path) -> Result<(), OpenError> {
    // In this order: a process that creates a database right now creates the main file first.
    let stray = SidecarPaths::of(main).all().into_iter().find(|it| it.symlink_metadata().is_ok());
    match stray {
        Some(sidecar) if !main.exists() => Err(OpenError::Stray { path: main.to_owned(), sidecar }),
        _ => Ok(()),
    }
}

/// Refuses to create sidecar files that the database's owner could not write to.
///
/// # Errors
///
/// The database belongs to another user and has no sidecars.
pub fn refuse_foreign_sidecars(path: &Path, create: bool) -> Result<(), OpenError> {
    let main = resolve(path, create)?;
    let foreign = sidecars::would_be_foreign(&main).unwrap_or(false);
    if foreign && !SidecarPaths::of(&main).any() {
        return Err(OpenError::OtherUser { path: path.to_owned() });
    }
    Ok(())
}

// SQLite falls back to read-only if it may not write. Nothing has been read yet, so it has not created a sidecar that
// the database's owner could not use.
pub(super) fn connect(path: &Path, create: bool) -> Result<Connection, OpenError> {
    let resolved = resolve(path, create)?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let since = Instant::now();
    let say = |cause| explain(path, since, cause);
    let connection = Connection::open_with_flags(resolved, flags).map_err(say)?;
    if connection.is_readonly(MAIN_DB).map_err(say)? {
        return Err(OpenError::ReadOnly { path: path.to_owned() });
    }
    Ok(connection)
}

fn busy_timeout(profile: &Profile) -> Duration {
    Duration::from_millis(profile.busy_timeout_ms().unwrap_or_default().into())
}

// The busy timeout is set before anything is read, and its position in a profile does not matter.
fn keep_by_connection(connection: &Connection, profile: &Profile) -> rusqlite::Result<()> {
    let is_ours =
        |pragma: &&Expectation| pragma.kept_by == Keeper::Connection && pragma.name != "busy_timeout";
    let kept = profile.pragmas.iter().filter(is_ours);
    for pragma in kept {
        connection.pragma_update(None, &pragma.name, &pragma.expected)?;
    }
    Ok(())
}
