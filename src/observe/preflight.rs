//! Whether a path can be a database: the check before every command.

use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
};

use crate::{
    file_format::{MAIN_HEADER, SIDECARS},
    observe::{
        arguments::{ContainerPathError, PROC, container_path},
        content::first_page,
        files, header,
    },
    paths,
    snapshot::FirstPageState,
    text,
};

/// How many directory entries are compared with the name of a missing file.
const MOST_NEIGHBOURS: usize = 1_000;

/// Why a path cannot be used as a database.
#[derive(Debug, thiserror::Error)]
pub enum UnfitPath {
    #[error("no such file: {path}; {}", advice(nearest.as_deref()))]
    Missing {
        path: String,
        /// A file in the same directory with a similar name.
        nearest: Option<String>,
    },
    #[error("{0} is a directory; name the database file in it")]
    Directory(String),
    /// It is a pipe, a socket or a device.
    #[error("{0} is not a regular file; name a SQLite database")]
    NotAFile(String),
    #[error("no permission to read {0}; run as a user who may read it and its directory")]
    Forbidden(String),
    /// It does not start as a database does.
    #[error("{0} is not a SQLite database, or it is encrypted; name an unencrypted database")]
    NotADatabase(String),
    /// Its pages are random, or its log or index shows that it is a database.
    #[error(
        "{0} is encrypted, or no SQLite database: waltop has no key and opens nothing; to see its processes and locks: \
         waltop status {0}"
    )]
    Encrypted(String),
    /// The WAL2 mode of a branch of SQLite.
    #[error(
        "{0} is in WAL2 mode, which only a branch of SQLite can open; to see its processes and locks: waltop status {0}"
    )]
    Wal2(String),
    #[error("{path} belongs to the database {main}; name that one")]
    Sidecar {
        path: String,
        /// The main file.
        main: String,
    },
    /// Its first page is damaged, and the other content shows that it is no encrypted database.
    #[error(
        "page 1 of {0} is damaged, and the database is not encrypted: nothing was opened; copy {0}, its -wal and its \
         -shm first; see: waltop explain damaged-header"
    )]
    Damaged(String),
    /// It starts as a database does, and ends too early.
    #[error("{path} is truncated: {bytes} bytes of a first page of {expected}; restore it from a backup")]
    Truncated {
        path: String,
        bytes: u64,
        /// The size of a database of one page; if even the page size is missing, the length of the header.
        expected: u64,
    },
    #[error("cannot read {path}: {source}; check the path and the disk")]
    Unreadable {
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    #[error(transparent)]
    Container(#[from] ContainerPathError),
}

/// The absolute path of the database at `path`, with links resolved.
///
/// An empty file is a database: SQLite treats it as a new one. Nothing is created or changed. Only for a process
/// without a SQLite connection: it opens and closes the file, which would drop the locks of that connection.
///
/// # Errors
///
/// If the file cannot be a SQLite database, or cannot be read.
pub fn inspect(path: &Path) -> Result<PathBuf, UnfitPath> {
    inspect_located(&container_path::located(path, Path::new(PROC))?)
}

fn inspect_located(path: &Path) -> Result<PathBuf, UnfitPath> {
    let shown = text::clean(&path.to_string_lossy());
    let wrap = |error| unreadable(&shown, error);
    let absolute = paths::real(path).map_err(|error| match wrap(error) {
        UnfitPath::Missing { path: shown, .. } => UnfitPath::Missing { path: shown, nearest: nearest(path) },
        other => other,
    })?;
    let metadata = absolute.metadata().map_err(wrap)?;
    if metadata.is_dir() {
        return Err(UnfitPath::Directory(shown));
    }
    if !metadata.is_file() {
        return Err(UnfitPath::NotAFile(shown));
    }
    let file = files::open(&absolute).map_err(wrap)?;
    check(&file, &metadata, shown.clone()).map_err(|unfit| match unfit {
        UnfitPath::NotADatabase(path) if let Some(main) = main_beside(&absolute) => {
            UnfitPath::Sidecar { path, main: text::clean(&main.display().to_string()) }
        }
        unfit @ (UnfitPath::NotADatabase(_) | UnfitPath::Truncated { .. }) => {
            match (first_page_state(&file, &absolute), unfit) {
                (Some(FirstPageState::Damaged), _) => UnfitPath::Damaged(shown),
                (Some(FirstPageState::Encrypted), UnfitPath::NotADatabase(_)) => UnfitPath::Encrypted(shown),
                (_, unfit) => unfit,
            }
        }
        other => other,
    })?;
    Ok(absolute)
}

/// The main file whose log, index or journal is at `path` by its name, if there is one.
fn main_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let main = ["-wal", "-shm", "-journal"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
    Some(path.with_file_name(main)).filter(|main| main.is_file())
}

/// The same for commands that connect to nothing, and so can accept a database that SQLite cannot read.
///
/// # Errors
///
/// As [`inspect`], except for a damaged or encrypted page 1, and for WAL2 mode.
pub fn inspect_from_outside(path: &Path) -> Result<PathBuf, UnfitPath> {
    let path = &*container_path::located(path, Path::new(PROC))?;
    match inspect_located(path) {
        Err(UnfitPath::Damaged(shown) | UnfitPath::Encrypted(shown) | UnfitPath::Wal2(shown)) => {
            paths::real(path).map_err(|error| unreadable(&shown, error))
        }
        inspected => inspected,
    }
}

/// The same for a database that is sampled for a while: one in a container that is named by its id or its name keeps that
/// name, since a path through a process ends with it.
///
/// # Errors
///
/// As [`inspect_from_outside`].
pub fn inspect_to_sample(path: &Path) -> Result<PathBuf, UnfitPath> {
    let inspected = inspect_from_outside(path)?;
    let is_named = container_path::names_container(path) && inspected.starts_with(PROC);
    Ok(if is_named { path.to_owned() } else { inspected })
}

fn advice(nearest: Option<&str>) -> String {
    nearest
        .map_or_else(|| "name a SQLite database that exists".to_owned(), |it| format!("did you mean {it}?"))
}

// The file beside the missing `path` with the most similar name. SQLite's own files beside a database are excluded.
fn nearest(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .take(MOST_NEIGHBOURS)
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|it| it.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !SIDECARS.iter().any(|suffix| name.ends_with(suffix)))
        .collect();
    let name = text::similar(wanted, names.iter().map(String::as_str))?;
    Some(text::clean(&path.with_file_name(name).to_string_lossy()))
}

// If only a header is left of a file, it proves nothing about the files beside it.
fn first_page_state(main: &File, path: &Path) -> Option<FirstPageState> {
    let [log, index] = ["-wal", "-shm"].map(|suffix| files::sidecar(path, suffix));
    let page = first_page::examine(main, &log, &index).ok()?;
    let is_proved =
        page.index_is_valid == Some(true) || page.log_has_it == Some(true) || page.plain_pages > Some(0);
    Some(page.state).filter(|&state| state != FirstPageState::Damaged || is_proved)
}

fn check(file: &File, metadata: &Metadata, shown: String) -> Result<(), UnfitPath> {
    let mut start = [0; MAIN_HEADER];
    let length = files::read_at(file, &mut start, 0).map_err(|error| unreadable(&shown, error))?;
    if !header::could_be_header(&start[..length]) {
        return Err(UnfitPath::NotADatabase(shown));
    }
    let (bytes, shortest) = (metadata.len(), MAIN_HEADER as u64);
    if (1..MAIN_HEADER).contains(&length) {
        return Err(UnfitPath::Truncated { path: shown, bytes, expected: shortest });
    }
    if length == 0 {
        return Ok(());
    }
    let expected = u64::from(header::page_size(&start));
    match header::is_header(&start) {
        false => Err(UnfitPath::NotADatabase(shown)),
        true if bytes < expected => Err(UnfitPath::Truncated { path: shown, bytes, expected }),
        true if header::is_wal2(&start) => Err(UnfitPath::Wal2(shown)),
        true => Ok(()),
    }
}

fn unreadable(shown: &str, error: io::Error) -> UnfitPath {
    let path = shown.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => UnfitPath::Missing { path, nearest: None },
        io::ErrorKind::PermissionDenied => UnfitPath::Forbidden(path),
        _ => UnfitPath::Unreadable { path, source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::content::fixture::{self, main_header};

    #[test]
    fn a_file_is_judged_by_its_first_bytes_and_by_its_size() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("a.db");
        let judged = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            inspect(&path).map_err(|unfit| match unfit {
                UnfitPath::NotADatabase(_) => (0, 0),
                UnfitPath::Truncated { bytes, expected, .. } => (bytes, expected),
                other => panic!("{other}"),
            })
        };
        let header = main_header(1);
        let mut whole = header.to_vec();
        whole.resize(4096, 0);
        let mut odd_size = whole.clone();
        odd_size[17] = 1;
        let fits = paths::real(folder.path()).expect("it is there").join("a.db");
        assert_eq!(judged(&whole), Ok(fits.clone()));
        assert_eq!(judged(b""), Ok(fits), "SQLite treats it as a new one");
        assert_eq!(judged(b"# Notes, longer than the magic string"), Err((0, 0)));
        assert_eq!(judged(&odd_size), Err((0, 0)), "no page has 4,097 bytes");
        assert_eq!(judged(&header[..50]), Err((50, 100)), "half a header");
        assert_eq!(judged(&whole[..4095]), Err((4095, 4096)), "most of a page");
    }

    #[test]
    fn a_path_without_a_database_is_told_from_one_that_is_misspelt() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for name in ["notes.db", "notes.db-wal"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let near = |name: &str| match inspect(&folder.path().join(name)) {
            Err(UnfitPath::Missing { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(near("note.db"), folder.path().join("notes.db").to_str().map(str::to_owned));
        assert_eq!(near("accounts.sqlite"), None);
        assert!(matches!(inspect(folder.path()), Err(UnfitPath::Directory(_))));
        for (name, is_beside) in [("notes.db-wal", true), ("other.db-wal", false)] {
            let path = folder.path().join(name);
            fs::write(&path, [7; 4096]).expect("written");
            match inspect(&path) {
                Err(UnfitPath::Sidecar { main, .. }) => {
                    assert!(is_beside && main.ends_with("/notes.db"), "{main}");
                }
                other => assert!(!is_beside && matches!(other, Err(UnfitPath::NotADatabase(_))), "{other:?}"),
            }
        }
    }

    #[test]
    fn a_file_whose_log_or_index_proves_a_database_is_damaged() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let main = folder.path().join("a.db");
        let header = main_header(1);
        // Only the header is left.
        fs::write(&main, header).expect("written");
        let is_damaged = || matches!(inspect(&main), Err(UnfitPath::Damaged(_)));
        assert!(!is_damaged(), "nothing else is there");
        for (suffix, proof) in
            [("-shm", fixture::index(4096, &[1], 1, 0)), ("-wal", fixture::log(4096, &[(1, 1, &header)]))]
        {
            let beside = files::sidecar(&main, suffix);
            fs::write(&beside, proof).expect("written");
            assert!(is_damaged(), "{suffix}");
            assert!(inspect_from_outside(&main).is_ok(), "nothing is opened there");
            fs::remove_file(&beside).expect("removed");
        }
    }

    #[test]
    fn a_file_whose_other_pages_prove_a_database_is_damaged_and_one_of_zeros_is_none() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let main = folder.path().join("a.db");
        let inspected = |pages: [Vec<u8>; 2]| {
            fs::write(&main, pages.concat()).expect("written");
            inspect(&main)
        };
        let nothing = vec![0; 4096];
        assert!(matches!(inspected([nothing.clone(), fixture::tree_page(0)]), Err(UnfitPath::Damaged(_))));
        assert!(matches!(inspected([nothing.clone(), nothing]), Err(UnfitPath::NotADatabase(_))));
    }

    #[test]
    fn the_reason_of_the_operating_system_is_told() {
        let unfit = |kind: io::ErrorKind| unreadable("/srv/a.db", kind.into());
        assert!(
            matches!(unfit(io::ErrorKind::PermissionDenied), UnfitPath::Forbidden(path) if path == "/srv/a.db")
        );
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory] {
            assert!(matches!(unfit(kind), UnfitPath::Missing { nearest: None, .. }), "{kind}");
        }
        assert!(matches!(unfit(io::ErrorKind::Interrupted), UnfitPath::Unreadable { .. }));
    }
}
