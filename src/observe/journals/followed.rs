//! Reading a journal as it grows.

use std::{
    fs::{self, Metadata},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    time::SystemTime,
};

use super::run_state::RunState;
use crate::state::folder;

/// The maximum length of a journal line in bytes. A start with its folders is the longest that waltop writes.
pub(super) const LONGEST_LINE: u64 = 1 << 20;

/// After this many invalid lines the remaining journal is not read.
const MOST_NONSENSE: u32 = 100;

/// A journal, and how far it has been read.
#[derive(Debug, Default)]
pub(super) struct FollowedJournal {
    inode: u64,
    pub read_to: u64,
    // Size and modification time of the journal when it was last read.
    read_at: Option<(u64, SystemTime)>,
    pub story: Option<RunState>,
    /// The error in a line that was skipped.
    pub nonsense: Option<String>,
    /// Whether there is more to read than one sample may.
    pub is_behind: bool,
    nonsense_lines: u32,
    // It is not read further: it is no journal.
    is_given_up: bool,
}

impl FollowedJournal {
    /// Reads what was appended to the journal at `path`, at most `budget` bytes, which it reduces; `proc` shows whether
    /// its process is alive.
    pub fn catch_up(&mut self, path: &Path, proc: &Path, budget: &mut u64) -> io::Result<()> {
        // A process that was gone before the reading of its journal has written everything. If the journal had not
        // named the process yet, the check follows the reading, and what was appended in between is also read.
        let mut asked = self.story.as_ref().map(|story| story.is_alive(proc));
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if metadata.ino() != self.inode || metadata.len() < self.read_to {
            *self = Self { inode: metadata.ino(), ..Self::default() };
            asked = None;
        }
        self.read_on(path, &metadata, budget)?;
        let lives = asked.unwrap_or_else(|| self.story.as_ref().and_then(|story| story.is_alive(proc)));
        if asked.is_none() && lives == Some(false) {
            self.read_on(path, &fs::symlink_metadata(path)?, budget)?;
        }
        if let Some(story) = &mut self.story {
            story.finish(lives);
        }
        Ok(())
    }

    /// Reads the complete lines that were appended; an incomplete one is left for the next sample.
    fn read_on(&mut self, path: &Path, metadata: &Metadata, budget: &mut u64) -> io::Result<()> {
        let state = (metadata.len(), metadata.modified()?);
        self.is_behind = false;
        if self.is_given_up || metadata.len() <= self.read_to || self.read_at == Some(state) {
            return Ok(());
        }
        let mut file = folder::open(path)?;
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while *budget > 0 {
            line.clear();
            let length = lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? as u64;
            *budget = budget.saturating_sub(length);
            if line.pop() != Some(b'\n') {
                if length == LONGEST_LINE {
                    self.give_up("a line is longer than 1 MiB");
                }
                self.read_at = Some(state);
                return Ok(());
            }
            self.read_to += length;
            if let Err(nonsense) = self.apply_line(&line) {
                self.nonsense = Some(nonsense);
                self.nonsense_lines += 1;
                if self.nonsense_lines == MOST_NONSENSE {
                    self.give_up("too many lines make no sense");
                    return Ok(());
                }
            }
        }
        self.is_behind = true;
        Ok(())
    }

    fn give_up(&mut self, why: &str) {
        self.nonsense = Some(format!("{why}; later lines are not read"));
        self.is_given_up = true;
    }

    fn apply_line(&mut self, line: &[u8]) -> Result<(), String> {
        let line = serde_json::from_slice(line).map_err(|error| format!("a line makes no sense: {error}"))?;
        match &mut self.story {
            Some(story) => story.apply(line),
            None => self.story = Some(RunState::from_first_line(line)?),
        }
        Ok(())
    }
}
