//! Database arguments that are not paths of files: `file:` URIs (<https://sqlite.org/uri.html>) and folders.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode;

use crate::{
    file_format::MAIN_HEADER,
    observe::{files, header},
    text, units,
};

pub mod container_path;

pub use container_path::{ContainerPathError, is_container_path, names_container, path_of_process};

/// Where the processes of an argument are.
pub const PROC: &str = "/proc";

/// How many databases of a folder are sampled.
const MOST_DATABASES: usize = 256;
/// How many entries of a folder, and of those below it, are read.
const MOST_ENTRIES: usize = 100_000;

/// Which files of a folder are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderDepth {
    OwnFiles,
    /// Those of the folders below it as well. Links to folders are not followed.
    Recursive,
}

/// The databases that the arguments of a command name.
#[derive(Debug, Default)]
pub struct NamedDatabases {
    /// Paths of files, which are not inspected yet.
    pub paths: Vec<PathBuf>,
    /// What else the user has to know, one sentence each.
    pub notes: Vec<String>,
}

/// Why an argument names no database.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    #[error("{uri} asks for the VFS {vfs}, whose locks waltop cannot see; name the file without vfs=")]
    OtherVfs { uri: String, vfs: String },
    #[error("{0} names a database in memory, which has no file; name a SQLite database on disk")]
    InMemory(String),
    #[error("{uri} names the host {host}; write file:///PATH for a file of this machine")]
    OtherHost { uri: String, host: String },
    #[error(
        "no file in {0} is a SQLite database; name the database file, or give -r for the folders below it"
    )]
    NoneInFolder(String),
    #[error("no file in or below {0} is a SQLite database; name the database file")]
    NoneBelow(String),
    #[error("cannot read the folder {path}: {source}; name the database file in it")]
    UnreadableFolder {
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    #[error(transparent)]
    Container(#[from] ContainerPathError),
}

/// The files that `named` means: a path as it is, the path of a `file:` URI, and the databases in a folder. Only for a
/// process without a SQLite connection: it opens and closes the files of a folder.
///
/// # Errors
///
/// If a URI asks for what cannot be observed, or a folder has no database in it.
pub fn named_databases(named: &[PathBuf], depth: FolderDepth) -> Result<NamedDatabases, ArgumentError> {
    let mut found = NamedDatabases::default();
    for argument in named {
        let path = database_path(argument, &mut found.notes)?;
        // The name of a container outlives the process through which its files are reached.
        let path = if names_container(argument) { argument.clone() } else { path };
        if path.is_dir() {
            add_folder(&path, depth, &mut found)?;
        } else {
            found.paths.push(path);
        }
    }
    let mut seen = HashSet::new();
    found.paths.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

/// The path that `argument` means: itself, unless it is a `file:` URI or a path in a container. What a URI says about
/// locks goes to `notes`.
///
/// # Errors
///
/// If it asks for what cannot be observed.
pub fn database_path(argument: &Path, notes: &mut Vec<String>) -> Result<PathBuf, ArgumentError> {
    let bytes = argument.as_os_str().as_bytes();
    let Some(rest) = bytes.strip_prefix(b"file:") else {
        return Ok(container_path::located(argument, Path::new(PROC))?.into_owned());
    };
    let uri = text::clean(&argument.to_string_lossy());
    let rest = rest.split(|&byte| byte == b'#').next().unwrap_or_default();
    let (place, query) = match rest.iter().position(|&byte| byte == b'?') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &[][..]),
    };
    let place = match place.strip_prefix(b"//") {
        Some(place) => {
            let slash = place.iter().position(|&byte| byte == b'/').unwrap_or(place.len());
            let (host, place) = place.split_at(slash);
            if !host.is_empty() && host != b"localhost" {
                return Err(ArgumentError::OtherHost {
                    uri,
                    host: text::clean(&String::from_utf8_lossy(host)),
                });
            }
            place
        }
        None => place,
    };
    let path = decoded(place);
    for parameter in query.split(|&byte| byte == b'&') {
        let at = parameter.iter().position(|&byte| byte == b'=').unwrap_or(parameter.len());
        let key = decoded(&parameter[..at]);
        let value = decoded(parameter.get(at + 1..).unwrap_or_default());
        let (key, value) = (key.to_string_lossy(), value.to_string_lossy());
        match &*key {
            "vfs" if value != "unix" => {
                return Err(ArgumentError::OtherVfs { uri, vfs: text::clean(&value) });
            }
            "mode" if value == "memory" => return Err(ArgumentError::InMemory(uri)),
            "nolock" | "immutable" if is_set(&value) => notes.push(format!(
                "{}: no lock is visible of a connection with {key}=1, since it takes none",
                text::clean(&path.to_string_lossy())
            )),
            _ => {}
        }
    }
    Ok(PathBuf::from(path))
}

// SQLite ends a part at a byte 0.
fn decoded(part: &[u8]) -> OsString {
    let bytes: Vec<u8> = percent_decode(part).take_while(|&byte| byte != 0).collect();
    OsString::from_vec(bytes)
}

// As `sqlite3_uri_boolean` reads a value.
fn is_set(value: &str) -> bool {
    let is_word = ["yes", "true", "on"].iter().any(|word| value.eq_ignore_ascii_case(word));
    is_word || value.parse::<i64>().is_ok_and(|number| number != 0)
}

fn add_folder(folder: &Path, depth: FolderDepth, found: &mut NamedDatabases) -> Result<(), ArgumentError> {
    let shown = text::clean(&folder.to_string_lossy());
    let mut files = FolderFiles::default();
    files
        .read(folder, depth)
        .map_err(|source| ArgumentError::UnreadableFolder { path: shown.clone(), source })?;
    let mut databases: Vec<PathBuf> = files.paths.into_iter().filter(|path| is_database(path)).collect();
    databases.sort();
    let left_out = databases.len().saturating_sub(MOST_DATABASES);
    databases.truncate(MOST_DATABASES);
    if databases.is_empty() {
        return Err(match depth {
            FolderDepth::OwnFiles => ArgumentError::NoneInFolder(shown),
            FolderDepth::Recursive => ArgumentError::NoneBelow(shown),
        });
    }
    found.paths.extend(databases);
    if left_out > 0 {
        let all = units::plural(left_out as u64, "database");
        found
            .notes
            .push(format!("{shown}: {all} left out: at most {MOST_DATABASES} of a folder are sampled"));
    }
    if files.unreadable > 0 {
        let all = units::plural(files.unreadable as u64, "folder");
        found.notes.push(format!("{shown}: {all} below it cannot be read; run as a user who may read them"));
    }
    if files.entries >= MOST_ENTRIES {
        let most = units::count(MOST_ENTRIES as u64);
        found.notes.push(format!("{shown}: only {most} entries are read; name a folder with fewer files"));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct FolderFiles {
    paths: Vec<PathBuf>,
    entries: usize,
    // Folders below the first.
    unreadable: usize,
}

impl FolderFiles {
    fn read(&mut self, folder: &Path, depth: FolderDepth) -> io::Result<()> {
        for entry in fs::read_dir(folder)?.flatten() {
            self.entries += 1;
            if self.entries >= MOST_ENTRIES {
                break;
            }
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|it| it.is_dir());
            if is_folder && depth == FolderDepth::Recursive {
                self.unreadable += usize::from(self.read(&path, depth).is_err());
            } else if !is_folder && path.is_file() {
                self.paths.push(path);
            }
        }
        Ok(())
    }
}

fn is_database(path: &Path) -> bool {
    let mut start = [0; MAIN_HEADER];
    files::open(path)
        .and_then(|file| files::read_at(&file, &mut start, 0))
        .is_ok_and(|length| length == MAIN_HEADER && header::is_header(&start))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::observe::content::fixture::main_header;

    fn path_of(uri: &str) -> Result<(String, usize), String> {
        let mut notes = Vec::new();
        let path = database_path(Path::new(uri), &mut notes).map_err(|error| error.to_string())?;
        Ok((path.to_string_lossy().into_owned(), notes.len()))
    }

    #[test]
    fn a_uri_is_read_as_sqlite_reads_it() {
        for (uri, path, notes) in [
            ("notes.db", "notes.db", 0),
            ("./file:notes.db", "./file:notes.db", 0),
            ("file:notes.db", "notes.db", 0),
            ("file:///srv/notes.db", "/srv/notes.db", 0),
            ("file://localhost/srv/notes.db", "/srv/notes.db", 0),
            ("file:/srv/a%20b%3f.db?mode=ro#end", "/srv/a b?.db", 0),
            ("file:/srv/100%.db", "/srv/100%.db", 0),
            ("file:/srv/a.db%00.txt", "/srv/a.db", 0),
            ("file:a.db?vfs=unix&cache=shared", "a.db", 0),
            ("file:a.db?nolock=1", "a.db", 1),
            ("file:a.db?nolock=0&immutable=no", "a.db", 0),
            ("file:a.db?immutable=TRUE&nolock=2", "a.db", 2),
        ] {
            assert_eq!(path_of(uri), Ok((path.to_owned(), notes)), "{uri}");
        }
        for (uri, word) in [
            ("file:a.db?vfs=unix-dotfile", "the VFS unix-dotfile"),
            ("file:a.db?mode=memory", "in memory"),
            ("file://server/a.db", "the host server"),
        ] {
            assert!(path_of(uri).is_err_and(|error| error.contains(word)), "{uri}");
        }
    }

    #[test]
    fn a_folder_means_the_databases_in_it() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("below/deep")).expect("folders");
        for name in ["b.db", "a.sqlite", "below/deep/c.db"] {
            fs::write(at(name), main_header(1)).expect("written");
        }
        fs::write(at("notes.txt"), "# Notes").expect("written");
        fs::write(at("empty.db"), "").expect("written");
        symlink(at("below"), at("below/deep/loop")).expect("linked");
        let named = |arguments: &[&str], depth| {
            let arguments: Vec<PathBuf> = arguments.iter().map(|it| at(it)).collect();
            let found = named_databases(&arguments, depth).map_err(|error| error.to_string())?;
            let names =
                found.paths.iter().map(|it| it.strip_prefix(folder.path()).expect("in it").to_owned());
            Ok::<_, String>((names.collect::<Vec<_>>(), found.notes))
        };
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(named(&[""], FolderDepth::OwnFiles), Ok((paths(&["a.sqlite", "b.db"]), vec![])));
        let all = paths(&["a.sqlite", "b.db", "below/deep/c.db"]);
        assert_eq!(named(&[""], FolderDepth::Recursive), Ok((all, vec![])));
        let twice = named(&["b.db", ""], FolderDepth::OwnFiles);
        assert_eq!(twice, Ok((paths(&["b.db", "a.sqlite"]), vec![])));
        assert!(named(&["below"], FolderDepth::OwnFiles).is_err_and(|error| error.contains("give -r")));
    }

    #[test]
    fn a_folder_with_too_many_databases_says_how_many_are_left_out() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for number in 0..MOST_DATABASES + 2 {
            fs::write(folder.path().join(format!("{number:03}.db")), main_header(1)).expect("written");
        }
        let found = named_databases(&[folder.path().to_owned()], FolderDepth::OwnFiles).expect("a folder");
        assert_eq!(found.paths.len(), MOST_DATABASES);
        assert!(found.paths[255].ends_with("255.db"), "the first by name stay");
        assert!(found.notes[0].contains("2 databases left out"), "{:?}", found.notes);
    }
}
