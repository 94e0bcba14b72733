//! The SQLite libraries of processes, read from outside in a thread of its own.
//!
//! A sample asks and takes what has arrived. It waits for the thread only if a command that takes one sample says so. A
//! library that was read once is found by its identity in a file of waltop's, so that a short command knows it at once.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::{Observer, proc::MappedLibrary};
use crate::{
    snapshot::{Database, Process, ProcessId, SqliteLibrary},
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
    // Requests without an answer.
    pending: usize,
    // How long samples may still wait for answers, all together.
    patience: Duration,
}

impl Observer {
    /// Leaves the SQLite libraries of the processes out, for a command that does not show them.
    pub fn without_libraries(mut self) -> Self {
        self.sqlite = None;
        self
    }

    /// Fills in the libraries of the processes of `databases` that are read by now; only `pids` exist.
    pub(super) fn note_libraries(&mut self, databases: &mut [Database], pids: &[i32]) {
        if let Some(sqlite) = &mut self.sqlite {
            sqlite.fill_in(databases.iter_mut().flat_map(|database| &mut database.processes));
            sqlite.retain_pids(pids);
        }
    }

    /// Lets the next samples wait for libraries that are not read yet, for at most `limit` together.
    pub fn wait_for_libraries(&mut self, limit: Duration) {
        if let Some(sqlite) = &mut self.sqlite {
            sqlite.patience = limit;
        }
    }
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
        Self {
            proc: proc.to_owned(),
            state: state.to_owned(),
            known: HashMap::new(),
            reader: None,
            pending: 0,
            patience: Duration::ZERO,
        }
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
            (self.reader, self.pending) = (self.start(), 0);
        }
        let Some((requests, _)) = &self.reader else { return false };
        match requests.try_send(request) {
            Ok(()) => {
                self.pending += 1;
                true
            }
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

    // Fills in what is known by now of `processes`.
    fn fill_in<'a>(&mut self, processes: impl Iterator<Item = &'a mut Process>) {
        let began = Instant::now();
        while let Some(LibraryAnswer { process, sqlite }) = self.next_answer(began) {
            if let Some(known) = self.known.get_mut(&process) {
                known.sqlite = sqlite;
            }
        }
        self.patience = self.patience.saturating_sub(began.elapsed());
        for process in processes {
            let known = process.identity().and_then(|identity| self.known.get(&identity));
            let mut found = known.and_then(|known| known.sqlite.clone()).unwrap_or_default().into_iter();
            (process.sqlite, process.other_sqlite) = (found.next(), found.collect());
        }
    }

    // `None` if no request is open, or none is answered in time.
    fn next_answer(&mut self, began: Instant) -> Option<LibraryAnswer> {
        let (_, answers) = self.reader.as_ref().filter(|_| self.pending > 0)?;
        let left = self.patience.saturating_sub(began.elapsed());
        let answer = if left.is_zero() { answers.try_recv().ok() } else { answers.recv_timeout(left).ok() }?;
        self.pending -= 1;
        Some(answer)
    }

    // Forgets the processes that are not among `pids`.
    fn retain_pids(&mut self, pids: &[i32]) {
        self.known.retain(|process, _| pids.contains(&process.pid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::proc::fake::FakeProc;

    #[test]
    fn a_sample_waits_for_an_answer_no_longer_than_it_may() {
        let proc = FakeProc::new();
        let mut libraries = SqliteLibraries::new(proc.path(), proc.path());
        // A thread that is stuck.
        let (requests, _inbox) = crossbeam_channel::bounded(MOST_WAITING);
        let (outbox, answers) = crossbeam_channel::unbounded();
        libraries.reader = Some((requests, answers));
        let mut process = Process::unknown(7, "bun".to_owned());
        process.start_ticks = Some(4200);
        let identity = process.identity().expect("known");
        libraries.known.insert(identity, ProcessLibraries { mapped: Vec::new(), sqlite: None });
        assert!(libraries.send(LibraryRequest { process: identity, mapped: Vec::new() }));
        libraries.patience = Duration::from_millis(20);
        libraries.fill_in(std::iter::once(&mut process));
        assert_eq!(
            (&process.sqlite, libraries.patience),
            (&None, Duration::ZERO),
            "the next one does not wait"
        );
        let library = SqliteLibrary {
            version: "3.40.1".to_owned(),
            source_id: String::new(),
            library: "/usr/lib/libsqlite3.so.0".to_owned(),
            replaced: false,
            in_other_namespace: false,
        };
        libraries.patience = Duration::MAX;
        let sent = library.clone();
        let late = std::thread::spawn(move || {
            outbox.send(LibraryAnswer { process: identity, sqlite: Some(vec![sent]) }).expect("taken");
            outbox
        });
        libraries.fill_in(std::iter::once(&mut process));
        assert_eq!(process.sqlite, Some(library));
        drop(late.join());
    }
}
