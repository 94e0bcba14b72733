//! A hot rollback journal (<https://sqlite.org/fileformat2.html#the_rollback_journal>): the remains of a transaction
//! whose process exited before the commit.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::file_format::{JOURNAL_HEADER, JOURNAL_MAGIC, JOURNAL_TRAILER};
use crate::{observe::files, paths::FileId, snapshot::HotJournal};

/// The maximum path length that SQLite accepts.
const LONGEST_NAME: u32 = 512;

/// The hot journal at `path`; `None` if there is none, it is not hot, or a process still writes.
///
/// A writer creates the journal after it has locked the main file, and removes it before it releases the lock. A
/// journal that is the same before and after the kernel reports `no_writer` is therefore a leftover.
///
/// # Errors
///
/// If the operating system fails to read.
pub fn hot(path: &Path, no_writer: impl FnOnce() -> io::Result<bool>) -> io::Result<Option<HotJournal>> {
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let before = file.metadata()?;
    if before.len() <= JOURNAL_HEADER || !begins_with_magic(&file)? {
        return Ok(None);
    }
    let named = super_journal(&file, before.len())?;
    if named.as_ref().is_some_and(|name| !name.exists()) || !no_writer()? {
        return Ok(None);
    }
    if !is_unchanged(path, &before) || !begins_with_magic(&file)? {
        return Ok(None);
    }
    Ok(Some(HotJournal {
        path: path.to_owned(),
        bytes: before.len(),
        modified_at: before.modified().ok().and_then(|at| Timestamp::try_from(at).ok()),
        super_journal: named.map(|name| name.to_string_lossy().into_owned()),
    }))
}

/// Whether the journal at `path` begins as that of a transaction.
///
/// # Errors
///
/// If the operating system fails to read.
pub fn is_in_use(path: &Path) -> io::Result<bool> {
    match files::open(path) {
        Ok(file) => begins_with_magic(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn begins_with_magic(file: &File) -> io::Result<bool> {
    let mut magic = [0; JOURNAL_MAGIC.len()];
    Ok(files::read_at(file, &mut magic, 0)? == JOURNAL_MAGIC.len() && magic == JOURNAL_MAGIC)
}

fn is_unchanged(path: &Path, before: &Metadata) -> bool {
    let facts = |it: &Metadata| (FileId::of(it), it.len(), it.modified().ok());
    path.metadata().is_ok_and(|after| facts(&after) == facts(before))
}

/// The super-journal that a journal of `bytes` bytes names. A transaction on several databases is rolled back only
/// while that file exists.
fn super_journal(file: &File, bytes: u64) -> io::Result<Option<PathBuf>> {
    let mut trailer = [0; JOURNAL_TRAILER];
    let Some(at) = bytes.checked_sub(JOURNAL_TRAILER as u64) else { return Ok(None) };
    if files::read_at(file, &mut trailer, at)? < trailer.len() || trailer[8..] != JOURNAL_MAGIC {
        return Ok(None);
    }
    let word =
        |at: usize| u32::from_be_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
    let length = word(0);
    let Some(start) = at.checked_sub(length.into()).filter(|_| (1..=LONGEST_NAME).contains(&length)) else {
        return Ok(None);
    };
    let mut name = vec![0; length as usize];
    if files::read_at(file, &mut name, start)? < name.len() || checksum(&name) != word(4) {
        return Ok(None);
    }
    Ok(Some(PathBuf::from(OsStr::from_bytes(&name))))
}

/// The sum of the bytes as signed values.
fn checksum(name: &[u8]) -> u32 {
    name.iter().fold(0, |sum: u32, &byte| sum.wrapping_add_signed(i32::from(byte.cast_signed())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Scene(tempfile::TempDir);

    impl Scene {
        fn new(bytes: &[u8]) -> Self {
            let folder = tempfile::TempDir::new().expect("a folder");
            fs::write(folder.path().join("a.db-journal"), bytes).expect("written");
            Self(folder)
        }

        fn hot(&self, no_writer: bool) -> Option<HotJournal> {
            hot(&self.0.path().join("a.db-journal"), || Ok(no_writer)).expect("readable")
        }
    }

    fn journal(length: usize) -> Vec<u8> {
        let mut bytes = vec![7; length];
        bytes[..8].copy_from_slice(&JOURNAL_MAGIC);
        bytes
    }

    fn with_super_journal(name: &Path) -> Vec<u8> {
        let mut bytes = journal(1024);
        let name = name.as_os_str().as_bytes();
        bytes.extend(name);
        bytes.extend(u32::try_from(name.len()).expect("short").to_be_bytes());
        bytes.extend(checksum(name).to_be_bytes());
        bytes.extend(JOURNAL_MAGIC);
        bytes
    }

    #[test]
    fn a_journal_with_content_that_no_process_writes_is_hot() {
        let scene = Scene::new(&journal(1024));
        let found = scene.hot(true).expect("hot");
        assert_eq!((found.bytes, found.super_journal), (1024, None));
        assert_eq!(scene.hot(false), None, "a process writes");
    }

    #[test]
    fn what_is_left_of_a_commit_is_not_hot() {
        let mut ended = journal(1024);
        ended[..8].fill(0);
        for bytes in [&ended[..], &[], &journal(512), &journal(8)] {
            assert_eq!(Scene::new(bytes).hot(true), None, "{} bytes", bytes.len());
        }
        let folder = tempfile::TempDir::new().expect("a folder");
        assert_eq!(hot(&folder.path().join("none"), || Ok(true)).expect("no error"), None);
    }

    #[test]
    fn a_journal_whose_super_journal_is_gone_is_not_hot() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let name = folder.path().join("a.db-mj1234");
        let scene = Scene::new(&with_super_journal(&name));
        assert_eq!(scene.hot(true), None);
        fs::write(&name, "x").expect("written");
        let found = scene.hot(true).expect("hot");
        assert_eq!(found.super_journal.as_deref(), name.to_str());
    }

    #[test]
    fn a_journal_that_changes_meanwhile_is_in_use() {
        let scene = Scene::new(&journal(1024));
        let path = scene.0.path().join("a.db-journal");
        let writes = || {
            fs::write(&path, journal(2048))?;
            Ok(true)
        };
        assert_eq!(hot(&path, writes).expect("readable"), None);
    }

    #[test]
    fn a_journal_is_in_use_only_while_it_begins_as_that_of_a_transaction() {
        let scene = Scene::new(&journal(512));
        let path = scene.0.path().join("a.db-journal");
        assert!(is_in_use(&path).expect("readable"));
        for bytes in [vec![0; 512], JOURNAL_MAGIC[..7].to_vec(), vec![]] {
            fs::write(&path, &bytes).expect("written");
            assert!(!is_in_use(&path).expect("readable"), "{} bytes", bytes.len());
        }
        assert!(!is_in_use(&scene.0.path().join("none")).expect("there is none"));
        assert!(is_in_use(scene.0.path()).is_err(), "a folder");
    }

    #[test]
    fn a_name_is_summed_by_its_signed_bytes_and_believed_only_with_its_sum() {
        assert_eq!(checksum(b"ab"), 195);
        assert_eq!(checksum(b"\xff\x01a"), 97);
        assert_eq!(checksum(b"\xff"), u32::MAX);
        let folder = tempfile::TempDir::new().expect("a folder");
        let named = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = with_super_journal(Path::new("/srv/all-mj"));
            change(&mut bytes);
            let path = folder.path().join("a.db-journal");
            fs::write(&path, &bytes).expect("written");
            super_journal(&File::open(&path).expect("it opens"), bytes.len() as u64).expect("readable")
        };
        let end = with_super_journal(Path::new("/srv/all-mj")).len();
        assert_eq!(named(&|_| {}), Some("/srv/all-mj".into()));
        assert_eq!(named(&|bytes| bytes[end - 1] ^= 1), None, "another magic");
        assert_eq!(named(&|bytes| bytes[end - 9] ^= 1), None, "another sum");
        assert_eq!(named(&|bytes| bytes[end - 13] = 0), None, "no name");
        assert_eq!(named(&|bytes| bytes[end - 16] = 1), None, "a name longer than the file");
        assert_eq!(named(&|bytes| bytes[end - 17] ^= 1), None, "another name");
    }
}
