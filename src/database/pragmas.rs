//! The values of waltop's own connection for the pragmas that a connection keeps for itself; asking leaves nothing
//! behind on disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, types::Value};
use rustix::fs::{Access, access};

use super::{
    factory,
    holder::{BlockingProcess, whole_file_holder},
    sidecars::{self, OnClose, SidecarPaths},
};
use crate::{
    config::profile::{Keeper, Profile},
    snapshot::Presence,
};

/// Pragmas that the file keeps, so that every connection returns the same value.
const KEPT_BY_FILE: [&str; 5] =
    ["journal_mode", "page_size", "auto_vacuum", "user_version", "application_id"];

/// How long a process has the whole file locked before that is its mode, and not its end.
const LASTING: Duration = Duration::from_secs(1);

/// Why the pragmas were not read. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PragmaError {
    /// Sidecar files exist, and no process holds byte 128 of the index: a connection would recover and remove them. In
    /// exclusive mode a process may still have the database open.
    #[error(
        "not asked: no process holds the index (-shm) beside {}, so a connection would recover the log; \
         waltop health {} does that",
        path.display(), path.display()
    )]
    Leftover { path: PathBuf },
    /// A process has the whole file locked, as `locking_mode=EXCLUSIVE` does.
    #[error(
        "not asked: {holder} has the whole file {} locked, so no other process can read it; close it there, or ask a copy",
        path.display()
    )]
    WholeFile { path: PathBuf, holder: BlockingProcess },
    /// There is a rollback journal: a connection might roll it back.
    #[error(
        "not asked: {} has a rollback journal with content; let its writer finish, \
         or open it once with the program that it belongs to",
        path.display()
    )]
    Journal { path: PathBuf },
    /// The files that a connection creates would not belong to the owner.
    #[error("not asked: {} belongs to another user, who could not write to the -wal that waltop would create; run as its owner", path.display())]
    OtherUser { path: PathBuf },
    /// A connection could not create its files, or not remove them.
    #[error("not asked: this user may not write to the folder of {}; run as its owner", path.display())]
    Folder { path: PathBuf },
    /// It has changed since the sample.
    #[error("not asked: a process has opened {} since the sample; try again", path.display())]
    Changed { path: PathBuf },
    /// It could not be examined.
    #[error("not asked: cannot examine {}: {cause}; check who may read it and its folder", path.display())]
    Examine { path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Open(#[from] factory::OpenError),
}

/// Reads each pragma of the profile that a connection keeps, from a connection to `path` with the settings of
/// `profile`. Values are named as in a profile.
///
/// For a worker process. `presence` is the database's state just before, from outside. The connection leaves nothing
/// behind: if other processes use the database, the sidecar files stay; if none does, the connection removes those that
/// it created.
///
/// # Errors
///
/// It would leave something behind, or the database could not be opened within a quarter of a second.
pub fn ask(path: &Path, profile: &Profile, presence: Presence) -> Result<Vec<(String, String)>, PragmaError> {
    without_a_trace(path, profile, presence, |connection| answers(connection, profile))
}

/// The result of `question` on a connection to `path`, under the same conditions as [`ask`].
///
/// # Errors
///
/// As [`ask`], and SQLite failures.
pub(super) fn without_a_trace<T>(
    path: &Path,
    profile: &Profile,
    presence: Presence,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, PragmaError> {
    let main = factory::resolve(path, false)?;
    check_presence(&main, presence)?;
    let on_close = if presence == Presence::Live { OnClose::LeaveFiles } else { OnClose::Tidy };
    let since = Instant::now();
    let _as_owner = factory::as_owner(&main)?;
    let connection = factory::open_for_look(&main, profile, on_close)?;
    let answers = question(&connection);
    let left = sidecars::leave(connection, &main);
    let say = |cause| factory::explain(path, since, cause);
    left.map_err(say)?;
    Ok(answers.map_err(say)?)
}

/// The process that has the whole of `main` locked for [`LASTING`]. A client that closes has it for a moment as well.
fn lasting_whole_file_holder(main: &Path) -> Option<BlockingProcess> {
    let now = || whole_file_holder(main, Path::new("/proc"));
    let (holder, since) = (now()?, Instant::now());
    while since.elapsed() < LASTING {
        thread::sleep(LASTING / 20);
        if now()? != holder {
            return None;
        }
    }
    Some(holder)
}

// Opens only the index, to ask the kernel for its locks. All other checks use `stat`.
fn check_presence(main: &Path, presence: Presence) -> Result<(), PragmaError> {
    let path = || main.to_owned();
    let examine = |cause| PragmaError::Examine { path: main.to_owned(), cause };
    let sidecars = SidecarPaths::of(main);
    match presence {
        Presence::Leftover => return Err(PragmaError::Leftover { path: path() }),
        Presence::Clean if sidecars.any() => return Err(PragmaError::Changed { path: path() }),
        // A process has the main file open, but maybe not the index.
        Presence::Live if sidecars.any() && !sidecars.used_by_others().map_err(examine)? => {
            return Err(match lasting_whole_file_holder(main) {
                Some(holder) => PragmaError::WholeFile { path: path(), holder },
                None => PragmaError::Leftover { path: path() },
            });
        }
        Presence::Clean | Presence::Live => {}
    }
    // journal_mode=TRUNCATE leaves an empty journal; beside an empty main file SQLite would remove it.
    if let Ok(journal) = fs::metadata(&sidecars.journal)
        && (journal.len() > 0 || fs::metadata(main).map_err(examine)?.len() == 0)
    {
        return Err(PragmaError::Journal { path: path() });
    }
    if !sidecars.any() && sidecars::would_be_foreign(main).map_err(examine)? {
        return Err(PragmaError::OtherUser { path: path() });
    }
    let folder = main.parent().unwrap_or(main);
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|_| PragmaError::Folder { path: path() })
}

/// The values of `connection` for the pragmas of `profile` that a connection keeps, and for all that the file keeps.
pub(super) fn all_answers(
    connection: &Connection,
    profile: &Profile,
) -> rusqlite::Result<Vec<(String, String)>> {
    let mut all = answers(connection, profile)?;
    for pragma in KEPT_BY_FILE {
        all.push(answer(connection, pragma)?);
    }
    Ok(all)
}

fn answers(connection: &Connection, profile: &Profile) -> rusqlite::Result<Vec<(String, String)>> {
    let kept = profile.pragmas.iter().filter(|pragma| pragma.kept_by == Keeper::Connection);
    kept.map(|pragma| answer(connection, &pragma.name)).collect()
}

fn answer(connection: &Connection, pragma: &str) -> rusqlite::Result<(String, String)> {
    let value: Value = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
    Ok((pragma.to_owned(), named(pragma, &value)))
}

// The names that https://www.sqlite.org/pragma.html gives to the numbers that SQLite returns.
fn named(pragma: &str, value: &Value) -> String {
    let name = match (pragma, value) {
        ("foreign_keys" | "query_only" | "synchronous", Value::Integer(0)) => "OFF",
        ("foreign_keys" | "query_only", Value::Integer(1)) => "ON",
        ("synchronous", Value::Integer(1)) => "NORMAL",
        ("synchronous", Value::Integer(2)) => "FULL",
        ("synchronous", Value::Integer(3)) => "EXTRA",
        ("temp_store", Value::Integer(0)) => "DEFAULT",
        ("temp_store", Value::Integer(1)) => "FILE",
        ("temp_store", Value::Integer(2)) => "MEMORY",
        ("auto_vacuum", Value::Integer(0)) => "none",
        ("auto_vacuum", Value::Integer(1)) => "full",
        ("auto_vacuum", Value::Integer(2)) => "incremental",
        (_, Value::Integer(number)) => return number.to_string(),
        (_, Value::Real(number)) => return number.to_string(),
        (_, Value::Text(text)) => return text.clone(),
        (_, Value::Null | Value::Blob(_)) => "",
    };
    name.to_owned()
}
