//! `/proc/locks`: who holds which byte range of which file (`proc_locks(5)`).
//!
//! A row is a *range*: the kernel merges neighbouring locks of one process and type, so that READ4 and byte
//! 128 print as `127 128`. Ask by overlap, never by the start of a row.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read},
    ops::RangeInclusive,
    path::Path,
};

use crate::observe::{files::Sight, mounts::Device};

// The kernel gives about a page of rows at a time, and lets go of the table between two of them: rows can slip through.
const PAGE: usize = 4000;
// How often a table of several pages is read at most. Two readings that agree are enough.
const READINGS: usize = 3;
// A small buffer would make it let go after every row.
const BUFFER: usize = 64 << 10;

/// The byte of `-shm` on which every process with the index open holds a lock for life (`SQLite`'s `DMS`).
pub const INDEX_BYTE: u64 = 128;

/// One lock that is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// `None`: an open-file-description lock, or a holder that this PID namespace does not show.
    pub pid: Option<i32>,
    /// Whether it belongs to an open file description and not to a process.
    pub is_ofd: bool,
    /// Whether it excludes others (WRITE), or is shared (READ).
    pub is_write: bool,
    /// Device of the file's superblock.
    pub device: Device,
    /// Inode of the file.
    pub inode: u64,
    /// First and last byte.
    pub bytes: RangeInclusive<u64>,
}

impl Row {
    /// Whether any byte of `bytes` is locked by this row.
    pub fn overlaps(&self, bytes: &RangeInclusive<u64>) -> bool {
        self.bytes.start() <= bytes.end() && bytes.start() <= self.bytes.end()
    }

    /// Whether `other`, a row of `fdinfo`, is this lock: that says nothing of the process in either.
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

/// Every POSIX and open-file-description lock that the `/proc` at `proc` shows.
///
/// # Errors
///
/// Where the table cannot be read.
pub fn read(proc: &Path) -> io::Result<Vec<Row>> {
    let path = proc.join("locks");
    let mut text = read_pages(&path)?;
    let mut rows = parse(&text);
    for _ in 1..READINGS {
        if text.len() < PAGE {
            break;
        }
        let again = read_pages(&path)?;
        if again == text {
            break;
        }
        // What slipped through one reading is in the other; of a lock that moved, the newer row comes first.
        let newer = parse(&again);
        let known: HashSet<&Row> = newer.iter().collect();
        rows.retain(|row| !known.contains(row));
        rows.splice(0..0, newer);
        text = again;
    }
    Ok(rows)
}

/// Whether `rows` show another process than `own` on `byte` of the file with `inode`. This is for a process that is
/// connected to the database: it must not open the file, and `stat` may tell another device than the table does,
/// so the device is that of its own row. Where it has none the inode has to do.
pub fn others_hold(rows: &[Row], inode: u64, byte: u64, own: i32) -> bool {
    let holds = || rows.iter().filter(|row| row.inode == inode && row.covers(byte));
    let device = holds().find(|row| row.pid == Some(own)).map(|row| row.device);
    holds().any(|row| row.pid != Some(own) && device.is_none_or(|device| device == row.device))
}

fn read_pages(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut text, mut buffer) = (Vec::new(), vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The rows in `text`, each once. Waiters, other kinds of locks and lines that make no sense are passed over.
pub fn parse(text: &str) -> Vec<Row> {
    let mut known = HashSet::new();
    text.lines().filter_map(row).filter(|row| known.insert(row.clone())).collect()
}

/// The rows that are about the file in `sight`.
pub fn of<'a>(rows: &'a [Row], sight: &'a Sight) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(|row| sight.is(row.device, row.inode))
}

// `N: POSIX  ADVISORY  WRITE 71201 fe:00:1234 120 120`; a waiter has `->` before its type. In `fdinfo` the
// same line follows the word `lock:`.
fn row(line: &str) -> Option<Row> {
    let mut fields = line.trim_start().trim_start_matches("lock:").split_ascii_whitespace();
    fields.next()?.strip_suffix(':')?;
    let is_ofd = match fields.next()? {
        "POSIX" => false,
        "OFDLCK" => true,
        _ => return None,
    };
    let _mode = fields.next()?;
    let is_write = match fields.next()? {
        "WRITE" => true,
        "READ" => false,
        _ => return None,
    };
    let pid = fields.next()?.parse().ok().filter(|&pid: &i32| pid > 0);
    let mut place = fields.next()?.split(':');
    let device = (hexadecimal(place.next()?)?, hexadecimal(place.next()?)?);
    let inode = place.next()?.parse().ok()?;
    let start = fields.next()?.parse().ok()?;
    let end = match fields.next()? {
        "EOF" => u64::MAX,
        end => end.parse().ok()?,
    };
    Some(Row { pid, is_ofd, is_write, device, inode, bytes: start..=end })
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
        let row = Row {
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

    const OWN: &str = "1: POSIX  ADVISORY  READ  10 fe:00:42 128 128\n";

    #[test]
    fn another_holder_is_seen_in_whatever_range_covers_the_byte() {
        for row in [
            "2: POSIX  ADVISORY  READ  20 fe:00:42 128 128",
            "2: POSIX  ADVISORY  READ  20 fe:00:42 127 128",
            "2: POSIX  ADVISORY  WRITE 20 fe:00:42 0 EOF",
            "2: OFDLCK ADVISORY  READ  -1 fe:00:42 128 128",
        ] {
            assert!(others_hold(&parse(&format!("{OWN}{row}\n")), 42, INDEX_BYTE, 10), "{row}");
            assert!(others_hold(&parse(row), 42, INDEX_BYTE, 10), "{row}");
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
        ] {
            assert!(!others_hold(&parse(&format!("{OWN}{row}\n")), 42, INDEX_BYTE, 10), "{row}");
        }
    }
}
