//! The SQLite libraries of processes, read from outside in a thread of its own.
//!
//! A sample asks and takes what has arrived: it never waits for the thread. A library that was read once is found by its
//! identity in a file of waltop's, so that a short command knows it at once.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::proc::MappedLibrary;
use crate::{
    snapshot::{Process, ProcessId, SqliteLibrary},
    threads,
};

mod known;
mod reader;
mod scan;

use reader::LibraryReader;

/// The most processes that wait for the thread. Others ask again with the next reading of their mappings.
const MOST_WAITING: usize = 256;

/// The libraries of the processes that were sampled.
#[derive(Debug)]
pub struct SqliteLibraries {
    proc: PathBuf,
    state: PathBuf,
    known: HashMap<ProcessId, ProcessLibraries>,
    // `None` until the first request, and where the system refuses a thread.
    reader: Option<(Sender<LibraryRequest>, Receiver<LibraryAnswer>)>,
}

#[derive(Debug)]
struct ProcessLibraries {
    mapped: Vec<MappedLibrary>,
    // `None`: not read yet, or not all of them can be read.
    sqlite: Option<Vec<SqliteLibrary>>,
}

#[derive(Debug)]
struct LibraryRequest {
    process: ProcessId,
    mapped: Vec<MappedLibrary>,
}

#[derive(Debug)]
struct LibraryAnswer {
    process: ProcessId,
    sqlite: Option<Vec<SqliteLibrary>>,
}

impl SqliteLibraries {
    /// For processes of the `/proc` at `proc`; what was read is kept in the folder `state`.
    pub fn new(proc: &Path, state: &Path) -> Self {
        Self { proc: proc.to_owned(), state: state.to_owned(), known: HashMap::new(), reader: None }
    }

    /// Asks for the libraries of processes whose mappings were read; those that are known already are not asked for.
    pub fn ask(&mut self, read: Vec<(ProcessId, Vec<MappedLibrary>)>) {
        for (process, mapped) in read {
            if mapped.is_empty() || self.known.get(&process).is_some_and(|known| known.mapped == mapped) {
                continue;
            }
            let request = LibraryRequest { process, mapped: mapped.clone() };
            if self.send(request) {
                self.known.insert(process, ProcessLibraries { mapped, sqlite: None });
            }
        }
    }

    // Whether the thread has it.
    fn send(&mut self, request: LibraryRequest) -> bool {
        if self.reader.is_none() {
            self.reader = self.start();
        }
        let Some((requests, _)) = &self.reader else { return false };
        match requests.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Disconnected(_)) => {
                self.reader = None;
                false
            }
        }
    }

    fn start(&self) -> Option<(Sender<LibraryRequest>, Receiver<LibraryAnswer>)> {
        let (requests, inbox) = crossbeam_channel::bounded::<LibraryRequest>(MOST_WAITING);
        let (outbox, answers) = crossbeam_channel::unbounded();
        let mut reader = LibraryReader::new(self.proc.clone(), self.state.clone());
        let work = move || {
            for LibraryRequest { process, mapped } in &inbox {
                let sqlite = reader.read(process, &mapped);
                if outbox.send(LibraryAnswer { process, sqlite }).is_err() {
                    return;
                }
                if inbox.is_empty() {
                    reader.end_round();
                }
            }
        };
        threads::start("waltop-sqlite", work).ok()?;
        Some((requests, answers))
    }

    /// Fills in what is known by now of `processes`.
    pub fn fill_in<'a>(&mut self, processes: impl Iterator<Item = &'a mut Process>) {
        let answers = self.reader.iter().flat_map(|(_, answers)| answers.try_iter());
        for LibraryAnswer { process, sqlite } in answers {
            if let Some(known) = self.known.get_mut(&process) {
                known.sqlite = sqlite;
            }
        }
        for process in processes {
            let known = process.identity().and_then(|identity| self.known.get(&identity));
            let mut found = known.and_then(|known| known.sqlite.clone()).unwrap_or_default().into_iter();
            (process.sqlite, process.other_sqlite) = (found.next(), found.collect());
        }
    }

    /// Forgets the processes that are not among `pids`.
    pub fn retain_pids(&mut self, pids: &[i32]) {
        self.known.retain(|process, _| pids.contains(&process.pid));
    }
}
