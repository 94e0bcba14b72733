//! The rollback journal that belongs to a copy (<https://sqlite.org/fileformat2.html#the_rollback_journal>).

use std::{fs::File, os::unix::ffi::OsStrExt, path::Path};

use super::RescueError;
use crate::file_format::{JOURNAL_HEADER, JOURNAL_MAGIC, JOURNAL_TRAILER};
use crate::observe::files;

/// Bytes after the name of a super-journal.
const TAIL: u64 = JOURNAL_TRAILER as u64;
/// Bytes of the number of the page that is never written, before the name.
const LEAD: u64 = 4;
/// The longest path that SQLite accepts (`MAX_PATHNAME` of `os_unix.c`).
const LONGEST: u64 = 4096;

/// How many bytes of `journal` make a copy of its database roll back uncommitted changes; 0 if there is nothing to roll
/// back.
///
/// A transaction over several databases is committed by deleting the super-journal that each of their journals names.
/// So a journal whose super-journal is gone rolls nothing back. If it exists, the copy omits its name: otherwise SQLite
/// would delete the original super-journal after it has rolled the copy back.
///
/// # Errors
///
/// It cannot be read.
pub fn hot_bytes(journal: &File) -> Result<u64, RescueError> {
    let read = |buffer: &mut [u8], at| {
        files::read_at(journal, buffer, at).map_err(RescueError::io("read the rollback journal"))
    };
    let length = super::copy::length(journal, "the rollback journal")?;
    let mut magic = [0; 8];
    if length <= JOURNAL_HEADER || read(&mut magic, 0)? < 8 || magic != JOURNAL_MAGIC {
        return Ok(0);
    }
    let mut tail = [0; JOURNAL_TRAILER];
    read(&mut tail, length - TAIL)?;
    let word = |at: usize| u32::from_be_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
    let name_length = u64::from(word(0));
    if tail[8..] != JOURNAL_MAGIC
        || !(1..=LONGEST).contains(&name_length)
        || name_length + TAIL + LEAD > length
    {
        return Ok(length);
    }
    let mut name = vec![0; usize::try_from(name_length).unwrap_or_default()];
    read(&mut name, length - TAIL - name_length)?;
    // The checksum adds signed bytes.
    let sum =
        name.iter().fold(0_u32, |sum, &byte| sum.wrapping_add(i32::from(byte.cast_signed()).cast_unsigned()));
    if sum != word(4) {
        return Ok(length);
    }
    let exists = Path::new(std::ffi::OsStr::from_bytes(&name)).symlink_metadata().is_ok();
    Ok(if exists { length - TAIL - name_length - LEAD } else { 0 })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn journal(name: Option<&Path>) -> (File, u64) {
        let mut bytes = JOURNAL_MAGIC.to_vec();
        bytes.resize(2000, 7);
        let plain = bytes.len() as u64;
        if let Some(name) = name {
            let name = name.as_os_str().as_bytes();
            bytes.extend(1_u32.to_be_bytes());
            bytes.extend(name);
            bytes.extend(u32::try_from(name.len()).expect("short").to_be_bytes());
            let sum: u32 = name.iter().map(|&byte| u32::from(byte)).sum();
            bytes.extend(sum.to_be_bytes());
            bytes.extend(JOURNAL_MAGIC);
        }
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        (file, plain)
    }

    #[test]
    fn only_a_journal_that_undoes_something_goes_with_the_copy() {
        let (plain, length) = journal(None);
        assert_eq!(hot_bytes(&plain).expect("read"), length);
        let there = tempfile::NamedTempFile::new().expect("a file");
        let (named, length) = journal(Some(there.path()));
        assert_eq!(hot_bytes(&named).expect("read"), length, "without the name");
        there.close().expect("removed");
        assert_eq!(hot_bytes(&named).expect("read"), 0, "its transaction is committed");
        let mut zeroed = tempfile::tempfile().expect("a file");
        assert_eq!(hot_bytes(&zeroed).expect("read"), 0, "empty");
        zeroed.write_all(&[0; 2000]).expect("written");
        assert_eq!(hot_bytes(&zeroed).expect("read"), 0, "as journal_mode=persist leaves it");
    }
}
