//! A row of the lock table.
//!
//! A row is a *range*: the kernel merges neighbouring locks of one process and type, so that READ4 and byte 128 print
//! as `127 128`. Test for overlap, never for the start of a row.

#[cfg(test)]
use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::{
    file_format::{INDEX_LOCKS, MAIN_LOCKS},
    observe::proc::mounts::DeviceNumber,
    snapshot::FileLockKind,
};

// The bytes that SQLite locks: in `-shm`, and in the main file.
const LOCKED: [RangeInclusive<u64>; 2] = [INDEX_LOCKS, MAIN_LOCKS];

/// One lock that is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockRow {
    /// `None`: an open-file-description lock, or a holder that is not visible in this PID namespace.
    pub pid: Option<i32>,
    /// Whether it belongs to an open file description and not to a process.
    pub is_ofd: bool,
    /// Whether it excludes others (WRITE), or is shared (READ).
    pub is_write: bool,
    /// Device of the file's superblock.
    pub device: DeviceNumber,
    pub inode: u64,
    pub bytes: RangeInclusive<u64>,
}

impl LockRow {
    /// Whether any byte of `bytes` is locked by this row.
    pub fn overlaps(&self, bytes: &RangeInclusive<u64>) -> bool {
        self.bytes.start() <= bytes.end() && bytes.start() <= self.bytes.end()
    }

    /// Whether `other`, a row of `fdinfo`, is this lock. The process is ignored in both.
    pub fn is_taken_as(&self, other: &Self) -> bool {
        other.is_write == self.is_write && other.inode == self.inode && other.bytes == self.bytes
    }

    /// Whether `byte` is locked by this row.
    pub fn covers(&self, byte: u64) -> bool {
        self.bytes.contains(&byte)
    }

    /// Whether every byte of `bytes` is locked by this row.
    pub fn covers_all(&self, bytes: &RangeInclusive<u64>) -> bool {
        self.covers(*bytes.start()) && self.covers(*bytes.end())
    }
}

/// A lock on a file that is none of the watched ones, or a process that waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OtherRow {
    /// A waiter has the number of the lock that it waits for.
    pub number: u64,
    pub kind: FileLockKind,
    pub is_waiter: bool,
    /// `None`: an open-file-description lock, or a process that is not visible in this PID namespace.
    pub pid: Option<i32>,
    pub is_write: bool,
    pub device: DeviceNumber,
    pub inode: u64,
}

/// The lock or the waiter in `line`, unless it is on bytes that SQLite locks.
pub fn other_row(line: &[u8]) -> Option<OtherRow> {
    // Most rows are of other databases, and are not parsed further.
    let last =
        line.trim_ascii_end().rsplit(|&byte| byte == b' ').next().and_then(|last| str::from_utf8(last).ok());
    let end = last.and_then(|last| last.parse::<u64>().ok());
    if end.is_some_and(|end| LOCKED.iter().any(|bytes| bytes.contains(&end))) {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let number = fields.next()?.strip_suffix(':')?.parse().ok()?;
    let mut kind = fields.next()?;
    let is_waiter = kind == "->";
    if is_waiter {
        kind = fields.next()?;
    }
    let kind = match kind {
        "POSIX" => FileLockKind::Posix,
        "OFDLCK" => FileLockKind::Ofd,
        "FLOCK" => FileLockKind::Flock,
        _ => return None,
    };
    let _mode = fields.next()?;
    let is_write = is_write(fields.next()?)?;
    let pid = pid(fields.next()?);
    let (device, inode) = place(fields.next()?)?;
    Some(OtherRow { number, kind, is_waiter, pid, is_write, device, inode })
}

/// The lock in `line`, if it is on bytes that SQLite locks.
pub fn row_of_sqlite(line: &[u8]) -> Option<LockRow> {
    let row = std::str::from_utf8(line).ok().and_then(row)?;
    LOCKED.iter().any(|bytes| row.overlaps(bytes)).then_some(row)
}

// The inode of a row, which follows its last colon. Most rows are about other files, and are not parsed further.
pub(super) fn inode(line: &[u8]) -> Option<u64> {
    let from = line.iter().rposition(|&byte| byte == b':')? + 1;
    let digits = line[from..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The locks in `text` on any file, each once. Waiters, other kinds of locks and invalid lines are skipped.
#[cfg(test)]
pub fn parse(text: &str) -> Vec<LockRow> {
    let mut known = HashSet::new();
    text.lines().filter_map(row).filter(|row| known.insert(row.clone())).collect()
}

// `N: POSIX  ADVISORY  WRITE 71201 fe:00:1234 120 120`; a waiter has `->` before its type. In `fdinfo` the same line
// follows the word `lock:`.
fn row(line: &str) -> Option<LockRow> {
    let mut fields = line.trim_start().trim_start_matches("lock:").split_ascii_whitespace();
    fields.next()?.strip_suffix(':')?;
    let is_ofd = match fields.next()? {
        "POSIX" => false,
        "OFDLCK" => true,
        _ => return None,
    };
    let _mode = fields.next()?;
    let is_write = is_write(fields.next()?)?;
    let pid = pid(fields.next()?);
    let (device, inode) = place(fields.next()?)?;
    let start = fields.next()?.parse().ok()?;
    let end = match fields.next()? {
        "EOF" => u64::MAX,
        end => end.parse().ok()?,
    };
    Some(LockRow { pid, is_ofd, is_write, device, inode, bytes: start..=end })
}

fn is_write(text: &str) -> Option<bool> {
    match text {
        "WRITE" => Some(true),
        "READ" => Some(false),
        _ => None,
    }
}

fn pid(text: &str) -> Option<i32> {
    text.parse().ok().filter(|&pid| pid > 0)
}

// Device and inode.
fn place(text: &str) -> Option<(DeviceNumber, u64)> {
    let mut place = text.split(':');
    let device = (hexadecimal(place.next()?)?, hexadecimal(place.next()?)?);
    Some((device, place.next()?.parse().ok()?))
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_decoded() {
        let rows = parse("1: POSIX  ADVISORY  WRITE 71201 fe:1b:1234 120 121\n");
        let row = LockRow {
            pid: Some(71201),
            is_ofd: false,
            is_write: true,
            device: (0xfe, 0x1b),
            inode: 1234,
            bytes: 120..=121,
        };
        assert_eq!(rows, [row]);
    }

    #[test]
    fn merged_ranges_are_decoded_by_overlap() {
        let row = &parse("7: POSIX  ADVISORY  READ 9 00:28:5 127 128")[0];
        assert!(row.covers(127) && row.covers(128) && !row.covers(126));
        assert!(row.overlaps(&(120..=127)) && !row.overlaps(&(120..=126)));
        assert!(row.covers_all(&(127..=128)) && !row.covers_all(&(126..=127)));
    }

    #[test]
    fn rows_of_other_files_are_of_any_kind_and_no_bytes_of_sqlite() {
        let row = |text: &str| other_row(text.as_bytes());
        let flock = row("12: FLOCK  ADVISORY  WRITE 70 fe:00:5 0 EOF\n").expect("a lock");
        assert_eq!(
            (flock.number, flock.kind, flock.is_waiter, flock.pid),
            (12, FileLockKind::Flock, false, Some(70))
        );
        let waiter = row("12:  -> FLOCK  ADVISORY  READ 71 fe:00:5 0 EOF").expect("a waiter");
        assert!(waiter.is_waiter && !waiter.is_write && (waiter.number, waiter.inode) == (12, 5));
        assert_eq!(
            row("1: OFDLCK ADVISORY  WRITE -1 fe:00:5 0 EOF").map(|row| (row.kind, row.pid)),
            Some((FileLockKind::Ofd, None))
        );
        for text in [
            "1: POSIX  ADVISORY  READ 70 fe:00:5 128 128",
            "1: POSIX  ADVISORY  READ 70 fe:00:5 1073741826 1073742335",
            "1: LEASE  ACTIVE    READ 70 fe:00:5 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 70 <none>:0 0 EOF",
            "",
        ] {
            assert_eq!(row(text), None, "{text}");
        }
    }

    #[test]
    fn waiters_hold_nothing() {
        let text = "1: POSIX  ADVISORY  WRITE 10 fe:00:5 0 EOF\n\
                    1: -> POSIX  ADVISORY  WRITE 11 fe:00:5 0 EOF\n\
                    1:  -> POSIX  ADVISORY  WRITE 12 fe:00:5 0 EOF\n\
                    1:   -> POSIX  ADVISORY  READ  13 fe:00:5 0 7\n";
        let rows = parse(text);
        assert_eq!(rows.iter().map(|row| row.pid).collect::<Vec<_>>(), [Some(10)]);
        assert_eq!(rows[0].bytes, 0..=u64::MAX);
    }

    #[test]
    fn holders_that_cannot_be_seen_have_no_pid() {
        let rows = parse(
            "1: OFDLCK ADVISORY  READ  -1 fe:00:5 128 128\n2: POSIX  *NOINODE* READ  0 fe:00:5 124 124",
        );
        assert_eq!(
            rows.iter().map(|row| (row.pid, row.is_ofd)).collect::<Vec<_>>(),
            [(None, true), (None, false)]
        );
    }

    #[test]
    fn other_kinds_repeats_and_rubbish_are_passed_over() {
        let text = "1: FLOCK  ADVISORY  WRITE 10 fe:00:5 0 EOF\n\
                    2: LEASE  ACTIVE    READ 10 fe:00:5 0 EOF\n\
                    3: POSIX  ADVISORY  READ 10 <none>:0 0 EOF\n\
                    4: POSIX  ADVISORY  READ 10 fe:00:5\n\
                    \u{fffd}\n\n5:\n\
                    6: POSIX  ADVISORY  UNLCK 10 fe:00:5 1 2\n\
                    7: POSIX  ADVISORY  READ 10 fe:00:5 1 2\n\
                    8: POSIX  ADVISORY  READ 10 fe:00:5 1 2\n";
        assert_eq!(parse(text).len(), 1);
    }

    #[test]
    fn a_row_of_fdinfo_is_the_same_row() {
        let rows = parse("pos:\t0\nflags:\t02100002\nlock:\t1: OFDLCK ADVISORY  READ -1 fe:00:5 128 128\n");
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn a_row_of_fdinfo_is_a_lock_of_the_table_only_where_kind_file_and_bytes_agree() {
        let row = |text: &str| parse(text).remove(0);
        let listed = row("1: OFDLCK ADVISORY  WRITE -1 fe:00:5 120 120");
        assert!(
            listed.is_taken_as(&row("lock: 3: OFDLCK ADVISORY  WRITE 7 00:28:5 120 120")),
            "the process aside"
        );
        for other in ["READ -1 fe:00:5 120 120", "WRITE -1 fe:00:6 120 120", "WRITE -1 fe:00:5 120 121"] {
            assert!(!listed.is_taken_as(&row(&format!("1: OFDLCK ADVISORY  {other}"))), "{other}");
        }
    }
}
