//! Maintenance: statistics for the planner, one segment of the full-text index, and free pages returned to the disk.

use std::{
    env, fmt,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::fs::{Access, access, statvfs};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    busy::{RetryFailure, patiently},
    factory, pragmas,
    renumbering::{self, RowidRenumbering},
    sidecars::{self, OnClose},
    stats::{DatabaseStats, WordIndex},
};
use crate::{
    config::profile::Profile,
    diagnose::checkpoint::CheckpointBlocker,
    file_format::{FRAME_HEADER, LOG_HEADER, TEMPORARY_FOLDERS, TEMPORARY_VARIABLES},
    snapshot::{Database, Presence},
    units,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptimizeStep {
    /// Statistics of tables that have changed much. A new connection has to ask for a check of all tables.
    Optimize,
    Analyze,
    /// Merges the segments of a full-text index of waltop's into one, in short transactions.
    Merge(WordIndex),
    /// Rewrites the file without its free pages.
    Vacuum,
}

impl OptimizeStep {
    /// The statement to run; the one of a merge is repeated until nothing is left to merge. It
    /// rewrites 500 pages: some milliseconds, the longest time that a writer has to wait.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Optimize => "PRAGMA optimize = 0x10002",
            Self::Analyze => "ANALYZE",
            Self::Merge(WordIndex::Old) => "INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('merge', -500)",
            Self::Merge(WordIndex::Current) => {
                "INSERT INTO nodes_words (nodes_words, rank) VALUES ('merge', -500)"
            }
            Self::Vacuum => "VACUUM",
        }
    }
}

/// What a VACUUM needs.
#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct VacuumPreflight {
    /// Bytes by which the main file becomes smaller.
    pub gives_back_bytes: u64,
    /// Bytes that the log or the journal needs next to the file, and the copy if it is on the same file system.
    pub needed_bytes: u64,
    pub free_bytes: Option<u64>,
    /// Folder of the copy.
    pub temporary_folder: PathBuf,
    /// Bytes that it needs there.
    pub temporary_needed_bytes: u64,
    pub temporary_free_bytes: Option<u64>,
    /// Processes that have the database open, and could not write during the VACUUM.
    pub would_wait: Vec<CheckpointBlocker>,
}

/// Why maintenance was refused.
#[derive(Debug, thiserror::Error)]
pub enum OptimizeError {
    /// A VACUUM holds the write lock until it has copied everything.
    #[error(
        "no VACUUM: {who} could not write to {} until it ends; stop them and try again, or leave --vacuum out",
        path.display()
    )]
    InUse { path: PathBuf, who: String },
    /// The disk is too small.
    #[error("no VACUUM: it may take {} in {}, and {} are free; make room first",
        units::bytes(*needed), folder.display(), units::bytes(*free))]
    Space { folder: PathBuf, needed: u64, free: u64 },
    /// The folder of its copy is too small.
    #[error("no VACUUM: its copy may take {} in {}, and {} are free; set SQLITE_TMPDIR to a folder with room",
        units::bytes(*needed), folder.display(), units::bytes(*free))]
    TemporarySpace { folder: PathBuf, needed: u64, free: u64 },
    /// A VACUUM would corrupt an index of the host.
    #[error(transparent)]
    Renumbers(#[from] RowidRenumbering),
    /// It could not be opened, or SQLite failed.
    #[error(transparent)]
    Open(#[from] factory::OpenError),
    /// It could not be read.
    #[error(transparent)]
    Look(#[from] pragmas::PragmaError),
}

/// The steps for a database with `stats`: the planner's statistics, waltop's index if there is one, and last, if
/// requested, the free pages.
pub fn plan(stats: &DatabaseStats, analyze: bool, vacuum: bool) -> Vec<OptimizeStep> {
    let statistics = if analyze { OptimizeStep::Analyze } else { OptimizeStep::Optimize };
    let indexes = stats.documents.iter().flat_map(|it| &it.word_indexes);
    let merges = indexes.map(|index| OptimizeStep::Merge(*index));
    [statistics].into_iter().chain(merges).chain(vacuum.then_some(OptimizeStep::Vacuum)).collect()
}

/// What a VACUUM of `database` needs.
pub fn preflight(database: &Database, stats: &DatabaseStats) -> VacuumPreflight {
    let pages = stats.pages - stats.free_pages.min(stats.pages);
    let copy = pages * stats.page_size;
    // The copy passes through the log into the file. A journal takes less: it keeps the pages that are replaced.
    let beside = LOG_HEADER as u64 + copy + pages * FRAME_HEADER as u64;
    let temporary_folder = temporary_folder();
    let is_shared = is_on_same_disk(&temporary_folder, &database.path);
    let users = database.processes.iter().filter(|process| process.has_main_file());
    let bytes = database.files.db.as_ref().map_or(stats.pages * stats.page_size, |file| file.bytes);
    VacuumPreflight {
        gives_back_bytes: bytes.saturating_sub(copy),
        needed_bytes: beside + if is_shared { copy } else { 0 },
        free_bytes: database.filesystem.as_ref().and_then(|it| it.free_bytes),
        temporary_free_bytes: free_bytes(&temporary_folder),
        temporary_folder,
        temporary_needed_bytes: copy,
        would_wait: users.map(CheckpointBlocker::of).collect(),
    }
}

impl VacuumPreflight {
    /// Refuses a VACUUM while other processes have the database open: how long they wait before they give up is
    /// unknown, and a plain client does not wait at all. Also refuses it if the disk may be too small.
    ///
    /// # Errors
    ///
    /// In either case.
    pub fn preflight_check(&self, path: &Path) -> Result<(), OptimizeError> {
        if !self.would_wait.is_empty() {
            let who: Vec<String> = self.would_wait.iter().map(|it| it.why.clone()).collect();
            return Err(OptimizeError::InUse { path: path.to_owned(), who: who.join(", ") });
        }
        self.check_room(path)
    }

    /// Refuses a VACUUM if the disk of `path` or that of its copy may be too small.
    ///
    /// # Errors
    ///
    /// In either case.
    pub fn check_room(&self, path: &Path) -> Result<(), OptimizeError> {
        let (needed, folder) = (self.needed_bytes, path.parent().unwrap_or(path).to_owned());
        if let Some(free) = self.free_bytes.filter(|free| *free < needed) {
            return Err(OptimizeError::Space { folder, needed, free });
        }
        let (needed, folder) = (self.temporary_needed_bytes, self.temporary_folder.clone());
        match self.temporary_free_bytes.filter(|free| *free < needed) {
            Some(free) => Err(OptimizeError::TemporarySpace { folder, needed, free }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for VacuumPreflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), units::bytes);
        write!(
            f,
            "VACUUM gives back {}; meanwhile it may take {} beside the database (free {}) and {} in {} (free {})",
            units::bytes(self.gives_back_bytes),
            units::bytes(self.needed_bytes),
            free(self.free_bytes),
            units::bytes(self.temporary_needed_bytes),
            self.temporary_folder.display(),
            free(self.temporary_free_bytes)
        )?;
        for (index, user) in self.would_wait.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "; could not write meanwhile: " } else { ", " }, user.why)?;
        }
        Ok(())
    }
}

/// Carries out `steps` on `path`, on a connection with the settings of `profile`. `database` is its state just before.
/// For a worker process.
///
/// # Errors
///
/// A VACUUM would corrupt an index (checked before anything is done), the write lock is unavailable in the time of the
/// profile, or SQLite fails. Completed steps stay.
pub fn apply(
    path: &Path,
    database: &Database,
    profile: &Profile,
    steps: &[OptimizeStep],
) -> Result<(), OptimizeError> {
    let since = Instant::now();
    let main = factory::resolve(path, false)?;
    let live = database.presence() == Presence::Live;
    let on_close = if live { OnClose::LeaveFiles } else { OnClose::Tidy };
    let _as_owner = factory::as_owner(&main)?;
    let connection = factory::open_for_look(&main, profile, on_close)?;
    let budget = Duration::from_millis(profile.busy_timeout_ms().unwrap_or_default().into());
    let spoilt = if steps.contains(&OptimizeStep::Vacuum) { renumbering::of(&connection) } else { Ok(None) };
    let done = match spoilt {
        Ok(None) => steps.iter().try_for_each(|step| run_step(&connection, *step, budget)).map(|()| None),
        refused => refused,
    };
    let left = sidecars::leave(connection, &main);
    let say = |cause| factory::explain(path, since, cause);
    if let Some(spoilt) = done.map_err(say)? {
        return Err(spoilt.into());
    }
    Ok(left.map_err(say)?)
}

fn run_step(connection: &Connection, step: OptimizeStep, budget: Duration) -> rusqlite::Result<()> {
    match step {
        OptimizeStep::Merge(_) => {
            while merge(connection, step.sql(), budget)? {}
            Ok(())
        }
        OptimizeStep::Vacuum => {
            // The profile may place it in memory, where a large database does not fit.
            connection.pragma_update(None, "temp_store", "FILE")?;
            connection.execute_batch(step.sql())
        }
        // SQLite does the waiting: these are more than one transaction.
        OptimizeStep::Optimize | OptimizeStep::Analyze => connection.execute_batch(step.sql()),
    }
}

/// Merges some pages in a separate transaction; returns whether there may be more.
fn merge(connection: &Connection, sql: &str, budget: Duration) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let before = connection.total_changes();
    let mut refusal = None;
    let mut attempt =
        || connection.execute(sql, []).inspect_err(|error| refusal = error.sqlite_error().copied());
    let merged = patiently(budget, || ControlFlow::Continue(()), &mut attempt);
    connection.busy_timeout(budget)?;
    match merged {
        // FTS5 reports it this way: the statement itself counts as one change.
        Ok(_) => Ok(connection.total_changes() - before >= 2),
        Err(RetryFailure::Other(error)) => Err(error),
        Err(RetryFailure::Busy(_) | RetryFailure::Stopped) => {
            let code = refusal.unwrap_or(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY));
            Err(rusqlite::Error::SqliteFailure(code, None))
        }
    }
}

/// Where SQLite creates its temporary files (<https://www.sqlite.org/tempfiles.html>, section 5): the first of these
/// folders in which this user may create files.
fn temporary_folder() -> PathBuf {
    let named = TEMPORARY_VARIABLES.into_iter().filter_map(env::var_os).map(PathBuf::from);
    let usual = TEMPORARY_FOLDERS.map(PathBuf::from);
    let may_create = |folder: &Path| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    named
        .chain(usual)
        .find(|folder| folder.is_dir() && may_create(folder))
        .unwrap_or_else(|| PathBuf::from("."))
}

/// Whether files in `folder` take the same space as the file at `path`; assumed if that is unknown.
fn is_on_same_disk(folder: &Path, path: &Path) -> bool {
    let device = |path: &Path| path.metadata().ok().map(|it| it.dev());
    device(folder).zip(device(path)).is_none_or(|(one, other)| one == other)
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let filesystem = statvfs(folder).ok()?;
    Some(filesystem.f_bavail * filesystem.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::fixture;

    fn stats() -> DatabaseStats {
        DatabaseStats { page_size: 4096, pages: 100, free_pages: 40, documents: None }
    }

    #[test]
    fn a_vacuum_is_refused_beside_others_and_without_room() {
        let mut database = fixture::live();
        let refused = |database: &Database| {
            let error = preflight(database, &stats()).preflight_check(&database.path).expect_err("refused");
            error.to_string()
        };
        assert!(refused(&database).starts_with("no VACUUM: 71201 (bun), 71168 (python3) could not write"));
        database.processes.clear();
        // The folder of the fixture does not exist, so that the copy may be on the same disk.
        let needed = 60 * (4096 + 24 + 4096) + 32;
        database.filesystem.as_mut().expect("there").free_bytes = Some(needed - 1);
        assert!(
            refused(&database).starts_with("no VACUUM: it may take 493 kB in /srv"),
            "{}",
            refused(&database)
        );
        database.filesystem.as_mut().expect("there").free_bytes = Some(needed);
        let mut preflight = preflight(&database, &stats());
        assert!(preflight.preflight_check(&database.path).is_ok());
        assert_eq!(preflight.gives_back_bytes, 0, "the file of the fixture has one page");
        preflight.temporary_free_bytes = Some(60 * 4096 - 1);
        let error = preflight.preflight_check(&database.path).expect_err("no room for the copy");
        assert!(
            matches!(error, OptimizeError::TemporarySpace { needed: 245_760, free: 245_759, .. }),
            "{error}"
        );
    }

    #[test]
    fn what_is_asked_for_is_planned_and_the_index_only_where_it_is_ours() {
        assert_eq!(plan(&stats(), false, false), [OptimizeStep::Optimize]);
        assert_eq!(plan(&stats(), true, true), [OptimizeStep::Analyze, OptimizeStep::Vacuum]);
    }
}
