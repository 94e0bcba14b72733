//! The work of the thread: opens libraries, and reads those that are not known.

use std::{
    borrow::Cow,
    collections::HashMap,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    known::{KnownLibraries, LibraryIdentity},
    scan::{FoundSqlite, scan},
};
use crate::{
    observe::proc::{LibraryFile, MappedLibrary, ProcessFolder, process_start},
    snapshot::{ProcessId, SqliteLibrary},
};

/// A library that takes longer is stored at once: the command may end before the next one is read.
const LONG: Duration = Duration::from_millis(5);

/// Reads the libraries of processes, each file once.
#[derive(Debug)]
pub struct LibraryReader {
    proc: PathBuf,
    state: PathBuf,
    // Loaded by the first request.
    known: Option<KnownLibraries>,
    // Those of this round: processes of one program share most of their libraries.
    round: HashMap<LibraryFile, Option<FoundSqlite>>,
}

impl LibraryReader {
    pub fn new(proc: PathBuf, state: PathBuf) -> Self {
        Self { proc, state, known: None, round: HashMap::new() }
    }

    /// The SQLite libraries among `mapped` of `process`, as far as they can be read; `None` if it has ended.
    ///
    /// Shared libraries come before the program: a program with SQLite built in that loads another one most often uses
    /// that.
    pub fn read(&mut self, process: ProcessId, mapped: &[MappedLibrary]) -> Option<Vec<SqliteLibrary>> {
        let mut order: Vec<&MappedLibrary> = mapped.iter().collect();
        order.sort_by_key(|it| (is_program(it), !is_named_sqlite(it)));
        let in_other_namespace = !self.is_in_own_namespace(process.pid);
        let mut found = Vec::new();
        for library in order {
            if let Some(FoundSqlite { version, source_id }) = self.library(process.pid, library) {
                found.push(SqliteLibrary {
                    version,
                    source_id,
                    library: library.path.to_string_lossy().into_owned(),
                    replaced: library.is_deleted,
                    in_other_namespace,
                });
            }
        }
        // The PID may belong to another process by now.
        (process_start(&self.proc, process.pid) == Some(process.start_ticks)).then_some(found)
    }

    /// Ends a round, in which the requests arrived together: a file that no process maps any more may get another file's
    /// number.
    pub fn end_round(&mut self) {
        self.round.clear();
        self.known().save();
    }

    fn is_in_own_namespace(&self, pid: i32) -> bool {
        let of = |folder: ProcessFolder| folder.mount_namespace().ok();
        let own = of(ProcessFolder::own(&self.proc));
        own.is_some() && own == of(ProcessFolder::of(&self.proc, pid))
    }

    // `None` if it has none, or cannot be read.
    fn library(&mut self, pid: i32, library: &MappedLibrary) -> Option<FoundSqlite> {
        if let Some(found) = self.round.get(&library.file) {
            return found.clone();
        }
        let found = self.read_library(pid, library).ok()?;
        self.round.insert(library.file, found.clone());
        found
    }

    fn read_library(&mut self, pid: i32, library: &MappedLibrary) -> io::Result<Option<FoundSqlite>> {
        let file = library.open(&self.proc, pid)?;
        let identity = LibraryIdentity::of(&file.metadata()?);
        if let Some(known) = self.known().get(identity) {
            return Ok(known.clone());
        }
        let began = Instant::now();
        let found = scan(&file, &library.segments)?;
        self.known().insert(identity, found.clone());
        if began.elapsed() > LONG {
            self.known().save();
        }
        Ok(found)
    }

    fn known(&mut self) -> &mut KnownLibraries {
        self.known.get_or_insert_with(|| KnownLibraries::load(self.state.clone()))
    }
}

fn is_named_sqlite(library: &MappedLibrary) -> bool {
    file_name(library).contains("sqlite")
}

fn is_program(library: &MappedLibrary) -> bool {
    let name = file_name(library);
    !name.contains(".so") && !name.ends_with(".node")
}

fn file_name(library: &MappedLibrary) -> Cow<'_, str> {
    library.path.file_name().unwrap_or_default().to_string_lossy()
}
