//! `/proc/locks`: which process holds which byte range of which file (`proc_locks(5)`).

use std::{
    collections::HashSet,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use crate::{
    bounded::{self, CutReason, ReadLimits},
    clock,
    observe::{files::FileSighting, proc::mounts::DeviceNumber},
    paths::FileId,
};

mod row;

#[cfg(test)]
pub use row::parse;
pub use row::{LockRow, OtherRow, row_of_sqlite};

use row::{inode, other_row};

// The kernel prints about a page of rows at a time, and unlocks the table between two of them: rows can be missed.
const PAGE: u64 = 4000;
// A table of several pages that takes at most this much CPU time is read again for missed rows. While the kernel prints a page,
// no process on the machine can take or release a lock, so reading a longer table again costs other processes too much.
const CHEAP: Duration = Duration::from_millis(20);
// Any user can make the table this long: each lock of each process has a row, and reading 100,000 rows takes seconds.
const BOUNDS: ReadLimits = ReadLimits { bytes: 16 << 20, time: Duration::from_millis(250) };
// The maximum of rows kept for the watched files. A process needs about twenty, but each byte can have its own row.
const MOST_ROWS: usize = 10_000;
// The same for all other files.
const MOST_OTHERS: usize = 1000;

/// The rows of the lock table for some files.
#[derive(Debug, Clone, Default)]
pub struct LockTable {
    /// The rows on the files, each once.
    pub rows: Vec<LockRow>,
    /// Rows on other files, on bytes that SQLite does not lock; at most [`MOST_OTHERS`].
    pub others: Vec<OtherRow>,
    /// Why rows may be missing. A lock without a row may then still be held.
    pub cut: Option<CutReason>,
}

/// The POSIX and open-file-description locks on files with one of `inodes`, on bytes that SQLite locks, as the `/proc`
/// at `proc` shows them.
///
/// # Errors
///
/// If the table cannot be read.
pub fn read(proc: &Path, inodes: &[u64]) -> io::Result<LockTable> {
    let path = proc.join("locks");
    read_for_missed_rows(|| File::open(&path), inodes, BOUNDS)
}

// `open` is called again if rows may have been missed.
fn read_for_missed_rows<R: io::Read>(
    mut open: impl FnMut() -> io::Result<R>,
    inodes: &[u64],
    bounds: ReadLimits,
) -> io::Result<LockTable> {
    let begin = clock::cpu_time();
    let (mut table, bytes) = read_once(open()?, inodes, bounds)?;
    let took = clock::cpu_time().saturating_sub(begin);
    if bytes < PAGE || table.rows.is_empty() || took > CHEAP || table.cut.is_some() {
        return Ok(table);
    }
    let (again, _) = read_once(open()?, inodes, bounds)?;
    // The other reading has the rows that one reading missed. For a lock that moved, the newer row comes first.
    let known: HashSet<&LockRow> = again.rows.iter().collect();
    table.rows.retain(|row| !known.contains(row));
    table.rows.splice(0..0, again.rows.iter().cloned());
    table.others = again.others;
    table.cut = again.cut;
    Ok(table)
}

/// Whether another process than `own` holds a lock on `byte` of `file`, as the `/proc` at `proc` shows it. This is for
/// a process that is connected to the database and must not open the file. `stat` may report another device than the
/// table does, so the device is taken from the row of `own`. Without such a row the inode alone decides.
///
/// # Errors
///
/// If the table cannot be read; and if no such process has a row, and rows may be missing
/// ([`io::ErrorKind::TimedOut`]).
pub fn others_hold(proc: &Path, file: &Metadata, byte: u64, own: i32) -> io::Result<bool> {
    let device = FileId::of(file).numbers();
    others_on(File::open(proc.join("locks"))?, (device, file.ino()), byte, own, BOUNDS)
}

fn others_on(
    source: impl io::Read,
    (stat_device, file): (DeviceNumber, u64),
    byte: u64,
    own: i32,
    bounds: ReadLimits,
) -> io::Result<bool> {
    let (mut own_device, mut others) = (None, HashSet::new());
    let reading = bounded::each_line(source, bounds, |line| {
        if inode(line) != Some(file) {
            return true;
        }
        if let Some(row) = row_of_sqlite(line).filter(|row| row.covers(byte)) {
            if row.pid == Some(own) {
                own_device = Some(row.device);
            } else {
                others.insert(row.device);
            }
        }
        // Each device has its own number, so the remaining rows need not be read.
        !others.contains(&own_device.unwrap_or(stat_device))
    })?;
    if own_device.map_or(!others.is_empty(), |device| others.contains(&device)) {
        return Ok(true);
    }
    match reading.cut {
        None => Ok(false),
        Some(cut) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("the lock table: {cut}"))),
    }
}

// Also returns the number of bytes read.
fn read_once(source: impl io::Read, inodes: &[u64], bounds: ReadLimits) -> io::Result<(LockTable, u64)> {
    let (mut rows, mut known, mut others) = (Vec::new(), HashSet::new(), Vec::new());
    let reading = bounded::each_line(source, bounds, |line| {
        if !inode(line).is_some_and(|inode| inodes.contains(&inode)) {
            if others.len() < MOST_OTHERS {
                others.extend(other_row(line));
            }
        } else if let Some(row) = row_of_sqlite(line)
            && known.insert(row.clone())
        {
            rows.push(row);
        }
        rows.len() < MOST_ROWS
    })?;
    let is_full = rows.len() == MOST_ROWS;
    let cut = if is_full { Some(CutReason::Lines(MOST_ROWS)) } else { reading.cut };
    Ok((LockTable { rows, others, cut }, reading.bytes))
}

/// The rows about the file in `sight`.
pub fn of<'a>(rows: &'a [LockRow], sight: &'a FileSighting) -> impl Iterator<Item = &'a LockRow> {
    rows.iter().filter(|row| sight.is(row.device, row.inode))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::file_format::{INDEX_BYTE, INDEX_LOCKS, MAIN_LOCKS};
    use crate::fuzz::for_a_while;

    const OTHER: &str = "2: POSIX  ADVISORY  READ  20 fe:00:42 128 128\n";
    const OWN: &str = "1: POSIX  ADVISORY  READ  10 fe:00:42 128 128\n";

    const PATIENT: ReadLimits = ReadLimits { time: Duration::from_hours(1), ..BOUNDS };

    fn table(text: &str) -> LockTable {
        read_once(text.as_bytes(), &[42], PATIENT).expect("it can be read").0
    }

    fn asked(source: impl io::Read, bounds: ReadLimits) -> io::Result<bool> {
        others_on(source, ((8, 1), 42), INDEX_BYTE, 10, bounds)
    }

    fn held(text: &str) -> bool {
        asked(text.as_bytes(), PATIENT).expect("a whole table")
    }

    #[test]
    fn another_holder_is_seen_in_whatever_range_covers_the_byte() {
        for row in [
            "2: POSIX  ADVISORY  READ  20 fe:00:42 128 128",
            "2: POSIX  ADVISORY  READ  20 fe:00:42 127 128",
            "2: POSIX  ADVISORY  WRITE 20 fe:00:42 0 EOF",
            "2: OFDLCK ADVISORY  READ  -1 fe:00:42 128 128",
        ] {
            assert!(held(&format!("{OWN}{row}\n")), "{row}");
            assert!(held(row), "{row}");
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
            assert!(!held(&format!("{OWN}{row}\n")), "{row}");
        }
    }

    #[test]
    fn only_rows_on_the_files_and_on_bytes_that_sqlite_locks_are_kept() {
        let rows = table(
            "1: POSIX  ADVISORY  READ  10 fe:00:42 128 128\n\
             2: POSIX  ADVISORY  READ  10 fe:00:43 128 128\n\
             3: POSIX  ADVISORY  READ  10 fe:00:142 128 128\n\
             4: POSIX  ADVISORY  READ  10 fe:00:42 130 131\n\
             5: POSIX  ADVISORY  WRITE 10 fe:00:42 1073741825 1073741825\n",
        );
        assert_eq!(rows.rows.iter().map(|row| *row.bytes.start()).collect::<Vec<_>>(), [128, 0x4000_0001]);
        assert_eq!(rows.cut, None);
    }

    #[test]
    fn only_a_table_of_several_pages_is_read_again_for_missed_rows() {
        let foreign = "1: POSIX  ADVISORY  WRITE 7 fe:00:43 2 2\n";
        let long = foreign.repeat(100);
        for (before, expected) in [(foreign, &[Some(10)][..]), (&long, &[Some(20), Some(10)])] {
            let mut readings = [OTHER.to_owned(), format!("{before}{OWN}")].to_vec();
            let open = || Ok(io::Cursor::new(readings.pop().expect("at most twice")));
            let table = read_for_missed_rows(open, &[42], PATIENT).expect("it can be read");
            let pids: Vec<_> = table.rows.iter().map(|row| row.pid).collect();
            assert_eq!(pids, expected, "{} bytes", before.len());
        }
    }

    #[test]
    fn a_cut_table_never_says_that_no_process_holds_a_byte() {
        let foreign = "1: POSIX  ADVISORY  WRITE 7 fe:00:43 2 2\n".repeat(1000);
        let bounds = ReadLimits { bytes: 1000, ..PATIENT };
        let own_first = format!("{OWN}{foreign}{OTHER}");
        let table = read_once(Pages(own_first.as_bytes()), &[42], bounds).expect("it can be read").0;
        assert_eq!((table.rows.len(), table.cut), (1, Some(CutReason::Bytes(1000))));
        let answer = asked(Pages(own_first.as_bytes()), bounds);
        assert_eq!(answer.expect_err("not known").kind(), io::ErrorKind::TimedOut);
        let other_first = format!("{OTHER}{foreign}");
        assert!(asked(Pages(other_first.as_bytes()), bounds).expect("a row is proof"));
    }

    #[test]
    fn a_holder_of_the_very_device_ends_the_reading() {
        let endless = io::Read::chain(OTHER.as_bytes(), io::repeat(b'\n'));
        let of = |device| others_on(endless, (device, 42), INDEX_BYTE, 10, PATIENT);
        assert!(of((0xfe, 0)).expect("found"));
    }

    #[test]
    fn rows_on_the_files_themselves_have_a_bound() {
        let mut text = String::new();
        for pid in 1..=MOST_ROWS + 5 {
            text += &format!("1: POSIX  ADVISORY  READ  {pid} fe:00:42 128 128\n");
        }
        let table = table(&text);
        assert_eq!((table.rows.len(), table.cut), (MOST_ROWS, Some(CutReason::Lines(MOST_ROWS))));
    }

    /// Gives at most a hundred bytes a reading.
    struct Pages<'a>(&'a [u8]);

    impl io::Read for Pages<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            io::Read::take(&mut self.0, 100).read(buffer)
        }
    }

    #[test]
    fn fuzz_lock_rows() {
        let field = "( |:|->|POSIX|OFDLCK|FLOCK|READ|WRITE|ADVISORY|EOF|lock:|fe:00:42|<none>|-?[0-9]{0,21}|[0-9a-f]{0,9}|.)";
        let line =
            format!("([0-9]{{1,3}}: (-> )?(POSIX|OFDLCK) +ADVISORY +(READ|WRITE) )?({field} ?){{0,9}}");
        for_a_while("lock rows", |runner| {
            runner.run(&format!("({line}\n){{0,5}}").as_str(), |text| {
                let rows = parse(&text);
                for row in &rows {
                    prop_assert!(row.pid.is_none_or(|pid| pid > 0));
                    prop_assert!(text.contains(&row.inode.to_string()));
                }
                // The filter loses no row that is about a watched file.
                let inodes: Vec<u64> = rows.iter().map(|row| row.inode).collect();
                let kept = read_once(text.as_bytes(), &inodes, PATIENT).expect("it can be read").0.rows;
                let is_locked = |row: &&LockRow| row.overlaps(&INDEX_LOCKS) || row.overlaps(&MAIN_LOCKS);
                prop_assert!(rows.iter().filter(is_locked).eq(&kept), "{:?} {:?}", rows, kept);
                Ok(())
            })
        });
    }
}
