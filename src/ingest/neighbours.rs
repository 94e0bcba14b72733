//! Whether another process has the database open, from the kernel's lock table alone.
//!
//! This process is connected, so it must not open the main file or `-shm`: closing them would drop its own locks.
//! That rules the rest of `observe` out here, which opens them.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::observe::{
    lock_table::{self, INDEX_BYTE},
    sidecar,
};

/// Looks for others who have the database open.
#[derive(Debug)]
pub struct Neighbours {
    proc: PathBuf,
    index: PathBuf,
    own_pid: i32,
}

impl Neighbours {
    /// Looks in `proc` for others with `database` open.
    #[must_use]
    pub fn of(database: &Path, proc: &Path) -> Self {
        let index = sidecar(database, "-shm");
        Self { proc: proc.to_owned(), index, own_pid: std::process::id().cast_signed() }
    }

    /// Whether another process has the index open.
    ///
    /// # Errors
    ///
    /// Where the lock table or the index cannot be looked at.
    pub fn any(&self) -> io::Result<bool> {
        let inode = fs::metadata(&self.index)?.ino();
        let rows = lock_table::read(&self.proc)?;
        Ok(lock_table::others_hold(&rows, inode, INDEX_BYTE, self.own_pid))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_others_on_byte_128_of_the_index_count() {
        let dir = TempDir::new().expect("a folder");
        let database = dir.path().join("x.db");
        let neighbours = Neighbours::of(&database, dir.path());
        assert!(neighbours.any().is_err());
        let index = dir.path().join("x.db-shm");
        fs::write(&index, "").expect("a file");
        let (inode, own) = (fs::metadata(&index).expect("its metadata").ino(), std::process::id());
        let seen = |rows: String| {
            fs::write(dir.path().join("locks"), rows).expect("a file");
            neighbours.any().expect("a table")
        };
        assert!(!seen(String::new()));
        assert!(!seen(format!("1: POSIX  ADVISORY  READ {own} fe:00:{inode} 128 128\n")));
        assert!(!seen(format!("1: POSIX  ADVISORY  READ 77777777 fe:00:{inode} 123 127\n")));
        assert!(!seen(format!("1: POSIX  ADVISORY  READ 77777777 fe:00:{inode}1 128 128\n")));
        assert!(!seen(format!("1: FLOCK  ADVISORY  WRITE 77777777 fe:00:{inode} 0 EOF\n")));
        assert!(!seen(format!("1: -> POSIX  ADVISORY  READ 77777777 fe:00:{inode} 128 128\n")));
        assert!(seen(format!("1: POSIX  ADVISORY  READ 77777777 fe:00:{inode} 127 128\n")));
        assert!(seen(format!("1: OFDLCK ADVISORY  READ -1 fe:00:{inode} 0 EOF\n")));
    }
}
