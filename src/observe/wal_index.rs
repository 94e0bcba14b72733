//! The wal-index, `-shm`, read without a lock (<https://sqlite.org/walformat.html#walidxfmt>).
//!
//! It is read with `pread`, never mapped: a truncation under a mapping would end this process. Its content counts only
//! while a process holds byte 128, because it keeps its old content after a crash.

use std::{fs::File, io};

use crate::file_format::{INDEX_HEADER, LOG_VERSION};
use crate::observe::{
    checksum::{self, WordOrder},
    files,
};

// Up to 0.4 % of reads hit a writer between the two copies; this many in a row do not happen.
const TRIES: u32 = 20;

/// The content of the wal-index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalIndex {
    /// Commit counter; it wraps and restarts at recovery.
    pub commits: u32,
    pub frames: u32,
    /// Database size in pages as of that frame.
    pub page_count: u32,
    /// Frames that are in the main file.
    pub backfilled: u32,
    pub page_size: u32,
    /// Salts of the log that the index is about, with the bytes in the order of the log's header.
    pub salts: [u8; 8],
    /// Read marks; an unused one is `None`.
    pub read_marks: [Option<u32>; 5],
}

/// The first bytes of an index from one `pread`, to compare with another read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawIndex([u8; INDEX_HEADER]);

impl RawIndex {
    /// Reads them once.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or the file is too short.
    pub fn read(file: &File) -> io::Result<Self> {
        bytes(file).map(Self)
    }

    /// Whether both copies of the header are equal and the checksum is right.
    pub fn is_whole(&self) -> bool {
        parse(&self.0).is_some()
    }

    pub fn frames(&self) -> u32 {
        self.word(16)
    }

    /// Database size in pages as of that frame; 0 if the log has never had one.
    pub fn page_count(&self) -> u32 {
        self.word(20)
    }

    /// Frames that are in the main file.
    pub fn backfilled(&self) -> u32 {
        self.word(96)
    }

    /// The last frame that the last checkpoint attempted to move.
    pub fn attempted(&self) -> u32 {
        self.word(128)
    }

    pub fn page_size(&self) -> u32 {
        let size = u32::from(u16::from_ne_bytes([self.0[14], self.0[15]]));
        (size & 0xfe00) + ((size & 1) << 16)
    }

    /// The salts of the log that the index is about, with the bytes in the order of the log's header.
    pub fn salts(&self) -> [u8; 8] {
        let mut salts = [0; 8];
        salts.copy_from_slice(&self.0[32..40]);
        salts
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
}

/// Reads the index. The lock table decides whether it is trusted.
///
/// # Errors
///
/// If it cannot be read, or was never whole and unchanged in several tries.
pub fn read(file: &File) -> io::Result<WalIndex> {
    let mut before = bytes(file)?;
    for _ in 0..TRIES {
        let after = bytes(file)?;
        if let Some(index) = parse(&after).filter(|_| before[..96] == after[..96]) {
            return Ok(index);
        }
        before = after;
        std::thread::yield_now();
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "its header is not whole"))
}

fn bytes(file: &File) -> io::Result<[u8; INDEX_HEADER]> {
    let mut bytes = [0; INDEX_HEADER];
    if files::read_at(file, &mut bytes, 0)? < INDEX_HEADER {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it holds no header yet"));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8; INDEX_HEADER]) -> Option<WalIndex> {
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let sums = checksum::extend(WordOrder::NATIVE, (0, 0), &bytes[..40]);
    let is_whole = word(0) == LOG_VERSION
        && bytes[12] == 1
        && bytes[..48] == bytes[48..96]
        && sums == (word(40), word(44));
    is_whole.then(|| WalIndex {
        commits: word(8),
        frames: word(16),
        page_count: word(20),
        backfilled: word(96),
        // 65536 is written as 1.
        page_size: match u16::from_ne_bytes([bytes[14], bytes[15]]) {
            1 => 65536,
            size => u32::from(size),
        },
        salts: [32, 33, 34, 35, 36, 37, 38, 39].map(|at: usize| bytes[at]),
        read_marks: std::array::from_fn(|slot| Some(word(100 + 4 * slot)).filter(|&mark| mark != u32::MAX)),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited};

    fn index() -> [u8; INDEX_HEADER] {
        let mut bytes = [0; INDEX_HEADER];
        for (at, value) in [(0, LOG_VERSION), (8, 41), (16, 19_031), (20, 1446)] {
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes[12] = 1;
        bytes[14..16].copy_from_slice(&4096_u16.to_ne_bytes());
        bytes[32..40].copy_from_slice(b"saltsalt");
        let (first, second) = checksum::extend(WordOrder::NATIVE, (0, 0), &bytes[..40]);
        bytes[40..44].copy_from_slice(&first.to_ne_bytes());
        bytes[44..48].copy_from_slice(&second.to_ne_bytes());
        bytes.copy_within(..48, 48);
        for (at, value) in [(96, 812), (104, 812), (108, 19_031), (112, u32::MAX), (116, u32::MAX)] {
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_whole_index_is_read() {
        let index = parse(&index()).expect("it is whole");
        assert_eq!((index.commits, index.frames, index.page_count), (41, 19_031, 1446));
        assert_eq!((index.backfilled, index.page_size, &index.salts), (812, 4096, b"saltsalt"));
        assert_eq!(index.read_marks, [Some(0), Some(812), Some(19_031), None, None]);
    }

    #[test]
    fn a_torn_or_spoilt_header_is_refused() {
        for at in [0, 8, 12, 17, 41, 48, 60, 90] {
            let mut bytes = index();
            bytes[at] ^= 0x40;
            assert_eq!(parse(&bytes), None, "byte {at}");
        }
    }

    #[test]
    fn fuzz_index() {
        for_a_while("wal-index", |runner| {
            runner.run(&edited(&[index()]), |bytes| {
                let Ok(bytes) = <[u8; INDEX_HEADER]>::try_from(bytes) else { return Ok(()) };
                if parse(&bytes).is_some() {
                    // What its checksum covers is what it was.
                    prop_assert_eq!(&bytes[..96], &index()[..96]);
                }
                Ok(())
            })
        });
    }

    #[test]
    fn a_file_without_a_header_is_unavailable_and_not_zero() {
        let mut file = tempfile::tempfile().expect("a file");
        assert!(read(&file).is_err(), "empty");
        file.write_all(&[0; 3]).expect("written");
        assert!(read(&file).is_err(), "3 bytes, as the first opener leaves it for a moment");
        file.write_all(&vec![0; 32765]).expect("written");
        assert!(read(&file).is_err(), "not initialised");
    }

    #[test]
    fn one_read_of_an_index_says_what_the_whole_index_says() {
        let file = tempfile::tempfile().expect("a file");
        let mut bytes = index();
        bytes[128..132].copy_from_slice(&19_000_u32.to_ne_bytes());
        (&file).write_all(&bytes).expect("written");
        let (raw, whole) = (RawIndex::read(&file).expect("readable"), read(&file).expect("it is whole"));
        assert!(raw.is_whole());
        assert_eq!((raw.frames(), raw.page_count()), (whole.frames, whole.page_count));
        assert_eq!((raw.backfilled(), raw.attempted()), (812, 19_000));
        assert_eq!((raw.page_size(), raw.salts()), (whole.page_size, whole.salts));
    }
}
