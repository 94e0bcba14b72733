//! Whether another process has the database open, from the kernel's lock table alone.
//!
//! This process is connected, so it must not open the main file or `-shm`: closing them would drop its own locks.
//! That rules `observe` out here, which opens them; this reads the one table that can be read.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The byte of `-shm` on which every process with the index open holds a lock for life (`SQLite`'s `DMS`).
const INDEX_HELD: u64 = 128;

/// The kernel gives the table a page at a time and lets go of it in between; a small buffer would make it let go
/// after every row. A row that slips through all the same costs one gap.
const BUFFER: usize = 64 << 10;

/// Looks for others who have the database open.
#[derive(Debug)]
pub struct Neighbours {
    locks: PathBuf,
    index: PathBuf,
    own_pid: String,
}

impl Neighbours {
    /// Looks in `proc` for others with `database` open.
    #[must_use]
    pub fn of(database: &Path, proc: &Path) -> Self {
        let mut index = database.as_os_str().to_owned();
        index.push("-shm");
        Self { locks: proc.join("locks"), index: index.into(), own_pid: std::process::id().to_string() }
    }

    /// Whether another process has the index open.
    ///
    /// # Errors
    ///
    /// Where the lock table or the index cannot be looked at.
    pub fn any(&self) -> io::Result<bool> {
        let inode = fs::metadata(&self.index)?.ino();
        let mut table = Vec::with_capacity(BUFFER);
        File::open(&self.locks)?.read_to_end(&mut table)?;
        Ok(String::from_utf8_lossy(&table).lines().any(|row| self.is_neighbour(row, inode)))
    }

    // Rows are matched by inode alone: on some file systems the device in the table is not that of `stat`. A
    // foreign lock on byte 128 of a namesake elsewhere costs a needless gap, nothing more.
    fn is_neighbour(&self, row: &str, inode: u64) -> bool {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let [_, kind, _, _, pid, file, start, end] = fields[..] else { return false };
        let on_index = file.rsplit(':').next().and_then(|it| it.parse().ok()) == Some(inode);
        let covers = start.parse().is_ok_and(|start: u64| start <= INDEX_HELD)
            && (end == "EOF" || end.parse().is_ok_and(|end: u64| end >= INDEX_HELD));
        matches!(kind, "POSIX" | "OFDLCK") && on_index && covers && pid != self.own_pid
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
        assert!(seen(format!("1: OFDLCK ADVISORY  READ -1 <none>:{inode} 0 EOF\n")));
    }
}
