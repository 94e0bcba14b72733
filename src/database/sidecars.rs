//! The files beside the main file: who uses them, and how a short-lived connection leaves them as it found them.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use rustix::process::{geteuid, getpid};

use super::factory::{OnClose, set_on_close};

/// The byte of `-shm` that every process with the index open holds for life.
const INDEX_BYTE: u64 = 128;

/// The paths of the sidecar files of a main file whose symbolic links were followed.
#[derive(Debug, Clone)]
pub(super) struct Sidecars {
    /// The write-ahead log.
    pub wal: PathBuf,
    /// The wal-index.
    pub shm: PathBuf,
    /// The rollback journal.
    pub journal: PathBuf,
}

impl Sidecars {
    /// Those of `main`.
    pub fn of(main: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = OsString::from(main);
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { wal: beside("-wal"), shm: beside("-shm"), journal: beside("-journal") }
    }

    /// Whether the log or its index is there, by `stat`.
    pub fn any(&self) -> bool {
        self.wal.exists() || self.shm.exists()
    }

    /// Whether another process is seen to have the index open. One in another PID namespace is not seen.
    ///
    /// # Errors
    ///
    /// Where the kernel does not show its lock table.
    pub fn used_by_others(&self) -> io::Result<bool> {
        let Ok(shm) = fs::metadata(&self.shm) else {
            return Ok(false);
        };
        // The kernel gives the table out in parts and may miss a row between two: one of two readings will do.
        for _ in 0..2 {
            if others_hold(&fs::read_to_string("/proc/locks")?, shm.ino(), getpid().as_raw_nonzero().get()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether files that this process makes beside `main` would belong to a user that `main`'s owner is not:
/// then the owner could not write to them. Root's are given to the owner by `SQLite`.
pub(super) fn would_be_foreign(main: &Path) -> io::Result<bool> {
    let user = geteuid();
    Ok(!user.is_root() && fs::metadata(main)?.uid() != user.as_raw())
}

/// Closes `connection`, which has read from `main`. Where others use the log it is left to them; where the last
/// of them has left meanwhile it is moved and removed, as that one would have done.
pub(super) fn leave(connection: Connection, main: &Path) -> rusqlite::Result<()> {
    // Without a lock table SQLite's own check has to do: it tries for the whole file.
    let others = Sidecars::of(main).used_by_others().unwrap_or(false);
    set_on_close(&connection, if others { OnClose::LeaveFiles } else { OnClose::Tidy })?;
    connection.close().map_err(|(_, cause)| cause)
}

// Whether a row of the lock table shows somebody but `own` on the index byte of `inode`. The table's device is the
// superblock's, which `stat` may not tell: it is taken from the row of our own, and while we are not connected
// the inode has to do.
fn others_hold(table: &str, inode: u64, own: i32) -> bool {
    let holds: Vec<Hold<'_>> = table
        .lines()
        .filter_map(Hold::parse)
        .filter(|it| it.inode == inode && it.covers(INDEX_BYTE))
        .collect();
    let device = holds.iter().find(|it| it.pid == own).map(|it| it.device);
    holds.iter().any(|it| it.pid != own && device.is_none_or(|device| device == it.device))
}

// A held lock: `1: POSIX  ADVISORY  READ  4711 fe:00:42 128 128`. A waiter has `->` after its number.
struct Hold<'a> {
    pid: i32,
    device: &'a str,
    inode: u64,
    start: u64,
    end: u64,
}

impl<'a> Hold<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX" | "OFDLCK", _, _, pid, file, start, end] = fields[..] else {
            return None;
        };
        let (device, inode) = file.rsplit_once(':')?;
        let end = if end == "EOF" { u64::MAX } else { end.parse().ok()? };
        let (pid, inode, start) = (pid.parse().ok()?, inode.parse().ok()?, start.parse().ok()?);
        Some(Self { pid, device, inode, start, end })
    }

    fn covers(&self, byte: u64) -> bool {
        (self.start..=self.end).contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "1: POSIX  ADVISORY  READ  10 fe:00:42 128 128\n";

    #[test]
    fn another_holder_is_seen_in_whatever_range_covers_the_byte() {
        for row in [
            "2: POSIX  ADVISORY  READ  20 fe:00:42 128 128",
            "2: POSIX  ADVISORY  READ  20 fe:00:42 127 128",
            "2: POSIX  ADVISORY  WRITE 20 fe:00:42 0 EOF",
            "2: OFDLCK ADVISORY  READ  -1 fe:00:42 128 128",
        ] {
            assert!(others_hold(&format!("{OWN}{row}\n"), 42, 10), "{row}");
            assert!(others_hold(row, 42, 10), "{row}");
        }
    }

    #[test]
    fn what_is_no_hold_of_others_on_that_byte_is_not_taken_for_one() {
        for row in [
            "",
            "2: POSIX  ADVISORY  READ  20 fe:00:43 128 128",
            "2: POSIX  ADVISORY  READ  20 fe:01:42 128 128",
            "2: POSIX  ADVISORY  READ  20 fe:00:42 123 127",
            "2: -> POSIX  ADVISORY  WRITE 20 fe:00:42 128 128",
            "2:  -> POSIX  ADVISORY  WRITE 20 fe:00:42 128 128",
            "2: FLOCK  ADVISORY  WRITE 20 fe:00:42 0 EOF",
            "2: POSIX  ADVISORY  READ  20 <none>:42 128",
        ] {
            assert!(!others_hold(&format!("{OWN}{row}\n"), 42, 10), "{row}");
        }
    }
}
