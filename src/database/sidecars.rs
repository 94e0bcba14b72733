//! The files beside the main file: which processes use them, and how a short-lived connection leaves them unchanged.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, config::DbConfig};
use rustix::process::{geteuid, getpid};

use crate::file_format::INDEX_BYTE;
use crate::observe::{lock_probe, lock_table, sidecar};

/// The paths of the sidecar files of a main file whose symbolic links were followed.
#[derive(Debug, Clone)]
pub(super) struct SidecarPaths {
    pub wal: PathBuf,
    pub shm: PathBuf,
    pub journal: PathBuf,
}

impl SidecarPaths {
    pub fn of(main: &Path) -> Self {
        Self { wal: sidecar(main, "-wal"), shm: sidecar(main, "-shm"), journal: sidecar(main, "-journal") }
    }

    pub fn all(self) -> [PathBuf; 3] {
        [self.wal, self.shm, self.journal]
    }

    /// Whether the log or its index exists, by `stat`.
    pub fn any(&self) -> bool {
        self.wal.exists() || self.shm.exists()
    }

    /// Whether another process has the index open, whether or not this one is connected.
    ///
    /// # Errors
    ///
    /// The kernel does not answer; or the index cannot be read, and the lock table only in part
    /// ([`io::ErrorKind::TimedOut`]).
    pub fn used_by_others(&self) -> io::Result<bool> {
        match lock_probe::is_index_held(&self.shm) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            // The table still shows its locks, except those of other PID namespaces.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let shm = fs::metadata(&self.shm)?;
                let own = getpid().as_raw_nonzero().get();
                // Not the configurable `/proc`: this is about real locks.
                lock_table::others_hold(Path::new("/proc"), &shm, INDEX_BYTE, own)
            }
            answer => answer,
        }
    }
}

/// Whether files that this process creates beside `main` would belong to a user other than `main`'s owner: the owner
/// could then not write to them. SQLite gives root's files to the owner.
pub(super) fn would_be_foreign(main: &Path) -> io::Result<bool> {
    let user = geteuid();
    Ok(!user.is_root() && fs::metadata(main)?.uid() != user.as_raw())
}

/// What a connection does with the log when it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClose {
    /// SQLite's default: the last connection checkpoints the log into the main file and removes it.
    Tidy,
    /// Leaves the sidecar files to the processes that use them.
    LeaveFiles,
}

/// Changes what `connection` does when it closes.
pub(super) fn set_on_close(connection: &Connection, on_close: OnClose) -> rusqlite::Result<()> {
    let leave = on_close == OnClose::LeaveFiles;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave)?;
    Ok(())
}

/// Closes `connection`, which has read from `main`. The log stays if other processes use it. If the last of them has
/// left meanwhile, the log is checkpointed and removed, as that process would have done.
pub(super) fn leave(connection: Connection, main: &Path) -> rusqlite::Result<()> {
    // Without a lock table SQLite's own check, which tries to lock the whole file, has to do. A truncated table may
    // hide other processes.
    let others = SidecarPaths::of(main).used_by_others();
    let others = others.unwrap_or_else(|error| error.kind() == io::ErrorKind::TimedOut);
    set_on_close(&connection, if others { OnClose::LeaveFiles } else { OnClose::Tidy })?;
    connection.close().map_err(|(_, cause)| cause)
}
