//! Evidence from the bytes of the files: whether they belong together, and what is missing.
//!
//! Everything is read with `pread`, a bounded part in each sample, and only after a file changed. One sample judges
//! each fact once; another sample confirms an accusation.

use std::{
    collections::BTreeSet,
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

use super::{
    files::{self, FileSighting},
    lock_probe::{self, ProbeScope},
    wal::LogHeader,
    wal_index::RawIndex,
};
use crate::file_format::{CHECKPOINT_BYTE, MAIN_LOCKS, READ0_BYTE};
use crate::paths::FileId;
use crate::snapshot::{
    ContentEvidence, Contradiction, FirstPage, FirstPageState, HotJournal, LogBelongs, LogVerdict, Unseen,
};

mod belongs;
mod contradiction;
pub mod first_page;
mod frames;
mod journal;

use belongs::CommitSearch;
use contradiction::MainFileState;
use frames::{FrameHeader, MainAndLog};

/// How many frame headers one sample reads.
const FRAMES: usize = 262_144;
/// How many bytes of pages one sample compares.
const COMPARED_BYTES: usize = 16 << 20;
/// How often the index is read again because it changed in the meantime.
const TRIES: u32 = 3;
/// A file written less than this ago can be written again without a new modification time.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of `-shm` that a checkpoint locks exclusively.
const COPYING: [u64; 2] = [CHECKPOINT_BYTE, READ0_BYTE];

/// The files in one sample, for [`ContentReader::read`].
#[derive(Debug)]
pub struct ContentInput<'a> {
    /// Main file, `-wal` and `-shm`.
    pub paths: &'a [PathBuf; 3],
    pub sights: &'a [Option<FileSighting>; 3],
    /// The path of the journal, if there is one.
    pub journal: Option<PathBuf>,
    /// Bytes per page, from the header of the main file; `None` if it has no header.
    pub page_size: Option<u32>,
    pub header_count: u32,
    /// Whether a process has one of the files open, or holds a lock on one.
    pub is_used: bool,
    /// Whether a process holds byte 128, as every process with the index open does.
    pub is_vouched_for: bool,
    /// Committed frames, counted in the log itself; `None` if they are not counted to the end.
    pub committed: Option<u32>,
}

/// Reads the content of one database, and caches what it has read.
#[derive(Debug, Default)]
pub struct ContentReader {
    first_page: Option<([Option<ContentStamp>; 3], FirstPage)>,
    contradiction: Option<(RawIndex, [Option<ContentStamp>; 3], Option<Contradiction>)>,
    log: Option<LogSearch>,
}

/// Distinguishes the states of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ContentStamp {
    id: FileId,
    bytes: u64,
    modified: Option<SystemTime>,
    born: Option<SystemTime>,
}

impl ContentStamp {
    fn of(metadata: &Metadata) -> Self {
        let (modified, born) = (metadata.modified().ok(), metadata.created().ok());
        Self { id: FileId::of(metadata), bytes: metadata.len(), modified, born }
    }

    fn is_finished(&self) -> bool {
        self.modified.is_none_or(|at| at.elapsed().is_ok_and(|age| age > TICK))
    }
}

#[derive(Debug)]
struct LogSearch {
    of: (ContentStamp, ContentStamp, [u8; 8], u32),
    frames: Vec<FrameHeader>,
    search: Option<CommitSearch>,
    belongs: Option<bool>,
}

impl ContentReader {
    /// The evidence from the content of the files in `input`.
    pub fn read(&mut self, input: &ContentInput<'_>, unseen: &mut Vec<Unseen>) -> ContentEvidence {
        let Some(main) = &input.sights[0] else { return ContentEvidence::default() };
        let mut note = |what: &str, path: &Path, error: &io::Error| {
            if error.kind() != io::ErrorKind::NotFound {
                unseen.push(Unseen { what: format!("{what} {}", path.display()), why: error.to_string() });
            }
        };
        let [path, log, _] = input.paths;
        let first_page = self.first_page(input, main.facts.bytes);
        let first_page = first_page.map_err(|error| note("page 1 of", path, &error)).ok();
        let hot_journal = hot_journal(input, main.facts.bytes);
        let hot_journal = hot_journal.map_err(|error| note("the journal of", path, &error)).ok().flatten();
        let journal_in_use = input.journal.as_ref().map_or(Ok(false), |path| journal::is_in_use(path));
        let journal_in_use = journal_in_use.map_err(|error| note("the journal of", path, &error));
        let contradiction = self.contradiction(input, hot_journal.is_some());
        let log_belongs = self.log_belongs(input);
        ContentEvidence {
            first_page,
            log_belongs: log_belongs.map_err(|error| note("whose log it is, of", log, &error)).ok().flatten(),
            contradiction: contradiction.map_err(|error| note("the pages of", path, &error)).ok().flatten(),
            hot_journal,
            // One that cannot be read may be in use.
            journal_in_use: journal_in_use.unwrap_or(true),
        }
    }

    fn first_page(&mut self, input: &ContentInput<'_>, bytes: u64) -> io::Result<FirstPage> {
        match (input.page_size, bytes) {
            (_, 0) => return Ok(first_page::plain(FirstPageState::Empty)),
            (Some(size), bytes) if bytes >= u64::from(size) => {
                return Ok(first_page::plain(FirstPageState::Good));
            }
            _ => {}
        }
        let [main, log, index] = input.paths;
        let stamps = input.paths.each_ref().map(|path| path.metadata().ok().map(|it| ContentStamp::of(&it)));
        if let Some((of, known)) = &self.first_page
            && *of == stamps
        {
            return Ok(known.clone());
        }
        let found = first_page::examine(&files::open(main)?, log, index)?;
        if stamps.iter().flatten().all(ContentStamp::is_finished) {
            self.first_page = Some((stamps, found.clone()));
        }
        Ok(found)
    }

    fn contradiction(&mut self, input: &ContentInput<'_>, is_hot: bool) -> io::Result<Option<Contradiction>> {
        if !input.is_vouched_for {
            return if is_hot { Ok(None) } else { contradiction_of_header(input) };
        }
        if input.sights[2].is_none() {
            return Ok(None);
        }
        let [main, log, index] = input.paths;
        let index = files::open(index)?;
        for _ in 0..TRIES {
            let before = RawIndex::read(&index)?;
            let stamps =
                input.paths.each_ref().map(|path| path.metadata().ok().map(|it| ContentStamp::of(&it)));
            if let Some((raw, of, known)) = &self.contradiction
                && (*raw, *of) == (before, stamps)
            {
                return Ok(known.clone());
            }
            if !before.is_whole() {
                continue;
            }
            let found = by_index(&before, &index, main, log);
            let is_steady = RawIndex::read(&index)? == before
                && is_same_file(&index, &input.paths[2])
                && stamps[0].is_some_and(|it| main.metadata().is_ok_and(|now| ContentStamp::of(&now) == it));
            if is_steady {
                let found = found?;
                if stamps[0].is_some_and(|it| it.is_finished()) {
                    self.contradiction = Some((before, stamps, found.clone()));
                }
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn log_belongs(&mut self, input: &ContentInput<'_>) -> io::Result<Option<LogBelongs>> {
        let frames = input.committed.filter(|&frames| frames > 0 && !input.is_used && !input.is_vouched_for);
        let (Some(frames), [Some(_), Some(_), _]) = (frames, input.sights) else {
            self.log = None;
            return Ok(None);
        };
        let (main, log) = (files::open(&input.paths[0])?, files::open(&input.paths[1])?);
        let (main_stamp, log_stamp) =
            (ContentStamp::of(&main.metadata()?), ContentStamp::of(&log.metadata()?));
        let judged = |verdict| {
            Some(LogBelongs {
                verdict,
                frames,
                main_written_at: timestamp(main_stamp.modified),
                main_born_at: timestamp(main_stamp.born),
                log_written_at: timestamp(log_stamp.modified),
            })
        };
        let is_later = |at: Option<SystemTime>| at > log_stamp.modified && log_stamp.modified.is_some();
        if !is_later(main_stamp.modified) && !is_later(main_stamp.born) {
            self.log = None;
            return Ok(judged(LogVerdict::MainIsOlder));
        }
        let Some(header) = LogHeader::read(&log)? else { return Ok(None) };
        let of = (main_stamp, log_stamp, header.salts(), frames);
        let known = self.log.take().filter(|known| known.of == of);
        let mut search = known.unwrap_or(LogSearch { of, frames: Vec::new(), search: None, belongs: None });
        let pair = MainAndLog { main: &main, log: &log, header };
        let is_done = search.continue_search(&pair, &input.paths[2])?;
        let belongs = search.belongs;
        self.log = Some(search);
        match (is_done, belongs) {
            (true, Some(true)) => Ok(judged(LogVerdict::Belongs)),
            (true, Some(false)) => Ok(judged(LogVerdict::Doubtful)),
            (true, None) => Ok(None),
            (false, _) => Err(io::Error::other("it is large; the next sample continues")),
        }
    }
}

impl LogSearch {
    /// Whether the search is finished; it has no answer if the log changes in the meantime.
    fn continue_search(&mut self, pair: &MainAndLog<'_>, index: &Path) -> io::Result<bool> {
        if self.belongs.is_some() {
            return Ok(true);
        }
        let frames = self.of.3;
        match pair.frames(&mut self.frames, frames, FRAMES)? {
            None => return Ok(true),
            Some(false) => return Ok(false),
            Some(true) => {}
        }
        let search =
            self.search.get_or_insert_with(|| CommitSearch::new(&self.frames, &left_by_index(pair, index)));
        let mut limit = COMPARED_BYTES / pair.header.page_size as usize;
        let changed = || io::Error::other("it changes while it is read");
        let compare = |page, number| pair.compare(page, number)?.ok_or_else(changed);
        self.belongs = search.continue_search(&self.frames, &mut limit, compare)?;
        Ok(self.belongs.is_some())
    }
}

/// How far the checkpoints of this log went, according to the index left beside it.
fn left_by_index(pair: &MainAndLog<'_>, index: &Path) -> Vec<u32> {
    let raw = files::open(index).and_then(|index| RawIndex::read(&index)).ok();
    raw.filter(|it| it.is_whole() && it.salts() == pair.header.salts())
        .map(|it| vec![it.backfilled(), it.attempted()])
        .unwrap_or_default()
}

// The log may hold the missing pages: its frames are read if the main file is too short.
fn contradiction_of_header(input: &ContentInput<'_>) -> io::Result<Option<Contradiction>> {
    let (Some(main), Some(size)) = (&input.sights[0], input.page_size) else { return Ok(None) };
    if main.facts.bytes >= u64::from(input.header_count) * u64::from(size) {
        return Ok(None);
    }
    let path = &input.paths[0];
    let file = files::open(path)?;
    let before = file.metadata()?;
    if is_written(&file)? {
        return Ok(None);
    }
    let Some(found) = MainFileState::read(&file, None)? else { return Ok(None) };
    let logged = match (&input.sights[1], input.committed) {
        (None, _) => BTreeSet::new(),
        (Some(sight), _) if sight.facts.bytes == 0 => BTreeSet::new(),
        (Some(_), None) => return Ok(None),
        (Some(_), Some(committed)) => {
            let log = files::open(&input.paths[1])?;
            let Some(header) = LogHeader::read(&log)? else { return Ok(None) };
            let mut frames = Vec::new();
            let pair = MainAndLog { main: &file, log: &log, header };
            if pair.frames(&mut frames, committed, FRAMES)? != Some(true) {
                return Ok(None);
            }
            frames.into_iter().map(|frame| frame.page).collect()
        }
    };
    let is_steady = !is_written(&file)?
        && MainFileState::read(&file, None)? == Some(found)
        && ContentStamp::of(&path.metadata()?) == ContentStamp::of(&before);
    Ok(contradiction::by_header(&found, &logged).filter(|_| is_steady))
}

fn by_index(raw: &RawIndex, index: &File, main: &Path, log: &Path) -> io::Result<Option<Contradiction>> {
    let main = files::open(main)?;
    let is_copying = || -> io::Result<bool> {
        for byte in COPYING {
            if lock_probe::ask(index, ProbeScope::Writers, byte..=byte)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let was_copying = is_copying()?;
    let Some(file) = MainFileState::read(&main, Some(raw.page_size()))? else { return Ok(None) };
    let log = files::open(log).ok();
    let header = log.as_ref().and_then(|log| LogHeader::read(log).ok().flatten());
    let pair = log.as_ref().zip(header).map(|(log, header)| MainAndLog { main: &main, log, header });
    let found = contradiction::by_index(&file, raw, index, pair.as_ref(), was_copying)?;
    // Read again: a page written in the meantime could be half old and half new.
    Ok(if found.is_some() && (was_copying || is_copying()?) {
        found.filter(|it| it.kind == crate::snapshot::ContradictionKind::MissingPage)
    } else {
        found
    })
}

fn hot_journal(input: &ContentInput<'_>, main_bytes: u64) -> io::Result<Option<HotJournal>> {
    match &input.journal {
        // SQLite treats an empty main file as a new database, and removes its journal.
        Some(path) if main_bytes > 0 => {
            let main = files::open(&input.paths[0])?;
            journal::hot(path, || Ok(!is_written(&main)?))
        }
        _ => Ok(None),
    }
}

/// Whether a process holds RESERVED, PENDING or EXCLUSIVE on the main file.
fn is_written(main: &File) -> io::Result<bool> {
    Ok(lock_probe::ask(main, ProbeScope::Writers, MAIN_LOCKS)?.is_some())
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let id = |metadata: io::Result<Metadata>| metadata.map(|it| FileId::of(&it)).ok();
    id(file.metadata()) == id(path.metadata())
}

fn timestamp(at: Option<SystemTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::try_from(at).ok())
}

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;
