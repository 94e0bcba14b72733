//! A few threads read and parse files next to the writer, with a limit on the bytes that wait for it.

use std::{
    num::NonZero,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, Scope},
    time::Duration,
    vec,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{
    discover::FoundDocument,
    parse::{self, DocumentTree, FileOutcome, KnownContent},
};
use crate::{database::identity, threads};

/// Bytes of files that may be read and not yet at the writer: 64 MiB.
const IN_FLIGHT: u64 = 64 << 20;

/// Files that may be parsed and not yet at the writer.
const QUEUE: usize = 1024;

const MOST_THREADS: usize = 4;

#[derive(Debug, Clone, Copy)]
pub struct ReadJob<'a> {
    pub found: &'a FoundDocument,
    pub tree: &'a DocumentTree,
    /// What the database has of it.
    pub known: Option<KnownContent>,
    /// Its size limit in bytes.
    pub largest: u64,
}

impl ReadJob<'_> {
    /// Bytes that it may occupy. A file that has grown since the walk is read up to the size limit, whatever it was
    /// counted as.
    fn cost(&self) -> u64 {
        self.found.stamp.bytes.min(self.largest)
    }

    fn run(&self) -> FileOutcome {
        parse::read(self.found, self.tree, self.known, self.largest)
    }
}

/// Files that are not read yet.
type ReadJobs<'a> = Arc<Mutex<vec::IntoIter<ReadJob<'a>>>>;

fn next_job<'a>(jobs: &ReadJobs<'a>) -> Option<ReadJob<'a>> {
    threads::lock(jobs).next()
}

/// The threads' results, in the order in which they are done. Dropping it ends the threads.
#[derive(Debug)]
pub struct ReadResults<'a> {
    receiver: Receiver<(ReadJob<'a>, FileOutcome)>,
    budget: Arc<ByteBudget>,
    /// Files that the writer reads itself because the system refuses threads.
    own: Option<ReadJobs<'a>>,
}

#[derive(Debug)]
pub enum NextResult<'a> {
    Done(&'a FoundDocument, FileOutcome),
    Nothing,
    End,
}

/// Starts reading `jobs` on threads of `scope`; on fewer, or in [`ReadResults::next`] itself, if the system refuses
/// them.
pub fn start<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    jobs: Vec<ReadJob<'env>>,
) -> ReadResults<'env> {
    let (sender, receiver) = crossbeam_channel::bounded(QUEUE);
    let budget = Arc::new(ByteBudget::default());
    // One processor is for the writer, which has more to do than a reader.
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.saturating_sub(1).clamp(1, MOST_THREADS).min(jobs.len());
    let jobs = Arc::new(Mutex::new(jobs.into_iter()));
    let read_on = |number: usize| {
        let (jobs, budget, sender) = (Arc::clone(&jobs), Arc::clone(&budget), sender.clone());
        threads::start_in(scope, &format!("reader-{number}"), move || {
            // The owner of the database may lack permission to read the documents.
            identity::read_as_root();
            while let Some(job) = next_job(&jobs) {
                if !budget.reserve(job.cost()) || sender.send((job, job.run())).is_err() {
                    return;
                }
            }
        })
    };
    let started = (0..threads).map_while(|number| read_on(number).ok()).count();
    let own = (started == 0).then(|| Arc::clone(&jobs));
    ReadResults { receiver, budget, own }
}

impl<'a> ReadResults<'a> {
    /// The next result; waits at most for `patience`.
    pub fn next(&self, patience: Duration) -> NextResult<'a> {
        if let Some(jobs) = &self.own {
            let next = next_job(jobs);
            return next
                .map_or(NextResult::End, |job| NextResult::Done(job.found, identity::as_root(|| job.run())));
        }
        match self.receiver.recv_timeout(patience) {
            Ok((job, outcome)) => {
                self.budget.give_back(job.cost());
                NextResult::Done(job.found, outcome)
            }
            Err(RecvTimeoutError::Timeout) => NextResult::Nothing,
            Err(RecvTimeoutError::Disconnected) => NextResult::End,
        }
    }
}

impl Drop for ReadResults<'_> {
    fn drop(&mut self) {
        self.budget.close();
    }
}

/// Bytes in use, and whether the receiver still exists.
#[derive(Debug, Default)]
struct ByteBudget {
    state: Mutex<BudgetState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BudgetState {
    out: u64,
    closed: bool,
}

impl ByteBudget {
    /// Waits for room for `bytes`; `false` once the receiver is gone. One file always fits when none is in use.
    fn reserve(&self, bytes: u64) -> bool {
        let full = |state: &mut BudgetState| !state.closed && state.out > 0 && state.out + bytes > IN_FLIGHT;
        let mut state = self.changed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        state.out += bytes;
        !state.closed
    }

    fn give_back(&self, bytes: u64) {
        self.lock().out -= bytes;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    // The state is always consistent, so a panic in another thread does not corrupt it.
    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        threads::lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::ingest::{discover::FileStamp, parse::Dialect};

    static TREE: DocumentTree = DocumentTree { prefix: String::new(), dialect: Dialect::Common };

    fn files(dir: &TempDir, count: usize, bytes: usize) -> Vec<FoundDocument> {
        (0..count)
            .map(|number| {
                let file = dir.path().join(format!("{number}.md"));
                fs::write(&file, "x".repeat(bytes)).expect("a file");
                let stamp = FileStamp::of(&fs::metadata(&file).expect("its metadata"));
                FoundDocument { file, name: format!("{number}.md"), folder: 0, stamp }
            })
            .collect()
    }

    fn jobs(found: &[FoundDocument]) -> Vec<ReadJob<'_>> {
        found
            .iter()
            .map(|found| ReadJob { found, tree: &TREE, known: None, largest: parse::LARGEST })
            .collect()
    }

    #[test]
    fn every_file_comes_once() {
        let dir = TempDir::new().expect("a folder");
        let found = files(&dir, 1000, 10);
        let mut seen = 0;
        thread::scope(|scope| {
            let results = start(scope, jobs(&found));
            loop {
                match results.next(Duration::from_secs(10)) {
                    NextResult::Done(_, FileOutcome::Parsed(_)) => seen += 1,
                    NextResult::End => break,
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(seen, 1000);
    }

    #[test]
    fn more_bytes_than_may_be_in_flight_go_through() {
        let dir = TempDir::new().expect("a folder");
        let found = files(&dir, 12, 12 << 20);
        let count = thread::scope(|scope| {
            let results = start(scope, jobs(&found));
            std::iter::from_fn(|| match results.next(Duration::from_mins(1)) {
                NextResult::Done(..) => Some(()),
                _ => None,
            })
            .count()
        });
        assert_eq!(count, 12);
    }

    #[test]
    fn without_threads_the_writer_reads() {
        let dir = TempDir::new().expect("a folder");
        let found = files(&dir, 3, 10);
        let (_, receiver) = crossbeam_channel::bounded(0);
        let own = Some(Arc::new(Mutex::new(jobs(&found).into_iter())));
        let results = ReadResults { receiver, budget: Arc::default(), own };
        for _ in 0..3 {
            assert!(matches!(results.next(Duration::ZERO), NextResult::Done(_, FileOutcome::Parsed(_))));
        }
        assert!(matches!(results.next(Duration::ZERO), NextResult::End));
    }

    #[test]
    fn giving_up_ends_the_threads() {
        let dir = TempDir::new().expect("a folder");
        let found = files(&dir, 12, 12 << 20);
        thread::scope(|scope| {
            let results = start(scope, jobs(&found));
            assert!(matches!(results.next(Duration::from_mins(1)), NextResult::Done(..)));
        });
    }
}
