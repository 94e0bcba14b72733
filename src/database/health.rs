//! A real write, proved and rolled back, and the state of waltop's connection.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, ffi};
use rustix::process::geteuid;

use super::{
    busy::{MayBeBusy, RetryFailure, patiently},
    factory,
    holder::{BlockingProcess, recoverer, write_lock_holder},
    pragmas,
    sidecars::{self, OnClose, SidecarPaths},
};
use crate::{
    config::profile::Profile,
    diagnose::{
        guard,
        health::{HealthProof, QuickCheck, SeenHolder, WriteProof},
    },
    snapshot::{Database, Presence},
    units::{self, milliseconds},
};

/// Steps of SQLite's virtual machine between two checks whether to continue: some milliseconds.
const STEPS: i32 = 10_000;

/// Called from time to time during a wait, with the time so far; decides whether to continue.
pub type AskToContinue = Arc<dyn Fn(Duration) -> ControlFlow<()> + Send + Sync>;

/// What to prove, and how long to wait.
pub struct HealthRequest<'a> {
    /// Settings of waltop's connection.
    pub profile: &'a Profile,
    /// How long to try for the write lock.
    pub budget: Duration,
    /// Called while waiting for the lock.
    pub waiting: AskToContinue,
    /// Called while `quick_check` runs; `None` skips it.
    pub quick_check: Option<AskToContinue>,
}

#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// A connection would lose data now.
    #[error("not checked, since data could be lost: {0}")]
    Hazard(#[from] guard::GuardRefusal),
    /// The files that a write creates would not belong to the owner.
    #[error("not checked: {} belongs to another user, who could not write to the files that we make; run as its owner", path.display())]
    OtherUser { path: PathBuf },
    /// It could not be examined.
    #[error("not checked: cannot examine {}: {cause}; check who may read it and its folder", path.display())]
    Examine { path: PathBuf, cause: io::Error },
    /// The caller asked to stop.
    #[error("stopped; nothing in the file was changed")]
    Stopped,
    /// It could not be opened, or SQLite failed.
    #[error(transparent)]
    Open(#[from] factory::OpenError),
}

impl MayBeBusy for factory::OpenError {
    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// Proves that a connection with the requested settings can write to `path`: takes the write lock, creates a table with
/// a row, reads it back, and rolls everything back. `database` is its state just before, with its findings.
///
/// For a worker process. If other processes use the database, or none does, no byte of it changes, and no file beside
/// it. It recovers what a crash left, as the next client would. An unavailable lock is no error.
///
/// # Errors
///
/// Data could be lost, the files that a write creates would harm the owner, it cannot be opened for writing, or the
/// caller asked to stop.
pub fn prove(
    path: &Path,
    database: &Database,
    wanted: &HealthRequest<'_>,
) -> Result<HealthProof, HealthError> {
    guard::allow(database, geteuid().is_root())?;
    let main = factory::resolve(path, false)?;
    let foreign = sidecars::would_be_foreign(&main)
        .map_err(|cause| HealthError::Examine { path: main.clone(), cause })?;
    // With a rollback journal every write creates a file.
    if foreign && (database.is_wal() == Some(false) || !SidecarPaths::of(&main).shm.exists()) {
        return Err(HealthError::OtherUser { path: main });
    }
    let mut wait = LockWait { main: &main, since: Instant::now(), ask: &wanted.waiting, seen: Vec::new() };
    match patiently(wanted.budget, || wait.refused(), || not_recovering(&main)) {
        Ok(_) => {}
        Err(RetryFailure::Stopped) => return Err(HealthError::Stopped),
        Err(RetryFailure::Busy(_) | RetryFailure::Other(_)) => {
            return Ok(HealthProof { write: wait.refused_proof(0), ..HealthProof::default() });
        }
    }
    let live = database.presence() == Presence::Live;
    let on_close = if live { OnClose::LeaveFiles } else { OnClose::Tidy };
    let _as_owner = factory::as_owner(&main)?;
    let open = || factory::open_for_look(&main, wanted.profile, on_close);
    let (mut connection, retries) = match patiently(wait.left(wanted.budget), || wait.refused(), open) {
        Ok(opened) => opened,
        Err(RetryFailure::Busy(_)) => {
            return Ok(HealthProof { write: wait.refused_proof(0), ..HealthProof::default() });
        }
        Err(RetryFailure::Stopped) => return Err(HealthError::Stopped),
        Err(RetryFailure::Other(error)) => return Err(error.into()),
    };
    let proved = on(&mut connection, wanted, &mut wait, retries);
    let since = wait.since;
    let left = sidecars::leave(connection, &main);
    let proof = proved.map_err(|failure| match failure {
        RetryFailure::Other(cause) => HealthError::Open(factory::explain(path, since, cause)),
        RetryFailure::Busy(_) | RetryFailure::Stopped => HealthError::Stopped,
    })?;
    left.map_err(|cause| factory::explain(path, since, cause))?;
    Ok(proof)
}

/// Refuses as SQLite does while another process recovers the index. A connection would wait for ten seconds first.
fn not_recovering(main: &Path) -> rusqlite::Result<()> {
    // Not the configurable `/proc`: these are real locks.
    let Some(_) = recoverer(main, Path::new("/proc")) else { return Ok(()) };
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY_RECOVERY), None))
}

fn on(
    connection: &mut Connection,
    wanted: &HealthRequest<'_>,
    wait: &mut LockWait<'_>,
    refused: u64,
) -> Result<HealthProof, RetryFailure> {
    let answers = pragmas::all_answers(connection, wanted.profile).map_err(RetryFailure::Other)?;
    prepare(connection, wait.main).map_err(RetryFailure::Other)?;
    let write = under_lock(connection, wanted.budget, wait, refused)?;
    let quick_check = match &wanted.quick_check {
        Some(ask) => Some(quick_check(connection, ask)?),
        None => None,
    };
    Ok(HealthProof { answers, write, quick_check })
}

fn under_lock(
    connection: &Connection,
    budget: Duration,
    wait: &mut LockWait<'_>,
    refused: u64,
) -> Result<WriteProof, RetryFailure> {
    let mut retries = refused;
    let left = wait.left(budget);
    let count = || {
        retries += 1;
        wait.refused()
    };
    match patiently(left, count, || connection.execute_batch("BEGIN IMMEDIATE")) {
        Ok(_) => {}
        Err(RetryFailure::Busy(_)) => return Ok(wait.refused_proof(retries)),
        Err(other) => return Err(other),
    }
    let waited_ms = milliseconds(wait.since.elapsed());
    let had = Instant::now();
    let wrote = write(connection);
    // If the disk is full, SQLite has already rolled back.
    let rolled_back = if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") };
    let held_ms = Some(milliseconds(had.elapsed()));
    let refusal = wrote.and_then(|refusal| rolled_back.map(|()| refusal)).map_err(RetryFailure::Other)?;
    Ok(WriteProof { proved: refusal.is_none(), refusal, waited_ms, retries, held_ms, made_wait: wait.seen() })
}

/// Ensures that rolled-back changes never reach a file, and that waiting happens here.
fn prepare(connection: &Connection, main: &Path) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "cache_spill", "OFF")?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    // Other connections keep a journal that they overwrite; this one would remove it at the end.
    if mode != "wal" && SidecarPaths::of(main).journal.exists() {
        connection.pragma_update_and_check(None, "journal_mode", "memory", |_| Ok(()))?;
    }
    Ok(())
}

/// Writes under the lock and reads back; returns what went wrong.
fn write(connection: &Connection) -> rusqlite::Result<Option<String>> {
    // A name that no host uses, because only a waltop of this PID would.
    let table = format!("main.waltop_health_{}", process::id());
    let text = "written by waltop";
    connection.execute_batch(&format!("CREATE TABLE {table}(x TEXT)"))?;
    connection.execute(&format!("INSERT INTO {table} VALUES (?1)"), [text])?;
    let read: String = connection.query_row(&format!("SELECT x FROM {table}"), [], |row| row.get(0))?;
    Ok((read != text).then(|| "what was written was read back otherwise".to_owned()))
}

fn quick_check(connection: &mut Connection, ask: &AskToContinue) -> Result<QuickCheck, RetryFailure> {
    let begun = Instant::now();
    let ask = Arc::clone(ask);
    let is_to_end = move || ask(begun.elapsed()).is_break();
    connection.progress_handler(STEPS, Some(is_to_end)).map_err(RetryFailure::Other)?;
    let lines = connection.prepare("PRAGMA quick_check").and_then(|mut check| {
        check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
    });
    connection.progress_handler(STEPS, None::<fn() -> bool>).map_err(RetryFailure::Other)?;
    let errors = match lines {
        Ok(lines) if lines == ["ok"] => Vec::new(),
        Ok(lines) => lines,
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            return Err(RetryFailure::Stopped);
        }
        // With the worst damage SQLite cannot even run the check.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            vec![error.to_string()]
        }
        Err(error) => return Err(RetryFailure::Other(error)),
    };
    Ok(QuickCheck { ok: errors.is_empty(), errors, took_ms: milliseconds(begun.elapsed()) })
}

/// A wait for the write lock, and its holder if one was seen.
struct LockWait<'a> {
    main: &'a Path,
    since: Instant,
    ask: &'a AskToContinue,
    seen: Vec<(BlockingProcess, Instant, Instant)>,
}

impl LockWait<'_> {
    fn left(&self, budget: Duration) -> Duration {
        budget.saturating_sub(self.since.elapsed())
    }

    fn refused(&mut self) -> ControlFlow<()> {
        let now = Instant::now();
        // Not the configurable `/proc`: this is about a connection of this very process, and real locks.
        if let Some(holder) = write_lock_holder(self.main, Path::new("/proc")) {
            match self.seen.iter_mut().find(|(known, ..)| *known == holder) {
                Some((_, _, last)) => *last = now,
                None => self.seen.push((holder, now, now)),
            }
        }
        (self.ask)(now - self.since)
    }

    fn seen(&self) -> Vec<SeenHolder> {
        let seen = |(holder, first, last): &(BlockingProcess, Instant, Instant)| SeenHolder {
            pid: holder.pid,
            name: holder.name.clone(),
            label: holder.label.clone(),
            seen_ms: milliseconds(*last - *first),
        };
        self.seen.iter().map(seen).collect()
    }

    /// The result for a write that another process's lock prevented.
    fn refused_proof(&self, retries: u64) -> WriteProof {
        let waited_ms = milliseconds(self.since.elapsed());
        let made_wait = self.seen();
        let refusal = format!("could not get the write lock within {}", units::duration(waited_ms));
        WriteProof { refusal: Some(refusal), waited_ms, retries, made_wait, ..WriteProof::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_write_failed_is_reported_also_where_sqlite_has_rolled_it_back() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch("CREATE TABLE t (x); PRAGMA max_page_count = 2").expect("a full database");
        let ask: AskToContinue = Arc::new(|_| ControlFlow::Continue(()));
        let mut wait = LockWait { main: Path::new(""), since: Instant::now(), ask: &ask, seen: Vec::new() };
        match under_lock(&connection, Duration::ZERO, &mut wait, 0) {
            Err(RetryFailure::Other(cause)) => {
                assert_eq!(cause.sqlite_error_code(), Some(ErrorCode::DiskFull), "{cause}");
            }
            other => panic!("{other:?}"),
        }
        assert!(connection.is_autocommit(), "nothing is left open");
    }
}
