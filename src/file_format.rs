//! Constants of SQLite's files: their names, the bytes that it locks, and the sizes of headers.
//!
//! The bytes are from <https://sqlite.org/walformat.html#wal_locks> and SQLite's `os.h`, the sizes from
//! <https://sqlite.org/fileformat2.html>.

use std::ops::RangeInclusive;

/// What SQLite appends to the name of a database for the files beside it.
pub const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The environment variables that name the folder of SQLite's temporary files, in this order
/// (<https://www.sqlite.org/tempfiles.html>, section 5).
pub const TEMPORARY_VARIABLES: [&str; 2] = ["SQLITE_TMPDIR", "TMPDIR"];
/// The folders that come after those.
pub const TEMPORARY_FOLDERS: [&str; 4] = ["/var/tmp", "/usr/tmp", "/tmp", "."];

/// Byte of `-shm` that a writer locks.
pub const WRITE_BYTE: u64 = 120;
/// Byte of `-shm` that a checkpointer locks.
pub const CHECKPOINT_BYTE: u64 = 121;
/// Byte of `-shm` that is locked during recovery.
pub const RECOVER_BYTE: u64 = 122;
/// The first of [`READ_BYTES`]: the one of a reader that ignores the log. A checkpointer locks it while it copies
/// pages.
pub const READ0_BYTE: u64 = 123;
/// Bytes of `-shm` that readers lock, slot 0 first.
pub const READ_BYTES: RangeInclusive<u64> = READ0_BYTE..=READ0_BYTE + 4;
/// Byte of `-shm` on which every process with the index open holds a lock until it closes it (SQLite's `DMS`).
pub const INDEX_BYTE: u64 = 128;
/// All bytes of `-shm` that SQLite locks.
pub const INDEX_LOCKS: RangeInclusive<u64> = WRITE_BYTE..=INDEX_BYTE;

/// Byte of the main file that a writer locks to keep new readers out. Its page never has any content.
pub const PENDING_BYTE: u64 = 0x4000_0000;
/// Byte of the main file that a writer with a rollback journal locks.
pub const RESERVED_BYTE: u64 = PENDING_BYTE + 1;
/// Bytes of the main file that every reader, and every connection in WAL mode, locks.
pub const SHARED_BYTES: RangeInclusive<u64> = PENDING_BYTE + 2..=PENDING_BYTE + 511;
/// All bytes of the main file that SQLite locks: a writer holds an exclusive lock on at least one of them.
pub const MAIN_LOCKS: RangeInclusive<u64> = PENDING_BYTE..=PENDING_BYTE + 511;

/// Bytes of the header of a main file.
pub const MAIN_HEADER: usize = 100;
/// Bytes of the header of a log.
pub const LOG_HEADER: usize = 32;
/// Bytes of the header of a frame, which precedes each page in a log.
pub const FRAME_HEADER: usize = 24;
/// Bytes of the header of an index: two copies of 48 bytes, and 40 of checkpoint information.
pub const INDEX_HEADER: usize = 136;
/// The version at the start of a log and its index.
pub const LOG_VERSION: u32 = 3_007_000;

/// The first bytes of a rollback journal that has something to roll back, and the last ones of a journal that names a
/// super-journal.
pub const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// The fewest bytes of the header of a rollback journal: it fills a whole sector.
pub const JOURNAL_HEADER: u64 = 512;
/// Bytes after the name of a super-journal: its length, the sum of its bytes, and [`JOURNAL_MAGIC`].
pub const JOURNAL_TRAILER: usize = 16;
