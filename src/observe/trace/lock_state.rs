//! The locks that each owner holds on SQLite's bytes of a file, from the requests in the order of the trace.
//!
//! A request names a range, and the kernel merges neighbouring ranges of one kind: recovery prints 120 to 122, and
//! RESERVED is taken alone and released together with PENDING. So each byte has its own state.

use std::{collections::HashMap, ops::RangeInclusive, time::Duration};

use super::event::{LockRequest, RequestKind};
use crate::{
    file_format::{
        CHECKPOINT_BYTE, INDEX_BYTE, INDEX_LOCKS, READ_BYTES, RECOVER_BYTE, RESERVED_BYTE, WRITE_BYTE,
    },
    history::SampledLock,
};

/// Which of a database's files has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockedFile {
    Main,
    Index,
}

/// The bytes whose states are kept, by their bit.
const INDEX_BITS: u64 = 9;
const RESERVED_BIT: u64 = 9;

/// What an owner holds: a bit for each byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldBits {
    shared: u64,
    exclusive: u64,
}

/// An owner of locks on one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerState {
    pub pid: i32,
    held: HeldBits,
    /// Since when it has a lock on a read slot.
    pub reading_since: Option<Duration>,
}

/// The beginning or end of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockEdge {
    pub lock: SampledLock,
    pub is_taken: bool,
}

/// The states of all owners of one file.
#[derive(Debug, Clone, Default)]
pub struct FileLocks {
    owners: HashMap<u64, OwnerState>,
}

impl FileLocks {
    /// Forgets everything: what happened since the last request is not known.
    pub fn clear(&mut self) {
        self.owners.clear();
    }

    pub fn owner(&self, owner: u64) -> OwnerState {
        self.owners.get(&owner).copied().unwrap_or_default()
    }

    /// The owner that holds `lock`; in a rollback database RESERVED is the write lock.
    pub fn holder(&self, file: LockedFile, lock: SampledLock) -> Option<OwnerState> {
        self.owners.values().find(|owner| owner.held.has(file, lock)).copied()
    }

    /// Records a lock of `pid` that the lock table shows. Its owner is unknown until the process asks for something.
    pub fn seed(
        &mut self,
        file: LockedFile,
        pid: i32,
        bytes: RangeInclusive<u64>,
        is_exclusive: bool,
        at: Duration,
    ) {
        let kind = if is_exclusive { RequestKind::Exclusive } else { RequestKind::Shared };
        let state = self.owners.entry(seeded(pid)).or_default();
        state.pid = pid;
        state.held.add(bits(file, bytes), kind);
        if state.held.is_reading() {
            state.reading_since.get_or_insert(at);
        }
    }

    /// Applies a request; returns the holds that begin or end with it.
    pub fn apply(&mut self, file: LockedFile, request: &LockRequest) -> Vec<LockEdge> {
        if request.kind.is_in_vain() {
            return Vec::new();
        }
        if !self.owners.contains_key(&request.owner)
            && let Some(state) = self.owners.remove(&seeded(request.pid))
        {
            self.owners.insert(request.owner, state);
        }
        let state = self.owners.entry(request.owner).or_default();
        let before = state.held;
        state.pid = request.pid;
        state.held.apply(bits(file, request.first..=request.last), request.kind);
        match (before.is_reading(), state.held.is_reading()) {
            (false, true) => state.reading_since = Some(request.at),
            (true, false) => state.reading_since = None,
            _ => {}
        }
        let after = state.held;
        if after == HeldBits::default() {
            self.owners.remove(&request.owner);
        }
        let changed =
            SampledLock::ALL.into_iter().filter(|lock| before.has(file, *lock) != after.has(file, *lock));
        changed.map(|lock| LockEdge { lock, is_taken: after.has(file, lock) }).collect()
    }
}

impl OwnerState {
    pub fn holds(&self, file: LockedFile, lock: SampledLock) -> bool {
        self.held.has(file, lock)
    }

    /// Whether it has the index open, as each process with a connection does.
    pub fn has_index_open(&self) -> bool {
        (self.held.shared | self.held.exclusive) & bits(LockedFile::Index, INDEX_BYTE..=INDEX_BYTE) != 0
    }
}

impl HeldBits {
    fn apply(&mut self, bits: u64, kind: RequestKind) {
        self.shared &= !bits;
        self.exclusive &= !bits;
        self.add(bits, kind);
    }

    fn add(&mut self, bits: u64, kind: RequestKind) {
        match kind {
            RequestKind::Shared => self.shared |= bits,
            RequestKind::Exclusive => self.exclusive |= bits,
            RequestKind::Released | RequestKind::Refused { .. } | RequestKind::Deferred { .. } => {}
        }
    }

    fn has(self, file: LockedFile, lock: SampledLock) -> bool {
        let byte = match (file, lock) {
            (LockedFile::Index, SampledLock::Write) => WRITE_BYTE,
            (LockedFile::Index, SampledLock::Checkpoint) => CHECKPOINT_BYTE,
            (LockedFile::Index, SampledLock::Recover) => RECOVER_BYTE,
            (LockedFile::Main, SampledLock::Write) => RESERVED_BYTE,
            (LockedFile::Main, _) => return false,
        };
        self.exclusive & bits(file, byte..=byte) != 0
    }

    fn is_reading(self) -> bool {
        (self.shared | self.exclusive) & bits(LockedFile::Index, READ_BYTES) != 0
    }
}

// The key of a process whose owner is unknown; the kernel's hashed pointers have 32 bits.
fn seeded(pid: i32) -> u64 {
    u64::MAX - u64::from(pid.unsigned_abs())
}

/// The bits of the bytes in `range` that are asked for. Of the main file that is RESERVED, the write lock of a rollback
/// database.
fn bits(file: LockedFile, range: RangeInclusive<u64>) -> u64 {
    match file {
        LockedFile::Index => (0..INDEX_BITS)
            .filter(|bit| range.contains(&(INDEX_LOCKS.start() + bit)))
            .fold(0, |bits, bit| bits | 1 << bit),
        LockedFile::Main => u64::from(range.contains(&RESERVED_BYTE)) << RESERVED_BIT,
    }
}

/// Whether `request` is on the byte of the write lock.
pub fn is_for_write(file: LockedFile, request: &LockRequest) -> bool {
    let byte = match file {
        LockedFile::Index => WRITE_BYTE,
        LockedFile::Main => RESERVED_BYTE,
    };
    (request.first..=request.last).contains(&byte)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::file_format::PENDING_BYTE;

    /// A request by the owner and process of that number.
    pub fn request(owner: u64, kind: RequestKind, bytes: RangeInclusive<u64>, micros: u64) -> LockRequest {
        LockRequest {
            at: Duration::from_micros(micros),
            thread: i32::try_from(owner).expect("small"),
            pid: i32::try_from(owner).expect("small"),
            device: (254, 0),
            inode: 5,
            owner,
            kind,
            first: *bytes.start(),
            last: *bytes.end(),
        }
    }

    fn taken(lock: SampledLock) -> LockEdge {
        LockEdge { lock, is_taken: true }
    }

    fn released(lock: SampledLock) -> LockEdge {
        LockEdge { lock, is_taken: false }
    }

    #[test]
    fn a_hold_has_two_edges() {
        let mut locks = FileLocks::default();
        let mut apply = |kind, bytes| locks.apply(LockedFile::Index, &request(7, kind, bytes, 0));
        assert_eq!(apply(RequestKind::Shared, 124..=124), []);
        assert_eq!(apply(RequestKind::Exclusive, 120..=120), [taken(SampledLock::Write)]);
        assert_eq!(apply(RequestKind::Exclusive, 120..=120), [], "it has it already");
        assert_eq!(apply(RequestKind::Released, 120..=120), [released(SampledLock::Write)]);
        assert_eq!(apply(RequestKind::Released, 120..=120), [], "a release of nothing");
    }

    #[test]
    fn an_index_is_open_from_the_first_lock_on_its_byte_to_the_last() {
        let mut locks = FileLocks::default();
        let mut is_open = |kind, bytes| {
            locks.apply(LockedFile::Index, &request(7, kind, bytes, 0));
            locks.owner(7).has_index_open()
        };
        assert!(!is_open(RequestKind::Shared, 124..=124) && is_open(RequestKind::Exclusive, 128..=128));
        assert!(is_open(RequestKind::Shared, 128..=128) && is_open(RequestKind::Released, 124..=124));
        assert!(!is_open(RequestKind::Released, 0..=i64::MAX.unsigned_abs()));
    }

    #[test]
    fn merged_ranges_count_for_each_byte() {
        let mut locks = FileLocks::default();
        let mut apply = |kind, bytes| locks.apply(LockedFile::Index, &request(7, kind, bytes, 0));
        let all = SampledLock::ALL;
        assert_eq!(apply(RequestKind::Exclusive, 120..=122), all.map(taken));
        assert_eq!(
            apply(RequestKind::Released, 121..=122),
            all[1..].iter().copied().map(released).collect::<Vec<_>>()
        );
        assert_eq!(apply(RequestKind::Released, 0..=i64::MAX.unsigned_abs()), [released(SampledLock::Write)]);
    }

    #[test]
    fn reserved_is_released_together_with_pending() {
        let mut locks = FileLocks::default();
        let mut apply = |kind, bytes| locks.apply(LockedFile::Main, &request(7, kind, bytes, 0));
        assert_eq!(apply(RequestKind::Exclusive, RESERVED_BYTE..=RESERVED_BYTE), [taken(SampledLock::Write)]);
        assert_eq!(
            apply(RequestKind::Released, PENDING_BYTE..=RESERVED_BYTE),
            [released(SampledLock::Write)]
        );
    }

    #[test]
    fn owners_are_kept_apart() {
        let mut locks = FileLocks::default();
        locks.apply(LockedFile::Index, &request(7, RequestKind::Exclusive, 120..=120, 10));
        let stranger = request(8, RequestKind::Released, 0..=i64::MAX.unsigned_abs(), 20);
        assert_eq!(locks.apply(LockedFile::Index, &stranger), [], "a close by a process that holds nothing");
        assert_eq!(locks.holder(LockedFile::Index, SampledLock::Write).map(|owner| owner.pid), Some(7));
        locks.apply(LockedFile::Index, &request(8, RequestKind::Shared, 125..=125, 30));
        assert_eq!(locks.owner(8).reading_since, Some(Duration::from_micros(30)));
        assert_eq!(locks.owner(7).reading_since, None);
    }

    #[test]
    fn a_holder_from_the_lock_table_is_the_same_once_it_asks_for_something() {
        let micros = Duration::from_micros;
        let mut locks = FileLocks::default();
        let writer =
            |locks: &FileLocks| locks.holder(LockedFile::Index, SampledLock::Write).map(|owner| owner.pid);
        locks.seed(LockedFile::Index, 7, 120..=120, true, micros(5));
        locks.seed(LockedFile::Index, 7, 124..=124, false, micros(5));
        locks.seed(LockedFile::Index, 7, 125..=125, false, micros(9));
        locks.seed(LockedFile::Index, 8, 120..=122, false, micros(5));
        assert_eq!(writer(&locks), Some(7), "a shared lock is not that of a writer");
        assert_eq!(locks.owner(7).reading_since, None, "its owner is not known yet");
        locks.apply(LockedFile::Index, &request(7, RequestKind::Shared, 126..=126, 20));
        assert_eq!((locks.owner(7).pid, locks.owner(7).reading_since), (7, Some(micros(5))));
        let released = locks.apply(LockedFile::Index, &request(7, RequestKind::Released, 120..=120, 30));
        assert_eq!(released, [self::released(SampledLock::Write)]);
        assert_eq!(writer(&locks), None);
    }

    #[test]
    fn nothing_is_known_after_requests_were_missed() {
        let mut locks = FileLocks::default();
        locks.apply(LockedFile::Index, &request(7, RequestKind::Exclusive, 120..=120, 10));
        locks.apply(LockedFile::Index, &request(8, RequestKind::Shared, 124..=124, 10));
        locks.clear();
        assert_eq!(locks.holder(LockedFile::Index, SampledLock::Write), None);
        assert_eq!(locks.owner(8), OwnerState::default());
    }

    #[test]
    fn a_reader_reads_from_its_first_slot_until_it_has_given_back_the_last() {
        let mut locks = FileLocks::default();
        let mut since = |kind, bytes, micros| {
            locks.apply(LockedFile::Index, &request(7, kind, bytes, micros));
            locks.owner(7).reading_since.map(|since| since.as_micros())
        };
        assert_eq!(since(RequestKind::Shared, 128..=128, 5), None, "it has only the index open");
        assert_eq!(since(RequestKind::Shared, 123..=123, 10), Some(10));
        assert_eq!(since(RequestKind::Exclusive, 124..=124, 20), Some(10));
        assert_eq!(since(RequestKind::Released, 123..=123, 30), Some(10));
        assert_eq!(since(RequestKind::Refused { is_exclusive: true }, 123..=127, 35), Some(10));
        assert_eq!(since(RequestKind::Deferred { is_exclusive: true }, 123..=127, 36), Some(10));
        assert_eq!(since(RequestKind::Released, 124..=124, 40), None);
        assert_eq!(since(RequestKind::Shared, 127..=127, 50), Some(50), "another read");
    }

    #[test]
    fn a_downgraded_lock_is_no_longer_exclusive() {
        let mut locks = FileLocks::default();
        let mut apply = |kind, bytes| locks.apply(LockedFile::Index, &request(7, kind, bytes, 0));
        assert_eq!(apply(RequestKind::Exclusive, 121..=121), [taken(SampledLock::Checkpoint)]);
        assert_eq!(apply(RequestKind::Shared, 121..=121), [released(SampledLock::Checkpoint)]);
        assert_eq!(apply(RequestKind::Exclusive, 120..=122), SampledLock::ALL.map(taken));
    }

    #[test]
    fn the_write_lock_is_byte_120_of_the_index_or_reserved() {
        let is_for_write = |file, bytes| is_for_write(file, &request(7, RequestKind::Exclusive, bytes, 0));
        for (bytes, expected) in [(120..=120, true), (119..=121, true), (121..=122, false), (0..=119, false)]
        {
            assert_eq!(is_for_write(LockedFile::Index, bytes.clone()), expected, "{bytes:?}");
        }
        assert!(is_for_write(LockedFile::Main, PENDING_BYTE..=RESERVED_BYTE));
        assert!(!is_for_write(LockedFile::Main, PENDING_BYTE..=PENDING_BYTE));
        let mut locks = FileLocks::default();
        let all = request(7, RequestKind::Exclusive, 0..=i64::MAX.unsigned_abs(), 0);
        assert_eq!(locks.apply(LockedFile::Main, &all), [taken(SampledLock::Write)], "it has no other");
    }
}
