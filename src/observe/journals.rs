//! Ingestions from the journals that they write: active ones, past ones, and those whose process died.
//!
//! A journal is read once and then followed: a sample reads what was appended since the previous one. It lists the
//! folder, reads the size of each of the newest 500 journals, and opens those that have changed.

mod followed;
mod run_state;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use self::followed::{FollowedJournal, LONGEST_LINE};
pub use super::liveness::boot;
use super::{liveness::is_there, timing::SampleTime, watchers};
use crate::{
    snapshot::{CarriesOn, IngestWatcher, Ingestion, IngestionState, Unseen},
    state::{
        folder,
        journal::{self, EXTENSION, JournalEvent, JournalLine},
    },
};

/// How many ingestions of each database are shown, newest first.
pub const SHOWN: usize = 20;

/// How many journals are read: the newest by name, which starts with the time.
pub const FOLLOWED: usize = 500;

/// The maximum size of the last line of a journal.
const LINE: u64 = 16 << 10;

/// The maximum that one sample reads of all journals together: some 300,000 batches.
const BYTES_PER_LOOK: u64 = 64 << 20;

/// Follows the journals in a folder.
#[derive(Debug)]
pub struct Journals {
    runs: PathBuf,
    proc: PathBuf,
    shown: usize,
    bytes_per_look: u64,
    followed: HashMap<PathBuf, FollowedJournal>,
    watch_files: Vec<PathBuf>,
    // For each active run: when its journal was last written, and which sample first saw that.
    told: HashMap<String, (Timestamp, Instant)>,
}

/// A transaction of an ingestion, as its journal records it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Absolute path of the database.
    pub database: String,
    pub pid: i32,
    /// Its start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    pub at: Timestamp,
    /// How long it waited for the write lock, in ms.
    pub wait_ms: f64,
    /// How long it held the lock, in ms.
    pub hold_ms: f64,
}

impl Journals {
    /// Follows the journals in `runs`; `proc` shows which of their processes are alive.
    pub fn new(runs: PathBuf, proc: PathBuf) -> Self {
        Self {
            runs,
            proc,
            shown: SHOWN,
            bytes_per_look: BYTES_PER_LOOK,
            followed: HashMap::new(),
            watch_files: Vec::new(),
            told: HashMap::new(),
        }
    }

    /// Shows at most `count` ingestions of each database.
    pub fn showing(self, count: usize) -> Self {
        Self { shown: count, ..self }
    }

    /// The ingestions with the path of their database, newest first, at most [`SHOWN`] of each database or the number
    /// set by [`Journals::showing`]; and what could not be read. Without such a folder there are no ingestions.
    pub fn look(&mut self) -> (Vec<(String, Ingestion)>, Vec<Unseen>) {
        let mut unseen = Vec::new();
        let (paths, watch_files) = newest(&self.runs).unwrap_or_else(|error| {
            unseen.push(told(&format!("the ingestions in {}", self.runs.display()), &error));
            (Vec::new(), Vec::new())
        });
        self.watch_files = watch_files;
        let newest: HashSet<&PathBuf> = paths.iter().collect();
        self.followed.retain(|path, _| newest.contains(path));
        let mut budget = self.bytes_per_look;
        for path in &paths {
            let followed = self.followed.entry(path.clone()).or_default();
            let what = || format!("the whole ingestion in {}", path.display());
            if let Err(error) = followed.catch_up(path, &self.proc, &mut budget) {
                unseen.push(told(&what(), &error));
            } else if let Some(why) = followed.nonsense.clone() {
                unseen.push(Unseen { what: what(), why });
            } else if followed.is_behind {
                let why = format!("it is large; a sample reads {} MiB of journals", BYTES_PER_LOOK >> 20);
                unseen.push(Unseen { what: what(), why });
            }
        }
        let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
        let mut ingestions = Vec::new();
        for story in paths.iter().filter_map(|path| self.followed.get(path)?.story.as_ref()) {
            let count = shown.entry(&story.database).or_default();
            *count += 1;
            if *count <= self.shown {
                ingestions.push((story.database.clone(), story.ingestion.clone()));
            }
        }
        (ingestions, unseen)
    }

    /// Fills in for how long each active run of `ingestions` has recorded nothing. The calendar time includes the time
    /// that the machine slept. It counts if the machine has not slept since boot; otherwise the time between samples
    /// counts.
    pub fn fill_in_silence(
        &mut self,
        ingestions: &mut [(String, Ingestion)],
        now: SampleTime,
        slept: Option<Duration>,
    ) {
        let mut told = std::mem::take(&mut self.told);
        for (_, run) in ingestions.iter_mut().filter(|(_, run)| run.is_running()) {
            let Some(at) = run.last_told_at else { continue };
            let known = told.remove(&run.run).filter(|(before, _)| *before == at);
            let (_, first) = *self.told.entry(run.run.clone()).or_insert(known.unwrap_or((at, now.instant)));
            let watched = now.instant.saturating_duration_since(first);
            // If the clock was set back, only the watched time is known.
            let by_calendar = Duration::try_from(now.timestamp.duration_since(at)).unwrap_or_default();
            let awake = slept.and_then(|slept| by_calendar.checked_sub(slept)).unwrap_or_default();
            run.silent_ms = Some(watched.max(awake).as_secs_f64() * 1000.0);
        }
    }

    /// The watchers that keep a database in sync with folders, as of the newest sample, each with its database.
    pub fn watchers(&self) -> Vec<(String, IngestWatcher)> {
        watchers::read(&self.watch_files, &self.proc)
    }

    /// The transactions read since the last call, at most the newest few thousand of each journal.
    pub fn take_transactions(&mut self) -> Vec<Transaction> {
        let stories = self.followed.values_mut().filter_map(|followed| followed.story.as_mut());
        stories.flat_map(|story| std::mem::take(&mut story.fresh)).collect()
    }
}

/// The newest run in `runs` of any of the processes `pids` that ingested any of `folders` into `database`, if it has no
/// end and its process is gone. Only their journals are opened. Without `pids` the folder is not even listed, so a run
/// that has nothing to do has no cost.
pub fn left_off(
    runs: &Path,
    proc: &Path,
    database: &str,
    folders: &[String],
    pids: &[i32],
) -> Option<CarriesOn> {
    if pids.is_empty() {
        return None;
    }
    let (newest, _) = newest(runs).ok()?;
    let is_theirs = |path: &&PathBuf| {
        let run = path.file_stem().unwrap_or_default().to_string_lossy();
        pids.iter().any(|pid| journal::is_of(&run, *pid))
    };
    let is_of_them = |path: &&PathBuf| match first_line(path) {
        Some(JournalEvent::Started { database: its, folders: theirs, .. }) => {
            its == database && theirs.iter().any(|folder| folders.contains(folder))
        }
        _ => false,
    };
    let path = newest.iter().filter(is_theirs).find(is_of_them)?;
    if has_end(path) {
        return None;
    }
    let mut followed = FollowedJournal::default();
    let mut budget = BYTES_PER_LOOK;
    followed.catch_up(path, proc, &mut budget).ok()?;
    let Ingestion { run, pid, state, files_done, files_total, .. } = followed.story?.ingestion;
    (state == IngestionState::Crashed).then_some(CarriesOn { run, pid, files_done, files_total })
}

/// The event in the first line of the journal at `path`; `None` if it is invalid.
pub fn first_line(path: &Path) -> Option<JournalEvent> {
    let mut line = Vec::new();
    let file = folder::open(path).ok()?;
    BufReader::new(file.take(LONGEST_LINE)).read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice::<JournalLine>(&line).ok().map(|line| line.event)
}

/// Whether the last line of the journal at `path` records the end of its run.
pub fn has_end(path: &Path) -> bool {
    let last = || -> io::Result<Vec<u8>> {
        let mut file = folder::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LINE)))?;
        let mut end = Vec::new();
        file.take(LINE).read_to_end(&mut end)?;
        Ok(end)
    };
    let end = last().unwrap_or_default();
    let line = end.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = serde_json::from_slice::<JournalLine>(line);
    line.is_ok_and(|line| matches!(line.event, JournalEvent::Finished { .. }))
}

/// Whether the process that wrote `started` is alive: not if another process has its PID by now, or it is from another
/// boot. `None` if that is unknown, and for any other event.
pub fn lives(proc: &Path, started: &JournalEvent) -> Option<bool> {
    let JournalEvent::Started { pid, start_ticks, boot, .. } = started else { return None };
    is_there(proc, *pid, *start_ticks, boot.as_deref())
}

/// The newest journals in `runs`, newest first, and the files of watchers.
fn newest(runs: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        other => other?,
    };
    let (mut paths, mut watch_files) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Anything but a regular file is not waltop's, and opening a pipe would block.
        let kept = match path.extension() {
            Some(it) if it == EXTENSION => &mut paths,
            Some(it) if it == journal::WATCH_EXTENSION => &mut watch_files,
            _ => continue,
        };
        if entry.file_type()?.is_file() {
            kept.push(path);
        }
    }
    paths.sort_unstable_by(|a, b| b.cmp(a));
    paths.truncate(FOLLOWED);
    watch_files.sort_unstable();
    Ok((paths, watch_files))
}

fn told(what: &str, error: &io::Error) -> Unseen {
    Unseen { what: what.to_owned(), why: error.to_string() }
}
