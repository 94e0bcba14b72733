//! Whether another process has the database open, from the kernel's lock table alone.
//!
//! This process is connected, so it must not open the main file or `-shm`: closing them would drop its own locks. So
//! the parts of `observe` that open them are unusable here.

use std::{
    cell::Cell,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::clock;
use crate::file_format::INDEX_BYTE;
use crate::observe::{lock_table, sidecar};

/// Checks whether other processes have the database open.
#[derive(Debug)]
pub struct NeighbourCheck {
    proc: PathBuf,
    index: PathBuf,
    own_pid: i32,
    // Result of a slow reading, and until when it is reused; `None` if it was incomplete.
    kept: Cell<Option<(Instant, Option<bool>)>>,
}

/// A reading that takes more CPU time than this is not repeated at once.
const CHEAP: Duration = Duration::from_millis(5);
/// How long a slow reading is reused, in multiples of the time that it took.
const KEPT: u32 = 20;

impl NeighbourCheck {
    /// Checks `proc` for other processes that have `database` open.
    pub fn of(database: &Path, proc: &Path) -> Self {
        let index = sidecar(database, "-shm");
        Self {
            proc: proc.to_owned(),
            index,
            own_pid: std::process::id().cast_signed(),
            kept: Cell::default(),
        }
    }

    /// Whether another process has the index open. The answer may be some seconds old if the lock table is long:
    /// reading it stops every other process that takes a lock.
    ///
    /// # Errors
    ///
    /// The lock table or the index cannot be read, or only part of the table.
    pub fn any(&self) -> io::Result<bool> {
        let index = fs::metadata(&self.index)?;
        let begin = Instant::now();
        if let Some((until, answer)) = self.kept.get()
            && begin < until
        {
            return answer.ok_or_else(|| io::ErrorKind::TimedOut.into());
        }
        let cpu_before = clock::cpu_time();
        let answer = lock_table::others_hold(&self.proc, &index, INDEX_BYTE, self.own_pid);
        let took = clock::cpu_time().saturating_sub(cpu_before);
        let until = Instant::now() + KEPT * took;
        self.kept.set((took > CHEAP).then_some((until, answer.as_ref().ok().copied())));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_others_on_byte_128_of_the_index_count() {
        let dir = TempDir::new().expect("a folder");
        let database = dir.path().join("x.db");
        let neighbours = NeighbourCheck::of(&database, dir.path());
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
