//! A client that runs the statements from its stdin: tests and the sandbox use it as a real holder of real locks.
//!
//! It reads one SQL statement per line and answers each with `ok` or `error: …` on stdout. It steps through the rows of
//! a statement and drops them, so a lock is held exactly as long as its transaction is open. The actor exits with its
//! stdin, and with its parent even while the actor is stopped.

use std::{
    io::{self, BufRead, Write},
    path::Path,
};

use rusqlite::{Connection, OpenFlags};

use super::{factory, migrations};
use crate::config::profile::Profile;

/// How an actor opens the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorAccess {
    /// Read and write; creates a missing database, as SQLite does by default.
    ReadWrite,
    /// `mode=ro`.
    ReadOnly,
    /// As waltop itself opens it for writing, with migrated tables.
    Migrated,
}

/// Runs the statements from stdin against `path` until stdin ends, under the name `role` if it is given.
///
/// # Errors
///
/// The database cannot be opened, or stdin or stdout fail.
pub fn run(path: &Path, access: ActorAccess, role: Option<&str>) -> anyhow::Result<()> {
    end_with_parent()?;
    if let Some(role) = role {
        set_process_name(role)?;
    }
    let connection = open(path, access)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "ok")?;
    for line in io::stdin().lock().lines() {
        match step_through(&connection, &line?) {
            Ok(()) => writeln!(stdout, "ok")?,
            Err(error) => writeln!(stdout, "error: {error}")?,
        }
    }
    Ok(())
}

fn open(path: &Path, access: ActorAccess) -> anyhow::Result<Connection> {
    Ok(match access {
        ActorAccess::ReadWrite => Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?,
        ActorAccess::ReadOnly => Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        ActorAccess::Migrated => {
            let mut connection = factory::open(path, true, &Profile::hardened())?;
            migrations::migrate(&mut connection)?;
            connection
        }
    })
}

fn step_through(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// Asks the kernel to end this process when its parent ends, even if it is stopped then.
///
/// # Errors
///
/// The kernel refuses.
#[cfg(target_os = "linux")]
pub fn end_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn set_process_name(role: &str) -> anyhow::Result<()> {
    Ok(rustix::thread::set_name(&std::ffi::CString::new(role)?)?)
}

#[cfg(not(target_os = "linux"))]
fn set_process_name(_role: &str) -> anyhow::Result<()> {
    Ok(())
}

/// On other systems than Linux an actor ends only with its stdin.
///
/// # Errors
///
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn end_with_parent() -> io::Result<()> {
    Ok(())
}
