//! A document's file, read whole and in one consistent state.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    panic,
    path::Path,
    thread,
    time::Duration,
};

use rustix::{fs::OFlags, io::Errno};

use super::{
    super::discover::{FileStamp, FoundDocument},
    ContentHash, DocumentPlace, DocumentTree, ParsedDocument, parse,
};

/// The default size limit of a file, in bytes: 16 MiB. Larger files are data or logs, not documents.
pub const LARGEST: u64 = 16 << 20;

/// How often a file that changes during the read is read again.
const ATTEMPTS: usize = 3;

/// Pause before the file is read again, so that its writer can finish.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// What the database has of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownContent {
    pub hash: ContentHash,
    pub stamp: FileStamp,
}

#[derive(Debug)]
pub enum FileOutcome {
    /// To be written.
    Parsed(Box<ParsedDocument>),
    /// Its bytes match the database; its current stamp.
    Unchanged(FileStamp),
    /// No document any more: deleted since the walk, or a symbolic link now.
    Gone,
    /// It cannot be ingested.
    Failed(String),
}

/// Reads and parses `found` if it has at most `largest` bytes; `known` is what the database has of it. Never panics.
pub fn read(
    found: &FoundDocument,
    tree: &DocumentTree,
    known: Option<KnownContent>,
    largest: u64,
) -> FileOutcome {
    let (bytes, stamp) = match read_whole(&found.file, largest) {
        Ok(read) => read,
        Err(ReadFailure::Gone) => return FileOutcome::Gone,
        // Its permissions changed, and nothing else of it did.
        Err(ReadFailure::Denied(_)) if known.is_some_and(|it| it.stamp.has_same_content(found.stamp)) => {
            return FileOutcome::Unchanged(found.stamp);
        }
        Err(ReadFailure::Denied(reason) | ReadFailure::Failed(reason)) => return FileOutcome::Failed(reason),
    };
    let hash = *blake3::hash(&bytes).as_bytes();
    if known.is_some_and(|it| it.hash == hash) {
        return FileOutcome::Unchanged(stamp);
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            return FileOutcome::Failed(format!("it is not UTF-8: byte {at} is out of place"));
        }
    };
    let place = DocumentPlace { name: &found.name, prefix: &tree.prefix, dialect: tree.dialect };
    // The parsers are third-party code that reads arbitrary text. If one panics, that file has failed.
    match panic::catch_unwind(|| parse(place, text)) {
        Ok(document) => {
            let file = found.file.clone();
            FileOutcome::Parsed(Box::new(ParsedDocument {
                file,
                folder: found.folder,
                stamp,
                hash,
                ..document
            }))
        }
        Err(_) => FileOutcome::Failed("its text made the parser panic".to_owned()),
    }
}

/// The whole file and its stamp, both from the same state.
fn read_whole(path: &Path, largest: u64) -> Result<(Vec<u8>, FileStamp), ReadFailure> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        // A regular file of the walk may be a pipe now, and a plain open would wait for it.
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let flags = i32::try_from(flags.bits()).map_err(|error| ReadFailure::Failed(error.to_string()))?;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let before = stamp_of(&file)?;
        if before.bytes > largest {
            let most = binary_size(largest);
            return Err(ReadFailure::Failed(format!("it is larger than {most} (--max-file-size)")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(before.bytes).unwrap_or(0));
        (&mut file).take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
        if stamp_of(&file)? == before && bytes.len() as u64 == before.bytes {
            return Ok((bytes, before));
        }
    }
    Err(ReadFailure::Failed("it changes while it is read: take it in again later".to_owned()))
}

fn stamp_of(file: &File) -> Result<FileStamp, ReadFailure> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadFailure::Failed("it is not a regular file".to_owned()));
    }
    Ok(FileStamp::of(&metadata))
}

/// `bytes` in the largest binary unit that divides it evenly, as people write limits: `16 MiB`.
fn binary_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

enum ReadFailure {
    Gone,
    /// It may not be read.
    Denied(String),
    Failed(String),
}

impl From<io::Error> for ReadFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A folder on the path may be a file now.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Gone,
            io::ErrorKind::PermissionDenied => Self::Denied(error.to_string()),
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Self::Gone,
            _ => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::{super::Dialect, *};

    fn tree() -> DocumentTree {
        DocumentTree { prefix: "r/".to_owned(), dialect: Dialect::Common }
    }

    fn found(dir: &TempDir, bytes: &[u8]) -> FoundDocument {
        let file = dir.path().join("a.md");
        fs::write(&file, bytes).expect("a file");
        let stamp = FileStamp::of(&fs::metadata(&file).expect("its metadata"));
        FoundDocument { file, name: "r/a.md".to_owned(), folder: 3, stamp }
    }

    #[test]
    fn a_file_is_read_with_its_stamp_and_hash() {
        let dir = TempDir::new().expect("a folder");
        let found = found(&dir, b"# Hi");
        let FileOutcome::Parsed(document) = read(&found, &tree(), None, LARGEST) else {
            panic!("it is sound")
        };
        assert_eq!((document.title.as_str(), document.folder, document.stamp), ("Hi", 3, found.stamp));
        let known = |hash| Some(KnownContent { hash, stamp: FileStamp::default() });
        let again = read(&found, &tree(), known(document.hash), LARGEST);
        assert!(matches!(again, FileOutcome::Unchanged(stamp) if stamp == found.stamp));
        assert!(matches!(
            read(&found, &tree(), known(ContentHash::default()), LARGEST),
            FileOutcome::Parsed(_)
        ));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let dir = TempDir::new().expect("a folder");
        let failed = |found: &FoundDocument| match read(found, &tree(), None, LARGEST) {
            FileOutcome::Failed(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(&found(&dir, b"abc\xff")), "it is not UTF-8: byte 3 is out of place");
        let large = found(&dir, b"");
        File::options()
            .write(true)
            .open(&large.file)
            .and_then(|it| it.set_len(LARGEST + 1))
            .expect("a large file");
        assert_eq!(failed(&large), "it is larger than 16 MiB (--max-file-size)");
        assert!(matches!(read(&large, &tree(), None, LARGEST + 1), FileOutcome::Parsed(_)));
        fs::remove_file(&large.file).expect("it was there");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &large.file,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a pipe");
        assert_eq!(failed(&large), "it is not a regular file");
    }

    #[test]
    fn what_went_since_the_walk_is_gone_and_no_failure() {
        let dir = TempDir::new().expect("a folder");
        let mut gone = found(&dir, b"text");
        let is_gone =
            |found: &FoundDocument| matches!(read(found, &tree(), None, LARGEST), FileOutcome::Gone);
        assert!(!is_gone(&gone));
        fs::rename(&gone.file, dir.path().join("elsewhere")).expect("it was there");
        assert!(is_gone(&gone));
        // Its target is a document only under its own name.
        std::os::unix::fs::symlink("elsewhere", &gone.file).expect("a link");
        assert!(is_gone(&gone));
        gone.file = dir.path().join("elsewhere/a.md");
        assert!(is_gone(&gone), "its folder is a file by now");
    }

    #[test]
    fn a_limit_is_reported_as_it_is_written() {
        let sizes = [1, 1000, 1024, 1 << 20, 3 << 30, (1 << 20) + 1];
        let expected = ["1 bytes", "1000 bytes", "1 KiB", "1 MiB", "3 GiB", "1048577 bytes"];
        assert_eq!(sizes.map(binary_size), expected);
    }
}
