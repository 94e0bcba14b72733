//! The walk itself, on several threads.

use std::{
    fs::Metadata,
    mem,
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crossbeam_channel::RecvTimeoutError;
use ignore::{WalkBuilder, WalkState};

use super::is_document;
use crate::{ingest::StopFlag, threads};

/// More threads do not speed up a walk that the kernel answers from memory.
const MOST_THREADS: usize = 4;

/// How often the caller of a walk checks whether the run has to stop.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// Candidates in a folder, sorted by name, unreadable ones last. Incomplete if `stop` was raised.
pub fn entries(folder: &Path, hidden: bool, stop: &StopFlag) -> Vec<Result<FolderEntry, ignore::Error>> {
    let mut walk = WalkBuilder::new(folder);
    walk.standard_filters(true).require_git(false).hidden(!hidden).follow_links(false);
    let mut entries = in_parallel(&mut walk, stop).unwrap_or_else(|| one_by_one(&walk, stop));
    // Compares bytes: comparing paths component by component takes many times as long.
    entries.sort_unstable_by(|one, other| match (one, other) {
        (Ok(one), Ok(other)) => one.found.path().as_os_str().cmp(other.found.path().as_os_str()),
        _ => one.is_err().cmp(&other.is_err()),
    });
    entries
}

/// Walks on several threads while this one watches `stop`, which works even while a file system does not answer. `None`
/// if the system refuses the threads: for one refused thread the library panics, and its other threads never exit.
fn in_parallel(walk: &mut WalkBuilder, stop: &StopFlag) -> Option<Vec<Result<FolderEntry, ignore::Error>>> {
    let wanted = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    // One more thread waits for them.
    if threads::available(wanted + 1) <= wanted {
        return None;
    }
    let walk = walk.threads(wanted).build_parallel();
    let entries = Arc::new(Mutex::new(Vec::new()));
    let (working, done) = crossbeam_channel::bounded::<()>(0);
    let (theirs, their_stop) = (Arc::clone(&entries), stop.clone());
    let walker = threads::start("walk", move || {
        let _working = working;
        walk.run(|| {
            Box::new(|entry| {
                if their_stop.is_raised() {
                    return WalkState::Quit;
                }
                let entry = entry.map(FolderEntry::of);
                if entry.as_ref().map_or(true, FolderEntry::is_of_interest) {
                    threads::lock(&theirs).push(entry);
                }
                WalkState::Continue
            })
        });
    });
    walker.ok()?;
    // Nothing is ever sent: the channel closes when the walk is done.
    while done.recv_timeout(STOP_CHECK) == Err(RecvTimeoutError::Timeout) && !stop.is_raised() {}
    let found = mem::take(&mut *threads::lock(&entries));
    Some(found)
}

/// The same walk on this thread alone.
fn one_by_one(walk: &WalkBuilder, stop: &StopFlag) -> Vec<Result<FolderEntry, ignore::Error>> {
    let entries = walk.build().take_while(|_| !stop.is_raised()).map(|entry| entry.map(FolderEntry::of));
    entries.filter(|entry| entry.as_ref().map_or(true, FolderEntry::is_of_interest)).collect()
}

/// An entry of a folder.
pub struct FolderEntry {
    pub found: ignore::DirEntry,
    /// Set for a regular file with a document's name.
    pub metadata: Option<Result<Metadata, ignore::Error>>,
    pub has_name: bool,
    /// A folder below the walked one, with its own `.git`.
    pub has_repository: bool,
}

impl FolderEntry {
    fn of(found: ignore::DirEntry) -> Self {
        let kind = found.file_type().filter(|kind| !kind.is_dir() && !kind.is_symlink());
        let has_name = kind.is_some() && is_document(found.path());
        let metadata = kind.filter(|kind| has_name && kind.is_file()).map(|_| found.metadata());
        let is_folder = found.depth() > 0 && found.file_type().is_some_and(|kind| kind.is_dir());
        let has_repository = is_folder && found.path().join(".git").symlink_metadata().is_ok();
        Self { found, metadata, has_name, has_repository }
    }

    fn is_of_interest(&self) -> bool {
        self.has_name || self.has_repository || self.found.error().is_some()
    }
}
