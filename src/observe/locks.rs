//! The meaning of the rows of the lock table to SQLite (<https://sqlite.org/walformat.html#wal_locks>).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use crate::{
    file_format::{
        CHECKPOINT_BYTE, INDEX_BYTE, PENDING_BYTE, READ_BYTES, READ0_BYTE, RECOVER_BYTE, RESERVED_BYTE,
        SHARED_BYTES, WRITE_BYTE,
    },
    observe::{lock_probe::ProbeScope, lock_table::LockRow},
    snapshot::{
        Database, DatabaseLocks, HolderWait, HolderWaitCause, JournalMode, LockHold, LockHolder, LogReader,
        Unseen, WalState,
    },
};

/// The places to probe for holders of `-shm` without a row.
pub const INDEX_PLACES: [(ProbeScope, RangeInclusive<u64>); 9] = [
    (ProbeScope::Writers, WRITE_BYTE..=WRITE_BYTE),
    (ProbeScope::Writers, CHECKPOINT_BYTE..=CHECKPOINT_BYTE),
    (ProbeScope::Writers, RECOVER_BYTE..=RECOVER_BYTE),
    (ProbeScope::Anybody, reader(0)),
    (ProbeScope::Anybody, reader(1)),
    (ProbeScope::Anybody, reader(2)),
    (ProbeScope::Anybody, reader(3)),
    (ProbeScope::Anybody, reader(4)),
    (ProbeScope::Anybody, INDEX_BYTE..=INDEX_BYTE),
];

const fn reader(slot: u64) -> RangeInclusive<u64> {
    READ0_BYTE + slot..=READ0_BYTE + slot
}

/// The same for the main file.
pub const MAIN_PLACES: [(ProbeScope, RangeInclusive<u64>); 3] = [
    (ProbeScope::Writers, PENDING_BYTE..=PENDING_BYTE),
    (ProbeScope::Writers, RESERVED_BYTE..=RESERVED_BYTE),
    (ProbeScope::Anybody, SHARED_BYTES),
];

/// The locks of one database, and the share of each process.
#[derive(Debug, Default)]
pub struct DecodedLocks {
    /// The holder of each lock; the duration is filled in elsewhere.
    pub locks: DatabaseLocks,
    /// What each process holds in addition to the locks of an idle connection.
    pub holds: BTreeMap<i32, BTreeSet<LockHold>>,
    /// The processes with a lock on byte 128.
    pub index_holders: BTreeSet<i32>,
    /// The processes with a lock that overlaps the SHARED bytes of the main file.
    pub main_holders: BTreeSet<i32>,
    /// Why the holder of the write lock waits, if there are readers to wait for.
    waits: Option<HolderWaitCause>,
}

/// What is not seen of `database` where a process has it open, as its lock shows, and no visible one does.
pub fn hidden_holder(database: &Database) -> Option<Unseen> {
    let locks = &database.locks;
    let byte = match (locks.index_held_unseen, locks.main_held_unseen) {
        (true, _) => format!("byte {INDEX_BYTE} of {}-shm", database.name()),
        (false, true) => format!("the SHARED bytes of {}", database.name()),
        (false, false) => return None,
    };
    Some(Unseen {
        what: format!("a process that has {} open", database.path.display()),
        why: format!("it holds {byte}, and runs in another PID namespace or hides its descriptors"),
    })
}

/// Decodes `main` (rows on the main file) and `index` (rows on `-shm`); `read_marks` are those of a trusted index.
pub fn decode(
    mode: JournalMode,
    main: &[LockRow],
    index: &[LockRow],
    read_marks: Option<&[Option<u32>; 5]>,
) -> DecodedLocks {
    let mut decoded = DecodedLocks::default();
    decoded.index_rows(index, read_marks);
    decoded.main_rows(mode, main);
    decoded.locks.readers.sort_by_key(|reader| (reader.slot, reader.pid));
    decoded.locks.readers.dedup();
    decoded
}

impl DecodedLocks {
    /// Whom the holder of the write lock waits for, if it waits.
    pub fn holder_wait(&self, wal: Option<&WalState>) -> Option<HolderWait> {
        match self.waits? {
            HolderWaitCause::Checkpoint => {
                let frames = wal.and_then(|wal| wal.frames);
                HolderWait::of_checkpoint(&self.locks.readers, frames, wal.and_then(|wal| wal.pending))
            }
            HolderWaitCause::Commit => HolderWait::of_commit(&self.locks.readers),
        }
    }

    fn index_rows(&mut self, rows: &[LockRow], read_marks: Option<&[Option<u32>; 5]>) {
        for row in rows {
            if row.covers(INDEX_BYTE) {
                self.locks.index_held = true;
                self.locks.index_held_unseen |= row.pid.is_none();
                self.index_holders.extend(row.pid);
            }
            if row.is_write {
                for (byte, hold) in [
                    (WRITE_BYTE, LockHold::Write),
                    (CHECKPOINT_BYTE, LockHold::Checkpoint),
                    (RECOVER_BYTE, LockHold::Recover),
                ] {
                    if row.covers(byte) {
                        self.note(row.pid, hold);
                    }
                }
                // On the bytes of readers it is an active checkpoint, an update of a mark, or a restart.
                continue;
            }
            for (slot, _) in (0_u8..).zip(READ_BYTES).filter(|&(_, byte)| row.covers(byte)) {
                let mark = |marks: &[Option<u32>; 5]| marks[usize::from(slot)];
                let frame = if slot == 0 { Some(0) } else { read_marks.and_then(mark) };
                self.note(row.pid, LockHold::Read(slot));
                self.locks.readers.push(LogReader {
                    pid: row.pid,
                    label: None,
                    slot: Some(slot),
                    frame,
                    held_ms: None,
                });
            }
        }
        self.locks.writer = first(rows, |row| row.is_write && row.covers(WRITE_BYTE));
        self.locks.checkpointer = first(rows, |row| row.is_write && row.covers(CHECKPOINT_BYTE));
        self.locks.recoverer = first(rows, |row| row.is_write && row.covers(RECOVER_BYTE));
        let is_checkpoint = self.locks.writer.is_some()
            && self.locks.writer == self.locks.checkpointer
            && self.locks.recoverer.is_none();
        // A checkpoint that moves pages holds all of slot 0, and one that restarts the log all other slots.
        let works =
            rows.iter().any(|row| row.is_write && READ_BYTES.into_iter().any(|byte| row.covers(byte)));
        self.waits = (is_checkpoint && !works).then_some(HolderWaitCause::Checkpoint);
    }

    fn main_rows(&mut self, mode: JournalMode, rows: &[LockRow]) {
        for row in rows.iter().filter(|row| row.overlaps(&SHARED_BYTES)) {
            self.locks.main_held = true;
            self.locks.main_held_unseen |= row.pid.is_none();
            self.main_holders.extend(row.pid);
        }
        let is_exclusive = |row: &LockRow| row.is_write && row.covers_all(&SHARED_BYTES);
        self.locks.exclusive = first(rows, is_exclusive);
        for row in rows.iter().filter(|row| is_exclusive(row)) {
            self.note(row.pid, LockHold::Exclusive);
        }
        if mode == JournalMode::Rollback {
            self.rollback_rows(rows);
        }
        // With locking_mode=EXCLUSIVE the bytes of -shm are no longer locked: its holder is the writer.
        if self.locks.writer.is_none() {
            self.locks.writer.clone_from(&self.locks.exclusive);
        }
    }

    fn rollback_rows(&mut self, rows: &[LockRow]) {
        let exclusive = self.locks.exclusive.as_ref().map(|holder| holder.pid);
        let pending = first(rows, |row| row.is_write && row.covers(PENDING_BYTE));
        let reserved = first(rows, |row| row.is_write && row.covers(RESERVED_BYTE));
        let commits = pending.is_some() && self.locks.exclusive.is_none();
        self.waits = commits.then_some(HolderWaitCause::Commit);
        // The strongest of the three implies the others.
        let writer = self.locks.exclusive.clone().or(pending.clone()).or(reserved.clone());
        for (holder, hold) in [(&pending, LockHold::Pending), (&reserved, LockHold::Reserved)] {
            if let Some(holder) = holder
                && Some(holder.pid) != exclusive
                && (hold == LockHold::Pending || pending.as_ref().map(|other| other.pid) != Some(holder.pid))
            {
                self.note(holder.pid, hold);
            }
        }
        let writer_pid = writer.as_ref().and_then(|writer| writer.pid);
        for row in rows.iter().filter(|row| !row.is_write && row.overlaps(&SHARED_BYTES)) {
            if row.pid.is_none() || row.pid != writer_pid {
                self.note(row.pid, LockHold::Shared);
                self.locks.readers.push(LogReader {
                    pid: row.pid,
                    label: None,
                    slot: None,
                    frame: None,
                    held_ms: None,
                });
            }
        }
        self.locks.writer = writer;
    }

    fn note(&mut self, pid: Option<i32>, hold: LockHold) {
        if let Some(pid) = pid {
            self.holds.entry(pid).or_default().insert(hold);
        }
    }
}

fn first(rows: &[LockRow], holds: impl Fn(&LockRow) -> bool) -> Option<LockHolder> {
    rows.iter().find(|row| holds(row)).map(|row| LockHolder { pid: row.pid, label: None, held_ms: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::lock_table;

    fn rows(text: &str) -> Vec<LockRow> {
        let line = |line: &str| format!("1: POSIX ADVISORY {line}\n");
        let (device, mut all) = (" 0:1:1 ", String::new());
        for (pid, rest) in text.lines().map(|row| row.trim().split_once(" at ").expect("a row")) {
            all += &line(&format!("{pid}{device}{rest}"));
        }
        lock_table::parse(&all)
    }

    fn pid(holder: Option<&LockHolder>) -> Option<i32> {
        holder.and_then(|holder| holder.pid)
    }

    fn readers(decoded: &DecodedLocks) -> Vec<(Option<i32>, Option<u8>, Option<u32>)> {
        decoded.locks.readers.iter().map(|reader| (reader.pid, reader.slot, reader.frame)).collect()
    }

    fn holds(decoded: &DecodedLocks, pid: i32) -> Vec<LockHold> {
        decoded.holds.get(&pid).into_iter().flatten().copied().collect()
    }

    const MARKS: [Option<u32>; 5] = [Some(0), Some(6), Some(7), None, Some(9)];

    fn wal(index: &str) -> DecodedLocks {
        decode(JournalMode::Wal, &rows("READ 5 at 1073741826 1073742335"), &rows(index), Some(&MARKS))
    }

    fn rollback(main: &str) -> DecodedLocks {
        decode(JournalMode::Rollback, &rows(main), &[], None)
    }

    #[test]
    fn an_idle_connection_holds_nothing_of_note() {
        let decoded = wal("READ 5 at 128 128");
        assert!(decoded.locks.index_held && decoded.locks.readers.is_empty());
        assert_eq!(decoded.index_holders, BTreeSet::from([5]));
        assert!(decoded.holds.is_empty());
    }

    #[test]
    fn a_reader_is_a_mark_with_a_lock_on_its_byte() {
        let decoded = wal("READ 5 at 127 128\nREAD 6 at 124 125\nREAD 7 at 123 123");
        let expected = [
            (Some(7), Some(0), Some(0)),
            (Some(6), Some(1), Some(6)),
            (Some(6), Some(2), Some(7)),
            (Some(5), Some(4), Some(9)),
        ];
        assert_eq!(readers(&decoded), expected);
        assert_eq!(holds(&decoded, 6), [LockHold::Read(1), LockHold::Read(2)]);
    }

    #[test]
    fn without_a_trusted_index_a_reader_has_no_frame() {
        let decoded = decode(JournalMode::Wal, &[], &rows("READ 5 at 124 124"), None);
        assert_eq!(readers(&decoded), [(Some(5), Some(1), None)]);
    }

    #[test]
    fn a_truncating_checkpoint_holds_two_bytes_in_one_row() {
        let decoded = wal("WRITE 5 at 120 121\nREAD 5 at 128 128");
        assert_eq!(pid(decoded.locks.writer.as_ref()), Some(5));
        assert_eq!(pid(decoded.locks.checkpointer.as_ref()), Some(5));
        assert_eq!(holds(&decoded, 5), [LockHold::Write, LockHold::Checkpoint]);
    }

    #[test]
    fn a_checkpoint_with_the_write_lock_waits_for_readers_unless_it_moves_pages() {
        let waits = |index: &str| wal(index).holder_wait(None).map(|wait| wait.cause);
        let waiting = "WRITE 5 at 120 121\nREAD 6 at 124 124";
        assert_eq!(waits(waiting), Some(HolderWaitCause::Checkpoint));
        assert_eq!(waits("WRITE 5 at 120 121\nREAD 5 at 128 128"), None, "nobody reads");
        assert_eq!(waits(&format!("{waiting}\nWRITE 5 at 123 123")), None, "it moves pages");
        assert_eq!(waits("WRITE 5 at 120 122\nREAD 6 at 124 124"), None, "it recovers");
        assert_eq!(waits("WRITE 5 at 120 120\nREAD 6 at 124 124"), None, "it writes");
        assert_eq!(waits("WRITE 5 at 120 120\nWRITE 7 at 121 121\nREAD 6 at 124 124"), None, "two processes");
    }

    #[test]
    fn a_commit_in_pending_waits_for_the_readers() {
        let waits = |main: &str| rollback(main).holder_wait(None).map(|wait| wait.readers.len());
        let reads = "READ 6 at 1073741826 1073742335";
        let own = "READ 5 at 1073741826 1073742335";
        assert_eq!(waits(&format!("WRITE 5 at 1073741824 1073741825\n{own}\n{reads}")), Some(1));
        assert_eq!(waits(&format!("WRITE 5 at 1073741825 1073741825\n{own}\n{reads}")), None, "RESERVED");
        assert_eq!(waits(&format!("WRITE 5 at 1073741824 1073741825\n{own}")), None);
        assert_eq!(waits("WRITE 5 at 1073741824 1073742335"), None, "it has them all");
    }

    #[test]
    fn copying_and_restarting_are_no_readers_and_probes_are_no_writers() {
        let decoded = wal("WRITE 5 at 121 121\nWRITE 5 at 123 123\nWRITE 6 at 124 127\nREAD 7 at 120 120");
        assert!(decoded.locks.readers.is_empty() && decoded.locks.writer.is_none());
        assert_eq!(holds(&decoded, 5), [LockHold::Checkpoint]);
        assert!(holds(&decoded, 6).is_empty() && holds(&decoded, 7).is_empty());
    }

    #[test]
    fn exclusive_locking_mode_makes_its_holder_the_writer() {
        for first in [1_073_741_826, 1_073_741_824] {
            let main = rows(&format!("WRITE 5 at {first} 1073742335"));
            let decoded = decode(JournalMode::Wal, &main, &rows("READ 5 at 128 128"), Some(&MARKS));
            assert_eq!(pid(decoded.locks.exclusive.as_ref()), Some(5));
            assert_eq!(pid(decoded.locks.writer.as_ref()), Some(5));
            assert_eq!(holds(&decoded, 5), [LockHold::Exclusive]);
        }
    }

    #[test]
    fn rollback_writers_show_their_strongest_lock() {
        let reserved = rollback("WRITE 5 at 1073741825 1073741825\nREAD 5 at 1073741826 1073742335");
        assert_eq!(pid(reserved.locks.writer.as_ref()), Some(5));
        assert_eq!(holds(&reserved, 5), [LockHold::Reserved]);
        assert!(reserved.locks.readers.is_empty() && reserved.locks.exclusive.is_none());

        let pending = rollback(
            "WRITE 5 at 1073741824 1073741825\nREAD 5 at 1073741826 1073742335\nREAD 6 at 1073741826 1073742335",
        );
        assert_eq!(holds(&pending, 5), [LockHold::Pending]);
        assert_eq!(readers(&pending), [(Some(6), None, None)]);
        assert_eq!(holds(&pending, 6), [LockHold::Shared]);

        let exclusive = rollback("WRITE 5 at 1073741824 1073742335");
        assert_eq!(holds(&exclusive, 5), [LockHold::Exclusive]);
        assert_eq!(pid(exclusive.locks.writer.as_ref()), Some(5));
    }

    #[test]
    fn a_commit_that_has_the_whole_file_waits_for_nobody_though_another_is_pending() {
        let both = rollback("WRITE 5 at 1073741826 1073742335\nWRITE 6 at 1073741824 1073741824");
        assert_eq!(both.holder_wait(None).map(|wait| wait.cause), None);
        assert_eq!(pid(both.locks.writer.as_ref()), Some(5));
        assert_eq!((holds(&both, 5), holds(&both, 6)), (vec![LockHold::Exclusive], vec![LockHold::Pending]));
    }

    #[test]
    fn a_reader_that_is_not_visible_is_one_of_its_own() {
        let decoded = rollback("WRITE -1 at 1073741825 1073741825\nREAD -1 at 1073741826 1073742335");
        assert_eq!(readers(&decoded), [(None, None, None)]);
        assert!(decoded.locks.main_held && decoded.locks.main_held_unseen && decoded.main_holders.is_empty());
        let decoded = rollback("READ 5 at 1073741826 1073742335");
        assert!(decoded.locks.main_held && !decoded.locks.main_held_unseen);
        assert_eq!(decoded.main_holders, BTreeSet::from([5]));
    }
}
