//! A client that does what it is told on stdin: how tests and the sandbox get real holders of real locks.
//!
//! One SQL statement a line; after each the actor answers `ok`, or `error: …`, on stdout. A statement's rows
//! are stepped through and dropped, so a lock is held exactly as long as its transaction is open. The actor
//! goes away with its stdin, and with its parent even while it is stopped.

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
    /// Read and write, and create it where it is missing, as SQLite does by default.
    ReadWrite,
    /// `mode=ro`.
    ReadOnly,
    /// As waltop itself opens it to write, with its tables brought up to date.
    Migrated,
}

/// Runs the statements that come in on stdin against `path` until stdin ends, under the name `role` if there is one.
///
/// # Errors
///
/// Where the database cannot be opened, or stdin or stdout break.
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

/// Asks the kernel to end this process when its parent ends, even if it is stopped by then.
///
/// # Errors
///
/// Where the kernel refuses.
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

/// Elsewhere than on Linux an actor ends with its stdin only.
///
/// # Errors
///
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn end_with_parent() -> io::Result<()> {
    Ok(())
}
