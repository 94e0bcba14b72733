//! The console's log file. waltop checks and opens it; tui-logger writes it.
//!
//! tui-logger opens a path by itself: it follows symbolic links, applies the umask, and panics on failure. It therefore
//! gets the path of an open descriptor that waltop has checked, so that the file cannot be replaced in between.

use std::{
    fs::{File, FileType, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::FileTypeExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use tui_logger::TuiLoggerFile;

use crate::{
    file_format::SIDECARS,
    observe::{files, header, sidecar},
    paths::{self, FileId},
    state::folder,
};

/// The timestamp at the start of a line; a space and the level follow.
const TIMESTAMP: &str = "%Y-%m-%dT%H:%M:%S%:z";
/// Length in bytes of a formatted [`TIMESTAMP`].
const TIMESTAMP_LENGTH: usize = 25;

/// Why a file cannot be the log file.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    #[error("`log_file`: {} is {what}; name a regular file", .path.display())]
    Kind { path: PathBuf, what: &'static str },
    #[error("`log_file`: {} ends in {suffix}, as a sidecar file of a database does; name another file", .path.display())]
    SidecarName { path: PathBuf, suffix: &'static str },
    #[error("`log_file`: {} belongs to the database {}; name another file", .path.display(), .database.display())]
    Database { path: PathBuf, database: PathBuf },
    #[error("`log_file`: {} is a SQLite database; name another file", .0.display())]
    OtherDatabase(PathBuf),
    #[error("`log_file`: {} has content that is not a log of waltop; name another file", .0.display())]
    OtherContent(PathBuf),
    #[error("`log_file`: cannot open {}: {cause}; name a file in a folder that you can write to", .path.display())]
    Open { path: PathBuf, cause: io::Error },
}

/// Checks the file at `path`, creates it with mode 0600 if it is missing, and opens it for tui-logger.
///
/// It must not be a file of `databases`, whether they exist or not.
pub fn open<'a>(
    path: &Path,
    databases: impl Iterator<Item = &'a PathBuf>,
) -> Result<TuiLoggerFile, LogFileError> {
    let failed = |cause| LogFileError::Open { path: path.to_owned(), cause };
    // Checked before opening: opening a FIFO or a device can have an effect.
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        metadata => check_kind(path, metadata.map_err(failed)?.file_type())?,
    }
    check_name(path)?;
    check_databases(path, databases)?;
    let file = folder::options().read(true).append(true).create(true).open(path).map_err(failed)?;
    // The file may have been replaced in between.
    check_kind(path, file.metadata().map_err(failed)?.file_type())?;
    check_start(path, &file)?;
    let reopened = reopenable(&file).map_err(failed)?;
    let writer = TuiLoggerFile::new(&reopened);
    Ok(writer
        .output_timestamp(Some(TIMESTAMP.to_owned()))
        .output_separator(' ')
        .output_target(false)
        .output_file(false)
        .output_line(false))
}

fn check_kind(path: &Path, kind: FileType) -> Result<(), LogFileError> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(LogFileError::Kind { path: path.to_owned(), what })
}

/// A file with such a name may become the sidecar file of a database that does not exist yet.
fn check_name(path: &Path) -> Result<(), LogFileError> {
    let name = path.as_os_str().as_encoded_bytes();
    match SIDECARS.iter().find(|suffix| name.ends_with(suffix.as_bytes())) {
        Some(suffix) => Err(LogFileError::SidecarName { path: path.to_owned(), suffix }),
        None => Ok(()),
    }
}

fn check_databases<'a>(
    path: &Path,
    mut databases: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), LogFileError> {
    let followed = paths::canonical_or_future(path).unwrap_or_else(|_| path.to_owned());
    let id = FileId::at(path);
    // A hard link is the same file under another name.
    let is_same = |file: &Path| file == followed || (id.is_some() && FileId::at(file) == id);
    let is_part = |database: &&PathBuf| {
        is_same(database) || SIDECARS.iter().any(|suffix| is_same(&sidecar(database, suffix)))
    };
    match databases.find(is_part) {
        Some(database) => Err(LogFileError::Database { path: path.to_owned(), database: database.clone() }),
        None => Ok(()),
    }
}

fn check_start(path: &Path, file: &File) -> Result<(), LogFileError> {
    let mut start = [0; TIMESTAMP_LENGTH];
    let length = files::read_at(file, &mut start, 0)
        .map_err(|cause| LogFileError::Open { path: path.to_owned(), cause })?;
    let start = &start[..length];
    if start.is_empty() || is_timestamp(start) {
        Ok(())
    } else if header::could_be_header(start) {
        Err(LogFileError::OtherDatabase(path.to_owned()))
    } else {
        Err(LogFileError::OtherContent(path.to_owned()))
    }
}

fn is_timestamp(start: &[u8]) -> bool {
    start.len() == TIMESTAMP_LENGTH
        && std::str::from_utf8(start).is_ok_and(|text| Timestamp::strptime(TIMESTAMP, text).is_ok())
}

/// A path that leads to the open `file` even if its own path changes.
fn reopenable(file: &File) -> io::Result<String> {
    let path = format!("/dev/fd/{}", file.as_raw_fd());
    // The same way as tui-logger opens it, which panics on failure.
    let again = OpenOptions::new().create(true).append(true).open(&path)?;
    if FileId::of(&again.metadata()?) == FileId::of(&file.metadata()?) {
        Ok(path)
    } else {
        Err(io::Error::other("/dev/fd does not show the descriptors of this process"))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use rustix::fs::{CWD, FileType as NodeType, Mode, mknodat};
    use tempfile::TempDir;

    use super::*;

    fn refusal(path: &Path, databases: &[PathBuf]) -> String {
        // A FIFO is not read: that would wait.
        let content = || path.is_file().then(|| fs::read(path).expect("it can be read"));
        let before = content();
        let error = open(path, databases.iter()).err().map_or_else(String::new, |error| error.to_string());
        assert_eq!(content(), before, "it is untouched: {error}");
        error.replace(&path.parent().expect("a folder").display().to_string(), "D")
    }

    #[test]
    fn what_is_no_log_is_refused_and_stays_as_it_was() {
        let dir = TempDir::new().expect("a folder");
        let root = dir.path().canonicalize().expect("the folder");
        let at = |name: &str| root.join(name);
        let databases = [at("notes.db"), at("later.db")];
        fs::write(at("notes.db"), "").expect("written");
        fs::write(at("notes.db-shm"), "").expect("written");
        fs::hard_link(at("notes.db-shm"), at("index.log")).expect("linked");
        fs::write(at("other.db"), b"SQLite format 3\0\x10\0\x02\x02\0").expect("written");
        fs::write(at("short.db"), b"SQLite for").expect("written");
        fs::write(at("wal.log"), [0x37, 0x7f, 0x06, 0x82]).expect("written");
        fs::write(at("notes.md"), "# Notes, of which no line begins with a time\n").expect("written");
        fs::write(at("empty.log"), "").expect("written");
        symlink("empty.log", at("link.log")).expect("linked");
        symlink("nowhere.log", at("dangling.log")).expect("linked");
        symlink(".", at("here")).expect("linked");
        fs::create_dir(at("folder")).expect("a folder");
        mknodat(CWD, at("fifo"), NodeType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        let _socket = UnixListener::bind(at("socket")).expect("a socket");
        for (name, said) in [
            ("notes.db", "D/notes.db belongs to the database D/notes.db; name another file"),
            ("later.db", "D/later.db belongs to the database D/later.db; name another file"),
            ("index.log", "D/index.log belongs to the database D/notes.db; name another file"),
            ("new-wal", "D/new-wal ends in -wal, as a sidecar file of a database does; name another file"),
            ("new-shm", "D/new-shm ends in -shm, as a sidecar file of a database does; name another file"),
            (
                "x-journal",
                "D/x-journal ends in -journal, as a sidecar file of a database does; name another file",
            ),
            ("other.db", "D/other.db is a SQLite database; name another file"),
            ("short.db", "D/short.db is a SQLite database; name another file"),
            ("wal.log", "D/wal.log has content that is not a log of waltop; name another file"),
            ("notes.md", "D/notes.md has content that is not a log of waltop; name another file"),
            ("link.log", "D/link.log is a symbolic link; name a regular file"),
            ("dangling.log", "D/dangling.log is a symbolic link; name a regular file"),
            ("folder", "D/folder is a folder; name a regular file"),
            ("fifo", "D/fifo is a FIFO; name a regular file"),
            ("socket", "D/socket is a socket; name a regular file"),
        ] {
            assert_eq!(refusal(&at(name), &databases), format!("`log_file`: {said}"));
        }
        let by_a_link = open(&root.join("here/later.db"), databases.iter()).err();
        assert!(matches!(by_a_link, Some(LogFileError::Database { .. })), "{by_a_link:?}");
        let device = refusal(Path::new("/dev/null"), &[]);
        assert_eq!(device, "`log_file`: D/null is a device; name a regular file");
        let missing = refusal(&root.join("none/x.log"), &[]);
        assert!(missing.starts_with("`log_file`: cannot open D/x.log: No such file"), "{missing}");
        for name in ["later.db", "new-wal", "nowhere.log"] {
            assert!(!at(name).exists(), "{name} was created");
        }
    }

    #[test]
    fn a_start_is_that_of_a_log_where_it_is_a_time_with_offset() {
        assert!(is_timestamp(b"2026-01-02T03:04:05+00:00"));
        assert!(is_timestamp(b"2026-01-02T03:04:05-03:30"));
        for other in ["2026-01-02T03:04:05+00:0", "2026-01-02 03:04:05+00:00", "2026-13-02T03:04:05+00:00"] {
            assert!(!is_timestamp(other.as_bytes()), "{other}");
        }
    }
}
