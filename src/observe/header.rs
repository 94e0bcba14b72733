//! The first 100 bytes of the main file (<https://sqlite.org/fileformat2.html#the_database_header>).

use std::{fs::File, io};

use crate::{
    file_format::MAIN_HEADER,
    observe::files,
    snapshot::{AutoVacuum, FileHeader, JournalMode},
};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Reads the header; `None` if the file is empty, which SQLite treats as a new database.
///
/// # Errors
///
/// If it cannot be read, or is no header.
pub fn read(file: &File) -> io::Result<Option<FileHeader>> {
    let mut bytes = [0; MAIN_HEADER];
    match files::read_at(file, &mut bytes, 0)? {
        0 => Ok(None),
        MAIN_HEADER if is_header(&bytes) => Ok(Some(parse(&bytes, file.metadata()?.len()))),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with the header of a database"))
        }
    }
}

/// Whether `start` could be the start of a database, as far as it goes.
pub fn could_be_header(start: &[u8]) -> bool {
    start.iter().zip(MAGIC).all(|(byte, magic)| byte == magic)
}

/// Whether these bytes are a header: the magic string, a valid page size, and a rest that is not encrypted. `SQLCipher` can
/// leave the first 32 bytes as they are (`cipher_plaintext_header_size`).
pub fn is_header(bytes: &[u8; MAIN_HEADER]) -> bool {
    let size = page_size(bytes);
    // SQLite opens no file with a larger schema format, and knows three text encodings.
    let is_plain = word(bytes, 44) <= 4 || word(bytes, 56) <= 3;
    could_be_header(bytes) && size.is_power_of_two() && size >= 512 && is_plain
}

/// Whether the database of this header is in the WAL2 mode of a branch of SQLite
/// (<https://sqlite.org/cgi/src/doc/wal2/doc/wal2.md>).
pub fn is_wal2(bytes: &[u8; MAIN_HEADER]) -> bool {
    bytes[18] == 3 || bytes[19] == 3
}

fn word(bytes: &[u8; MAIN_HEADER], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Bytes per page; 65536 is written as 1.
pub fn page_size(bytes: &[u8; MAIN_HEADER]) -> u32 {
    match u16::from_be_bytes([bytes[16], bytes[17]]) {
        1 => 65536,
        size => u32::from(size),
    }
}

/// Pages of the database, if the header maintains that count. A writer older than 3.7.0 does not update it; then the
/// change counter differs from the version-valid-for counter.
pub fn valid_page_count(bytes: &[u8; MAIN_HEADER]) -> Option<u32> {
    let word = |at: usize| word(bytes, at);
    Some(word(28)).filter(|&count| word(24) == word(92) && count > 0)
}

fn parse(bytes: &[u8; MAIN_HEADER], file_size: u64) -> FileHeader {
    let word = |at: usize| word(bytes, at);
    let page_size = page_size(bytes);
    let by_size = u32::try_from(file_size / u64::from(page_size)).unwrap_or(u32::MAX);
    FileHeader {
        journal_mode: match (is_wal2(bytes), bytes[18] == 2 || bytes[19] == 2) {
            (true, _) => JournalMode::Wal2,
            (false, true) => JournalMode::Wal,
            (false, false) => JournalMode::Rollback,
        },
        page_size,
        page_count: valid_page_count(bytes).unwrap_or(by_size),
        free_pages: Some(word(36)),
        change_counter: Some(word(24)),
        user_version: word(60).cast_signed(),
        application_id: word(68).cast_signed(),
        auto_vacuum: match (word(52), word(64)) {
            (0, _) => AutoVacuum::None,
            (_, 0) => AutoVacuum::Full,
            _ => AutoVacuum::Incremental,
        },
        schema_cookie: word(40),
        written_by: Some(version(word(96))).filter(|_| word(24) == word(92)),
    }
}

// 3054001 is 3.54.1.
fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited};

    fn header(change: &[(usize, &[u8])]) -> [u8; MAIN_HEADER] {
        let mut bytes = [0; MAIN_HEADER];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..20].copy_from_slice(&[0x10, 0, 2, 2]);
        for (at, with) in change {
            bytes[*at..*at + with.len()].copy_from_slice(with);
        }
        bytes
    }

    #[test]
    fn the_fields_are_found() {
        let bytes = header(&[
            (24, &[0, 0, 0, 9, 0, 0, 5, 0xa6]),
            (36, &[0, 0, 1, 2]),
            (40, &[0, 0, 0, 4]),
            (52, &[0, 0, 0, 3]),
            (60, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 2, 3, 4]),
            (92, &[0, 0, 0, 9, 0, 0x2e, 0x99, 0xb1]),
        ]);
        let header = parse(&bytes, 0);
        assert_eq!((header.page_size, header.page_count), (4096, 1446));
        assert_eq!((header.free_pages, header.change_counter), (Some(258), Some(9)));
        assert_eq!((header.user_version, header.application_id), (-1, 0x0102_0304));
        assert_eq!((header.schema_cookie, header.auto_vacuum), (4, AutoVacuum::Incremental));
        assert_eq!((header.journal_mode, header.written_by.as_deref()), (JournalMode::Wal, Some("3.54.1")));
    }

    #[test]
    fn a_page_count_of_an_old_writer_gives_way_to_the_file_size() {
        let parsed = parse(&header(&[(24, &[0, 0, 0, 9, 0, 0, 0, 7])]), 3 * 4096);
        assert_eq!((parsed.page_count, parsed.written_by), (3, None));
    }

    #[test]
    fn fuzz_header() {
        let file = tempfile::tempfile().expect("a file");
        for_a_while("main header", |runner| {
            runner.run(&edited(&[header(&[]), header(&[(16, &[0, 1])])]), |bytes| {
                file.set_len(0).and_then(|()| file.write_all_at(&bytes, 0)).expect("written");
                match read(&file) {
                    Ok(Some(header)) => {
                        prop_assert!(bytes.starts_with(MAGIC) && bytes.len() >= MAIN_HEADER);
                        prop_assert!(header.page_size.is_power_of_two() && header.page_size <= 65_536);
                    }
                    Ok(None) => prop_assert!(bytes.is_empty()),
                    Err(error) => prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData),
                }
                Ok(())
            })
        });
    }

    #[test]
    fn page_sizes_that_cannot_be_are_no_header() {
        assert_eq!(page_size(&header(&[(16, &[0, 1])])), 65536);
        assert!(is_header(&header(&[(16, &[0, 1])])));
        assert!(!is_header(&header(&[(16, &[0, 0])])));
        assert!(!is_header(&header(&[(16, &[3, 0])])));
        assert!(!is_header(&header(&[(0, b"sqlite")])));
    }

    #[test]
    fn how_free_pages_are_returned_is_kept_in_two_fields() {
        let mode = |largest_root, is_incremental| {
            parse(&header(&[(52, &[0, 0, 0, largest_root]), (64, &[0, 0, 0, is_incremental])]), 0).auto_vacuum
        };
        assert_eq!([mode(0, 0), mode(0, 1)], [AutoVacuum::None; 2]);
        assert_eq!([mode(3, 0), mode(3, 1)], [AutoVacuum::Full, AutoVacuum::Incremental]);
    }
}
