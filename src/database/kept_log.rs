//! Renames a log that belongs to another main file. It opens no connection.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FlockOperation, RenameFlags, fcntl_lock, renameat_with},
    io::Errno,
};

/// Why a log was not renamed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeepLogError {
    /// A process has the database open.
    #[error("nothing was changed: a process has opened {} meanwhile, and with that its log is decided", path.display())]
    Used { path: PathBuf },
    #[error("nothing was changed: cannot rename {}: {cause}; check who may write to its folder", log.display())]
    Rename { log: PathBuf, cause: io::Error },
}

/// Renames `log` of the database at `main` to `to`, which must not exist.
///
/// It locks the whole main file meanwhile, as the last connection does before it removes a log: no other process can
/// open the database. Only for a process without a connection, because closing the file releases all its locks there.
///
/// # Errors
///
/// A process has the database open, or the log cannot be renamed.
pub fn rename_log(main: &Path, log: &Path, to: &Path) -> Result<(), KeepLogError> {
    let refused = |cause: io::Error| KeepLogError::Rename { log: log.to_owned(), cause };
    let file = OpenOptions::new().read(true).write(true).open(main).map_err(refused)?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => return Err(KeepLogError::Used { path: main.to_owned() }),
        Err(error) => return Err(refused(error.into())),
    }
    renameat_with(CWD, log, CWD, to, RenameFlags::NOREPLACE).map_err(|error| refused(error.into()))
}
